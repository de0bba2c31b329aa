"""Regressions on factors and betas against NIST, PerformanceAnalytics and formulas written out."""

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.betas import beta
from openoutcry.tools.data.given import Given
from openoutcry.tools.factors import factor_exposure

Array = NDArray[np.float64]
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "numeric"
RETURNS, EXPECTED = DATA / "managers_monthly_returns.csv", DATA / "expected_managers.jsonl"
with_managers = pytest.mark.skipif(not RETURNS.is_file(), reason="the shared data are not on this machine")


def managers(as_of: str | None = None) -> Given:
    return Given.read([RETURNS], "returns", as_of)


def longley() -> Evidence:
    """Longley's employment data (1967), which come with statsmodels, as a regression of levels."""
    data: Any = import_module("statsmodels.datasets.longley").load_pandas()
    table = {"TOTEMP": data.endog.to_numpy(), **{n: data.exog[n].to_numpy() for n in data.exog.columns}}
    return factor_exposure(Given.of(table, "returns"), "TOTEMP", list(data.exog.columns))


# NIST Statistical Reference Datasets, Longley: certified estimates and deviations; and, from F on, what the page of
# statsmodels on ordinary least squares prints for it.
LONGLEY = {
    "alpha": -3482258.63459582,
    "beta_gnpdefl": 15.0618722713733,
    "beta_gnp": -0.358191792925910e-01,
    "beta_unemp": -2.02022980381683,
    "beta_armed": -1.03322686717359,
    "beta_pop": -0.511041056535807e-01,
    "beta_year": 1829.15146461355,
    "se_alpha": 890420.383607373,
    "se_beta_gnpdefl": 84.9149257747669,
    "se_beta_gnp": 0.334910077722432e-01,
    "se_beta_unemp": 0.488399681651699,
    "se_beta_armed": 0.214274163161675,
    "se_beta_pop": 0.226073200069370,
    "se_beta_year": 455.478499142212,
    "residual_volatility": 304.854073561965,
    "r_squared": 0.995479004577296,
    "f": 330.285339234588,
}


@pytest.mark.parametrize(("name", "value"), LONGLEY.items())
def test_longley_as_nist_certifies_it(name: str, value: float) -> None:
    assert longley().value(name) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "value", "within"),
    [
        ("adj_r_squared", 0.992, 5e-4),
        ("f", 330.3, 0.05),
        ("p_f", 4.98e-10, 5e-13),
        ("log_likelihood", -109.62, 5e-3),
        ("aic", 233.2, 0.05),
        ("bic", 238.6, 0.05),
        ("t_alpha", -3.911, 5e-4),
        ("t_beta_year", 4.016, 5e-4),
        ("p_beta_year", 0.003, 5e-4),
        ("durbin_watson", 2.559, 5e-4),
    ],
)
def test_longley_as_statsmodels_documents_it(name: str, value: float, within: float) -> None:
    assert longley().value(name) == pytest.approx(value, abs=within)


@with_managers
@pytest.mark.parametrize(
    ("fund", "arguments", "name", "value", "within"),
    [
        # PerformanceAnalytics, its own tests of CAPM.coefficients.
        ("HAM1", {"risk_free_series": "US 3m TR"}, "beta", 0.3900712, 5e-8),
        ("HAM1", {"risk_free_series": "US 3m TR"}, "alpha", 0.005774729, 5e-10),
        # PerformanceAnalytics, the examples of CAPM.beta and CAPM.beta.bull.
        ("HAM2", {"risk_free_series": "US 3m TR"}, "beta", 0.3383942, 5e-8),
        ("HAM2", {"risk_free_series": "US 3m TR"}, "beta_bull", 0.5226596, 5e-8),
    ],
)
def test_beta_as_performanceanalytics_prints_it(
    fund: str, arguments: dict[str, Any], name: str, value: float, within: float
) -> None:
    evidence = beta(managers(), fund, "SP500 TR", **arguments)
    assert evidence.value(name) == pytest.approx(value, abs=within)
    same = factor_exposure(managers(), fund, ["SP500 TR"], **arguments)
    assert same.value("beta_sp500_tr") == pytest.approx(evidence.value("beta"))
    assert same.value("alpha") == pytest.approx(evidence.value("alpha"))
    assert same.value("se_beta_sp500_tr") == pytest.approx(evidence.value("beta_se"))


def printed(function: str) -> list[Any]:
    """What R printed for its managers, by fund or by benchmark."""
    if not EXPECTED.is_file():
        return []
    rows = [json.loads(line) for line in EXPECTED.read_text().splitlines()]
    return [pytest.param(r["row"], r["column"], r["expected"], id=r["id"]) for r in rows if r["function"] == function]


@with_managers
@pytest.mark.parametrize(("row", "fund", "value"), printed("SFM.beta"))
def test_betas_on_each_benchmark(row: str, fund: str, value: float) -> None:
    evidence = beta(managers(), fund, row.removeprefix("Beta : "), risk_free=0.035)
    assert evidence.value("beta") == pytest.approx(value, abs=5.1e-4)


