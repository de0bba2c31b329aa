"""Volatility, drawdown, VaR and ES against published values, hand-worked cases and definitions."""

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View
from openoutcry.tools.drawdowns import drawdown
from openoutcry.tools.formulas import conditional, tails
from openoutcry.tools.risk import value_at_risk, volatility

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]
METHODS = ("historical", "gaussian")
WALKS = [f"W{i}" for i in range(12)]


def chained(returns: Sequence[float], start: float = 100.0) -> list[float]:
    """Closes whose simple returns are these."""
    closes = [start]
    for change in returns:
        closes.append(closes[-1] * (1 + change))
    return closes


def walk(seed: int) -> list[float]:
    """A random walk whose spread, drift and tail differ from seed to seed."""
    chance = np.random.default_rng(seed)
    spread, drift = 10 ** chance.uniform(-4, -1.2), chance.uniform(-0.002, 0.002)
    steps = chance.standard_t(3 + seed, size=150 + 20 * seed) * spread + drift
    return chained(np.clip(steps, -0.5, 0.5).tolist())


@pytest.fixture(scope="module")
def walks(make_home: MakeHome, price_rows: Rows) -> tuple[Path, Path]:
    """Twelve walks, in order; and the same, shuffled, with each also scaled by a thousandth (W0X, ...)."""
    rows = [row for i, name in enumerate(WALKS) for row in price_rows(name, walk(i))]
    scaled = [row | {"ticker": f"{row['ticker']}X", "close": repr(float(row["close"]) / 1000)} for row in rows]
    mixed = rows + scaled
    random.Random(7).shuffle(mixed)
    return make_home(prices=rows), make_home(prices=mixed)


def losses(view: View, ticker: str, horizon: int) -> list[float]:
    closes = view.prices(ticker).values.tolist()
    return [1 - b / a for a, b in zip(closes, closes[horizon:], strict=False)]


