"""Volatility estimators over one window: formulas on plain arrays, each a standard deviation of one period."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Ranged = Literal["parkinson", "garman_klass", "rogers_satchell", "garman_klass_yang_zhang", "yang_zhang"]
_LN2 = math.log(2)


def ewma(returns: Values, decay: float) -> float:
    """Exponentially weighted, zero mean: h' = decay h + (1 - decay) r^2 from h = r_1^2 (RiskMetrics 1996)."""
    n = len(returns)
    weights = (1 - decay) * decay ** np.arange(n - 1, -1, -1, dtype=np.float64)
    weights[0] = decay ** (n - 1)
    return math.sqrt(float(weights @ returns**2))


def ranged(kind: Ranged, opened: Values, high: Values, low: Values, close: Values) -> float:
    """From open, high, low and close, the first session giving the close before alone.

    Parkinson (1980); Garman and Klass (1980); Rogers and Satchell (1991); Yang and Zhang (2000), and their
    extension of Garman-Klass by the overnight jump. NaN where the estimate of a variance is below zero.
    """
    before, o, h, low_, c = close[:-1], opened[1:], high[1:], low[1:], close[1:]
    span, day, night = np.log(h / low_), np.log(c / o), np.log(o / before)
    inside = np.log(h / c) * np.log(h / o) + np.log(low_ / c) * np.log(low_ / o)
    klass = 0.5 * span**2 - (2 * _LN2 - 1) * day**2
    match kind:
        case "parkinson":
            variance = (span**2).mean() / (4 * _LN2)
        case "garman_klass":
            variance = klass.mean()
        case "rogers_satchell":
            variance = inside.mean()
        case "garman_klass_yang_zhang":
            variance = (night**2 + klass).mean()
        case "yang_zhang":
            n = len(c)
            k = 0.34 / (1.34 + (n + 1) / (n - 1))
            variance = night.var(ddof=1) + k * day.var(ddof=1) + (1 - k) * inside.mean()
    return math.sqrt(variance) if variance >= 0 else math.nan
