"""The paired cluster bootstrap: clusters are drawn with replacement, and the cases of one stay together.

Source: Cameron, Gelbach and Miller (2008), "Bootstrap-based improvements for inference with clustered errors", and
Efron and Tibshirani (1993), chapter 13, for percentile intervals. It needs some thirty clusters to be trusted.
"""

import math
from importlib import import_module
from typing import Any

import numpy as np

from openoutcry.eval.statistics.clusters import Array, Ints, counts


def means(sums: Array, sizes: Array, draws: int, seed: int) -> Array:
    """Means of each column in each draw: the sums of the clusters drawn over their sizes, so that cases weigh alike.

    *sums* and *sizes* are clusters x columns; the result is draws x columns, NaN where a draw has no case of a column.
    All columns share their draws, so that one matrix product serves the whole and every category.
    """
    both, columns = np.hstack([sums, sizes]), sums.shape[1]
    drawn = np.concatenate([block @ both for block in counts(len(sums), draws, seed)])
    return np.divide(
        drawn[:, :columns], drawn[:, columns:], out=np.full((draws, columns), np.nan), where=drawn[:, columns:] > 0
    )


def percentiles(drawn: Array, alphas: Array) -> tuple[Array, Array]:
    """The lower and the upper bound of each column at its own one-sided level; a draw on the bound's outer side."""
    low, high = np.empty(len(alphas)), np.empty(len(alphas))
    for j, alpha in enumerate(alphas):
        low[j] = np.nanquantile(drawn[:, j], alpha, method="lower")
        high[j] = np.nanquantile(drawn[:, j], 1 - alpha, method="higher")
    return low, high


def expanded(alpha: float, clusters: int) -> float:
    """The level at which percentiles are taken so that a bound holds at level *alpha*: a little further out.

    Phi(sqrt(n / (n - 1)) * t(alpha, n - 1)), for draws of few clusters vary too little: the expanded percentile
    interval of Hesterberg (2015), "What Teachers Should Know About the Bootstrap", The American Statistician 69.
    """
    stats: Any = import_module("scipy.stats")
    return float(stats.norm.cdf(math.sqrt(clusters / (clusters - 1)) * stats.t.ppf(alpha, clusters - 1)))


def enough(draws: int, alpha: float) -> int:
    """*draws*, or as many as leave twenty beyond a bound at level *alpha*: fewer would make the bound a lottery."""
    return max(draws, int(np.ceil(20 / alpha)))


def quantiles(values: Array, clusters: Ints, q: float, draws: int, seed: int) -> Array:
    """The *q*-quantile of *values* (any number a cluster) in each draw of clusters: shape (draws,).

    The quantile is an observed value, the first at which the share of those at or below reaches *q*.
    """
    order = np.argsort(values, kind="stable")
    ordered, places = values[order], clusters[order]
    found: list[Array] = []
    for block in counts(int(clusters.max()) + 1, draws, seed):
        for weights in np.array_split(block, max(1, len(block) * len(values) // 1_000_000)):
            reached = np.cumsum(weights[:, places], axis=1)
            found.append(ordered[np.argmax(reached >= q * reached[:, -1:] - 1e-9, axis=1)])
    return np.concatenate(found)
