"""The lineups of stored runs, as they are shown and compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from openoutcry.core.errors import UsageError

if TYPE_CHECKING:
    from openoutcry.eval.outcome import Outcome
    from openoutcry.eval.runner import Run


class Side(NamedTuple):
    """One lineup's outcomes, and the run in which its transcripts lie, where it is there."""

    name: str
    outcomes: "Sequence[Outcome]"
    run: "Run | None" = None

    @property
    def shown(self) -> str:
        """Its name, with that of its run."""
        return f"{self.name} ({self.run.folder.name})" if self.run else self.name

    @property
    def reference(self) -> str:
        """By which `outcry eval compare` finds it."""
        if self.run is None:
            return self.name
        several = len(self.run.plan.lineups) > 1
        return f"{self.run.folder.name}:{self.name}" if several else self.run.folder.name


def unlike(one: Side, other: Side) -> list[str]:
    """What a person must know before reading a comparison: cases not played yet, and what differs besides who sits."""
    if one.run is None or other.run is None:
        return []
    runs = {run.folder.name: run for run in (one.run, other.run)}.values()
    told = [
        f"run {run.folder.name} is unfinished: {len(run.outcomes):,} of {run.plan.total:,} played"
        for run in runs
        if not run.complete
    ]
    first, second = one.run.plan.model_dump(), other.run.plan.model_dump()
    odd = [name for name in ("prompts", "code", "data", "judge") if first[name] != second[name]]
    return [*told, *([f"the two runs also differ in their {' and '.join(odd)}"] if odd else [])]


def of(run: "Run") -> list[Side]:
    """The lineups of a run that have played. Raises UsageError where none has."""
    sides = [Side(name, [o for o in run.outcomes if o.lineup == name], run) for name in run.plan.lineups]
    if not (played := [side for side in sides if side.outcomes]):
        raise UsageError(f"run {run.folder.name} holds no outcome yet: it was stopped before the first")
    return played


def named(home: Path, given: str) -> Side:
    """One lineup of a stored run: RUN where it has one, else RUN:LINEUP. Raises UsageError or BrokenRun."""
    from openoutcry.eval.runner import stored

    name, _, wanted = given.partition(":")
    sides = of(stored(home, name))
    found = [side for side in sides if wanted in ("", side.name)]
    if len(found) != 1:
        names = ", ".join(f"{name}:{side.name}" for side in sides)
        raise UsageError(f"expected one lineup of a run, got {given!r}; there are {names}")
    return found[0]