def type_7(sample: list[float], p: float) -> float:
    """Hyndman and Fan 1996, definition 7: the order statistic at (n - 1) p + 1, interpolated."""
    ordered, place = sorted(sample), (len(sample) - 1) * p
    low = math.floor(place)
    high = min(low + 1, len(sample) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def test_historical_var_of_losses_one_to_a_hundred(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    """numpy.percentile(range(1, 101), 99) is 99.01 (NumPy manual, method linear); at or beyond it lies 100."""
    fall = [i / 1000 for i in range(1, 101)]
    random.Random(1).shuffle(fall)
    view = view_of(make_home(prices=price_rows("AAA", chained([-f for f in fall]))))
    evidence = value_at_risk(view, "AAA", horizon=1, confidence=0.99)
    assert evidence.value("var") == pytest.approx(0.09901, abs=1e-12)
    assert evidence.value("es") == pytest.approx(0.100, abs=1e-12)
    assert evidence.value("observations") == 100
    evidence = value_at_risk(view, "AAA", horizon=1, confidence=0.95)
    # (n - 1) p = 94.05: 0.09505; losses 0.096 .. 0.100 lie beyond, with mean 0.098.
    assert evidence.value("var") == pytest.approx(0.09505, abs=1e-12)
    assert evidence.value("es") == pytest.approx(0.098, abs=1e-12)


def test_a_loss_equal_to_the_var_counts_in_the_shortfall(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    """Of losses 0.000 .. 0.100, (n - 1) p = 95 is 0.095 itself; 0.095 .. 0.100 have the mean 0.0975."""
    view = view_of(make_home(prices=price_rows("AAA", chained([-i / 1000 for i in range(101)]))))
    evidence = value_at_risk(view, "AAA", horizon=1, confidence=0.95)
    assert evidence.value("var") == pytest.approx(0.095, abs=1e-12)
    assert evidence.value("es") == pytest.approx(0.0975, abs=1e-12)


@pytest.mark.parametrize(
    ("confidence", "var", "es"),
    # Upper quantiles of the standard normal, e.g. NIST/SEMATECH e-Handbook 1.3.6.7.1 (1.645, 2.326), and
    # expected shortfalls as in McNeil, Frey and Embrechts (2015), example 2.14: phi(z) / (1 - confidence).
    [(0.95, 1.6449, 2.0627), (0.975, 1.9600, 2.3378), (0.99, 2.3263, 2.6652)],
)
def test_gaussian_var_and_es_in_standard_deviations(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf, confidence: float, var: float, es: float
) -> None:
    """Returns of +1 % and -1 % in turn have mean 0, and with n - 1 spread 0.01 sqrt(n / (n - 1))."""
    n = 100
    view = view_of(make_home(prices=price_rows("AAA", chained([0.01, -0.01] * (n // 2)))))
    evidence = value_at_risk(view, "AAA", horizon=1, confidence=confidence, method="gaussian")
    spread = 0.01 * math.sqrt(n / (n - 1))
    assert evidence.value("var") / spread == pytest.approx(var, abs=5e-5)
    assert evidence.value("es") / spread == pytest.approx(es, abs=5e-5)


def test_volatility_by_hand(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    """+1 % and -1 % in turn: sqrt(252) times 0.01 sqrt(n / (n - 1)); twice the swing in the last 20."""
    steps = [0.01, -0.01] * 40 + [0.02, -0.02] * 10
    view = view_of(make_home(prices=price_rows("AAA", chained(steps))))
    evidence = volatility(view, "AAA")
    recent = math.sqrt(252 * 20 / 19) * 0.02
    whole = math.sqrt(252 / 99 * (80 * 0.01**2 + 20 * 0.02**2))
    assert evidence.value("recent") == pytest.approx(recent, rel=1e-9)
    assert evidence.value("volatility") == pytest.approx(whole, rel=1e-9)
    assert evidence.value("ratio") == pytest.approx(recent / whole, rel=1e-9)
    assert (evidence.value("window"), evidence.value("recent_window")) == (100, 20)
    assert volatility(view, "AAA", window=20).value("ratio") == pytest.approx(1)


def test_drawdown_by_hand(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    closes = [100.0] * 17 + [120.0, 60.0, 90.0, 130.0, 117.0, 65.0, 104.0]
    view = view_of(make_home(prices=price_rows("AAA", closes, start="2020-01-01")))
    evidence = drawdown(view, "AAA")
    days = [row["date"].isoformat() for row in price_rows("AAA", closes)]
    # 120 to 60 and 130 to 65 are both a half: the first counts.
    assert evidence.value("max") == pytest.approx(0.5)
    assert (evidence.figures["peak_date"].value, evidence.figures["trough_date"].value) == (days[17], days[18])
    assert evidence.value("now") == pytest.approx(1 - 104 / 130)
    assert evidence.series["close"].values == tuple(closes)
    before = view_of(make_home(prices=price_rows("AAA", [200.0, *closes])))
    assert drawdown(before, "AAA").value("max") == pytest.approx(1 - 60 / 200)
    windowed = drawdown(before, "AAA", window=24)
    assert (windowed.value("max"), windowed.value("window")) == (pytest.approx(0.5), 24)


def test_a_price_that_only_rises_has_no_drawdown(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    evidence = drawdown(view_of(make_home(prices=price_rows("AAA", [1.0 + i for i in range(30)]))), "AAA")
    assert (evidence.value("max"), evidence.value("now")) == (0, 0)


@pytest.mark.parametrize("values", [[5.0] * 90, [1.5**i for i in range(90)], [1.003**i for i in range(90)]])
def test_returns_all_alike_carry_no_risk_number(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf, values: list[float]
) -> None:
    view = view_of(make_home(prices=price_rows("AAA", values)))
    for call in (
        lambda: volatility(view, "AAA"),
        lambda: value_at_risk(view, "AAA", confidence=0.9),
        lambda: value_at_risk(view, "AAA", confidence=0.9, method="gaussian"),
    ):
        with pytest.raises(NotComputed, match="those of AAA are all alike"):
            call()


def test_a_far_quantile_needs_as_many_windows(walks: tuple[Path, Path], view_of: ViewOf) -> None:
    view = view_of(walks[0])
    with pytest.raises(NotComputed, match="needs at least 1000 overlapping 1-session returns; W0 has 150"):
        value_at_risk(view, "W0", horizon=1, confidence=0.999)
    with pytest.raises(NotComputed, match="needs at least 60 overlapping 100-session returns; W0 has 51"):
        value_at_risk(view, "W0", horizon=100, confidence=0.9)
    assert value_at_risk(view, "W0", horizon=91, confidence=0.9).value("observations") == 60


@settings(max_examples=150)
@given(
    ticker=st.sampled_from(WALKS),
    method=st.sampled_from(METHODS),
    horizon=st.integers(1, 40),
    pair=st.tuples(st.floats(0.501, 0.98), st.floats(0.501, 0.98)),
)
def test_var_and_es_hold_together(
    walks: tuple[Path, Path], view_of: ViewOf, ticker: str, method: Any, horizon: int, pair: tuple[float, float]
) -> None:
    view = view_of(walks[0])
    low, high = (value_at_risk(view, ticker, horizon, c, method) for c in sorted(pair))
    assert low.value("var") <= high.value("var")
    assert low.value("es") <= high.value("es") + 1e-12
    for evidence in (low, high):
        assert evidence.value("es") >= evidence.value("var")
        assert evidence.value("es") < 1 if method == "historical" else True


@settings(max_examples=60)
@given(ticker=st.sampled_from(WALKS), horizon=st.integers(1, 40), confidence=st.floats(0.501, 0.98))
def test_var_and_es_against_their_definitions(
    walks: tuple[Path, Path], view_of: ViewOf, ticker: str, horizon: int, confidence: float
) -> None:
    """Historical by sorting; gaussian by exact moments and a numerical mean of the quantiles beyond."""
    view = view_of(walks[0])
    sample = losses(view, ticker, horizon)
    historical = value_at_risk(view, ticker, horizon, confidence)
    var = type_7(sample, confidence)
    assert historical.value("var") == pytest.approx(var, rel=1e-9, abs=1e-12)
    beyond = [x for x in sample if x >= var - 1e-12]
    assert historical.value("es") == pytest.approx(math.fsum(beyond) / len(beyond), rel=1e-9, abs=1e-12)

    exact = [Fraction(x) for x in sample]
    mean = sum(exact) / len(exact)
    spread = math.sqrt(sum((x - mean) ** 2 for x in exact) / (len(exact) - 1))
    gaussian = value_at_risk(view, ticker, horizon, confidence, "gaussian")
    z = (gaussian.value("var") - float(mean)) / spread
    assert 0.5 * math.erfc(-z / math.sqrt(2)) == pytest.approx(confidence, abs=1e-9)
    grid = np.linspace(z, z + 12, 20_001)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    tail = float(np.trapezoid(grid * density, grid)) / (1 - confidence)
    assert gaussian.value("es") == pytest.approx(float(mean) + spread * tail, abs=1e-5 * spread)


@settings(max_examples=60)
@given(ticker=st.sampled_from(WALKS), window=st.integers(20, 400))
def test_drawdown_and_volatility_against_their_definitions(
    walks: tuple[Path, Path], view_of: ViewOf, ticker: str, window: int
) -> None:
    view = view_of(walks[0])
    fall = drawdown(view, ticker, window)
    closes = view.prices(ticker).values.tolist()[-window:]
    worst = max(1 - low / high for i, high in enumerate(closes) for low in closes[i:])
    assert fall.value("max") == pytest.approx(worst, abs=1e-12)
    assert 0 <= fall.value("now") <= fall.value("max") < 1
    assert str(fall.figures["peak_date"].value) <= str(fall.figures["trough_date"].value)
    returns = [-x for x in losses(view, ticker, 1)][-window:]
    mean = math.fsum(returns) / len(returns)
    spread = math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
    assert volatility(view, ticker, window).value("volatility") == pytest.approx(spread * math.sqrt(252))


@settings(max_examples=60)
@given(ticker=st.sampled_from(WALKS), horizon=st.integers(1, 20), method=st.sampled_from(METHODS))
def test_scale_and_order_of_rows_change_no_risk(
    walks: tuple[Path, Path], view_of: ViewOf, ticker: str, horizon: int, method: Any
) -> None:
    ordered, shuffled = (view_of(home) for home in walks)
    assume(len(ordered.prices(ticker).values) - horizon >= 60)
    pairs: list[tuple[Callable[[View, str], Evidence], tuple[str, ...]]] = [
        (lambda v, t: value_at_risk(v, t, horizon, 0.95, method), ("var", "es")),
        (volatility, ("volatility", "recent", "ratio")),
        (drawdown, ("max", "now")),
    ]
    for tool, names in pairs:
        first = tool(ordered, ticker)
        assert tool(shuffled, ticker) == first
        scaled = tool(shuffled, f"{ticker}X")
        for name in names:
            assert scaled.value(name) == pytest.approx(first.value(name), rel=1e-6, abs=1e-12)


def test_an_old_price_is_said_to_be_old(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    rows = [*price_rows("OLD", walk(1)[:100]), *price_rows("NEW", walk(2)[:120])]
    view = view_of(make_home(prices=rows))
    last = price_rows("OLD", [1.0] * 100)[-1]["date"]
    for ticker, missing in (("OLD", (f"OLD prices after {last}: none known by {view.as_of}",)), ("NEW", ())):
        assert volatility(view, ticker).missing == missing
        assert drawdown(view, ticker).missing == missing
        assert value_at_risk(view, ticker, horizon=1, confidence=0.9).missing == missing


HULL_PRICES = [
    *(20.00, 20.10, 19.90, 20.00, 20.50, 20.25, 20.90, 20.90, 20.90, 20.75, 20.75),
    *(21.00, 21.10, 20.90, 20.90, 21.25, 21.40, 21.40, 21.25, 21.75, 22.00),
]


def test_hull_volatility_from_21_prices() -> None:
    """Hull, Options, Futures, table 15.1: log returns with s = 0.01216, 19.3 % a year, standard error 3.1 %."""
    made = volatility(Given.of({"A": HULL_PRICES}, "prices"), "A", log=True, periods=252)
    assert made.value("per_period") == pytest.approx(0.01216, abs=5e-6)
    assert made.value("volatility") == pytest.approx(0.193, abs=5e-4)
    assert made.value("standard_error") == pytest.approx(0.031, abs=5e-4)


def series(seed: int = 3, n: int = 600) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).standard_t(5, n) * 0.01 + 0.0003


def view_on(returns: Any) -> View:
    return Given.of({"A": returns}, "returns")


def test_volatility_by_other_methods() -> None:
    returns = series()
    made = volatility(view_on(returns), "A", 600, method="ewma", decay=0.97, periods=12)
    h = returns[0] ** 2
    for r in returns[1:]:
        h = 0.97 * h + 0.03 * r * r
    assert made.value("volatility") == pytest.approx(math.sqrt(12 * h))
    assert volatility(view_on(returns), "A", 600, ddof=0).value("per_period") == pytest.approx(returns.std())
    # High over low is e^0.02 each session: Parkinson's deviation is 0.02 / sqrt(4 ln 2).
    closes = np.tile([100.0, 101.0], 30)
    bars = {"A:open": closes, "A:high": closes * math.exp(0.01), "A:low": closes * math.exp(-0.01), "A:close": closes}
    made = volatility(Given.of(bars, "prices"), "A:close", method="parkinson")
    assert made.value("per_period") == pytest.approx(0.02 / math.sqrt(4 * math.log(2)))
    assert made.value("ratio") == pytest.approx(1)
    with pytest.raises(NotComputed, match="needs open, high and low of A on every session for yang_zhang"):
        volatility(Given.of({"A": chained(returns.tolist())}, "prices"), "A", method="yang_zhang")
    low = {**bars, "A:low": closes * 2}
    with pytest.raises(NotComputed, match="above zero, and no high below its low"):
        volatility(Given.of(low, "prices"), "A:close", method="parkinson")


def test_the_square_root_of_time_is_said_and_exact() -> None:
    """Hull: the N-day VaR is the one-day VaR times the square root of N, where the mean is zero."""
    view = view_on(series())
    for method in ("historical", "cornish_fisher"):
        one = value_at_risk(view, "A", 1, 0.95, method)
        ten = value_at_risk(view, "A", 10, 0.95, method, scaling="square_root")
        assert ten.value("var") == pytest.approx(one.value("var") * math.sqrt(10))
        assert ten.value("es") == pytest.approx(one.value("es") * math.sqrt(10))
        assert "by the square root of time" in ten.conventions["horizon"]
    for method in ("gaussian", "student_t"):
        one, ten = (
            value_at_risk(view, "A", h, 0.95, method, scaling="square_root", mean="zero", degrees_of_freedom=5)
            for h in (1, 10)
        )
        assert ten.value("var") == pytest.approx(one.value("var") * math.sqrt(10))
    one, ten = (value_at_risk(view, "A", h, 0.95, "student_t", scaling="square_root", mean="zero") for h in (1, 10))
    assert ten.value("var") == pytest.approx(one.value("var") * math.sqrt(10))
    r = series()
    ten = value_at_risk(view, "A", 10, 0.95, "gaussian", scaling="square_root")
    assert ten.value("var") == pytest.approx(-10 * r.mean() + math.sqrt(10) * r.std(ddof=1) * 1.6448536, abs=1e-8)


def test_every_method_is_its_formula() -> None:
    returns = series()
    view = view_on(returns)

    def asked(method: Any, **more: Any) -> tuple[float, float]:
        made = value_at_risk(view, "A", 1, 0.97, method, **more)
        return made.value("var"), made.value("es")

    def is_(tail: tails.Tail) -> Any:
        return pytest.approx((float(tail.var), float(tail.es)), rel=1e-9)

    assert asked("historical", quantile="hazen", shortfall="beyond") == is_(
        tails.historical(returns, 0.97, "hazen", "beyond")
    )
    assert asked("historical", decay=0.99) == is_(tails.age_weighted(returns, 0.97, 0.99))
    assert asked("cornish_fisher") == is_(tails.cornish_fisher(returns, 0.97))
    assert asked("cornish_fisher", ddof=1) == is_(tails.cornish_fisher(returns, 0.97, 1))
    assert asked("gaussian", ddof=0) == is_(tails.gaussian(returns.mean(), returns.std(), 0.97))
    assert asked("gaussian", ddof="0") == asked("gaussian", ddof=0)  # as a command line gives it
    assert asked("student_t", degrees_of_freedom=6) == is_(
        tails.student_t(returns.mean(), returns.std(ddof=1), 0.97, 6)
    )
    assert asked("monte_carlo", simulations=5000, seed=4) == is_(tails.monte_carlo(returns, 0.97, 1, 5000, 4))
    drawn = conditional.filtered_returns(conditional.fit(returns), 1, 5000, 4)
    assert asked("garch", simulations=5000, seed=4) == is_(tails.historical(drawn, 0.97))
    made = value_at_risk(view, "A", 1, 0.97, "student_t")
    assert 3 < made.value("degrees_of_freedom") < 12
    assert made.value("es") > made.value("var") > 0
    made = value_at_risk(view, "A", 1, 0.97, value=2e6)
    assert made.value("var_usd") == pytest.approx(2e6 * made.value("var"))
    logs = value_at_risk(view, "A", 1, 0.97, log=True)
    assert logs.value("var") == pytest.approx(float(tails.historical(np.log1p(returns), 0.97).var))


@pytest.mark.parametrize("method", ["garch", "monte_carlo"])
def test_a_simulated_horizon_is_seeded_and_grows(method: Any) -> None:
    view = view_on(series())
    one, ten, again, other = (
        value_at_risk(view, "A", h, 0.99, method, seed=s) for h, s in ((1, 1), (10, 1), (10, 1), (10, 2))
    )
    assert ten == again != other
    assert 2 < ten.value("var") / one.value("var") < 4.5
    assert "seed 1" in ten.conventions["simulations"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"method": "garch", "scaling": "square_root"}, "needs scaling overlapping; garch simulates the horizon"),
        ({"method": "gaussian", "decay": 0.99}, "needs method historical with decay"),
        ({"method": "monte_carlo", "log": True}, "needs simple returns"),
        ({"quantile": "higher", "shortfall": "beyond", "minimum": 10, "window": 20}, "needs losses strictly beyond"),
        ({"method": "garch", "window": 80}, "needs at least 100 returns to fit a GARCH; got 80"),
    ],
)
def test_what_a_method_needs(asked: dict[str, Any], said: str) -> None:
    flat = np.tile([-0.01, 0.01], 300) if "shortfall" in asked else series()
    with pytest.raises(NotComputed, match=said):
        value_at_risk(view_on(flat), "A", 1, 0.99, **asked)


def test_fewer_returns_are_taken_where_that_is_asked() -> None:
    view = view_on(series(n=24))
    with pytest.raises(NotComputed, match="needs at least 60"):
        value_at_risk(view, "A", 1, 0.95, "cornish_fisher")
    made = value_at_risk(view, "A", 1, 0.95, "cornish_fisher", minimum=20)
    assert made.value("observations") == 24
    assert any("so VaR and ES are rough" in note for note in made.missing)
