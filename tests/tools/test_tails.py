"""VaR and ES formulas against published values, definitions worked the slow way, and what must hold of any."""

import csv
import json
import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from openoutcry.tools.data.given import Given
from openoutcry.tools.formulas import dispersion, tails
from openoutcry.tools.formulas.tails import Tail
from openoutcry.tools.risk import value_at_risk

DATA = Path(__file__).parents[2].parent / "shared" / "data"
shared = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not on this machine")
Values = NDArray[np.float64]
RULES: list[Any] = [
    "linear",
    "order_statistic",
    "lower",
    "higher",
    "nearest",
    "midpoint",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
]
samples = st.tuples(st.integers(0, 10_000), st.integers(60, 400)).map(
    lambda p: np.random.default_rng(p[0]).standard_t(4, p[1]) * 0.01
)
levels = st.floats(0.6, 0.985)


def near(tail: Tail, var: ArrayLike, es: ArrayLike, rel: float = 0.0, abs: float = 0.0) -> bool:
    return bool(np.allclose(tail.var, var, rel, abs) and np.allclose(tail.es, es, rel, abs))


def hull(place_of: dict[int, float]) -> Values:
    """500 scenarios, oldest first, in which only these lose much."""
    losses = np.linspace(-200_000, 200_000, 500)
    for scenario, loss in place_of.items():
        losses[scenario - 1] = loss
    return -losses


HULL = {494: 477_841.0, 339: 345_435.0, 349: 282_204.0, 329: 277_041.0, 487: 253_385.0}


def test_hull_four_index_portfolio() -> None:
    """Hull, Risk Management and Financial Institutions, historical simulation: the fifth worst of 500 at 99 %."""
    returns = hull(HULL)
    assert near(tails.historical(returns, 0.99, "order_statistic", "beyond"), 253_385, 345_630, abs=0.5)
    five = (477_841 + 345_435 + 282_204 + 277_041 + 253_385) / 5
    assert near(tails.historical(returns, 0.99, "order_statistic"), 253_385, five, rel=1e-12)


def test_hull_weights_by_age() -> None:
    """The same with weights that fall by 0.995 a day: VaR 282,204 and ES 400,914."""
    tail = tails.age_weighted(hull(HULL), 0.99, 0.995)
    assert tail.var == 282_204
    assert tail.es == pytest.approx(400_914, abs=150)  # the book rounds the weights to five decimals
    assert near(
        tails.age_weighted(hull(HULL), 0.99, 1.0), *tails.historical(hull(HULL), 0.99, "order_statistic"), 1e-12
    )


def column(file: str, name: str) -> Values:
    with (DATA / "refdata" / file).open(newline="") as lines:
        return np.array([float(r[name]) for r in csv.DictReader(lines) if r[name] not in ("", "NA")])


@shared
def test_edhec_convertible_arbitrage() -> None:
    """skfolio and Riskfolio take the order statistic, PerformanceAnalytics and numpy the linear quantile."""
    returns = column("edhec.csv", "Convertible Arbitrage")
    assert tails.historical(returns, 0.95).var == pytest.approx(0.01506, abs=1e-12)
    assert tails.historical(returns, 0.95, "order_statistic").var == pytest.approx(0.0159, abs=1e-12)


@shared
@pytest.mark.parametrize("name", ["Convertible Arbitrage", "CTA Global", "Global Macro", "Funds of Funds"])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_skfolio_agrees_with_the_order_statistic(name: str, confidence: float) -> None:
    measures: Any = import_module("skfolio.measures")
    returns = column("edhec.csv", name)
    tail = tails.historical(returns, confidence, "order_statistic")
    assert tail.var == pytest.approx(measures.value_at_risk(returns, beta=confidence), abs=1e-12)
    assert tail.es == pytest.approx(measures.cvar(returns, beta=confidence), abs=1e-12)


def sharpe_cases() -> list[Any]:
    """PerformanceAnalytics: the mean excess return over its modified VaR, and over its modified ES, at 95 %."""
    file = DATA / "numeric" / "expected_managers.jsonl"
    if not file.is_file():
        return []
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    wanted = {"VaR Sharpe Ratio (Rf=0.3%, p=95%):": "var", "ES Sharpe Ratio (Rf=0.3%, p=95%):": "es"}
    return [
        pytest.param(r["column"], wanted[r["row"]], r["expected"], id=r["id"]) for r in rows if r.get("row") in wanted
    ]


