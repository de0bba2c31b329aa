"""Portfolio weights against textbooks, papers, skfolio, closed forms and random portfolios."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View
from openoutcry.tools.portfolio import optimal_weights, weights_from_moments

Array = NDArray[np.float64]
MakeHome = Callable[..., Path]
PRICES = Path(__file__).parents[2].parent / "shared" / "data" / "refdata" / "skfolio_sp500_prices.csv"
OPTIMISED = ("minimum_variance", "max_sharpe", "risk_parity", "maximum_diversification", "cvar", "hrp")
METHODS = (*OPTIMISED, "equal_weight", "inverse_volatility")


def weights_of(evidence: Evidence, names: Sequence[str]) -> list[float]:
    return [evidence.value(f"weight_{n.lower()}") for n in names]


# Bodie, Kane and Marcus, Investments, chapter 7: debt and equity funds.
BKM: dict[str, Any] = {"expected_returns": {"D": 0.08, "E": 0.13}, "volatilities": [0.12, 0.20]}
# Zivot, Portfolio Theory with Matrix Algebra: Microsoft, Nordstrom and Starbucks, a month.
ZIVOT: dict[str, Any] = {
    "expected_returns": {"MSFT": 0.0427, "NORD": 0.0015, "SBUX": 0.0285},
    "covariance": [[0.0100, 0.0018, 0.0011], [0.0018, 0.0109, 0.0026], [0.0011, 0.0026, 0.0199]],
    "allow_short": True,
}
# Maillard, Roncalli and Teiletche, The Properties of Equally Weighted Risk Contribution Portfolios (2010), section 4.
MRT: dict[str, Any] = {
    "expected_returns": {"A": 0.05, "B": 0.05, "C": 0.05, "D": 0.05},
    "volatilities": [0.1, 0.2, 0.3, 0.4],
    "correlations": [[1, 0.8, 0, 0], [0.8, 1, 0, 0], [0, 0, 1, -0.5], [0, 0, -0.5, 1]],
}
ALIKE: dict[str, Any] = {**{k: v for k, v in MRT.items() if k != "correlations"}, "correlation": 0.3}


@pytest.mark.parametrize(
    ("arguments", "expected", "within"),
    [
        # BKM, table 7.3: minimum-variance weights and deviations by correlation.
        (BKM | {"correlation": -1}, {"weight_d": 0.625, "weight_e": 0.375, "volatility": 0.0}, 1e-6),
        (BKM | {"correlation": 0}, {"weight_d": 0.7353, "weight_e": 0.2647, "volatility": 0.1029}, 5e-5),
        (BKM | {"correlation": 0.3}, {"weight_d": 0.82, "expected_return": 0.089, "volatility": 0.1145}, 5e-5),
        (BKM | {"correlation": 1}, {"weight_d": 1.0, "weight_e": 0.0, "volatility": 0.12}, 1e-9),
        # BKM, 7.3 and example 7.3: the optimal risky portfolio at 5 %, and how much of it with A = 4.
        (
            BKM | {"correlation": 0.3, "method": "max_sharpe", "risk_free": 0.05, "risk_aversion": 4},
            {"weight_d": 0.40, "weight_e": 0.60, "expected_return": 0.11, "volatility": 0.142, "sharpe": 0.42,
             "risky_share": 0.7439},
            3e-3,
        ),
        (
            ZIVOT,
            {"weight_msft": 0.4411, "weight_nord": 0.3656, "weight_sbux": 0.1933, "expected_return": 0.0249,
             "volatility": 0.0727},
            5.1e-5,
        ),
        (
            ZIVOT | {"method": "mean_variance", "target_return": 0.0427},
            {"weight_msft": 0.8275, "weight_nord": -0.0907, "weight_sbux": 0.2633, "volatility": 0.0917},
            5.1e-5,
        ),
        (
            ZIVOT | {"method": "max_sharpe", "risk_free": 0.005},
            {"weight_msft": 1.0268, "weight_nord": -0.3263, "weight_sbux": 0.2994, "expected_return": 0.0519,
             "volatility": 0.1116},
            5.1e-5,
        ),
        (ALIKE | {"method": "risk_parity"}, {"weight_a": 0.48, "weight_b": 0.24, "weight_c": 0.16}, 1e-9),
        (
            MRT | {"method": "risk_parity"},
            {"weight_a": 0.384, "weight_b": 0.192, "weight_c": 0.243, "weight_d": 0.182, "volatility": 0.103,
             "risk_contribution_a": 0.25, "risk_contribution_d": 0.25},
            5.1e-4,
        ),
        (
            MRT,
            {"weight_a": 0.745, "weight_b": 0.0, "weight_c": 0.152, "weight_d": 0.103, "volatility": 0.086},
            5.1e-4,
        ),
        (MRT | {"method": "equal_weight"}, {"weight_a": 0.25, "volatility": 0.115, "effective_assets": 4.0}, 5.1e-4),
        # Equally correlated assets: the most diversified portfolio is that of 1 / volatility (Choueifaty 2008).
        (ALIKE | {"method": "maximum_diversification"}, {"weight_a": 0.48, "weight_d": 0.12}, 1e-9),
        (ALIKE | {"method": "inverse_volatility"}, {"weight_a": 0.48, "weight_d": 0.12}, 1e-12),
        # Two assets share their variance in one step: 1 - 0.0144 / (0.0144 + 0.04).
        (BKM | {"correlation": 0.3, "method": "hrp"}, {"weight_d": 0.7352941176470589}, 1e-12),
        # E - A/2 variance with two assets: w = [(E1 - E2) / A + V2 - C] / (V1 + V2 - 2C).
        (
            BKM | {"correlation": 0.3, "method": "mean_variance", "risk_aversion": 4},
            {"weight_d": (-0.05 / 4 + 0.04 - 0.0072) / (0.0144 + 0.04 - 0.0144)},
            1e-9,
        ),
    ],
)  # fmt: skip
def test_published_portfolios(arguments: dict[str, Any], expected: Mapping[str, float], within: float) -> None:
    evidence = weights_from_moments(**arguments)
    for name, value in expected.items():
        assert evidence.value(name) == pytest.approx(value, abs=within), name


def test_a_target_volatility_earns_the_most_at_it() -> None:
    """BKM with 0.3: of the two portfolios with a deviation of 14 %, the one with more equity."""
    evidence = weights_from_moments(**BKM, correlation=0.3, method="mean_variance", target_volatility=0.14)
    a, b, c = 0.0144 + 0.04 - 2 * 0.0072, 2 * (0.0072 - 0.04), 0.04 - 0.14**2
    assert evidence.value("weight_d") == pytest.approx((-b - np.sqrt(b * b - 4 * a * c)) / (2 * a), abs=1e-6)
    assert evidence.value("volatility") == pytest.approx(0.14, abs=1e-6)


def test_a_risk_budget_is_kept() -> None:
    evidence = weights_from_moments(**MRT, method="risk_parity", risk_budget={"A": 4, "B": 3, "C": 2, "D": 1})
    for name, share in zip("abcd", (0.4, 0.3, 0.2, 0.1), strict=True):
        assert evidence.value(f"risk_contribution_{name}") == pytest.approx(share, abs=1e-10)


@pytest.mark.skipif(not PRICES.is_file(), reason="the shared data are not on this machine")
def test_risk_parity_as_skfolio_prints_it() -> None:
    """skfolio, tests/test_optimization/test_convex/test_risk_budgeting.py: the S&P 500 sample from 2018-01-03 on."""
    view = Given.read([PRICES], "prices")
    expected = [0.0420088, 0.0321681, 0.0368757, 0.0397691, 0.0397394, 0.0382183, 0.0464549, 0.0676572, 0.0406381,
                0.0639892, 0.055542, 0.0681354, 0.0427415, 0.0597638, 0.0613296, 0.067267, 0.0314903, 0.0468024,
                0.0749026, 0.0445065]  # fmt: skip
    length = int((view.prices("AAPL").dates >= np.datetime64("2018-01-03")).sum())
    evidence = optimal_weights(view, list(view.tickers), "risk_parity", window=length)
    assert weights_of(evidence, view.tickers) == pytest.approx(expected, abs=1e-5)


def market(seed: int, assets: int, length: int = 120) -> dict[str, Array]:
    """Returns with a common factor and unequal spreads."""
    chance = np.random.default_rng(seed)
    common = chance.normal(0.004, 0.03, length)
    return {
        f"T{i}": np.clip(chance.uniform(0.3, 1.5) * common + chance.normal(0.003, 0.01 + 0.01 * i, length), -0.5, 0.5)
        for i in range(assets)
    }


def moments_of(series: Mapping[str, Array]) -> tuple[Array, Array]:
    columns = np.column_stack(list(series.values()))
    return columns.mean(axis=0), np.cov(columns, rowvar=False)


@pytest.mark.parametrize("linkage", ["single", "complete", "average", "weighted", "ward"])
@pytest.mark.parametrize("leaf_order", ["tree", "optimal"])
def test_hrp_as_skfolio_has_it(linkage: Any, leaf_order: Any) -> None:
    optimization, cluster = import_module("skfolio.optimization"), import_module("skfolio.cluster")
    series = import_module("skfolio.seriation")
    data = market(5, 9)
    model = optimization.HierarchicalRiskParity(
        seriation_estimator=series.HierarchicalSeriation(
            hierarchical_clustering_estimator=cluster.HierarchicalClustering(
                linkage_method=cluster.LinkageMethod(linkage)
            ),
            optimal_ordering=leaf_order == "optimal",
        )
    )
    theirs = model.fit(np.column_stack(list(data.values()))).weights_
    evidence = optimal_weights(
        Given.of(data, "returns"), list(data), "hrp", linkage=linkage, distance="correlation", leaf_order=leaf_order
    )
    assert weights_of(evidence, list(data)) == pytest.approx(theirs.tolist(), abs=1e-10)


def test_hrp_by_hand() -> None:
    """Two tight pairs: the pairs share by their variances, and each pair's two by theirs."""
    links = [[1, 0.9, 0.1, 0.1], [0.9, 1, 0.1, 0.1], [0.1, 0.1, 1, 0.8], [0.1, 0.1, 0.8, 1]]
    spreads = [0.1, 0.2, 0.3, 0.4]
    evidence = weights_from_moments(
        expected_returns=dict.fromkeys("ABCD", 0.1), volatilities=spreads, correlations=links, method="hrp"
    )

    def pair(a: float, b: float, rho: float) -> tuple[float, float]:
        share = b * b / (a * a + b * b)
        return share, (share * a) ** 2 + ((1 - share) * b) ** 2 + 2 * rho * share * (1 - share) * a * b

    (first, low), (third, high) = pair(0.1, 0.2, 0.9), pair(0.3, 0.4, 0.8)
    left = high / (low + high)
    expected = [left * first, left * (1 - first), (1 - left) * third, (1 - left) * (1 - third)]
    assert weights_of(evidence, "ABCD") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_moments_from_data_are_annualised(ddof: Any) -> None:
    data = market(3, 3)
    columns = np.column_stack(list(data.values()))
    mean, cov = columns.mean(axis=0) * 12, np.cov(columns, rowvar=False, ddof=ddof) * 12
    evidence = optimal_weights(
        Given.of(data, "returns"), list(data), "equal_weight", periods=12, ddof=ddof, risk_free=0.02
    )
    spread = np.sqrt(cov.sum()) / 3
    assert evidence.value("expected_return") == pytest.approx(mean.mean())
    assert evidence.value("volatility") == pytest.approx(spread)
    assert evidence.value("sharpe") == pytest.approx((mean.mean() - 0.02) / spread)
    assert evidence.value("diversification_ratio") == pytest.approx(np.sqrt(np.diag(cov)).mean() / spread)
    assert evidence.value("observations" if "observations" in evidence.figures else "window") == 120


