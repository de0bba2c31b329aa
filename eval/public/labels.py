"""What a printed answer says: its value, whether it is a percentage, and how finely it is rounded."""

import re
from dataclasses import dataclass

from openoutcry.eval.scenario import FigureExpected

CLOSE = 1e-4
"""The relative tolerance of a label whose own rounding is not known."""
_PRINTED = re.compile(r"(?P<minus>-|\()?\s*[$€£]?\s*(?P<digits>(?:\d[\d,]*)?\.?\d+)\s*\)?\s*(?P<percent>%)?")


@dataclass(frozen=True, slots=True)
class Printed:
    """A number as it is printed; `value` is as read, so 5 for 5 %. `half` is half a unit of its last digit."""

    value: float
    half: float
    percent: bool

    @property
    def fraction(self) -> float:
        """The value, a percentage as a fraction."""
        return self.value / 100 if self.percent else self.value

    @property
    def rounding(self) -> float:
        """How far a number that is printed like this may be from `fraction`."""
        return self.half / 100 if self.percent else self.half


def printed(text: str, *, padded: bool = False) -> Printed | None:
    """The number that *text* is, or None where it is more than one number. *padded*: zeros at its end say nothing."""
    found = _PRINTED.fullmatch(text.strip().replace("-$", "$-").replace("$-", "-$"))
    if found is None:
        return None
    digits = found["digits"].replace(",", "")
    value = float(digits)
    shown = digits.rstrip("0") if padded and "." in digits else digits
    decimals = len(shown.partition(".")[2])
    return Printed(-value if found["minus"] else value, 0.5 * 10**-decimals, bool(found["percent"]))


def near(value: float, rounding: float = 0.0) -> FigureExpected:
    """*value*, or what is within *rounding* of it; without one, within CLOSE."""
    return FigureExpected(value=value, absolute=max(rounding * 1.001, abs(value) * CLOSE, 1e-5))
