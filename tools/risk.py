"""How much can be lost: volatility, drawdown, value at risk and expected shortfall."""

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Series
from openoutcry.tools.arguments import Confidence, Horizon, Ticker, Window
from openoutcry.tools.figures import count, day, fraction, multiple, probability, text
from openoutcry.tools.prices import RETURNS, alike, points, stale
from openoutcry.tools.tool import tool
from openoutcry.tools.view import View

SESSIONS_A_YEAR = 252
Method = Literal["historical", "gaussian"]
FEW = 30


@tool
def volatility(view: View, ticker: Ticker, window: Window = 252, recent: Window = 20) -> Evidence:
    """Annualised standard deviation of daily simple returns, over *window* and over *recent* sessions.

    Divisor n - 1; annualised by the square root of 252. Raises UnknownTicker, or NotComputed with fewer
    returns than *recent* or where all returns are alike.
    """
    prices = view.prices(ticker)
    daily = prices.returns(window, needed=max(recent, 20))
    if alike(daily):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(daily)} sessions")
    scale = math.sqrt(SESSIONS_A_YEAR)
    long, short = daily.std(ddof=1) * scale, daily[-recent:].std(ddof=1) * scale
    return view.evidence(
        {
            "ticker": text(ticker),
            "volatility": fraction(long),
            "recent": fraction(short),
            "ratio": multiple(short / long),
            "window": view.span(len(daily)),
            "recent_window": view.span(min(recent, len(daily))),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "returns": RETURNS.format(basis=prices.basis),
            "ddof": "1",
            "annualisation": f"square root of {SESSIONS_A_YEAR} sessions",
        },
        missing=stale(view, prices),
    )


@tool
def drawdown(view: View, ticker: Ticker, window: Window = 1260) -> Evidence:
    """The deepest fall from a running peak within the last *window* sessions, and today's.

    Depth is a positive fraction of the peak. Raises UnknownTicker, or NotComputed with fewer than 20 returns.
    """
    prices = view.prices(ticker)
    prices.returns(window, needed=20)
    values, dates = prices.values[-window:], prices.dates[-window:].astype("datetime64[D]")
    depth = 1 - values / np.maximum.accumulate(values)
    trough = int(depth.argmax())
    peak = int(values[: trough + 1].argmax())
    return view.evidence(
        {
            "ticker": text(ticker),
            "max": fraction(depth[trough]),
            "peak_date": day(dates[peak].item()),
            "trough_date": day(dates[trough].item()),
            "now": fraction(depth[-1]),
            "window": view.span(len(values)),
            **prices.until,
        },
        [prices.rows],
        conventions={"sign": "positive is a fall from the running peak", "price": prices.basis},
        missing=stale(view, prices),
        series={"close": points(prices, window)},
    )


@tool
@tool
def value_at_risk(
    view: View,
    ticker: Ticker,
    horizon: Horizon = 10,
    confidence: Confidence = 0.99,
    method: Method = "historical",
    window: Window = 1000,
) -> Evidence:
    """Value at risk and expected shortfall of one unit of *ticker* over *horizon* sessions.

    Both are losses as positive fractions of today's value, from overlapping *horizon*-session simple
    returns of the last *window* sessions: no square-root-of-time. `historical`: the linearly interpolated
    quantile (Hyndman and Fan 1996, type 7) and the mean of the losses at or beyond it. `gaussian`: from
    the sample mean and standard deviation (n - 1); ES after McNeil, Frey and Embrechts, Quantitative Risk
    Management (2015), example 2.14. Raises UnknownTicker, or NotComputed with fewer than 60 windows, fewer
    than 1 / (1 - confidence), or no variation.
    """
    prices = view.prices(ticker)
    needed = max(60, math.ceil(round(1 / (1 - confidence), 6)))
    spans = prices.horizon_returns(window, horizon, needed)
    if alike(spans):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {window} sessions")
    var, es = (_historical if method == "historical" else _gaussian)(spans, confidence)
    return view.evidence(
        {
            "ticker": text(ticker),
            "var": fraction(var),
            "es": fraction(es),
            "horizon": view.span(horizon),
            "confidence": probability(confidence),
            "method": text(method),
            "observations": view.span(len(spans)),
            "independent": count(len(spans) // horizon),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "sign": "positive is a loss, as a fraction of value",
            "horizon": f"overlapping {horizon}-session simple returns, no scaling by time",
            "quantile": "linear interpolation (type 7)" if method == "historical" else "normal quantile",
            "ddof": "1" if method == "gaussian" else "not used",
            "price": prices.basis,
        },
        missing=[*stale(view, prices), *_few(ticker, len(spans) // horizon, horizon, confidence)],
        series={"horizon_returns": Series(values=tuple(spans.tolist()))} if method == "historical" else {},
    )


def _few(ticker: str, independent: int, horizon: int, confidence: float) -> list[str]:
    """A note where the windows that do not overlap are too few to say much about the tail."""
    if independent >= FEW:
        return []
    return [
        f"{ticker} tail over {horizon} sessions at {confidence:.4g}: the data holds only about {independent} windows "
        "that do not overlap, so VaR and ES are rough"
    ]


def _historical(spans: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    losses = -spans
    var = float(np.quantile(losses, confidence, method="linear"))
    return var, float(losses[losses >= var].mean())


def _gaussian(spans: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    normal, mean, spread = NormalDist(), float(spans.mean()), float(spans.std(ddof=1))
    quantile = normal.inv_cdf(confidence)
    return -mean + spread * quantile, -mean + spread * normal.pdf(quantile) / (1 - confidence)
