"""Exact statements about shares of cases: Clopper and Pearson's bounds, the same by clusters, and McNemar's test."""

from importlib import import_module
from typing import Any

import numpy as np

from openoutcry.eval.statistics.clusters import Array, Ints, totals
from openoutcry.eval.statistics.interval import linearised


def clopper_pearson(successes: float, trials: float, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of a share at one-sided level *alpha* each (Clopper and Pearson 1934).

    *successes* and *trials* may be fractions, as an effective sample size is. (0, 1) for no trial.
    """
    if trials <= 0:
        return 0.0, 1.0
    stats: Any = import_module("scipy.stats")
    left = trials - successes
    low = float(stats.beta.ppf(alpha, successes, left + 1)) if successes > 0 else 0.0
    high = float(stats.beta.ppf(1 - alpha, successes + 1, left)) if left > 0 else 1.0
    return low, high


def clustered_share(scores: Array, clusters: Ints, alpha: float) -> tuple[float, float]:
    """Bounds of the mean of *scores* in [0, 1], shape (cases,), by clusters, at one-sided level *alpha* each.

    Clopper and Pearson's over an effective number of cases, n* = p(1-p) / v * (t(n-1) / t(clusters-1))^2, at most n:
    Korn and Graubard (1998), Survey Methodology 24. Where all cases are right, or all wrong, the variance v tells
    nothing, and clusters are counted for cases. (0, 1) for a single cluster of several cases.
    """
    cases, groups, mean = len(scores), int(clusters.max()) + 1, float(scores.mean())
    if groups == 1:
        return (0.0, 1.0) if cases > 1 else clopper_pearson(mean, 1, alpha)
    if mean in (0.0, 1.0):
        return clopper_pearson(mean * groups, groups, alpha)
    both = totals(np.column_stack([scores, np.ones(cases)]), clusters)
    variance = linearised(both[:, 0], both[:, 1]) ** 2
    effective = float(cases)
    if variance > 0:
        stats: Any = import_module("scipy.stats")
        ratio = float(stats.t.ppf(alpha, cases - 1) / stats.t.ppf(alpha, groups - 1))
        effective = min(effective, mean * (1 - mean) / variance * ratio**2)
    return clopper_pearson(mean * effective, effective, alpha)


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value of *better* cases won and *worse* lost (McNemar 1947; binomial at 1/2). 1 for none."""
    if better + worse == 0:
        return 1.0
    stats: Any = import_module("scipy.stats")
    return float(stats.binomtest(better, better + worse, 0.5).pvalue)
