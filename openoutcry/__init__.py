"""Open Outcry: local-first financial agents whose every number leads back to the query that made it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openoutcry.wiring import Desk

__all__ = ["Desk"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the desk on first use, so that importing the package stays light."""
    if name == "Desk":
        from openoutcry.wiring import Desk

        return Desk
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
