"""Value at risk and expected shortfall as formulas: plain arrays of returns in, losses as positive numbers out.

Every function takes a series, or a matrix with a series a column, and gives one number a series (0-d of a
single one). Returns are finite; a caller refuses gaps, constant series and too few rows before.
"""

import math
from importlib import import_module
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
Quantile = Literal[
    "linear",
    "order_statistic",
    "lower",
    "higher",
    "nearest",
    "midpoint",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
]
Shortfall = Literal["at_or_beyond", "beyond", "coherent"]
_NORMAL = NormalDist()


class Tail(NamedTuple):
    """Value at risk and expected shortfall, in the unit of the returns."""

    var: Values
    es: Values


class Moments(NamedTuple):
    """Mean, standard deviation, skewness and excess kurtosis (the last two of the population)."""

    mean: Values
    sd: Values
    skewness: Values
    excess_kurtosis: Values


def beyond(n: int, confidence: float) -> float:
    """How many of *n* returns lie in the tail, n (1 - confidence), free of the rounding of 1 - 0.95."""
    return round(n * (1 - confidence), 9)


def historical(
    returns: ArrayLike, confidence: float, quantile: Quantile = "linear", shortfall: Shortfall | None = None
) -> Tail:
    """The quantile of the returns at 1 - *confidence*, negated, and the mean loss in the tail.

    *quantile*: `linear` is type 7 of Hyndman and Fan (1996), `order_statistic` the k-th worst return,
    k = ceil(n (1 - confidence)) (type 1; Hull, Risk Management and Financial Institutions), the others are
    those of numpy.quantile. *shortfall*: the mean of the losses `at_or_beyond` the VaR, of those strictly
    `beyond` it (NaN where there are none), or `coherent`: the mean of the worst n (1 - confidence) losses, the
    last one in part (Acerbi and Tasche 2002; Rockafellar and Uryasev 2002). If not given it is coherent for
    `order_statistic` and at_or_beyond else.
    """
    losses = -np.asarray(returns, np.float64)
    n = len(losses)
    rule = shortfall or ("coherent" if quantile == "order_statistic" else "at_or_beyond")
    if quantile == "order_statistic":
        low, part = n - max(math.ceil(beyond(n, confidence)), 1), 0.0
    elif quantile == "linear":
        part, low = math.modf((n - 1) * confidence)
    else:
        known: Any = np.quantile(-losses, round(1 - confidence, 12), axis=0, method=quantile)
        return _by_rule(np.asarray(-known), np.sort(losses, axis=0), losses[:0], confidence, rule, n)
    parted = np.partition(losses, int(low), axis=0)
    worst = np.sort(parted[int(low) :], axis=0)
    return _by_rule(_between(worst, part), worst, parted[: int(low)], confidence, rule, n)


def _between(worst: Values, part: float) -> Values:
    """From the first towards the second, rounded as numpy.quantile rounds."""
    first, second = worst[0], worst[min(1, len(worst) - 1)]
    step = second - first
    return np.asarray(first + step * part if part < 0.5 else second - step * (1 - part))


def _by_rule(var: Values, worst: Values, rest: Values, confidence: float, rule: Shortfall, n: int) -> Tail:
    """With the shortfall of the sorted *worst* losses; those of the *rest* are no greater than them."""
    if rule == "coherent":
        return Tail(var, _coherent(worst, beyond(n, confidence)))
    kept = worst > var if rule == "beyond" else worst >= var
    total, number = np.where(kept, worst, 0.0).sum(axis=0), kept.sum(axis=0)
    if rule == "at_or_beyond" and (worst[0] == var).any():
        ties = (rest == var).sum(axis=0)
        total, number = total + ties * var, number + ties
    with np.errstate(invalid="ignore"):
        return Tail(var, np.asarray(total / number))


def _coherent(worst: Values, tail: float) -> Values:
    whole = int(tail)
    last = worst[len(worst) - 1 - whole] if tail > whole else 0.0
    return np.asarray((worst[len(worst) - whole :].sum(axis=0) + (tail - whole) * last) / tail)


def age_weighted(returns: ArrayLike, confidence: float, decay: float) -> Tail:
    """Historical with a weight that falls by *decay* a day of age (Boudoukh, Richardson and Whitelaw 1998).

    The newest return is last. VaR is the loss at which the weights of the worst add to 1 - *confidence*; ES is
    the weighted mean of the losses up to there, the last in part (Hull, Options, Futures, chapter 22). A
    *decay* of 1 weighs all alike. One series.
    """
    losses = -np.asarray(returns, np.float64)
    weights = decay ** np.arange(len(losses) - 1, -1, -1, dtype=np.float64)
    order = np.argsort(-losses, kind="stable")
    ranked, tail = losses[order], 1 - confidence
    total = np.cumsum(weights[order] / weights.sum())
    at = min(int(np.searchsorted(total, tail - 1e-12)), len(total) - 1)
    used = np.diff(np.minimum(total[: at + 1], tail), prepend=0.0)
    return Tail(np.asarray(ranked[at]), np.asarray((used * ranked[: at + 1]).sum() / tail))


