"""GARCH against published benchmarks, arch's documentation, Hull's examples, and recursions worked by hand."""

import csv
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
from openoutcry.tools.data.given import Given
from openoutcry.tools.formulas import conditional, tails
from openoutcry.tools.garch import filtered_historical, garch, garch_forecast

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "refdata"
shared = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not on this machine")
Values = NDArray[np.float64]


def simulated(
    seed: int, n: int, omega: float = 2e-6, alpha: float = 0.1, beta: float = 0.85, tails: int | None = None
) -> Values:
    """A GARCH(1,1) path, normal or with a t of so many degrees of freedom."""
    chance, h = np.random.default_rng(seed), omega / (1 - alpha - beta)
    out: list[float] = []
    shocks = chance.standard_normal(n) if tails is None else chance.standard_t(tails, n) * math.sqrt(1 - 2 / tails)
    for z in shocks.tolist():
        out.append(0.0003 + z * math.sqrt(h))
        h = omega + alpha * (z * math.sqrt(h)) ** 2 + beta * h
    return np.array(out)


@pytest.fixture(scope="module")
def mark_pound() -> Given:
    if not DATA.is_dir():
        pytest.skip("the shared data are not on this machine")
    return Given.read([DATA / "MarkPound.csv"], "returns")


BENCHMARK = {"mu": -0.00619041, "omega": 0.0107613, "alpha_1": 0.153134, "beta_1": 0.805974}
HESSIAN = {"mu": 0.00846212, "omega": 0.00285271, "alpha_1": 0.0265228, "beta_1": 0.0335527}
SANDWICH = {"mu": 0.00918935, "omega": 0.00649319, "alpha_1": 0.0535317, "beta_1": 0.0724614}


@pytest.mark.parametrize(("errors", "published"), [("classic", HESSIAN), ("robust", SANDWICH)])
def test_the_dm_gbp_benchmark(mark_pound: Given, errors: Any, published: dict[str, float]) -> None:
    """Bollerslev and Ghysels (1996); Fiorentini, Calzolari and Panattoni (1996); McCullough and Renfro (1999)."""
    made = garch(mark_pound, "value", backcast="mean_square", errors=errors)
    for name, value in BENCHMARK.items():
        assert made.value(name) == pytest.approx(value, rel=1e-5)
    for name, value in published.items():
        assert made.value(f"std_err_{name}") == pytest.approx(value, rel=2e-5)
    assert made.value("log_likelihood") == pytest.approx(-1106.6079, abs=5e-4)
    assert made.value("observations") == 1974


ARCH_GARCH = {"mu": (0.0564, 1.149e-2), "omega": (0.0175, 4.683e-3), "alpha_1": (0.1022, 1.301e-2)}
ARCH_GJR = {"mu": (0.0175, 1.145e-2), "omega": (0.0196, 4.051e-3), "gamma_1": (0.1831, 2.266e-2)}


@pytest.mark.parametrize(
    ("variant", "shown", "beta", "likelihood"),
    [("garch", ARCH_GARCH, (0.8852, 1.380e-2), -6936.72), ("gjr", ARCH_GJR, (0.8922, 1.458e-2), -6822.88)],
)
def test_the_examples_of_arch(
    variant: Any, shown: dict[str, tuple[float, float]], beta: tuple[float, float], likelihood: float
) -> None:
    """arch's documentation, Introduction to ARCH Models and the GJR of Univariate Volatility Modeling: S&P 500."""
    sp500: Any = import_module("arch.data.sp500")
    closes = sp500.load()["Adj Close"].to_numpy()
    made = garch(Given.of({"SPX": closes}, "prices"), "SPX", window=100_000, variant=variant, multiplier=100)
    for name, (value, error) in {**shown, "beta_1": beta}.items():
        assert made.value(name) == pytest.approx(value, abs=6e-5)
        assert made.value(f"std_err_{name}") == pytest.approx(error, rel=5e-4)
    assert made.value("log_likelihood") == pytest.approx(likelihood, abs=5e-3)