def test_cvar_is_the_mean_of_the_worst() -> None:
    """Of 120 returns at 95 %, the worst six count whole."""
    data = market(3, 2)
    evidence = optimal_weights(Given.of(data, "returns"), list(data), "equal_weight")
    worst = np.sort((data["T0"] + data["T1"]) / 2)[:6]
    assert evidence.value("cvar") == pytest.approx(-worst.mean(), abs=1e-12)


def test_least_cvar_is_least() -> None:
    data = market(11, 2, 200)
    view = Given.of(data, "returns")
    best = optimal_weights(view, list(data), "cvar", confidence=0.9)
    for share in np.linspace(0, 1, 101):
        losses = np.sort(-(share * data["T0"] + (1 - share) * data["T1"]))[-20:]
        assert best.value("cvar") <= losses.mean() + 1e-9


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), assets=st.integers(2, 7), method=st.sampled_from(METHODS))
def test_weights_sum_to_one_within_bounds_in_any_order(seed: int, assets: int, method: Any) -> None:
    """And neither the order of the tickers nor the scale of prices changes any."""
    data = market(seed, assets)
    names, chance = list(data), np.random.default_rng(seed)
    high = float(chance.uniform(1 / assets, 1))
    low = float(chance.uniform(0, 1 / assets))
    asked: dict[str, Any] = {"method": method, "min_weight": low, "max_weight": high, "risk_free": -1.0}
    view = Given.of(data, "returns")
    found = np.asarray(weights_of(optimal_weights(view, names, **asked), names))
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert found.min() >= low - 1e-9 and found.max() <= high + 1e-9
    mixed = [str(n) for n in chance.permutation(names)]
    assert weights_of(optimal_weights(view, mixed, **asked), names) == pytest.approx(found.tolist(), abs=1e-12)
    prices = {n: 10.0 ** chance.integers(-3, 4) * np.cumprod(np.concatenate([[1.0], 1 + r])) for n, r in data.items()}
    scaled = optimal_weights(Given.of(prices, "prices"), names, **asked)
    assert weights_of(scaled, names) == pytest.approx(found.tolist(), abs=1e-5)  # what the solver gives


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), assets=st.integers(2, 7))
def test_optima_are_optimal(seed: int, assets: int) -> None:
    """No random portfolio does better; risk parity's contributions are equal; the unconstrained solve V w = m."""
    data = market(seed, assets)
    names, view, (mean, cov) = list(data), Given.of(data, "returns"), moments_of(data)
    others = np.random.default_rng(seed).dirichlet(np.ones(assets), 200)

    def found(method: Any, **more: Any) -> Array:
        return np.asarray(weights_of(optimal_weights(view, names, method, periods=1, **more), names))

    def variance(w: Array) -> Array:
        return np.einsum("...i,ij,...j", w, cov, w)

    least = found("minimum_variance")
    assert variance(least) <= variance(others).min() + 1e-15
    if mean.max() > 0.001:
        best = found("max_sharpe", risk_free=0.001)
        ratios = (others @ mean - 0.001) / np.sqrt(variance(others))
        assert (best @ mean - 0.001) / np.sqrt(variance(best)) >= ratios.max() - 1e-7
    spread = found("maximum_diversification")
    spreads = np.sqrt(np.diag(cov))
    assert spread @ spreads / np.sqrt(variance(spread)) >= (others @ spreads / np.sqrt(variance(others))).max() - 1e-7
    useful = found("mean_variance", risk_aversion=5)
    assert useful @ mean - 2.5 * variance(useful) >= (others @ mean - 2.5 * variance(others)).max() - 1e-12
    shares = found("risk_parity")
    contributions = shares * (cov @ shares) / variance(shares)
    assert contributions == pytest.approx(np.full(assets, 1 / assets), abs=1e-9)
    free = found("minimum_variance", allow_short=True)
    ones = np.linalg.solve(cov, np.ones(assets))
    assert free == pytest.approx(ones / ones.sum(), abs=1e-8)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), assets=st.integers(3, 6), share=st.floats(0.05, 0.95))
