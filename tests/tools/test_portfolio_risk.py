"""Value at risk of stated weights and of the book: against single series, definitions and known distributions."""

from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View
from openoutcry.tools.portfolio_risk import portfolio_value_at_risk, portfolio_var_backtest
from openoutcry.tools.risk import value_at_risk

Rows = Callable[..., list[dict[str, Any]]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]
METHODS = ("historical", "gaussian", "cornish_fisher", "garch", "monte_carlo")
NAMES = ("AAA", "BBB", "CCC")
EDHEC = Path(__file__).parents[2].parent / "shared" / "data" / "refdata" / "edhec.csv"


def returns(seed: int, rows: int = 700) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(seed)
    market = chance.standard_t(5, rows) * 0.008
    return {n: market * (0.5 + i / 2) + chance.normal(size=rows) * 0.006 for i, n in enumerate(NAMES)}


@pytest.fixture(scope="module")
def book(make_home: MakeHome, price_rows: Rows) -> Path:
    made = {n: 50 * np.cumprod(np.concatenate([[1.0], 1 + r])) for n, r in returns(3).items()}
    prices = [row for n, levels in made.items() for row in price_rows(n, levels.tolist())]
    last = prices[-1]["date"]
    quantities = {"AAA": 100, "BBB": -40, "CCC": 10}
    return make_home(
        prices=prices, positions=[{"date": last, "ticker": t, "quantity": q} for t, q in quantities.items()]
    )


@given(
    seed=st.integers(0, 500),
    confidence=st.floats(0.9, 0.99),
    weights=st.lists(st.floats(0.05, 1), min_size=3, max_size=3),
    method=st.sampled_from(["historical", "gaussian", "cornish_fisher"]),
)
def test_weights_are_as_their_own_series(seed: int, confidence: float, weights: list[float], method: Any) -> None:
    """Over one period a portfolio is the weighted sum of its series, whatever the method."""
    made = returns(seed)
    whole = sum(w * r for w, r in zip(weights, made.values(), strict=True))
    view = Given.of(made, "returns")
    alone = Given.of({"ALL": np.asarray(whole)}, "returns")
    held: dict[str, float] = dict(zip(NAMES, weights, strict=True))
    asked: dict[str, Any] = {"horizon": 1, "confidence": confidence, "method": method}
    portfolio = portfolio_value_at_risk(view, held, contribution="both", **asked)
    single = value_at_risk(alone, "ALL", **asked)
    assert portfolio.value("var") == pytest.approx(single.value("var"), rel=1e-9)
    assert portfolio.value("es") == pytest.approx(single.value("es"), rel=1e-9)
    for mark, total in (("component_", "var"), ("es_component_", "es")):
        parts = [portfolio.value(f"{mark}{n.lower()}") for n in NAMES]
        assert sum(parts) == pytest.approx(portfolio.value(total), rel=1e-6)
    for n, w in held.items():
        assert portfolio.value(f"marginal_{n.lower()}") * w == pytest.approx(portfolio.value(f"component_{n.lower()}"))


@pytest.mark.parametrize("method", METHODS)
def test_the_book_by_every_method(book: Path, view_of: ViewOf, method: Any) -> None:
    view = view_of(book)
    low, high = (portfolio_value_at_risk(view, horizon=5, confidence=c, method=method) for c in (0.95, 0.99))
    assert 0 < low.value("var") <= high.value("var")
    assert high.value("es") >= high.value("var")
    gross = sum(abs(q) * view.prices(t).values[-1] for t, q in (("AAA", 100), ("BBB", -40), ("CCC", 10)))
    assert high.value("gross_value") == pytest.approx(gross)
    assert high.value("var_usd") == pytest.approx(high.value("var") * gross)
    again = portfolio_value_at_risk(view, horizon=5, confidence=0.99, method=method)
    assert again == high
    if method == "garch":
        assert not any(n.startswith("component_") for n in high.figures)
    else:
        parts = [high.value(n) for n in high.figures if n.startswith("component_")]
        assert sum(parts) == pytest.approx(high.value("var"), rel=1e-6)
        assert high.value("largest_component") == max(parts)


def test_the_book_historical_by_hand(book: Path, view_of: ViewOf) -> None:
    view = view_of(book)
    made = portfolio_value_at_risk(view, horizon=3, confidence=0.9, window=500, quantile="order_statistic")
    held = {"AAA": 100, "BBB": -40, "CCC": 10}
    values = {t: q * view.prices(t).values[-1] for t, q in held.items()}
    profits = [
        sum(v * (p[i + 3] / p[i] - 1) for v, p in zip(values.values(), levels, strict=True))
        for levels in [[view.prices(t).values[-501:] for t in held]]
        for i in range(498)
    ]
    worst = sorted(profits)[50 - 1]
    assert made.value("var_usd") == pytest.approx(-worst)


def test_monte_carlo_finds_the_normal_quantile() -> None:
    """Two independent normal log returns of 1 % a day: the sum of halves has the deviation 1 % / sqrt 2."""
    chance = np.random.default_rng(1)
    made = {n: np.expm1(0.01 * chance.standard_normal(20_000)) for n in ("A", "B")}
    view = Given.of(made, "returns")
    asked = {"horizon": 1, "window": 20_000, "confidence": 0.99, "method": "monte_carlo", "simulations": 200_000}
    var = portfolio_value_at_risk(view, {"A": 0.5, "B": 0.5}, **asked).value("var")  # type: ignore[arg-type]  # as typed
    assert var == pytest.approx(NormalDist().inv_cdf(0.99) * 0.01 / np.sqrt(2), rel=0.02)


