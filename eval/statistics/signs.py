"""Few clusters that differ: signs of whole clusters are flipped, and bounds are where that test begins to reject.

Without a gain, a cluster's sum of differences is as likely as its negative. Flipping the signs of sums from which a
supposed mean is taken gives, for a one-sided test, the condition that the mean over the flipped clusters alone is at
most that mean; so the bounds are order statistics of the means over subsets of clusters. Source: Hartigan (1969),
"Using subsample values as typical values", JASA 64; Fisher (1935), chapter 3, for the test. Exact for symmetric sums
where all flips are counted.
"""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from openoutcry.eval.statistics.clusters import CHUNK, Array


def subsets(sums: Array, sizes: Array, draws: int, seed: int) -> Array:
    """Means over the flipped clusters, one a flip, in ascending order; NaN, at the end, where none is flipped.

    *sums* and *sizes* are of shape (clusters,). All 2^clusters flips are counted where *draws* allows it; else *draws*
    of them are drawn, of which one flips nothing (Phipson and Smyth 2010: no p-value is zero).
    """
    both = np.column_stack([sums, sizes])
    flipped, weights = np.concatenate([block @ both for block in _flips(len(sums), draws, seed)]).T
    return np.sort(np.divide(flipped, weights, out=np.full(len(flipped), np.nan), where=weights > 0))


def _flips(clusters: int, draws: int, seed: int) -> Iterator[Array]:
    """Which clusters are flipped, in blocks of shape (some flips, clusters)."""
    if 2**clusters <= draws:
        yield np.array(list(product((0.0, 1.0), repeat=clusters)))
        return
    rng, rows = np.random.default_rng(seed), max(1, CHUNK // clusters)
    yield np.zeros((1, clusters))
    for start in range(1, draws, rows):
        yield rng.integers(0, 2, (min(rows, draws - start), clusters)).astype(np.float64)


def bounds(means: Array, alpha: float) -> tuple[float, float]:
    """One-sided lower and upper bound at level *alpha* each, of the means by `subsets`.

    -inf and inf where the clusters are too few for the level: five are needed for 0.05, six for 0.025.
    """
    place = math.floor(alpha * len(means) + 1e-9)
    known = means[~np.isnan(means)]
    none = len(means) - len(known)
    if place < none:
        return -math.inf, math.inf
    return float(known[place - none]), float(known[len(known) - 1 - (place - none)])
