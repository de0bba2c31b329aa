"""The one place that builds concrete things: who sits where, where memories lie, what is measured."""

import hashlib
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_ai.models import Model

from openoutcry.agents.house.model import HouseModel
from openoutcry.agents.team import ROLES
from openoutcry.core.settings import Settings
from openoutcry.memory import embedder
from openoutcry.memory.store import Store
from openoutcry.serving import stack as stacks
from openoutcry.serving.identity import identity
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.stack import Stack

if TYPE_CHECKING:
    from openoutcry.serving.metrics import Metrics
    from openoutcry.serving.registry.moves import Moves
    from openoutcry.serving.registry.rollout import Rollouts
    from openoutcry.serving.seating import Seating


def house_models() -> dict[str, Model]:
    """The embedded default in every seat."""
    return {name: HouseModel(import_module(f"openoutcry.agents.house.{name}").rules) for name in ROLES}


def stack(settings: Settings) -> Stack:
    """The stack in force, with what is registered. Raises UsageError for a stack file that is not one."""
    return stack_with(stacks.load(settings.stack or stacks.HOUSE), settings.home)


def seating(settings: Settings, house: Mapping[str, Model], metrics: "Metrics | None") -> "Seating | None":
    """The local models in their seats, each with house rules behind it; None where house rules sit in every one.

    Raises UsageError for a stack file that is not one, DataError for damaged seats.
    """
    given = stacks.load(settings.stack or stacks.HOUSE)
    if not given.models:
        return None
    from openoutcry.serving.seating import Seating

    seats = Seating(given, settings.home, house, metrics.asked if metrics else None)
    if metrics:
        metrics.watch(seats.standing)
    return seats


def moves(stack: Stack, home: Path, now: datetime) -> "Moves":
    """What moves the seats of a desk at *home*, whose *stack* is with what is registered."""
    from openoutcry.serving.registry.moves import Moves

    return Moves(stack, home, now, lambda _, name: _known(stack, name), _unusual)


def rollouts(settings: Settings, seats: "Seating") -> "Rollouts":
    """The rollouts in the seats of a desk."""
    from openoutcry.serving.registry.rollout import Rollouts

    return Rollouts(settings.home, lambda now: moves(seats.stack, settings.home, now))


def _known(stack: Stack, name: str) -> str:
    """What the gate knows a model by."""
    return house_digest() if name == stacks.HOUSE else identity(stack, name) or name


def _unusual(record: Mapping[str, Any]) -> str:
    from openoutcry.eval.gate.usual import unusual

    return unusual(record)


def house_digest() -> str:
    """Of the rules' own files, 16 hex digits: another version of them is another model."""
    folder = Path(str(import_module("openoutcry.agents.house").__file__)).parent
    hasher = hashlib.sha256()
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.toml")]):
        hasher.update(path.name.encode() + path.read_bytes())
    return hasher.hexdigest()[:16]


def metrics(settings: Settings) -> "Metrics | None":
    """What is measured; None where no port is set for it."""
    if not settings.metrics:
        return None
    from openoutcry.serving.metrics import Metrics

    return Metrics()


def memory(settings: Settings, seats: "Seating | None") -> Store:
    """What the desk remembers. Raises UsageError for an embedding model that is not one."""
    local = partial(embedder.local, settings.embedder, _told)
    make = seats.embedder(local, embedder.exact) if seats else local
    return Store.open(settings.home / "memory", make, _told)


def _told(line: str) -> None:
    """Tell progress on stderr."""
    print(f"  {line}", file=sys.stderr)
