"""Bid-ask spreads: the values that the package bidask publishes, slow definitions, a market made up, and refusals."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.tools.data.given import Given
from openoutcry.tools.spreads import bid_ask_spread

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "refdata" / "bidask_ohlc.csv"
here = pytest.mark.skipif(not PUBLISHED.is_file(), reason="the shared data are not here")
Bars = dict[str, NDArray[np.float64]]
ESTIMATES = ("edge", "abdi_ranaldo", "abdi_ranaldo_two_day", "corwin_schultz", "corwin_schultz_two_day", "roll")


def market(seed: int, days: int = 60, spread: float = 0.01, trades: int = 100, daily: float = 0.02) -> Bars:
    """Bars of a random walk that trades at its bid or its ask, and moves overnight too."""
    chance = np.random.default_rng(seed)
    moves = chance.normal(0, daily / math.sqrt(trades), (days, trades))
    middle = 50 * np.exp(np.cumsum(moves).reshape(days, trades))
    paid = middle * (1 + spread / 2 * chance.choice([-1.0, 1.0], (days, trades)))
    return {"open": paid[:, 0], "high": paid.max(axis=1), "low": paid.min(axis=1), "close": paid[:, -1]}


def priced(bars: Bars) -> Given:
    return Given.of(bars, "prices")


# The test of the package bidask on its own 10,000 bars: the whole, and the first ten with their sign.
@here
@pytest.mark.parametrize(("rows", "published"), [(10_000, 0.0101849034905478), (10, -0.016889917516422)])
def test_edge_as_published(rows: int, published: float) -> None:
    cells = np.loadtxt(PUBLISHED, delimiter=",", skiprows=1)[:rows]
    bars: Bars = dict(zip(("open", "high", "low", "close"), cells.T, strict=True))
    found = bid_ask_spread(priced(bars), "close", negative="signed")
    assert found.value("edge") == pytest.approx(published, abs=1e-14)


@here
def test_the_file_as_it_is() -> None:
    found = bid_ask_spread(Given.read([PUBLISHED], "prices"), "close")
    assert found.value("edge") == pytest.approx(0.0101849034905478, abs=1e-14)
    assert found.value("observations") == 10_000


def by_hand(bars: Bars) -> dict[str, float]:
    """The papers' formulas, day by day; a square is given its sign."""
    o, h, low, c = (bars[n].tolist() for n in ("open", "high", "low", "close"))
    pairs: list[float] = []
    days: list[float] = []
    for t in range(1, len(c)):
        middle, following = (math.log(h[t - 1] * low[t - 1]) / 2, math.log(h[t] * low[t]) / 2)
        pairs.append(4 * (math.log(c[t - 1]) - middle) * (math.log(c[t - 1]) - following))
        gap = c[t - 1] - h[t] if c[t - 1] > h[t] else c[t - 1] - low[t] if c[t - 1] < low[t] else 0.0
        beta = math.log(h[t - 1] / low[t - 1]) ** 2 + math.log(h[t] / low[t]) ** 2
        gamma = math.log(max(h[t - 1], h[t] + gap) / min(low[t - 1], low[t] + gap)) ** 2
        under = 3 - 2 * math.sqrt(2)
        a = (math.sqrt(2 * beta) - math.sqrt(beta)) / under - math.sqrt(gamma / under)
        days.append(2 * (math.exp(a) - 1) / (1 + math.exp(a)))
    changes = [math.log(b / a) for a, b in pairwise(c)]
    covariance = float(np.cov(changes[1:], changes[:-1])[0, 1])
    squares = {"abdi_ranaldo": sum(pairs) / len(pairs), "roll": -4 * covariance}
    return {n: math.copysign(math.sqrt(abs(v)), v) for n, v in squares.items()} | {
        "abdi_ranaldo_two_day": sum(math.sqrt(max(p, 0)) for p in pairs) / len(pairs),
        "corwin_schultz": sum(days) / len(days),
        "corwin_schultz_two_day": sum(max(d, 0) for d in days) / len(days),
        "inside": float(all(a <= x <= b for a, b, x in zip(low, h, o, strict=True))),
    }


@given(seed=st.integers(0, 999), spread=st.floats(0, 0.05))
def test_against_slow_definitions(seed: int, spread: float) -> None:
    bars = market(seed, days=12, spread=spread, trades=20)
    found, slow = bid_ask_spread(priced(bars), "close", negative="signed"), by_hand(bars)
    assert slow["inside"]
    for name in ESTIMATES[1:]:
        assert found.value(name) == pytest.approx(slow[name], rel=1e-9, abs=1e-9), name


