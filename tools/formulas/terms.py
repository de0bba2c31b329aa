"""What is asked of an option, made into a contract and a way to price it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from importlib import import_module
from typing import Any, Literal

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas import pricing
from openoutcry.tools.formulas.compounding import Compounding, continuous
from openoutcry.tools.formulas.contract import Barrier, BarrierType, Exercise, Kind, Option, Pricer
from openoutcry.tools.formulas.quantlib import DayCount, years_between
from openoutcry.tools.formulas.times import in_years
from openoutcry.tools.formulas.trees import tree

Method = Literal[
    "auto",
    "black_scholes",
    "binomial",
    "jarrow_rudd",
    "leisen_reimer",
    "barone_adesi_whaley",
    "bjerksund_stensland",
    "ju_quadratic",
    "finite_difference",
]
Underlying = Literal["spot", "future"]
WORDS: dict[str, str] = {
    "auto": "Andersen, Lake and Offengenden (2016), QD+ fixed point; finite differences for cash dividends or two "
    "exercise boundaries",
    "black_scholes": "closed form: Black and Scholes (1973), Merton (1973), Black (1976), Garman and Kohlhagen (1983)",
    "binomial": "Cox, Ross and Rubinstein (1979) tree, exact probability",
    "jarrow_rudd": "Jarrow and Rudd (1983) tree, equal probabilities",
    "leisen_reimer": "Leisen and Reimer (1996) tree",
    "barone_adesi_whaley": "Barone-Adesi and Whaley (1987) quadratic approximation",
    "bjerksund_stensland": "Bjerksund and Stensland (1993) approximation",
    "ju_quadratic": "Ju and Zhong (1999) quadratic approximation",
    "finite_difference": f"finite differences on a grid of {pricing.GRID} times and prices",
    "barrier": "closed form: Merton (1973), Reiner and Rubinstein (1991); watched at all times unless monitoring is "
    "given, then the level is moved as Broadie, Glasserman and Kou (1997) say",
}
MOVED = 0.5825971579390107  # -zeta(1/2) / sqrt(2 pi)
MAX_VOLATILITY = 32.0
APPROXIMATE = ("barone_adesi_whaley", "bjerksund_stensland", "ju_quadratic")


def years_left(time: float | None, start: date | None, end: date | None, day_count: DayCount) -> float:
    """The years to expiry. Raises NotComputed unless they are given in one way."""
    if time is not None and start is None and end is None:
        return time
    if time is not None or start is None or end is None:
        raise NotComputed("needs time in years, or both valuation_date and expiry; give one of the two")
    return years_between(start, end, day_count)


def plain(
    spot: float,
    strike: float,
    rate: float,
    left: float,
    kind: Kind,
    exercise: Exercise,
    pays: float,
    compounding: Compounding,
    underlying: Underlying,
) -> Option:
    """The plain contract in continuous rates. Raises NotComputed where it has expired, or a future has a yield."""
    if left <= 0:
        raise NotComputed(f"needs an option that has not expired; {left:g} years are left")
    if underlying == "future" and pays:
        raise NotComputed(f"needs no dividend_yield for a future, where it is the rate; got {pays:g}")
    riskless, paid = (continuous(r, left, compounding) for r in (rate, rate if underlying == "future" else pays))
    return Option(spot, strike, riskless, 0.0, left, kind, exercise, paid)


def cash_paid(
    dividends: Mapping[str, float] | None, left: float, start: date | None, day_count: DayCount
) -> tuple[tuple[tuple[float, float], ...], list[str]]:
    """The cash dividends until expiry by time, and a note for those after it."""
    found: list[tuple[float, float]] = []
    for when, cash in (dividends or {}).items():
        try:
            dated = start if "-" in when else None
            at = years_between(dated, date.fromisoformat(when), day_count) if dated else in_years(when)
        except ValueError:
            at = math.nan
        if not 0 < at < math.inf or cash < 0:
            raise NotComputed(f"needs dividends of zero or more at times after now, in years; got {when}={cash:g}")
        found.append((at, cash))
    late = [f"dividend of {c:g} at {t:g} years: after expiry, left out" for t, c in found if t > left]
    return tuple(sorted(d for d in found if d[0] <= left)), late


def barrier_of(
    kind: BarrierType | None,
    level: float | None,
    rebate: float,
    monitoring: int | None,
    volatility: float | None,
    left: float,
    spot: float,
) -> Barrier | None:
    """The barrier, moved outwards where it is looked at only now and then and not yet touched."""
    if kind is None and level is None:
        return None
    if kind is None or level is None or rebate < 0:
        raise NotComputed("needs both barrier_type and barrier, and a rebate of zero or more")
    made = Barrier(kind, level, rebate)
    if monitoring is None or made.breached(spot):
        return made
    away = MOVED * (volatility or 0.0) * math.sqrt(left / monitoring)
    return replace(made, level=level * math.exp(-away if kind.startswith("down") else away))


def method_of(asked: Option, method: Method) -> str:
    """The method by name. Raises NotComputed where it does not fit the contract."""
    american = asked.exercise == "american"
    if asked.barrier:
        if method not in ("auto", "black_scholes"):
            raise NotComputed(f"needs method auto for a barrier option; got {method}")
        return "barrier"
    if method == "auto":
        return "auto" if american else "black_scholes"
    if american and method == "black_scholes":
        raise NotComputed("needs exercise european for black_scholes; for american use auto or binomial")
    if not american and method in APPROXIMATE:
        raise NotComputed(f"needs exercise american for {method}; for european use auto")
    if asked.dividends and method in ("leisen_reimer", *APPROXIMATE):
        raise NotComputed(
            f"needs a method that takes cash dividends, auto, binomial or finite_difference; got {method}"
        )
    return method


def pricer_of(name: str, steps: int, up: float | None, down: float | None) -> tuple[Pricer, Any]:
    """How to price, and for a tree how to draw it."""
    drawn = None
    if name in ("binomial", "jarrow_rudd"):
        drawn = partial(tree, steps=steps, up=up, down=down, moves="crr" if name == "binomial" else "equal")
    plain: dict[str, Pricer] = {
        "auto": pricing.best,
        "black_scholes": pricing.black_scholes,
        "barrier": pricing.barrier_price,
        "finite_difference": pricing.finite_difference,
        "leisen_reimer": partial(pricing.leisen_reimer, steps=steps),
        "barone_adesi_whaley": pricing.barone_adesi_whaley,
        "bjerksund_stensland": pricing.bjerksund_stensland,
        "ju_quadratic": pricing.ju_quadratic,
    }
    if drawn:
        draw = drawn
        return lambda asked: draw(asked).price, drawn
    return plain[name], None


def bounds(asked: Option) -> tuple[float, float]:
    """Between which prices some volatility fits."""
    discount = 1.0 if asked.exercise == "american" else math.exp(-asked.rate * asked.years)
    prepaid = (asked.spot - asked.paid) * math.exp(-asked.dividend_yield * asked.years)
    most = max(prepaid, asked.spot) if asked.exercise == "american" else prepaid
    least = pricing.black_scholes(replace(asked, volatility=0.0, exercise="european"))
    if asked.exercise == "american":
        least = max(least, asked.intrinsic) if asked.dividends else pricing.best(replace(asked, volatility=0.0))
    return least, most if asked.kind == "call" else max(discount, math.exp(-asked.rate * asked.years)) * asked.strike


def solved(value: Pricer, asked: Option, price: float) -> float:
    """The volatility by Brent's method between 2 % (or less) and whatever is high enough."""
    optimize: Any = import_module("scipy.optimize")

    def miss(volatility: float) -> float:
        return value(replace(asked, volatility=volatility)) - price

    low, high = 0.02, 0.5
    while low > 1e-9 and miss(low) > 0:
        low /= 10
    while high < MAX_VOLATILITY and miss(high) < 0:
        high *= 2
    if miss(low) > 0 or miss(high) < 0:
        raise NotComputed(f"needs a price that a volatility of {low:g} to {high:g} gives; got {price:g}")
    return float(optimize.brentq(miss, low, high, xtol=1e-12, rtol=1e-14))
