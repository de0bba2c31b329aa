"""How much can be lost: volatility, value at risk and expected shortfall of a series."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Series
from openoutcry.tools.arguments import (
    Confidence,
    Ddof,
    ForPerson,
    Horizon,
    MaybeDdof,
    MaybePositive,
    Periods,
    Seed,
    Ticker,
    Window,
)
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, multiple, probability, text, usd
from openoutcry.tools.formulas import dispersion, horizons
from openoutcry.tools.formulas.conditional import Backcast
from openoutcry.tools.formulas.dispersion import Ranged
from openoutcry.tools.formulas.horizons import Mean, Method, Scaling
from openoutcry.tools.formulas.tails import Quantile, Shortfall
from openoutcry.tools.prices import RETURNS, alike, log_returns, stale
from openoutcry.tools.tool import tool

SESSIONS_A_YEAR = 252
Estimator = Literal["sample", "ewma"] | Ranged
Few = Annotated[
    int | None,
    ForPerson(),
    Field(ge=2, description="take as few returns as this, where a published example has no more; else as told above"),
]
Log = Annotated[bool, Field(description="log returns instead of simple ones")]
Decay = Annotated[float, Field(gt=0, le=1, description="lambda, weight of a day on the one before, e.g. 0.94")]
FEW = 30


@tool
def volatility(
    view: View,
    ticker: Ticker,
    window: Window = 252,
    recent: Window = 20,
    method: Annotated[
        Estimator,
        Field(description="sample or ewma of closes; the others of open, high, low and close"),
    ] = "sample",
    decay: Annotated[Decay, Field(description="lambda of ewma; 0.94 is RiskMetrics' for days")] = 0.94,
    ddof: Ddof = 1,
    log: Log = False,
    periods: Periods = None,
    minimum: Few = None,
) -> Evidence:
    """Annualised standard deviation of daily simple returns, over *window* and over *recent* sessions.

    Divisor n - ddof; annualised by the square root of *periods* a year (252). `per_period` is before that, and
    `standard_error` of a sample is volatility / sqrt(2 n) (Hull). `ewma` has mean zero, from the first squared
    return (RiskMetrics 1996). `parkinson`, `garman_klass`, `rogers_satchell`, `yang_zhang` and
    `garman_klass_yang_zhang` use each session's open, high, low and close. Raises UnknownTicker, or NotComputed
    with fewer returns than *recent* or 20, where all returns are alike, or without the prices that a method needs.
    """
    prices = view.prices(ticker)
    daily = prices.returns(window, needed=minimum or max(recent, 20))
    if alike(daily):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(daily)} sessions")
    if log:
        daily = log_returns(ticker, daily)
    pace = periods or view.pace or SESSIONS_A_YEAR
    short = min(recent, len(daily))
    if method == "sample":
        long_run, latest = float(daily.std(ddof=ddof)), float(daily[-short:].std(ddof=ddof))
    elif method == "ewma":
        long_run, latest = dispersion.ewma(daily, decay), dispersion.ewma(daily[-short:], decay)
    else:
        long_run, latest = (_ranged(view, ticker, method, n) for n in (len(daily), short))
    error = long_run * math.sqrt(pace / (2 * len(daily)))
    return view.evidence(
        {
            "ticker": text(ticker),
            "volatility": fraction(long_run * math.sqrt(pace)),
            "recent": fraction(latest * math.sqrt(pace)),
            "ratio": multiple(latest / long_run),
            "per_period": fraction(long_run),
            **({"standard_error": fraction(error)} if method == "sample" else {}),
            "window": view.span(len(daily)),
            "recent_window": view.span(short),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "returns": "log returns" if log or method not in ("sample", "ewma") else RETURNS.format(basis=prices.basis),
            "ddof": str(ddof) if method == "sample" else "not used",
            "method": f"ewma, lambda {decay:g}, zero mean" if method == "ewma" else method,
            "annualisation": f"square root of {pace:g} {'sessions' if pace == SESSIONS_A_YEAR else 'periods'}",
        },
        missing=stale(view, prices),
    )


def _ranged(view: View, ticker: str, method: Ranged, sessions: int) -> float:
    """By open, high, low and close of the last *sessions*."""
    bars = view.bars(ticker)
    opened, high, low = (None if v is None else v[-sessions - 1 :] for v in (bars.open, bars.high, bars.low))
    if opened is None or high is None or low is None:
        raise NotComputed(f"needs open, high and low of {ticker} on every session for {method}; some are missing")
    close = bars.closes.values[-len(opened) :]
    if (np.minimum.reduce([opened, high, low, close]) <= 0).any() or (high < low).any():
        raise NotComputed(f"needs open, high and low of {ticker} above zero, and no high below its low")
    found = dispersion.ranged(method, opened, high, low, close)
    if not found > 0:
        raise NotComputed(f"needs sessions that move; the {method} variance of {ticker} is not above zero")
    return found


@tool
def value_at_risk(
    view: View,
    ticker: Ticker,
    horizon: Horizon = 10,
    confidence: Confidence = 0.99,
    method: Annotated[
        Method,
        Field(
            description="historical simulation; gaussian (variance-covariance); student_t; cornish_fisher (modified "
            "VaR); garch (filtered historical simulation); monte_carlo (geometric Brownian motion)"
        ),
    ] = "historical",
    window: Window = 1000,
    scaling: Annotated[
        Scaling,
        Field(
            description="returns over the horizon that overlap, or those of one period scaled by the square root of "
            "the horizon; garch and monte_carlo simulate the horizon"
        ),
    ] = "overlapping",
    quantile: Annotated[
        Quantile,
        Field(
            description="rule of historical: linear is type 7, order_statistic the k-th worst with k = "
            "ceil(n (1 - confidence)) (type 1), averaged_inverted_cdf 2, closest_observation 3, "
            "interpolated_inverted_cdf 4, hazen 5, weibull 6, median_unbiased 8, normal_unbiased 9"
        ),
    ] = "linear",
    shortfall: Annotated[
        Shortfall | None,
        Field(
            description="ES of historical: mean of losses at_or_beyond VaR (default), strictly beyond it, or coherent "
            "(mean of the worst n (1 - confidence), the last in part; default of order_statistic)"
        ),
    ] = None,
    decay: Annotated[
        float | None,
        Field(gt=0, le=1, description="lambda of age-weighted historical, e.g. 0.995; none weighs all alike"),
    ] = None,
    mean: Annotated[
        Mean, Field(description="in the VaR of gaussian, student_t and monte_carlo: the sample's, or zero")
    ] = "sample",
    ddof: MaybeDdof = None,
    degrees_of_freedom: Annotated[
        float | None, Field(gt=2, description="of student_t, with the sample's deviation; none fits all by likelihood")
    ] = None,
    simulations: Annotated[int, Field(ge=1000, le=1_000_000, description="paths of garch and monte_carlo")] = 20_000,
    seed: Seed = 0,
    backcast: Annotated[
        Backcast, Field(description="first variance of garch: exponential as Python's arch, or mean_square")
    ] = "exponential",
    log: Log = False,
    minimum: Few = None,
    value: Annotated[MaybePositive, Field(description="USD held; then var_usd and es_usd are given too")] = None,
) -> Evidence:
    """Value at risk and expected shortfall of one unit of *ticker* over *horizon* sessions.

    Both are losses as positive fractions of today's value, from overlapping *horizon*-session simple
    returns of the last *window* sessions: no square-root-of-time. `historical`: the linearly interpolated
    quantile (Hyndman and Fan 1996, type 7) and the mean of the losses at or beyond it. `gaussian`: from
    the sample mean and standard deviation (n - 1); ES after McNeil, Frey and Embrechts, Quantitative Risk
    Management (2015), example 2.14. Further methods are named under *method*.

    `cornish_fisher` is the modified VaR of Boudt, Peterson and Croux (2008) and R's PerformanceAnalytics, with
    population moments; `es` is their operational ES, `es_unbounded` without its floor at the VaR, `es_integrated`
    the mean of the Cornish-Fisher quantiles beyond the VaR (Maillard 2012). `garch` resamples the standardised
    residuals of a GARCH(1,1) fitted to one-session returns and compounds them (Barone-Adesi, Giannopoulos and
    Vosper 1999). `monte_carlo` draws geometric Brownian motion with the sample's log mean and deviation.
    *scaling* square_root: gaussian and student_t scale the one-session mean by time and the deviation by its
    root; historical and cornish_fisher scale VaR and ES by the root. Raises UnknownTicker, or NotComputed with
    fewer than 60 returns (100 for garch), historical with fewer than 1 / (1 - confidence), or no variation.
    """
    ask = horizons.Ask(
        horizon=horizon,
        confidence=confidence,
        method=method,
        scaling=scaling,
        quantile=quantile,
        shortfall=shortfall,
        decay=decay,
        mean=mean,
        ddof=int(method != "cornish_fisher") if ddof is None else ddof,
        degrees_of_freedom=degrees_of_freedom,
        simulations=simulations,
        seed=seed,
        backcast=backcast,
    )
    if log and ask.simulated:
        raise NotComputed(f"needs simple returns; {method} makes log returns itself or compounds simple ones")
    prices = view.prices(ticker)
    far = math.ceil(round(1 / (1 - confidence), 6)) if method == "historical" else 0
    spans = prices.horizon_returns(window, ask.span, minimum or max(60, far))
    if alike(spans):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(spans)} returns")
    answer = horizons.answer(log_returns(ticker, spans) if log else spans, ask, ticker)
    independent = len(spans) // ask.span
    return view.evidence(
        {
            "ticker": text(ticker),
            "var": fraction(answer.tail.var),
            "es": fraction(answer.tail.es),
            **_worth(value, float(answer.tail.var), float(answer.tail.es)),
            "horizon": view.span(horizon),
            "confidence": probability(confidence),
            "method": text(method),
            "observations": view.span(len(spans)),
            "independent": count(independent),
            **answer.figures,
            **prices.until,
        },
        [prices.rows],
        conventions={
            "sign": "positive is a loss, as a fraction of value",
            **answer.conventions,
            "price": prices.basis,
            **({"returns": "log returns"} if log else {}),
        },
        missing=[*stale(view, prices), *_few(ticker, independent, ask)],
        series={"horizon_returns": Series(values=tuple(spans.tolist()))} if method == "historical" else {},
    )


def _worth(value: float | None, var: float, es: float) -> dict[str, Figure]:
    return {} if value is None else {"var_usd": usd(value * var), "es_usd": usd(value * es)}


def _few(ticker: str, independent: int, ask: horizons.Ask) -> list[str]:
    """A note where the windows that do not overlap are too few to say much about the tail."""
    if independent >= FEW:
        return []
    return [
        f"{ticker} tail over {ask.span} sessions at {ask.confidence:.4g}: the data holds only about {independent} "
        "windows that do not overlap, so VaR and ES are rough"
    ]
