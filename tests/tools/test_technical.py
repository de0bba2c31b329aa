"""Technical indicators: published tables and library tests, TA-Lib, slow definitions, and properties."""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View
from openoutcry.tools.formulas.indicators import Average
from openoutcry.tools.technical import bollinger, macd, momentum, moving_average, rsi
from openoutcry.tools.technical_bars import adx, atr, cci, obv, stochastic, ta_lib

BARS = Path(__file__).parents[2].parent / "shared" / "data" / "refdata" / "talipp_ohlcv.csv"
here = pytest.mark.skipif(not BARS.is_file(), reason="the shared data are not here")
Values = NDArray[np.float64]
talib: Any = import_module("talib")
pd: Any = import_module("pandas")
Tool = Callable[..., Evidence]
EVERY: tuple[Tool, ...] = (moving_average, rsi, macd, bollinger, momentum, atr, stochastic, adx, cci, obv)


def closes(values: Sequence[float]) -> Given:
    return Given.of({"A": values}, "prices")


def walk(seed: int, n: int = 120) -> dict[str, Values]:
    """Bars of a random walk: open, high, low, close and volume."""
    chance = np.random.default_rng(seed)
    close = 50 * np.cumprod(1 + np.clip(chance.normal(0, 0.02, n), -0.2, 0.2))
    opened = close * (1 + chance.normal(0, 0.01, n))
    high = np.maximum(opened, close) * (1 + np.abs(chance.normal(0, 0.01, n)))
    low = np.minimum(opened, close) * (1 - np.abs(chance.normal(0, 0.01, n)))
    volume = chance.integers(1, 1000, n).astype(np.float64)
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": volume}
    return {n: np.asarray(v, np.float64) for n, v in columns.items()}


def bars(columns: dict[str, Values]) -> Given:
    return Given.of(columns, "prices")


# The unit tests of the library talipp on its own 50 bars, which are refdata/talipp_ohlcv.csv: the last three values.
@here
@pytest.mark.parametrize(
    ("tool", "arguments", "figure", "printed"),
    [
        (moving_average, {"length": 20}, "value", (9.075500, 9.183000, 9.308500)),
        (moving_average, {"length": 20, "kind": "ema"}, "value", (9.319374, 9.406100, 9.462662)),
        (moving_average, {"length": 20, "kind": "wma"}, "value", (9.417523, 9.527476, 9.605285)),
        (moving_average, {"length": 20, "kind": "dema"}, "value", (9.683254, 9.813792, 9.882701)),
        (moving_average, {"length": 10, "kind": "tema"}, "value", (10.330217, 10.399910, 10.323950)),
        (moving_average, {"length": 14, "kind": "kama"}, "value", (8.884374, 8.932091, 8.941810)),
        (rsi, {"length": 20}, "value", (57.880437, 55.153392, 53.459494)),
        (macd, {}, "macd", (0.293541, 0.326186, 0.329698)),
        (macd, {}, "signal", (0.098639, 0.144149, 0.181259)),
        (macd, {}, "histogram", (0.194901, 0.182037, 0.148439)),
        (atr, {"length": 5}, "value", (0.676426, 0.665141, 0.686113)),
        (atr, {"length": 5}, "natr", (6.387410, 6.501871, 6.861131)),
        (bollinger, {"length": 5}, "lower", (8.186646, 9.161539, 9.863185)),
        (bollinger, {"length": 5}, "middle", (9.748000, 10.096000, 10.254000)),
        (bollinger, {"length": 5}, "upper", (11.309353, 11.030460, 10.644814)),
        (stochastic, {}, "k", (88.934426, 74.180327, 64.754098)),
        (stochastic, {}, "d", (88.344442, 84.499789, 75.956284)),
        (stochastic, {}, "williams_r", (-11.065573, -25.819672, -35.245901)),
        (adx, {"seeding": "first_bar"}, "adx", (15.734865, 16.761395, 16.698475)),
        (adx, {"seeding": "first_bar"}, "plus_di", (33.236743, 31.116720, 28.670782)),
        (adx, {"seeding": "first_bar"}, "minus_di", (17.415377, 16.716048, 20.812570)),
        (cci, {}, "value", (179.169127, 141.667617, 89.601438)),
        (obv, {}, "value", (665.899999, 617.609999, 535.949999)),
        (momentum, {"length": 20}, "roc", (30.740740, 26.608910, 33.511348)),
    ],
)
def test_talipp(tool: Tool, arguments: dict[str, Any], figure: str, printed: Sequence[float]) -> None:
    view = Given.read([BARS], "prices")
    found = [tool(view, "close", back=back, **arguments) for back in (2, 1, 0)]
    assert [e.value(figure) for e in found] == pytest.approx(printed, abs=2e-6)
    before = "previous" if figure == "value" else f"previous_{figure}"
    if before in found[2].figures:
        assert found[2].value(before) == found[1].value(figure)


