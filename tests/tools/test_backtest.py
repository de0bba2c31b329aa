"""Tests of exceptions against the published tables, and a rolling VaR that never looks ahead."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.backtest import coverage_figures, exceptions_test, rolling_var, var_backtest
from openoutcry.tools.data.given import Given
from openoutcry.tools.formulas import coverage, tails

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "refdata"
Values = NDArray[np.float64]
METHODS: list[Any] = ["historical", "gaussian", "cornish_fisher", "garch", "monte_carlo"]


@pytest.mark.parametrize(
    ("exceptions", "cumulative", "at_least", "zone", "plus"),
    # Basel Committee (1996), Supervisory Framework for the Use of "Backtesting", tables 1 and 2: 250 days at 99 %.
    [
        (0, 8.11, 100.0, "green", 0.00),
        (1, 28.58, 91.89, "green", 0.00),
        (2, 54.32, 71.42, "green", 0.00),
        (3, 75.81, 45.68, "green", 0.00),
        (4, 89.22, 24.19, "green", 0.00),
        (5, 95.88, 10.78, "yellow", 0.40),
        (6, 98.63, 4.12, "yellow", 0.50),
        (7, 99.60, 1.37, "yellow", 0.65),
        (8, 99.89, 0.40, "yellow", 0.75),
        (9, 99.97, 0.11, "yellow", 0.85),
        (10, 99.99, 0.03, "red", 1.00),
    ],
)
def test_the_basel_traffic_light(exceptions: int, cumulative: float, at_least: float, zone: str, plus: float) -> None:
    made = exceptions_test(exceptions=exceptions, observations=250)
    assert made.value("cumulative_probability") == pytest.approx(cumulative / 100, abs=5.1e-5)
    assert made.value("at_least_probability") == pytest.approx(at_least / 100, abs=5.1e-5)
    assert made.figures["zone"].value == zone
    assert made.value("plus_factor") == plus
    assert made.value("multiplier") == pytest.approx(3 + plus)


@pytest.mark.parametrize(
    ("exceptions", "multiplier"), [(4, 1.5), (5, 1.7), (6, 1.76), (7, 1.83), (8, 1.88), (9, 1.92), (10, 2.0)]
)
def test_the_multipliers_of_mar32(exceptions: int, multiplier: float) -> None:
    """Basel Committee, MAR32.9 (2019)."""
    assert exceptions_test(exceptions=exceptions, observations=250).value("multiplier_mar32") == multiplier


def test_a_yellow_zone_other_than_the_table_has_no_multiplier() -> None:
    assert "multiplier" not in exceptions_test(exceptions=20, observations=252, confidence=0.95).figures


@pytest.mark.parametrize(
    ("confidence", "bounds"),
    # Kupiec (1995); Jorion, Value at Risk, table 6-2: 255, 510 and 1000 days; N < 7, 1 < N < 11, 4 < N < 17, ...
    [
        (0.99, [(0, 7), (1, 11), (4, 17)]),
        (0.975, [(2, 12), (6, 21), (15, 36)]),
        (0.95, [(6, 21), (16, 36), (37, 65)]),
        (0.925, [(11, 28), (27, 51), (59, 92)]),
        (0.90, [(16, 36), (38, 65), (81, 120)]),
    ],
)
def test_the_regions_that_kupiec_does_not_reject(confidence: float, bounds: list[tuple[int, int]]) -> None:
    for days, (low, high) in zip((255, 510, 1000), bounds, strict=True):
        made = exceptions_test(exceptions=low + 1, observations=days, confidence=confidence)
        assert (made.value("accept_above"), made.value("accept_below"), made.value("reject")) == (low, high, 0)
        assert exceptions_test(exceptions=high, observations=days, confidence=confidence).value("reject") == 1


@pytest.mark.parametrize(
    ("p", "low", "high"),
    # Kupiec (1995), table 1: the first failure's days that the TUFF test does not reject at 5 %.
    [(0.005, 11, 879), (0.01, 6, 439), (0.015, 4, 292), (0.02, 3, 219), (0.025, 2, 175), (0.03, 2, 146), (0.05, 1, 87)],
)
def test_the_time_until_the_first_failure(p: float, low: int, high: int) -> None:
    kept = [n for n in range(1, 1000) if coverage.first_failure(n, 1 - p) < coverage.critical(0.95)]
    assert (min(kept), max(kept)) == (low + 1, high - 1)


def test_jp_morgan_in_1998() -> None:
    """Jorion, Value at Risk, chapter 6: 20 exceptions of 252 days at 95 %: z = 2.14, LR = 3.91."""
    made = exceptions_test(exceptions=20, observations=252, confidence=0.95)
    assert made.value("expected") == pytest.approx(12.6)
    assert made.value("binomial_z") == pytest.approx(2.14, abs=5e-3)
    assert made.value("kupiec_lr") == pytest.approx(3.91, abs=5e-3)
    assert (made.value("critical_value"), made.value("reject")) == (pytest.approx(3.841, abs=5e-4), 1)


def test_the_example_of_matlab() -> None:
    """MATLAB's Risk Management Toolbox, varbacktest of EquityIndex, Normal95: 57 of 1043, the first on day 58."""
    made = exceptions_test(exceptions=57, observations=1043, confidence=0.95, first=58)
    assert made.value("expected") == pytest.approx(52.15)
    assert made.value("kupiec_lr") == pytest.approx(0.46147, abs=5e-6)
    assert made.value("kupiec_p_value") == pytest.approx(0.49694, abs=5e-6)
    assert made.value("binomial_z") == pytest.approx(0.68905, abs=5e-6)
    assert made.value("binomial_p_value") == pytest.approx(0.49079, abs=1.1e-5)
    assert made.value("tuff_lr") == pytest.approx(1.7354, abs=5e-5)
    assert made.value("tuff_p_value") == pytest.approx(0.18773, abs=5e-6)
    assert made.value("cumulative_probability") == pytest.approx(0.77913, abs=5e-6)
    assert made.figures["zone"].value == "green"


