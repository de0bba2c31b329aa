"""What the records of a data folder say was spent: stored runs of the desk, and evaluations, each for itself."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from openoutcry.agents import bundle
from openoutcry.core.errors import BrokenRun
from openoutcry.eval.cost.busy import Busy
from openoutcry.eval.cost.spent import Spent, gather, of_calls, ranked
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.runner import LEDGER, PLAN

OTHERS = "ab-"
"""How the names of ledgers begin that hold an A/B's other side's answers."""
ALONE = "ab"
"""The folder of its answers to the question alone."""
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Records:
    """What records of one kind hold. `count` are runs, or cases that were played.

    `busy` are the seconds in which models were asked, however many at once. `sent` are bytes by destination, and
    `left` how many of them left the machine, which evaluations keep no count of. `first` is when the oldest began; an
    evaluation counts as when it was last played.
    """

    count: int = 0
    spent: tuple[Spent, ...] = ()
    busy: float = 0.0
    sent: Counter[str] = field(default_factory=Counter[str])
    left: int = 0
    first: datetime | None = None
    broken: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(one.tokens for one in self.spent)


@dataclass(slots=True)
class _Sum:
    """Records as they are added up."""

    count: int = 0
    spent: dict[tuple[str, str], Spent] = field(default_factory=dict[tuple[str, str], Spent])
    busy: Busy = field(default_factory=Busy)
    sent: Counter[str] = field(default_factory=Counter[str])
    left: int = 0
    first: datetime | None = None
    broken: list[str] = field(default_factory=list[str])

    def since(self, moment: datetime) -> None:
        self.first = min(self.first, moment) if self.first else moment

    def add(self, cases: "_Sum") -> None:
        """Add those of a ledger."""
        gather(cases.spent.values(), self.spent)
        self.busy.join(cases.busy)
        self.count += cases.count

    @property
    def records(self) -> Records:
        spent, broken = tuple(ranked(self.spent.values())), tuple(self.broken)
        return Records(self.count, spent, self.busy.seconds, self.sent, self.left, self.first, broken)


def runs(home: Path, since: datetime | None = None, watch: Watch = lambda _, __: None) -> Records:
    """What the desk's stored runs that began at *since* or later spent; broken ones are named and not counted."""
    found, names = _Sum(), bundle.listing(home)
    for place, name in enumerate(names, 1):
        try:
            _run(bundle.read(home, name), since, found)
        except BrokenRun as error:
            found.broken.append(str(error))
        watch(place, len(names))
    return found.records


def _run(one: bundle.Bundle, since: datetime | None, into: _Sum) -> None:
    began = datetime.fromisoformat(one.manifest.started_at)
    if since and began < since:
        return
    calls = [call.model_dump() for call in one.calls]
    gather(of_calls(calls), into.spent)
    into.busy.add(calls, one.report.timings.get("total"))
    into.count += 1
    into.sent.update(one.manifest.sent)
    into.left += one.manifest.left
    into.since(began)


def evaluations(home: Path, since: datetime | None = None, watch: Watch = lambda _, __: None) -> Records:
    """What evaluations that were last played at *since* or later spent, the calls of ablations and of A/B too.

    The tokens of an A/B's other side count; its seconds do not, as its model may work elsewhere.
    """
    played = {plan.parent: _moment(plan) for plan in sorted((home / "evals").glob(f"*/{PLAN}"))}
    chosen = [(folder, moment) for folder, moment in played.items() if since is None or moment >= since]
    ledgers = [(path, moment) for folder, moment in chosen for path in sorted(folder.glob("*.sqlite"))]
    asked = ((path, _moment(path)) for path in sorted((home / "evals" / ALONE).glob("*.sqlite")))
    ledgers += [(path, moment) for path, moment in asked if since is None or moment >= since]
    found = _Sum()
    for place, (path, moment) in enumerate(ledgers, 1):
        try:
            found.add(_ledger(path))
            found.since(moment)
        except BrokenRun as error:
            found.broken.append(str(error))
        watch(place, len(ledgers))
    return found.records


def _ledger(path: Path) -> _Sum:
    found, cases, here = _Sum(), path.name == LEDGER, not path.name.startswith(OTHERS)
    with Ledger(path) as ledger:
        for outcome in ledger.outcomes():
            calls = [call for turn in ledger.transcript(outcome.key).turns for call in turn.calls]
            gather(of_calls(calls), found.spent)
            if here:
                found.busy.add(calls, outcome.seconds or None)
            found.count += int(cases)
    return found


def _moment(file: Path) -> datetime:
    """When an evaluation was last played: its plan is written then, or else its ledger."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
