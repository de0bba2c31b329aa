"""What a series earned for its risk: by itself, and against a benchmark."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import LONGEST, Confidence, Ddof, Lookback, Periods, RiskFree, Ticker
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import fraction, number, text
from openoutcry.tools.formulas import ratios, relative
from openoutcry.tools.prices import RETURNS, alike, points, stale
from openoutcry.tools.tool import tool

Values = NDArray[np.float64]
FreeSeries = Annotated[
    Ticker | None,
    Field(description="ticker or column of risk-free returns, period by period, in place of risk_free"),
]
FreeRule = Annotated[
    Literal["linear", "compound"],
    Field(description="risk_free of a period: linear is the rate / periods, compound (1 + rate)^(1/periods) - 1"),
]
Target = Annotated[
    FiniteFloat,
    Field(description="minimum acceptable return (MAR) of one PERIOD, e.g. 0.005 a month; Omega's threshold"),
]
Deviation = Annotated[
    Literal["excess", "returns"],
    Field(description="whose standard deviation divides the Sharpe ratio: of excess returns (Sharpe 1994) or returns"),
]
KappaOrder = Annotated[float, Field(ge=1, le=10, description="order of kappa; 2 is the Sortino ratio")]
Share = Annotated[float, Field(gt=0, le=0.5, description="share of the best and worst returns in the Rachev ratio")]
SterlingExcess = Annotated[float, Field(ge=0, le=1, description="added to the drawdown in the Sterling ratio")]
Falls = Annotated[
    Literal["compounded", "percent"],
    Field(
        description="falls in pain, ulcer and Burke; percent compounds each return as if it were percent, which nearly "
        "adds them up, as Bacon's tables and R's PerformanceAnalytics do"
    ),
]
FALLS = {
    "compounded": "Burke adds up each run of losses",
    "percent": "pain, ulcer and Burke compound returns read as percent",
}


@tool
def performance(
    view: View,
    ticker: Ticker,
    risk_free: RiskFree = 0.0,
    risk_free_series: FreeSeries = None,
    target: Target = 0.0,
    periods: Periods = None,
    window: Lookback = None,
    ddof: Ddof = 1,
    risk_free_rule: FreeRule = "linear",
    sharpe_deviation: Deviation = "excess",
    confidence: Confidence = 0.95,
    kappa_order: KappaOrder = 3,
    rachev_tail: Share = 0.1,
    sterling_excess: SterlingExcess = 0.1,
    drawdowns: Falls = "compounded",
) -> Evidence:
    """Return, volatility, Sharpe, Sortino, Omega, Calmar and their kin of one series, a period and annualised.

    `annual_return` compounds (CAGR), `annual_return_arithmetic` is the mean times the periods a year. `sharpe` is
    of one period; `annual_sharpe_arithmetic` is that times the square root of the periods, and
    `annual_sharpe_geometric` the compound excess return a year over the annual deviation. Sortino, omega, kappa
    and the downside numbers are about *target*; `sharpe_var` and `sharpe_es` divide the mean excess return by its
    modified (Cornish-Fisher) VaR and ES at *confidence*.

    Fractions unless a ratio. What these returns do not define (a Sortino ratio without a return below the target)
    is left out and named under missing. Raises UnknownTicker, or NotComputed with fewer than 3 returns, where all
    are alike, or with a return of -100 % or less. Sources: Bacon, Practical Portfolio Performance Measurement and
    Attribution (2008); the manual of R's PerformanceAnalytics; Sharpe, The Sharpe Ratio (1994).
    """
    chosen = _chosen(view, [ticker], risk_free_series, window)
    pace = periods or view.pace or 252
    (returns, *rest) = chosen.returns
    free = rest[0] if rest else np.full(len(returns), a_period(risk_free, pace, risk_free_rule))
    yearly_free = ratios.compounded(free, pace) if rest else risk_free
    spread = float(returns.std(ddof=ddof))
    deviation = float((returns - free).std(ddof=ddof)) if sharpe_deviation == "excess" else spread
    fall = ratios.by_drawdown(returns, pace, yearly_free, sterling_excess, percent=drawdowns == "percent")
    gained = ratios.gained(returns)
    fractions = {
        "total": gained.pop("total"),
        "annual_return": ratios.compounded(returns, pace),
        "annual_return_arithmetic": gained["mean"] * pace,
        "volatility": spread,
        "annual_volatility": spread * math.sqrt(pace),
        "mean_absolute_deviation": float(np.abs(returns - returns.mean()).mean()),
        **gained,
        **ratios.sides(returns, target, pace),
        **{n: fall.pop(n) for n in ("max_drawdown", "pain_index", "ulcer_index")},
    }
    numbers = {
        **ratios.sharpes(returns, free, pace, deviation, confidence, rachev_tail),
        **ratios.by_downside(returns, target, pace, kappa_order),
        **fall,
        **ratios.shape(returns),
    }
    return view.evidence(
        {
            "ticker": text(ticker),
            "observations": view.span(len(returns)),
            "periods_a_year": number(pace),
            **_stated(fractions, numbers),
            **chosen.first.until,
        },
        [p.rows for p in chosen.sources],
        conventions={
            "returns": RETURNS.format(basis=chosen.first.basis),
            "annualisation": annualisation(view, periods, pace),
            "ddof": f"{ddof} in volatility and Sharpe; downside numbers divide by all n, *_subset by those below",
            "risk_free": _said(risk_free, risk_free_series, risk_free_rule),
            "sharpe": f"mean excess return over the deviation of {sharpe_deviation}; annual arithmetic: times root of "
            "periods; annual geometric: compound excess return a year over annual deviation",
            "target": f"{target:g} a period",
            "skewness": "of the population (divisor n); kurtosis 3 is normal; sample_ ones as Excel's SKEW and KURT; "
            "sample_skewness_bacon over the population's deviation, as Bacon and PerformanceAnalytics",
            "drawdown": f"positive, compounded, from a start of 1; {FALLS[drawdowns]}",
            "sharpe_var": f"modified VaR and ES at {confidence:g} of excess returns; *_of_returns: of returns",
        },
        missing=[*(n for p in chosen.sources for n in stale(view, p)), *_undefined(ticker, fractions, numbers)],
        series={"close": points(chosen.first, len(returns))},
    )


@tool
def relative_performance(
    view: View,
    ticker: Ticker,
    benchmark: Ticker,
    risk_free: RiskFree = 0.0,
    risk_free_series: FreeSeries = None,
    target: Target = 0.0,
    periods: Periods = None,
    window: Lookback = None,
    risk_free_rule: FreeRule = "linear",
) -> Evidence:
    """Active premium, tracking error, information ratio, alpha, beta, Treynor, M squared and capture of a benchmark.

    Over the periods that both have. `active_premium` is the compound return a year less the benchmark's,
    `information_ratio` that over the annual tracking error; `information_ratio_arithmetic` is the mean active
    return over its deviation, annualised. `alpha` is the intercept of excess returns a period, `annual_alpha`
    compounds it; `jensen_alpha` is of compound returns a year (Bacon). `up_capture` divides sums of returns in the
    periods in which the benchmark rose, `up_capture_geometric` compound returns; `down_` likewise where it did not.

    Specific risk has the divisor n, systematic risk and tracking error n - 1, as Bacon and PerformanceAnalytics
    have them; annual. What is not defined is left out and named under missing. Raises UnknownTicker, or
    NotComputed with fewer than 3 common returns or where the benchmark's are all alike. Sources: Bacon, Practical
    Portfolio Performance Measurement and Attribution (2008); the manual of R's PerformanceAnalytics.
    """
    chosen = _chosen(view, [ticker, benchmark], risk_free_series, window)
    pace = periods or view.pace or 252
    ours, theirs, *rest = chosen.returns
    free = rest[0] if rest else np.full(len(ours), a_period(risk_free, pace, risk_free_rule))
    yearly_free = ratios.compounded(free, pace) if rest else risk_free
    known = {
        **relative.active(ours, theirs, pace),
        **relative.regressed(ours - free, theirs - free, pace),
        **relative.risk_split(ours, theirs, free, pace, yearly_free),
        **relative.capture(ours, theirs, pace),
        **relative.by_downside(ours, theirs, target, pace),
        **relative.co_moments(ours, theirs),
    }
    fractions = {n: v for n, v in known.items() if n in _FRACTIONS}
    numbers = {n: v for n, v in known.items() if n not in _FRACTIONS}
    return view.evidence(
        {
            "ticker": text(ticker),
            "benchmark": text(benchmark),
            "observations": view.span(len(ours)),
            "periods_a_year": number(pace),
            **_stated(fractions, numbers),
            **chosen.first.until,
        },
        [p.rows for p in chosen.sources],
        conventions={
            "returns": RETURNS.format(basis=chosen.first.basis),
            "annualisation": annualisation(view, periods, pace),
            "risk_free": _said(risk_free, risk_free_series, risk_free_rule),
            "beta": "least squares of excess returns; bull and bear: where the benchmark's excess is above or below 0",
            "treynor": "compound excess return a year over beta; modified: over systematic risk",
            "capture": "up: benchmark above 0; down: at or below 0 (number and percent: below 0)",
            "ddof": "tracking error and systematic risk n - 1; specific risk, M squared and Fama beta n",
            "henriksson_merton": "gamma on min(market, 0), as PerformanceAnalytics; on max(-market, 0) its sign is the "
            "other; treynor_mazuy: on market squared",
            "target": f"{target:g} a period, in m2_sortino and omega_excess_return",
        },
        missing=[*(n for p in chosen.sources for n in stale(view, p)), *_undefined(ticker, fractions, numbers)],
    )


_FRACTIONS = frozenset(
    """annual_return benchmark_annual_return active_premium annual_excess_geometric mean_active_return tracking_error
    tracking_error_per_period outperformed alpha annual_alpha annual_alpha_arithmetic jensen_alpha specific_risk
    systematic_risk total_risk selectivity diversification net_selectivity m_squared m_squared_excess
    m_squared_excess_arithmetic modigliani regression_epsilon m2_sortino omega_excess_return up_number up_percent
    down_number down_percent""".split()
)


class _Chosen:
    """Several series on the periods that all have: their prices, and their returns over the window."""

    def __init__(self, sources: list[Prices], window: int) -> None:
        self.sources = sources
        shared = together(sources) if len(sources) > 1 else sources
        self.first = shared[0]
        self.returns: list[Values] = [p.returns(window, needed=3) for p in shared]


def _chosen(view: View, tickers: list[str], free: str | None, window: int | None) -> _Chosen:
    """The series, the risk-free one last. Raises NotComputed where they carry no performance."""
    names = [*tickers, *([free] if free else [])]
    chosen = _Chosen(view.prices_of(names), window or LONGEST)
    for name, returns in zip(tickers, chosen.returns, strict=False):
        if alike(returns):
            raise NotComputed(f"needs returns that differ; those of {name} are all alike over {len(returns)} periods")
        if (returns <= -1).any():
            raise NotComputed(
                f"needs returns above -100 %; {name} holds {returns.min():g}: if the file is in percent, give its "
                "scale as 0.01"
            )
    return chosen


def a_period(rate: float, periods: float, rule: str) -> float:
    """A rate a year as one of a period. Raises NotComputed where it cannot be."""
    if rule == "linear":
        return rate / periods
    if rate <= -1:
        raise NotComputed(f"needs a risk-free rate above -100 %; got {rate:g}")
    return (1 + rate) ** (1 / periods) - 1


def _stated(fractions: Mapping[str, float], numbers: Mapping[str, float]) -> dict[str, Figure]:
    """The figures of what is defined."""
    known = {n: fraction(v) for n, v in fractions.items() if math.isfinite(v)}
    return {**known, **{n: number(v) for n, v in numbers.items() if math.isfinite(v)}}


def _undefined(ticker: str, *groups: Mapping[str, float]) -> list[str]:
    names = [n for group in groups for n, v in group.items() if not math.isfinite(v)]
    return [f"{ticker} {', '.join(names)}: not defined by these returns"] if names else []


def annualisation(view: View, periods: float | None, pace: float) -> str:
    """How many periods a year there are, and who says so."""
    source = "as given" if periods else "from the dates or sessions" if view.pace else "assumed; the file has no dates"
    return f"{pace:g} periods a year, {source}"


def _said(rate: float, series: str | None, rule: str) -> str:
    return f"returns of {series}, period by period" if series else f"{rate:g} a year, {rule} over the periods"
