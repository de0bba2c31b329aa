"""The sampling error of a Sharpe ratio as formulas: numbers or returns in, numbers out; ratios are of one period."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed

EULER = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A Sharpe ratio of one period, and what its sampling error rests on; kurtosis 3 is normal."""

    sharpe: float
    observations: int
    skewness: float
    kurtosis: float

    @property
    def spread(self) -> float:
        """The variance of the estimate, times the observations: Mertens (2002), Opdyke (2007)."""
        value = 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2
        if value <= 0:
            raise NotComputed(
                f"needs a skewness and kurtosis that can go together, as in kurtosis >= 1 + skewness^2; got "
                f"{self.skewness:g} and {self.kurtosis:g}"
            )
        return value

    @property
    def error(self) -> float:
        """The standard error with n - 1, as in Bailey and Lopez de Prado."""
        return math.sqrt(self.spread / (self.observations - 1))

    def probability_above(self, benchmark: float) -> float:
        """The probabilistic Sharpe ratio."""
        return _NORMAL.cdf((self.sharpe - benchmark) / self.error)

    def needed(self, benchmark: float, confidence: float) -> float:
        """The minimum track record length, in periods."""
        return 1 + self.spread * (_NORMAL.inv_cdf(confidence) / (self.sharpe - benchmark)) ** 2


def expected_maximum(trials: int, variance: float) -> float:
    """The highest Sharpe ratio to be expected of so many trials without skill (Bailey and others 2014)."""
    if trials == 1:
        return 0.0
    high, higher = (_NORMAL.inv_cdf(1 - 1 / (trials * e)) for e in (1, math.e))
    return math.sqrt(variance) * ((1 - EULER) * high + EULER * higher)


def time_factor(rho: Sequence[float], q: int) -> float:
    """eta(q) of Lo (2002), equation 20: by what a Sharpe ratio of one period is multiplied for one of q.

    *rho* of order 1, 2, ..; those not given are zero. Raises NotComputed where they cannot be.
    """
    inner = q + 2 * sum((q - k) * r for k, r in enumerate(rho[: q - 1], 1))
    if inner <= 0:
        raise NotComputed(f"needs autocorrelations under which a sum of {q} returns varies; these leave it {inner:g}")
    return q / math.sqrt(inner)


def powers(first: Sequence[float], q: int) -> list[float]:
    """The autocorrelations of an AR(1) with this *first* one, up to order q - 1. Raises NotComputed for more."""
    if len(first) != 1:
        raise NotComputed(f"needs one autocorrelation for ar1; got {len(first)}")
    return [first[0] ** k for k in range(1, q)]


def autocorrelations(values: NDArray[np.float64], lags: int) -> list[float]:
    """Those of order 1 to *lags*, about the mean of all, with the divisor n."""
    away = values - values.mean()
    total = float(away @ away)
    return [float(away[k:] @ away[:-k]) / total for k in range(1, lags + 1)]


def hac_error(excess: NDArray[np.float64], sharpe: float, lags: int) -> float:
    """Standard error by GMM (Lo 2002, appendix A): the ratio's long-run variance, by Bartlett weights."""
    away, variance = excess - excess.mean(), float(excess.var())
    influence = away / math.sqrt(variance) - sharpe / (2 * variance) * (away**2 - variance)
    n = len(excess)
    total = float(influence @ influence) / n
    for k in range(1, lags + 1):
        total += 2 * (1 - k / (lags + 1)) * float(influence[k:] @ influence[:-k]) / n
    return math.sqrt(max(total, 0.0) / n)
