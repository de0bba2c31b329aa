"""Technical indicators of closes: moving averages, RSI, MACD, Bollinger bands and momentum."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Series
from openoutcry.tools.arguments import Ddof, Ticker
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, number, per_share, text
from openoutcry.tools.formulas import indicators
from openoutcry.tools.formulas.indicators import Average, Seeding
from openoutcry.tools.prices import points, stale
from openoutcry.tools.tool import tool

Values = NDArray[np.float64]
Length = Annotated[int, Field(ge=1, le=1000, description="how many periods it looks over")]
Back = Annotated[
    int, Field(ge=0, le=100_000, description="periods before the newest: 0 is the last row, 1 the one before it")
]
SeedingOf = Annotated[
    Seeding,
    Field(
        description="how an exponential average begins: classic with the simple mean of its first periods, each by "
        "itself; ta_lib as the TA-Lib library; first_value with the first value (pandas ewm, adjust=False)"
    ),
]
Deviations = Annotated[float, Field(gt=0, le=100, description="standard deviations between the middle and a band")]
Smoothing = Annotated[
    Literal["wilder", "sma", "ema"], Field(description="of gains and losses: Wilder's own, simple (Cutler) or EMA")
]
PICTURED = 504
WARM_UP = "from the first known close; begun by the simple mean of the first {length}"
_SEEDS = {
    "classic": "each average begins with the simple mean of its own first periods",
    "ta_lib": "as TA-Lib begins it",
    "first_value": "each average begins with the first value",
}


@tool
def moving_average(
    view: View,
    ticker: Ticker,
    length: Length = 20,
    kind: Annotated[Average, Field(description="hull and wilder (SMMA) besides those of TA-Lib")] = "sma",
    seeding: SeedingOf = "classic",
    back: Back = 0,
) -> Evidence:
    """Moving average of closes: simple, exponential, weighted, double and triple EMA, triangular, KAMA, Wilder or Hull.

    `value` is the average at the last close and `previous` that of the period before, in the unit of the prices;
    `distance` is how far the close is above it, as a fraction of it. An EMA has the weight 2 / (length + 1), Wilder's
    1 / length; KAMA has the fast and slow lengths 2 and 30. Raises UnknownTicker, or NotComputed with fewer closes
    than the warm-up or where the file holds returns. Source: the TA-Lib library; Wilder (1978) for his own.
    """
    prices = closes_of(view, ticker, back)
    line = indicators.average(prices.values, length, kind, seeding)
    value = last(ticker, line, length)
    return charted(
        view,
        prices,
        {"value": line},
        {"distance": fraction(prices.values[-1] / value - 1), "length": count(length), "kind": text(kind)},
        {"average": f"{kind}({length})", "seeding": _SEEDS[seeding]},
    )


@tool
def rsi(view: View, ticker: Ticker, length: Length = 14, smoothing: Smoothing = "wilder", back: Back = 0) -> Evidence:
    """Relative strength index of closes, 0 to 100: `value` at the last close, and `previous`.

    100 - 100 / (1 + average gain / average loss); Wilder's averages begin with the simple mean of the first *length*
    gains and losses, as in StockCharts' table and TA-Lib. 50 where no close moved. Raises UnknownTicker, or
    NotComputed with no more than *length* closes or where the file holds returns. Source: Wilder, New Concepts in
    Technical Trading Systems (1978).
    """
    prices = closes_of(view, ticker, back)
    line = indicators.rsi(prices.values, length, smoothing)
    last(ticker, line, length + 1)
    return charted(
        view,
        prices,
        {"value": line},
        {"length": count(length)},
        {"rsi": f"{smoothing} averages over {length}", "seeding": WARM_UP.format(length=f"{length} moves")},
        plain=True,
    )


@tool
def macd(
    view: View,
    ticker: Ticker,
    fast: Length = 12,
    slow: Length = 26,
    signal: Length = 9,
    seeding: SeedingOf = "classic",
    back: Back = 0,
) -> Evidence:
    """Moving average convergence divergence of closes: the `macd` line, its `signal` and the `histogram` between them.

    The line is EMA(fast) - EMA(slow), the signal the EMA of the line, all in the unit of the prices. Classic begins
    each EMA with the simple mean of its own first periods (StockCharts); TA-Lib begins both on the bar of the slow
    one, so that early values differ. Raises UnknownTicker, or NotComputed with fewer than *slow* + *signal* - 1
    closes, where *fast* is not below *slow*, or where the file holds returns. Source: Appel; the TA-Lib library.
    """
    if fast >= slow:
        raise NotComputed(f"needs a fast length below the slow one; got {fast} and {slow}")
    prices = closes_of(view, ticker, back)
    line, smooth, gap = indicators.macd(prices.values, fast, slow, signal, seeding)
    last(ticker, smooth, slow + signal - 1)
    return charted(
        view,
        prices,
        {"macd": line, "signal": smooth, "histogram": gap},
        {"fast": count(fast), "slow": count(slow), "signal_length": count(signal)},
        {"macd": f"EMA({fast}) - EMA({slow}), signal EMA({signal})", "seeding": _SEEDS[seeding]},
    )


@tool
def bollinger(
    view: View,
    ticker: Ticker,
    length: Length = 20,
    deviations: Deviations = 2,
    kind: Annotated[Average, Field(description="of the middle band")] = "sma",
    ddof: Ddof = 0,
    seeding: SeedingOf = "classic",
    back: Back = 0,
) -> Evidence:
    """Bollinger bands of closes: `upper`, `middle` and `lower`, with `percent_b` and `bandwidth`.

    The middle is a moving average, the bands lie *deviations* standard deviations of the last *length* closes from
    it, with the divisor n - *ddof*: 0 is Bollinger's own and TA-Lib's. `percent_b` is (close - lower) /
    (upper - lower), 1 at the upper band; `bandwidth` (upper - lower) / middle, a fraction. Raises UnknownTicker, or
    NotComputed with fewer than *length* closes, where they are all alike, or where the file holds returns. Source:
    Bollinger on Bollinger Bands (2001).
    """
    prices = closes_of(view, ticker, back)
    if length <= ddof:
        raise NotComputed(f"needs a length above {ddof}; got {length}")
    middle = indicators.average(prices.values, length, kind, seeding)
    last(ticker, middle, length)
    spread = np.full(len(middle), np.nan)
    spread[length - 1 :] = np.lib.stride_tricks.sliding_window_view(prices.values, length).std(axis=1, ddof=ddof)
    upper, lower = middle + deviations * spread, middle - deviations * spread
    if not upper[-1] - lower[-1] > 1e-12 * abs(middle[-1]):
        raise NotComputed(f"needs closes that differ; the last {length} of {ticker} are all alike")
    return charted(
        view,
        prices,
        {"upper": upper, "middle": middle, "lower": lower},
        {
            "percent_b": number((prices.values[-1] - lower[-1]) / (upper[-1] - lower[-1])),
            "bandwidth": fraction((upper[-1] - lower[-1]) / middle[-1]),
            "standard_deviation": number(spread[-1]),
            "length": count(length),
        },
        {"bands": f"{kind}({length}) and {deviations:g} deviations", "ddof": str(ddof), "seeding": _SEEDS[seeding]},
    )


@tool
def momentum(view: View, ticker: Ticker, length: Length = 10, back: Back = 0) -> Evidence:
    """Momentum and rate of change of closes over *length* periods: `momentum`, `roc` in percent and `rate`.

    `momentum` is the close less the one *length* periods before, `rate` their quotient less 1 as a fraction and `roc`
    that times 100, as TA-Lib's MOM, ROCP and ROC. Raises UnknownTicker, or NotComputed with no more than *length*
    closes or where the file holds returns.
    """
    prices = closes_of(view, ticker, back)
    before = np.concatenate([np.full(length, np.nan), prices.values])[: len(prices.values)]
    line = prices.values - before
    last(ticker, line, length + 1)
    rate = prices.values / before - 1
    return charted(
        view,
        prices,
        {"momentum": line},
        {"roc": number(100 * rate[-1]), "rate": fraction(rate[-1]), "length": count(length)},
        {"roc": "in percent; rate is the same as a fraction"},
    )


def closes_of(view: View, ticker: str, back: int) -> Prices:
    """The closes up to *back* periods before the newest. Raises NotComputed for returns, or where none is left."""
    return upto(view.prices(ticker), back)


def upto(prices: Prices, back: int) -> Prices:
    """*prices* without the last *back* periods; of a warehouse without splits between its closes."""
    if prices.changes is not None:
        raise NotComputed(f"needs prices; {prices.ticker} holds returns: give a file of price levels with --prices")
    kept = len(prices.values) - back
    if kept < 1:
        raise NotComputed(f"needs more than {back} closes to go {back} back; {prices.ticker} has {len(prices.values)}")
    if kept > 1:
        prices.returns(len(prices.values), needed=1)
    return prices.at(np.arange(kept))


def last(ticker: str, line: Values, needed: int) -> float:
    """The newest value of an indicator. Raises NotComputed where it has none yet."""
    value = float(line[-1])
    if not math.isfinite(value):
        raise NotComputed(
            f"needs a longer series: at least {needed} periods that differ; {ticker} has {len(line)} by then"
        )
    return value


def charted(
    view: View,
    prices: Prices,
    lines: Mapping[str, Values],
    further: Mapping[str, Figure],
    conventions: Mapping[str, str],
    *,
    plain: bool = False,
) -> Evidence:
    """Evidence of an indicator: each line's newest value and the one before, and the lines as pictures.

    *plain* lines have no unit; the others have that of the prices, dollars a share in the warehouse.
    """
    unit = number if plain or view.names_given is not None else per_share
    level = per_share if view.names_given is None else number
    figures: dict[str, Figure] = {"ticker": text(prices.ticker)}
    for name, line in lines.items():
        figures[name] = unit(line[-1])
        if len(line) > 1 and math.isfinite(line[-2]):
            figures["previous" if name == "value" else f"previous_{name}"] = unit(line[-2])
    dates = prices.dates.astype("datetime64[D]").tolist() if prices.dated else None
    return view.evidence(
        {
            **figures,
            **further,
            "close": level(prices.values[-1]),
            "observations": view.span(len(prices.values)),
            **prices.until,
        },
        [prices.rows],
        conventions={"price": prices.basis, **conventions},
        missing=stale(view, prices),
        series={"close": points(prices, PICTURED), **{n: _pictured(line, dates) for n, line in lines.items()}},
    )


def _pictured(line: Values, dates: list[date] | None) -> Series:
    """The known values among the last of a line."""
    first = max(len(line) - PICTURED, 0)
    places = [i for i in range(first, len(line)) if math.isfinite(line[i])]
    days = tuple(dates[i] for i in places) if dates else ()
    return Series(dates=days, values=tuple(float(line[i]) for i in places))
