"""question (+ as-of) -> memories -> roles in parallel -> tools -> evidence -> findings -> synthesis -> report."""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from openoutcry.agents.calls import Call, compacted, stood_in
from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.house.model import NAME as HOUSE
from openoutcry.agents.measures import unanswered
from openoutcry.agents.questions import ANSWERS, ROLES
from openoutcry.agents.reader import Reading
from openoutcry.agents.remembered import NOTHING, Kept, Read, Recall, Remembered
from openoutcry.agents.role import Brief
from openoutcry.agents.team import Team
from openoutcry.agents.workbench import BLOCK, Source, Workbench, summary
from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.core.limits import NO_LIMITS, Limits, Verdict
from openoutcry.core.report import Finding, Kind, Lean, NoFinding, Question, Report, RoleResult, StoodIn
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import Document
from openoutcry.tools.lean import combine_views
from openoutcry.tools.limits import check_limits, verdicts


@dataclass(frozen=True, slots=True)
class Step:
    """Something a person may watch: a role began, or ended with a finding."""

    role: str
    state: str
    seconds: float = 0.0
    figures: int = 0
    result: RoleResult | None = None
    evidence: Mapping[str, Evidence] = field(default_factory=dict[str, Evidence])


def quiet(_: Step) -> None:
    """Watch nothing."""


@dataclass(slots=True)
class Floor:
    """What one run holds: its data, who answers, where tool answers and memories come from, and what it records."""

    run: str
    view: View
    team: Team
    source: Source
    watch: Callable[[Step], None] = quiet
    limits: Limits = NO_LIMITS
    memory: Recall = field(default_factory=Kept)
    remembered: Remembered = NOTHING
    reads: list[Read] = field(default_factory=list[Read])
    calls: list[Call] = field(default_factory=list[Call])
    timings: dict[str, float] = field(default_factory=dict[str, float])


async def answer(question: Question, floor: Floor) -> Report:
    """Answer *question*; a report where no role said anything and no tool was tried is `silent`."""
    if question.kind is Kind.UNKNOWN:
        return _declined(question, floor)
    with _timed(floor, "total"):
        await _remind(question, floor)
        *benches, chair = _seated(question, floor)
        findings = await _findings(question, benches, floor)
        _hand_over(benches, chair)
        view, kept, said = "", (), Synthesis(headline="", claims=[])
        if any(bench.measured or bench.not_done for bench in benches):
            view = await _combined(question, findings, chair, floor)
            kept = await _checked(chair, floor)
            said = await _synthesis(question, findings, view, chair, floor)
    return _report(question, [*benches, chair], findings, (view, kept), said, floor)


async def alone(role: str, question: Question, floor: Floor) -> Report:
    """Ask one role by itself; nobody sums up. Raises UsageError where questions of this kind are not for it."""
    if role not in ROLES[question.kind]:
        raise UsageError(f"a question of kind {question.kind} is for {', '.join(ROLES[question.kind])}, not for {role}")
    with _timed(floor, "total"):
        await _remind(question, floor)
        bench = next(bench for bench in _seated(question, floor) if bench.role == role)
        found = await _find(question, bench, floor)
    return _report(question, [bench], [found], ("", ()), Synthesis(headline="", claims=[]), floor)


def _declined(question: Question, floor: Floor) -> Report:
    reason = f"This desk does not answer that. It answers: {ANSWERS}. {unanswered(question.text, set())}".strip()
    as_of = str(floor.view.as_of)
    return Report(run=floor.run, question=question, as_of=as_of, snapshot=floor.view.snapshot, declined=reason)


@contextmanager
def _timed(floor: Floor, name: str) -> Generator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        floor.timings[name] = round(time.perf_counter() - start, 4)


async def _remind(question: Question, floor: Floor) -> None:
    """Recall, before anyone is asked, what each role is to be reminded of."""
    with _timed(floor, "recall"):
        floor.remembered = await floor.memory.recall(question, (*ROLES[question.kind], "coordinator"), floor.view)


def _seated(question: Question, floor: Floor) -> list[Workbench]:
    """A workbench for each role of this kind of question, and the coordinator's last; memories lie on it."""

    async def read(company: str, document: Document) -> Reading | None:
        reading = await floor.team.read(company, document, floor.calls)
        floor.reads += [Read(company, document, reading)] if reading else []
        return reading

    return [
        Workbench(role, floor.view, i * BLOCK + 1, floor.source, read, floor.remembered.evidence(role))
        for i, role in enumerate((*ROLES[question.kind], "coordinator"))
    ]


async def _findings(question: Question, benches: Sequence[Workbench], floor: Floor) -> list[RoleResult]:
    """What each role finds, all at work at once. An error is raised only when no role is at work any more."""
    asked = (_find(question, bench, floor) for bench in benches)
    found: list[RoleResult] = []
    for result in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


async def _find(question: Question, bench: Workbench, floor: Floor) -> RoleResult:
    floor.watch(Step(bench.role, "began"))
    with _timed(floor, bench.role):
        brief = Brief(question=question, memories=floor.remembered.told(bench.role))
        result = await floor.team.find(bench.role, brief, bench, floor.calls)
    seconds = floor.timings[bench.role]
    floor.watch(Step(bench.role, "ended", seconds, len(bench.measured), result, bench.evidence))
    return result


