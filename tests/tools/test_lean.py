"""The desk's probability: a base rate counted by hand, moved by leans that never move it the wrong way."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UnknownTicker
from openoutcry.core.report import Lean
from openoutcry.core.standing import Standing
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.lean import combine_views
from openoutcry.tools.standings import weights

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]

LADDER = [Lean.STRONG_DOWN, Lean.DOWN, Lean.NEUTRAL, Lean.UP, Lean.STRONG_UP]
ROLES = ("analyst", "sentiment", "risk")


@pytest.fixture(scope="module")
def home(make_home: MakeHome, price_rows: Rows) -> Path:
    """UP never falls, DOWN never rises, SAW does both in turn, NOISE wanders, LONG rose in old times only."""
    steps = np.random.default_rng(3).normal(0, 0.02, 400)
    old = [1.0 + i for i in range(500)]
    return make_home(
        prices=[
            *price_rows("UP", [100.0 + i for i in range(400)]),
            *price_rows("DOWN", [1000.0 - i for i in range(400)]),
            *price_rows("SAW", [100.0 + 10 * (i % 2) for i in range(400)]),
            *price_rows("NOISE", (100 * np.exp(np.cumsum(steps))).tolist()),
            *price_rows("FEW", [1.0 + i for i in range(64)]),
            *price_rows("LONG", [*old, *[500.0 - i / 100 for i in range(2521)]], start="2010-01-01"),
        ]
    )


@pytest.fixture(scope="module")
def view(home: Path) -> Iterator[View]:
    with closing(Warehouse.open(home)) as warehouse:
        yield warehouse.view()


def test_the_base_rate_is_counted_and_kept_from_certainty(view: View) -> None:
    assert combine_views(view, ("UP",), 10, {}).value("base_rate") == 0.99
    assert combine_views(view, ("DOWN",), 10, {}).value("base_rate") == 0.01
    saw = combine_views(view, ("SAW",), 1, {})
    # 399 windows, starting low: 200 rise.
    assert (saw.value("windows"), saw.value("base_rate")) == (399, pytest.approx(200 / 399))
    assert saw.value("p_up") == pytest.approx(200 / 399)
    assert combine_views(view, ("SAW",), 2, {}).value("base_rate") == 0.01  # unchanged is not higher


def test_the_base_rate_forgets_what_is_older_than_ten_years(view: View) -> None:
    evidence = combine_views(view, ("LONG",), 1, {})
    assert (evidence.value("windows"), evidence.value("base_rate")) == (2520, 0.01)


def test_two_tickers_ask_which_does_better(view: View) -> None:
    better, worse = (combine_views(view, pair, 5, {}) for pair in (("UP", "DOWN"), ("DOWN", "UP")))
    assert (better.value("base_rate"), worse.value("base_rate")) == (0.99, 0.01)
    assert better.figures["other"].value == "DOWN"
    assert better.conventions["event"].startswith("UP return")
    assert "more than DOWN" in better.conventions["event"]
    assert combine_views(view, ("UP", "UP"), 5, {}).value("base_rate") == 0.01


def test_steps_and_pooling_by_hand(view: View) -> None:
    """From a base of 200 in 399: log-odds ln(200 / 199), one role up a quarter, one strongly down a half."""
    leans = {"analyst": Lean.UP, "risk": Lean.STRONG_DOWN, "sentiment": Lean.NONE}
    evidence = combine_views(view, ("SAW",), 1, leans)
    odds = 200 / 199
    expected = {
        "analyst_p_up": odds * math.e**0.25 / (1 + odds * math.e**0.25),
        "risk_p_up": odds * math.e**-0.5 / (1 + odds * math.e**-0.5),
        "p_up": odds * math.e**-0.125 / (1 + odds * math.e**-0.125),
    }
    assert {name: evidence.value(name) for name in expected} == pytest.approx(expected)
    assert "sentiment_p_up" not in evidence.figures
    assert evidence.value("disagreement") == pytest.approx(expected["analyst_p_up"] - expected["risk_p_up"])


leans = st.dictionaries(st.sampled_from(ROLES), st.sampled_from(list(Lean)))


@settings(max_examples=120)
@given(
    tickers=st.sampled_from([("UP",), ("DOWN",), ("SAW",), ("NOISE",), ("NOISE", "SAW"), ("DOWN", "UP")]),
    horizon=st.integers(1, 252),
    leans=leans,
)
def test_probabilities_are_probabilities(
    view: View, tickers: tuple[str, ...], horizon: int, leans: dict[str, Lean]
) -> None:
    evidence = combine_views(view, tickers, horizon, leans)
    assert evidence.value("p_up") + evidence.value("p_down") == pytest.approx(1, abs=1e-15)
    chances = [f.value for name, f in evidence.figures.items() if name.startswith("p_") or name.endswith("_p_up")]
    assert all(0 < float(p) < 1 for p in chances)
    named = {name.removesuffix("_p_up") for name in evidence.figures if name.endswith("_p_up")}
    assert named == {role for role, lean in leans.items() if lean is not Lean.NONE}
    assert 0 <= evidence.value("disagreement") < 1


@settings(max_examples=120)
@given(
    horizon=st.integers(1, 252),
    low=st.dictionaries(st.sampled_from(ROLES), st.integers(0, 4), min_size=1),
    steps=st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_more_bullish_leans_never_lower_the_chance(
    view: View, horizon: int, low: dict[str, int], steps: list[int]
) -> None:
    high = {role: min(4, place + step) for (role, place), step in zip(low.items(), steps, strict=False)}
    before, after = (
        combine_views(view, ("NOISE",), horizon, {role: LADDER[place] for role, place in places.items()})
        for places in (low, high)
    )
    assert after.value("p_up") >= before.value("p_up")
    if high != low:
        assert after.value("p_up") > before.value("p_up")


def standing(role: str, gain: float, separate: int) -> Standing:
    """A record of which the weights read the gain and the separate views."""
    return Standing(
        role=role,
        model="m",
        horizon=5,
        settled=2 * separate,
        separate=separate,
        brier=0.2,
        base_brier=0.25,
        log_score=0.6,
        base_log_score=0.6 + gain,
        gain=gain,
    )


def test_without_a_record_roles_weigh_the_same(view: View) -> None:
    given = {"analyst": Lean.UP, "risk": Lean.STRONG_DOWN, "sentiment": Lean.NONE}
    evidence = combine_views(view, ("SAW",), 1, given)
    assert evidence.conventions["pooling"] == "mean of log-odds, equal weights"
    assert {n: f.value for n, f in evidence.figures.items() if n.endswith("_weight")} == {
        "analyst_weight": 0.5,
        "risk_weight": 0.5,
    }
    assert not [n for n in evidence.figures if n.endswith(("_settled", "_separate", "_gain"))]
    apart = combine_views(view, ("SAW",), 1, given, {"sentiment": standing("sentiment", 1.0, 400)})
    assert apart.figures == evidence.figures
    assert apart.conventions == evidence.conventions


def test_a_record_moves_the_view_to_the_role_that_was_right(view: View) -> None:
    given = {"analyst": Lean.UP, "risk": Lean.STRONG_DOWN}
    equal = combine_views(view, ("SAW",), 1, given)
    record = {"analyst": standing("analyst", 0.02, 400), "sentiment": standing("sentiment", 0.1, 40)}
    moved = combine_views(view, ("SAW",), 1, given, record)
    assert moved.value("p_up") > equal.value("p_up")
    assert moved.value("analyst_p_up") == equal.value("analyst_p_up")
    shown = {n: moved.value(f"analyst_{n}") for n in ("settled", "separate", "gain")}
    assert shown == {"settled": 800, "separate": 400, "gain": 0.02}
    assert "risk_settled" not in moved.figures
    assert "sentiment_settled" not in moved.figures
    assert "weights by record: 20% equal" in moved.conventions["pooling"]
    assert moved.arguments["record"]["analyst"]["gain"] == 0.02


@settings(max_examples=120)
@given(
    leans=leans,
    record=st.dictionaries(st.sampled_from(ROLES), st.tuples(st.floats(-0.5, 0.5), st.integers(0, 900))),
    tickers=st.sampled_from([("UP",), ("NOISE",), ("NOISE", "SAW")]),
)
def test_the_view_is_made_of_the_parts_that_are_shown(
    view: View, leans: dict[str, Lean], record: dict[str, tuple[float, int]], tickers: tuple[str, ...]
) -> None:
    standings = {role: standing(role, *told) for role, told in record.items()}
    evidence = combine_views(view, tickers, 5, leans, standings)
    shown = {n.removesuffix("_p_up"): evidence.value(n) for n in evidence.figures if n.endswith("_p_up")}
    weight = {role: evidence.value(f"{role}_weight") for role in shown}
    if not shown:
        assert evidence.value("p_up") == evidence.value("base_rate")
        return
    assert math.fsum(weight.values()) == pytest.approx(1)
    odds = sum(weight[role] * math.log(p / (1 - p)) for role, p in shown.items())
    assert evidence.value("p_up") == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-12)
    assert weight == weights(shown, standings)
    for role in shown.keys() & record.keys():
        assert evidence.value(f"{role}_separate") == record[role][1]
        assert evidence.value(f"{role}_gain") == record[role][0]


def test_of_two_tickers_the_last_session_is_one_that_both_have(make_home: MakeHome, price_rows: Rows) -> None:
    closes = [100.0 + i for i in range(100)]
    rows = [*price_rows("LONG", closes), *price_rows("SHORT", closes[:90])]
    with closing(Warehouse.open(make_home(prices=rows))) as warehouse:
        alone, both = (combine_views(warehouse.view(), t, 5, {}) for t in (("LONG",), ("LONG", "SHORT")))
    assert [e.figures["last_date"].value for e in (alone, both)] == [str(rows[99]["date"]), str(rows[89]["date"])]


def test_too_few_windows_are_no_base_rate(view: View) -> None:
    assert combine_views(view, ("FEW",), 4, {}).value("windows") == 60
    for horizon, count in ((5, 59), (64, 0), (252, 0)):
        with pytest.raises(
            NotComputed, match=f"needs at least 60 overlapping {horizon}-session returns; FEW has {count} in"
        ):
            combine_views(view, ("FEW",), horizon, {})
    with pytest.raises(NotComputed, match="needs at least 60 overlapping 5-session returns; UP has 59 in"):
        combine_views(view, ("UP", "FEW"), 5, {})
    with pytest.raises(UnknownTicker):
        combine_views(view, ("UP", "NONE"), 5, {})