@pytest.mark.parametrize(
    "how",
    [
        {"variant": "egarch"},
        {"variant": "egarch", "o": 0, "distribution": "t"},
        {"distribution": "t"},
        {"mean": "zero"},
        {"p": 2, "q": 1},
        {"p": 1, "q": 0},
        {"variant": "gjr", "distribution": "t"},
    ],
)
def test_other_models_are_those_of_arch_in_its_own_units(how: dict[str, Any]) -> None:
    """Fitted by arch to returns in percent, with no scaling of ours; its numbers in percent."""
    arch: Any = import_module("arch")
    returns = simulated(5, 1500, tails=5 if "distribution" in how else None)
    words = {"mean": how.get("mean", "constant").capitalize(), "dist": how.get("distribution", "normal")}
    kind = "EGARCH" if how.get("variant") == "egarch" else "GARCH"
    o = how.get("o", int("variant" in how))
    model = arch.arch_model(100 * returns, vol=kind, p=how.get("p", 1), o=o, q=how.get("q", 1), rescale=False, **words)
    found = model.fit(disp="off", tol=1e-12)
    mine = conditional.fit(100 * returns, **how)
    assert mine.log_likelihood == pytest.approx(float(found.loglikelihood), abs=2e-3)
    for name, value in zip(mine.params, found.params, strict=True):
        assert mine.params[name] == pytest.approx(value, rel=0.02, abs=2e-3)
    ahead = float(found.forecast(horizon=1).variance.to_numpy()[-1, 0])
    assert mine.expected_variances(1)[0] == pytest.approx(ahead, rel=2e-3)
    if kind == "GARCH":
        ahead = found.forecast(horizon=5).variance.to_numpy()[-1]
        assert mine.expected_variances(5) == pytest.approx(ahead, rel=2e-3)


@pytest.mark.parametrize("variant", ["garch", "gjr", "egarch"])
@pytest.mark.parametrize("backcast", ["exponential", "mean_square"])
def test_a_unit_of_the_returns_changes_units_alone(variant: Any, backcast: Any) -> None:
    returns = simulated(2, 800)
    small, large = (conditional.fit(r, variant=variant, backcast=backcast) for r in (returns, returns * 1000))
    close = 1e-4 if variant == "egarch" else 1e-6
    assert large.params["alpha_1"] == pytest.approx(small.params["alpha_1"], rel=close, abs=1e-7)
    assert large.mu == pytest.approx(small.mu * 1000, rel=close)
    assert large.expected_variances(1)[0] == pytest.approx(small.expected_variances(1)[0] * 1e6, rel=close)
    assert large.log_likelihood == pytest.approx(small.log_likelihood - 800 * math.log(1000), rel=1e-9)


def test_no_small_step_raises_the_likelihood_of_the_benchmark(mark_pound: Given) -> None:
    """The likelihood written out day by day, at the estimate and around it."""
    y = mark_pound.prices("value").returns(5000).tolist()

    def likelihood(mu: float, omega: float, alpha: float, beta: float) -> float:
        squares = [(v - mu) ** 2 for v in y]
        e2 = h = math.fsum(squares) / len(squares)
        total = 0.0
        for s in squares:
            h = omega + alpha * e2 + beta * h
            total -= 0.5 * (math.log(2 * math.pi) + math.log(h) + s / h)
            e2 = s
        return total

    made = garch(mark_pound, "value", backcast="mean_square")
    at = [made.value(n) for n in BENCHMARK]
    best = likelihood(*at)
    assert best == pytest.approx(made.value("log_likelihood"), abs=1e-8)
    for i in range(4):
        for step in (-1e-4, 1e-4):
            assert likelihood(*(v + step * (j == i) for j, v in enumerate(at))) < best


