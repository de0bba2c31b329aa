"""Bounds of a mean that hold however the differences are spread: what was not seen may be as bad as can be.

A loss that strikes few clusters may strike none of those that were looked at, so that what was seen says nothing of it.
So one cluster more is counted, lost whole for the lower bound and won whole for the upper one, and all clusters are
weighed at random, uniformly over all ways to weigh them. Source: Gaffke (2005), "Three test statistics for a
nonparametric one-sided hypothesis on the mean of a nonnegative variable", Mathematical Methods of Statistics 14;
Learned-Miller and Thomas (2020), arXiv:1905.06208, who find it to keep its level wherever they tried it. Where each
cluster is lost whole or not at all, it is Clopper and Pearson's bound.
"""

from collections.abc import Iterator

import numpy as np

from openoutcry.eval.statistics.bootstrap import percentiles
from openoutcry.eval.statistics.clusters import CHUNK, Array


def bounds(sums: Array, sizes: Array, alphas: Array, draws: int, seed: int) -> tuple[Array, Array]:
    """One-sided lower and upper bound of each column, at its level of *alphas*, shape (columns,).

    *sums* of differences in [-1, 1] and *sizes* are of shape (clusters, columns); a cluster of size 0 is none of the
    column's. The cluster that is added is of the mean size.
    """
    mean = sizes.sum(axis=0) / (sizes > 0).sum(axis=0)
    found = [_weighed(weights, sums, sizes, mean) for weights in _weights(len(sums) + 1, draws, seed)]
    low, high = (np.concatenate(part) for part in zip(*found, strict=True))
    return percentiles(low, alphas)[0], percentiles(high, alphas)[1]


def _weighed(weights: Array, sums: Array, sizes: Array, mean: Array) -> tuple[Array, Array]:
    seen, unseen = weights[:, 1:], weights[:, :1] * mean
    total, weight = seen @ sums, seen @ sizes + unseen
    return (total - unseen) / weight, (total + unseen) / weight


def _weights(clusters: int, draws: int, seed: int) -> Iterator[Array]:
    """Weights of clusters up to a factor, in blocks of shape (some draws, clusters)."""
    rng, rows = np.random.default_rng(seed), max(1, CHUNK // clusters)
    for start in range(0, draws, rows):
        yield rng.exponential(size=(min(rows, draws - start), clusters))
