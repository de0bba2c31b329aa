"""Technical indicators that need high, low or volume besides closes, and any function of TA-Lib by its name."""

import math
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import MAPPED, Ticker
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, number, text
from openoutcry.tools.formulas import indicators
from openoutcry.tools.formulas.indicators import BarSeeding, Seeding
from openoutcry.tools.technical import Back, Length, charted, last, upto
from openoutcry.tools.tool import tool

Values = NDArray[np.float64]
FirstBar = Annotated[
    Seeding,
    Field(
        description="classic averages true ranges from the first bar on, whose range is high less low; ta_lib from "
        "the second bar on; first_value begins with the first bar's range alone"
    ),
]
Moves = Annotated[
    BarSeeding,
    Field(
        description="classic averages the first movements and ranges, from the second bar on (Wilder, StockCharts); "
        "ta_lib begins with one fewer; first_bar has the range of the first bar too; first_value begins with the first"
    ),
]
FunctionName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_]{2,20}$", description="a function of TA-Lib, e.g. AROON, MFI, SAR, STOCHRSI")
]
Parameters = Annotated[
    dict[str, float] | None,
    MAPPED,
    Field(description="its parameters by TA-Lib's names, e.g. timeperiod=14,fastk_period=5"),
]


@tool
def atr(view: View, ticker: Ticker, length: Length = 14, seeding: FirstBar = "classic", back: Back = 0) -> Evidence:
    """Average true range by Wilder's smoothing: `value`, and `natr`, the same in percent of the close.

    The true range is the largest of high - low, |high - close before| and |low - close before|; `true_range` is that
    of the last bar. `normalised` is the average over the close as a fraction, `natr` that times 100. A file gives
    columns open, high, low and close; name the close's column. Raises UnknownTicker, or NotComputed without high and
    low, with fewer than *length* bars, or where the file holds returns. Source: Wilder, New Concepts in Technical
    Trading Systems (1978).
    """
    prices, high, low = _ranged(view, ticker, back)
    line = indicators.atr(high, low, prices.values, length, seeding)
    value = last(ticker, line, length + (seeding == "ta_lib"))
    return charted(
        view,
        prices,
        {"value": line, "true_range": indicators.true_range(high, low, prices.values)},
        {
            "natr": number(100 * value / prices.values[-1]),
            "normalised": fraction(value / prices.values[-1]),
            "length": count(length),
        },
        {"atr": f"Wilder's smoothing over {length}", "seeding": seeding, "natr": "in percent of the close"},
    )


@tool
def stochastic(
    view: View,
    ticker: Ticker,
    length: Length = 14,
    smooth_k: Annotated[
        Length, Field(description="simple average of raw %K: 1 is the fast stochastic, 3 the slow")
    ] = 1,
    smooth_d: Annotated[Length, Field(description="simple average of %K that makes %D")] = 3,
    back: Back = 0,
) -> Evidence:
    """Stochastic oscillator, 0 to 100: `k`, `d`, and Williams' `williams_r` from -100 to 0.

    Raw %K is 100 (close - lowest low) / (highest high - lowest low) over *length* bars; `k` its simple average over
    *smooth_k*, `d` that of `k` over *smooth_d*; `williams_r` raw %K less 100. Raises UnknownTicker, or NotComputed
    without high and low, with too few bars or bars without a range, or where the file holds returns. Source: Lane;
    the TA-Lib library (STOCH, STOCHF, WILLR).
    """
    prices, high, low = _ranged(view, ticker, back)
    raw = indicators.stochastic(high, low, prices.values, length)
    k = indicators.sma(raw, smooth_k)
    d = indicators.sma(k, smooth_d)
    last(ticker, d, length + smooth_k + smooth_d - 2)
    return charted(
        view,
        prices,
        {"k": k, "d": d, "williams_r": raw - 100},
        {"length": count(length)},
        {"stochastic": f"%K({length}) averaged over {smooth_k}, %D over {smooth_d}, simple averages"},
        plain=True,
    )


@tool
def adx(view: View, ticker: Ticker, length: Length = 14, seeding: Moves = "classic", back: Back = 0) -> Evidence:
    """Average directional index, 0 to 100: `adx`, `plus_di`, `minus_di` and `dx`, by Wilder's smoothing.

    `plus_di` is 100 times the smoothed upward movement over the smoothed true range, `minus_di` the downward;
    `dx` their difference over their sum, and `adx` its average. Raises UnknownTicker, or NotComputed without high
    and low, with fewer than 2 *length* bars, or where the file holds returns. Source: Wilder, New Concepts in
    Technical Trading Systems (1978).
    """
    prices, high, low = _ranged(view, ticker, back)
    lines = indicators.adx(high, low, prices.values, length, seeding)
    last(ticker, lines["adx"], 2 * length)
    return charted(
        view,
        prices,
        lines,
        {"length": count(length)},
        {"adx": f"Wilder's smoothing over {length}", "seeding": seeding},
        plain=True,
    )


