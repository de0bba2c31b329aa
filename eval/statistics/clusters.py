"""Which cases share their luck, and what they sum to: what every resampling here stands on."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
CHUNK = 4_000_000
"""Entries of a block of draws: 32 MB, whatever the number of draws."""


def codes(names: Sequence[str]) -> Ints:
    """The clusters of cases as whole numbers from 0 on, shape (cases,)."""
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def totals(values: Array, clusters: Ints) -> Array:
    """Sums by cluster of each column of *values* (cases x columns): shape (clusters, columns)."""
    found = np.zeros((int(clusters.max()) + 1, values.shape[1]))
    np.add.at(found, clusters, values)
    return found


def counts(clusters: int, draws: int, seed: int) -> Iterator[Array]:
    """How often each cluster is drawn when as many as there are are drawn with replacement, *draws* times.

    Blocks of shape (some draws, clusters); each row sums to *clusters*. The same seed gives the same draws.
    """
    rng, rows = np.random.default_rng(seed), max(1, CHUNK // clusters)
    for start in range(0, draws, rows):
        size = min(rows, draws - start)
        drawn = rng.integers(0, clusters, (size, clusters)) + clusters * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * clusters).reshape(size, clusters).astype(np.float64)
