"""The book: shares, value, and share of what is held, all as known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import NotComputed, UnknownTicker
from openoutcry.tools.book import position
from openoutcry.tools.data.view import View

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]


@pytest.fixture(scope="module")
def home(make_home: MakeHome, price_rows: Rows) -> Path:
    """On 2020-02-10: 10 AAA at 20 in one book and 5 in another, 30 BBB short at 10, DDD without a price."""
    held = [
        {"book": "main", "date": "2020-02-03", "ticker": "AAA", "quantity": 999},
        {"book": "main", "date": "2020-02-03", "ticker": "GONE", "quantity": 7},
        {"book": "main", "date": "2020-02-10", "ticker": "AAA", "quantity": 10},
        {"book": "other", "date": "2020-02-10", "ticker": "AAA", "quantity": 5},
        {"book": "main", "date": "2020-02-10", "ticker": "BBB", "quantity": -30},
        {"book": "main", "date": "2020-02-10", "ticker": "CCC", "quantity": 2.5},
        {"book": "main", "date": "2020-02-10", "ticker": "DDD", "quantity": 1},
        {"book": "main", "date": "2020-02-10", "ticker": "GONE", "quantity": 0},
        {"book": "main", "date": "2020-02-20", "ticker": "AAA", "quantity": 1_000_000},
    ]
    prices = [
        *price_rows("AAA", [19.0] * 28 + [20.0], adj_close=1.0),
        *price_rows("BBB", [10.0] * 29),
        *price_rows("CCC", [40.0] * 29),
        *price_rows("GONE", [1.0] * 29),
        *price_rows("AAA", [99.0] * 5, start="2020-02-11", adj_close=1.0),
    ]
    return make_home(prices=prices, positions=held)


def test_a_position_by_hand(home: Path, view_of: ViewOf) -> None:
    """15 AAA at 20 are 300; with 30 BBB short (300) and 2.5 CCC (100), 300 of 700 gross."""
    evidence = position(view_of(home, "2020-02-10"), "AAA")
    expected = {"shares": 15, "close": 20, "value": 300, "gross_share": 300 / 700, "holdings": 5}
    assert {name: evidence.value(name) for name in expected} == pytest.approx(expected)
    assert evidence.figures["book_date"].value == "2020-02-10"
    assert evidence.missing == ("DDD: held, but no usable price is known; left out of the gross value",)


def test_a_short_position_is_negative(home: Path, view_of: ViewOf) -> None:
    evidence = position(view_of(home, "2020-02-10"), "BBB")
    assert (evidence.value("shares"), evidence.value("value")) == (-30, -300)
    assert evidence.value("gross_share") == pytest.approx(300 / 700)


def test_a_part_of_a_share_is_not_cut_off(home: Path, view_of: ViewOf) -> None:
    evidence = position(view_of(home, "2020-02-10"), "CCC")
    assert (evidence.value("shares"), evidence.value("value")) == (2.5, 100)
    assert str(evidence.figures["shares"]) == "2.5"


def test_every_price_used_has_its_query(home: Path, view_of: ViewOf) -> None:
    evidence = position(view_of(home, "2020-02-10"), "AAA")
    asked = [ticker for ticker in ("AAA", "BBB", "CCC") if any(f"= '{ticker}'" in q.sql for q in evidence.queries)]
    assert asked == ["AAA", "BBB", "CCC"]
    assert "positions" in evidence.queries[0].sql


def test_a_book_of_later_changes_nothing(home: Path, view_of: ViewOf) -> None:
    assert position(view_of(home, "2020-02-19"), "AAA").value("shares") == 15
    assert position(view_of(home, "2020-02-20T23:59:58"), "AAA").value("shares") == 15
    assert position(view_of(home, "2020-02-20"), "AAA").value("shares") == 1_000_000 + 5  # the other book stands
    assert position(view_of(home, "2020-02-09"), "AAA").value("shares") == 999


@pytest.mark.parametrize(("ticker", "as_of"), [("GONE", "2020-02-10"), ("EEE", "2020-02-10")])
def test_no_holding_is_said(home: Path, view_of: ViewOf, ticker: str, as_of: str) -> None:
    with pytest.raises(NotComputed, match=f"needs a position in {ticker}; the book known by {as_of} holds none"):
        position(view_of(home, as_of), ticker)


def test_no_book_is_said(home: Path, view_of: ViewOf) -> None:
    with pytest.raises(NotComputed, match="needs positions; the book known by 2020-02-02 holds none: ingest positions"):
        position(view_of(home, "2020-02-02"), "AAA")


def test_a_holding_without_a_price_is_no_number(home: Path, view_of: ViewOf) -> None:
    with pytest.raises(UnknownTicker):
        position(view_of(home, "2020-02-10"), "DDD")