def gaussian(mean: ArrayLike, sd: ArrayLike, confidence: float) -> Tail:
    """Of a normal distribution; ES after McNeil, Frey and Embrechts, Quantitative Risk Management, ex. 2.14."""
    z = _NORMAL.inv_cdf(confidence)
    mean, sd = np.asarray(mean, np.float64), np.asarray(sd, np.float64)
    return Tail(np.asarray(-mean + sd * z), np.asarray(-mean + sd * _NORMAL.pdf(z) / (1 - confidence)))


def student_t(mean: ArrayLike, sd: ArrayLike, confidence: float, degrees_of_freedom: float) -> Tail:
    """Of a Student t scaled to the standard deviation *sd*; *degrees_of_freedom* above 2."""
    nu = degrees_of_freedom
    return located_t(mean, np.asarray(sd, np.float64) * math.sqrt((nu - 2) / nu), confidence, nu)


def located_t(location: ArrayLike, scale: ArrayLike, confidence: float, degrees_of_freedom: float) -> Tail:
    """Of location + scale t (McNeil, Frey and Embrechts, example 2.15); *degrees_of_freedom* above 1."""
    t: Any = import_module("scipy.stats").t
    nu, location, scale = degrees_of_freedom, np.asarray(location, np.float64), np.asarray(scale, np.float64)
    q = float(t.ppf(confidence, nu))
    tail = float(t.pdf(q, nu)) / (1 - confidence) * (nu + q * q) / (nu - 1)
    return Tail(np.asarray(-location + scale * q), np.asarray(-location + scale * tail))


def moments(returns: ArrayLike, ddof: int = 0) -> Moments:
    """The first four; *ddof* is that of the standard deviation alone."""
    values = np.asarray(returns, np.float64)
    mean = values.mean(axis=0)
    away = values - mean
    square = away * away
    m2, m3, m4 = square.mean(axis=0), (square * away).mean(axis=0), (square * square).mean(axis=0)
    sd = np.sqrt(m2 * (len(values) / (len(values) - ddof)))
    return Moments(np.asarray(mean), np.asarray(sd), np.asarray(m3 / m2**1.5), np.asarray(m4 / (m2 * m2) - 3))


def cornish_fisher(returns: ArrayLike, confidence: float, ddof: int = 0, *, one_divisor: bool = False) -> Tail:
    """Modified VaR and ES of a sample; see `modified`. With *ddof* 0 as R's PerformanceAnalytics.

    *one_divisor* standardises skewness and kurtosis by the deviation of *ddof* too, as its component VaR does.
    """
    of, shrunk = moments(returns, ddof), 1 - ddof / len(np.asarray(returns))
    if one_divisor:
        kurtosis = (of.excess_kurtosis + 3) * shrunk**2
        of = of._replace(skewness=of.skewness * shrunk**1.5, excess_kurtosis=kurtosis - 3)
    return modified(of, confidence)


def modified(of: Moments, confidence: float, *, operational: bool = True) -> Tail:
    """Cornish-Fisher VaR, and ES by the Edgeworth expansion (Boudt, Peterson and Croux 2008).

    An *operational* ES is no less than the VaR, as PerformanceAnalytics gives it by default.
    """
    alpha = 1 - confidence
    s, k = of.skewness, of.excess_kurtosis
    h = _expanded(_NORMAL.inv_cdf(alpha), s, k)
    density = np.exp(-h * h / 2) / math.sqrt(2 * math.pi)
    tail = density * (1 + h**3 * s / 6 + (h**4 - 2 * h**2 - 1) * k / 24 + (h**6 - 9 * h**4 + 9 * h**2 + 3) * s**2 / 72)
    reach = np.minimum(-tail / alpha, h) if operational else -tail / alpha
    return Tail(np.asarray(-of.mean - of.sd * h), np.asarray(-of.mean - of.sd * reach))


def integrated_shortfall(of: Moments, confidence: float) -> Values:
    """The mean of the Cornish-Fisher quantiles beyond the VaR (Maillard 2012, A User's Guide)."""
    alpha = 1 - confidence
    z = _NORMAL.inv_cdf(alpha)
    s, k = of.skewness, of.excess_kurtosis
    reach = _NORMAL.pdf(z) / alpha * (1 + z * s / 6 + (z * z - 1) * k / 24 - (2 * z * z - 1) * s**2 / 36)
    return np.asarray(-of.mean + of.sd * reach)


def _expanded(z: float, s: Values, k: Values) -> Values:
    """The Cornish-Fisher quantile of a standardised variable (Cornish and Fisher 1938)."""
    return z + (z * z - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36


def lognormal_returns(mean: float, sd: float, horizon: int, simulations: int, seed: int) -> Values:
    """Simple returns over *horizon* of a geometric Brownian motion with this *mean* and *sd* of log returns."""
    chance = np.random.default_rng(seed)
    return np.expm1(mean * horizon + sd * math.sqrt(horizon) * chance.standard_normal(simulations))


def monte_carlo(
    returns: ArrayLike, confidence: float, horizon: int = 1, simulations: int = 100_000, seed: int = 0, ddof: int = 1
) -> Tail:
    """Of simulated *horizon* returns: geometric Brownian motion with the sample's log mean and deviation.

    The linear quantile of the simulated returns, and the mean at or beyond it. One series above -1.
    """
    logs = np.log1p(np.asarray(returns, np.float64))
    drawn = lognormal_returns(float(logs.mean()), float(logs.std(ddof=ddof)), horizon, simulations, seed)
    return historical(drawn, confidence)
