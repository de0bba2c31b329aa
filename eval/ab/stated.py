"""Figures that prose states: which numbers an answer gives, in what unit, and how exactly."""

import math
import re
from collections.abc import Iterator
from typing import Literal

from openoutcry.core.evidence import Figure, Frozen, Unit
from openoutcry.eval.matching import near
from openoutcry.eval.scenario import FigureExpected

Kind = Literal["percent", "money", "multiple", "number"]
ROUNDED = 0.005
"""How far from the right value, as a share of it, a figure with fewer than two decimals may be rounded."""
EXACT_ENOUGH = 2
"""Decimals from which on a figure may be off by half of its last digit: the desk itself shows two."""
NEAR_WORDS = 80
"""Characters before a number among which a word tells its sign."""
SCALES = {
    **dict.fromkeys(("thousand", "k"), 1e3),
    **dict.fromkeys(("million", "mn", "m"), 1e6),
    **dict.fromkeys(("billion", "bn", "b"), 1e9),
    **dict.fromkeys(("trillion", "tn"), 1e12),
}
PERCENT = ("%", "percent", "per cent", "percentage points", "pp")
BASIS = ("bp", "bps", "basis points")
MULTIPLE = ("x", "times")
DOLLARS = ("usd", "dollars", "dollar")
MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
DATES = re.compile(
    rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}(?:[T ]\d{{1,2}}:\d{{2}}\S*)?|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}"
    rf"|\b{MONTHS}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?\b|\b\d{{1,2}}\s+{MONTHS}(?:\s+\d{{4}})?\b"
    rf"|\b{MONTHS}\s+\d{{4}}\b|\bQ[1-4]\s+\d{{4}}\b|\[[EM]\d+[^\]]*\]",
    re.IGNORECASE,
)
"""What is full of digits and no figure: dates, quarters, and the desk's own references."""
NUMBER = re.compile(
    r"(?<![\w.,$])(?P<sign>[-\u2212+]?)\s?(?P<money>(?:US\$|\$|USD)\s?)?(?P<inner>[-\u2212]?)"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<power>e[-+]?\d+)?"
    r"(?:\s?(?P<scale>thousand|million|billion|trillion|bn|mn|tn|[kmb])\b)?"
    r"(?:\s?(?P<unit>%|percentage points|percent\b|per cent\b|pp\b|basis points|bps?\b|x\b|times\b|usd\b|dollars?\b))?"
    r"(?![\w]|[.,]\d)",
    re.IGNORECASE,
)
FALLS = re.compile(
    r"\b(?:f[ae]ll\w*|down|los[est]\w*|declin\w*|drop\w*|drawdown|negative|minus|below|decreas\w*|shr[aiu]nk\w*)\b",
    re.IGNORECASE,
)
"""Words that make a bare number one below zero."""
LOSSES = re.compile(r"(?:^|_)(?:var|loss|shortfall|drawdown|es)(?:_|$)")
"""Names of figures that the desk counts upwards, and that others may write with a minus."""
Sign = Literal["plus", "minus", "bare", "falls"]


class Stated(Frozen):
    """A number as it stands: in its own unit (a percentage as a fraction), without sign, and what its last digit is.

    `step` is one unit of the last digit, in the same measure; `decimals` counts digits behind the point.
    """

    size: float
    kind: Kind
    sign: Sign
    step: float = 0.0
    decimals: int = 0

    def fits(self, wanted: FigureExpected) -> bool:
        """Whether it is the figure that is wanted, to the tolerance of the case or correctly rounded."""
        if isinstance(wanted.value, str) or self.kind not in kinds(wanted.unit, self.decimals):
            return False
        return any(_close(wanted, value, self) for value in self._values(wanted))

    def _values(self, wanted: FigureExpected) -> Iterator[float]:
        """What it may mean: its sign, and that of its words or of a loss."""
        if self.sign != "minus":
            yield self.size
        if self.sign in ("minus", "falls"):
            yield -self.size
        if self.sign == "minus" and LOSSES.search(wanted.name):
            yield self.size


def _close(wanted: FigureExpected, value: float, stated: Stated) -> bool:
    if near(wanted, value):
        return True
    if not isinstance(wanted.value, float):
        return False
    half, share = stated.step / 2, ROUNDED * abs(wanted.value)
    allowed = half if stated.decimals >= EXACT_ENOUGH else min(half, share)
    return math.isclose(value, wanted.value, rel_tol=0.0, abs_tol=allowed * (1 + 1e-9))


def kinds(unit: Unit | None, decimals: int = 0) -> tuple[Kind, ...]:
    """The ways to write a figure of *unit*; a share may be a plain number that has a point."""
    match unit:
        case None:
            return "percent", "money", "multiple", "number"
        case Unit.FRACTION | Unit.PROBABILITY:
            return ("percent", "number") if decimals >= EXACT_ENOUGH else ("percent",)
        case Unit.USD | Unit.USD_PER_SHARE:
            return ("money",)
        case Unit.MULTIPLE:
            return "multiple", "number"
        case _:
            return ("number",)


def stated(text: str, asked: str = "") -> list[Stated]:
    """The figures of an answer, in their order; those that only repeat the question are left out."""
    echoed = {(one.size, one.kind) for one in _numbers(asked)}
    return [one for one in _numbers(text) if (one.size, one.kind) not in echoed]


def given(figure: Figure) -> Stated | None:
    """A figure that was given as one, with its unit, exactly; None for text and dates."""
    if isinstance(figure.value, str):
        return None
    kind = kinds(figure.unit)[0]
    return Stated(size=abs(figure.value), kind=kind, sign="minus" if figure.value < 0 else "plus")


def _numbers(text: str) -> Iterator[Stated]:
    plain = DATES.sub(lambda found: " " * len(found[0]), text)
    for found in NUMBER.finditer(plain):
        before = re.split(r"[.;!?]\s", plain[max(found.start() - NEAR_WORDS, 0) : found.start()])[-1]
        yield _number(found, before)


def _number(found: "re.Match[str]", before: str) -> Stated:
    unit, digits = (found["unit"] or "").lower(), found["digits"].replace(",", "")
    scale = SCALES.get((found["scale"] or "").lower(), 1.0)
    scale *= 0.01 if unit in PERCENT else 1e-4 if unit in BASIS else 1.0
    scale *= float(f"1{found['power']}") if found["power"] else 1.0
    decimals = len(digits.partition(".")[2])
    sign: Sign = "plus" if found["sign"] == "+" else "falls" if FALLS.search(before) else "bare"
    if (found["sign"] or found["inner"]) not in ("", "+"):
        sign = "minus"
    return Stated(
        size=float(f"{float(digits) * scale:.12g}"),
        kind=_kind(unit, bool(found["money"])),
        sign=sign,
        step=10.0**-decimals * scale,
        decimals=decimals,
    )


def _kind(unit: str, money: bool) -> Kind:
    if unit in PERCENT or unit in BASIS:
        return "percent"
    if money or unit in DOLLARS:
        return "money"
    return "multiple" if unit in MULTIPLE else "number"
