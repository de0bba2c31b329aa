"""What the price did: level, change, range, and how often a horizon ended higher."""

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Series
from openoutcry.tools.arguments import Horizon, Ticker, Window
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import fraction, per_share, score, text
from openoutcry.tools.tool import tool

STALE = timedelta(days=7)
RETURNS = "simple returns on {basis}, close to close"


def stale(view: View, prices: Prices) -> list[str]:
    """What to know of the series: what was left out of it, and where it ends over a week before the as-of."""
    last = prices.last_date()
    if prices.dated and view.as_of.date - last > STALE:
        return [*prices.notes, f"{prices.ticker} prices after {last}: none known by {view.as_of}"]
    return list(prices.notes)


def alike(values: NDArray[np.float64]) -> bool:
    """Whether the returns differ by no more than rounding, so that a spread of theirs would mean nothing."""
    return float(np.ptp(values)) < 1e-12


def log_returns(ticker: str, returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log returns of simple ones. Raises NotComputed for one of -100 % or less."""
    if (returns <= -1).any():
        raise NotComputed(f"needs returns above -100 %; {ticker} holds {returns.min():g}, which has no log return")
    return np.log1p(returns)


def points(prices: Prices, window: int) -> Series:
    """The last *window* closes as points of a picture."""
    dates = prices.dates[-window:].astype("datetime64[D]").tolist()
    return Series(dates=tuple(dates), values=tuple(prices.values[-window:].tolist()))


@tool
def price_summary(view: View, ticker: Ticker) -> Evidence:
    """Latest close, changes over a month, a quarter and a year, and the 252-session range.

    Changes are simple returns over 21, 63 and 252 sessions. Raises UnknownTicker, or NotComputed with
    fewer than 22 closes; a longer span that the data does not reach is listed as missing.
    """
    prices = view.prices(ticker)
    values = prices.values
    prices.returns(252, needed=21)
    figures = {
        "ticker": text(ticker),
        "basis": text(prices.price_name),
        "close": per_share(values[-1]),
        **prices.until,
    }
    missing = stale(view, prices)
    for name, span in (("month", 21), ("quarter", 63), ("year", 252)):
        if len(values) > span:
            figures[f"return_{name}"] = fraction(values[-1] / values[-1 - span] - 1)
        else:
            missing.append(f"{ticker} return over {span} sessions: {len(values)} closes known")
    year = values[-252:]
    figures["high"] = per_share(year.max())
    figures["low"] = per_share(year.min())
    figures["below_high"] = fraction(1 - values[-1] / year.max())
    return view.evidence(
        figures,
        [prices.rows],
        conventions={"price": prices.basis, "returns": RETURNS.format(basis=prices.basis)},
        missing=missing,
        series={"close": points(prices, 504)},
    )


@tool
def returns(view: View, ticker: Ticker, horizon: Horizon = 10, window: Window = 2520) -> Evidence:
    """How returns over *horizon* sessions were spread within the last *window* sessions.

    Overlapping windows, one starting each session, so neighbours share days. Raises UnknownTicker, or
    NotComputed with fewer than 60 of them.
    """
    prices = view.prices(ticker)
    spans = prices.horizon_returns(window, horizon, needed=60)
    return view.evidence(
        {
            "ticker": text(ticker),
            "horizon": view.span(horizon),
            "observations": view.span(len(spans)),
            "mean": fraction(spans.mean()),
            "median": fraction(np.median(spans)),
            "worst": fraction(spans.min()),
            "best": fraction(spans.max()),
            "share_up": fraction((spans > 0).mean()),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "returns": RETURNS.format(basis=prices.basis),
            "horizon": "overlapping windows, in sessions",
        },
        missing=stale(view, prices),
    )


@tool
def relative_return(view: View, ticker: Ticker, other: Ticker, window: Window = 252) -> Evidence:
    """How *ticker* did against *other* over the last *window* sessions that both have.

    Correlation is of daily simple returns (Pearson). Raises UnknownTicker, or NotComputed with fewer than
    60 common sessions or where either's returns are all alike.
    """
    a, b = view.prices(ticker), view.prices(other)
    ours, theirs = together([a, b])
    if len(ours.dates) < 61:
        raise NotComputed(f"needs 60 common daily returns; {ticker} and {other} share {len(ours.dates) - 1}")
    dx, dy = ours.returns(window), theirs.returns(window)
    x, y = ours.values[-(window + 1) :], theirs.values[-(window + 1) :]
    if alike(dx) or alike(dy):
        raise NotComputed(f"needs returns that differ; those of {ticker if alike(dx) else other} are all alike")
    return view.evidence(
        {
            "ticker": text(ticker),
            "other": text(other),
            "window": view.span(len(x) - 1),
            "return": fraction(x[-1] / x[0] - 1),
            "other_return": fraction(y[-1] / y[0] - 1),
            "difference": fraction(x[-1] / x[0] - y[-1] / y[0]),
            "correlation": score(np.corrcoef(dx, dy)[0, 1]),
            **ours.until,
        },
        [a.rows, b.rows],
        conventions={
            "returns": f"simple returns on {a.basis} and {b.basis}",
            "correlation": "Pearson, daily",
        },
        missing=[*stale(view, a), *stale(view, b)],
    )
