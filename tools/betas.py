"""Beta: how a series moves with a benchmark, plain and adjusted."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Series
from openoutcry.tools.arguments import Lookback, Periods, RiskFree, Ticker
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.view import View
from openoutcry.tools.factors import RateSeries, columns_of, rate_said
from openoutcry.tools.figures import fraction, number, text
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.tool import tool

Array = NDArray[np.float64]


@tool
def beta(
    view: View,
    ticker: Ticker,
    benchmark: Annotated[Ticker, Field(description="the market: a ticker, or column of the file")],
    risk_free: RiskFree = 0.0,
    risk_free_series: RateSeries = None,
    lags: Annotated[int, Field(ge=0, le=20, description="lags of the benchmark in Dimson's beta")] = 1,
    leads: Annotated[int, Field(ge=0, le=20, description="leads of the benchmark in Dimson's beta")] = 0,
    prior_beta: Annotated[float, Field(description="the mean beta that Vasicek's shrinks towards")] = 1.0,
    prior_spread: Annotated[
        float | None, Field(gt=0, description="the spread of betas among companies, for Vasicek's; e.g. 0.3")
    ] = None,
    rolling: Annotated[
        int | None, Field(ge=3, le=10_000, description="returns in each window of the rolling beta")
    ] = None,
    window: Lookback = None,
    periods: Periods = None,
) -> Evidence:
    """Beta of *ticker* on *benchmark*: plain, adjusted, in rising and falling markets, and Dimson's, with alpha.

    All are slopes of least squares on returns in excess of the risk-free rate (a year, divided by the periods; or a
    series). `beta_adjusted` is 2/3 beta + 1/3 (Blume 1975, as Bloomberg has it). `beta_bull` and `beta_bear` use the
    periods in which the benchmark's excess return is above and below zero; `timing_ratio` is their quotient.
    `beta_dimson` is the sum of the slopes on the benchmark and its *lags* and *leads* (Dimson 1979). `beta_vasicek`,
    where *prior_spread* is given, weighs beta and *prior_beta* by the inverse of their variances (Vasicek 1973).
    `alpha` is the intercept of a period, `alpha_annual` that times the periods. `beta_latest`, `beta_least` and
    `beta_most` are of *rolling* windows. `residual_volatility` is that of a year (divisor T - 2). Jensen's alpha,
    Treynor's ratio and the like are figures of `relative_performance`.

    Raises UnknownTicker, or NotComputed with fewer than 5 common returns or a series that does not vary.
    """
    names = [ticker] if ticker == benchmark else [ticker, benchmark]
    series, columns, rate = columns_of(view, names, (risk_free, risk_free_series), window, periods)
    pace = periods or view.pace or 252
    x, y = columns[-1] - rate, columns[0] - rate
    if alike(x) or alike(y):
        raise NotComputed(f"needs returns that differ; those of {benchmark if alike(x) else ticker} are all alike")
    slope, start = _line(x, y)
    rest = y - start - slope * x
    spread = float(np.sqrt(rest @ rest / (len(y) - 2)))
    error = spread / math.sqrt(float(((x - x.mean()) ** 2).sum()))
    short = len(y) < 2 * (lags + leads) + 4
    linked = float(np.corrcoef(x, y)[0, 1])
    return view.evidence(
        {
            "ticker": text(ticker),
            "benchmark": text(benchmark),
            "beta": number(slope),
            "beta_se": number(error),
            "beta_adjusted": number(slope * 2 / 3 + 1 / 3),
            **_vasicek(slope, error, prior_beta, prior_spread),
            **_by_market(x, y),
            **_dimson(x, y, lags, leads),
            **_rolled(x, y, rolling),
            "alpha": fraction(start),
            "alpha_annual": fraction(start * pace),
            "correlation": number(linked),
            "r_squared": fraction(linked**2),
            "residual_volatility": fraction(spread * math.sqrt(pace)),
            "observations": view.span(len(y)),
            **series[0].until,
        },
        [p.rows for p in series],
        conventions={
            "returns": RETURNS.format(basis=series[0].basis),
            "risk_free": rate_said(risk_free, risk_free_series, pace),
            "annualisation": f"{pace:g} periods a year",
            "dimson": f"{lags} lags, {leads} leads",
        },
        missing=[
            *(m for p in series for m in stale(view, p)),
            *([f"beta_dimson: {len(y)} returns for {lags} lags and {leads} leads"] if short else []),
        ],
        series=_rolling_series(together(series)[0], x, y, rolling),
    )


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and intercept of least squares."""
    apart = x - x.mean()
    slope = float(apart @ (y - y.mean()) / (apart @ apart))
    return slope, float(y.mean() - slope * x.mean())


def _vasicek(slope: float, error: float, prior: float, spread: float | None) -> dict[str, Figure]:
    if spread is None:
        return {}
    weight = spread**2 / (spread**2 + error**2)
    return {"beta_vasicek": number(weight * slope + (1 - weight) * prior)}


def _by_market(x: Array, y: Array) -> dict[str, Figure]:
    """Beta over the periods in which the benchmark rose, and fell; left out where they are too few."""
    figures: dict[str, Figure] = {}
    for name, part in (("beta_bull", x > 0), ("beta_bear", x < 0)):
        if part.sum() >= 3 and not alike(x[part]):
            figures[name] = number(_line(x[part], y[part])[0])
    if len(figures) == 2 and abs(bear := float(figures["beta_bear"].value)) > 1e-12:
        figures["timing_ratio"] = number(float(figures["beta_bull"].value) / bear)
    return figures


def _dimson(x: Array, y: Array, lags: int, leads: int) -> dict[str, Figure]:
    """The sum of the slopes on the benchmark of this period, those before and those after; none of too few returns."""
    length = len(x) - lags - leads
    if length < lags + leads + 4:
        return {}
    columns = [x[lags + k : lags + k + length] for k in range(-lags, leads + 1)]
    design = np.column_stack([np.ones(length), *columns])
    return {"beta_dimson": number(np.linalg.lstsq(design, y[lags : lags + length], rcond=None)[0][1:].sum())}


def _windows(x: Array, y: Array, length: int) -> Array:
    """The beta of each window of this many periods, oldest first."""
    if len(x) < length:
        raise NotComputed(f"needs at least {length} returns for the rolling beta; got {len(x)}")
    a, b = (np.lib.stride_tricks.sliding_window_view(v, length) for v in (x, y))
    apart = a - a.mean(axis=1, keepdims=True)
    squares = (apart**2).sum(axis=1)
    if (squares < 1e-20).any():
        raise NotComputed("needs benchmark returns that differ in every window of the rolling beta")
    return np.asarray((apart * b).sum(axis=1) / squares, np.float64)


def _rolled(x: Array, y: Array, length: int | None) -> dict[str, Figure]:
    if length is None:
        return {}
    found = _windows(x, y, length)
    return {
        "beta_latest": number(found[-1]),
        "beta_least": number(found.min()),
        "beta_most": number(found.max()),
    }


def _rolling_series(prices: Prices, x: Array, y: Array, length: int | None) -> dict[str, Series]:
    if length is None:
        return {}
    found = _windows(x, y, length)
    dates = prices.dates[-len(found) :].astype("datetime64[D]").tolist() if prices.dated else ()
    return {"rolling_beta": Series(dates=tuple(dates), values=tuple(found.tolist()))}
