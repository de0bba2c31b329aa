"""The report as plain text: what a person reads in the terminal."""

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from openoutcry.core.claims import references, render
from openoutcry.core.evidence import Evidence, Unit, show
from openoutcry.core.limits import Verdict
from openoutcry.core.report import Finding, Lean, NoFinding, Report

LEANS = {
    Lean.STRONG_DOWN: "leans strongly down",
    Lean.DOWN: "leans down",
    Lean.NEUTRAL: "leans neither way",
    Lean.UP: "leans up",
    Lean.STRONG_UP: "leans strongly up",
    Lean.NONE: "takes no side",
}
STATES = {"pass": "kept", "breach": "broken", "unmeasured": "not measured"}


_GIVEN = (Unit.TEXT, Unit.DATE, Unit.SESSIONS)


def width() -> int:
    """Columns to write in: the terminal's, at most 100."""
    return min(shutil.get_terminal_size((100, 24)).columns, 100)


def wrap(line: str, first: str = "", rest: str | None = None) -> str:
    """Fold a line at the width, with an indent; a reference in brackets stays with its figure."""
    indent = " " * len(first) if rest is None else rest
    glued = line.replace(" [E", "\u00a0[E").replace(" [M", "\u00a0[M").replace(" %", "\u00a0%")
    folded = textwrap.fill(
        glued,
        width(),
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return folded.replace("\u00a0", " ")


def called(evidence: Evidence) -> str:
    """The tool with what it was asked; what was left open is left out."""
    asked = ", ".join(f"{k}={v!r}" for k, v in evidence.arguments.items() if v not in (None, [], {}, ""))
    return f"{evidence.tool}({asked})"


def report(answer: Report) -> str:
    """The whole report: answer, view, each role, what was left out and why, and where to look further."""
    return "\n".join(_report(answer))


def _report(answer: Report) -> Iterator[str]:
    evidence = answer.by_id
    yield wrap(f"{answer.question.text}   (as of {answer.as_of})")
    if answer.declined:
        yield ""
        yield wrap(answer.declined)
        return
    if answer.notice:
        yield wrap(answer.notice)
    if said := route(answer):
        yield wrap(said)
    yield from answer_lines(answer)
    for finding in answer.findings:
        yield ""
        yield from _finding(finding, evidence)
    yield from left_out(answer)
    yield ""
    yield from _footer(answer)


def route(answer: Report) -> str:
    """How the question was taken and which model was asked in each seat; nothing where both go without saying."""
    question = answer.question
    taken = (
        f"Taken as a question of kind {question.kind}, by the nearest of known questions."
        if question.by == "nearest"
        else ""
    )
    seats = ", ".join(f"{role} {model}" for role, model in answer.route.items())
    spoken = set(answer.route.values()) - {"house"}
    return " ".join(filter(None, (taken, f"Seats: {seats}." if spoken else "")))


def answer_lines(answer: Report) -> Iterator[str]:
    """The answer itself: headline, what supports it, and the view."""
    evidence = answer.by_id
    if answer.headline:
        yield ""
        yield wrap(render(answer.headline, evidence, cite=True))
    if answer.claims:
        yield ""
        yield from (claim(c, evidence) for c in answer.claims)
    if answer.view:
        yield ""
        yield from view(answer)
    if answer.verdicts:
        yield ""
        yield f"Limits: {', '.join(f'{n} {s}' for s, n in Counter(STATES[v.status] for v in answer.verdicts).items())}"
        yield from (_verdict(v, evidence) for v in answer.verdicts)


def verdict(kept: Verdict) -> str:
    """Whether one limit is kept, and by how much it is broken, with references."""
    name = kept.limit.replace("_", " ")
    if kept.status == "unmeasured":
        return f"{name}: {kept.reason}"
    told = f"{name} is {{{kept.value}}}, at most {{{kept.bound}}}"
    return told if kept.status == "pass" else f"{told}: over by {{{kept.excess}}}"


def _verdict(kept: Verdict, evidence: dict[str, Evidence]) -> str:
    said = verdict(kept)
    words = said if kept.status == "unmeasured" else render(said, evidence, cite=True)
    return wrap(words, f"  {STATES[kept.status].upper() if kept.status != 'pass' else 'kept':<14}", " " * 16)


def claim(text: str, evidence: dict[str, Evidence], mark: str = "- ") -> str:
    """One sentence with its digits and where each comes from."""
    return wrap(render(text, evidence, cite=True), f"  {mark}", "    ")


def view(answer: Report) -> Iterator[str]:
    """The probabilities, the roles' own, and how far they lie apart."""
    seen = answer.by_id[answer.view]
    event = seen.conventions["event"]
    shown = {name: show(figure) for name, figure in seen.figures.items()}
    yield wrap(f"View over {shown['horizon']} [{answer.view}]: {shown['p_up']} for {event}, {shown['p_down']} against.")
    roles = [f"{n.removesuffix('_p_up')} {v}" for n, v in shown.items() if n.endswith("_p_up")]
    apart = f"; disagreement {shown['disagreement']}" if len(roles) > 1 else ""
    yield wrap(f"base rate {shown['base_rate']}; {', '.join(roles) or 'no role takes a side'}{apart}", "  ")
    if weighed := weights(seen):
        yield wrap(f"weights: {render(weighed, answer.by_id)}", "  ")


def weights(view: Evidence) -> str:
    """What each role weighs in the view and the record that this rests on, as a claim; nothing where one role speaks.

    A view of before roles were weighed says nothing either.
    """
    roles = [n.removesuffix("_weight") for n in view.figures if n.endswith("_weight")]
    if len(roles) < 2:
        return ""
    if not any(f"{role}_settled" in view.figures for role in roles):
        return "equal, without a record"
    return ", ".join(f"{role} {{{view.id}.{role}_weight}} ({_record(view, role)})" for role in roles)


def _record(view: Evidence, role: str) -> str:
    if f"{role}_settled" not in view.figures:
        return "no record"
    settled, separate, gain = (f"{{{view.id}.{role}_{name}}}" for name in ("settled", "separate", "gain"))
    return f"{settled} settled, {separate} separate, gain {gain}"


def _finding(finding: Finding | NoFinding, evidence: dict[str, Evidence]) -> Iterator[str]:
    if isinstance(finding, NoFinding):
        yield wrap(f"{finding.role} ({finding.model}): no finding: {finding.reason}")
        return
    yield f"{finding.role} ({finding.model}) {LEANS[finding.lean]}"
    yield from (claim(c, evidence) for c in finding.claims)


def left_out(answer: Report) -> Iterator[str]:
    """What was not computed, what was missing, and what was dropped, each with its reason."""
    refused = (f"{n.tool}{f' of {n.ticker}' if n.ticker else ''}: {n.reason}" for n in answer.not_computed)
    dropped = (f"{d.role} said {d.claim!r}: {d.reason}" for d in answer.dropped)
    for title, lines in (
        ("Not computed", refused),
        ("Missing data", answer.missing),
        ("Left out because it could not be grounded", dropped),
    ):
        yield from _section(title, lines)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    folded = [wrap(line, "  - ", "    ") for line in dict.fromkeys(lines)]
    if folded:
        yield ""
        yield title
        yield from folded


def _footer(answer: Report) -> Iterator[str]:
    yield f"run {answer.run}   data {answer.snapshot}   {answer.timings.get('total', 0):.2f} s"
    said = [r for text in (answer.headline, *answer.claims) for r in references(text)]
    told = [(e, n) for e, n in said if n != "confidence" and answer.by_id[e].figures[n].unit not in _GIVEN]
    if told:
        yield f"check a number: outcry explain {answer.run} {'.'.join(told[0])}"
