"""Settlement: each decision whose horizon has passed is scored by what happened, and becomes a lesson."""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import DataError, NotComputed
from openoutcry.core.evidence import Evidence, Figure, Frozen
from openoutcry.core.standing import DESK, Settled, Standing
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.figures import number
from openoutcry.tools.outcomes import view_outcome
from openoutcry.tools.sessions import session_after
from openoutcry.tools.standings import standings

RESULTS = {
    (False, True): "by {M.ended} it had returned {M.return}, so that came true.",
    (False, False): "by {M.ended} it had returned {M.return}, so that did not come true.",
    (True, True): "by {M.ended} they had returned {M.return} and {M.other_return}, so that came true.",
    (True, False): "by {M.ended} they had returned {M.return} and {M.other_return}, so that did not come true.",
}
ONE = "On {M.made} the desk gave {M.p_up} to {M.ticker} ending {M.horizon} higher; "
TWO = "On {M.made} the desk gave {M.p_up} to {M.ticker} beating {M.other} over {M.horizon}; "
CHANCE = "_p_up"
MODEL = "model of "
GIVEN = "given"


class Unsettled(Frozen):
    """A decision whose horizon has passed and that the data cannot settle, and why."""

    memory: str
    said: str
    reason: str


class Settlement(Frozen):
    """What one settlement did. `next_due` is the first session on which a waiting decision ends."""

    as_of: str
    lessons: tuple[Memory, ...] = ()
    before: int = 0
    waiting: int = 0
    next_due: date | None = None
    unsettled: tuple[Unsettled, ...] = ()


class Scoreboard(Frozen):
    """Every standing known at the as-of, and the settled views that they rest on."""

    as_of: str
    standings: tuple[Standing, ...] = ()
    views: tuple[Settled, ...] = ()
    waiting: int = 0


Watch = Callable[[int, int], None]


def unwatched(done: int, of: int) -> None:
    """Tell no one."""


def settle(store: Store, warehouse: Warehouse, as_of: AsOf | None = None, watch: Watch = unwatched) -> Settlement:
    """Score every decision known at *as_of* (default: the newest data) that no lesson has scored yet.

    Each is scored by the closes as they were known on the day of its end, so the lesson is the same whenever it is
    written, and known from that moment. Calling it again adds nothing. *watch* is told how many of how many were
    looked at.
    """
    view = warehouse.view(as_of)
    moment = naive(view.as_of)
    decisions = store.find(as_of=moment, kinds=(Kind.DECISION,))
    scored = {p: lesson.known_at for lesson in store.find(kinds=(Kind.LESSON,)) for p in lesson.parents}
    before = sum(d.id in scored and scored[d.id] <= moment for d in decisions)
    lessons, unsettled = list[Memory](), list[Unsettled]()
    due = [end_of(d) for d in decisions if d.id in scored and scored[d.id] > moment]
    left = [d for d in decisions if d.id not in scored]
    for done, decision in enumerate(left):
        watch(done, len(left))
        if (ends := end_of(decision)) > view.as_of.date:
            due.append(ends)
            continue
        try:
            lessons.append(_lesson(decision, _outcome(warehouse, view, decision, ends), view))
        except DataError as error:
            unsettled.append(Unsettled(memory=decision.id, said=decision.said, reason=str(error)))
    store.add(lessons)
    return Settlement(
        as_of=str(view.as_of),
        lessons=tuple(lessons),
        before=before,
        waiting=len(due),
        next_due=min(due, default=None),
        unsettled=tuple(unsettled),
    )


def scoreboard(store: Store, as_of: AsOf) -> Scoreboard:
    """How each role's views came true, by the lessons known at *as_of*."""
    lessons = store.find(as_of=naive(as_of), kinds=(Kind.LESSON,))
    scored = {p for lesson in lessons for p in lesson.parents}
    decisions = store.find(as_of=naive(as_of), kinds=(Kind.DECISION,))
    views = views_of(lessons)
    waiting = sum(d.id not in scored for d in decisions)
    return Scoreboard(as_of=str(as_of), standings=standings(views), views=tuple(views), waiting=waiting)


