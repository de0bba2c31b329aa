"""A case over its epochs: its score, whether it is right, and whether it always is."""

import numpy as np

from openoutcry.eval.statistics.clusters import Array, Bools


def majority(scores: Array) -> Bools:
    """Whether each case is right in more than half of its epochs; *scores* is cases x epochs, or their means.

    McNemar's test takes this outcome: it is of the same thing as the mean score, while `always` is judged by itself.
    """
    means = scores if scores.ndim == 1 else scores.mean(axis=1)
    return np.asarray(means > 0.5)


def always(scores: Array) -> Array:
    """1 for each case that is right in all k epochs, else 0; its mean is pass^k (Yao et al. 2024, tau-bench)."""
    return np.all(scores >= 1.0, axis=1).astype(np.float64)