hit_rows = st.lists(st.integers(0, 1), min_size=2, max_size=300)


@given(hits=hit_rows, confidence=st.floats(0.6, 0.995))
def test_ratios_by_their_likelihoods(hits: list[int], confidence: float) -> None:
    """The likelihoods multiplied out pair by pair; and conditional coverage is the sum of the other two."""
    found = coverage.coverage(hits, confidence)
    n, x = len(hits), sum(hits)
    rate = x / n

    def log(chance: float, hit: int) -> float:
        return math.log(chance if hit else 1 - chance)

    free = sum(log(rate, h) for h in hits) if 0 < x < n else 0.0
    assert found.kupiec == pytest.approx(2 * (free - sum(log(1 - confidence, h) for h in hits)), abs=1e-8)
    pairs = list(pairwise(hits))
    seen = [tuple(p) for p in pairs]
    assert found.transitions == tuple(seen.count(p) for p in ((0, 0), (0, 1), (1, 0), (1, 1)))
    overall = sum(b for _, b in pairs) / len(pairs)

    def chance(after: int) -> float:
        mine = [b for a, b in pairs if a == after]
        return sum(mine) / len(mine)

    null = sum(log(overall, b) for _, b in pairs) if 0 < overall < 1 else 0.0
    other = sum(0.0 if chance(a) in (0, 1) else log(chance(a), b) for a, b in pairs)
    assert found.independence == pytest.approx(max(0.0, 2 * (other - null)), abs=1e-8)
    assert found.conditional == pytest.approx(found.kupiec + (found.independence or 0.0))