@shared
@pytest.mark.parametrize(("name", "which", "ratio"), sharpe_cases())
def test_modified_var_and_es_as_performanceanalytics_prints_them(name: str, which: str, ratio: float) -> None:
    with (DATA / "numeric" / "managers_monthly_returns.csv").open(newline="") as lines:
        rows = [r for r in csv.DictReader(lines) if r[name] not in ("", "NA")]
    returns = np.array([float(r[name]) for r in rows])
    excess = returns - np.array([float(r["US 3m TR"]) for r in rows])
    tail = tails.cornish_fisher(excess, 0.95)
    assert excess.mean() / getattr(tail, which) == pytest.approx(ratio, abs=1.01e-4)  # truncated


def test_the_cases_of_performanceanalytics_were_found() -> None:
    assert not DATA.is_dir() or len(sharpe_cases()) == 18


@pytest.mark.parametrize(
    ("confidence", "normal_var", "t_var", "normal_es", "t_es"),
    # McNeil, Frey and Embrechts, Quantitative Risk Management (2005), table 2.1: 10,000 held, 20 % a year of 250
    # days, t with 4 degrees of freedom.
    [
        (0.90, 162.1, 137.1, 222.0, 223.5),
        (0.95, 208.1, 190.7, 260.9, 286.5),
        (0.975, 247.9, 248.3, 295.7, 357.2),
        (0.99, 294.3, 335.1, 337.1, 466.9),
    ],
)
def test_normal_and_t_as_in_quantitative_risk_management(
    confidence: float, normal_var: float, t_var: float, normal_es: float, t_es: float
) -> None:
    sd = 10_000 * 0.2 / math.sqrt(250)
    assert near(tails.gaussian(0, sd, confidence), normal_var, normal_es, abs=0.06)
    assert near(tails.student_t(0, sd, confidence, 4), t_var, t_es, abs=0.06)


def test_modified_is_gaussian_without_skewness_and_kurtosis() -> None:
    zero = np.asarray(0.0)
    of = tails.Moments(np.asarray(0.001), np.asarray(0.02), zero, zero)
    for confidence in (0.9, 0.95, 0.99):
        plain = tails.gaussian(0.001, 0.02, confidence)
        assert near(tails.modified(of, confidence), float(plain.var), float(plain.es), rel=1e-12)
        assert tails.integrated_shortfall(of, confidence) == pytest.approx(float(plain.es), rel=1e-12)


def test_modified_by_hand() -> None:
    """z = -1.644854, S = -0.5, K = 1: h = z + 0.2843 S .. by the expansion of Cornish and Fisher, term by term."""
    z = -1.6448536269514722
    h = z + (z**2 - 1) * -0.5 / 6 + (z**3 - 3 * z) * 1 / 24 - (2 * z**3 - 5 * z) * 0.25 / 36
    of = tails.Moments(*(np.asarray(v) for v in (0.0, 1.0, -0.5, 1.0)))
    assert tails.modified(of, 0.95).var == pytest.approx(-h, rel=1e-12)


def test_edgeworth_shortfall_is_the_integral_of_its_density() -> None:
    """-1/alpha of the integral to h of x times the Edgeworth density (Boudt, Peterson and Croux 2008)."""
    s, k, alpha = -0.6, 1.5, 0.05
    of = tails.Moments(*(np.asarray(v) for v in (0.0, 1.0, s, k)))
    h = -float(tails.modified(of, 1 - alpha).var)
    x = np.linspace(-14, h, 400_001)
    he3, he4, he6 = x**3 - 3 * x, x**4 - 6 * x**2 + 3, x**6 - 15 * x**4 + 45 * x**2 - 15
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * (1 + s / 6 * he3 + k / 24 * he4 + s * s / 72 * he6)
    mean = -float(np.trapezoid(x * density, x)) / alpha
    assert tails.modified(of, 1 - alpha, operational=False).es == pytest.approx(mean, abs=1e-6)
    u = (np.arange(200_000) + 0.5) / 200_000 * alpha
    z = np.array([NormalDist().inv_cdf(float(v)) for v in u[::20]])
    q = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s * s / 36
    assert tails.integrated_shortfall(of, 1 - alpha) == pytest.approx(-q.mean(), abs=2e-3)


