"""Is the answer right? Each expectation of a case becomes a check, made on the typed report and not on prose."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from openoutcry.agents.workbench import CUT_SHORT
from openoutcry.core.claims import render
from openoutcry.core.report import Finding, Lean, NotDone, Report
from openoutcry.eval.matching import cited, figure
from openoutcry.eval.outcome import Check, Played
from openoutcry.eval.scenario import Called, Expect, Scenario, Seat
from openoutcry.tools.lean import SHIFT

FLOWS_OWN = ("combine_views", "check_limits")
OURS = "the tool failed"
"""How the reason of a call begins that a fault of this package ended."""
WHOLE = (Seat.DESK, Seat.COORDINATOR)


class Judge(Protocol):
    """Says whether statements are true of an answer."""

    async def judge(self, question: str, answer: str, statements: Sequence[str]) -> Sequence[bool]:
        """A verdict a statement. Raises ModelError where the judge gives none."""
        ...


async def checks(scenario: Scenario, turns: Sequence[Played], judge: Judge | None) -> list[Check]:
    """Every check of the case, turn by turn. Raises ModelError where a judge is needed and gives no verdict."""
    found: list[Check] = []
    for number, (turn, played) in enumerate(zip(scenario.asked, turns, strict=True)):
        made = expected(scenario.seat, turn.expect, played)
        if turn.expect.rubric:
            made += await _judged(turn.expect.rubric, played, scenario.seat, judge)
        found += [check.model_copy(update={"turn": number}) for check in made]
    return found


def reported(scenario: Scenario, turns: Sequence[Played]) -> list[Check]:
    """The checks of the turns that have a report, of a case that took too long; no judge is asked."""
    return [
        check.model_copy(update={"turn": number})
        for number, (turn, played) in enumerate(zip(scenario.asked, turns, strict=False))
        if played.report
        for check in expected(scenario.seat, turn.expect, played)
    ]


def expected(seat: Seat, expect: Expect, played: Played) -> list[Check]:
    """What *expect* says of one turn, checked; a rubric is not, as it needs a judge."""
    said, report = sentences(played, seat), played.report
    references = list(cited(said, report.by_id)) if report else []
    found = [figure(wanted, references, report, played) for wanted in expect.figures]
    for name in expect.not_cited:
        got = ", ".join(f"{e.id}.{n}" for e, n, _ in references if n == name) or "none"
        found.append(Check(name=f"not cited {name}", ok=got == "none", expected="no sentence cites it", got=got))
    found += [*_tools(expect, played), *_answered(expect, played, said), *_view(expect, report, seat)]
    found += _words(expect, played, seat)
    found += [_called(expect.calls, played.made)] if expect.calls is not None else []
    return [*found, *_budget(expect, played)]


def sentences(played: Played, seat: Seat) -> list[str]:
    """The sentences that are on trial: those of the role, of the coordinator, or all that the desk shows."""
    report = played.report
    if report is None:
        return [played.text] if played.text else []
    theirs = [c for f in report.findings if isinstance(f, Finding) for c in f.claims]
    if seat not in WHOLE:
        return theirs
    summed = [*([report.headline] if report.headline else []), *report.claims]
    return summed if seat is Seat.COORDINATOR else [*summed, *theirs]


def shown(played: Played, seat: Seat) -> str:
    """What a person sees of them, digits in place."""
    evidence = played.report.by_id if played.report else {}
    lines = [render(s, evidence) if played.report else s for s in sentences(played, seat)]
    return "\n".join([*lines, refusal(played)]).strip()


def refusal(played: Played) -> str:
    """Why the desk itself did not answer; nothing where it did."""
    return played.refused or (played.report.declined if played.report else "")


def _answered(expect: Expect, played: Played, said: Sequence[str]) -> Iterator[Check]:
    """An honest no where one is expected, and nowhere else. A refusal by the desk is no answer to any other case."""
    refused = refusal(played)
    if expect.abstain is None and not refused:
        return
    wanted = bool(expect.abstain)
    yield Check(
        name="abstains" if wanted else "answers",
        ok=(not said) is wanted,
        expected="an honest no" if wanted else "an answer (a case that expects a no says abstain = true)",
        got=refused or (f"{len(said)} sentences" if said else "no sentence"),
    )


def _tools(expect: Expect, played: Played) -> Iterator[Check]:
    given = played.report.not_computed if played.report else ()
    made = called(played)
    got = ", ".join(sorted(made)) or "none"
    for name in expect.tools.required:
        yield Check(name=f"calls {name}", ok=name in made, expected=f"{name} is called", got=got)
    for name in expect.tools.forbidden:
        yield Check(name=f"leaves {name}", ok=name not in made, expected=f"{name} is not called", got=got)
    for name in expect.not_computed:
        reasons = [n.reason for n in given if n.tool == name and _honest(n)]
        got = "; ".join(reasons) or "it did not"
        yield Check(
            name=f"{name} not computed", ok=bool(reasons), expected=f"{name} says that it cannot", got=got[:300]
        )


def called(played: Played) -> set[str]:
    """The tools that were called, those that gave no number included."""
    refused = {n.tool for n in played.report.not_computed} if played.report else set[str]()
    return _measured(played.report) | refused | {str(call["name"]) for call in played.made}


def _measured(report: Report | None) -> set[str]:
    return {e.tool for e in report.evidence if e.id[0] == "E"} if report else set()


def _honest(given: NotDone) -> bool:
    """Whether the tool said that the data cannot carry its number, and was neither cut short nor broken."""
    return given.reason != CUT_SHORT and not given.reason.startswith(OURS)


def _view(expect: Expect, report: Report | None, seat: Seat) -> Iterator[Check]:
    view = report.by_id.get(report.view) if report else None
    chance = view.value("p_up") if view else math.nan
    if expect.direction:
        if seat in WHOLE:
            lean = direction(chance, view.value("base_rate")) if view else Lean.NONE
        else:
            findings = [f for f in report.findings if isinstance(f, Finding)] if report else []
            lean = findings[0].lean if findings else Lean.NONE
        ok = lean in expect.direction
        yield Check(name="direction", ok=ok, expected=" or ".join(expect.direction), got=str(lean))
    if expect.probability is not None:
        bounds = expect.probability
        ok = bounds.low <= chance <= bounds.high
        words = f"{bounds.low:g} to {bounds.high:g}"
        yield Check(name="probability", ok=ok, expected=words, got=f"{chance:.4g}" if view else "no view")


def direction(chance: float, base: float) -> Lean:
    """The direction whose step in log-odds (`tools.lean.SHIFT`) is nearest to that from the base rate to *chance*."""
    step = math.log(chance / (1 - chance)) - math.log(base / (1 - base))
    return min(SHIFT, key=lambda lean: abs(SHIFT[lean] - step))


def _words(expect: Expect, played: Played, seat: Seat) -> Iterator[Check]:
    text = shown(played, seat)
    for pattern in expect.contains:
        found = re.search(pattern, text, re.IGNORECASE)
        yield Check(name="contains", ok=bool(found), expected=_meant(pattern), got=found[0] if found else "not there")
    for pattern in expect.not_contains:
        found = re.search(pattern, text, re.IGNORECASE)
        got = " ".join(found[0].split()) if found else "not there"
        yield Check(name="does not contain", ok=not found, expected=_meant(pattern), got=got)
    if expect.not_reached:
        prompts = _folded("\n".join(s for c in played.calls if c["role"] != "reader" for s in _strings(c["prompt"])))
        for words in expect.not_reached:
            kept = _folded(words)
            where = "a prompt" if kept in prompts else "a sentence" if kept in _folded(text) else ""
            yield Check(name="does not reach", ok=not where, expected=words, got=where or "nowhere but the reader")


def _meant(pattern: str) -> str:
    """The words that a pattern begins with as a comment, `(?#words)`; else the pattern."""
    said = re.match(r"\(\?#([^)]*)\)", pattern)
    return said[1] if said else pattern


def _strings(value: Any) -> Iterator[str]:
    """Every string within *value*, those within JSON text too, so that no escape hides a word."""
    if isinstance(value, str):
        yield value
        if value[:1] in ("{", "["):
            try:
                yield from _strings(json.loads(value))
            except (ValueError, RecursionError):
                return
    elif isinstance(value, Mapping):
        for key, one in cast("Mapping[str, Any]", value).items():
            yield key
            yield from _strings(one)
    elif isinstance(value, list | tuple):
        for one in cast("Sequence[Any]", value):
            yield from _strings(one)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _called(wanted: Sequence[Called], made: Sequence[Mapping[str, Any]]) -> Check:
    """The calls of a model alone against those that are right, in any order."""
    left, names = list(made), ", ".join(call.name for call in wanted) or "no call"
    for call in wanted:
        hit = next((i for i, one in enumerate(left) if _same(call, one)), None)
        if hit is None:
            break
        del left[hit]
    else:
        if not left:
            return Check(name="calls", ok=True, expected=names, got="the same")
    return Check(
        name="calls", ok=False, expected=names, got=json.dumps(list(made), default=str)[:300] if made else "none"
    )


def _same(wanted: Called, made: Mapping[str, Any]) -> bool:
    """An argument that is not given is right where an empty text is among the right values."""
    given: Mapping[str, Any] = made["arguments"]
    if made["name"] != wanted.name or given.keys() - wanted.arguments.keys():
        return False
    return all(any(_equal(given.get(name, ""), v) for v in values) for name, values in wanted.arguments.items())


def _equal(given: Any, wanted: Any) -> bool:
    """Equal as JSON has it: true is not 1."""
    return given == wanted and isinstance(given, bool) is isinstance(wanted, bool)


def _budget(expect: Expect, played: Played) -> Iterator[Check]:
    budget = expect.budget
    tokens = sum(map(tokens_used, played.calls))
    for name, most, spent in (
        ("calls of tools", budget.calls, tools_called(played)),
        ("tokens", budget.tokens, tokens),
        ("seconds", budget.seconds, played.seconds),
    ):
        if most is not None:
            yield Check(name=name, ok=spent <= most, expected=f"at most {most}", got=f"{spent}")


def tools_called(played: Played) -> int:
    """Calls of tools by roles, those that gave no number included; the flow's own are not theirs."""
    if played.report is None:
        return len(played.made)
    made = [e.tool for e in played.report.evidence if e.id[0] == "E"] + [n.tool for n in played.report.not_computed]
    return sum(tool not in FLOWS_OWN for tool in made)


def tokens_used(call: Mapping[str, Any]) -> int:
    """Tokens of one request to a model and its answer, as its server counted them."""
    usage: dict[str, Any] = call["response"].get("usage") or {}
    return int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0) + int(call.get("tokens") or 0)


async def _judged(statements: Sequence[str], played: Played, seat: Seat, judge: Judge | None) -> list[Check]:
    if judge is None:
        return [Check(name="rubric", ok=False, expected=s, got="nobody judges; name one") for s in statements]
    verdicts = await judge.judge(played.question, shown(played, seat), statements)
    return [
        Check(name="rubric", ok=ok, expected=s, got="true" if ok else "not true")
        for s, ok in zip(statements, verdicts, strict=True)
    ]