def sample(seed: int, length: int = 80) -> tuple[Given, Array, Array]:
    """A ticker Y on factors A and B, with residuals that cluster and are correlated."""
    chance = np.random.default_rng(seed)
    a, b = chance.normal(0.005, 0.04, length), chance.normal(0.002, 0.03, length)
    noise = chance.normal(0, 0.02, length + 1) * (1 + 10 * np.abs(np.concatenate([[0], a])))
    y = 0.001 + 0.8 * a - 0.3 * b + noise[1:] + 0.5 * noise[:-1]
    rates = 0.001 + 0.0001 * np.arange(length, dtype=np.float64)
    view = Given.of({"Y": y, "A": a, "B": b, "RF": rates}, "returns")
    return view, y, np.column_stack([np.ones(length), a, b])


def robust(y: Array, x: Array, errors: str, lags: int) -> Array:
    """Standard errors written out: (X'X)^-1 S (X'X)^-1 (White 1980; MacKinnon and White 1985; Newey and West 1987)."""
    n, k = x.shape
    inverse = np.linalg.inv(x.T @ x)
    rest = y - x @ inverse @ x.T @ y
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    if errors == "classic":
        return np.sqrt(np.diag(inverse) * (rest @ rest) / (n - k))
    weights = {
        "hc0": rest**2,
        "hc1": rest**2 * n / (n - k),
        "hc2": rest**2 / (1 - leverage),
        "hc3": rest**2 / (1 - leverage) ** 2,
    }
    scores = x * rest[:, None]
    if errors == "hac":
        middle = scores.T @ scores
        for lag in range(1, lags + 1):
            part = scores[lag:].T @ scores[:-lag]
            middle = middle + (1 - lag / (lags + 1)) * (part + part.T)
    else:
        middle = (x * weights[errors][:, None]).T @ x
    return np.sqrt(np.diag(inverse @ middle @ inverse))


@pytest.mark.parametrize("errors", ["classic", "hc0", "hc1", "hc2", "hc3", "hac"])
@pytest.mark.parametrize("lags", [None, 0, 5])
def test_standard_errors_written_out(errors: Any, lags: int | None) -> None:
    view, y, x = sample(3)
    evidence = factor_exposure(view, "Y", ["A", "B"], errors=errors, lags=lags)
    used = math.floor(4 * (80 / 100) ** (2 / 9)) if lags is None else lags
    assert used == (3 if lags is None else lags)
    expected = robust(y, x, errors, used)
    assert [evidence.value(f"se_{n}") for n in ("alpha", "beta_a", "beta_b")] == pytest.approx(expected.tolist())
    assert evidence.value("t_beta_a") == pytest.approx(evidence.value("beta_a") / expected[1])
    small = factor_exposure(view, "Y", ["A", "B"], errors=errors, lags=lags, small_sample=True)
    factor = math.sqrt(80 / 77) if errors == "hac" else 1.0
    assert small.value("se_beta_a") == pytest.approx(expected[1] * factor)
    if errors == "hac":
        assert evidence.value("lags") == used


def test_chances_and_bounds() -> None:
    stats: Any = import_module("scipy.stats")
    view, _, _ = sample(5)
    student = factor_exposure(view, "Y", ["A", "B"], confidence=0.9)
    normal = factor_exposure(view, "Y", ["A", "B"], use_t=False, confidence=0.9)
    t, b, e = student.value("t_beta_b"), student.value("beta_b"), student.value("se_beta_b")
    assert student.value("p_beta_b") == pytest.approx(2 * stats.t.sf(abs(t), 77))
    assert normal.value("p_beta_b") == pytest.approx(2 * stats.norm.sf(abs(t)))
    assert student.value("low_beta_b") == pytest.approx(b - stats.t.ppf(0.95, 77) * e)
    assert normal.value("high_beta_b") == pytest.approx(b + 1.6448536269514722 * e)


