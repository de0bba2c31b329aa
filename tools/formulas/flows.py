"""Dated amounts: present value, yield, duration and convexity at one rate, for times that need not be whole days."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.compounding import TIMES, Way, slopes


@dataclass(frozen=True, slots=True)
class Measures:
    """The present value at a rate, and how it moves: durations in years, convexity in years squared."""

    value: float
    macaulay: float
    modified: float
    convexity: float


def measures(times: Sequence[float], amounts: Sequence[float], rate: float, way: Way) -> Measures:
    """Value and its derivatives in the rate. Modified duration is -V'/V, convexity V''/V, Macaulay the mean time.

    Raises NotComputed where the value is zero or less, or a discount factor is not positive.
    """
    parts = [(t, a, *slopes(rate, t, way)) for t, a in zip(times, amounts, strict=True)]
    value = math.fsum(a * d for _, a, d, _, _ in parts)
    if value <= 0:
        raise NotComputed(f"needs flows worth more than zero for a duration; they are worth {value:g}")
    return Measures(
        value,
        math.fsum(t * a * d for t, a, d, _, _ in parts) / value,
        -math.fsum(a * first for _, a, _, first, _ in parts) / value,
        math.fsum(a * second for _, a, _, _, second in parts) / value,
    )


def worth(times: Sequence[float], amounts: Sequence[float], rate: float, way: Way) -> float:
    """The present value of the amounts at *rate*."""
    return math.fsum(a * slopes(rate, t, way)[0] for t, a in zip(times, amounts, strict=True))


def yield_of(times: Sequence[float], amounts: Sequence[float], price: float, way: Way) -> float:
    """The rate at which the amounts, none negative, are worth *price*. Raises NotComputed where none is."""
    return root(lambda rate: worth(times, amounts, rate, way) - price, lowest(way, max(times)))


def lowest(way: Way, longest: float) -> float:
    """The rate below which a discount factor over *longest* years is no longer positive."""
    if way == "continuous":
        return -20.0
    if way == "simple":
        return -1 / longest
    if way == "discount":
        return -20.0
    return -float(way if isinstance(way, int) else TIMES[way])


def root(miss: Callable[[float], float], low: float, high: float = 1.0) -> float:
    """Where *miss*, which falls from above zero at *low*, is zero; by Brent's method to 1e-14.

    Raises NotComputed where it stays on one side up to a rate of 1e6.
    """
    optimize: Any = import_module("scipy.optimize")
    near = low + 1e-9 * max(1.0, abs(low))
    while _over(miss, near):
        near /= 2
    while miss(high) > 0 and high < 1e6:
        high *= 4
    if not miss(near) >= 0 >= miss(high):
        raise NotComputed("needs flows and a price that some rate a year joins; none between the bounds does")
    return float(optimize.brentq(miss, near, high, xtol=1e-15, rtol=1e-14, maxiter=500))


def _over(miss: Callable[[float], float], rate: float) -> bool:
    """Whether the value at *rate* is beyond what a float holds."""
    try:
        return not math.isfinite(miss(rate))
    except OverflowError:
        return True
