"""Bid-ask spreads out of bars, in logarithms of prices: squares of spreads, or spreads of two days each."""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_K = 3 - 2 * math.sqrt(2)


def edge(opened: Values, high: Values, low: Values, close: Values) -> float | None:
    """The squared spread of Ardia, Guidotti and Kroencke (2024); None where the bars move too little for one."""
    o, h, low_ = np.log(opened[1:]), np.log(high[1:]), np.log(low[1:])
    h1, l1, c1 = np.log(high[:-1]), np.log(low[:-1]), np.log(close[:-1])
    m, m1 = (h + low_) / 2, (h1 + l1) / 2
    moved = (h != low_) | (low_ != c1)
    at_open = _share((o != h) & moved) + _share((o != low_) & moved)
    at_close = _share((c1 != h1) & moved) + _share((c1 != l1) & moved)
    if moved.sum() < 2 or at_open == 0 or at_close == 0:
        return None

    def centred(change: Values) -> Values:
        return change - moved * (change.mean() / moved.mean())

    opening, whole, night = centred(m - o), centred(m - c1), centred(o - c1)
    first = -4 * (opening * (o - m1) / at_open + whole * (c1 - m1) / at_close)
    second = -4 * (opening * (o - c1) / at_open + night * (c1 - m1) / at_close)
    v1, v2 = float(first.var()), float(second.var())
    if v1 + v2 == 0:
        return float(first.mean() + second.mean()) / 2
    return float(v2 * first.mean() + v1 * second.mean()) / (v1 + v2)


def _share(which: NDArray[np.bool_]) -> float:
    return np.count_nonzero(which) / len(which)


def abdi_ranaldo(high: Values, low: Values, close: Values) -> Values:
    """Squared spreads of Abdi and Ranaldo (2017), one of each two days."""
    middle, c = (np.log(high) + np.log(low)) / 2, np.log(close)
    return 4 * (c[:-1] - middle[:-1]) * (c[:-1] - middle[1:])


def corwin_schultz(high: Values, low: Values, close: Values, *, overnight: bool) -> Values:
    """Spreads of Corwin and Schultz (2012), one of each two days; the gap *overnight* taken out of the second."""
    before, h, low_ = close[:-1], high[1:], low[1:]
    gap = np.maximum(0, before - h) + np.minimum(0, before - low_) if overnight else np.zeros(len(h))
    ranges = np.log(high / low) ** 2
    beta = ranges[:-1] + ranges[1:]
    gamma = np.log(np.maximum(h + gap, high[:-1]) / np.minimum(low_ + gap, low[:-1])) ** 2
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / _K - np.sqrt(gamma / _K)
    return 2 * np.tanh(alpha / 2)


def roll(changes: Values, ddof: int) -> float:
    """The squared spread of Roll (1984): -4 times the covariance of each change with the one before."""
    later, earlier = changes[1:], changes[:-1]
    return float(-4 * ((later - later.mean()) * (earlier - earlier.mean())).sum() / (len(later) - ddof))
