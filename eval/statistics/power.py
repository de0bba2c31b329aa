"""What a look can see: the smallest gain that it finds with the power that its terms ask for."""

import math
from importlib import import_module
from typing import Any

from openoutcry.eval.terms import Terms

CHANCE = 0.094
"""Variance of a case from epoch to epoch: half of the 3/16 of a score that is right three times in four."""
DIFFERENCE = 0.04
"""Variance, from case to case, of what two models truly differ by: a deviation of twenty points."""
LIKENESS = 0.05
"""Correlation of the differences of two cases of one cluster."""


def planned_spread(cases: int, clusters: int, epochs: int) -> float:
    """The standard error of the gain times the root of the number of cases, as assumed where nothing was measured.

    The variance of a case's difference is what models truly differ by and twice the chance of an epoch over the
    epochs; cases in clusters of m inflate it by 1 + (m - 1) * LIKENESS (Kish 1965, the design effect).
    """
    effect = 1 + (cases / clusters - 1) * LIKENESS
    return math.sqrt((DIFFERENCE + 2 * CHANCE / epochs) * effect)


def detectable(terms: Terms, cases: int, clusters: int, alpha: float, spread: float | None = None) -> float:
    """The minimum detectable gain, as a share of cases, at one-sided level *alpha* and the power of the *terms*.

    (t(1 - alpha) + t(power)) * spread / sqrt(cases), with t of clusters - 1 degrees of freedom (Bloom 1995; Hayes and
    Moulton 2017, section 7, for clusters). *spread* is that of an earlier look, `spread` among the figures of its
    criterion "gain"; without one, `planned_spread`. 1 where the clusters are too few for any gain to be found.
    """
    if clusters < 2 or (clusters < terms.few_clusters and alpha * 2**clusters < 1):
        return 1.0
    stats: Any = import_module("scipy.stats")
    scale = planned_spread(cases, clusters, terms.epochs) if spread is None else spread
    steps = float(stats.t.ppf(1 - alpha, clusters - 1) + stats.t.ppf(terms.power, clusters - 1))
    return min(1.0, steps * scale / math.sqrt(cases))