def naive(as_of: AsOf) -> datetime:
    """The moment as memories hold it: UTC without zone."""
    return as_of.moment.astimezone(UTC).replace(tzinfo=None)


def end_of(decision: Memory) -> date:
    """The session on which the decision's horizon ends."""
    return session_after(_day(decision.figures["made"]), int(decision.figures["horizon"].value))


def views_of(lessons: Iterable[Memory]) -> list[Settled]:
    """The view of the desk and of each role that took a side in each lesson, oldest first."""
    views: list[Settled] = []
    for lesson in sorted(lessons, key=lambda m: (m.as_of, m.id)):
        figures = lesson.figures
        shared = {
            "ticker": lesson.ticker,
            "horizon": int(figures["horizon"].value),
            "made": _day(figures["made"]),
            "ended": _day(figures["ended"]),
            "base_rate": float(figures["base_rate"].value),
            "happened": bool(figures["happened"].value),
            "given": lesson.details.get(GIVEN, ""),
        }
        models = {n.removeprefix(MODEL): m for n, m in lesson.details.items() if n.startswith(MODEL)}
        named = {role: ("p_up" if role == DESK else f"{role}{CHANCE}", model) for role, model in models.items()}
        for role, (name, model) in named.items():
            views.append(
                Settled.model_validate(shared | {"role": role, "model": model, "chance": float(figures[name].value)})
            )
    return views


def _outcome(warehouse: Warehouse, view: View, decision: Memory, ends: date) -> Evidence:
    """What happened, by the closes known on the day of the end, or as known by *view* where they came later.

    Raises NotComputed where the end was known before the decision was made: then it foretold nothing.
    """
    figures = decision.figures
    tickers = [str(figures[n].value) for n in ("ticker", "other") if n in figures]
    made, horizon = _day(figures["made"]), int(figures["horizon"].value)
    try:
        then = warehouse.view(min(AsOf.parse(ends), view.as_of))
        outcome = view_outcome(then, tickers=tickers, made=made, horizon=horizon)
    except DataError:
        outcome = view_outcome(view, tickers=tickers, made=made, horizon=horizon)
    if outcome.known_at is None or outcome.known_at <= decision.as_of:
        raise NotComputed(f"needs a view given before its end; {ends} was known when this one was given")
    return outcome


def _lesson(decision: Memory, outcome: Evidence, view: View) -> Memory:
    """What the decision taught: its chances beside what happened."""
    happened, compared = bool(outcome.value("happened")), "other" in decision.figures
    chance = float(decision.figures["p_up"].value)
    ended = {n: outcome.figures[n] for n in ("return", "other_return", "ended", "happened") if n in outcome.figures}
    scores = {
        "brier": number((chance - happened) ** 2),
        "log_score": number(-math.log(chance if happened else 1 - chance)),
    }
    kept = {n: f for n, f in decision.figures.items() if n in SHARED or n.endswith(CHANCE)}
    known_at = max(outcome.known_at or decision.known_at, decision.known_at)
    claim = (TWO if compared else ONE) + RESULTS[compared, happened]
    lesson = Memory(
        kind=Kind.LESSON,
        ticker=decision.ticker,
        role="coordinator",
        model=decision.model,
        run=decision.run,
        evidence=decision.evidence,
        as_of=known_at,
        known_at=known_at,
        source=decision.source,
        parents=(decision.id,),
        trust=Trust.DESK,
        claim=claim,
        text="",
        figures={**kept, **ended, **scores},
        details={
            **{n: d for n, d in decision.details.items() if n in kept or n.startswith(MODEL)},
            MODEL + DESK: decision.model,
            GIVEN: f"{decision.as_of.isoformat()} {decision.run}",
            "outcome": outcome.model_dump_json(),
            "snapshot": view.snapshot,
        },
    )
    return lesson.model_copy(update={"text": lesson.said})


SHARED = ("ticker", "other", "horizon", "made", "p_up", "base_rate")


def _day(figure: Figure) -> date:
    return date.fromisoformat(str(figure.value))