@given(days=st.integers(1, 40), confidence=st.sampled_from([0.9, 0.95, 0.975, 0.99]))
def test_kupiec_is_zero_at_the_expected_rate(days: int, confidence: float) -> None:
    n = days * 200
    exceptions = round(n * (1 - confidence))
    assert coverage.kupiec(exceptions, n, confidence) == pytest.approx(0, abs=1e-9)
    assert coverage.kupiec(exceptions + 1, n, confidence) > 0


@given(n=st.integers(1, 400), p=st.floats(0.005, 0.4), data=st.data())
def test_the_binomial_chance(n: int, p: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    exact = math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))
    assert coverage.cumulative(k, n, p) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize(("x", "degrees", "p"), [(3.841459, 1, 0.05), (5.991465, 2, 0.05), (11.34487, 3, 0.01)])
def test_chi_square(x: float, degrees: int, p: float) -> None:
    """NIST/SEMATECH e-Handbook, table 1.3.6.7.4."""
    assert coverage.p_value(x, degrees) == pytest.approx(p, rel=1e-5)


def test_hits_and_counts_say_the_same() -> None:
    hits = [0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    made = exceptions_test(hits=hits, confidence=0.9)
    n00, n01, n10, n11 = (int(made.value(f"n{k}")) for k in ("00", "01", "10", "11"))
    assert (n00, n01, n10, n11) == (6, 2, 2, 1)
    counts = exceptions_test(exceptions=3, observations=12, confidence=0.9, first=2, n00=n00, n01=n01, n10=n10, n11=n11)
    for name in ("kupiec_lr", "independence_lr", "conditional_coverage_lr", "tuff_lr", "zone"):
        assert counts.figures[name] == made.figures[name]
    gaps = (2, 1, 4)
    assert made.value("between_failures_lr") == pytest.approx(sum(coverage.first_failure(g, 0.9) for g in gaps))
    assert made.value("mixed_kupiec_lr") == pytest.approx(made.value("between_failures_lr") + made.value("kupiec_lr"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "needs exceptions and observations above zero"),
        ({"exceptions": 5, "observations": 4}, "needs counts that fit each other; got 5 exceptions of 4"),
        ({"exceptions": 5, "observations": 100, "n00": 1}, "needs all of n00, n01, n10 and n11"),
        ({"exceptions": 5, "observations": 100, "n00": 1, "n01": 1, "n10": 1, "n11": 1}, "and 4 transitions"),
        ({"hits": [0, 2]}, "each 0 or 1"),
        ({"hits": [0, 1], "exceptions": 1}, "needs either hits or counts"),
        ({"exceptions": 5, "observations": 100, "first": 101}, "needs first between 1 and 100; got 101"),
    ],
)
def test_what_a_count_needs(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(NotComputed, match=said):
        exceptions_test(**asked)


def returns_of(seed: int, n: int = 400) -> Values:
    chance = np.random.default_rng(seed)
    return chance.standard_t(4, n) * 0.01 * np.exp(np.cumsum(chance.normal(0, 0.02, n)))


@settings(max_examples=12)
@pytest.mark.parametrize("method", METHODS)
@example(seed=10, cut=75)
@example(seed=0, cut=78)
@example(seed=0, cut=60)
@given(seed=st.integers(0, 500), cut=st.integers(1, 79))
def test_later_data_change_no_earlier_var(method: Any, seed: int, cut: int) -> None:
    returns = returns_of(seed)
    other = returns.copy()
    other[-80 + cut :] = np.random.default_rng(seed + 1).uniform(-0.5, -0.3, 80 - cut)
    first, second = (rolling_var(r, 200, 80, 0.95, method) for r in (returns, other))
    assert first[: cut + 1].tolist() == second[: cut + 1].tolist()
    # At 95 % the worst eleven of 200 days decide, and up to this cut the last forecast sees more losses than that; a
    # GARCH may be fitted without a memory.
    assert cut > 60 or method == "garch" or first[cut + 1 :].tolist() != second[cut + 1 :].tolist()
    # ... and of the test's first day alone, the same forecast:
    shorter = rolling_var(returns[: len(returns) - 79], 200, 1, 0.95, method)
    assert shorter[0] == pytest.approx(first[0], rel=1e-12)


@given(seed=st.integers(0, 500), confidence=st.sampled_from([0.9, 0.95, 0.99]))
def test_each_forecast_is_that_of_its_window(seed: int, confidence: float) -> None:
    returns = returns_of(seed, 160)
    each = [returns[i : i + 120] for i in range(40)]
    pairs: list[tuple[Any, list[Any]]] = [
        ("historical", [tails.historical(w, confidence).var for w in each]),
        ("gaussian", [tails.gaussian(w.mean(), w.std(ddof=1), confidence).var for w in each]),
        ("cornish_fisher", [tails.cornish_fisher(w, confidence).var for w in each]),
    ]
    for method, expected in pairs:
        assert rolling_var(returns, 120, 40, confidence, method) == pytest.approx([float(v) for v in expected])


def test_the_tool_counts_what_the_forecasts_miss() -> None:
    returns = returns_of(3, 700)
    days = np.arange("2020-01-01", "2021-12-01", dtype="datetime64[D]")[:700]
    view = Given.of({"A": returns}, "returns", [str(d) for d in days])
    for method in METHODS:
        made = var_backtest(view, "A", method, 0.95, 300, 400)
        var = rolling_var(returns, 300, 400, 0.95, method)
        seen = returns[-400:]
        hits = -seen > var
        assert made.value("exceptions") == hits.sum()
        assert made.series["var"].values == tuple(var.tolist())
        assert made.series["exceptions"].values == tuple(seen[hits].tolist())
        assert [d.isoformat() for d in made.series["exceptions"].dates] == [str(d) for d in days[-400:][hits]]
        assert made.value("kupiec_lr") == coverage_figures(hits, 0.95)["kupiec_lr"].value
        loss = [(0.05 - (r < -v)) * (r + v) for r, v in zip(seen, var, strict=True)]
        assert made.value("quantile_loss") == pytest.approx(math.fsum(loss) / 400)
        assert made.value("quantile_loss") > 0


def test_a_right_model_passes_and_a_wrong_one_is_rejected() -> None:
    returns = np.random.default_rng(11).normal(0, 0.01, 3000)
    view = Given.of({"A": returns, "B": np.where(np.arange(3000) < 2000, returns, 3 * returns)}, "returns")
    good = var_backtest(view, "A", "gaussian", 0.99, 1000, 1000)
    bad = var_backtest(view, "B", "gaussian", 0.99, 1000, 1000)
    assert good.value("kupiec_p_value") > 0.01
    assert bad.value("kupiec_p_value") < 1e-6
    assert bad.figures["zone"].value == "red"


def test_what_a_backtest_needs() -> None:
    view = Given.of({"A": returns_of(1, 300), "B": [0.01] * 900}, "returns")
    with pytest.raises(NotComputed, match="needs at least 750 returns; A has 300"):
        var_backtest(view, "A")
    with pytest.raises(NotComputed, match="those of B are all alike over 750 periods"):
        var_backtest(view, "B")
    with pytest.raises(NotComputed, match=r"needs 500 \+ 250 returns to estimate and test; got 300"):
        rolling_var(returns_of(1, 300), 500, 250, 0.99)
    with pytest.raises(NotComputed, match="needs returns above -100 % for a lognormal"):
        rolling_var(np.append(returns_of(1, 300), -1.2), 100, 100, 0.99, "monte_carlo")


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not on this machine")
def test_marks_and_pounds() -> None:
    """GARCH fitted before the test foresees the spread better than a year's history: a lower tick loss."""
    view = Given.read([DATA / "MarkPound.csv"], "returns", scale=0.01)
    losses = {
        m: var_backtest(view, "value", m, 0.99, 1000, 900).value("quantile_loss") for m in ("historical", "garch")
    }
    assert losses["garch"] < losses["historical"]
