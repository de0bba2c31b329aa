"""The screen of many tickers says of each what the tools for one ticker say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.given import Given
from openoutcry.tools.drawdowns import drawdown
from openoutcry.tools.risk import value_at_risk, volatility
from openoutcry.tools.screen import risk_screen


def walks(seed: int, tickers: int = 5) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(seed)
    return {f"T{i}.X": chance.standard_t(4, 150 + 40 * (i % 2)) * 0.01 for i in range(tickers)}


@given(seed=st.integers(0, 999), confidence=st.floats(0.6, 0.98), window=st.integers(80, 300))
def test_it_agrees_with_one_ticker_at_a_time(seed: int, confidence: float, window: int) -> None:
    view = Given.of(walks(seed), "returns")
    made = risk_screen(view, confidence=confidence, window=window, recent=60)
    for name in view.tickers:
        key = name.lower().replace(".", "_")
        var = value_at_risk(view, name, horizon=1, confidence=confidence, window=window)
        swings = volatility(view, name, window=window, recent=60)
        assert made.value(f"var_{key}") == pytest.approx(var.value("var"), rel=1e-12)
        assert made.value(f"volatility_{key}") == pytest.approx(swings.value("volatility"), rel=1e-9)
        assert made.value(f"recent_{key}") == pytest.approx(swings.value("recent"), rel=1e-9)
        fall = drawdown(view, name, window=min(window, len(view.prices(name).values)) + 1)
        assert made.value(f"drawdown_{key}") == pytest.approx(fall.value("max"), rel=1e-9)


def test_the_rank_of_recent_volatility_by_hand() -> None:
    chance = np.random.default_rng(2)
    changes = np.concatenate([chance.normal(size=100) * 0.01, chance.normal(size=100) * 0.03])
    view = Given.of({"UP": changes, "DOWN": changes[::-1].copy()}, "returns")
    made = risk_screen(view, window=200, recent=50)
    for name, series in (("up", changes), ("down", changes[::-1])):
        spreads = [series[i : i + 50].std(ddof=1) for i in range(151)]
        assert made.value(f"rank_{name}") == pytest.approx(
            np.mean([s <= spreads[-1] + 1e-15 for s in spreads]), abs=0.01
        )
    assert made.value("rank_up") > 0.7
    assert made.value("rank_down") < 0.5


def test_order_changes_nothing_and_what_is_unfit_is_told() -> None:
    made = walks(4) | {"FLAT": np.full(200, 0.01), "SHORT": np.arange(20) / 1000}
    view = Given.of(made, "returns")
    first = risk_screen(view)
    second = risk_screen(Given.of(dict(reversed(made.items())), "returns"))
    assert first.figures == second.figures
    assert first.value("tickers") == 5
    assert "FLAT: its returns are all alike over 200 sessions" in first.missing
    assert "SHORT: needs at least 60 returns; SHORT has 20" in first.missing
    with pytest.raises(NotComputed, match="needs 60 returns that differ of a ticker; FLAT: "):
        risk_screen(view, ["FLAT", "SHORT"])
