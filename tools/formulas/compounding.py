"""How a rate a year becomes a discount factor, and back, in each way of compounding."""

import math
from typing import Literal

from openoutcry.core.errors import NotComputed

Compounding = Literal[
    "continuous", "annual", "semiannual", "quarterly", "monthly", "weekly", "daily", "simple", "discount"
]
TIMES: dict[str, int] = {"annual": 1, "semiannual": 2, "quarterly": 4, "monthly": 12, "weekly": 52, "daily": 365}
Way = Compounding | int
"""A name, or how often a year a rate compounds."""


def slopes(rate: float, years: float, way: Way) -> tuple[float, float, float]:
    """The discount factor over *years*, and its first and second derivative in the rate.

    Continuous e^(-rt); m times a year (1 + r/m)^(-mt); simple 1 / (1 + rt); discount 1 - rt (a bank discount).
    Raises NotComputed for a rate at which the factor is not positive.
    """
    if way == "continuous":
        factor = math.exp(-rate * years)
        return factor, -years * factor, years * years * factor
    if way == "discount":
        return _positive(1 - rate * years, rate), -years, 0.0
    if way == "simple":
        grown = _positive(1 + rate * years, rate)
        return 1 / grown, -years / grown**2, 2 * years**2 / grown**3
    times = way if isinstance(way, int) else TIMES[way]
    step = _positive(1 + rate / times, rate)
    factor = step ** (-times * years)
    return factor, -years * factor / step, years * (years + 1 / times) * factor / step**2


def factor(rate: float, years: float, way: Way) -> float:
    """The discount factor over *years* at *rate*. Raises NotComputed as `slopes` does."""
    return slopes(rate, years, way)[0]


def rate_of(discount: float, years: float, way: Way) -> float:
    """The rate a year at which *discount* is the factor over *years* (both positive)."""
    if way == "continuous":
        return -math.log(discount) / years
    if way == "discount":
        return (1 - discount) / years
    if way == "simple":
        return (1 / discount - 1) / years
    times = way if isinstance(way, int) else TIMES[way]
    return times * math.expm1(-math.log(discount) / (times * years))


def continuous(rate: float, years: float, way: Way) -> float:
    """The continuously compounded rate with the same discount factor over *years*."""
    return rate if way == "continuous" else rate_of(factor(rate, years, way), years, "continuous")


def _positive(value: float, rate: float) -> float:
    if value <= 0:
        raise NotComputed(f"needs a rate that leaves a positive discount factor; got {rate:g}")
    return value