@pytest.mark.parametrize("rule", RULES)
@given(returns=samples, confidence=levels)
def test_every_rule_is_that_of_numpy_and_the_mean_beyond_it(rule: Any, returns: Values, confidence: float) -> None:
    tail = tails.historical(returns, confidence, rule, "at_or_beyond")
    name = "inverted_cdf" if rule == "order_statistic" else rule
    assert tail.var == pytest.approx(-np.quantile(returns, round(1 - confidence, 12), method=name), abs=1e-12)
    worse = [-r for r in returns if -r >= tail.var]
    assert tail.es == pytest.approx(math.fsum(worse) / len(worse), rel=1e-9)


@given(returns=samples, confidence=levels)
def test_coherent_shortfall_is_the_least_of_rockafellar_and_uryasev(returns: Values, confidence: float) -> None:
    """min over c of c + E[(loss - c)+] / (1 - confidence), which lies at one of the losses."""
    losses = -returns
    least = min(c + np.maximum(losses - c, 0).mean() / (1 - confidence) for c in losses)
    for rule in ("order_statistic", "linear", "hazen"):
        es = tails.historical(returns, confidence, rule, "coherent").es
        assert es == pytest.approx(least, rel=1e-6, abs=1e-12)


@given(returns=samples, pair=st.tuples(levels, levels))
def test_var_and_es_rise_with_confidence(returns: Values, pair: tuple[float, float]) -> None:
    low, high = sorted(pair)
    makes: list[Callable[[float], Tail]] = [
        lambda c: tails.historical(returns, c),
        lambda c: tails.historical(returns, c, "order_statistic"),
        lambda c: tails.historical(returns, c, "weibull"),
        lambda c: tails.gaussian(returns.mean(), returns.std(), c),
        lambda c: tails.student_t(returns.mean(), returns.std(), c, 5),
        lambda c: tails.age_weighted(returns, c, 0.99),
        lambda c: tails.monte_carlo(returns, c, 5, 2000, 1),
    ]
    for make in makes:
        a, b = make(low), make(high)
        assert a.var <= b.var + 1e-15
        assert a.es <= b.es + 1e-12
        assert a.es >= a.var - 1e-12
    modified = tails.cornish_fisher(returns, high)
    assert modified.es >= modified.var


@given(returns=samples, confidence=levels, factor=st.floats(0.01, 100))
def test_tails_are_homogeneous_and_move_with_the_mean(returns: Values, confidence: float, factor: float) -> None:
    makes: list[Callable[[Values], Tail]] = [
        lambda r: tails.historical(r, confidence),
        lambda r: tails.historical(r, confidence, "order_statistic"),
        lambda r: tails.cornish_fisher(r, confidence),
        lambda r: tails.gaussian(r.mean(), r.std(), confidence),
    ]
    for make in makes:
        plain, scaled, moved = make(returns), make(returns * factor), make(returns + 0.01)
        assert near(scaled, float(plain.var) * factor, float(plain.es) * factor, rel=1e-7, abs=1e-12)
        assert near(moved, float(plain.var) - 0.01, float(plain.es) - 0.01, abs=1e-9)


@given(returns=samples, confidence=levels, seed=st.integers(0, 99))
def test_order_changes_no_historical_tail(returns: Values, confidence: float, seed: int) -> None:
    mixed = np.random.default_rng(seed).permutation(returns)
    for rule in RULES:
        assert near(tails.historical(mixed, confidence, rule), *tails.historical(returns, confidence, rule), rel=1e-12)


@settings(max_examples=15)
@given(seed=st.integers(0, 999), confidence=levels, rule=st.sampled_from(RULES))
def test_a_matrix_is_its_columns(seed: int, confidence: float, rule: Any) -> None:
    """With ties, which a coarse grid makes."""
    returns = np.round(np.random.default_rng(seed).standard_t(3, (80, 4)), 1) / 10
    for shortfall in ("at_or_beyond", "coherent"):
        whole = tails.historical(returns, confidence, rule, shortfall)
        for i in range(4):
            alone = tails.historical(returns[:, i], confidence, rule, shortfall)
            assert (whole.var[i], whole.es[i]) == (pytest.approx(alone.var), pytest.approx(alone.es))
            worse = [-r for r in returns[:, i] if -r >= alone.var]
            assert shortfall == "coherent" or alone.es == pytest.approx(math.fsum(worse) / len(worse))
    both, one = tails.cornish_fisher(returns, confidence), tails.cornish_fisher(returns[:, 2], confidence)
    assert (both.var[2], both.es[2]) == (pytest.approx(one.var), pytest.approx(one.es))


