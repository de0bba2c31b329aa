"""How settlements and standings read in the terminal, and the weights that standings give."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from openoutcry.agents.settling import Scoreboard, Settlement
from openoutcry.core.standing import Standing
from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless
from openoutcry.tools import standings

FEW = 5
HEADING = f"{'':<19}{'settled':>8}{'separate':>10}{'Brier (base)':>18}{'log score (base)':>19}{'gain':>9}{'weight':>9}"
READING = (
    "Brier and log score: lower is better; beside them what the base rate alone would have scored on the same views. "
    "gain: how much the views beat the base rate, in nats a view; above 0 they told more than it did. separate: views "
    "on one ticker whose spans do not overlap, which is what a weight rests on (several tickers count in full, though "
    "they move together); while they are few the weights stay near equal. said, happened: the mean chance of like "
    "views and how often they came true, of so many; a role is well calibrated where the two agree."
)


def settled(done: Settlement, *, every: bool = False) -> Iterator[str]:
    """What a settlement did: lessons, what waits, what could not be settled and why."""
    if not (done.lessons or done.before or done.waiting or done.unsettled):
        yield f"no view is remembered as of {done.as_of}; `outcry ask` makes them"
        return
    yield f"{_views(len(done.lessons))} settled as of {done.as_of}; {done.before:,} settled before."
    told = done.lessons if every else done.lessons[:FEW]
    yield from (wrap(harmless(lesson.said), "  - ", "    ") for lesson in told)
    if left := len(done.lessons) - len(told):
        yield f"  and {left:,} more: --all tells each"
    if done.waiting:
        yield f"{_views(done.waiting)} still open; the next ends on {done.next_due}."
    if done.unsettled:
        yield f"{_views(len(done.unsettled))} could not be settled:"
        yield from (wrap(harmless(f"{u.said} {u.reason}"), "  - ", "    ") for u in done.unsettled)
    if done.lessons or done.before:
        yield "how the roles stand: outcry scoreboard"


def weights(board: Scoreboard, models: Mapping[str, str]) -> dict[Standing, float]:
    """What the coordinator gives each standing of a model that sits today, over its horizon; the desk weighs nothing.

    The weights of a horizon are those of a question on which all roles with a record over it take a side.
    """
    found: dict[Standing, float] = {}
    for horizon in sorted({s.horizon for s in board.standings}):
        here = [s for s in board.standings if s.horizon == horizon and s.role in models]
        today = {s.role: s for s in here if models[s.role] == s.model}
        weighed = standings.weights(dict.fromkeys(s.role for s in here), today)
        found |= {s: weighed[role] for role, s in today.items()}
    return found


def as_data(board: Scoreboard, weighed: Mapping[Standing, float]) -> dict[str, Any]:
    """The scoreboard as JSON holds it, each standing with its weight, or null where its model sits no more."""
    rows = [{**s.model_dump(mode="json"), "weight": weighed.get(s)} for s in board.standings]
    return {**board.model_dump(mode="json"), "standings": rows}


def standing(board: Scoreboard, weighed: Mapping[Standing, float]) -> Iterator[str]:
    """The scoreboard as a table, and how to read it."""
    if not board.standings:
        yield empty(board)
        return
    yield f"Settled views as of {board.as_of}{f'; {_views(board.waiting)} still open' if board.waiting else ''}"
    yield ""
    yield HEADING
    for (role, model), group in groupby(board.standings, lambda s: (s.role, s.model)):
        yield wrap(harmless(f"{role} ({model})"))
        for s in group:
            yield _row(s, weighed.get(s))
            yield wrap(calibration(s), "    ")
    yield ""
    yield wrap(READING)


def empty(board: Scoreboard) -> str:
    """Why there is nothing to show."""
    if board.waiting:
        return f"no view has settled as of {board.as_of}, {board.waiting:,} open; `outcry settle` scores what is due"
    return f"no view is remembered as of {board.as_of}; `outcry ask` makes them"


def _row(s: Standing, weight: float | None) -> str:
    over = f"  {s.horizon:,} trading day{'' if s.horizon == 1 else 's'}"
    brier, log = f"{s.brier:.4f} ({s.base_brier:.4f})", f"{s.log_score:.4f} ({s.base_log_score:.4f})"
    weighs = "" if weight is None else f"{100 * weight:.1f} %"
    return f"{over:<19}{s.settled:>8,}{s.separate:>10,}{brier:>18}{log:>19}{s.gain:>+9.4f}{weighs:>9}".rstrip()


def calibration(s: Standing) -> str:
    """Each bin's mean chance, how often it came true, and of how many; a line is broken between bins alone."""
    told = (f"said {100 * b.mean_chance:.0f} %, happened {100 * b.frequency:.0f} % ({b.views:,})" for b in s.bins)
    return "; ".join(line.replace(" ", "\u00a0") for line in told)


def _views(number: int) -> str:
    return f"{number:,} view{'' if number == 1 else 's'}"
