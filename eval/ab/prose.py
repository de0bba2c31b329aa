"""Is an answer in prose right? The figures and words that a case expects, looked for in what a person would read.

Both sides of an A/B are read alike, the desk's report with its digits in place too. What cannot be read from prose
(tools, directions, an honest no, budgets) is asked of neither side.
"""

import re
from collections.abc import Sequence

from openoutcry.core.evidence import Figure
from openoutcry.eval.ab.stated import Stated, given, kinds, stated
from openoutcry.eval.matching import expectation
from openoutcry.eval.outcome import Check
from openoutcry.eval.scenario import Expect, FigureExpected, Scenario

MOST = 20
"""Different figures of a unit in one answer, beyond which a right one among them is no answer but a list.

The desk's own reports have up to 14."""


def readable(scenario: Scenario) -> bool:
    """Whether a case can be judged by prose, and both sides are what they are: no role is scripted."""
    turns = scenario.asked
    return (
        scenario.bare is None
        and not scenario.cast
        and not any(turn.expect.abstain or turn.expect.rubric for turn in turns)
        and any(_wanted(turn.expect) for turn in turns)
    )


def _wanted(expect: Expect) -> bool:
    return any(figure.cited for figure in expect.figures) or bool(expect.contains)


def checks(expect: Expect, question: str, text: str, figures: Sequence[Figure] = ()) -> list[Check]:
    """What one answer is checked for: its figures, and the words that must and must not be in it.

    *figures* are those that a recorded answer gives as such, beside or in place of its text.
    """
    numbers = [*stated(text, question), *(one for f in figures if (one := given(f)))]
    names = [str(f.value) for f in figures if isinstance(f.value, str)]
    found = [_figure(wanted, text, numbers, names) for wanted in expect.figures if wanted.cited]
    for pattern in expect.contains:
        hit = re.search(pattern, text, re.IGNORECASE)
        found.append(Check(name="contains", ok=bool(hit), expected=pattern, got=hit[0] if hit else "not there"))
    for pattern in expect.not_contains:
        hit = re.search(pattern, text, re.IGNORECASE)
        got = " ".join(hit[0].split()) if hit else "not there"
        found.append(Check(name="does not contain", ok=not hit, expected=pattern, got=got))
    return found


def _figure(wanted: FigureExpected, text: str, numbers: Sequence[Stated], names: Sequence[str]) -> Check:
    name, expected = wanted.name or "a figure", expectation(wanted)
    if isinstance(wanted.value, str):
        words = re.compile(rf"(?<!\w){re.escape(wanted.value)}(?!\w)", re.IGNORECASE)
        ok = bool(words.search(text)) or wanted.value in names
        return Check(name=name, ok=ok, expected=expected, got=wanted.value if ok else "not there")
    right = [one for one in numbers if one.fits(wanted)]
    beside = {one.size for one in numbers if one.kind in kinds(wanted.unit, one.decimals)}
    if right and len(beside) > MOST:
        return Check(name=name, ok=False, expected=expected, got=f"{len(beside)} figures of its unit: a list")
    said = ", ".join(f"{size:.6g}" for size in sorted(beside)[:8]) or "no figure of its unit"
    return Check(name=name, ok=bool(right), expected=expected, got=f"{right[0].size:.8g}" if right else said)
