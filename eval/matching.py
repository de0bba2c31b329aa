"""Is a figure the one that a case expects? Told by its name, its tool, what that was asked, its unit and its value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from openoutcry.core.claims import references
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.core.report import Report
from openoutcry.eval.outcome import Check, Played
from openoutcry.eval.scenario import FigureExpected

EXACT = 1e-6
"""The relative tolerance of a figure where none is named: rounding in storage, nothing more."""
BESIDE = 1
"""Other values of the same figure that may be cited beside the right one: more is guessing, not answering."""
OF_TOOL = 3
"""The same where only the tool is named: other figures of it, in the same unit."""
Cited = tuple[Evidence, str, Figure]


def cited(said: Sequence[str], evidence: Mapping[str, Evidence]) -> Iterator[Cited]:
    """The figures that sentences refer to, in their order."""
    for sentence in said:
        for eid, name in references(sentence):
            if eid in evidence and name in evidence[eid].figures:
                yield evidence[eid], name, evidence[eid].figures[name]


def figure(wanted: FigureExpected, found: Sequence[Cited], report: Report | None, played: Played) -> Check:
    """Whether the figure is there. One that must be cited has few others of its name or tool beside it."""
    named, expected = wanted.name or "a figure", expectation(wanted)
    if report is None and played.value is not None:
        return Check(name=named, ok=near(wanted, played.value), expected=expected, got=f"{played.value:.8g}")
    every = [(e, n, f) for e in report.evidence for n, f in e.figures.items()] if report else []
    fit = [one for one in (found if wanted.cited else every) if _is(wanted, one)]
    values = {f.value for _, _, f in fit}
    right = {value for value in values if near(wanted, value)}
    most = BESIDE if wanted.name else OF_TOOL if wanted.tool else len(values)
    guessed = wanted.cited and len(values - right) > most
    shown = ", ".join(dict.fromkeys(f"{e.id}.{n} {f.value}" for e, n, f in fit)) or _instead(wanted, found, every)
    got = f"{len(values)} values of it: {shown}" if right and guessed else shown
    return Check(name=named, ok=bool(right) and not guessed, expected=expected, got=got[:300])


def _instead(wanted: FigureExpected, found: Sequence[Cited], every: Sequence[Cited]) -> str:
    """What came where nothing of the kind did: figures of that name, and how they differ; else those of the tool."""
    of_name = [one for one in every if wanted.name and one[1] == wanted.name]
    near = of_name or [one for one in every if wanted.tool and one[0].tool == wanted.tool]
    said = [f"{e.id}.{n} {f.value}{_differs(wanted, (e, n, f), found)}" for e, n, f in near]
    if wanted.name and not of_name:
        names = ", ".join(dict.fromkeys(f"{e.id}.{n}" for e, n, _ in found)) or "none"
        return f"no figure {wanted.name}; cited were {names}"
    return f"nothing like it; there is {', '.join(dict.fromkeys(said))}" if said else "nothing like it"


def _differs(wanted: FigureExpected, one: Cited, found: Sequence[Cited]) -> str:
    """In what a figure of the right name is another than the one that is wanted."""
    evidence, _, value = one
    asked: dict[str, Any] = to_jsonable_python(dict(evidence.arguments))
    odd = [f"{key}={asked.get(key)}" for key, v in wanted.where.items() if asked.get(key) != to_jsonable_python(v)]
    odd += [f"tool={evidence.tool}"] if wanted.tool not in ("", evidence.tool) else []
    odd += [f"unit={value.unit}"] if wanted.unit not in (None, value.unit) else []
    odd += [f"ticker={_subject(evidence)}"] if wanted.ticker not in ("", _subject(evidence)) else []
    cites = " which no sentence cites" if wanted.cited and one not in found else ""
    return f"{f' with {chr(32).join(odd)}' if odd else ''}{cites}"


def _subject(evidence: Evidence) -> Any:
    """The ticker that a tool was asked for, as it stands in its figures or its call."""
    if "ticker" in evidence.figures:
        return evidence.figures["ticker"].value
    return evidence.arguments.get("ticker", "")


def _is(wanted: FigureExpected, one: Cited) -> bool:
    """Whether a figure is of the kind that is wanted, whatever its value."""
    evidence, name, found = one
    asked: dict[str, Any] = to_jsonable_python(dict(evidence.arguments))
    return (
        wanted.name in ("", name)
        and wanted.tool in ("", evidence.tool)
        and wanted.unit in (None, found.unit)
        and wanted.ticker in ("", _subject(evidence))
        and all(key in asked and asked[key] == to_jsonable_python(value) for key, value in wanted.where.items())
    )


def near(wanted: FigureExpected, value: float | str) -> bool:
    """Whether a value is the one that is wanted, within its tolerance; text must be the same."""
    if isinstance(wanted.value, str) or isinstance(value, str):
        return str(value) == str(wanted.value)
    if wanted.value is None:
        return (wanted.low is None or value >= wanted.low) and (wanted.high is None or value <= wanted.high)
    allowed = max(wanted.absolute, abs(wanted.value) * (wanted.tolerance or (0.0 if wanted.absolute else EXACT)))
    return math.isclose(value, wanted.value, rel_tol=0.0, abs_tol=max(allowed, 1e-12))


def expectation(wanted: FigureExpected) -> str:
    """What is wanted, in words for a person."""
    unit = f" {wanted.unit}" if wanted.unit else ""
    if wanted.value is None:
        low, high = ("" if v is None else f"{v:g}" for v in (wanted.low, wanted.high))
        return f"{low} to {high}{unit}" if low and high else f"at least {low}{unit}" if low else f"at most {high}{unit}"
    if isinstance(wanted.value, str):
        return wanted.value
    within = f" within {wanted.tolerance:g} of it" if wanted.tolerance else ""
    return f"{wanted.value:.8g}{unit}{within}{f' plus or minus {wanted.absolute:g}' if wanted.absolute else ''}"
