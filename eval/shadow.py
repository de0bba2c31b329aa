"""Shadow runs: a challenger is asked what the desk was asked, over the same data, and its answers are discarded.

The champion is asked beside it, so that what is allowed is measured on the same questions, at the same time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic_ai.models import Model

from openoutcry.agents import bundle
from openoutcry.agents.bundle import Bundle
from openoutcry.agents.conduct import lapses
from openoutcry.agents.flow import Floor, alone, answer
from openoutcry.agents.questions import ROLES
from openoutcry.agents.remembered import Kept
from openoutcry.agents.team import Team
from openoutcry.agents.workbench import Live
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import BrokenRun, ModelUnreachable, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.core.report import Kind, Report
from openoutcry.core.settings import Settings
from openoutcry.serving.registry import observations
from openoutcry.serving.registry.observations import Observation, conduct
from openoutcry.serving.registry.rollout import Rollouts, Standing
from openoutcry.serving.seat import Seat, Tried
from openoutcry.serving.stack import HOUSE
from openoutcry.tools.data.view import View, Warehouse

if TYPE_CHECKING:
    from openoutcry.serving.seating import Seating

RUNS = 20
"""Stored runs that are asked again, where nobody says how many."""
SILENT = 3
"""Runs in a row in which neither model answered, after which it is no use to go on."""
Watch = Callable[[int, Observation], None]
"""Told of each run of the challenger: how many there were, and how it did."""


def unwatched(_: int, seen: Observation) -> None:
    """Watch nothing."""


class Shadowed(Frozen):
    """What shadow runs came to: how many there were, and how the rollout stands after them."""

    runs: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Shadow:
    """Plays shadow runs of the desk's *seats*; *warehouse* gives the data of a snapshot, where it is still here."""

    settings: Settings
    seats: "Seating"
    house: Mapping[str, Model]
    warehouse: Callable[[str], Warehouse | None]
    rollouts: Rollouts

    async def play(self, role: str, runs: int, watch: Watch = unwatched) -> Shadowed:
        """Ask what the newest *runs* stored runs asked of a role, each once a challenger, until it leaves the shadow.

        Raises UsageError where nobody runs in the shadow of that seat, ModelUnreachable where it cannot be asked.
        """
        stood = self.rollouts.standing(role, datetime.now(UTC))
        if role not in self.house or not _in_shadow(stood):
            raise UsageError(
                f"expected a challenger in the shadow of the {role}, found none; `outcry models promote NAME --role "
                f"{role}` begins with that"
            )
        sides = [self._side(role, name) for name in (stood.model, stood.other) if name != HOUSE]
        done = nobody = 0
        async with self.seats.opened():
            for stored, view in self._stored(role, stood.model):
                seen = [found for side in sides if (found := await side.played(stored, view, stood.pointer.number))]
                nobody = nobody + 1 if len(sides) > 1 and _nobody(seen) else 0
                if sides[0].absent or nobody == SILENT:
                    raise ModelUnreachable(
                        f"expected {stood.model} to answer in its shadow, but after {done} runs it could not be asked; "
                        "`outcry stack status` shows how it stands"
                    )
                if not seen or seen[0].model != stood.model or nobody:
                    continue
                done += 1
                watch(done, seen[0])
                self.rollouts.note(seen[::-1], datetime.now(UTC))  # what is allowed is known before it is held to it
                if done >= runs or not _in_shadow(self.rollouts.standing(role, datetime.now(UTC))):
                    break
        return Shadowed(runs=done, standing=self.rollouts.step(role, datetime.now(UTC)))

    def _side(self, role: str, name: str) -> "_Side":
        tried: list[Tried] = []
        model = self.seats.alone(role, name)
        seated = {**self.house, role: Seat(role, lambda: (model,), tried.append)}
        return _Side(role, name, Team(seated, self.settings.deadline), tried)

    def _stored(self, role: str, model: str) -> Iterator[tuple[Bundle, View]]:
        """Stored runs that the role had a part in and *model* has not been asked, newest first, with their data."""
        with observations.reading(self.settings.home) as book:
            known = book.runs(role, model, "shadow") if book else set[str]()
        for run in reversed(bundle.listing(self.settings.home)):
            if run in known:
                continue
            try:
                stored = bundle.read(self.settings.home, run)
            except BrokenRun:
                continue
            warehouse = self.warehouse(stored.manifest.snapshot) if _has_part(role, stored.report) else None
            if warehouse:
                yield stored, warehouse.view(AsOf.parse(stored.report.as_of))


@dataclass(frozen=True, slots=True)
class _Side:
    """One model alone in its seat, house rules in every other; *tried* fills while it is asked."""

    role: str
    name: str
    team: Team
    tried: list[Tried]

    @property
    def absent(self) -> bool:
        """Whether some request of the last run went nowhere: it is not there, or left alone for a while."""
        return any(one.gone and not one.asked for one in self.tried)

    async def played(self, stored: Bundle, view: View, number: int) -> Observation | None:
        """Ask it what a stored run asked; how it did, or None where it was not asked."""
        self.tried.clear()
        memory, limits = Kept(stored.remembered), stored.manifest.limits
        floor = Floor(stored.report.run, view, self.team, Live(), limits=limits, memory=memory)
        if self.role == "coordinator":
            report = await answer(stored.report.question, floor)
        else:
            report = await alone("sentiment" if self.role == "reader" else self.role, stored.report.question, floor)
        did = None if self.absent else conduct(self.tried, lapses(report).get(self.role))
        seat: dict[str, Any] = {"role": self.role, "model": self.name, "number": number}
        return Observation(run=report.run, arm="shadow", **seat, **did.model_dump()) if did else None


def _nobody(seen: Sequence[Observation]) -> bool:
    """Whether no model gave an answer, which says nothing of either."""
    return bool(seen) and all("crash" in one.faults for one in seen)


def _in_shadow(stood: Standing) -> bool:
    return bool(stood.pointer.challenger and not stood.pointer.share)


def _has_part(role: str, report: Report) -> bool:
    if report.question.kind is Kind.UNKNOWN:
        return False
    return role == "coordinator" or ("sentiment" if role == "reader" else role) in ROLES[report.question.kind]
