"""How the list of stored runs reads in the terminal: a row a lineup, within the width of the screen."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from openoutcry.interfaces.eval_text import percent, table
from openoutcry.interfaces.text import width
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.outcome import Outcome
    from openoutcry.eval.runner import Run

NARROWEST = 12
"""Columns that the name of a lineup has at least."""


def runs(found: "Sequence[Run]") -> Iterator[str]:
    """The runs as a table, in the order given; a name of a lineup that is too long is cut."""
    if not found:
        yield "no run is stored; `outcry eval run SUITE` plays one"
        return
    rows = [["run", "lineup", "played", "score", "begun (UTC)"], *(row for run in found for row in _rows(run))]
    others = sum(max(len(row[i]) for row in rows) for i in (0, 2, 3, 4)) + 2 * 4
    yield from table([_cut(row, max(width() - others, NARROWEST)) for row in rows], left=2)


def standing(run: "Run") -> dict[str, Any]:
    """How far a run is, as JSON holds it: outcomes, when it last began, and the score of each lineup that played."""
    scores = {name: _score(mine) for name in run.plan.lineups if (mine := _of(run, name))}
    return {
        "played": len(run.outcomes),
        "total": run.plan.total,
        "begun": _begun(run).isoformat(),
        "scores": scores,
    }


def _rows(run: "Run") -> Iterator[list[str]]:
    each = run.plan.total // len(run.plan.lineups)
    for name in run.plan.lineups:
        mine = _of(run, name)
        score = percent(_score(mine)) if mine else "-"
        yield [run.folder.name, harmless(name), f"{len(mine):,} of {each:,}", score, f"{_begun(run):%Y-%m-%d %H:%M}"]


def _of(run: "Run", lineup: str) -> "list[Outcome]":
    return [o for o in run.outcomes if o.lineup == lineup]


def _score(outcomes: "Sequence[Outcome]") -> float:
    from openoutcry.eval.comparison import summaries

    return summaries(outcomes)[0].score


def _begun(run: "Run") -> datetime:
    """When it began, or last went on."""
    from openoutcry.eval.runner import PLAN

    return datetime.fromtimestamp(int((run.folder / PLAN).stat().st_mtime), UTC)


def _cut(row: Sequence[str], room: int) -> list[str]:
    name, *rest = row[1:]
    return [row[0], name if len(name) <= room else f"{name[: room - 1]}\u2026", *rest]
