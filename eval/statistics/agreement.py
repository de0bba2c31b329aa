"""How far two raters agree beyond chance: what a judge must show before it is heard."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from openoutcry.core.errors import UsageError
from openoutcry.eval.statistics.clusters import Array
from openoutcry.eval.statistics.proportions import clopper_pearson


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa with bounds, the plain share of agreement, and the number of labels."""

    value: float
    low: float
    high: float
    share: float
    count: int


def kappa(first: Sequence[bool], second: Sequence[bool], alpha: float = 0.025) -> Kappa:
    """Cohen's kappa (1960) of two raters' labels, with bounds at one-sided level *alpha* each.

    The bounds are by the variance of Fleiss, Cohen and Everitt (1969). That is zero where all agree, however few, so
    the lower one is never above kappa at Clopper and Pearson's bound of the share of agreement. Where chance alone
    would agree always (one label, everywhere) kappa tells nothing: 0, between -1 and 1. Raises UsageError for no
    labels, or numbers of them that differ.
    """
    if len(first) != len(second) or not first:
        raise UsageError(f"expected as many labels of one rater as of the other, got {len(first)} and {len(second)}")
    count, table = len(first), np.zeros((2, 2))
    np.add.at(table, (np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)), 1 / count)
    share, chance = float(np.trace(table)), float(table.sum(axis=0) @ table.sum(axis=1))
    if math.isclose(chance, 1.0):
        return Kappa(0.0, -1.0, 1.0, share, count)
    value = (share - chance) / (1 - chance)
    stats: Any = import_module("scipy.stats")
    width = math.sqrt(_variance(table, share, chance) / count) * float(stats.norm.ppf(1 - alpha))
    floor = (clopper_pearson(share * count, count, alpha)[0] - chance) / (1 - chance)
    return Kappa(value, max(-1.0, min(value - width, floor)), min(1.0, value + width), share, count)


def _variance(table: Array, share: float, chance: float) -> float:
    """The variance of kappa times the number of labels; *table* holds shares. Fleiss, Cohen and Everitt's (13)."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    agreed = np.diag(table) @ ((1 - chance) - (rows + columns) * (1 - share)) ** 2
    apart = (table - np.diag(np.diag(table))) * (columns[:, None] + rows[None, :]) ** 2
    found = agreed + (1 - share) ** 2 * apart.sum() - (share * chance - 2 * chance + share) ** 2
    return max(0.0, float(found)) / (1 - chance) ** 4
