"""The stack as commands need it: the one that the options of `outcry` and the settings name, and its data folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from openoutcry.core.settings import Settings
    from openoutcry.serving.stack import Stack


@dataclass(frozen=True, slots=True)
class Standing:
    """A stack, the folder that its state lives in, and the settings that name both; `given` is the name it went by.

    `stack` is with what is registered, `bare` as its file says.
    """

    stack: "Stack"
    bare: "Stack"
    home: Path
    settings: "Settings"
    given: str


def folder(ctx: click.Context) -> Path:
    """The data folder alone: what runs can be seen and stopped though the stack file is broken. Raises UsageError."""
    from openoutcry.core.logs import configure
    from openoutcry.core.settings import load

    path, home = ctx.obj
    settings = load(path)
    configure(settings.log_level)
    return home or settings.home


def uncertified(at: Standing) -> list[str]:
    """A line for each model that may not sit where it is named to, with the command that examines it."""
    from openoutcry.serving.registry.seats import barred

    return [f"{seat}: {reason}" for seat, reasons in barred(at.stack, at.home).items() for reason in reasons]


def standing(ctx: click.Context, given: str = "") -> Standing:
    """The stack in force, or the one that *given* (a file or a profile) names. Raises UsageError."""
    from openoutcry.core.logs import configure
    from openoutcry.core.settings import load
    from openoutcry.serving.registry.force import mend
    from openoutcry.serving.registry.overlay import stack_with
    from openoutcry.serving.stack import load as stack

    path, home = ctx.obj
    settings = load(path)
    configure(settings.log_level)
    name = given or settings.stack or "house"
    bare, where = stack(name), home or settings.home
    mend(where)
    return Standing(stack_with(bare, where), bare, where, settings, name)
