"""The sampling error of Sharpe ratios: the examples of the papers, other ways to the same number, and properties."""

import math
from importlib import import_module
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.tools.data.given import Given
from openoutcry.tools.sharpe import sharpe_ratio, sharpe_significance

EDHEC = Path(__file__).parents[2].parent / "shared" / "data" / "refdata" / "edhec.csv"
here = pytest.mark.skipif(not EDHEC.is_file(), reason="the shared data are not here")
HEDGE_FUND: dict[str, Any] = {"sharpe": 2, "benchmark_sharpe": 1, "periods": 12, "annualised": True}
SELECTED: dict[str, Any] = {
    "sharpe": 2.5,
    "observations": 1250,
    "skewness": -3,
    "kurtosis": 10,
    "trial_variance": 0.5,
    "periods": 250,
    "annualised": True,
}


def drawn(seed: int, n: int = 120) -> NDArray[np.float64]:
    return np.asarray(np.random.default_rng(seed).normal(0.008, 0.04, n), np.float64)


def of(values: NDArray[np.float64]) -> Given:
    return Given.of({"A": values}, "returns")


@pytest.mark.parametrize(
    ("sharpe", "observations", "printed"),
    # Lo, The Statistics of Sharpe Ratios (2002), table 1: standard errors under IID returns.
    [
        (0.50, 12, 0.306),
        (0.50, 60, 0.137),
        (0.50, 500, 0.047),
        (1.00, 12, 0.354),
        (1.00, 60, 0.158),
        (1.00, 120, 0.112),
        (1.50, 24, 0.298),
        (2.00, 60, 0.224),
        (3.00, 12, 0.677),
        (3.00, 500, 0.105),
    ],
)
def test_the_standard_errors_of_lo(sharpe: float, observations: int, printed: float) -> None:
    found = sharpe_significance(sharpe=sharpe, observations=observations)
    assert found.value("standard_error_normal") == pytest.approx(printed, abs=5e-4)


def test_probabilistic_sharpe_of_bailey_and_lopez_de_prado() -> None:
    """The Sharpe Ratio Efficient Frontier (2012): 0.458 a month over 24 months, with and without its moments."""
    normal = sharpe_significance(sharpe=0.458, observations=24)
    skewed = sharpe_significance(sharpe=0.458, observations=24, skewness=-2.448, kurtosis=10.164)
    assert normal.value("probabilistic_sharpe") == pytest.approx(0.982, abs=5e-4)
    assert skewed.value("probabilistic_sharpe") == pytest.approx(0.913, abs=5e-4)
    assert normal.value("p_value") == pytest.approx(1 - normal.value("probabilistic_sharpe"))


