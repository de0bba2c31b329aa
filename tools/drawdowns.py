"""How far a price fell from its peak, how long it took, and whether it came back."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Confidence, Ticker, Window
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, day, fraction, number, text
from openoutcry.tools.formulas import tails
from openoutcry.tools.formulas.ratios import depths
from openoutcry.tools.prices import points, stale
from openoutcry.tools.tool import tool

Rank = Annotated[int, Field(ge=1, le=10_000, description="which drawdown: 1 is the deepest, 2 the second deepest")]
Compounded = Annotated[
    bool, Field(description="whether returns compound; if not they are added to a start of 1 (simple chaining)")
]

ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class _Fall:
    """One drawdown by places among the levels: below the peak from `start` on, until `end`, if it has ended."""

    start: int
    trough: int
    end: int | None
    depth: float


@tool
def drawdown(
    view: View,
    ticker: Ticker,
    window: Window = 1260,
    rank: Rank = 1,
    confidence: Confidence = 0.95,
    compounded: Compounded = True,
) -> Evidence:
    """The deepest fall from a running peak within the last *window* sessions, and today's; or the *rank*-th deepest.

    Depth is a positive fraction of the peak. A drawdown begins with the first period below the peak and ends with
    the first that is not: `length` counts those periods from the last one at the peak to the recovery (to the last
    one known, where there is none yet), `to_trough` those to the trough and `recovery` those from there, as
    `Length`, `To Trough` and `Recovery` of PerformanceAnalytics' table.Drawdowns; `from_period`, `trough_period`
    and `recovery_period` number the returns of the window from 1. `average` is the mean depth of all drawdowns,
    `pain_index` the mean and `ulcer_index` the root mean square depth of all periods, `conditional_drawdown`
    (CDaR) the mean depth of the deepest periods beyond *confidence*, `drawdown_at_risk` that quantile of the
    periods and `episode_drawdown_at_risk` that of the drawdowns (`CDD` of PerformanceAnalytics).

    Of returns given in a file the start of 1 counts as a peak. Raises UnknownTicker, or NotComputed with fewer
    than 2 returns, or with fewer drawdowns than *rank*. Sources: Bacon, Practical Portfolio Performance
    Measurement (2008); Martin and McCann (1989); Chekhlov, Uryasev and Zabarankin, Drawdown Measure (2005).
    """
    prices = view.prices(ticker)
    prices.returns(window, needed=2)
    values = _levels(prices, window, compounded)
    depth = depths(values)
    falls = _falls(depth)
    if rank > max(len(falls), 1):
        raise NotComputed(f"needs {rank} drawdowns for that rank; {ticker} has {len(falls)} in {len(values)} closes")
    deepest = sorted(falls, key=lambda f: -f.depth)[rank - 1] if falls else None
    under = depth[1:]
    return view.evidence(
        {
            "ticker": text(ticker),
            "max": fraction(0 if deepest is None else deepest.depth),
            **_when(prices, values, deepest),
            "now": fraction(depth[-1]),
            **_durations(view, values, deepest),
            "drawdowns": count(len(falls)),
            **_averages(falls, len(values)),
            "pain_index": fraction(under.mean()),
            "ulcer_index": fraction(math.sqrt(float((under**2).mean()))),
            "drawdown_at_risk": fraction(np.quantile(under, confidence)),
            "conditional_drawdown": fraction(tails.historical(-under, confidence, "order_statistic", "coherent").es),
            "episode_drawdown_at_risk": fraction(np.quantile(_runs(depth), confidence)),
            "rank": count(rank),
            "window": view.span(len(values)),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "sign": "positive is a fall from the running peak",
            "price": prices.basis if compounded else f"{prices.basis}, returns added and not compounded",
            "length": "periods from the last one at the peak; a drawdown still running is counted to the last close "
            "(PerformanceAnalytics counts one more)",
            "conditional_drawdown": f"mean of the deepest {1 - confidence:.4g} of all periods; drawdown_at_risk their "
            "quantile (type 7); episode_drawdown_at_risk the quantile of the depths of all drawdowns and of the "
            "stretches between them, which count as 0 (CDD of PerformanceAnalytics)",
        },
        missing=stale(view, prices),
        series={"close": points(prices, window)},
    )


def _levels(prices: Prices, window: int, compounded: bool) -> NDArray[np.float64]:
    if compounded:
        return prices.levels(window)
    levels = 1 + np.concatenate([[0.0], np.cumsum(prices.returns(window))])
    if (levels <= 0).any():
        raise NotComputed(f"needs returns that leave wealth when added up; those of {prices.ticker} lose all")
    return np.asarray(levels, np.float64)[-window:]


def _falls(depth: NDArray[np.float64]) -> list[_Fall]:
    """Every drawdown, in order."""
    below = np.concatenate([[False], depth > ROUNDING, [False]])
    starts, ends = np.flatnonzero(below[1:] & ~below[:-1]), np.flatnonzero(~below[1:] & below[:-1])
    found: list[_Fall] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        trough = start + int(depth[start:end].argmax())
        found.append(_Fall(start, trough, end if end < len(depth) else None, float(depth[trough])))
    return found


def _runs(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth of each stretch of periods below, and 0 for each at, the peak."""
    below = depth[1:] > ROUNDING
    starts = np.flatnonzero(np.concatenate([[True], below[1:] != below[:-1]]))
    return np.asarray(np.maximum.reduceat(depth[1:], starts), np.float64)


def _when(prices: Prices, values: NDArray[np.float64], fall: _Fall | None) -> dict[str, Figure]:
    """The days of the peak, the trough and the recovery, where the series is dated."""
    if not prices.dated:
        return {}
    dates: list[Any] = prices.dates[-len(values) :].astype("datetime64[D]").tolist()
    trough = 0 if fall is None else fall.trough
    peak = int(values[: trough + 1].argmax())
    known = {"peak_date": day(dates[peak]), "trough_date": day(dates[trough])}
    if fall is not None:
        known["from_date"] = day(dates[fall.start])
        if fall.end is not None:
            known["recovery_date"] = day(dates[fall.end])
    return known


def _durations(view: View, values: NDArray[np.float64], fall: _Fall | None) -> dict[str, Figure]:
    if fall is None:
        return {"recovered": text("no drawdown")}
    end = len(values) - 1 if fall.end is None else fall.end
    known = {
        "length": view.span(end - fall.start + 1),
        "to_trough": view.span(fall.trough - fall.start + 1),
        "recovered": text("no" if fall.end is None else "yes"),
        "from_period": count(fall.start),
        "trough_period": count(fall.trough),
    }
    if fall.end is not None:
        known |= {"recovery": view.span(fall.end - fall.trough), "recovery_period": count(fall.end)}
    return known


def _averages(falls: list[_Fall], closes: int) -> dict[str, Figure]:
    """Mean depth and lengths over all drawdowns; of the recovery, over those that have ended."""
    if not falls:
        return {}
    ended = [f.end - f.trough for f in falls if f.end is not None]
    lengths = [(closes - 1 if f.end is None else f.end) - f.start + 1 for f in falls]
    known = {
        "average": fraction(np.mean([f.depth for f in falls])),
        "average_length": number(np.mean(lengths)),
        "average_to_trough": number(np.mean([f.trough - f.start + 1 for f in falls])),
    }
    return {**known, **({"average_recovery": number(np.mean(ended))} if ended else {})}
