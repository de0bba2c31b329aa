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
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.lean import combine_views

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
