"""What each line of a portfolio adds to its value at risk and expected shortfall: parts that sum to the whole.

Euler's rule: both are homogeneous of degree one in the holdings, so a line's part is its size times the
derivative (Tasche 1999; Gourieroux, Laurent and Scaillet 2000). Matrices have a scenario a row and a line a column.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openoutcry.tools.formulas import tails

Values = NDArray[np.float64]
Rule = Literal["linear", "order_statistic"]
STEP = 1e-4


class Parts(NamedTuple):
    """Value at risk and expected shortfall of the whole, and of each line."""

    var: float
    es: float
    var_parts: Values
    es_parts: Values


def historical(changes: Values, confidence: float, quantile: Rule = "linear") -> Parts:
    """From scenarios: the lines' own losses in the scenario of the VaR, and their mean in the tail."""
    total = changes.sum(axis=1)
    tail = tails.historical(total, confidence, quantile)
    worst = np.argsort(-total, kind="stable")  # losses, smallest first
    n = len(total)
    if quantile == "order_statistic":
        low, part = n - max(math.ceil(tails.beyond(n, confidence)), 1), 0.0
    else:
        part, low = math.modf((n - 1) * confidence)
    first, second = worst[int(low)], worst[min(int(low) + 1, n - 1)]
    at = -(changes[first] * (1 - part) + changes[second] * part)
    return Parts(float(tail.var), float(tail.es), at, _tail_parts(changes, total, float(tail.var), float(tail.es)))


def simulated(changes: Values, confidence: float, band: float = 0.1) -> Parts:
    """From many simulated scenarios: the mean of the lines' losses near the VaR, scaled to sum to it.

    Near is within *band* of the tail's size on either side, so that one draw does not decide.
    """
    total = changes.sum(axis=1)
    tail = tails.historical(total, confidence)
    var, es = float(tail.var), float(tail.es)
    order = np.argsort(total, kind="stable")
    size = len(total) * (1 - confidence)
    near = order[int(size * (1 - band)) : int(size * (1 + band)) + 1]
    parts = -changes[near].mean(axis=0)
    return Parts(var, es, parts * (var / parts.sum()), _tail_parts(changes, total, var, es))


def _tail_parts(changes: Values, total: Values, var: float, es: float) -> Values:
    parts = -changes[-total >= var].mean(axis=0)
    return parts * (es / parts.sum()) if parts.sum() else parts


def gaussian(mean: Values, covariance: Values, deltas: Values, confidence: float) -> Parts:
    """Of normal returns with *mean* and *covariance* by line, each line *deltas* large."""
    normal = NormalDist()
    z, tail = normal.inv_cdf(confidence), normal.pdf(normal.inv_cdf(confidence)) / (1 - confidence)
    sd = math.sqrt(float(deltas @ covariance @ deltas))
    drift, spread = -deltas * mean, deltas * (covariance @ deltas) / sd
    var_parts, es_parts = drift + z * spread, drift + tail * spread
    return Parts(float(var_parts.sum()), float(es_parts.sum()), var_parts, es_parts)


def cornish_fisher(changes: Values, confidence: float, ddof: int, *, one_divisor: bool = False) -> Parts:
    """Modified VaR and ES of the summed scenarios, with parts by central differences of its closed form."""

    def of(sizes: Values) -> tails.Tail:
        return tails.cornish_fisher(changes @ sizes, confidence, ddof, one_divisor=one_divisor)

    ones = np.ones(changes.shape[1])
    whole = of(ones)
    var_parts = _slopes(lambda s: float(of(s).var), ones)
    es_parts = _slopes(lambda s: float(of(s).es), ones)
    return Parts(float(whole.var), float(whole.es), var_parts, es_parts)


def _slopes(function: Callable[[Values], float], at: Values) -> Values:
    steps = np.eye(len(at)) * STEP
    return np.array([(function(at + s) - function(at - s)) / (2 * STEP) for s in steps])