@pytest.mark.parametrize(
    ("periods", "skewness", "kurtosis", "printed"),
    # The same paper: years needed to be 95 % sure that an annual ratio of 2 is above 1, by the frequency of returns.
    [(250, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_track_record_needed(periods: float, skewness: float, kurtosis: float, printed: float) -> None:
    stated: dict[str, Any] = HEDGE_FUND | {"periods": periods, "skewness": skewness, "kurtosis": kurtosis}
    found = sharpe_significance(observations=59, **stated)
    assert found.value("minimum_track_record_years") == pytest.approx(printed, abs=5e-3)
    again = sharpe_significance(**stated, observations=round(found.value("minimum_track_record")) + 1)
    assert again.value("probabilistic_sharpe") >= 0.95


def test_what_performanceanalytics_prints_for_stated_numbers() -> None:
    """ProbSharpeRatio and MinTrackRecord of refSR 1 / sqrt 12, sr 2 / sqrt 12, sk -0.72, n 59; kurtosis is left out."""
    found = sharpe_significance(observations=59, skewness=-0.72, kurtosis=3, confidence=0.90, **HEDGE_FUND)
    assert found.value("probabilistic_sharpe") == pytest.approx(0.9597434, abs=5e-8)
    assert found.value("lower") == pytest.approx(0.3057, abs=5e-5)
    assert found.value("upper") == pytest.approx(0.849, abs=5e-4)
    found = sharpe_significance(observations=59, skewness=-0.72, kurtosis=3, **HEDGE_FUND)
    assert found.value("minimum_track_record") == pytest.approx(52.37369, abs=5e-6)


@here
@pytest.mark.parametrize(
    ("arguments", "probability", "periods"),
    # ProbSharpeRatio and MinTrackRecord of PerformanceAnalytics for Convertible Arbitrage of edhec.
    [
        ({"benchmark_sharpe": 0.23, "kurtosis": 3}, 0.9209357, 397.5894),
        ({"benchmark_sharpe": 0.28}, 0.7601113, 1583.033),
        ({"benchmark_sharpe": 0.28, "kurtosis": 3}, 0.7883343, 1233.385),
        ({"benchmark_sharpe": 0.28, "kurtosis": 3, "skewness": 0}, 0.8617196, 668.2947),
    ],
)
def test_what_performanceanalytics_prints_for_edhec(
    arguments: dict[str, Any], probability: float, periods: float
) -> None:
    found = sharpe_ratio(Given.read([EDHEC], "returns"), "Convertible Arbitrage", **arguments)
    assert found.value("sharpe") == pytest.approx(0.3455, abs=5e-5)
    assert found.value("probabilistic_sharpe") == pytest.approx(probability, abs=5e-8)
    assert found.value("minimum_track_record") == pytest.approx(periods, abs=5e-4)


@pytest.mark.parametrize(
    ("trials", "expected", "printed"),
    # Bailey and Lopez de Prado, The Deflated Sharpe Ratio (2014), their numerical example.
    [(100, 0.1132, 0.9004), (46, None, 0.9505)],
)
def test_the_deflated_sharpe_ratio(trials: int, expected: float | None, printed: float) -> None:
    found = sharpe_significance(trials=trials, **SELECTED)
    assert found.value("deflated_sharpe") == pytest.approx(printed, abs=5e-5)
    if expected:
        assert found.value("expected_maximum_sharpe") == pytest.approx(expected, abs=5e-5)
    assert found.value("sharpe") == pytest.approx(2.5 / math.sqrt(250))


@pytest.mark.parametrize("rho", [-0.2, 0.0, 0.3, 0.6])
def test_the_factor_of_time(rho: float) -> None:
    """Lo (2002), equations 20 and 22: of an AR(1), and the square root of q where there is no correlation."""
    q = 12
    ar1 = math.sqrt(q) / math.sqrt(1 + 2 * rho / (1 - rho) * (1 - (1 - rho**q) / (q * (1 - rho))))
    found = sharpe_significance(
        sharpe=0.5, observations=60, periods=q, autocorrelations=[rho], autocorrelation_model="ar1"
    )
    assert found.value("time_factor") == pytest.approx(ar1)
    assert found.value("annual_sharpe_autocorrelation") == pytest.approx(0.5 * ar1)
    given = sharpe_significance(sharpe=0.5, observations=60, periods=q, autocorrelations=[rho**k for k in range(1, q)])
    assert given.value("time_factor") == pytest.approx(ar1)


def test_the_hac_error_without_lags_is_that_of_mertens() -> None:
    values = drawn(5)
    found = sharpe_ratio(of(values), "A", lags=0, ddof=0, periods=12)
    assert found.value("standard_error_hac") == pytest.approx(found.value("standard_error_mertens"))
    assert found.value("time_factor") == pytest.approx(math.sqrt(12))


def test_the_hac_error_as_statsmodels_has_it() -> None:
    """The long-run variance of the influence of each return is that of its mean's HAC error."""
    sm: Any = import_module("statsmodels.api")
    values = drawn(8, 200)
    found = sharpe_ratio(of(values), "A", lags=4, ddof=0)
    ratio, variance = float(values.mean() / values.std()), float(values.var())
    away = values - values.mean()
    influence = away / math.sqrt(variance) - ratio / (2 * variance) * (away**2 - variance)
    fit = sm.OLS(influence, np.ones(200)).fit(cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": False})
    assert found.value("standard_error_hac") == pytest.approx(float(fit.bse[0]))


def test_the_expected_maximum_is_near_that_of_simulated_trials() -> None:
    chance = np.random.default_rng(1)
    highest = chance.normal(0, 0.1, (20_000, 50)).max(axis=1).mean()
    found = sharpe_significance(sharpe=0.3, observations=100, trials=50, trial_variance=0.01)
    assert found.value("expected_maximum_sharpe") == pytest.approx(highest, rel=0.02)
    one = sharpe_significance(sharpe=0.3, observations=100, trials=1)
    assert one.value("expected_maximum_sharpe") == 0
    assert one.value("deflated_sharpe") == one.value("probabilistic_sharpe")


def test_a_sample_by_hand() -> None:
    values = drawn(2)
    found = sharpe_ratio(of(values), "A", risk_free=0.03, periods=12, confidence=0.95)
    excess = values - 0.03 / 12
    ratio = float(excess.mean() / excess.std(ddof=1))
    z = NormalDist().inv_cdf(0.975)
    assert found.value("sharpe") == pytest.approx(ratio)
    assert found.value("annual_sharpe") == pytest.approx(ratio * math.sqrt(12))
    assert found.value("upper_normal") == pytest.approx(ratio + z * math.sqrt((1 + ratio**2 / 2) / 120))
    away = excess - excess.mean()
    assert found.value("autocorrelation") == pytest.approx(float(away[1:] @ away[:-1] / (away @ away)))
    same = sharpe_significance(
        sharpe=ratio, observations=120, skewness=found.value("skewness"), kurtosis=found.value("kurtosis")
    )
    assert same.value("standard_error") == pytest.approx(found.value("standard_error"))


@given(seed=st.integers(0, 300), scale=st.floats(1e-3, 20))
def test_properties(seed: int, scale: float) -> None:
    """The sign is that of the mean excess return; leverage changes nothing; the interval holds the ratio."""
    values = drawn(seed)
    found = sharpe_ratio(of(values), "A", benchmark_sharpe=0.05)
    levered = sharpe_ratio(of(values * scale), "A", benchmark_sharpe=0.05)
    assert math.copysign(1, found.value("sharpe")) == math.copysign(1, float(values.mean()))
    assert found.value("lower") < found.value("sharpe") < found.value("upper")
    assert 0 <= found.value("probabilistic_sharpe") <= 1
    for name in ("sharpe", "standard_error", "standard_error_hac", "probabilistic_sharpe"):
        assert levered.value(name) == pytest.approx(found.value(name), rel=1e-6)


@given(sharpe=st.floats(0.01, 2), trials=st.integers(2, 1000), n=st.integers(10, 2000))
def test_more_trials_deflate(sharpe: float, trials: int, n: int) -> None:
    few, many = (
        sharpe_significance(sharpe=sharpe, observations=n, trials=t, trial_variance=0.02) for t in (trials, 2 * trials)
    )
    assert many.value("deflated_sharpe") <= few.value("deflated_sharpe") <= few.value("probabilistic_sharpe")


def test_a_sample_whose_sums_would_not_vary_has_no_factor_of_time() -> None:
    found = sharpe_ratio(of(np.tile([0.02, -0.01], 30)), "A", periods=12, lags=1)
    assert "time_factor" not in found.figures
    assert found.missing[0].startswith("A annual Sharpe ratio with autocorrelation: needs autocorrelations under which")
    assert sharpe_ratio(of(np.tile([0.02, -0.01], 30)), "A", periods=12, lags=0).value("time_factor") > 0


def test_a_ratio_below_the_benchmark_needs_no_track_record() -> None:
    found = sharpe_significance(sharpe=0.1, observations=50, benchmark_sharpe=0.2)
    assert "minimum_track_record" not in found.figures
    assert found.missing == ("minimum track record: needs a Sharpe ratio above the benchmark",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"skewness": 9, "kurtosis": 1}, r"needs a skewness and kurtosis that can go together.*got 9 and 1"),
        ({"autocorrelations": [1.4], "periods": 12}, "needs autocorrelations from -1 to 1; got 1.4"),
        ({"autocorrelations": [-1.0], "periods": 3}, "needs autocorrelations under which a sum of 3 returns varies"),
        ({"autocorrelation_model": "ar1"}, "needs one autocorrelation for ar1; got 0"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(NotComputed, match=message):
        sharpe_significance(sharpe=1.0, observations=50, **arguments)


def test_refusals_of_a_series() -> None:
    with pytest.raises(NotComputed, match="needs at least 4 returns; A has 3"):
        sharpe_ratio(of(drawn(1, 3)), "A")
    with pytest.raises(NotComputed, match="those of A are all alike over 20 periods"):
        sharpe_ratio(of(np.full(20, 0.01)), "A")
    with pytest.raises(UsageError, match="trials"):
        sharpe_ratio(of(drawn(1)), "A", trials=0)
