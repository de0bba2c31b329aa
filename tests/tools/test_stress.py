"""The book under stress: revalued by hand, options included, and never by a window that had not ended."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools import stress
from openoutcry.tools.data.view import View
from openoutcry.tools.formulas.pricing import american_value
from openoutcry.tools.stress import stress_test

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]


@pytest.fixture(scope="module")
def home(make_home: MakeHome, price_rows: Rows) -> Path:
    """Sessions of early 2020: AAA falls from 100 to 60 over the covid window, BBB stays, CCC came later."""
    swing = [100.0 + (i % 2) for i in range(40)]
    falls = [*swing[:36], *(100 - 40 * i / 23 for i in range(24)), *[60.0] * 20]
    held = [
        {"date": "2020-04-20", "ticker": "AAA", "quantity": 10},
        {"date": "2020-04-20", "ticker": "BBB", "quantity": -5},
        {"date": "2020-04-20", "ticker": "CCC", "quantity": 1},
        {"date": "2020-04-20", "ticker": "AAA200619P00060000", "quantity": 2},
    ]
    prices = [
        *price_rows("AAA", falls),
        *price_rows("BBB", [50.0 + (i % 3) for i in range(80)]),
        *price_rows("CCC", [20.0 + (i % 2) for i in range(30)], start="2020-03-10"),
    ]
    return make_home(prices=prices, positions=held)


def test_a_shock_by_hand(home: Path, view_of: ViewOf) -> None:
    """10 AAA at 60, 5 BBB short at 51, 1 CCC at 21, all down a fifth; the put revalued at a higher volatility too."""
    view = view_of(home)
    made = stress_test(view, equity=-0.2, volatility=0.1)
    daily = view.prices("AAA").returns(252)
    sigma = daily.std(ddof=1) * 252**0.5
    years = (date(2020, 6, 19) - view.as_of.date).days / 365
    put = [american_value(s, 60, 0.0, v, years, "put") for s, v in ((48.0, sigma + 0.1), (60.0, sigma))]
    bbb, ccc = (view.prices(t).values[-1] for t in ("BBB", "CCC"))
    options = 200 * (put[0] - put[1])
    assert made.value("options_own") == pytest.approx(options, rel=1e-6)
    assert made.value("profit_own") == pytest.approx(-0.2 * (600 - 5 * bbb + ccc) + options, rel=1e-6)
    gross = 600 + 5 * bbb + ccc + 200 * put[1]
    assert made.value("gross_value") == pytest.approx(gross, rel=1e-6)
    assert made.value("share_own") == pytest.approx(made.value("profit_own") / gross)
    assert (made.figures["worst"].value, made.value("scenarios")) == ("own", 1)


def test_a_window_of_history_is_what_each_ticker_did(home: Path, view_of: ViewOf) -> None:
    view = view_of(home)
    made = stress_test(view, scenarios=["covid_2020"])
    aaa, bbb = view.prices("AAA"), view.prices("BBB")

    def moved(prices: Any) -> float:
        days = prices.dates.astype("datetime64[D]").tolist()
        start, end = (
            max(i for i, d in enumerate(days) if d <= wanted) for wanted in (date(2020, 2, 19), date(2020, 3, 23))
        )
        return prices.values[end] / prices.values[start] - 1

    stock = 600 * moved(aaa) - 5 * bbb.values[-1] * moved(bbb)
    assert moved(aaa) < -0.3
    assert made.value("profit_covid_2020") - made.value("options_covid_2020") == pytest.approx(stock)
    assert made.value("options_covid_2020") > 0
    assert "CCC: no usable price in covid_2020; left out there" in made.missing


def test_a_window_is_not_there_before_it_has_ended(home: Path, view_of: ViewOf) -> None:
    """Not even by name: a run of 2020-03-20 must not learn that there will be a covid_2020."""
    late, early = (stress_test(view_of(home, d)) for d in ("2020-04-21", "2020-04-20"))
    assert late.figures.keys() == early.figures.keys()
    with pytest.raises(NotComputed, match="needs positions"):
        stress_test(view_of(home, "2020-03-20"))
    _, every = stress.scenarios()
    for name, shock in every.items():
        if shock.window:
            assert shock.window[0] < shock.window[1], name
    with pytest.raises(
        NotComputed, match=r"needs a scenario that had ended by .*; got inflation_2022, there are"
    ) as said:
        stress_test(view_of(home), scenarios=["inflation_2022"])
    assert "2022" not in str(said.value).split("there are")[1]


def test_moves_of_ones_own(home: Path, view_of: ViewOf) -> None:
    view = view_of(home)
    made = stress_test(view, moves={"BBB": 0.5})
    assert made.value("profit_own") == pytest.approx(-2.5 * view.prices("BBB").values[-1])
    assert made.value("options_own") == 0
    both = stress_test(view, scenarios=["equity_down_10"], moves={"BBB": 0.5})
    assert both.value("scenarios") == 2
    with pytest.raises(NotComputed, match="needs moves of tickers that the book holds; it holds no ZZZ"):
        stress_test(view, moves={"ZZZ": 0.5})


def test_nothing_happens_where_nothing_moves(home: Path, view_of: ViewOf) -> None:
    made = stress_test(view_of(home), equity=0.0)
    assert made.value("profit_own") == pytest.approx(0, abs=1e-9)


@given(move=st.floats(-0.9, 2.0))
def test_a_book_of_shares_moves_in_proportion(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf, move: float
) -> None:
    home = _shares(make_home, price_rows)
    made = stress_test(view_of(home), equity=move)
    assert made.value("share_own") == pytest.approx(move, abs=1e-12)


_HOMES: list[Path] = []


def _shares(make_home: MakeHome, price_rows: Rows) -> Path:
    if not _HOMES:
        prices = price_rows("AAA", [10.0 + i % 2 for i in range(60)])
        last = prices[-1]["date"]
        _HOMES.append(make_home(prices=prices, positions=[{"date": last, "ticker": "AAA", "quantity": 7}]))
    return _HOMES[0]


def test_an_option_that_has_ended_or_cannot_be_valued_is_told(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    prices = [*price_rows("AAA", [10.0 + i % 2 for i in range(60)]), *price_rows("NEW", [5.0] * 8, start="2020-03-10")]
    last = max(row["date"] for row in prices)
    gone, young = "AAA200110C00010000", f"NEW{last + timedelta(60):%y%m%d}C00005000"
    held = [{"date": last, "ticker": t, "quantity": 1} for t in ("AAA", gone, young)]
    made = stress_test(view_of(make_home(prices=prices, positions=held)), equity=-0.1)
    assert made.missing[0] == f"{gone}: held, but it ended on 2020-01-10; left out"
    assert made.missing[1].startswith(f"{young}: held, but its volatility needs at least 20 daily returns")
    assert made.value("gross_value") == pytest.approx(11)
