"""question (+ as-of) -> roles in parallel -> tools -> evidence -> findings -> synthesis -> report."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openoutcry.agents.calls import Call
from openoutcry.agents.house.model import NAME as HOUSE
from openoutcry.agents.questions import ANSWERS, ROLES
from openoutcry.agents.team import Team
from openoutcry.agents.workbench import BLOCK, Source, Workbench, summary
from openoutcry.core.errors import ModelError
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Finding, Kind, Lean, NoFinding, Question, Report
from openoutcry.tools.lean import combine_views
from openoutcry.tools.view import View


@dataclass(frozen=True, slots=True)
class Step:
    """Something a person may watch: a role began, or ended with a finding."""

    role: str
    state: str
    seconds: float = 0.0
    figures: int = 0
    result: Finding | NoFinding | None = None
    evidence: Mapping[str, Evidence] = field(default_factory=dict[str, Evidence])


Watch = Callable[[Step], None]


async def answer(
    question: Question, view: View, team: Team, source: Source, *, run: str, calls: list[Call], watch: Watch
) -> Report:
    """Answer *question* from *view*. Raises ModelError where no role found anything and nothing was measured."""
    began = time.perf_counter()
    if question.kind is Kind.UNKNOWN:
        return _declined(question, view, run)
    roles = ROLES[question.kind]
    benches = [_bench(role, i, view, team, source, calls) for i, role in enumerate((*roles, "coordinator"))]
    timings: dict[str, float] = {}
    seats = (_seat(b, question, team, calls, timings, watch) for b in benches[:-1])
    findings = _all(await asyncio.gather(*seats, return_exceptions=True))
    chair = benches[-1]
    for bench in benches[:-1]:
        chair.evidence.update(sorted(bench.evidence.items(), key=lambda item: int(item[0][1:])))
    if not chair.evidence and not any(b.not_done for b in benches):
        raise ModelError(_nothing(findings))
    view_id = await _combine(chair, question, findings)
    watch(Step("coordinator", "began"))
    start = time.perf_counter()
    said = await team.synthesise(_brief(question, view_id, findings, chair), chair, calls)
    timings["coordinator"] = time.perf_counter() - start
    watch(Step("coordinator", "ended", timings["coordinator"], len(chair.evidence)))
    timings["total"] = time.perf_counter() - began
    silent = isinstance(said, NoFinding)
    return Report(
        run=run,
        question=question,
        as_of=str(view.as_of),
        snapshot=view.snapshot,
        headline="" if silent else said.headline,
        claims=() if silent else tuple(said.claims),
        findings=(*findings, said) if silent else tuple(findings),
        view=view_id,
        evidence=tuple(chair.evidence.values()),
        dropped=tuple(d for b in benches for d in b.dropped),
        not_computed=tuple(sorted((n for b in benches for n in b.not_done), key=lambda n: int(n.id[1:]))),
        missing=tuple(dict.fromkeys(m for e in chair.evidence.values() for m in e.missing)),
        notice=_notice(team, (*roles, "coordinator")),
        timings={name: round(seconds, 4) for name, seconds in timings.items()},
    )


def _all(results: list[Finding | NoFinding | BaseException]) -> list[Finding | NoFinding]:
    """The findings; where a seat raised, its error, now that no other seat is still at work."""
    found: list[Finding | NoFinding] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


def _bench(role: str, index: int, view: View, team: Team, source: Source, calls: list[Call]) -> Workbench:
    return Workbench(role, view, index * BLOCK + 1, source, lambda ticker, d: team.read(ticker, d, calls))


async def _seat(
    bench: Workbench,
    question: Question,
    team: Team,
    calls: list[Call],
    timings: dict[str, float],
    watch: Watch,
) -> Finding | NoFinding:
    watch(Step(bench.role, "began"))
    start = time.perf_counter()
    result = await team.find(bench.role, question, bench, calls)
    timings[bench.role] = time.perf_counter() - start
    watch(Step(bench.role, "ended", timings[bench.role], len(bench.evidence), result, bench.evidence))
    return result


async def _combine(chair: Workbench, question: Question, findings: list[Finding | NoFinding]) -> str:
    """The desk's view as evidence; its id, or nothing where it could not be computed."""
    leans = {f.role: f.lean for f in findings if isinstance(f, Finding) and f.lean is not Lean.NONE}
    arguments = {"tickers": question.tickers, "horizon": question.horizon, "leans": leans}
    seen = await chair.use(combine_views, arguments)
    return "" if "not_computed" in seen else str(seen["id"])


def _brief(question: Question, view_id: str, findings: list[Finding | NoFinding], chair: Workbench) -> dict[str, Any]:
    """What the coordinator is told: claims with references, and figures; no text of any document."""
    return {
        "question": question.text,
        "kind": str(question.kind),
        "tickers": list(question.tickers),
        "view": view_id,
        "findings": [
            {"role": f.role, "claims": list(f.claims), "lean": str(f.lean)}
            if isinstance(f, Finding)
            else {"role": f.role, "claims": [], "no_finding": f.reason}
            for f in findings
        ],
        "evidence": [summary(e) for e in chair.evidence.values()],
    }


def _declined(question: Question, view: View, run: str) -> Report:
    reason = f"This desk does not answer that. It answers: {ANSWERS}."
    return Report(run=run, question=question, as_of=str(view.as_of), snapshot=view.snapshot, declined=reason)


def _nothing(findings: list[Finding | NoFinding]) -> str:
    reasons = [f"{f.role}: {f.reason}" for f in findings if isinstance(f, NoFinding)]
    return "no role could answer; " + "; ".join(reasons)


def _notice(team: Team, roles: tuple[str, ...]) -> str:
    """How the report was answered, where that was not by a language model in each seat."""
    roles = (*roles, "reader") if "sentiment" in roles else roles
    housed = [r for r in roles if team.models[r].model_name == HOUSE]
    if len(housed) == len(roles):
        return "Answered by house rules; no language model was used."
    return f"Answered by house rules in the seat of: {', '.join(housed)}." if housed else ""
