"""Levels and returns against numbers worked by hand, and what may not change them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UnknownTicker
from openoutcry.tools.data.view import View
from openoutcry.tools.prices import price_summary, relative_return, returns

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]


@pytest.fixture(scope="module")
def home(make_home: MakeHome, price_rows: Rows) -> Path:
    """RAMP rises by one a session from 100; SAW goes 100, 110, 100, ...; FLAT and TWICE have one return."""
    return make_home(
        prices=[
            *price_rows("RAMP", [100.0 + i for i in range(300)]),
            *price_rows("SAW", [100.0 + 10 * (i % 2) for i in range(300)]),
            *price_rows("FLAT", [7.0] * 100),
            *price_rows("TWICE", [2.0**i for i in range(100)]),
            *price_rows("CREEP", [1.01**i for i in range(100)]),
            *price_rows("SHORT", [100.0, 101.0, 99.0] * 10),
            *price_rows("TINY", [1.0] * 21),
            *price_rows("PART", [5.0, 6.0] * 50, start="2020-10-01"),
        ]
    )


def test_summary_of_a_ramp(home: Path, view_of: ViewOf) -> None:
    evidence = price_summary(view_of(home), "RAMP")
    expected = {
        "close": 399.0,
        "return_month": 399 / 378 - 1,
        "return_quarter": 399 / 336 - 1,
        "return_year": 399 / 147 - 1,
        "high": 399.0,
        "low": 148.0,
        "below_high": 0.0,
    }
    assert {name: evidence.value(name) for name in expected} == pytest.approx(expected, abs=1e-12)
    assert evidence.figures["last_date"].value == "2021-02-23"
    assert evidence.missing == ()


def test_summary_says_what_it_cannot_reach(home: Path, view_of: ViewOf) -> None:
    evidence = price_summary(view_of(home), "SHORT")
    assert "return_month" in evidence.figures
    assert not {"return_quarter", "return_year"} & evidence.figures.keys()
    stale, quarter, year = evidence.missing
    assert stale.startswith("SHORT prices after 2020-02-11: none known")
    assert quarter == "SHORT return over 63 sessions: 30 closes known"
    assert year == "SHORT return over 252 sessions: 30 closes known"


def test_below_high_is_measured_from_the_highest_close(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    home = make_home(prices=price_rows("AAA", [*range(100, 130), 200.0, 150.0]))
    evidence = price_summary(view_of(home), "AAA")
    assert evidence.value("below_high") == pytest.approx(0.25)


def test_returns_of_a_saw(home: Path, view_of: ViewOf) -> None:
    """Over one session the saw makes +10 % and -1/11 in turn; over two it makes nothing."""
    view = view_of(home)
    one = returns(view, "SAW", horizon=1, window=200)
    assert one.value("observations") == 200
    assert one.value("best") == pytest.approx(0.1)
    assert one.value("worst") == pytest.approx(-1 / 11)
    assert one.value("mean") == pytest.approx((0.1 - 1 / 11) / 2)
    assert one.value("median") == pytest.approx((0.1 - 1 / 11) / 2)
    assert one.value("share_up") == 0.5
    two = returns(view, "SAW", horizon=2, window=200)
    assert (two.value("observations"), two.value("mean"), two.value("share_up")) == (199, 0, 0)


def test_relative_return_uses_common_sessions_only(home: Path, view_of: ViewOf) -> None:
    evidence = relative_return(view_of(home), "RAMP", "PART", window=252)
    # PART has 100 weekdays from 2020-10-01, the 197th weekday of RAMP: 100 + 196 up to 100 + 295.
    assert evidence.value("window") == 99
    assert evidence.value("return") == pytest.approx(395 / 296 - 1)
    assert evidence.value("other_return") == pytest.approx(6 / 5 - 1)
    assert evidence.value("difference") == pytest.approx(395 / 296 - 6 / 5)


def test_correlation_against_the_definition(home: Path, view_of: ViewOf) -> None:
    evidence = relative_return(view_of(home), "SAW", "RAMP", window=100)
    x = np.array([0.1 if i % 2 else -1 / 11 for i in range(200, 300)])
    y = np.array([1 / (99 + i) for i in range(200, 300)])
    centred = (x - x.mean(), y - y.mean())
    expected = (centred[0] @ centred[1]) / np.sqrt((centred[0] @ centred[0]) * (centred[1] @ centred[1]))
    assert evidence.value("correlation") == pytest.approx(float(expected), abs=1e-12)
    assert relative_return(view_of(home), "SAW", "SAW").value("correlation") == pytest.approx(1)


@pytest.mark.parametrize("ticker", ["FLAT", "TWICE", "CREEP"])
def test_no_correlation_with_returns_that_are_all_alike(home: Path, view_of: ViewOf, ticker: str) -> None:
    for pair in ((ticker, "RAMP"), ("RAMP", ticker)):
        with pytest.raises(NotComputed, match=f"those of {ticker} are all alike"):
            relative_return(view_of(home), *pair)


def test_too_little_data_is_refused_with_what_is_needed(home: Path, view_of: ViewOf) -> None:
    view = view_of(home)
    with pytest.raises(NotComputed, match=r"at least 21 daily returns; TINY has 20 known"):
        price_summary(view, "TINY")
    with pytest.raises(NotComputed, match=r"at least 60 overlapping 10-session returns; SHORT has 20 in its"):
        returns(view, "SHORT")
    with pytest.raises(NotComputed, match=r"60 common daily returns; RAMP and SHORT share 29"):
        relative_return(view, "RAMP", "SHORT")
    with pytest.raises(UnknownTicker, match=r"no price of NONE is known by 2021-02-23; check the ticker"):
        price_summary(view, "NONE")


def test_adjusted_closes_go_first_and_a_gap_in_both_is_refused(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    both = price_rows("BOTH", [10.0] * 30, adj_close=5.0)
    gap = [row | {"adj_close": 5.0 if i else ""} for i, row in enumerate(price_rows("GAP", [10.0] * 30))]
    neither = [row | {"close": "" if i else 10.0, "adj_close": 5.0 if i else ""} for i, row in enumerate(gap)]
    view = view_of(make_home(prices=[*both, *gap, *(row | {"ticker": "HOLES"} for row in neither)]))
    assert (view.prices("BOTH").basis, view.prices("BOTH").values[-1]) == ("adj_close", 5.0)
    assert (view.prices("GAP").basis, view.prices("GAP").values[-1]) == ("close", 10.0)
    with pytest.raises(NotComputed, match="on every session of HOLES"):
        view.prices("HOLES")


@settings(max_examples=12)
@given(data=st.data())
def test_scale_and_order_change_no_return(
    data: st.DataObject, make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    values = data.draw(st.lists(st.floats(1, 1000), min_size=64, max_size=80, unique=True))
    scale = data.draw(st.floats(1e-3, 1e3))
    rows = [*price_rows("AAA", values), *price_rows("BBB", [v * scale for v in values])]
    random.Random(data.draw(st.integers())).shuffle(rows)
    view = view_of(make_home(prices=rows))
    mine, other = (returns(view, t, horizon=3) for t in ("AAA", "BBB"))
    spans = [b / a - 1 for a, b in zip(values, values[3:], strict=False)]
    expected = {"mean": sum(spans) / len(spans), "worst": min(spans), "best": max(spans)}
    for evidence in (mine, other):
        assert {n: evidence.value(n) for n in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)
    pair = relative_return(view, "AAA", "BBB")
    assert pair.value("difference") == pytest.approx(0, abs=1e-6)
    assert pair.value("correlation") == pytest.approx(1, abs=1e-9)
