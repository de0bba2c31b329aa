"""What the stages of a night work with: the settings, the models of the stack, what is remembered, the seats."""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from openoutcry.core.errors import UsageError
from openoutcry.core.settings import Settings
from openoutcry.eval.lineup import Models
from openoutcry.training.night.settings import NightSettings
from openoutcry.training.night.working import Job

if TYPE_CHECKING:
    from openoutcry.eval.shadow import Shadowed
    from openoutcry.memory.store import Store
    from openoutcry.serving.registry.moves import Moves
    from openoutcry.serving.registry.observations import Observation
    from openoutcry.serving.registry.rollout import Rollouts, Standing
    from openoutcry.serving.stack import Stack


class Desk(Protocol):
    """What the night needs of a desk: the rollouts in its seats, and shadow runs."""

    rollouts: "Rollouts | None"

    def shadow(self, role: str, runs: int = ..., watch: "Callable[[int, Observation], None]" = ...) -> "Shadowed":
        """Ask the challenger in the shadow of a seat what stored runs asked."""
        ...


class Trial(Models, Protocol):
    """Models on trial, which are to be released."""

    def close(self) -> None:
        """Release what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the stages work with. `settings` say the data folder and the stack; *trial* gives the models of the stack
    as it then stands, *shapes* the desk's own requests by role, and *desk* opens a desk.
    """

    settings: Settings
    night: NightSettings
    trial: Callable[[Settings], Trial]
    shapes: Callable[[], Mapping[str, Mapping[str, Any]]]
    desk: Callable[[], AbstractContextManager[Desk]]

    @property
    def home(self) -> Path:
        """The data folder."""
        return self.settings.home

    def stack(self) -> "Stack":
        """The stack with all that is registered by now."""
        from openoutcry.serving.registry.overlay import stack_with
        from openoutcry.serving.stack import HOUSE, load

        return stack_with(load(self.settings.stack or HOUSE), self.home)

    @contextmanager
    def models(self) -> Generator[Trial]:
        """The models of the stack, for the length of a `with`."""
        with closing(self.trial(self.settings)) as trial:
            yield trial

    @contextmanager
    def memory(self, tell: Callable[[str], None]) -> "Generator[Store | None]":
        """What the desk remembers; None where it remembers nothing. *tell* hears of mends that it needs."""
        from openoutcry.memory.store import Store

        folder = self.home / "memory"
        if not folder.is_dir():
            yield None
            return
        with closing(Store.open(folder, None, tell)) as store:
            yield store

    def base(self, model: str) -> tuple[str, Path]:
        """The name and the folder of the weights under *model*. Raises UsageError where they are not here."""
        stack = self.stack()
        served = stack.serving(model)
        path = stack.path(served.weights) if served.weights else None
        if path is None or not path.is_dir():
            raise UsageError(
                f"expected the weights of {model} in a folder on this machine, found none: name another model in "
                "night.toml, or give its weights as a folder in the stack file"
            )
        return served.name, path

    def rolled(self, now: datetime) -> "list[Standing]":
        """Do what is due in the seats where a new model is under way; how those stood that were moved."""
        from openoutcry.serving.registry.pointer import read
        from openoutcry.serving.registry.rollout import watched

        under_way = [role for role, seat in read(self.home).items() if watched(seat)[0]]
        if not under_way:
            return []
        with self.desk() as desk:
            found = [desk.rollouts.step(role, now) for role in under_way] if desk.rollouts else []
        return [one for one in found if one.due.move != "stay"]

    def moves(self, models: Models, job: Job) -> "Moves":
        """Moves in the seats, now. A record that is named by its number is the night's own: its terms are known."""
        from openoutcry.eval.gate.usual import unusual
        from openoutcry.serving.registry.moves import Moves

        def sitting(role: str, name: str) -> str:
            _, candidate = models.seated(role, name)
            return candidate.digest or candidate.name

        return Moves(self.stack(), self.home, job.now(), sitting, unusual)