# StockCharts ChartSchool, "Relative Strength Index": the worksheet of QQQQ closes and its 14-day RSI.
QQQQ = """44.3389 44.0902 44.1497 43.6124 44.3278 44.8264 45.0955 45.4245 45.8433 46.0826 45.8931 46.0328
45.6140 46.2820 46.2820 46.0028 46.0328 46.4116 46.2222 45.6439 46.2122 46.2521 45.7137 46.4515
45.7835 45.3548 44.0288 44.1783 44.2181 44.5672 43.4205 42.6628 43.1314"""
QQQQ_RSI = """70.53 66.32 66.55 69.41 66.36 57.97 62.93 63.26 56.06 62.38 54.71 50.42 39.99 41.46 41.87 45.46
37.30 33.08 37.77"""


def test_the_rsi_of_stockcharts() -> None:
    view, printed = closes([float(x) for x in QQQQ.split()]), [float(x) for x in QQQQ_RSI.split()]
    for back, value in enumerate(reversed(printed)):
        assert rsi(view, "A", back=back).value("value") == pytest.approx(value, abs=0.06)
    with pytest.raises(NotComputed, match="at least 15 periods that differ; A has 14 by then"):
        rsi(view, "A", back=len(printed))


# StockCharts ChartSchool, "Moving Averages": the worksheet of Intel's closes with 10-day SMA and EMA.
INTC = """22.2734 22.1940 22.0847 22.1741 22.1840 22.1344 22.2337 22.4323 22.2436 22.2933 22.1542 22.3926
22.3816 22.6109 23.3558 24.0519 23.7530 23.8324 23.9516 23.6338 23.8225 23.8722 23.6537 23.1870
23.0976 23.3260 22.6805 23.0976 22.4025 22.1725"""
INTC_SMA = """22.22 22.21 22.23 22.26 22.31 22.42 22.61 22.77 22.91 23.08 23.21 23.38 23.53 23.65 23.71 23.69
23.61 23.51 23.43 23.28 23.13"""
INTC_EMA = """22.22 22.21 22.24 22.27 22.33 22.52 22.80 22.97 23.13 23.28 23.34 23.43 23.51 23.54 23.47 23.40
23.39 23.26 23.23 23.08 22.92"""


def test_the_moving_averages_of_stockcharts() -> None:
    view = closes([float(x) for x in INTC.split()])
    kinds: list[tuple[Average, str]] = [("sma", INTC_SMA), ("ema", INTC_EMA)]
    for kind, text in kinds:
        for back, value in enumerate(reversed([float(x) for x in text.split()])):
            found = moving_average(view, "A", length=10, kind=kind, back=back)
            assert found.value("value") == pytest.approx(value, abs=0.0051)


