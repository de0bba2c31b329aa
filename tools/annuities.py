"""Annuities: the five numbers of the time value of money, one solved from the others."""

import math
from importlib import import_module
from typing import Annotated, Any

from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import MaybeNumber
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import fraction, number, text
from openoutcry.tools.formulas.times import RATIO
from openoutcry.tools.tool import tool

HIGHEST, TRIES = 100.0, 4000
AMOUNTS = ("payment", "present_value", "future_value")
NAMES = ("rate", "periods", *AMOUNTS)


@tool
def annuity(
    view: View = NO_DATA,
    *,
    rate: Annotated[MaybeNumber, RATIO, Field(description="a period, e.g. 0.08/12 for months")] = None,
    periods: Annotated[FiniteFloat | None, Field(description="number of payments (NPER)")] = None,
    payment: Annotated[MaybeNumber, Field(description="each period, paid out negative (PMT)")] = None,
    present_value: Annotated[MaybeNumber, Field(description="now, paid out negative (PV)")] = None,
    future_value: Annotated[MaybeNumber, Field(description="at the end (FV)")] = None,
    due: Annotated[bool, Field(description="payments at the start of each period, not the end")] = False,
) -> Evidence:
    """Solve the time value of money for whichever of rate, periods, payment, present or future value is not given.

    pv (1 + r)^n + pmt (1 + r due) ((1 + r)^n - 1) / r + fv = 0, with Excel's signs: money received is positive,
    money paid negative. Of two that are not given, if both are amounts each is solved with the other at 0 (so that
    rate, periods and payment give Excel's PV and FV at once); else the amount counts as 0. Mortgages: the yearly
    rate / 12 as rate. Raises NotComputed where less is given, or where nothing solves it. Source: Excel's PV, FV,
    PMT, NPER, RATE and RRI.
    """
    known = dict(zip(NAMES, (rate, periods, payment, present_value, future_value), strict=True))
    whole = {n: v for n, v in known.items() if v is not None}
    absent = [n for n in NAMES if n not in whole]
    if whole.get("rate", 0.0) <= -1 or whole.get("periods", 1.0) <= 0:
        raise NotComputed("needs a rate above -100 % and more than zero periods")
    amounts = [n for n in absent if n in AMOUNTS]
    if not absent or len(absent) > 2 or (len(absent) == 2 and not amounts):
        raise NotComputed("needs all but one of rate, periods, payment, present_value and future_value")
    filled = dict.fromkeys(amounts, 0.0) | whole
    wanted = [n for n in absent if n not in amounts] or amounts
    found = filled | {n: _solved(n, filled, due) for n in wanted}
    return view.evidence(
        {
            **{n: fraction(found[n]) if n == "rate" else number(found[n]) for n in NAMES},
            "solved_for": text(", ".join(wanted)),
        },
        conventions={
            "signs": "received is positive, paid negative",
            "payments": "at the start of each period" if due else "at the end of each period",
            "rate": "a period",
            **({"solved": f"{wanted[0]} and {wanted[1]}, each with the other at 0"} if len(wanted) > 1 else {}),
        },
    )


def _balance(v: dict[str, float], due: bool) -> float:
    """What is left of the equation of value."""
    rate, n = v["rate"], v["periods"]
    grown = math.exp(n * math.log1p(rate))
    factor = n if rate == 0 else math.expm1(n * math.log1p(rate)) / rate
    return v["present_value"] * grown + v["payment"] * (1 + rate * due) * factor + v["future_value"]


def _solved(name: str, known: dict[str, float], due: bool) -> float:
    """The missing one. Raises NotComputed where nothing solves it."""
    if name in AMOUNTS:
        rest = _balance(known | {name: 0.0}, due)
        return -rest / _balance(
            {"rate": known["rate"], "periods": known["periods"], **dict.fromkeys(AMOUNTS, 0.0), name: 1.0}, due
        )
    if name == "periods":
        return _periods(known, due)
    optimize: Any = import_module("scipy.optimize")
    steps = [-0.99 + (HIGHEST + 0.99) * (i / TRIES) ** 3 for i in range(TRIES + 1)]
    values = [_finite(known | {name: r}, due) for r in steps]
    brackets = [(a, b) for a, b, x, y in zip(steps, steps[1:], values, values[1:], strict=False) if x * y < 0]
    if not brackets:
        raise NotComputed("needs payments that some rate between -99 % and 10,000 % joins; check the signs")
    low, high = min(brackets, key=lambda b: abs(b[0] + b[1]))

    def left(rate: float) -> float:
        return _balance(known | {name: rate}, due)

    return float(optimize.brentq(left, low, high, xtol=1e-15))


def _finite(known: dict[str, float], due: bool) -> float:
    try:
        return _balance(known, due)
    except OverflowError:
        return math.nan


def _periods(known: dict[str, float], due: bool) -> float:
    rate = known["rate"]
    each = known["payment"] * (1 + rate * due)
    if rate == 0:
        above, below = -(known["present_value"] + known["future_value"]), each
        found = above / below if below else math.nan
    else:
        above, below = each - known["future_value"] * rate, each + known["present_value"] * rate
        ratio = above / below if below else math.nan
        found = math.log(ratio) / math.log1p(rate) if ratio > 0 else math.nan
    if not found >= 0:
        raise NotComputed("needs payments that reach the future value in some number of periods; check the signs")
    return found
