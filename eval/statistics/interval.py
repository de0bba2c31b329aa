"""A mean difference with its bounds: clusters are drawn where enough of them differ, else signs are flipped."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from openoutcry.eval.statistics import bootstrap, signs, unseen
from openoutcry.eval.statistics.clusters import Array, Bools, Ints, totals

FEW = 30
DRAWS = 10_000
DIGITS = 9
"""Decimals of a mean and its bounds, so that the rounding of a sum of thirds is not taken for a gain."""
Method = Literal["bootstrap", "signs", "unseen"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over cases, the one-sided bounds around it, and its standard error by clusters (linearised)."""

    estimate: float
    low: float
    high: float
    error: float
    cases: int
    clusters: int
    method: Method


def intervals(
    values: Array,
    members: Bools,
    clusters: Ints,
    alphas: Array,
    *,
    few: int = FEW,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Interval]:
    """One interval a column: the mean of a column of *values* over the cases that are *members* of it.

    *values* and *members* are cases x columns, *clusters* (cases,) whole numbers from 0 on, *alphas* (columns,) the
    one-sided level of each bound. Values are differences of scores: bounds are cut to -1 and 1. A column where fewer
    than *few* clusters show a difference, of whatever number, is bounded by `signs`: draws among so few that are not
    zero would find four wins to none a gain at 2.5 %, which is one chance in sixteen. No NaN is allowed, and each
    column needs a case.
    """
    sums = totals(np.where(members, values, 0.0), clusters)
    sizes = totals(members.astype(np.float64), clusters)
    held = (np.abs(sums) > 1e-9).sum(axis=0)
    bounded: dict[int, tuple[float, float]] = {}
    if len(many := np.flatnonzero(held >= few)):
        there = (sizes[:, many] > 0).sum(axis=0)
        levels = np.array([bootstrap.expanded(float(alphas[j]), int(n)) for j, n in zip(many, there, strict=True)])
        enough = bootstrap.enough(draws, float(levels.min()))
        drawn = bootstrap.means(sums[:, many], sizes[:, many], enough, seed)
        low, high = bootstrap.percentiles(drawn, levels)
        bounded = {int(j): (float(low[i]), float(high[i])) for i, j in enumerate(many)}
    for j in np.flatnonzero(held < few):
        there, alpha = sizes[:, j] > 0, float(alphas[j])
        flipped = signs.subsets(sums[there, j], sizes[there, j], bootstrap.enough(draws, alpha), seed)
        bounded[int(j)] = signs.bounds(flipped, alpha)
    methods: list[Method] = ["bootstrap" if count >= few else "signs" for count in held]
    return [_interval(sums[:, j], sizes[:, j], *bounded[j], method) for j, method in enumerate(methods)]


def wary(
    values: Array, members: Bools, clusters: Ints, alphas: Array, *, draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """As `intervals`, for what must not be worse: bounds by `unseen`, which a loss of few clusters does not slip by.

    Against a margin it is not enough that nothing, or little, was seen to differ.
    """
    sums = totals(np.where(members, values, 0.0), clusters)
    sizes = totals(members.astype(np.float64), clusters)
    enough = bootstrap.enough(draws, float(alphas.min()))
    low, high = unseen.bounds(sums, sizes, alphas, enough, seed)
    return [_interval(sums[:, j], sizes[:, j], float(low[j]), float(high[j]), "unseen") for j in range(values.shape[1])]


def _interval(sums: Array, sizes: Array, low: float, high: float, method: Method) -> Interval:
    cases, clusters = float(sizes.sum()), int((sizes > 0).sum())
    return Interval(
        estimate=round(float(sums.sum() / cases), DIGITS),
        low=round(max(low, -1.0), DIGITS),
        high=round(min(high, 1.0), DIGITS),
        error=linearised(sums, sizes),
        cases=round(cases),
        clusters=clusters,
        method=method,
    )


def linearised(sums: Array, sizes: Array) -> float:
    """Standard error of a mean over cases in clusters, by Taylor's linearisation (Cochran 1977, section 6.13).

    1 where a single cluster leaves it unknown: a share cannot be further off.
    """
    clusters = int((sizes > 0).sum())
    if clusters < 2:
        return 1.0
    residuals = sums - sizes * (sums.sum() / sizes.sum())
    return math.sqrt(float(residuals @ residuals) * clusters / (clusters - 1)) / float(sizes.sum())
