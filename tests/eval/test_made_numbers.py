"""The made-up numbers: what their situations plan is in the rows, and a second library says the same of them."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds import tails
from openoutcry.eval.worlds.case import made

stats: Any = import_module("scipy.stats")
samples = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).standard_t(4, 900) * 0.01)


@given(samples, st.sampled_from([0.9, 0.95, 0.99]))
def test_tails_agree_with_scipy(returns: tails.Values, confidence: float) -> None:
    law = stats.norm(returns.mean(), returns.std(ddof=1))
    seen = tails.normal(returns, confidence)
    assert seen.var == pytest.approx(-law.ppf(1 - confidence))
    tail = np.linspace(-12, float(stats.norm.ppf(1 - confidence)), 20_001)
    mean = np.trapezoid(tail * stats.norm.pdf(tail), tail) / (1 - confidence)
    assert seen.es == pytest.approx(-returns.mean() - returns.std(ddof=1) * mean, rel=1e-5)
    worst = np.sort(returns)[: round(900 * (1 - confidence))]
    assert tails.empirical(returns, confidence).es == pytest.approx(-worst.mean(), rel=0.05)


@given(samples)
def test_extreme_tail_is_the_maximum_of_the_likelihood(returns: tails.Values) -> None:
    losses = -returns
    threshold = float(np.quantile(losses, 0.95))
    excess = losses[losses > threshold] - threshold
    xi, _, beta = stats.genpareto.fit(excess / excess.mean(), floc=0)
    reach = (len(losses) / len(excess) * 0.001) ** -xi
    assert tails.extreme(returns, 0.999).var == pytest.approx(
        threshold + beta * float(excess.mean()) / xi * (reach - 1), rel=1e-3
    )


@given(st.integers(0, 2**31), st.integers(1, 12))
def test_planned_breaches_are_worse_than_all_before(seed: int, broken: int) -> None:
    one = Made.model_validate({"situation": "tested", "seed": seed, "with": {"broken": broken}})
    closes = np.array([float(row["close"]) for row in made(one).rows["prices"]])
    moves = closes[1:] / closes[:-1] - 1
    past = [moves[i - 500 : i] for i in range(500, 750)]
    hits = sum(move < np.quantile(before, 0.01) for move, before in zip(moves[500:], past, strict=True))
    assert hits == broken


@given(st.integers(0, 2**31))
def test_planned_falls_are_in_the_rows(seed: int) -> None:
    case = made(Made.model_validate({"situation": "fallen", "seed": seed}))
    closes = np.array([float(row["close"]) for row in case.rows["prices"]])
    depth = 1 - closes / np.maximum.accumulate(closes)
    assert depth.max() == pytest.approx(case.truths["deepest"])
    assert depth[-1] == pytest.approx(case.truths["now"])
    recovered = int(np.flatnonzero((depth == 0) & (np.arange(len(depth)) > depth.argmax()))[0])
    assert depth[recovered:].max() == pytest.approx(case.truths["second"])


@given(st.integers(0, 2**31), st.booleans())
def test_made_up_accounts_add_up(seed: int, loss: bool) -> None:
    case = made(Made.model_validate({"situation": "filed", "seed": seed, "with": {"loss": loss}}))
    rows = case.rows["fundamentals"]
    quarters = [r for r in rows if r["fiscal_period"][4] == "Q"]
    for year in (r for r in rows if r["fiscal_period"].endswith("FY")):
        parts = [q for q in quarters if q["fiscal_period"][:4] == year["fiscal_period"][:4]]
        for item in ("revenue", "gross_profit", "net_income", "operating_cash_flow"):
            assert float(year[item]) == pytest.approx(sum(float(q[item]) for q in parts))
        assert float(year["total_assets"]) == float(year["total_liabilities"]) + float(year["total_equity"])
        assert float(year["total_equity"]) > 0
    assert (float(rows[-1]["net_income"]) < 0) is loss
