"""Rebalanced portfolios: step by step by hand, and without a look at what came later."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View
from openoutcry.tools.portfolio import optimal_weights
from openoutcry.tools.rebalancing import walk_forward

Array = NDArray[np.float64]


def weights_of(evidence: Evidence, names: Sequence[str]) -> list[float]:
    return [evidence.value(f"weight_{n.lower()}") for n in names]


def market(seed: int, assets: int, length: int = 120) -> dict[str, Array]:
    """Returns with a common factor and unequal spreads."""
    chance = np.random.default_rng(seed)
    common = chance.normal(0.004, 0.03, length)
    return {
        f"T{i}": np.clip(chance.uniform(0.3, 1.5) * common + chance.normal(0.003, 0.01 + 0.01 * i, length), -0.5, 0.5)
        for i in range(assets)
    }


@pytest.mark.parametrize("method", ["minimum_variance", "hrp", "inverse_volatility"])
def test_walk_forward_looks_at_nothing_later(method: Any) -> None:
    """Other returns after a rebalance change neither the weights chosen by then nor what came before."""
    data = market(9, 3, 90)
    changed = {n: np.concatenate([r[:60], r[60:][::-1] * 2]) for n, r in data.items()}
    asked: dict[str, Any] = {"method": method, "train": 30, "test": 15, "cost": 0.001}
    first, second = (walk_forward(Given.of(d, "returns"), list(data), **asked) for d in (data, changed))
    ours, theirs = first.series["wealth"].values, second.series["wealth"].values
    assert ours[:30] == theirs[:30]
    assert ours[30:] != theirs[30:]
    cut = Given.of({n: r[:60] for n, r in data.items()}, "returns")
    last = walk_forward(cut, list(data), **asked)
    assert last.series["wealth"].values == pytest.approx(ours[:30])
    # The rebalance after 60 returns sees the same 30 in both: its weights are those of the 30 alone.
    alone = Given.of({n: r[30:60] for n, r in data.items()}, "returns")
    chosen = optimal_weights(alone, list(data), method)
    part = walk_forward(Given.of({n: r[:75] for n, r in data.items()}, "returns"), list(data), **asked)
    assert weights_of(part, list(data)) == pytest.approx(weights_of(chosen, list(data)))


@pytest.mark.parametrize("holding", ["drift", "constant"])
def test_walk_forward_by_hand(holding: Any) -> None:
    """Equal weights over two stretches, step by step."""
    data = market(21, 2, 16)
    evidence = walk_forward(
        Given.of(data, "returns"), list(data), "equal_weight", train=10, test=4, cost=0.01, holding=holding, periods=12
    )
    wealth, held, traded, path = 1.0, [0.0, 0.0], list[float](), list[float]()
    for start in (10, 14):
        traded.append(abs(0.5 - held[0]) + abs(0.5 - held[1]))
        wealth *= 1 - 0.01 * traded[-1]
        held = [0.5, 0.5]
        for i in range(start, min(start + 4, 16)):
            made = held[0] * data["T0"][i] + held[1] * data["T1"][i]
            wealth *= 1 + made
            path.append(wealth)
            if holding == "drift":
                held = [held[0] * (1 + data["T0"][i]) / (1 + made), held[1] * (1 + data["T1"][i]) / (1 + made)]
    returns = np.diff(np.log([1.0, *path]))
    simple = np.expm1(returns)
    assert evidence.series["wealth"].values == pytest.approx(path)
    assert evidence.value("total_return") == pytest.approx(wealth - 1)
    assert evidence.value("annual_return") == pytest.approx(wealth ** (12 / 6) - 1)
    assert evidence.value("volatility") == pytest.approx(simple.std(ddof=1) * np.sqrt(12))
    assert evidence.value("sharpe") == pytest.approx(simple.mean() / simple.std(ddof=1) * np.sqrt(12))
    peaks = np.maximum.accumulate([1.0, *path])
    assert evidence.value("max_drawdown") == pytest.approx((1 - np.array([1.0, *path]) / peaks).max())
    assert evidence.value("turnover") == pytest.approx(traded[1])
    assert evidence.value("rebalances") == 2
    for name in ("total_return", "sharpe", "max_drawdown"):
        if holding == "drift":
            assert evidence.value(f"equal_{name}") == evidence.value(name)


def test_what_cannot_be_walked_is_refused() -> None:
    view = Given.of(market(1, 2, 20), "returns")
    with pytest.raises(NotComputed, match="needs at least 254 common returns for train=252; got 20"):
        walk_forward(view, ["T0", "T1"])
    with pytest.raises(NotComputed, match="needs out-of-sample returns above -100 % that differ"):
        flat = {n: np.concatenate([r, np.full(5, 0.01)]) for n, r in market(1, 2, 20).items()}
        walk_forward(Given.of(flat, "returns"), ["T0", "T1"], train=20, test=5)
    fallen = np.concatenate([np.tile([0.05, -0.06, -0.03, 0.02], 5), [300.0, 0.0, 0.0, 0.0]])
    soaring = {"A": np.tile([0.02, -0.01], 12), "B": fallen}
    with pytest.raises(NotComputed, match="needs a portfolio that keeps some value"):
        walk_forward(Given.of(soaring, "returns"), ["A", "B"], "max_sharpe", train=20, test=4, allow_short=True)


def test_over_the_warehouse(sample_home: Path, view_of: Callable[..., View]) -> None:
    walked = walk_forward(view_of(sample_home), ["KO", "AAPL"], window=504)
    assert walked.value("observations") == 252
    assert len(walked.series["wealth"].dates) == 252
    assert walked.series["wealth"].dates[-1].isoformat() == walked.figures["last_date"].value
    assert walked.known_at is not None