def test_nothing_strictly_beyond_the_worst_is_nan() -> None:
    assert np.isnan(tails.historical([-0.01] * 5 + [0.0] * 5, 0.9, "higher", "beyond").es)


@given(seed=st.integers(0, 50), horizon=st.integers(1, 60))
def test_monte_carlo_comes_near_the_lognormal_quantile(seed: int, horizon: int) -> None:
    # The drift is set: one that came out high brings the VaR near zero, and a bound relative to it with it.
    drawn = np.random.default_rng(seed).normal(0, 0.01, 300)
    returns = np.expm1(drawn - drawn.mean() + 0.0005)
    logs = np.log1p(returns)
    exact = -math.expm1(logs.mean() * horizon - 1.6448536 * logs.std(ddof=1) * math.sqrt(horizon))
    tail = tails.monte_carlo(returns, 0.95, horizon, 100_000, seed)
    assert tail.var == pytest.approx(exact, rel=0.03)
    assert tail == tails.monte_carlo(returns, 0.95, horizon, 100_000, seed)


def test_ewma_by_hand() -> None:
    """Hull, Options, Futures: lambda 0.9, 1 % a day, then a return of 2 %: the variance is 0.00013."""
    assert dispersion.ewma(np.array([0.01, 0.02]), 0.9) ** 2 == pytest.approx(0.9 * 0.0001 + 0.1 * 0.0004)
    h, returns = 0.0, np.random.default_rng(1).normal(0, 0.01, 50)
    for i, r in enumerate(returns.tolist()):
        h = r * r if i == 0 else 0.94 * h + 0.06 * r * r
    assert dispersion.ewma(returns, 0.94) == pytest.approx(math.sqrt(h), rel=1e-12)


def test_range_estimators_by_their_definitions() -> None:
    chance = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.01, 41)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(chance.normal(0, 0.003, 41))
    high = np.maximum(opened, close) * np.exp(np.abs(chance.normal(0, 0.004, 41)))
    low = np.minimum(opened, close) * np.exp(-np.abs(chance.normal(0, 0.004, 41)))
    days = list(zip(opened[1:], high[1:], low[1:], close[1:], close[:-1], strict=True))
    log, n = math.log, 40
    parkinson = sum(log(h / lo) ** 2 for _, h, lo, _, _ in days) / (4 * n * log(2))
    klass = sum(0.5 * log(h / lo) ** 2 - (2 * log(2) - 1) * log(c / o) ** 2 for o, h, lo, c, _ in days) / n
    satchell = sum(log(h / c) * log(h / o) + log(lo / c) * log(lo / o) for o, h, lo, c, _ in days) / n
    night, day = [log(o / p) for o, _, _, _, p in days], [log(c / o) for o, _, _, c, _ in days]
    k = 0.34 / (1.34 + 41 / 39)
    zhang = np.var(night, ddof=1) + k * np.var(day, ddof=1) + (1 - k) * satchell
    overnight = klass + sum(v * v for v in night) / n
    expected = (parkinson, klass, satchell, overnight, zhang)
    kinds: tuple[dispersion.Ranged, ...] = (
        "parkinson",
        "garman_klass",
        "rogers_satchell",
        "garman_klass_yang_zhang",
        "yang_zhang",
    )
    for kind, variance in zip(kinds, expected, strict=True):
        assert dispersion.ranged(kind, opened, high, low, close) == pytest.approx(math.sqrt(variance), rel=1e-12)


@shared
def test_the_tool_gives_the_same_from_a_file() -> None:
    view = Given.read([DATA / "refdata" / "edhec.csv"], "returns")
    returns = column("edhec.csv", "Global Macro")
    for method in ("historical", "cornish_fisher"):
        made = value_at_risk(view, "Global Macro", 1, 0.95, method)
        tail = (tails.historical if method == "historical" else tails.cornish_fisher)(returns, 0.95)
        assert (made.value("var"), made.value("es")) == (pytest.approx(tail.var), pytest.approx(tail.es))


@given(returns=samples)
def test_a_sample_of_one_side_keeps_es_above_var(returns: Values) -> None:
    assume(len(returns) > 60)
    tail = tails.cornish_fisher(np.abs(returns), 0.95)
    assert tail.es >= tail.var
