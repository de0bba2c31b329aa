"""Performance against a benchmark as formulas: two series of simple returns in, numbers out; NaN where undefined.

Sources: Bacon, Practical Portfolio Performance Measurement and Attribution (2nd edition, 2008), and the manual of
R's PerformanceAnalytics, whose definitions and names these are. Rates of a period, unless a year is said.
"""

import math

import numpy as np
from numpy.typing import NDArray

from openoutcry.tools.formulas.ratios import compounded, partial_moment, ratio

Values = NDArray[np.float64]


def line(x: Values, y: Values) -> tuple[float, float]:
    """Intercept and slope of y on x by least squares; NaN where x does not vary."""
    away = x - x.mean()
    slope = ratio(float(away @ (y - y.mean())), float(away @ away))
    return float(y.mean()) - slope * float(x.mean()), slope


def active(ours: Values, theirs: Values, periods: float) -> dict[str, float]:
    """What was earned beyond the benchmark, and how steadily."""
    gap = ours - theirs
    error = float(gap.std(ddof=1))
    yearly = [compounded(r, periods) for r in (ours, theirs)]
    premium = yearly[0] - yearly[1]
    return {
        "annual_return": yearly[0],
        "benchmark_annual_return": yearly[1],
        "active_premium": premium,
        "annual_excess_geometric": (1 + yearly[0]) / (1 + yearly[1]) - 1,
        "mean_active_return": float(gap.mean()),
        "tracking_error": error * math.sqrt(periods),
        "tracking_error_per_period": error,
        "outperformed": float((gap > 0).mean()),
        "information_ratio": ratio(premium, error * math.sqrt(periods)),
        "information_ratio_arithmetic": ratio(float(gap.mean()), error) * math.sqrt(periods),
        "information_ratio_per_period": ratio(float(gap.mean()), error),
    }


def capture(ours: Values, theirs: Values, periods: float) -> dict[str, float]:
    """How much of the benchmark's rises (above zero) and falls (at or below it) was had; see UpDownRatios."""
    found: dict[str, float] = {}
    for side, where, strictly in (("up", theirs > 0, theirs > 0), ("down", theirs <= 0, theirs < 0)):
        a, b = ours[where], theirs[where]
        same = (ours > 0) if side == "up" else (ours < 0)
        periods_there = float(strictly.sum())
        found |= {
            f"{side}_capture": ratio(float(a.sum()), float(b.sum())),
            f"{side}_capture_geometric": ratio(float(np.prod(1 + a)) - 1, float(np.prod(1 + b)) - 1),
            f"{side}_capture_annualised": ratio(compounded(a, periods), compounded(b, periods)) if len(a) else math.nan,
            f"{side}_number": ratio(float((same & strictly).sum()), periods_there),
            f"{side}_percent": ratio(float(((ours > theirs) & strictly).sum()), periods_there),
        }
    found["capture_ratio"] = ratio(found["up_capture"], found["down_capture"])
    return found


def regressed(excess: Values, market: Values, periods: float) -> dict[str, float]:
    """The single-factor line of excess returns, and its slopes in rising and falling markets."""
    alpha, beta = line(market, excess)
    correlation = ratio(float(np.cov(excess, market, ddof=0)[0, 1]), float(excess.std() * market.std()))
    bull, bear = (line(market[w], excess[w])[1] if w.sum() > 1 else math.nan for w in (market > 0, market < 0))
    known = {
        "beta": beta,
        "alpha": alpha,
        "annual_alpha": (1 + alpha) ** periods - 1,
        "annual_alpha_arithmetic": alpha * periods,
        "correlation": correlation,
        "r_squared": correlation * correlation,
        "beta_bull": bull,
        "beta_bear": bear,
        "timing_ratio": ratio(bull, bear),
    }
    for name, bent in (("treynor_mazuy", market * market), ("henriksson_merton", np.minimum(market, 0))):
        known |= {f"{name}_{n}": v for n, v in _bent(market, bent, excess).items()}
    return known


def _bent(market: Values, bent: Values, excess: Values) -> dict[str, float]:
    """A market-timing regression: the excess returns on the market's and on its *bent* form."""
    columns = np.column_stack([np.ones(len(market)), market, bent])
    solved, _, rank, _ = np.linalg.lstsq(columns, excess, rcond=None)
    return dict(zip(("alpha", "beta", "gamma"), solved.tolist() if rank == 3 else [math.nan] * 3, strict=True))


def co_moments(ours: Values, theirs: Values) -> dict[str, float]:
    """Covariance (n - 1), and the betas of the third and fourth co-moment (Martellini and Ziemann 2007)."""
    a, b = ours - ours.mean(), theirs - theirs.mean()
    return {
        "covariance": float(a @ b) / (len(a) - 1),
        "beta_coskewness": ratio(float(a @ b**2), float((b**3).sum())),
        "beta_cokurtosis": ratio(float(a @ b**3), float((b**4).sum())),
    }


def risk_split(ours: Values, theirs: Values, free: Values, periods: float, risk_free: float) -> dict[str, float]:
    """Bacon's risk-adjusted numbers: systematic and specific risk, and what the return was for them.

    *risk_free* is a rate a year, *free* the risk-free return of each period.
    """
    excess, market = ours - free, theirs - free
    alpha, beta = line(market, excess)
    yearly, benchmark = compounded(ours, periods), compounded(theirs, periods)
    earned, root = compounded(excess, periods), math.sqrt(periods)
    residual = ours - theirs * beta - alpha
    specific, systematic = float(residual.std()) * root, beta * float(market.std(ddof=1)) * root
    jensen = yearly - risk_free - beta * (benchmark - risk_free)
    spread = ratio(float(ours.std()), float(theirs.std()))
    squared = ratio(yearly - risk_free, spread) + risk_free
    diversification = (spread - beta) * (benchmark - risk_free)
    return {
        "treynor": ratio(earned, beta),
        "treynor_arithmetic": ratio(float(excess.mean()) * periods, beta),
        "modified_treynor": ratio(earned, systematic),
        "jensen_alpha": jensen,
        "regression_epsilon": risk_free + yearly - alpha - (benchmark - risk_free) * beta,
        "specific_risk": specific,
        "systematic_risk": systematic,
        "total_risk": math.hypot(specific, systematic),
        "appraisal_ratio": ratio(jensen, specific),
        "modified_jensen": ratio(jensen, beta),
        "alternative_jensen": ratio(jensen, systematic),
        "fama_beta": spread,
        "selectivity": jensen,
        "diversification": diversification,
        "net_selectivity": jensen - diversification,
        "m_squared": squared,
        "m_squared_excess": (1 + squared) / (1 + benchmark) - 1,
        "m_squared_excess_arithmetic": squared - benchmark,
        "modigliani": ratio(float(excess.mean()), float(excess.std(ddof=1))) * float(theirs.std(ddof=1))
        + float(free.mean()),
    }


def by_downside(ours: Values, theirs: Values, target: float, periods: float) -> dict[str, float]:
    """M squared for Sortino and omega excess return, by the downside deviations from *target* of both."""
    mine, other = (math.sqrt(partial_moment(r, target, 2)) for r in (ours, theirs))
    yearly = compounded(ours, periods)
    sortino = ratio(float(ours.mean()) - target, mine)
    return {
        "m2_sortino": yearly + sortino * (other - mine) * math.sqrt(periods),
        "omega_excess_return": yearly - 3 * mine * other * periods,
    }
