"""Whether exceptions of a VaR came as often, and as independently, as they should: likelihood-ratio tests.

Plain numbers in and out. An exception, or hit, is a loss above the VaR.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Zone = Literal["green", "yellow", "red"]
PLUS = {5: 0.40, 6: 0.50, 7: 0.65, 8: 0.75, 9: 0.85}
"""Additions to the multiplier of 3 in the yellow zone: Basel Committee (1996), table 2, of 250 days at 99 %."""
FRTB = {5: 1.70, 6: 1.76, 7: 1.83, 8: 1.88, 9: 1.92}
"""Multipliers in the amber zone: Basel Committee, MAR32.9 (2019); 1.5 in the green, 2 in the red."""
YEAR = range(245, 262)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Exceptions counted, with what the tests say of them. `transitions` are n00, n01, n10, n11."""

    exceptions: int
    observations: int
    expected: float
    transitions: tuple[int, int, int, int] | None
    kupiec: float
    independence: float | None
    conditional: float | None
    z: float
    cumulative: float
    zone: Zone

    @property
    def kupiec_p(self) -> float:
        """Of a chi-square with one degree of freedom."""
        return p_value(self.kupiec, 1)


def coverage(hits: ArrayLike, confidence: float) -> Coverage:
    """The tests on a sequence of hits, oldest first, 1 or true an exception."""
    flags = np.asarray(hits).astype(bool)
    return counted(int(flags.sum()), len(flags), confidence, transitions(flags))


def transitions(hits: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """How often none followed none, a hit none, none a hit, and a hit a hit: n00, n01, n10, n11."""
    pairs = np.bincount(2 * hits[:-1].astype(int) + hits[1:], minlength=4)
    n00, n01, n10, n11 = (int(n) for n in pairs)
    return n00, n01, n10, n11


def counted(
    exceptions: int, observations: int, confidence: float, moves: tuple[int, int, int, int] | None = None
) -> Coverage:
    """The tests on counts; independence needs the transitions too.

    Unconditional coverage: Kupiec (1995), proportion of failures. Independence and conditional coverage, their
    sum: Christoffersen (1998). Zone: Basel Committee (1996), by the cumulative binomial probability.
    """
    p = 1 - confidence
    expected = round(observations * p, 9)
    uc = kupiec(exceptions, observations, confidence)
    ind = None if moves is None else independence(*moves)
    below = cumulative(exceptions, observations, p)
    return Coverage(
        exceptions,
        observations,
        expected,
        moves,
        uc,
        ind,
        None if ind is None else uc + ind,
        (exceptions - expected) / math.sqrt(expected * confidence),
        below,
        "green" if below < 0.95 else "yellow" if below < 0.9999 else "red",
    )


def kupiec(exceptions: int, observations: int, confidence: float) -> float:
    """-2 log of the likelihood ratio of the expected rate against the one seen (Kupiec 1995)."""
    x, n, p = exceptions, observations, 1 - confidence
    return _ratio(_log(n - x, confidence) + _log(x, p), _log(n - x, 1 - x / n) + _log(x, x / n))


def first_failure(first: int, confidence: float) -> float:
    """Time until first failure (Kupiec 1995): *first* is the day of the first exception, the first day 1."""
    p = 1 - confidence
    return _ratio(_log(first - 1, confidence) + math.log(p), _log(first - 1, 1 - 1 / first) + math.log(1 / first))


def independence(n00: int, n01: int, n10: int, n11: int) -> float:
    """Whether a hit makes another more likely the next day (Christoffersen 1998)."""
    total = n00 + n01 + n10 + n11
    if not total:
        return 0.0
    p = (n01 + n11) / total
    a, b = n01 / max(n00 + n01, 1), n11 / max(n10 + n11, 1)
    alike = _log(n00 + n10, 1 - p) + _log(n01 + n11, p)
    return _ratio(alike, _log(n00, 1 - a) + _log(n01, a) + _log(n10, 1 - b) + _log(n11, b))


def between_failures(gaps: list[int], confidence: float) -> float:
    """The sum of the first-failure ratios of the days from each exception to the next (Haas 2001)."""
    return sum(first_failure(gap, confidence) for gap in gaps)


def _log(times: int, chance: float) -> float:
    """*times* log(*chance*), 0 where there are none."""
    return times * math.log(chance) if times else 0.0


def _ratio(null: float, free: float) -> float:
    return max(0.0, 2 * (free - null))


def p_value(statistic: float, degrees: int) -> float:
    """The chance of a chi-square above *statistic*."""
    if degrees == 1:
        return math.erfc(math.sqrt(statistic / 2))
    if degrees == 2:
        return math.exp(-statistic / 2)
    special: Any = import_module("scipy.special")
    return float(special.gammaincc(degrees / 2, statistic / 2))


def cumulative(exceptions: int, observations: int, p: float) -> float:
    """The binomial chance of that many exceptions or fewer."""
    n = observations
    if exceptions >= n:
        return 1.0
    base = math.lgamma(n + 1)
    logs = (
        base - math.lgamma(k + 1) - math.lgamma(n - k + 1) + _log(k, p) + _log(n - k, 1 - p)
        for k in range(exceptions + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def accepted(observations: int, confidence: float, level: float) -> tuple[int | None, int | None]:
    """The counts between which, both excluded, Kupiec's test does not reject: (1, 11) of 510 days at 99 %.

    None where no count on that side is rejected.
    """
    limit = critical(level)
    expected = round(observations * (1 - confidence))
    low = next((x for x in range(expected, -1, -1) if kupiec(x, observations, confidence) > limit), None)
    high = next((x for x in range(expected, observations) if kupiec(x, observations, confidence) > limit), None)
    return low, high


def critical(level: float) -> float:
    """The *level* quantile of a chi-square with one degree of freedom: 3.84 at 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2) ** 2


def multipliers(found: Coverage, confidence: float) -> tuple[float, float] | None:
    """Of the capital charge, by Basel (1996) and by MAR32 (2019); None in a yellow zone other than a year's at 99 %."""
    if found.zone == "green":
        return 3.0, 1.5
    if found.zone == "red":
        return 4.0, 2.0
    if not math.isclose(confidence, 0.99) or found.observations not in YEAR or found.exceptions not in PLUS:
        return None
    return 3 + PLUS[found.exceptions], FRTB[found.exceptions]


def quantile_loss(returns: NDArray[np.float64], var: NDArray[np.float64], confidence: float) -> float:
    """The mean tick loss of -*var* as the quantile of the returns at 1 - confidence (Koenker and Bassett 1978)."""
    away = returns + var
    return float((away * ((1 - confidence) - (away < 0))).mean())
