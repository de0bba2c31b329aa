"""The desk as commands need it, and how they come by one: the command `outcry` says how a desk is opened."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from openoutcry.agents.settling import Scoreboard, Settlement
    from openoutcry.core.settings import Settings
    from openoutcry.eval.shadow import Shadowed
    from openoutcry.memory.recall import Hit
    from openoutcry.memory.store import Store
    from openoutcry.serving.registry.observations import Observation
    from openoutcry.serving.registry.rollout import Rollouts

OPENER = f"{__name__}.opener"
"""Where the context of the outermost command keeps what opens a desk."""


class Desk(Protocol):
    """What the commands on memory, settlement and rollouts need of a desk."""

    settings: "Settings"
    rollouts: "Rollouts | None"

    @property
    def models(self) -> dict[str, str]:
        """The name of the model in each seat."""
        ...

    @property
    def memory(self) -> "Store":
        """What the desk remembers."""
        ...

    def recall(self, text: str, as_of: str | None = None, **filters: Any) -> "list[Hit]":
        """Search the memory."""
        ...

    def shadow(self, role: str, runs: int = ..., watch: "Callable[[int, Observation], None]" = ...) -> "Shadowed":
        """Ask the challenger in the shadow of a seat what stored runs asked."""
        ...

    def settle(self, as_of: str | None = None, watch: Callable[[int, int], None] = ...) -> "Settlement":
        """Score each view whose horizon has passed."""
        ...

    def scoreboard(self, as_of: str | None = None) -> "Scoreboard":
        """How each role's views came true."""
        ...


def desk(ctx: click.Context) -> AbstractContextManager[Desk]:
    """The desk that the options of `outcry` ask for, open for the length of a `with`."""
    return ctx.meta[OPENER](ctx)
