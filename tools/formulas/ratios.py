"""Performance of one series as formulas: simple returns in, numbers out; NaN where a number is not defined.

Sources: Bacon, Practical Portfolio Performance Measurement and Attribution (2nd edition, 2008), and the manual of
R's PerformanceAnalytics, which follows it. The names are theirs. Rates and targets are those of one period.
"""

import math

import numpy as np
from numpy.typing import NDArray

from openoutcry.tools.formulas import tails

Values = NDArray[np.float64]


def ratio(above: float, below: float) -> float:
    """The quotient; NaN where there is nothing to divide by."""
    return above / below if below else math.nan


def compounded(returns: Values, periods: float) -> float:
    """The return a year that compounds to the same end: CAGR. NaN where nothing is left."""
    end = float(np.prod(1 + returns))
    return end ** (periods / len(returns)) - 1 if end > 0 else math.nan


def gained(returns: Values) -> dict[str, float]:
    """What was earned, in sum and a period."""
    n = len(returns)
    return {
        "total": float(np.prod(1 + returns)) - 1,
        "total_arithmetic": float(returns.sum()),
        "mean": float(returns.mean()),
        "mean_geometric": compounded(returns, 1),
        "median": float(np.median(returns)),
        "best": float(returns.max()),
        "worst": float(returns.min()),
        "standard_error_of_mean": float(returns.std(ddof=1)) / math.sqrt(n),
        "hit_rate": float((returns > 0).mean()),
    }


def shape(returns: Values) -> dict[str, float]:
    """Skewness and kurtosis: of the population (as stated), and of a sample (as Excel's SKEW and KURT).

    Bacon's sample skewness divides by the deviation of the population.
    """
    n, of = len(returns), tails.moments(returns)
    skew, excess = float(of.skewness), float(of.excess_kurtosis)
    known = {
        "skewness": skew,
        "kurtosis": excess + 3,
        "excess_kurtosis": excess,
        "skewness_kurtosis_ratio": ratio(skew, excess + 3),
        "sample_skewness": math.nan,
        "sample_skewness_bacon": math.nan,
        "sample_kurtosis": math.nan,
        "sample_excess_kurtosis": math.nan,
    }
    if n > 2:
        known["sample_skewness"] = skew * math.sqrt(n * (n - 1)) / (n - 2)
        known["sample_skewness_bacon"] = skew * n * n / ((n - 1) * (n - 2))
    if n > 3:
        kurtosis = (excess + 3) * (n + 1) * (n - 1) / ((n - 2) * (n - 3))
        known |= {
            "sample_kurtosis": kurtosis,
            "sample_excess_kurtosis": kurtosis - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)),
        }
    return known


def partial_moment(returns: Values, target: float, order: float, *, upper: bool = False) -> float:
    """The mean of the shortfalls below *target* (*upper*: of the excesses over it), each to the power *order*."""
    away = returns - target if upper else target - returns
    return float((np.maximum(away, 0) ** order).mean())


def sides(returns: Values, target: float, periods: float) -> dict[str, float]:
    """Deviation and potential below and above *target*, of all observations and of those on that side alone."""
    lower, upper = partial_moment(returns, target, 2), partial_moment(returns, target, 2, upper=True)
    below, above = float((returns < target).mean()), float((returns > target).mean())
    mean, losses, gains = float(returns.mean()), returns[returns < 0], returns[returns > 0]
    under_mean = partial_moment(returns, mean, 2)
    return {
        "downside_deviation": math.sqrt(lower),
        "annual_downside_deviation": math.sqrt(lower * periods),
        "downside_deviation_subset": math.sqrt(ratio(lower, below)) if below else math.nan,
        "downside_potential": partial_moment(returns, target, 1),
        "downside_frequency": below,
        "upside_deviation": math.sqrt(upper),
        "upside_potential": partial_moment(returns, target, 1, upper=True),
        "upside_frequency": above,
        "semi_deviation": math.sqrt(under_mean),
        "semi_variance": ratio(under_mean, float((returns < mean).mean())),
        "gain_deviation": float(gains.std(ddof=1)) if len(gains) > 1 else math.nan,
        "loss_deviation": float(losses.std(ddof=1)) if len(losses) > 1 else math.nan,
        "average_gain": float(gains.mean()) if len(gains) else math.nan,
        "average_loss": float(losses.mean()) if len(losses) else math.nan,
    }