def test_the_figures_follow_from_the_parameters() -> None:
    returns = simulated(3, 1200)
    made = garch(Given.of({"A": returns}, "returns"), "A", horizon=20, periods=252)
    mu, omega, alpha, beta = (made.value(n) for n in ("mu", "omega", "alpha_1", "beta_1"))
    persistence = alpha + beta
    assert made.value("persistence") == pytest.approx(persistence)
    assert made.value("half_life") == pytest.approx(math.log(0.5) / math.log(persistence))
    long_run = omega / (1 - persistence)
    assert made.value("long_run_volatility_annual") == pytest.approx(math.sqrt(252 * long_run))
    h = made.value("last_volatility") ** 2
    assert made.value("last_standardised_residual") == pytest.approx((returns[-1] - mu) / math.sqrt(h))
    path = [omega + alpha * (returns[-1] - mu) ** 2 + beta * h]
    for _ in range(19):
        path.append(omega + persistence * path[-1])
    assert made.value("forecast_volatility") == pytest.approx(math.sqrt(path[0]))
    assert made.value("horizon_end_volatility") == pytest.approx(math.sqrt(path[-1]))
    assert made.value("average_volatility") == pytest.approx(math.sqrt(math.fsum(path) / 20))
    assert made.value("aic") == pytest.approx(8 - 2 * made.value("log_likelihood"))


def test_what_a_garch_needs() -> None:
    with pytest.raises(NotComputed, match="needs at least 100 returns; A has 60"):
        garch(Given.of({"A": simulated(1, 60)}, "returns"), "A")
    with pytest.raises(NotComputed, match="needs returns that differ; those of A are all alike over 200 periods"):
        garch(Given.of({"A": [0.01] * 200}, "returns"), "A")
    with pytest.raises(NotComputed, match="needs returns above -100 %"):
        garch(Given.of({"A": [*simulated(1, 200), -1.5]}, "returns"), "A", log=True)


def test_an_egarch_says_what_it_has_not_got() -> None:
    made = garch(Given.of({"A": simulated(4, 600)}, "returns"), "A", variant="egarch")
    assert "long_run_volatility" not in made.figures
    assert "average_volatility" not in made.figures
    assert any("long-run volatility" in note for note in made.missing)
    assert any("average volatility" in note for note in made.missing)


def test_hull_updates_a_garch() -> None:
    """Hull: omega 0.000002, alpha 0.13, beta 0.86: long run 1.4 % a day; 1.6 %, then a return of 1 %: 1.53 %."""
    made = garch_forecast(omega=0.000002, alpha=0.13, beta=0.86, volatility=0.016, last_return=0.01)
    assert made.value("next_variance") == pytest.approx(0.00023516, abs=1e-12)
    assert made.value("next_volatility") == pytest.approx(0.0153, abs=5e-5)
    assert made.value("long_run_variance") == pytest.approx(0.0002)
    assert made.value("long_run_volatility") == pytest.approx(0.0141, abs=5e-5)
    same = garch_forecast(long_run_volatility=math.sqrt(0.0002), alpha=0.13, beta=0.86, variance=0.000256)
    assert same.value("omega") == pytest.approx(0.000002)


def test_hull_updates_an_ewma() -> None:
    """Hull: lambda 0.90, 1 % a day, then a return of 2 %: 1.14 %."""
    made = garch_forecast(decay=0.9, volatility=0.01, last_return=0.02)
    assert made.value("next_variance") == pytest.approx(0.00013)
    assert made.value("next_volatility") == pytest.approx(0.0114, abs=5e-5)
    assert "long_run_volatility" not in made.figures


SPX: dict[str, Any] = {"omega": 0.000001347, "alpha": 0.083394, "beta": 0.910116, "variance": 0.0003}


@pytest.mark.parametrize(
    ("days", "volatility", "effect"),
    [(10, 27.36, 0.97), (30, 27.10, 0.92), (50, 26.87, 0.87), (100, 26.35, 0.77)],
)
def test_hull_term_structure(days: int, volatility: float, effect: float) -> None:
    """Hull, the S&P 500 by GARCH(1,1): a year's volatility of options by life, and the effect of 1 % today."""
    made = garch_forecast(**SPX, horizon=days)
    assert made.value("term_volatility") == pytest.approx(volatility / 100, abs=7e-5)
    assert made.value("term_sensitivity") == pytest.approx(effect, abs=0.0051)


def test_hull_expected_variance() -> None:
    """Hull: from 0.0003 a day to 0.0002942 in 10 days, 1.72 % a day."""
    made = garch_forecast(**SPX, horizon=10)
    assert made.value("expected_variance") == pytest.approx(0.0002942, abs=1e-7)
    assert made.value("expected_volatility") == pytest.approx(0.0172, abs=5e-5)


