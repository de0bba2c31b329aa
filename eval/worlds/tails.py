"""What a sample of returns says by numpy, pandas and scipy: the second opinion on figures of the risk tools."""

import math
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
SESSIONS_A_YEAR = 252


class Tail(NamedTuple):
    """Value at risk and expected shortfall, as positive fractions."""

    var: float
    es: float


def spans(returns: Values, horizon: int) -> Values:
    """Overlapping simple returns over *horizon* sessions."""
    wealth = np.concatenate([[0.0], np.cumsum(np.log1p(returns))])
    return np.expm1(wealth[horizon:] - wealth[:-horizon])


def empirical(returns: Values, confidence: float) -> Tail:
    """The quantile by linear interpolation (numpy's own), and the mean of the losses at or beyond it."""
    bound = float(np.quantile(returns, 1 - confidence))
    return Tail(-bound, -float(returns[returns <= bound + 1e-15].mean()))


def normal(returns: Values, confidence: float) -> Tail:
    """Of a normal law with the sample's mean and deviation (n - 1)."""
    special: Any = import_module("scipy.special")
    z, spread = float(special.ndtri(confidence)), float(returns.std(ddof=1))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    centre = float(returns.mean())
    return Tail(spread * z - centre, spread * density / (1 - confidence) - centre)


def student(location: float, scale: float, freedom: float, confidence: float) -> float:
    """The value at risk of location + scale t, in closed form."""
    special: Any = import_module("scipy.special")
    return scale * float(special.stdtrit(freedom, confidence)) - location


def modified(returns: Values, confidence: float) -> float:
    """Modified value at risk: the Cornish-Fisher quantile with moments of the population (Boudt et al. 2008)."""
    special: Any = import_module("scipy.special")
    z = float(special.ndtri(1 - confidence))
    centre, spread = float(returns.mean()), float(returns.std())
    standard = (returns - centre) / spread
    s, k = float(np.mean(standard**3)), float(np.mean(standard**4)) - 3
    reach = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    return -(centre + spread * reach)


def annual(returns: Values, window: int) -> float:
    """Deviation (n - 1) of the last *window* returns, a year."""
    return float(returns[-window:].std(ddof=1)) * math.sqrt(SESSIONS_A_YEAR)


def weighted(returns: Values, decay: float = 0.94) -> float:
    """Exponentially weighted deviation about zero, a year, by pandas."""
    pandas: Any = import_module("pandas")
    variance = pandas.Series(returns**2).ewm(alpha=1 - decay, adjust=False).mean().iloc[-1]
    return math.sqrt(float(variance) * SESSIONS_A_YEAR)


def extreme(returns: Values, confidence: float, share: float = 0.05) -> Tail:
    """Of a generalised Pareto law through the worst *share* of losses, by its profile likelihood (Davison 1984).

    With theta = xi / beta the likelihood has its maximum over xi in closed form, so that one number is searched.
    """
    optimize: Any = import_module("scipy.optimize")
    losses = -returns
    threshold = float(np.quantile(losses, 1 - share))
    excess = losses[losses > threshold] - threshold

    def shape(theta: float) -> float:
        return float(np.log1p(theta * excess).mean())

    def badness(theta: float) -> float:
        xi = shape(theta)
        return math.log(xi / theta) + xi if abs(theta) > 1e-9 else math.log(float(excess.mean())) + 1

    lowest = -1 / float(excess.max()) * (1 - 1e-6)
    grid = np.concatenate([np.linspace(lowest, -1e-3, 200), np.geomspace(1e-3, 20 / float(excess.mean()), 400)])
    place = min(max(int(np.argmin([badness(float(t)) for t in grid])), 1), len(grid) - 2)
    bounds = (float(grid[place - 1]), float(grid[place + 1]))
    theta = float(optimize.minimize_scalar(badness, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x)
    xi = shape(theta)
    beta = xi / theta
    reach = (len(losses) / len(excess) * (1 - confidence)) ** -xi
    var = threshold + beta / xi * (reach - 1)
    return Tail(var, (var + beta - xi * threshold) / (1 - xi))


def zone(exceptions: int, observations: int, confidence: float) -> str:
    """The Basel traffic light by the binomial law: yellow from 95 %, red from 99.99 %."""
    special: Any = import_module("scipy.special")
    chance = float(special.bdtr(exceptions, observations, 1 - confidence))
    return "green" if chance < 0.95 else "yellow" if chance < 0.9999 else "red"
