"""Parts of a portfolio's risk: they sum to the whole, and agree with definitions worked out the slow way."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.tools.formulas import contributions, tails

SEEDS = st.integers(0, 10_000)


def scenarios(seed: int, rows: int = 400, lines: int = 4) -> NDArray[np.float64]:
    chance = np.random.default_rng(seed)
    mix = chance.normal(size=(lines, lines))
    return chance.standard_t(5, size=(rows, lines)) @ mix * 0.01 + chance.normal(size=lines) * 0.001


@given(SEEDS, st.floats(0.8, 0.99), st.sampled_from(["linear", "order_statistic"]))
def test_parts_sum_to_the_whole(seed: int, confidence: float, rule: str) -> None:
    changes = scenarios(seed)
    sizes = np.random.default_rng(seed).uniform(-1, 2, 4)
    covariance = np.cov(changes, rowvar=False)
    for parts in (
        contributions.historical(changes, confidence, rule),  # type: ignore[arg-type]  # one of the two rules
        contributions.gaussian(changes.mean(axis=0), covariance, sizes, confidence),
        contributions.cornish_fisher(changes, confidence, 1),
        contributions.simulated(changes, confidence),
    ):
        assert parts.var_parts.sum() == pytest.approx(parts.var, rel=1e-6)
        assert parts.es_parts.sum() == pytest.approx(parts.es, rel=1e-6)
        assert parts.es >= parts.var - 1e-12


@given(SEEDS, st.floats(0.8, 0.99))
def test_the_whole_is_the_tail_of_the_sum(seed: int, confidence: float) -> None:
    changes = scenarios(seed)
    total = changes.sum(axis=1)
    for rule in ("linear", "order_statistic"):
        tail = tails.historical(total, confidence, rule)
        parts = contributions.historical(changes, confidence, rule)
        assert (parts.var, parts.es) == pytest.approx((float(tail.var), float(tail.es)))
        assert parts.var_parts.sum() == pytest.approx(float(tail.var))


@given(SEEDS, st.floats(0.8, 0.995))
def test_gaussian_parts_are_slopes(seed: int, confidence: float) -> None:
    """A line's part is its size times the derivative of the whole, by small steps."""
    changes = scenarios(seed)
    mean, covariance = changes.mean(axis=0), np.cov(changes, rowvar=False)
    sizes = np.random.default_rng(seed).uniform(0.2, 2, 4)
    parts = contributions.gaussian(mean, covariance, sizes, confidence)
    for i in range(len(sizes)):
        up, down = sizes.copy(), sizes.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        high, low = (contributions.gaussian(mean, covariance, s, confidence).var for s in (up, down))
        assert sizes[i] * (high - low) / 2e-5 == pytest.approx(parts.var_parts[i], rel=1e-4, abs=1e-9)


def test_hull_two_stocks() -> None:
    """Hull, Options, Futures, and Other Derivatives, value at risk: USD 10m of Microsoft at 2 % a day and USD 5m of
    AT&T at 1 % with correlation 0.3: the 99 % VaR is 2.326 sqrt(200,000^2 + 50,000^2 + 2 0.3 200,000 50,000), 2.326
    times a deviation of 220,227 a day, and over ten days, by the square root of time, 1,620,100."""
    covariance = np.array([[0.02**2, 0.3 * 0.02 * 0.01], [0.3 * 0.02 * 0.01, 0.01**2]])
    parts = contributions.gaussian(np.zeros(2), covariance, np.array([10e6, 5e6]), 0.99)
    assert parts.var / 2.3263478740408408 == pytest.approx(220_227, abs=1)
    assert parts.var * np.sqrt(10) == pytest.approx(1_620_100, rel=1e-4)
    alone = 2.3263478740408408 * 50_000
    assert parts.var < 2.3263478740408408 * 200_000 + alone


@given(SEEDS)
def test_a_line_of_nothing_adds_nothing_and_order_does_not_matter(seed: int) -> None:
    changes = scenarios(seed)
    changes[:, 2] = 0
    order = np.random.default_rng(seed).permutation(4)
    makes: list[Callable[[NDArray[np.float64]], contributions.Parts]] = [
        lambda c: contributions.historical(c, 0.95),
        lambda c: contributions.cornish_fisher(c, 0.95, 0),
        lambda c: contributions.simulated(c, 0.95),
    ]
    for make in makes:
        parts, mixed = make(changes), make(changes[:, order])
        assert parts.var_parts[2] == pytest.approx(0, abs=1e-12)
        assert mixed.var_parts == pytest.approx(parts.var_parts[order], rel=1e-6, abs=1e-9)
