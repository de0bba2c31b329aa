"""Recall from the store: each role's own findings, lessons and readings; the record that weighs the roles."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from openoutcry.agents.memories import BOOK, of_run, subject
from openoutcry.agents.remembered import RECALL, Read, Recalled, Remembered
from openoutcry.agents.settling import naive, views_of
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import OutcryError, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Question, Report
from openoutcry.core.standing import DESK, Settled, Standing
from openoutcry.memory.recall import Hit
from openoutcry.memory.record import FIGURE, MARKET, Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted
from openoutcry.tools.data.intake import reason_of
from openoutcry.tools.data.view import View
from openoutcry.tools.standings import standings

AT_MOST = 4
SEEN: dict[str, tuple[tuple[str, ...], tuple[Kind, ...]]] = {
    "analyst": (("analyst", "coordinator"), (Kind.FINDING, Kind.LESSON)),
    "sentiment": (("sentiment", "reader", "coordinator"), (Kind.FINDING, Kind.DIGEST, Kind.LESSON)),
    "risk": (("risk", "coordinator"), (Kind.FINDING, Kind.LESSON)),
    "coordinator": (("coordinator",), (Kind.DECISION, Kind.LESSON)),
}
"""Whose memories a role is shown, and of which kinds."""
GOOD, HALF = 0.05, 50
EVER = datetime(9999, 1, 1, tzinfo=UTC).replace(tzinfo=None)
log = structlog.get_logger()


class Live:
    """Recall from the desk's *store*, opened when first needed. *models* names the model in each seat of a run."""

    def __init__(self, store: Callable[[], Store], models: Callable[[], Mapping[str, str]]) -> None:
        self._store = store
        self._models = models
        self._views: dict[str, list[Settled]] = {}

    async def recall(self, question: Question, roles: Sequence[str], view: View) -> Remembered:
        """What each role is reminded of; where the memory cannot be read, nothing and why."""
        try:
            return await asyncio.to_thread(self._recalled, question, roles, view)
        except OutcryError as error:
            reason = str(error)
        except Exception as error:
            log.exception("recall failed")
            reason = f"the memory failed ({type(error).__name__}); see the log"
        return Remembered(reason=reason)

    async def keep(self, report: Report, remembered: Remembered, reads: Sequence[Read]) -> None:
        """Remember the report. A memory that cannot be written costs the run nothing; the log says why."""
        if report.declined:
            return
        try:
            await asyncio.to_thread(self._keep, of_run(report, self._models(), remembered, reads))
        except OutcryError as error:
            log.warning("not remembered", run=report.run, reason=str(error))
        except Exception:
            log.exception("not remembered", run=report.run)

    def _keep(self, found: list[Memory]) -> None:
        self._store().add(found)

    def _recalled(self, question: Question, roles: Sequence[str], view: View) -> Remembered:
        moment = naive(view.as_of)
        standing = standings(self._settled(moment))
        factors, given = skill(standing), dict[str, str]()
        by_role: dict[str, tuple[Recalled, ...]] = {}
        for role in roles:
            found = self._store().recall(wanted(question, role, moment), factors)
            told = (h.memory for h in found)
            by_role[role] = tuple(_recalled(m, given.setdefault(m.id, f"M{len(given) + 1}"), view) for m in told)
        mine = (s for s in standing if self._sits(s) and s.horizon == question.horizon)
        record = {s.role: s.model_copy(update={"bins": ()}) for s in mine}
        return Remembered(by_role=by_role, record=record)

    def _settled(self, moment: datetime) -> list[Settled]:
        """The views that had settled by then, oldest first. A lesson never changes, so each is read once."""
        ids = self._store().ids(moment, Kind.LESSON)
        if missing := [i for i in ids if i not in self._views]:
            for lesson in self._store().find(ids=missing):
                self._views[lesson.id] = views_of([lesson])
        return [view for i in ids for view in self._views.get(i, ())]

    def _sits(self, standing: Standing) -> bool:
        """Whether the standing is of a role that a model holds today."""
        return standing.role != DESK and self._models().get(standing.role) == standing.model


def search(store: Store, text: str, as_of: str | None, **filters: Any) -> list[Hit]:
    """What is remembered, for a person: of any trust, known at *as_of* (default: at any time). Raises UsageError."""
    try:
        moment = naive(AsOf.parse(as_of)) if as_of else EVER
        return store.recall(Wanted(text=text, as_of=moment, **filters))
    except ValidationError as error:
        raise UsageError(f"recall: {reason_of(error)}") from None


def wanted(question: Question, role: str, moment: datetime) -> Wanted:
    """What *role* is to be reminded of: nothing of untrusted words, and of the tickers asked about alone."""
    roles, kinds = SEEN[role]
    tickers = (*question.tickers[:2], subject(question.tickers), MARKET) if question.tickers else (BOOK,)
    return Wanted(
        text=question.text,
        as_of=moment,
        tickers=tuple(dict.fromkeys(tickers)),
        roles=roles,
        kinds=kinds,
        trust=Trust.READ,
        limit=AT_MOST,
    )


def skill(standing: Sequence[Standing]) -> dict[tuple[str, str], float]:
    """A factor by role and model for ranking: 2 to the power of its gain over GOOD, from one half to twice.

    The gain is that of all horizons, in nats a view, shrunk by n / (n + HALF) for n separate views.
    """
    sums: dict[tuple[str, str], tuple[float, int]] = {}
    for s in standing:
        gain, views = sums.get((s.role, s.model), (0.0, 0))
        sums[s.role, s.model] = gain + s.gain * s.separate, views + s.separate
    shrunk = {who: gain / (views + HALF) for who, (gain, views) in sums.items()}
    return {who: 2 ** math.copysign(min(abs(g) / GOOD, 1.0), g) for who, g in shrunk.items()}


def _recalled(memory: Memory, name: str, view: View) -> Recalled:
    """The memory as evidence of this run, under its id there."""
    outcome = Evidence.model_validate_json(memory.details["outcome"]) if "outcome" in memory.details else None
    settled = {"settled": {"snapshot": memory.details["snapshot"], "as_of": outcome.as_of}} if outcome else {}
    evidence = Evidence(
        id=name,
        tool=RECALL,
        arguments={"memory": memory.id, "run": memory.run, **settled},
        asked=memory.id,
        sources={n: o for n, o in memory.details.items() if n in memory.figures},
        as_of=str(view.as_of),
        known_at=memory.known_at,
        figures=memory.figures,
        items=(memory.id,),
        conventions={
            "memory": f"{memory.kind} of {memory.role} ({memory.model}) on {memory.ticker}",
            "said": memory.said,
        },
        queries=outcome.queries if outcome else (),
    )
    claim = FIGURE.sub(lambda m: f"{{{name}.{m[1]}}}", memory.claim)
    return Recalled(evidence=evidence, kind=str(memory.kind), role=memory.role, claim=claim)
