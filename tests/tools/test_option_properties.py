"""What must hold of every option price: parity, bounds, round trips, and greeks against differences."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.formulas.contract import Barrier, Kind, Option
from openoutcry.tools.formulas.pricing import american_value, barrier_price, best
from openoutcry.tools.formulas.trees import tree
from openoutcry.tools.options import implied_volatility as implied_volatility_tool
from openoutcry.tools.options import option as option_tool

option: Any = option_tool
implied_volatility: Any = implied_volatility_tool
"""As the command line calls them: with text that the tool reads."""
KINDS: tuple[Kind, Kind] = ("call", "put")

contracts = st.builds(
    Option,
    spot=st.floats(20, 200),
    strike=st.floats(50, 150),
    rate=st.floats(-0.02, 0.12),
    volatility=st.floats(0.05, 0.9),
    years=st.floats(0.02, 5),
    kind=st.sampled_from(KINDS),
    dividend_yield=st.floats(0, 0.1),
)


def of(contract: Option, **more: Any) -> Evidence:
    return option(
        spot=contract.spot, strike=contract.strike, rate=contract.rate, volatility=contract.volatility,
        kind=more.pop("kind", contract.kind), time=contract.years, dividend_yield=contract.dividend_yield, **more,
    )  # fmt: skip


@given(contract=contracts)
def test_put_call_parity(contract: Option) -> None:
    call, put = (of(contract, kind=k).value("price") for k in KINDS)
    discounted = contract.strike * math.exp(-contract.rate * contract.years)
    forward = contract.spot * math.exp(-contract.dividend_yield * contract.years)
    assert call - put == pytest.approx(forward - discounted, abs=1e-9 * contract.spot)


@settings(max_examples=15)
@given(contract=contracts)
def test_american_is_worth_at_least_european_and_intrinsic(contract: Option) -> None:
    american, european = (of(contract, exercise=e).value("price") for e in ("american", "european"))
    assert american >= max(european, contract.intrinsic) - 1e-7 * contract.strike
    fast = american_value(
        contract.spot, contract.strike, contract.rate, contract.volatility, contract.years, contract.kind,
        contract.dividend_yield,
    )  # fmt: skip
    assert fast == pytest.approx(american, abs=2e-5 * contract.strike)


@settings(max_examples=15)
@given(contract=contracts)
def test_american_against_a_tree(contract: Option) -> None:
    american = of(contract, exercise="american").value("price")
    drawn = tree(replace(contract, exercise="american"), 400).price
    assert american == pytest.approx(drawn, abs=3e-3 * (contract.spot + contract.strike))


@given(contract=contracts, level=st.floats(10, 300), way=st.sampled_from(["down", "up"]))
def test_in_and_out_make_the_plain_option(contract: Option, level: float, way: str) -> None:
    assume(abs(level - contract.spot) > 0.5)
    inside, outside = (of(contract, barrier_type=f"{way}_{end}", barrier=level).value("price") for end in ("in", "out"))
    plain = of(contract).value("price")
    assert inside + outside == pytest.approx(plain, abs=1e-7 * contract.spot)
    assert min(inside, outside) > -1e-7 * contract.spot


@settings(max_examples=12)
@given(contract=contracts, exercise=st.sampled_from(["european", "american"]), wider=st.floats(0.01, 0.5))
def test_price_rises_with_volatility_and_implies_it(contract: Option, exercise: Any, wider: float) -> None:
    low = of(contract, exercise=exercise)
    high = of(replace(contract, volatility=contract.volatility + wider), exercise=exercise)
    assert high.value("price") >= low.value("price") - 1e-7 * contract.strike
    assume(low.value("vega") > 0.05 * math.sqrt(contract.years))
    found = implied_volatility(
        price=low.value("price"), spot=contract.spot, strike=contract.strike, rate=contract.rate, kind=contract.kind,
        time=contract.years, exercise=exercise, dividend_yield=contract.dividend_yield,
    )  # fmt: skip
    assert found.value("implied_volatility") == pytest.approx(contract.volatility, abs=1e-5)


@given(contract=contracts, underlying=st.sampled_from(["spot", "future"]))
def test_closed_greeks_against_bumps(contract: Option, underlying: Any) -> None:
    """The formula's greeks against differences of the price, cash dividends and futures among them."""
    more: dict[str, Any] = {"underlying": underlying}
    if underlying == "spot":
        more |= {"dividend_yield": contract.dividend_yield, "dividends": {contract.years / 2: contract.spot / 100}}
    names = {"spot": "delta", "rate": "rho", "volatility": "vega", "time": "theta"}
    terms = {n: getattr(contract, n) for n in ("spot", "strike", "rate", "volatility", "kind")}
    whole: dict[str, Any] = terms | {"time": contract.years} | more
    made = option(**whole)
    for argument, greek in names.items():
        size = 1e-4 * whole[argument] if argument == "spot" else 1e-5
        values: list[float] = []
        for step in (size, -size):
            moved = dict(whole)
            moved[argument] += step
            if argument == "time" and underlying == "spot":
                moved["dividends"] = {contract.years / 2 + step: contract.spot / 100}
            values.append(option(**moved).value("price"))
        slope = (values[0] - values[1]) / (2 * size) * (-1 if greek == "theta" else 1)
        assert made.value(greek) == pytest.approx(slope, rel=2e-4, abs=2e-4 * contract.spot), greek


@settings(max_examples=10)
@given(contract=contracts)
def test_american_greeks_against_the_equation(contract: Option) -> None:
    """Where holding is better than exercise: theta + (r - q) S delta + s^2 S^2 gamma / 2 = r V (Black and Scholes)."""
    made = of(contract, exercise="american")
    assume(made.value("price") > contract.intrinsic + 1e-3 * contract.strike)
    drift = (contract.rate - contract.dividend_yield) * contract.spot * made.value("delta")
    curve = contract.volatility**2 * contract.spot**2 * made.value("gamma") / 2
    held = made.value("theta") + drift + curve
    assert held == pytest.approx(contract.rate * made.value("price"), abs=2e-3 * contract.strike)


def test_american_value_at_expiry_is_what_exercise_pays() -> None:
    assert american_value(90, 100, 0.05, 0.2, 0, "put") == 10
    assert american_value(90, 100, 0.05, 0.2, -1, "call") == 0
    assert best(Option(90, 100, 0.05, 0.0, 1, "put", "american")) == 10
    with pytest.raises(NotComputed, match="needs exercise european"):
        barrier_price(Option(90, 100, 0.05, 0.2, 1, "put", "american", barrier=Barrier("down_in", 80)))