def test_a_target_is_reached_at_least_variance(seed: int, assets: int, share: float) -> None:
    data = market(seed, assets)
    names, view, (mean, cov) = list(data), Given.of(data, "returns"), moments_of(data)
    least = optimal_weights(view, names, "minimum_variance", periods=1).value("expected_return")
    target = least + share * (mean.max() - least)
    found = optimal_weights(view, names, "mean_variance", target_return=target, periods=1)
    assert found.value("expected_return") == pytest.approx(target, abs=1e-9)
    others = np.random.default_rng(seed).dirichlet(np.ones(assets) / 2, 2000)
    rich = others[others @ mean >= target]
    for w in rich:
        assert found.value("variance") <= w @ cov @ w + 1e-12


def refused(message: str, call: Callable[[], Evidence]) -> None:
    with pytest.raises(NotComputed, match=message):
        call()


def test_what_cannot_be_computed_is_refused() -> None:
    two: dict[str, Any] = {**BKM, "correlation": 0.3}
    refused(
        "needs 2 weights that can sum to 1: max_weight of at least 0.5",
        lambda: weights_from_moments(**two, max_weight=0.4),
    )
    refused("min_weight of at most that; got 0.6 and 1", lambda: weights_from_moments(**two, min_weight=0.6))
    refused(
        "needs a min_weight of at most max_weight", lambda: weights_from_moments(**two, min_weight=0.5, max_weight=0.4)
    )
    refused("needs one of risk_aversion, target_return", lambda: weights_from_moments(**two, method="mean_variance"))
    refused(
        "needs a target_return of at most 0.13, the most within the bounds; got 0.2",
        lambda: weights_from_moments(**two, method="mean_variance", target_return=0.2),
    )
    refused(
        "needs a target_volatility of at least 0.1144",
        lambda: weights_from_moments(**two, method="mean_variance", target_volatility=0.1),
    )
    refused(
        "needs an expected return above the risk-free rate for max_sharpe",
        lambda: weights_from_moments(**two, method="max_sharpe", risk_free=0.14),
    )
    refused(
        "no tangency portfolio exists",
        lambda: weights_from_moments(**two, method="max_sharpe", risk_free=0.1, allow_short=True),
    )
    refused(
        "needs a min_weight of at least 0 for risk_parity",
        lambda: weights_from_moments(**two, method="risk_parity", min_weight=-0.1),
    )
    refused(
        "needs a risk_budget above zero for each of D, E",
        lambda: weights_from_moments(**two, method="risk_parity", risk_budget={"D": 1}),
    )
    refused("full rank", lambda: weights_from_moments(**BKM, correlation=1, method="max_sharpe"))
    refused("needs two or more assets", lambda: weights_from_moments(expected_returns={"A": 0.1}, volatilities=[0.1]))
    refused("needs covariance alone, or volatilities", lambda: weights_from_moments(expected_returns={"A": 1, "B": 2}))
    refused(
        "needs 2 rows of 2 numbers in covariance",
        lambda: weights_from_moments(expected_returns={"A": 1, "B": 2}, covariance=[[1.0]]),
    )
    refused(
        "needs a symmetric matrix in correlations",
        lambda: weights_from_moments(**BKM, correlations=[[1, 0.2], [0.3, 1]]),
    )
    refused(
        "without negative eigenvalues",
        lambda: weights_from_moments(
            expected_returns=dict.fromkeys("ABC", 0.1), volatilities=[1.0] * 3,
            correlations=[[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]],
        ),
    )  # fmt: skip
    cvar: Any = "cvar"
    with pytest.raises(UsageError, match="method"):
        weights_from_moments(**two, method=cvar)


