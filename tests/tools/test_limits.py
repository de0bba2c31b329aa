"""Limits: each passes or is broken by so much, and what cannot be measured does not pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.core.limits import Limits
from openoutcry.tools.data.view import View
from openoutcry.tools.limits import check_limits, verdicts
from openoutcry.tools.portfolio_risk import portfolio_value_at_risk
from openoutcry.tools.stress import stress_test

Rows = Callable[..., list[dict[str, Any]]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]


@pytest.fixture(scope="module")
def home(make_home: MakeHome, price_rows: Rows) -> Path:
    """100 AAA at 20 (2,000) and 50 BBB short at 10 (500): 2,500 gross, 1,500 net, 80 % in AAA."""
    waves = [20.0 + ((i * 7) % 11 - 5) / 5 for i in range(299)] + [20.0]
    prices = [*price_rows("AAA", waves), *price_rows("BBB", [10.0 + (i % 2) for i in range(299)] + [10.0])]
    last = prices[299]["date"]
    held = [{"date": last, "ticker": t, "quantity": q} for t, q in (("AAA", 100), ("BBB", -50))]
    return make_home(prices=prices, positions=held)


@pytest.fixture(scope="module")
def short(make_home: MakeHome, price_rows: Rows) -> Path:
    """A book whose price history is too short for a value at risk."""
    prices = price_rows("AAA", [20.0 + i % 2 for i in range(40)])
    return make_home(prices=prices, positions=[{"date": prices[-1]["date"], "ticker": "AAA", "quantity": 1}])


def test_limits_as_a_command_line_gives_them(home: Path, view_of: ViewOf) -> None:
    made = check_limits(view_of(home), "single_position=0.5, gross_value=3000")  # type: ignore[arg-type]  # as click does
    assert (made.value("single_position_limit"), made.value("gross_value_limit")) == (0.5, 3000)
    assert (made.figures["verdict"].value, made.value("broken")) == ("breach", 1)
    with pytest.raises(UsageError, match="expected pairs"):
        check_limits(view_of(home), "0.5")  # type: ignore[arg-type]  # as above


def test_each_limit_by_hand(home: Path, view_of: ViewOf) -> None:
    view = view_of(home)
    limits = Limits(gross_value=2400, net_value=1600, single_position=0.8, value_at_risk=0.2, stress_loss=0.1)
    made = check_limits(view, limits).model_copy(update={"id": "E9"})
    assert made.value("gross_value_excess") == pytest.approx(100)
    assert made.value("net_value_excess") == pytest.approx(-100)
    assert made.value("single_position_excess") == pytest.approx(0)
    assert made.figures["largest"].value == "AAA"
    assert made.value("value_at_risk") == portfolio_value_at_risk(view, horizon=10, confidence=0.99).value("var")
    assert made.value("stress_loss") == -stress_test(view).value("worst_share")
    said = {v.limit: v for v in verdicts(made)}
    assert {n: v.status for n, v in said.items()} == {
        "gross_value": "breach",
        "net_value": "pass",
        "single_position": "pass",
        "value_at_risk": "pass",
        "stress_loss": "breach",
    }
    assert said["gross_value"].excess == "E9.gross_value_excess"
    assert (made.figures["verdict"].value, made.value("broken"), made.value("limits")) == ("breach", 2, 5)


def test_what_cannot_be_measured_does_not_pass(short: Path, view_of: ViewOf) -> None:
    made = check_limits(view_of(short), Limits(gross_value=1000, expected_shortfall=0.5)).model_copy(
        update={"id": "E1"}
    )
    said = {v.limit: v for v in verdicts(made)}
    assert said["gross_value"].status == "pass"
    assert said["expected_shortfall"].status == "unmeasured"
    assert "needs at least" in said["expected_shortfall"].reason
    assert made.figures["verdict"].value == "unmeasured"


def test_without_limits_or_book_there_is_no_verdict(
    home: Path, make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    with pytest.raises(NotComputed, match=r"needs limits: set them under \[limits\] in desk.toml"):
        check_limits(view_of(home), Limits())
    empty = make_home(prices=price_rows("AAA", [1.0, 2.0]))
    with pytest.raises(NotComputed, match="needs positions"):
        check_limits(view_of(empty), Limits(gross_value=1))


@given(bound=st.floats(1, 1e9))
def test_a_limit_is_broken_exactly_where_the_measure_is_above_it(home: Path, view_of: ViewOf, bound: float) -> None:
    made = check_limits(view_of(home), Limits(gross_value=bound))
    (kept,) = verdicts(made)
    assert kept.status == ("breach" if made.value("gross_value") > bound else "pass")
    assert made.value("gross_value_excess") == pytest.approx(2500 - bound)


def test_no_limit_passes_while_a_holding_has_no_value(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    """A holding without a price could break any limit; one that is broken without it is broken all the same."""
    prices = price_rows("AAA", [20.0 + i % 2 for i in range(40)])
    last = prices[-1]["date"]
    held = [{"date": last, "ticker": t, "quantity": 1} for t in ("AAA", "ZZZ", "AAA200101C00020000")]
    view = view_of(make_home(prices=prices, positions=held))
    made = check_limits(view, Limits(gross_value=1000, net_value=1)).model_copy(update={"id": "E1"})
    said = {v.limit: v for v in verdicts(made)}
    assert made.value("unvalued") == 1  # the option ended before
    assert said["gross_value"].status == "unmeasured"
    assert said["gross_value"].reason == "1 of the book's holdings have no value here"
    assert said["net_value"].status == "breach"