def _hand_over(benches: Sequence[Workbench], chair: Workbench) -> None:
    """Give the coordinator all evidence, in the order of its ids, memories last."""
    every = {i: e for bench in (*benches, chair) for i, e in bench.evidence.items()}
    chair.evidence = dict(sorted(every.items(), key=lambda item: (item[0][0], int(item[0][1:]))))


async def _combined(question: Question, findings: Sequence[RoleResult], chair: Workbench, floor: Floor) -> str:
    """The desk's view as evidence; its id, or nothing where it could not be computed or no ticker was asked about.

    A record is that of the model in the seat, so it does not speak for another one that stood in.
    """
    if not question.tickers:
        return ""
    leans = {f.role: f.lean for f in findings if isinstance(f, Finding) and f.lean is not Lean.NONE}
    theirs = leans.keys() - {s.role for s in stood_in(floor.calls)}
    record = {role: floor.remembered.record[role] for role in leans if role in theirs & floor.remembered.record.keys()}
    arguments = {"tickers": question.tickers, "horizon": question.horizon, "leans": leans}
    arguments |= {"record": record} if record else {}
    seen = await chair.use(combine_views, arguments)
    return "" if "not_computed" in seen else str(seen["id"])


async def _checked(chair: Workbench, floor: Floor) -> tuple[Verdict, ...]:
    """The book against the limits, where any is set. The coordinator is told, and cannot change it."""
    if not (bounds := floor.limits.set_ones):
        return ()
    seen = await chair.use(check_limits, {"limits": floor.limits})
    if "not_computed" in seen:
        return tuple(Verdict(limit=n, status="unmeasured", reason=str(seen["not_computed"])) for n in bounds)
    return tuple(verdicts(chair.evidence[str(seen["id"])]))


async def _synthesis(
    question: Question, findings: Sequence[RoleResult], view: str, chair: Workbench, floor: Floor
) -> Synthesis | NoFinding:
    """The coordinator's word. It is told claims and figures, and no text of any document."""
    brief: dict[str, Any] = {
        "question": question.text,
        "kind": str(question.kind),
        "tickers": list(question.tickers),
        "view": view,
        "findings": [_told(f) for f in findings],
        "evidence": [summary(e) for e in chair.measured],
        "memories": floor.remembered.told("coordinator"),
    }
    floor.watch(Step("coordinator", "began"))
    with _timed(floor, "coordinator"):
        said = await floor.team.synthesise(brief, chair, floor.calls)
    floor.watch(Step("coordinator", "ended", floor.timings["coordinator"], len(chair.measured)))
    return said


def _told(finding: RoleResult) -> dict[str, Any]:
    if isinstance(finding, NoFinding):
        return {"role": finding.role, "claims": [], "no_finding": finding.reason}
    return {"role": finding.role, "claims": list(finding.claims), "lean": str(finding.lean)}


def _report(
    question: Question,
    benches: Sequence[Workbench],
    findings: Sequence[RoleResult],
    decided: tuple[str, tuple[Verdict, ...]],
    said: Synthesis | NoFinding,
    floor: Floor,
) -> Report:
    evidence = tuple(sorted(benches[-1].evidence.values(), key=lambda e: (e.id[0], int(e.id[1:]))))
    silent = isinstance(said, NoFinding)
    roles = [b.role for b in benches]
    seats = [*roles, *(["reader"] if "sentiment" in roles else [])]
    tried = {e.tool for e in evidence} | {n.tool for b in benches for n in b.not_done}
    stood = tuple(sorted(stood_in(floor.calls), key=lambda s: seats.index(s.role)))
    return Report(
        run=floor.run,
        question=question,
        as_of=str(floor.view.as_of),
        snapshot=floor.view.snapshot,
        headline="" if silent else said.headline,
        claims=() if silent else tuple(said.claims),
        findings=(*findings, said) if silent else tuple(findings),
        view=decided[0],
        verdicts=decided[1],
        evidence=evidence,
        dropped=tuple(d for b in benches for d in b.dropped),
        not_computed=tuple(sorted((n for b in benches for n in b.not_done), key=lambda n: int(n.id[1:]))),
        missing=tuple(dict.fromkeys([*(m for e in evidence for m in e.missing), *_forgotten(floor)])),
        notice=f"{_notice(floor.team, seats, stood)} {unanswered(question.text, tried)}".strip(),
        route={role: floor.team.models[role].model_name for role in seats},
        stood_in=stood,
        timings=floor.timings,
    )


def _forgotten(floor: Floor) -> list[str]:
    reason = floor.remembered.reason
    return [*([f"memory: {reason}"] if reason else []), *sorted(compacted(floor.calls))]


def _notice(team: Team, seats: Sequence[str], stood: Sequence[StoodIn]) -> str:
    """How the report was answered, where that was not by the language model of each seat."""
    housed = [r for r in seats if team.models[r].model_name == HOUSE]
    if len(housed) == len(seats):
        return "Answered by house rules; no language model was used."
    said = [f"Answered by house rules in the seat of: {', '.join(housed)}."] if housed else []
    for (answered, reason), found in _grouped(stood).items():
        who = "house rules" if answered == HOUSE else answered
        said.append(f"Degraded: {who} stood in for {', '.join(f'{s.model} ({s.role})' for s in found)}: {reason}.")
    return " ".join(said)


def _grouped(stood: Sequence[StoodIn]) -> dict[tuple[str, str], list[StoodIn]]:
    found: dict[tuple[str, str], list[StoodIn]] = {}
    for one in stood:
        found.setdefault((one.answered, one.reason.rstrip(".")), []).append(one)
    return found