@tool
def cci(view: View, ticker: Ticker, length: Length = 20, back: Back = 0) -> Evidence:
    """Commodity channel index of the typical price (high + low + close) / 3: `value` and `previous`.

    The typical price less its simple mean over *length*, over 0.015 times the mean absolute deviation from that
    mean. Raises UnknownTicker, or NotComputed without high and low, with fewer than *length* bars or typical prices
    all alike, or where the file holds returns. Source: Lambert (1980).
    """
    prices, high, low = _ranged(view, ticker, back)
    typical = (high + low + prices.values) / 3
    line = np.full(len(typical), np.nan)
    if len(typical) >= max(length, 2):
        windows = np.lib.stride_tricks.sliding_window_view(typical, length)
        mean = windows.mean(axis=1)
        away = np.abs(windows - mean[:, None]).mean(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            line[length - 1 :] = np.where(away > 1e-12 * mean, (typical[length - 1 :] - mean) / (0.015 * away), np.nan)
    last(ticker, line, max(length, 2))
    return charted(view, prices, {"value": line}, {"length": count(length)}, {"cci": "constant 0.015"}, plain=True)


@tool
def obv(view: View, ticker: Ticker, back: Back = 0) -> Evidence:
    """On-balance volume: the volume of rising closes less that of falling ones, added up: `value` and `previous`.

    It begins with the first bar's volume, as TA-Lib's; `from_zero` is the same begun with nothing (Granville,
    StockCharts). Raises UnknownTicker, or NotComputed without a volume of every bar or where the file holds returns.
    """
    bars = view.bars(ticker)
    prices = upto(bars.closes, back)
    if bars.volume is None:
        raise NotComputed(f"needs a volume of every bar; {ticker} has none: give a column volume")
    volume = bars.volume[: len(prices.values)]
    line = np.cumsum(np.concatenate([volume[:1], np.sign(np.diff(prices.values)) * volume[1:]]))
    return charted(
        view,
        prices,
        {"value": line},
        {"from_zero": number(line[-1] - volume[0])},
        {"start": "the first bar's volume; from_zero begins with nothing"},
        plain=True,
    )


@tool
def ta_lib(
    view: View, ticker: Ticker, function: FunctionName, parameters: Parameters = None, back: Back = 0
) -> Evidence:
    """Any indicator of the TA-Lib library by its name, with its own parameters: each output is a figure.

    An output called `real` or `integer` is `value`; the others have TA-Lib's names in lower case, such as `aroondown`
    or `slowk`. It is given the closes, and open, high, low and volume where the series has them. The values and their
    warm-up are TA-Lib's. Raises UsageError for a function or parameter that TA-Lib lacks, UnknownTicker, or
    NotComputed where it needs what the series has not, with too few bars, or where the file holds returns.
    """
    bars = view.bars(ticker)
    prices = upto(bars.closes, back)
    known = {n: v for n in ("open", "high", "low", "volume") if (v := getattr(bars, n)) is not None}
    inputs = {n: np.asarray(v[: len(prices.values)], np.float64) for n, v in known.items()} | {"close": prices.values}
    outputs = _called(function.upper(), parameters or {}, inputs, ticker)
    for name, line in outputs.items():
        if not math.isfinite(line[-1]):
            raise NotComputed(f"needs more bars for {name} of {function.upper()}; {ticker} has {len(line)} by then")
    used = ", ".join(f"{n}={v:g}" for n, v in (parameters or {}).items()) or "TA-Lib's own"
    return charted(
        view,
        prices,
        outputs,
        {"function": text(function.upper())},
        {"function": f"TA-Lib {function.upper()}, parameters: {used}", "seeding": "as TA-Lib"},
        plain=True,
    )


def _called(name: str, parameters: dict[str, float], inputs: dict[str, Values], ticker: str) -> dict[str, Values]:
    """The outputs of one function, by name."""
    abstract: Any = import_module("talib.abstract")
    if name not in indicators.library().get_functions():
        raise UsageError(f"TA-Lib has no function {name}; see its list, e.g. AROON, MFI, SAR, STOCHRSI, ULTOSC")
    made = abstract.Function(name)
    own: dict[str, Any] = dict(made.parameters)
    if unknown := [n for n in parameters if n not in own]:
        raise UsageError(f"{name} of TA-Lib has no parameter {unknown[0]}; it has {', '.join(own) or 'none'}")
    whole = {n: int(v) if isinstance(own[n], int) and float(v).is_integer() else v for n, v in parameters.items()}
    try:
        found: Any = made(inputs, **whole)
    except Exception as error:
        said = " ".join(str(error).split())
        raise NotComputed(f"needs what TA-Lib takes for {name} of {ticker}; it says: {said}") from None
    lines: list[Any] = list(found) if len(made.output_names) > 1 else [found]
    names = ["value" if n in ("real", "integer") else n.lower() for n in made.output_names]
    return {n: np.asarray(line, np.float64) for n, line in zip(names, lines, strict=True)}


def _ranged(view: View, ticker: str, back: int) -> tuple[Prices, Values, Values]:
    """Closes, highs and lows. Raises NotComputed where there are none, or a high lies below its low."""
    bars = view.bars(ticker)
    prices = upto(bars.closes, back)
    if bars.high is None or bars.low is None:
        raise NotComputed(f"needs high and low of every bar; {ticker} lacks them: give columns high, low and close")
    high, low = bars.high[: len(prices.values)], bars.low[: len(prices.values)]
    if (high < low).any():
        raise NotComputed(f"needs highs no lower than the lows; {ticker} has {int((high < low).sum())} bars otherwise")
    return prices, high, low
