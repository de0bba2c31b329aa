"""What each way of answering says of a case that the whole desk played, from the evidence of that same run.

An arm's answer is a report with one finding: the sentences of that arm, its direction, and its chance of a rise in
place of the desk's. So all arms are checked alike, by what they say; how it was found out is the same for all.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date

from openoutcry.agents.team import NOTHING
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Finding, Lean, Report
from openoutcry.eval.outcome import Check, Outcome, Played, Transcript
from openoutcry.eval.scenario import Budget, Cast, Expect, FigureExpected, Scenario, Seat, ToolsExpected
from openoutcry.eval.scorers import FLOWS_OWN, direction, expected, tokens_used
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import probability
from openoutcry.tools.lean import SHIFT
from openoutcry.tools.outcomes import view_outcome

ROLES = ("analyst", "sentiment", "risk")
COORDINATOR, ONE_CALL, HOUSE, HOLD = "coordinator", "one call", "house rules", "buy and hold"
VIEW = r"(\w+_)?p_up|p_down|base_rate|disagreement"
"""Figures of the view, where no tool is named with them."""
HELD = "{{{view}.ticker}} is bought and held over {{{view}.horizon}}."


def said_only(expect: Expect) -> Expect:
    """The expectations that bear on what is said, and not on how it was found out.

    Figures that the flow itself gives are left out too: the coordinator alone is told them.
    """
    return expect.model_copy(
        update={
            "figures": tuple(figure for figure in expect.figures if not _of_flow(figure)),
            "probability": None,
            "tools": ToolsExpected(),
            "not_computed": (),
            "not_reached": (),
            "calls": None,
            "rubric": (),
            "budget": Budget(),
        }
    )


def _of_flow(figure: FigureExpected) -> bool:
    return figure.tool in FLOWS_OWN or (not figure.tool and bool(re.fullmatch(VIEW, figure.name)))


def coordinator(played: Played) -> Played:
    """What the coordinator says; its direction is the one that the desk's chance is nearest to."""
    if (report := played.report) is None:
        return played
    claims = (*([report.headline] if report.headline else []), *report.claims)
    return _arm(played, COORDINATOR, claims, view_direction(report), _chance(report))


def role(played: Played, name: str, cast: Mapping[str, Cast]) -> Played:
    """What one role says, and the chance that its direction alone gives; its own requests, and its reader's.

    A role that *cast* has fall silent has not failed: it says nothing.
    """
    if (report := played.report) is None:
        return played
    found = next((f for f in report.findings if f.role == name), None)
    view = report.by_id.get(report.view)
    figure = view.figures.get(f"{name}_p_up") if view else None
    chance = float(figure.value) if figure else _base(view)
    theirs = {name, "reader"} if name == "sentiment" else {name}
    mine = played.model_copy(
        update={
            "calls": tuple(call for call in played.calls if call["role"] in theirs),
            "seconds": report.timings.get(name, 0.0),
            "failure": "",
        }
    )
    if isinstance(found, Finding):
        return _arm(mine, name, found.claims, found.lean, chance)
    failed = found and found.reason != NOTHING and cast.get(name) is not Cast.SILENT
    failure = f"model: {name}: {found.reason}" if found and failed else ""
    return _arm(mine, name, (), Lean.NONE, chance).model_copy(update={"failure": failure})


def hold(played: Played) -> Played:
    """Up, whatever is asked, with the base rate as its chance."""
    if (report := played.report) is None:
        return played
    claims = (HELD.format(view=report.view),) if report.view else ()
    free = played.model_copy(update={"calls": (), "seconds": 0.0, "failure": ""})
    return _arm(free, HOLD, claims, Lean.UP, _base(report.by_id.get(report.view)))


def told(played: Played, name: str, claims: Sequence[str], lean: Lean) -> Played:
    """What a model says that was told the evidence of *played*; its direction moves the base rate as a role's does."""
    assert played.report is not None
    base = _base(played.report.by_id.get(played.report.view))
    step = SHIFT.get(lean, 0.0)
    chance = 1 / (1 + math.exp(-(math.log(base / (1 - base)) + step))) if base is not None else None
    return _arm(played, name, claims, lean, chance)


def view_direction(report: Report) -> Lean:
    """The desk's direction; none where it has no view."""
    view = report.by_id.get(report.view)
    return direction(view.value("p_up"), view.value("base_rate")) if view else Lean.NONE


def _arm(played: Played, name: str, claims: Sequence[str], lean: Lean, chance: float | None) -> Played:
    assert played.report is not None
    finding = Finding(role=name, model=name, claims=tuple(claims), lean=lean)
    evidence = tuple(_with(e, chance) if e.id == played.report.view else e for e in played.report.evidence)
    alone = {"headline": "", "claims": (), "findings": (finding,), "evidence": evidence}
    return played.model_copy(update={"report": played.report.model_copy(update=alone)})


def _with(view: Evidence, chance: float | None) -> Evidence:
    if chance is None:
        return view
    changed = {"p_up": probability(chance), "p_down": probability(1 - chance)}
    return view.model_copy(update={"figures": {**view.figures, **changed}})


def _base(view: Evidence | None) -> float | None:
    return view.value("base_rate") if view else None


def _chance(report: Report) -> float | None:
    view = report.by_id.get(report.view)
    return view.value("p_up") if view else None


def scored(name: str, scenario: Scenario, of: Outcome, turns: Sequence[Played]) -> Outcome:
    """The outcome of an arm on a case: 1 where all that is expected of what is said holds."""
    lost = any(turn.report is None and not turn.refused for turn in turns)
    failure = next((turn.failure for turn in turns if turn.failure), of.failure if lost else "")
    whole = len(turns) == len(scenario.asked)
    pairs = zip(scenario.asked, turns, strict=whole)
    checks: list[Check] = [c for t, p in pairs for c in expected(Seat.RISK, said_only(t.expect), p)]
    return of.model_copy(
        update={
            "lineup": name,
            "score": float(whole and not failure and all(check.ok for check in checks)),
            "checks": tuple(checks),
            "failure": failure,
            "seconds": sum(turn.seconds for turn in turns),
            "requests": sum(len(turn.calls) for turn in turns),
            "tokens": sum(tokens_used(call) for turn in turns for call in turn.calls),
        }
    )


def forecast(turns: Sequence[Played], view: View) -> tuple[float, bool] | None:
    """The chance of a rise that the last turn gives, and whether it came true by what *view* knows; None if neither."""
    report = turns[-1].report if turns else None
    made = report.by_id.get(report.view) if report else None
    if made is None or "last_date" not in made.figures:
        return None
    tickers = [str(made.figures[n].value) for n in ("ticker", "other") if n in made.figures]
    last = date.fromisoformat(str(made.figures["last_date"].value))
    try:
        came = view_outcome(view, tickers=tickers, made=last, horizon=int(made.value("horizon")))
    except DataError:
        return None
    return made.value("p_up"), bool(came.value("happened"))


def right(name: str, chance: float, happened: bool) -> bool:
    """Whether the side that an arm takes came true: the likelier one; of buy and hold always the rise."""
    return (name == HOLD or chance > 0.5) is happened


def transcript(name: str, of: Transcript, cast: Mapping[str, Cast]) -> list[Played]:
    """The turns of a stored run, of a case with this *cast*, as the arm *name* has them."""
    turns = of.turns
    if name == HOLD:
        return [hold(turn) for turn in turns]
    if name in ROLES:
        return [role(turn, name, cast) for turn in turns]
    return [coordinator(turn) for turn in turns]