@pytest.mark.parametrize("seed", range(4))
def test_ta_lib_seeds_its_own_way(seed: int) -> None:
    """Whatever has a ta_lib seeding gives what the library gives; the rest does at any length."""
    columns = walk(seed)
    view, high, low, close = bars(columns), columns["high"], columns["low"], columns["close"]
    line, signal, gap = talib.MACD(close)
    found = macd(view, "close", seeding="ta_lib")
    assert [found.value(n) for n in ("macd", "signal", "histogram")] == pytest.approx([line[-1], signal[-1], gap[-1]])
    assert atr(view, "close", seeding="ta_lib").value("value") == pytest.approx(talib.ATR(high, low, close)[-1])
    moved = adx(view, "close", seeding="ta_lib")
    assert moved.value("adx") == pytest.approx(talib.ADX(high, low, close)[-1])
    assert moved.value("plus_di") == pytest.approx(talib.PLUS_DI(high, low, close)[-1])
    assert rsi(view, "close").value("value") == pytest.approx(talib.RSI(close)[-1])
    assert cci(view, "close", length=14).value("value") == pytest.approx(talib.CCI(high, low, close)[-1])
    assert obv(view, "close").value("value") == pytest.approx(talib.OBV(close, columns["volume"])[-1])
    k, d = talib.STOCH(high, low, close, 5, 3, 0, 3, 0)
    slow = stochastic(view, "close", length=5, smooth_k=3, smooth_d=3)
    assert [slow.value("k"), slow.value("d")] == pytest.approx([k[-1], d[-1]])
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    bands = bollinger(view, "close")
    assert [bands.value(n) for n in ("upper", "middle", "lower")] == pytest.approx([upper[-1], middle[-1], lower[-1]])
    kinds: tuple[Average, ...] = ("sma", "ema", "wma", "dema", "tema", "trima", "kama")
    for kind in kinds:
        own = getattr(talib, kind.upper())(close, 15)
        assert moving_average(view, "close", length=15, kind=kind).value("value") == pytest.approx(own[-1]), kind
    roc = momentum(view, "close", length=7)
    assert [roc.value("momentum"), roc.value("roc")] == pytest.approx(
        [talib.MOM(close, 7)[-1], talib.ROC(close, 7)[-1]]
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_first_value_begins_as_pandas_begins(seed: int) -> None:
    columns = walk(seed)
    frame = pd.Series(columns["close"])
    view = bars(columns)
    slow, fast = (frame.ewm(span=n, adjust=False).mean() for n in (26, 12))
    signal = (fast - slow).ewm(span=9, adjust=False).mean()
    found = moving_average(view, "close", length=26, kind="ema", seeding="first_value")
    assert found.value("value") == pytest.approx(float(slow.iloc[-1]))
    assert macd(view, "close", seeding="first_value").value("signal") == pytest.approx(float(signal.iloc[-1]))
    double = 2 * slow - slow.ewm(span=26, adjust=False).mean()
    found = moving_average(view, "close", length=26, kind="dema", seeding="first_value")
    assert found.value("value") == pytest.approx(float(double.iloc[-1]))


def test_by_hand() -> None:
    """Closes 1, 2, 3, 4, 6 over two and three periods."""
    view = closes([1, 2, 3, 4, 6])
    assert moving_average(view, "A", length=2).value("value") == 5
    assert moving_average(view, "A", length=3, kind="wma").value("value") == pytest.approx((3 + 2 * 4 + 3 * 6) / 6)
    # EMA(3), weight 1/2: seeded 2; then 3, 4.5. Wilder's, weight 1/3: 2, 8/3, 34/9.
    assert moving_average(view, "A", length=3, kind="ema").value("value") == pytest.approx(4.5)
    assert moving_average(view, "A", length=3, kind="wilder").value("value") == pytest.approx(34 / 9)
    assert moving_average(view, "A", length=3).value("distance") == pytest.approx(6 / (13 / 3) - 1)
    found = bollinger(view, "A", length=3, deviations=1, ddof=1)
    assert found.value("standard_deviation") == pytest.approx(math.sqrt(7 / 3))
    assert found.value("bandwidth") == pytest.approx(2 * math.sqrt(7 / 3) / (13 / 3))
    assert found.value("percent_b") == pytest.approx((6 - 13 / 3 + math.sqrt(7 / 3)) / (2 * math.sqrt(7 / 3)))
    fall = closes([10, 11, 10, 11.5, 11])
    # Gains 1, 0, 1.5, 0; losses 0, 1, 0, 0.5. Cutler over 4: 2.5 to 1.5.
    assert rsi(fall, "A", length=4, smoothing="sma").value("value") == pytest.approx(100 * 2.5 / 4)
    assert rsi(closes([5.0] * 20), "A").value("value") == 50
    assert rsi(closes([1.0 + i for i in range(20)]), "A").value("value") == 100


def test_true_range_by_hand() -> None:
    """A gap counts: 3 from 10 to 13; the first bar is its high less its low, 1, where it counts."""
    view = Given.of({"high": [10.5, 13.0, 12.0], "low": [9.5, 12.0, 11.5], "close": [10.0, 12.5, 11.6]}, "prices")
    found = atr(view, "close", length=2)
    assert found.value("true_range") == 1.0
    assert found.value("value") == pytest.approx(((1 + 3) / 2 + 1.0) / 2)
    assert atr(view, "close", length=2, seeding="ta_lib").value("value") == pytest.approx((3 + 1) / 2)
    assert atr(view, "close", length=2, seeding="first_value").value("value") == pytest.approx(((1 + 3) / 2 + 1) / 2)
    assert found.value("normalised") == pytest.approx(found.value("natr") / 100)


def test_any_function_of_ta_lib() -> None:
    columns = walk(9)
    view, high, low, close = bars(columns), columns["high"], columns["low"], columns["close"]
    down, up = talib.AROON(high, low, 25)
    found = ta_lib(view, "close", "AROON", {"timeperiod": 25})
    assert [found.value("aroondown"), found.value("aroonup")] == pytest.approx([down[-1], up[-1]])
    flow = talib.MFI(high, low, close, columns["volume"], 10)
    assert ta_lib(view, "close", "mfi", {"timeperiod": 10}, back=3).value("value") == pytest.approx(flow[-4])
    assert ta_lib(view, "close", "CDLDOJI").value("value") == talib.CDLDOJI(columns["open"], high, low, close)[-1]
    assert found.conventions["function"] == "TA-Lib AROON, parameters: timeperiod=25"


REFUSED: list[tuple[Callable[[View], Evidence], str]] = [
    (lambda v: moving_average(v, "A", length=6), "at least 6 periods that differ; A has 5 by then"),
    (lambda v: macd(v, "A"), "at least 34 periods"),
    (lambda v: macd(v, "A", fast=26, slow=12), "needs a fast length below the slow one; got 26 and 12"),
    (lambda v: momentum(v, "A", length=5), "at least 6 periods"),
    (lambda v: rsi(v, "A", back=9), "needs more than 9 closes to go 9 back; A has 5"),
    (lambda v: atr(v, "A"), "needs high and low of every bar; A lacks them: give columns high, low and close"),
    (lambda v: adx(v, "A"), "needs high and low of every bar"),
    (lambda v: obv(v, "A"), "needs a volume of every bar; A has none"),
    (lambda v: bollinger(v, "A", length=1, ddof=1), "needs a length above 1; got 1"),
    (lambda v: ta_lib(v, "A", "AROON"), "needs what TA-Lib takes for AROON of A"),
    (lambda v: ta_lib(v, "A", "RSI"), "needs more bars for value of RSI; A has 5 by then"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals(call: Callable[[View], Evidence], message: str) -> None:
    with pytest.raises(NotComputed, match=message):
        call(closes([1, 2, 3, 4, 6]))


def test_refusals_of_other_kinds() -> None:
    with pytest.raises(NotComputed, match="the last 20 of A are all alike"):
        bollinger(closes([3.0] * 30), "A")
    for tool in EVERY:
        with pytest.raises(
            NotComputed, match="needs prices; A holds returns: give a file of price levels with --prices"
        ):
            tool(Given.of({"A": [0.01, -0.02] * 30}, "returns"), "A")
    with pytest.raises(UsageError, match="TA-Lib has no function NONSENSE"):
        ta_lib(closes([1, 2, 3]), "A", "nonsense")
    with pytest.raises(UsageError, match="RSI of TA-Lib has no parameter length; it has timeperiod"):
        ta_lib(closes([1, 2, 3]), "A", "RSI", {"length": 3})
    upside_down = Given.of({"high": [1.0, 2.0], "low": [2.0, 1.0], "close": [1.5, 1.5]}, "prices")
    with pytest.raises(NotComputed, match="needs highs no lower than the lows; close has 1 bars otherwise"):
        atr(upside_down, "close", length=2)


@given(seed=st.integers(0, 400), n=st.integers(40, 120), scale=st.floats(1e-2, 1e4))
def test_properties(seed: int, n: int, scale: float) -> None:
    """RSI and its kin within 0 and 100, bands in order, and all of them alike for prices of any scale."""
    columns = walk(seed, n)
    view = bars(columns)
    scaled = bars({k: v if k == "volume" else v * scale for k, v in columns.items()})
    smoothings: tuple[Literal["wilder", "sma", "ema"], ...] = ("wilder", "sma", "ema")
    for smoothing in smoothings:
        assert 0 <= rsi(view, "close", smoothing=smoothing).value("value") <= 100
    bands = bollinger(view, "close")
    assert bands.value("lower") < bands.value("middle") < bands.value("upper")
    found = stochastic(view, "close")
    assert 0 <= found.value("k") <= 100
    assert -100 <= found.value("williams_r") <= 0
    moved = adx(view, "close")
    assert all(0 <= moved.value(n) <= 100 for n in ("adx", "plus_di", "minus_di", "dx"))
    assert atr(view, "close").value("value") > 0
    pairs: list[tuple[Tool, tuple[str, ...]]] = [
        (rsi, ("value",)),
        (bollinger, ("percent_b", "bandwidth")),
        (stochastic, ("k", "d")),
        (adx, ("adx", "plus_di")),
        (cci, ("value",)),
        (atr, ("natr",)),
        (momentum, ("roc",)),
        (moving_average, ("distance",)),
    ]
    for tool, names in pairs:
        for name in names:
            first, second = tool(view, "close").value(name), tool(scaled, "close").value(name)
            assert second == pytest.approx(first, rel=1e-6, abs=1e-6)
    for name in ("macd", "signal"):
        first, second = macd(view, "close").value(name), macd(scaled, "close").value(name)
        assert second == pytest.approx(first * scale, rel=1e-6, abs=1e-9 * scale)


@given(seed=st.integers(0, 50), back=st.integers(0, 40))
def test_a_row_of_the_past_knows_nothing_of_the_future(seed: int, back: int) -> None:
    columns = walk(seed)
    cut = {k: v[: len(v) - back] for k, v in columns.items()}
    for tool in EVERY:
        assert tool(bars(columns), "close", back=back).figures == tool(bars(cut), "close").figures


def test_the_warehouse_gives_dollars_and_dates(
    make_home: Callable[..., Path], price_rows: Callable[..., list[dict[str, Any]]], view_of: Callable[..., View]
) -> None:
    rows = price_rows("AAA", [100.0 + i for i in range(40)])
    found = moving_average(view_of(make_home(prices=rows)), "AAA", back=1)
    assert found.figures["last_date"].value == rows[-2]["date"].isoformat()
    assert str(found.figures["value"]) == "$128.50"
    assert len(found.series["value"].dates) == len(found.series["value"].values) == 20