def by_downside(returns: Values, target: float, periods: float, order: float) -> dict[str, float]:
    """Ratios of what lies above *target* to what lies below it."""
    excess = float(returns.mean()) - target
    side = sides(returns, target, periods)
    deviation, potential, rise = (side[n] for n in ("downside_deviation", "downside_potential", "upside_potential"))
    losses, gains = returns[returns < 0], returns[returns > 0]
    lost, won = -float(losses.sum()), float(gains.sum())
    sortino = ratio(excess, deviation)
    prospect = float(np.maximum(returns, 0).mean() + 2.25 * np.minimum(returns, 0).mean())
    return {
        "sortino": sortino,
        "annual_sortino": sortino * math.sqrt(periods),
        "omega": ratio(rise, potential),
        "omega_sharpe": ratio(excess, potential),
        "kappa": ratio(excess, partial_moment(returns, target, order) ** (1 / order)),
        "upside_potential_ratio": ratio(rise, deviation),
        "upside_potential_ratio_subset": ratio(
            ratio(rise, side["upside_frequency"]), side["downside_deviation_subset"]
        ),
        "volatility_skewness": ratio(side["upside_deviation"] ** 2, deviation**2),
        "variability_skewness": ratio(side["upside_deviation"], deviation),
        "prospect_ratio": ratio(prospect - target / len(returns), deviation),
        "prospect_ratio_kaplan": ratio(prospect - target, deviation),
        "gain_loss_ratio": ratio(won, lost),
        "payoff_ratio": ratio(ratio(won, len(gains)), ratio(lost, len(losses))),
        "d_ratio": ratio(len(losses) * lost, len(gains) * won),
    }


def depths(levels: Values) -> Values:
    """How far each level lies below the highest so far, as a fraction of it; 0 at a peak."""
    return np.asarray(1 - levels / np.maximum.accumulate(levels), np.float64)


def runs(returns: Values, *, percent: bool = False) -> Values:
    """The losses of each unbroken run of returns below zero, added up: the drawdowns of Burke (1994).

    As *percent* they are compounded, each return being read as percent.
    """
    starts = np.flatnonzero(np.diff((returns < 0).astype(int), prepend=0) == 1)
    losses = np.minimum(returns, 0)
    if not len(starts):
        return np.zeros(0)
    return (
        100 * np.expm1(np.add.reduceat(np.log1p(losses / 100), starts)) if percent else np.add.reduceat(losses, starts)
    )


def by_drawdown(
    returns: Values, periods: float, risk_free: float, sterling_excess: float, *, percent: bool = False
) -> dict[str, float]:
    """Ratios of the compound return a year to drawdowns; *risk_free* is a rate a year.

    As *percent*, pain, ulcer and Burke are of falls that compound each return as if it were percent, so that losses
    nearly add up: R's PerformanceAnalytics and the tables of Bacon have them so.
    """
    deepest = float(_under(returns).max())
    under = 100 * _under(returns / 100) if percent else _under(returns)
    pain, ulcer = float(under.mean()), math.sqrt(float((under**2).mean()))
    yearly = compounded(returns, periods)
    burke = ratio(yearly - risk_free, math.sqrt(float((runs(returns, percent=percent) ** 2).sum())))
    return {
        "calmar": ratio(yearly, deepest),
        "sterling": ratio(yearly, deepest + sterling_excess),
        "burke": burke,
        "modified_burke": burke * math.sqrt(len(returns)),
        "pain_ratio": ratio(yearly - risk_free, pain),
        "martin_ratio": ratio(yearly - risk_free, ulcer),
        "max_drawdown": deepest,
        "pain_index": pain,
        "ulcer_index": ulcer,
    }


def _under(returns: Values) -> Values:
    """How far below its peak so far, and below the start, each period ends."""
    return depths(np.concatenate([[1.0], np.cumprod(1 + returns)]))[1:]


def rachev(excess: Values, tail: float) -> float:
    """The mean of the best returns over the mean loss of the worst, *tail* of them each (Rachev and others 2008)."""
    ordered = np.sort(excess)
    worst = ordered[ordered <= np.quantile(ordered, tail)]
    best = ordered[ordered >= ordered[max(math.floor((1 - tail) * len(ordered)) - 1, 0)]]
    return ratio(float(best.mean()), -float(worst.mean()))


def sharpes(
    returns: Values, free: Values, periods: float, deviation: float, confidence: float, tail: float
) -> dict[str, float]:
    """Mean excess return over a *deviation* and over modified VaR and ES; the ratios of Kelly and of Ziemba.

    *free* holds the risk-free return of each period.
    """
    excess = returns - free
    mean, kelly = float(excess.mean()), ratio(float(excess.mean()), float(returns.var(ddof=1)))
    of_excess = tails.cornish_fisher(excess, confidence)
    whole = tails.cornish_fisher(returns, confidence)
    geometric = ratio(compounded(excess, periods), deviation * math.sqrt(periods))
    of, squared = tails.moments(returns), geometric * geometric
    return {
        "sharpe": ratio(mean, deviation),
        "annual_sharpe_arithmetic": ratio(mean, deviation) * math.sqrt(periods),
        "annual_sharpe_geometric": geometric,
        "sharpe_var": ratio(mean, float(of_excess.var)),
        "sharpe_es": ratio(mean, float(of_excess.es)),
        "sharpe_var_of_returns": ratio(mean, float(whole.var)),
        "sharpe_es_of_returns": ratio(mean, float(whole.es)),
        "sharpe_downside": ratio(mean, math.sqrt(2 * partial_moment(returns, float(returns.mean()), 2))),
        "rachev_ratio": rachev(excess, tail),
        "adjusted_sharpe": geometric
        * (1 + geometric * float(of.skewness) / 6 - squared * float(of.excess_kurtosis) / 24),
        "kelly": kelly,
        "half_kelly": kelly / 2,
    }
