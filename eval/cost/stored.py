"""What the records of a data folder say was spent: stored runs of the desk, and evaluations, each for itself."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from openoutcry.agents import bundle
from openoutcry.core.errors import BrokenRun
from openoutcry.eval.cost.spent import Spent, grouped, of_calls
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.outcome import Transcript
from openoutcry.eval.runner import LEDGER, PLAN

OTHERS = "ab-"
"""How the names of ledgers begin that hold an A/B's other side's answers."""
ALONE = "ab"
"""The folder of its answers to the question alone."""
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Records:
    """What records of one kind hold. `count` are runs, or cases that were played.

    `busy` are the seconds in which models were asked: those of the requests of a run, but no more than the run took,
    as several may be in the air at once. `sent` are bytes by destination, and `left` how many of them left the machine,
    which evaluations keep no count of. `first` is when the oldest began; an evaluation counts as when it was last
    played.
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

    def __add__(self, other: "Records") -> "Records":
        """Both together."""
        return Records(
            self.count + other.count,
            tuple(grouped([*self.spent, *other.spent])),
            self.busy + other.busy,
            self.sent + other.sent,
            self.left + other.left,
            min((moment for moment in (self.first, other.first) if moment), default=None),
            (*self.broken, *other.broken),
        )


def runs(home: Path, since: datetime | None = None, watch: Watch = lambda _, __: None) -> Records:
    """What the desk's stored runs that began at *since* or later spent; broken ones are named and not counted."""
    found, names = Records(), bundle.listing(home)
    for place, name in enumerate(names, 1):
        try:
            found += _run(bundle.read(home, name), since)
        except BrokenRun as error:
            found += Records(broken=(str(error),))
        watch(place, len(names))
    return found


def _run(one: bundle.Bundle, since: datetime | None) -> Records:
    began = datetime.fromisoformat(one.manifest.started_at)
    if since and began < since:
        return Records()
    whole = one.report.timings.get("total")
    mine = list(of_calls(call.model_dump() for call in one.calls))
    return Records(1, tuple(grouped(mine)), busy(mine, whole), Counter(one.manifest.sent), one.manifest.left, began)


def busy(spent: Iterable[Spent], whole: float | None) -> float:
    """Seconds in which models were asked, at most the *whole* that the work took."""
    asked = sum(one.seconds for one in spent)
    return asked if whole is None else min(asked, whole)


def evaluations(home: Path, since: datetime | None = None, watch: Watch = lambda _, __: None) -> Records:
    """What evaluations that were last played at *since* or later spent, the calls of ablations and of A/B too.

    The tokens of an A/B's other side count; its seconds do not, as its model may work elsewhere.
    """
    played = {plan.parent: _moment(plan) for plan in sorted((home / "evals").glob(f"*/{PLAN}"))}
    chosen = [(folder, moment) for folder, moment in played.items() if since is None or moment >= since]
    ledgers = [(path, moment) for folder, moment in chosen for path in sorted(folder.glob("*.sqlite"))]
    asked = ((path, _moment(path)) for path in sorted((home / "evals" / ALONE).glob("*.sqlite")))
    ledgers += [(path, moment) for path, moment in asked if since is None or moment >= since]
    found = Records()
    for place, (path, moment) in enumerate(ledgers, 1):
        try:
            found += _ledger(path, moment)
        except BrokenRun as error:
            found += Records(broken=(str(error),))
        watch(place, len(ledgers))
    return found


def _ledger(path: Path, moment: datetime) -> Records:
    found, cases, here = Records(first=moment), path.name == LEDGER, not path.name.startswith(OTHERS)
    with Ledger(path) as ledger:
        for outcome in ledger.outcomes():
            found += _case(ledger.transcript(outcome.key), cases, here)
    return found


def _case(transcript: Transcript, counted: bool, here: bool) -> Records:
    mine = list(of_calls(call for turn in transcript.turns for call in turn.calls))
    whole = transcript.outcome.seconds or None
    return Records(int(counted), tuple(grouped(mine)), busy(mine, whole) if here else 0.0)


def _moment(file: Path) -> datetime:
    """When an evaluation was last played: its plan is written then, or else its ledger."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
