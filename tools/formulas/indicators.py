"""Technical indicators as formulas where TA-Lib has none: the textbook way to seed an average, and what rests on it.

Every function gives an array as long as what it takes, NaN until there is enough. Sources: Wilder, New Concepts in
Technical Trading Systems (1978); Appel (MACD); StockCharts ChartSchool, whose worked tables seed as is done here.
"""

from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Average = Literal["sma", "ema", "wma", "dema", "tema", "trima", "kama", "wilder", "hull"]
Seeding = Literal["classic", "ta_lib", "first_value"]
BarSeeding = Literal["classic", "ta_lib", "first_value", "first_bar"]


def library() -> Any:
    """TA-Lib, loaded when it is first needed."""
    return import_module("talib")


def recursive(values: Values, alpha: float, seed: int) -> Values:
    """An exponential average of weight *alpha*, begun by the mean of the first *seed* known values."""
    out = np.full(len(values), np.nan)
    start = int(np.argmax(~np.isnan(values)))
    at = start + seed - 1
    if np.isnan(values[start]) or at >= len(values):
        return out
    level = float(values[start : at + 1].mean())
    out[at] = level
    for i in range(at + 1, len(values)):
        level += alpha * (float(values[i]) - level)
        out[i] = level
    return out


def ema(values: Values, length: int, seeding: Seeding = "classic") -> Values:
    """Weight 2 / (length + 1); begun by the simple mean of the first *length*, or by the first value."""
    return recursive(values, 2 / (length + 1), 1 if seeding == "first_value" else length)


def wilder(values: Values, length: int) -> Values:
    """Weight 1 / length, begun by the simple mean of the first *length*: Wilder's smoothing, or SMMA."""
    return recursive(values, 1 / length, length)


def sma(values: Values, length: int) -> Values:
    """The simple mean of the last *length* known values."""
    out, start = np.full(len(values), np.nan), int(np.argmax(~np.isnan(values)))
    if len(values) - start >= length:
        windows = np.lib.stride_tricks.sliding_window_view(values[start:], length)
        out[start + length - 1 :] = windows.mean(axis=1)
    return out


def average(values: Values, length: int, kind: Average, seeding: Seeding = "classic") -> Values:
    """The moving average of this *kind*: TA-Lib's, but for those that are begun by the first value, and two more."""
    if kind == "ema":
        return ema(values, length, seeding)
    if kind == "wilder":
        return wilder(values, length)
    if kind == "hull":
        half, root = max(length // 2, 1), max(int(length**0.5), 1)
        return wma(2 * wma(values, half) - wma(values, length), root)
    if kind in ("dema", "tema") and seeding == "first_value":
        one = ema(values, length, seeding)
        two = ema(one, length, seeding)
        return 2 * one - two if kind == "dema" else 3 * one - 3 * two + ema(two, length, seeding)
    if kind == "sma" or length == 1:
        return sma(values, length)
    return np.asarray(getattr(library(), kind.upper())(values, length), np.float64)


def wma(values: Values, length: int) -> Values:
    """Weights 1, 2, .. length, the newest most."""
    out, start = np.full(len(values), np.nan), int(np.argmax(~np.isnan(values)))
    if len(values) - start >= length:
        windows = np.lib.stride_tricks.sliding_window_view(values[start:], length)
        weights = np.arange(1, length + 1, dtype=np.float64)
        out[start + length - 1 :] = windows @ weights / weights.sum()
    return out


def rsi(values: Values, length: int, smoothing: Literal["wilder", "sma", "ema"]) -> Values:
    """100 - 100 / (1 + average gain / average loss); 50 where there was neither."""
    moved = np.diff(values, prepend=np.nan)
    smooth = {"wilder": wilder, "sma": sma, "ema": ema}[smoothing]
    gain, loss = (smooth(np.where(np.isnan(moved), np.nan, np.maximum(s * moved, 0)), length) for s in (1, -1))
    both = gain + loss
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(both == 0, 50.0, np.clip(100 * gain / both, 0, 100))


def macd(values: Values, fast: int, slow: int, signal: int, seeding: Seeding) -> tuple[Values, Values, Values]:
    """The line, its signal and the histogram. TA-Lib begins both averages on the same bar, *slow* from the start."""
    if seeding == "ta_lib":
        line, smooth, gap = library().MACD(values, fast, slow, signal)
        return np.asarray(line), np.asarray(smooth), np.asarray(gap)
    line = ema(values, fast, seeding) - ema(values, slow, seeding)
    smooth = ema(line, signal, seeding)
    return line, smooth, line - smooth


def true_range(high: Values, low: Values, close: Values) -> Values:
    """The range that minds the close before; of the first bar its high less its low."""
    before = np.concatenate([[np.nan], close[:-1]])
    return np.fmax(high, before) - np.fmin(low, before)


def atr(high: Values, low: Values, close: Values, length: int, seeding: Seeding) -> Values:
    """Wilder's average true range; TA-Lib leaves out the first bar, of which no close before is known."""
    if seeding == "ta_lib":
        return np.asarray(library().ATR(high, low, close, length), np.float64)
    return recursive(true_range(high, low, close), 1 / length, 1 if seeding == "first_value" else length)


def adx(high: Values, low: Values, close: Values, length: int, seeding: BarSeeding) -> dict[str, Values]:
    """Wilder's directional movement: adx, plus_di, minus_di and dx.

    Classic averages the first *length* movements and ranges, from the second bar on; TA-Lib begins with one fewer;
    `first_bar` has the range of the first bar too, as an average true range by itself has.
    """
    if seeding == "ta_lib":
        of = library()
        known = {"adx": of.ADX, "plus_di": of.PLUS_DI, "minus_di": of.MINUS_DI, "dx": of.DX}
        return {n: np.asarray(f(high, low, close, length), np.float64) for n, f in known.items()}
    up, down = np.diff(high, prepend=np.nan), -np.diff(low, prepend=np.nan)
    ranged = true_range(high, low, close)
    if seeding != "first_bar":
        ranged[0] = np.nan
    seed = 1 if seeding == "first_value" else length
    plus, minus, whole = (
        recursive(v, 1 / length, seed)
        for v in (
            np.where(np.isnan(up), np.nan, np.where((up > down) & (up > 0), up, 0.0)),
            np.where(np.isnan(up), np.nan, np.where((down > up) & (down > 0), down, 0.0)),
            ranged,
        )
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        di = [100 * np.where(whole == 0, 0.0, m / whole) for m in (plus, minus)]
        both = di[0] + di[1]
        dx = np.where(both == 0, 0.0, 100 * np.abs(di[0] - di[1]) / both)
    return {"adx": recursive(dx, 1 / length, seed), "plus_di": di[0], "minus_di": di[1], "dx": dx}


def stochastic(high: Values, low: Values, close: Values, length: int) -> Values:
    """Where the close lies within the range of the last *length* bars, 0 to 100; NaN where there is no range."""
    out = np.full(len(close), np.nan)
    if len(close) >= length:
        top = np.lib.stride_tricks.sliding_window_view(high, length).max(axis=1)
        bottom = np.lib.stride_tricks.sliding_window_view(low, length).min(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[length - 1 :] = 100 * (close[length - 1 :] - bottom) / (top - bottom)
    return np.where(np.isfinite(out), out, np.nan)