def test_unfit_data_is_refused() -> None:
    data = market(1, 3, 20)
    view = Given.of({**data, "Copy": data["T0"], "Flat": np.full(20, 0.01)}, "returns")
    refused("needs two or more tickers; got T0", lambda: optimal_weights(view, ["T0"]))
    refused("full rank for minimum_variance", lambda: optimal_weights(view, ["T0", "Copy"]))
    refused("those of Flat are all alike", lambda: optimal_weights(view, ["T0", "Flat"], "equal_weight"))


def test_without_expected_returns_there_are_weights_alone() -> None:
    named = weights_from_moments(**MRT, method="risk_parity")
    unnamed: dict[str, Any] = {n: v for n, v in MRT.items() if n != "expected_returns"}
    plain = weights_from_moments(**unnamed, method="risk_parity")
    assert weights_of(plain, "1234") == weights_of(named, "ABCD")
    assert "expected_return" not in plain.figures and "sharpe" not in plain.figures
    listed: Any = "0.08,0.13"
    numbered = weights_from_moments(**{**BKM, "expected_returns": listed}, correlation=0.3)
    assert numbered.value("weight_1") == pytest.approx(0.82)
    refused(
        "needs expected_returns for max_sharpe", lambda: weights_from_moments(volatilities=[1, 2], method="max_sharpe")
    )


def test_a_command_line_may_write_a_matrix_in_short() -> None:
    first = weights_from_moments(**BKM, correlations=[[1, 0.3], [0.3, 1]])
    written: list[Any] = ["1,.3;.3,1", "[[1,.3],[.3,1]]", "[1, 0.3], [0.3, 1]"]
    for short in written:
        assert weights_from_moments(**BKM, correlations=short).figures == first.figures


def test_over_the_warehouse(sample_home: Path, view_of: Callable[..., View]) -> None:
    view = view_of(sample_home)
    evidence = optimal_weights(view, ["KO", "AAPL", "XOM"], "max_sharpe", window=756)
    assert sum(weights_of(evidence, ["KO", "AAPL", "XOM"])) == pytest.approx(1)
    assert evidence.known_at is not None
