"""How much more one side costs than the other, as a ratio with a lower bound by clusters."""

import numpy as np

from openoutcry.eval.statistics import bootstrap
from openoutcry.eval.statistics.clusters import Array, Ints, totals


def quantile(values: Array, q: float) -> float:
    """The *q*-quantile of *values*, an observed one: the first at which the share at or below reaches *q*."""
    return float(np.quantile(values, q, method="inverted_cdf"))


def ratio(first: float, second: float) -> float:
    """*second* over *first*: 1 where both are zero, and infinite where only the first is."""
    if first == 0:
        return 1.0 if second == 0 else np.inf
    return second / first


def mean_low(
    first: Array, second: Array, clusters: Ints, alpha: float, *, floor: float = 0.0, draws: int = 10_000, seed: int = 0
) -> float:
    """Lower bound, at one-sided level *alpha*, of the mean of *second* over that of *first* plus *floor*.

    Arrays are cases x epochs of the same cases; clusters are drawn for both at once. The percentile bootstrap of a
    ratio (Efron and Tibshirani 1993, chapter 13).
    """
    both = np.column_stack([first.mean(axis=1), second.mean(axis=1)])
    sums, sizes = totals(both, clusters), totals(np.ones_like(both), clusters)
    drawn = bootstrap.means(sums, sizes, bootstrap.enough(draws, alpha), seed)
    return _low(drawn[:, 0] + floor, drawn[:, 1], alpha)


def quantile_low(
    first: Array, second: Array, clusters: Ints, q: float, alpha: float, *, draws: int = 10_000, seed: int = 0
) -> float:
    """Lower bound, at one-sided level *alpha*, of the *q*-quantile of *second* over that of *first*; as `mean_low`."""
    draws, epochs = bootstrap.enough(draws, alpha), first.shape[1]
    places = np.repeat(clusters, epochs)
    drawn = [bootstrap.quantiles(side.ravel(), places, q, draws, seed) for side in (first, second)]
    return _low(drawn[0], drawn[1], alpha)


def _low(first: Array, second: Array, alpha: float) -> float:
    ratios = np.divide(second, first, out=np.where(second > 0, np.inf, 1.0), where=first > 0)
    return float(np.quantile(ratios, alpha, method="lower"))
