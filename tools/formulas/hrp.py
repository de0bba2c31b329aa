"""Hierarchical risk parity: a tree of the assets, and their variance shared out down its halves."""

from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Linkage = Literal["single", "complete", "average", "weighted", "ward"]
Distance = Literal["columns", "correlation"]
LeafOrder = Literal["tree", "optimal"]


def hierarchical(
    covariance: Array, bounds: tuple[float, float], linkage: Linkage, distance: Distance, leaf_order: LeafOrder
) -> Array:
    """Weights after Lopez de Prado, Building Diversified Portfolios that Outperform Out of Sample (2016).

    Assets are ordered by a tree on d = sqrt((1 - correlation) / 2), or, as in the paper (`columns`), on the
    Euclidean distance between the columns of d; the ordered list is halved again and again, and each half gets a
    share that falls with the variance of its inverse-variance portfolio. skfolio's own needs returns and knows the
    first distance only.
    """
    weights = np.ones(len(covariance))
    spans = [_ordered(covariance, linkage, distance, leaf_order)]
    while spans:
        span = spans.pop()
        if len(span) < 2:
            continue
        left, right = span[: len(span) // 2], span[len(span) // 2 :]
        share = 1 - _variance(covariance, left) / (_variance(covariance, left) + _variance(covariance, right))
        share = _bounded(share, float(weights[span[0]]), (len(left), len(right)), bounds)
        weights[left] *= share
        weights[right] *= 1 - share
        spans += [left, right]
    return weights


def _ordered(covariance: Array, linkage: Linkage, distance: Distance, leaf_order: LeafOrder) -> NDArray[np.intp]:
    hierarchy: Any = import_module("scipy.cluster.hierarchy")
    spatial: Any = import_module("scipy.spatial.distance")
    spread = np.sqrt(np.diag(covariance))
    correlations = np.clip(covariance / np.outer(spread, spread), -1, 1)
    apart = np.sqrt((1 - correlations) / 2)
    np.fill_diagonal(apart, 0)
    condensed = spatial.pdist(apart) if distance == "columns" else spatial.squareform(apart, checks=False)
    tree = hierarchy.linkage(condensed, method=linkage, optimal_ordering=leaf_order == "optimal")
    return np.asarray(hierarchy.leaves_list(tree), np.intp)


def _variance(covariance: Array, part: NDArray[np.intp]) -> float:
    """The variance of the part's inverse-variance portfolio."""
    inside = covariance[np.ix_(part, part)]
    shares = 1 / np.diag(inside)
    shares = shares / shares.sum()
    return float(shares @ inside @ shares)


def _bounded(share: float, whole: float, sizes: tuple[int, int], bounds: tuple[float, float]) -> float:
    """The share of the left half, so that both halves can keep each weight within the bounds."""
    (left, right), (low, high) = sizes, bounds
    least = max(left * low / whole, 1 - right * high / whole)
    most = min(left * high / whole, 1 - right * low / whole)
    return min(max(share, least), most)