def test_square_root_of_time_only_when_asked_and_said() -> None:
    view = Given.of(returns(9), "returns")
    held = {"AAA": 1.0}
    scaled = portfolio_value_at_risk(view, held, horizon=4, method="gaussian", scaling="square_root")
    mean, sd = returns(9)["AAA"].mean(), returns(9)["AAA"].std(ddof=1)
    assert scaled.value("var") == pytest.approx(-4 * mean + 2 * sd * NormalDist().inv_cdf(0.99))
    assert "square root" in scaled.conventions["horizon"]
    plain = portfolio_value_at_risk(view, held, horizon=4, method="gaussian")
    assert "no scaling by time" in plain.conventions["horizon"]
    with pytest.raises(NotComputed, match="does not carry skewness"):
        portfolio_value_at_risk(view, held, horizon=4, method="cornish_fisher", scaling="square_root")


@pytest.mark.skipif(not EDHEC.is_file(), reason="the shared data are not here")
def test_component_shortfall_as_performanceanalytics_prints_it() -> None:
    """Its example of `M2.ewma`: ES(p = 0.95, portfolio_method = "component") of the edhec indices, equal weights."""
    view = Given.read([EDHEC], "returns")
    held = dict.fromkeys(EDHEC.read_text().splitlines()[0].split(",")[1:], 1 / 13)
    made = portfolio_value_at_risk(
        view, held, 1, 0.95, "cornish_fisher", ddof=1, moments="one_divisor", contribution="es"
    )
    assert made.value("es") == pytest.approx(0.03625114, abs=5e-9)
    printed = {
        **{"convertible_arbitrage": 0.0059762619, "cta_global": -0.0028081561, "distressed_securities": 0.0052816918},
        **{"emerging_markets": 0.0062522301, "equity_market_neutral": 0.0009068639, "event_driven": 0.0058974265},
        **{"fixed_income_arbitrage": 0.0034627291, "global_macro": 0.0001339207, "long_short_equity": 0.0036259163},
        **{"merger_arbitrage": 0.0034602269, "relative_value": 0.0037776798, "short_selling": -0.0031537633},
        **{"funds_of_funds": 0.0034381082},
    }
    assert {n: made.value(f"es_component_{n}") for n in printed} == pytest.approx(printed, abs=1e-8)
    assert "divisor n - 1" in made.conventions["moments"]


def test_options_in_a_book_bend_it(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    """A put on every share cuts the tail: less VaR than the shares alone, and never more than the gap to the strike."""
    levels = 50 * np.cumprod(np.concatenate([[1.0], 1 + returns(5)["CCC"]]))
    prices = price_rows("CCC", levels.tolist())
    last, spot = prices[-1]["date"], levels[-1]
    strike = round(spot)
    put = f"CCC{last.replace(year=last.year + 1):%y%m%d}P{strike * 1000:08d}"
    bare = [{"date": last, "ticker": "CCC", "quantity": 100}]
    covered = [*bare, {"date": last, "ticker": put, "quantity": 1}]
    made = [
        portfolio_value_at_risk(view_of(make_home(prices=prices, positions=held)), horizon=10)
        for held in (bare, covered)
    ]
    assert made[1].value("var_usd") < 0.75 * made[0].value("var_usd")
    assert any(n.startswith("component_ccc2") for n in made[1].figures)
    assert "American" in made[1].conventions["options"]


@pytest.mark.parametrize("method", METHODS)
def test_a_backtest_knows_no_later_day(method: Any) -> None:
    made = returns(11, 900)
    held = {"AAA": 0.5, "CCC": 0.5}
    first = portfolio_var_backtest(Given.of(made, "returns"), held, method, 0.95, window=500, test=200)
    assert first.value("observations") == 200
    assert 0 < first.value("exceptions") < 40
    later = {n: np.concatenate([r, np.full(1, -0.4)]) for n, r in made.items()}
    second = portfolio_var_backtest(Given.of(later, "returns"), held, method, 0.95, window=500, test=201)
    assert second.value("exceptions") == first.value("exceptions") + 1


def test_refusals(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    view = Given.of({"A": [0.01] * 100, "B": returns(1)["AAA"][:100]}, "returns")
    with pytest.raises(NotComputed, match="needs returns that differ; those of the portfolio are all alike"):
        portfolio_value_at_risk(view, {"A": 1.0}, horizon=1)
    with pytest.raises(NotComputed, match="needs a weight other than zero"):
        portfolio_value_at_risk(view, {"A": 0.0}, horizon=1)
    with pytest.raises(NotComputed, match="needs at least 1000"):
        portfolio_value_at_risk(view, {"B": 1.0}, horizon=1, confidence=0.999)
    with pytest.raises(NotComputed, match="needs positions"):
        portfolio_value_at_risk(view_of(make_home(prices=price_rows("AAA", [1.0, 2.0]))))
    with pytest.raises(NotComputed, match="needs weights, as A=1: a file of series holds no positions"):
        portfolio_value_at_risk(view)


def test_what_the_youngest_line_leaves_is_counted_and_told(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    made = {n: (50 * np.cumprod(np.concatenate([[1.0], 1 + r]))).tolist() for n, r in returns(5, 400).items()}
    rows = {name: price_rows(name, levels) for name, levels in made.items()}
    young = [row | {"ticker": "YNG"} for row in rows["CCC"][-131:]]
    view = view_of(make_home(prices=[*rows["AAA"], *rows["BBB"], *young]))
    asked: dict[str, Any] = {"window": 300, "confidence": 0.95}
    short, long = (portfolio_value_at_risk(view, {"AAA": 0.6, other: 0.4}, **asked) for other in ("YNG", "BBB"))
    assert (short.value("observations"), short.value("independent")) == (130, 13)
    assert (long.value("observations"), long.value("independent")) == (300, 30)
    assert any("YNG has 130 returns" in said for said in short.missing)
    assert not long.missing
