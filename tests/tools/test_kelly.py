"""Kelly stakes against Kelly, Thorp, PerformanceAnalytics and a search for the most growth."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.given import Given
from openoutcry.tools.kelly import kelly, kelly_from_returns

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "numeric"
RETURNS, EXPECTED = DATA / "managers_monthly_returns.csv", DATA / "expected_managers.jsonl"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # Thorp (2006), section 2: p = .53 at even money is a stake of .06, which grows by .0018 a bet.
        ({"win_probability": 0.53}, {"kelly": 0.06, "edge": 0.06, "growth": 0.0018, "half_kelly": 0.03}),
        # Kelly (1956), even money: f = 2p - 1.
        ({"win_probability": 0.6}, {"kelly": 0.2, "growth": 0.0201}),
        ({"win_probability": 0.75}, {"kelly": 0.5, "growth": 0.75 * math.log(1.5) + 0.25 * math.log(0.5)}),
        # Odds b: p - q / b.
        ({"win_probability": 0.5, "odds": 2}, {"kelly": 0.25, "edge": 0.5}),
        ({"win_probability": 0.2, "odds": 5}, {"kelly": 0.04}),
        ({"win_probability": 0.4, "odds": 1}, {"kelly": -0.2, "edge": -0.2}),
        # Part of the stake is lost: p / a - q / b.
        ({"win_probability": 0.5, "odds": 0.2, "loss": 0.1}, {"kelly": 2.5, "stake": 2.5}),
        ({"win_probability": 0.6, "kelly_fraction": 0.5}, {"kelly": 0.2, "stake": 0.1}),
        # Thorp (2006), section 7: f = (m - r) / s^2 and growth r + (m - r)^2 / 2 s^2.
        (
            {"mean": 0.11, "volatility": 0.15, "risk_free": 0.06},
            {"kelly": 2.2222, "growth": 0.1156, "growth_full": 0.1156, "sharpe": 0.3333},
        ),
        # Half Kelly has three quarters of the growth above the risk-free rate.
        (
            {"mean": 0.11, "volatility": 0.15, "risk_free": 0.06, "kelly_fraction": 0.5},
            {"stake": 1.1111, "growth": 0.06 + 0.75 * 0.05**2 / (2 * 0.15**2), "volatility_at_stake": 0.16667},
        ),
        # Thorp (2006), 7.3: full Kelly halves with probability 1/2, half Kelly with 1/8.
        ({"mean": 0.1, "volatility": 0.2, "fall_to": 0.5}, {"chance_of_fall": 0.5}),
        ({"mean": 0.1, "volatility": 0.2, "fall_to": 0.5, "kelly_fraction": 0.5}, {"chance_of_fall": 0.125}),
    ],
)
def test_published_stakes(arguments: dict[str, Any], expected: dict[str, float]) -> None:
    evidence = kelly(**arguments)
    for name, value in expected.items():
        assert evidence.value(name) == pytest.approx(value, abs=5.1e-5), name


@given(p=st.floats(0.05, 0.95), odds=st.floats(0.2, 10))
def test_no_other_stake_grows_more(p: float, odds: float) -> None:
    evidence = kelly(win_probability=p, odds=odds)
    full, growth = evidence.value("kelly"), evidence.value("growth")
    for stake in np.linspace(max(-1 / odds, -1) * 0.99, 0.99, 60):
        assert p * math.log1p(odds * stake) + (1 - p) * math.log1p(-stake) <= growth + 1e-12
    assert full == pytest.approx((p * odds - (1 - p)) / odds)


def printed() -> list[Any]:
    """What R's KellyRatio printed for its managers: half Kelly."""
    if not EXPECTED.is_file():
        return []
    rows = [json.loads(line) for line in EXPECTED.read_text().splitlines()]
    return [
        pytest.param(r["column"], "0.04/12" in r["r_call"], r["expected"], id=r["id"])
        for r in rows
        if r["function"] == "KellyRatio"
    ]


@pytest.mark.skipif(not RETURNS.is_file(), reason="the shared data are not on this machine")
@pytest.mark.parametrize(("column", "constant", "value"), printed())
def test_half_kelly_as_performanceanalytics_prints_it(column: str, constant: bool, value: float) -> None:
    rate: dict[str, Any] = {"risk_free": 0.04} if constant else {"risk_free_series": "US 3m TR"}
    evidence = kelly_from_returns(Given.read([RETURNS], "returns"), [column], **rate)
    assert evidence.value("half_kelly") == pytest.approx(value, abs=2e-4)


def test_several_assets_share_by_the_inverse_covariance() -> None:
    chance = np.random.default_rng(4)
    data = {n: chance.normal(m, s, 300) for n, m, s in (("A", 0.01, 0.05), ("B", 0.006, 0.03))}
    evidence = kelly_from_returns(
        Given.of(data, "returns"), ["A", "B"], risk_free=0.024, periods=12, kelly_fraction=0.5
    )
    columns = np.column_stack(list(data.values()))
    mean, cov = columns.mean(axis=0) - 0.002, np.cov(columns, rowvar=False)
    full = np.asarray(np.linalg.inv(np.asarray(cov, np.float64)) @ mean, np.float64)
    assert [evidence.value(f"kelly_{n}") for n in "ab"] == pytest.approx(full.tolist())
    assert [evidence.value(f"stake_{n}") for n in "ab"] == pytest.approx((full / 2).tolist())
    assert evidence.value("leverage") == pytest.approx(np.abs(full).sum() / 2)
    top = 0.024 + 12 * (full @ mean) / 2
    assert evidence.value("growth_full") == pytest.approx(top)
    assert evidence.value("growth") == pytest.approx(0.024 + 0.75 * (top - 0.024))
    one = kelly_from_returns(Given.of(data, "returns"), ["A"], variance_of="excess", ddof=0)
    assert one.value("kelly") == pytest.approx(data["A"].mean() / data["A"].var())


def test_what_cannot_be_staked_is_refused() -> None:
    with pytest.raises(NotComputed, match="needs win_probability, or mean and volatility"):
        kelly()
    with pytest.raises(NotComputed, match="needs win_probability, or mean and volatility"):
        kelly(mean=0.1)
    with pytest.raises(NotComputed, match=r"needs a stake that cannot lose all; 3 of the Kelly stake is 1\.5"):
        kelly(win_probability=0.75, kelly_fraction=3)
    with pytest.raises(NotComputed, match="needs a stake that grows for fall_to"):
        kelly(win_probability=0.4, fall_to=0.5)
    view = Given.of({"A": np.full(10, 0.01), "B": np.arange(10) / 100, "C": np.arange(10) / 50}, "returns")
    for tickers in (["A"], ["B", "C"]):
        with pytest.raises(NotComputed, match="needs returns that differ"):
            kelly_from_returns(view, tickers)
    with pytest.raises(NotComputed, match="needs at least 3 returns; D has 2"):
        kelly_from_returns(Given.of({"D": [0.1, 0.2]}, "returns"), ["D"])
    with pytest.raises(NotComputed, match="needs a ticker"):
        kelly_from_returns(view, [])
