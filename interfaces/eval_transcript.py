"""What was said in one case, turn by turn: for the terminal, and laid out for a page."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from openoutcry.core.report import Finding, Report
from openoutcry.interfaces.eval_text import held, missed, turn
from openoutcry.interfaces.page import Piece, pieces
from openoutcry.interfaces.text import LEANS, called, wrap
from openoutcry.interfaces.text import report as written
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.outcome import Outcome, Played, Transcript


EXPLAIN = "check a number: "
"""How the line of a report begins that names a stored run: the desk of a case stores none."""


class Turn(NamedTuple):
    """One question as a page shows it. `said` is who spoke, and the sentences cut where their digits are."""

    question: str
    said: list[tuple[str, list[list[Piece]]]]
    tools: list[str]
    notes: list[str]


def lines(transcript: "Transcript") -> Iterator[str]:
    """The transcript for a terminal: how it ended, what did not hold, then each answer with the tools behind it."""
    outcome = transcript.outcome
    ended = "right" if outcome.score == 1 else "not right"
    yield wrap(harmless(f"{outcome.scenario}: {ended}   {outcome.lineup}, epoch {outcome.epoch}"))
    yield wrap(cost(outcome), "  ")
    yield from (wrap(harmless(line), "  ") for line in checked(outcome))
    for played in transcript.turns:
        yield ""
        yield from (harmless(line) for line in _answer(played))


def cost(outcome: "Outcome") -> str:
    """What the case cost."""
    return (
        f"{outcome.seconds:.2f} s, {outcome.requests} requests to models, {outcome.tools} calls of tools, "
        f"{outcome.tokens:,} tokens, {outcome.retries} sent back, {outcome.dropped} sentences dropped"
    )


def checked(outcome: "Outcome") -> list[str]:
    """Each check in words, those that do not hold first; a failure in their place."""
    if outcome.failure:
        return [f"failed: {outcome.failure}"]
    ordered = sorted(outcome.checks, key=lambda check: check.ok)
    return [f"{'holds' if c.ok else 'broken'}: {turn(c, outcome)}{held(c) if c.ok else missed(c)}" for c in ordered]


def _answer(played: "Played") -> Iterator[str]:
    if played.report is None:
        yield wrap(played.question)
    else:
        yield from (line for line in written(played.report).splitlines() if not line.startswith(EXPLAIN))
        yield "Tools called"
        yield from (wrap(line, "  - ", "    ") for line in _tools(played.report))
    for said in _loose(played):
        yield wrap(said, "  ")


def _tools(report: Report) -> list[str]:
    return [f"{e.id} {called(e)}" for e in report.evidence if e.id[0] == "E"] or ["none"]


def _loose(played: "Played") -> list[str]:
    """What is there beside a report: a refusal, and what a model alone said and called."""
    found = [("refused", played.refused), ("said", played.text)]
    found += [("called", json.dumps(call, ensure_ascii=False)) for call in played.made]
    found += [("worked out", f"{played.value:g}")] if played.value is not None else []
    return [f"{label}: {text}" for label, text in found if text]


def turns(transcript: "Transcript") -> list[Turn]:
    """The turns, laid out for a page."""
    return [_turn(played) for played in transcript.turns]


def _turn(played: "Played") -> Turn:
    report = played.report
    if report is None:
        return Turn(played.question, [], [], _loose(played))
    said = [("desk", [pieces(s, report.by_id) for s in (report.headline, *report.claims) if s])]
    notes = [report.declined] if report.declined else []
    for found in report.findings:
        if isinstance(found, Finding):
            who = f"{found.role} {LEANS[found.lean]}"
            said.append((who, [pieces(claim, report.by_id) for claim in found.claims]))
        else:
            notes.append(f"{found.role}: no finding: {found.reason}")
    notes += [f"{n.tool} not computed: {n.reason}" for n in report.not_computed]
    notes += [f"{d.role} said {d.claim!r}, dropped: {d.reason}" for d in report.dropped]
    return Turn(played.question, [(who, told) for who, told in said if told], _tools(report), [*notes, *_loose(played)])
