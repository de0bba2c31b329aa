"""The bid-ask spread of a ticker, estimated from its bars where no quotes are known."""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import Ddof, Ticker, Window
from openoutcry.tools.data.closes import Bars
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import fraction, number, per_share, text
from openoutcry.tools.formulas import spreads
from openoutcry.tools.prices import alike, stale
from openoutcry.tools.technical import upto
from openoutcry.tools.tool import tool

Values = NDArray[np.float64]
FEWEST = 4
Negative = Annotated[
    Literal["zero", "absolute", "signed"],
    Field(
        description="what becomes of an estimate below zero: zero; absolute as the package bidask has it without sign; "
        "signed as it is"
    ),
]
Overnight = Annotated[
    bool, Field(description="Corwin and Schultz: take the gap between a close and the next day's range out of it")
]


@tool
def bid_ask_spread(
    view: View,
    ticker: Ticker,
    window: Window = 252,
    negative: Negative = "zero",
    overnight: Overnight = True,
    ddof: Annotated[Ddof, Field(description="Roll's covariance: divisor n - ddof")] = 1,
) -> Evidence:
    """Bid-ask spread of *ticker* as a share of its price, estimated from open, high, low and close by four methods.

    `edge` is the efficient estimator of Ardia, Guidotti and Kroencke (2024), which needs all four prices.
    `abdi_ranaldo` (2017) is the root of the mean of 4 (c - m) (c - m'), with c a day's log close, m and m' the middles
    of log high and low of that day and the next; `corwin_schultz` (2012) the mean of 2 (e^a - 1) / (e^a + 1) over two
    days each, with a from their high-low ranges. `_two_day` sets what is below zero to zero in each two days, before
    the mean. `roll` (1984) is 2 sqrt(-covariance) of successive log changes of the close, `roll_price` that of changes
    in the unit of the price. Half a spread is what one trade pays against the middle.

    A file gives columns open, high, low and close; name the close's column. What the columns do not give is left out
    and listed as missing. Raises UnknownTicker, or NotComputed with fewer than 4 bars, a price at or below zero, a
    high below its low, closes all alike, or where the file holds returns. Sources: the papers; the package bidask.
    """
    bars, missing = _bars(view, ticker, window), list[str]()
    prices = bars.closes
    found = _ranges(bars, negative, overnight, missing)
    found["roll"] = _root("roll", spreads.roll(np.diff(np.log(prices.values)), ddof), negative, missing)
    in_price = _root("roll_price", spreads.roll(np.diff(prices.values), ddof), negative, missing)
    level = per_share if view.names_given is None else number
    return view.evidence(
        {
            "ticker": text(prices.ticker),
            **{name: fraction(value) for name, value in found.items()},
            "roll_price": level(in_price),
            "close": level(prices.values[-1]),
            "observations": view.span(len(prices.values)),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "spread": "ask less bid over the middle, in logarithms; half of it is the cost of one trade",
            "negative": {"zero": "an estimate below zero is 0", "absolute": "without its sign", "signed": "as it is"}[
                negative
            ],
            "corwin_schultz": f"overnight gaps {'taken out of the range of two days' if overnight else 'left in'}",
            "roll": f"sample covariance, divisor n - {ddof}",
            "price": prices.basis,
        },
        missing=[*missing, *stale(view, prices)],
    )


def _bars(view: View, ticker: str, window: int) -> Bars:
    """The last *window* bars, of which highs and lows must fit."""
    bars = view.bars(ticker)
    prices = upto(bars.closes, 0)
    last = slice(-window, None)
    opened, high, low = (None if v is None else v[last] for v in (bars.open, bars.high, bars.low))
    prices = prices.at(np.arange(len(prices.values))[last])
    if (count := len(prices.values)) < FEWEST:
        raise NotComputed(f"needs at least {FEWEST} bars; {ticker} has {count}")
    if alike(prices.values / prices.values[0]):
        raise NotComputed(f"needs closes that differ; those of {ticker} are all alike")
    for name, values in (("open", opened), ("high", high), ("low", low)):
        if values is not None and (values <= 0).any():
            raise NotComputed(f"needs prices above zero; the {name} of {ticker} holds {values.min():g}")
    if high is not None and low is not None and (high < low).any():
        raise NotComputed(f"needs highs no lower than the lows; {ticker} has {int((high < low).sum())} bars otherwise")
    return Bars(prices, opened, high, low, None)


def _ranges(bars: Bars, negative: Negative, overnight: bool, missing: list[str]) -> dict[str, float]:
    """The estimators that need highs and lows."""
    close, high, low, opened = bars.closes.values, bars.high, bars.low, bars.open
    if high is None or low is None:
        missing.append("edge, abdi_ranaldo, corwin_schultz: need high and low of every bar, edge the open too")
        return {}
    inside = [v for v in (close, opened) if v is not None]
    if outside := int(np.any([(v > high * (1 + 1e-9)) | (v < low * (1 - 1e-9)) for v in inside], axis=0).sum()):
        missing.append(f"{outside} bars have an open or close outside of low to high: the estimates may be wrong")
    pairs, days = (
        spreads.abdi_ranaldo(high, low, close),
        spreads.corwin_schultz(high, low, close, overnight=overnight),
    )
    return {
        **_edge(opened, high, low, close, negative, missing),
        "abdi_ranaldo": _root("abdi_ranaldo", float(pairs.mean()), negative, missing),
        "abdi_ranaldo_two_day": float(np.sqrt(np.maximum(pairs, 0)).mean()),
        "corwin_schultz": _kept("corwin_schultz", float(days.mean()), negative, missing),
        "corwin_schultz_two_day": float(np.maximum(days, 0).mean()),
    }


def _edge(
    opened: Values | None, high: Values, low: Values, close: Values, negative: Negative, missing: list[str]
) -> dict[str, float]:
    square = None if opened is None else spreads.edge(opened, high, low, close)
    if square is None:
        missing.append("edge: needs an open of every bar, and bars in which prices move within the day")
        return {}
    return {"edge": _root("edge", square, negative, missing)}


def _root(name: str, square: float, negative: Negative, missing: list[str]) -> float:
    """The spread of its square, which may be below zero."""
    return _kept(name, math.copysign(math.sqrt(abs(square)), square), negative, missing)


def _kept(name: str, value: float, negative: Negative, missing: list[str]) -> float:
    """The estimate, or what becomes of it below zero."""
    if value < 0 and negative != "signed":
        missing.append(f"{name}: estimated below zero ({value:.6g}); taken as {negative}")
    return {"zero": max(value, 0.0), "absolute": abs(value), "signed": value}[negative]