@given(
    alpha=st.floats(0.01, 0.3),
    left=st.floats(0.001, 0.3),
    omega=st.floats(1e-7, 1e-4),
    variance=st.floats(1e-6, 1e-2),
    horizon=st.integers(1, 300),
)
def test_forecasts_step_by_step(alpha: float, left: float, omega: float, variance: float, horizon: int) -> None:
    beta = 1 - left - alpha
    made = garch_forecast(omega=omega, alpha=alpha, beta=beta, variance=variance, horizon=horizon)
    h, total = variance, 0.0
    for _ in range(horizon):
        total += h
        h = omega + (alpha + beta) * h
    assert made.value("expected_variance") == pytest.approx(h, rel=1e-9)
    assert made.value("average_volatility") == pytest.approx(math.sqrt(total / horizon), rel=1e-9)
    flat = garch_forecast(omega=omega, alpha=alpha, beta=1 - alpha, variance=variance, horizon=horizon)
    assert flat.value("expected_variance") == pytest.approx(variance + horizon * omega, rel=1e-9)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"alpha": 0.1, "beta": 0.8, "volatility": 0.01}, "needs alpha, beta and either omega or long_run_volatility"),
        ({"decay": 0.9, "alpha": 0.1, "volatility": 0.01}, "needs either decay"),
        (
            {"omega": 1e-6, "alpha": 0.2, "beta": 0.9, "volatility": 0.01},
            "alpha \\+ beta of at most 1; they add to 1.1",
        ),
        ({"decay": 0.9}, "needs either volatility or variance"),
        ({"decay": 0.9, "volatility": 0.01, "variance": 0.0001}, "needs either volatility or variance"),
    ],
)
def test_what_a_forecast_needs(given_: dict[str, Any], said: str) -> None:
    with pytest.raises(NotComputed, match=said):
        garch_forecast(**given_)


def test_the_filter_goes_on_from_the_fit() -> None:
    returns = simulated(8, 700)
    model = conditional.fit(returns[:600])
    foreseen = conditional.filtered(model, returns[600:])
    h = float(model.variances[-1])
    e = float(model.residuals[-1])
    for day, sd in zip(returns[600:], foreseen, strict=True):
        h = model.omega + model.params["alpha_1"] * e * e + model.params["beta_1"] * h
        assert sd == pytest.approx(math.sqrt(h), rel=1e-9)
        e = float(day) - model.mu


def test_filtered_historical_simulation() -> None:
    """One period resamples the residuals: its quantile is theirs, times the deviation foreseen."""
    returns = simulated(9, 1000)
    model = conditional.fit(returns)
    drawn = conditional.filtered_returns(model, 1, 200_000, 7)
    sd = math.sqrt(float(model.expected_variances(1)[0]))
    exact = float(tails.historical(model.standardised, 0.95).var) * sd - model.mu
    assert tails.historical(drawn, 0.95).var == pytest.approx(exact, rel=0.02)
    longer = conditional.filtered_returns(model, 20, 50_000, 7)
    total = math.sqrt(float(model.expected_variances(20).sum()))
    assert longer.std() == pytest.approx(total, rel=0.05)
    again = filtered_historical(returns, 0.99, horizon=5, simulations=2000, seed=3)
    assert again == filtered_historical(returns, 0.99, horizon=5, simulations=2000, seed=3)
    assert again != filtered_historical(returns, 0.99, horizon=5, simulations=2000, seed=4)


@settings(max_examples=8)
@given(seed=st.integers(0, 200))
def test_any_series_is_fitted_or_refused(seed: int) -> None:
    chance = np.random.default_rng(seed)
    returns = chance.standard_t(3, 150) * 10 ** chance.uniform(-4, 0)
    for backcast in ("exponential", "mean_square"):
        try:
            made = garch(Given.of({"A": returns}, "returns"), "A", backcast=backcast)
        except NotComputed as refused:
            assert "maximum" in str(refused)
        else:
            assert made.value("forecast_volatility") > 0


@shared
def test_the_data_are_as_published(mark_pound: Given) -> None:
    with (DATA / "MarkPound.csv").open(newline="") as lines:
        first = float(next(csv.DictReader(lines))["value"])
    assert mark_pound.prices("value").returns(5000)[0] == first