def test_which_returns_are_in_excess() -> None:
    view, y, x = sample(7)
    rate = 0.001 + 0.0001 * np.arange(80)
    evidence = factor_exposure(view, "Y", ["A", "B"], risk_free_series="RF", factors_excess=["B"], periods=12)
    design = x - np.column_stack([np.zeros(80), rate, np.zeros(80)])
    expected = np.linalg.lstsq(design, y - rate, rcond=None)[0]
    found = [evidence.value(n) for n in ("alpha", "beta_a", "beta_b")]
    assert found == pytest.approx(expected.tolist())
    assert evidence.value("alpha_annual") == pytest.approx(12 * expected[0])
    assert evidence.value("alpha_annual_compounded") == pytest.approx((1 + expected[0]) ** 12 - 1)
    ready = factor_exposure(view, "Y", ["A"], risk_free=0.12, ticker_excess=True, periods=12)
    assert ready.value("alpha") == pytest.approx(np.polyfit(x[:, 1] - 0.01, y, 1)[1])


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_beta_holds_to_its_definitions(seed: int) -> None:
    view, y, x = sample(seed)
    a = x[:, 1]
    evidence = beta(view, "Y", "A", lags=1, leads=1, rolling=20, prior_spread=0.3, periods=12)
    slope = np.cov(y, a)[0, 1] / np.var(a, ddof=1)
    assert evidence.value("beta") == pytest.approx(slope)
    assert evidence.value("beta_adjusted") == pytest.approx(slope * 2 / 3 + 1 / 3)
    assert evidence.value("beta_bull") == pytest.approx(np.polyfit(a[a > 0], y[a > 0], 1)[0])
    assert evidence.value("beta_bear") == pytest.approx(np.polyfit(a[a < 0], y[a < 0], 1)[0])
    design = np.column_stack([np.ones(78), a[:-2], a[1:-1], a[2:]])
    assert evidence.value("beta_dimson") == pytest.approx(np.linalg.lstsq(design, y[1:-1], rcond=None)[0][1:].sum())
    slopes = [np.polyfit(a[i : i + 20], y[i : i + 20], 1)[0] for i in range(61)]
    assert evidence.value("beta_latest") == pytest.approx(slopes[-1])
    assert evidence.value("beta_least") == pytest.approx(min(slopes))
    assert evidence.value("beta_most") == pytest.approx(max(slopes))
    assert evidence.series["rolling_beta"].values == pytest.approx(slopes)
    weight = 0.09 / (0.09 + evidence.value("beta_se") ** 2)
    assert evidence.value("beta_vasicek") == pytest.approx(weight * slope + 1 - weight)
    assert evidence.value("correlation") == pytest.approx(np.corrcoef(a, y)[0, 1])
    rest = y - y.mean() - slope * (a - a.mean())
    assert evidence.value("residual_volatility") == pytest.approx(math.sqrt(rest @ rest / 78 * 12))


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), scale=st.floats(-3, 3).filter(lambda s: abs(s) > 0.01))
def test_a_benchmark_has_beta_one_on_itself(seed: int, scale: float) -> None:
    view, _, x = sample(seed)
    evidence = beta(view, "A", "A")
    for name in ("beta", "beta_adjusted", "beta_bull", "beta_bear", "correlation", "r_squared"):
        assert evidence.value(name) == pytest.approx(1)
    assert evidence.value("alpha") == pytest.approx(0, abs=1e-15)
    scaled = Given.of({"A": x[:, 1], "S": scale * x[:, 1] + 0.001}, "returns")
    assert beta(scaled, "S", "A").value("beta") == pytest.approx(scale)
    assert beta(scaled, "S", "A").value("alpha") == pytest.approx(0.001)


def test_what_cannot_be_computed_is_refused() -> None:
    view, y, x = sample(1, 12)
    more = Given.of({"Y": y, "A": x[:, 1], "TWICE": 2 * x[:, 1] + 0.01, "FLAT": np.full(12, 0.02)}, "returns")
    with pytest.raises(NotComputed, match="needs factors of which none is made up of the others"):
        factor_exposure(more, "Y", ["A", "TWICE"])
    with pytest.raises(NotComputed, match="needs factors that vary; FLAT does not"):
        factor_exposure(more, "Y", ["A", "FLAT"])
    with pytest.raises(NotComputed, match="those of the ticker are all alike"):
        factor_exposure(more, "FLAT", ["A"])
    with pytest.raises(NotComputed, match="needs one or more factors, each once, other than Y"):
        factor_exposure(more, "Y", ["A", "Y"])
    with pytest.raises(NotComputed, match="needs factors_excess among the factors; got B"):
        factor_exposure(view, "Y", ["A"], factors_excess=["B"])
    with pytest.raises(NotComputed, match="needs fewer lags than returns; got 12 and 12"):
        factor_exposure(view, "Y", ["A"], errors="hac", lags=12)
    with pytest.raises(NotComputed, match="needs at least 5 returns; Y has 4"):
        beta(Given.of({"Y": y[:4], "A": x[:4, 1]}, "returns"), "Y", "A")
    with pytest.raises(NotComputed, match="those of FLAT are all alike"):
        beta(more, "Y", "FLAT")
    with pytest.raises(NotComputed, match="needs at least 20 returns for the rolling beta; got 12"):
        beta(view, "Y", "A", rolling=20)
    few = beta(view, "Y", "A", lags=6)
    assert few.missing == ("beta_dimson: 12 returns for 6 lags and 0 leads",)
    assert "beta_dimson" not in few.figures


def test_factors_that_make_up_the_ticker_are_told() -> None:
    b = [0.01, -0.02, 0.03, 0.01, -0.01, 0.02, 0.0]
    made = factor_exposure(Given.of({"A": [0.5 * x + 0.001 for x in b], "B": b}, "returns"), "A", ["B"])
    assert made.value("beta_b") == pytest.approx(0.5)
    assert any("make up A wholly" in m for m in made.missing)
    assert not any("make up" in m for m in longley().missing)
