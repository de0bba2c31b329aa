"""The models as commands that evaluate them need them: the command `outcry` says where they come from."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from openoutcry.core.settings import Settings
    from openoutcry.eval.lineup import Models

TRIAL = f"{__name__}.trial"
"""Where the context of the outermost command keeps what gives models on trial, by the settings."""


@contextmanager
def models(ctx: click.Context) -> Generator["tuple[Models, Path]"]:
    """The models of the stack in force, and the data folder, open for the length of a `with`. Raises UsageError."""
    from openoutcry.core.logs import configure
    from openoutcry.core.settings import load

    path, home = ctx.obj
    settings = load(path)
    configure(settings.log_level)
    settings = settings.model_copy(update={"home": home or settings.home})
    make: Callable[[Settings], Trial] = ctx.meta[TRIAL]
    trial = make(settings)
    try:
        yield trial, settings.home
    finally:
        trial.close()


if TYPE_CHECKING:

    class Trial(Models):
        """Models that are to be released."""

        def close(self) -> None:
            """Release what is open."""
            ...