@given(seed=st.integers(0, 999), scale=st.floats(0.01, 100))
def test_the_unit_of_the_price_changes_no_share(seed: int, scale: float) -> None:
    bars = market(seed, days=15, trades=20)
    first = bid_ask_spread(priced(bars), "close", negative="signed")
    second = bid_ask_spread(priced({n: v * scale for n, v in bars.items()}), "close", negative="signed")
    for name in ESTIMATES:
        assert second.value(name) == pytest.approx(first.value(name), rel=1e-6, abs=1e-7), name
    assert second.value("roll_price") == pytest.approx(first.value("roll_price") * scale, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("spread", [0.01, 0.03])
def test_a_market_of_known_spread(spread: float) -> None:
    found = bid_ask_spread(priced(market(3, days=2000, spread=spread, daily=0.01)), "close", window=2000)
    for name, within in (("edge", 0.05), ("abdi_ranaldo", 0.1), ("roll", 0.2), ("corwin_schultz", 0.25)):
        assert found.value(name) == pytest.approx(spread, rel=within), name


def test_roll_of_a_bouncing_price() -> None:
    found = bid_ask_spread(Given.of({"A": [100.0, 101.0, 100.0, 101.0, 100.0, 101.0]}, "prices"), "A", ddof=0)
    assert found.value("roll_price") == pytest.approx(2 * math.sqrt(1.0))
    assert found.value("roll") == pytest.approx(2 * math.log(1.01))
    assert "edge" not in found.figures
    assert any("high and low" in m for m in found.missing)


def test_what_is_below_zero() -> None:
    view = Given.of({"A": [100.0, 101.0, 102.5, 103.0, 103.2, 102.0, 101.0, 100.5]}, "prices")
    signed = bid_ask_spread(view, "A", negative="signed").value("roll")
    assert signed < 0
    assert bid_ask_spread(view, "A", negative="absolute").value("roll") == -signed
    zero = bid_ask_spread(view, "A")
    assert zero.value("roll") == 0
    assert any(m.startswith("roll: estimated below zero") for m in zero.missing)


def test_the_gap_of_a_night() -> None:
    bars = {"high": [102.0, 112.0, 113.0, 114.0], "low": [100.0, 110.0, 111.0, 112.0]}
    bars["close"] = [101.0, 111.0, 112.0, 113.0]
    with_gap, without = (
        bid_ask_spread(Given.of(bars, "prices"), "close", negative="signed", overnight=o) for o in (True, False)
    )
    assert with_gap.value("corwin_schultz") > without.value("corwin_schultz")
    assert any(m.startswith("edge: needs an open") for m in with_gap.missing)


def test_the_window_is_the_last_bars() -> None:
    bars = market(5)
    last = {n: v[-20:] for n, v in bars.items()}
    some, alone = bid_ask_spread(priced(bars), "close", window=20), bid_ask_spread(priced(last), "close")
    assert {n: some.value(n) for n in ESTIMATES} == {n: alone.value(n) for n in ESTIMATES}


def test_bars_that_do_not_move_within_the_day_have_no_edge() -> None:
    flat = np.asarray([18.21, 17.61, 17.61, 17.62])
    found = bid_ask_spread(priced(dict.fromkeys(("open", "high", "low", "close"), flat)), "close")
    assert "edge" not in found.figures
    assert any(m.startswith("edge: ") for m in found.missing)


def test_an_open_outside_the_range_is_told() -> None:
    bars = market(1)
    bars["open"] = bars["open"].copy()
    bars["open"][4] = bars["high"][4] * 2
    assert any(m.startswith("1 bars") for m in bid_ask_spread(priced(bars), "close").missing)


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        ({"close": [1.0, 2.0, 3.0]}, "needs at least 4 bars"),
        ({"close": [1.0, 1.0, 1.0, 1.0]}, "closes that differ"),
        ({"close": [1.0, 1.1, 1.2, 1.1], "high": [2.0] * 4, "low": [3.0] * 4}, "highs no lower than the lows"),
        ({"close": [1.0, 1.1, 1.2, 1.1], "high": [2.0] * 4, "low": [1.0, 1.0, -1.0, 1.0]}, "the low of close holds -1"),
        ({"close": [1.0, 1.1, 1.2, -1.1]}, "needs prices above zero"),
    ],
)
def test_refusals(bars: dict[str, list[float]], message: str) -> None:
    with pytest.raises(NotComputed, match=message):
        bid_ask_spread(Given.of(bars, "prices"), "close")


def test_returns_and_wrong_words_are_refused() -> None:
    with pytest.raises(NotComputed, match="holds returns"):
        bid_ask_spread(Given.of({"close": [0.01, 0.02, -0.01, 0.0]}, "returns"), "close")
    with pytest.raises(UsageError, match="negative"):
        bid_ask_spread(priced(market(1)), "close", negative="drop")  # type: ignore[arg-type]
