"""Open Outcry: local-first financial agents whose every number leads back to the query that made it."""

from typing import TYPE_CHECKING

from openoutcry.core.version import VERSION

if TYPE_CHECKING:
    from openoutcry.desk import Desk

__all__ = ["Desk"]
__version__ = VERSION


def __getattr__(name: str) -> object:
    """Load the desk on first use, so that importing the package stays light."""
    if name == "Desk":
        from openoutcry.desk import Desk

        return Desk
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
