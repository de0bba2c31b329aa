"""Zero curves and rates against Hull, Excel's documentation and QuantLib, and what must hold of them."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.arguments import measured
from openoutcry.tools.formulas.curves import Curve, Quote, bootstrap
from openoutcry.tools.zero_rates import convert_rate as convert_rate_tool
from openoutcry.tools.zero_rates import zero_curve as zero_curve_tool

zero_curve: Any = zero_curve_tool
convert_rate: Any = convert_rate_tool
"""As the command line calls them: with text that the tool reads."""
ql: Any = import_module("QuantLib")


def test_the_bootstrap_of_hull() -> None:
    """Table 4.3 and 4.4: 10.127, 10.469, 10.536, 10.681 and 10.808 %, continuously compounded."""
    made = zero_curve(maturities="0.25,0.5,1,1.5,2", prices="97.5,94.9,90,96,101.6", coupons="0,0,0,0.08,0.12")
    rates = {"0_25": 10.127, "0_5": 10.469, "1": 10.536, "1_5": 10.681, "2": 10.808}
    for name, published in rates.items():
        assert 100 * made.value(f"zero_{name}") == pytest.approx(published, abs=5e-4)
    assert made.value("discount_1") == pytest.approx(0.9)


def test_the_forward_rates_of_hull() -> None:
    """Table 4.5: zero rates 3.0, 4.0, 4.6, 5.0, 5.3 % give forward rates 5.0, 5.8, 6.2, 6.5 %."""
    made = zero_curve(maturities=[1, 2, 3, 4, 5], zero_rates=[0.03, 0.04, 0.046, 0.05, 0.053])
    for name, published in (("1_2", 5.0), ("2_3", 5.8), ("3_4", 6.2), ("4_5", 6.5)):
        assert 100 * made.value(f"forward_{name}") == pytest.approx(published, abs=1e-9)


def test_par_yields() -> None:
    """Hull, section 4.6: zero rates 5.0, 5.8, 6.4, 6.8 % give a two-year par yield of 6.87 %, semiannual."""
    made = zero_curve(maturities=[0.5, 1, 1.5, 2], zero_rates=[0.05, 0.058, 0.064, 0.068])
    assert 100 * made.value("par_2") == pytest.approx(6.87, abs=0.005)
    annual = zero_curve(maturities="1,2", coupons="0.05,0.06", frequency="1", compounding="annual", at="1.5")
    first = 1 / 1.05
    second = (1 - 0.06 * first) / 1.06
    assert annual.value("discount_1") == pytest.approx(first, rel=1e-12)
    assert annual.value("zero_2") == pytest.approx(second**-0.5 - 1, rel=1e-10)
    assert annual.value("forward_1_1_5") > 0.06
    assert annual.value("par_2") == pytest.approx(0.06, rel=1e-10)
    deposit = zero_curve(maturities=[0.25], coupons=[0.04], compounding="simple")
    assert deposit.value("zero_0_25") == pytest.approx(0.04, rel=1e-12)


@pytest.mark.parametrize("interpolation", ["linear_zero", "log_linear_discount"])
def test_a_bootstrap_against_quantlib(interpolation: str) -> None:
    months, coupons = (6, 12, 24, 36, 60, 84), (0.0, 0.0, 0.03, 0.035, 0.04, 0.045)
    prices = (98.9, 97.6, 99.8, 100.4, 101.2, 102.7)
    today, counter = ql.Date(15, 1, 2024), ql.Thirty360(ql.Thirty360.USA)
    helpers: list[Any] = []
    for month, coupon, price in zip(months, coupons, prices, strict=True):
        schedule = ql.Schedule(
            today, today + ql.Period(month, ql.Months), ql.Period(6, ql.Months), ql.NullCalendar(), ql.Unadjusted,
            ql.Unadjusted, ql.DateGeneration.Backward, False,
        )  # fmt: skip
        quote = ql.QuoteHandle(ql.SimpleQuote(price))
        helpers.append(ql.FixedRateBondHelper(quote, 0, 100, schedule, [coupon], counter))
    settings = ql.Settings.instance()
    before, settings.evaluationDate = settings.evaluationDate, today
    try:
        kind = ql.PiecewiseLinearZero if interpolation == "linear_zero" else ql.PiecewiseLogLinearDiscount
        theirs = kind(today, helpers, counter)
        expected = [theirs.discount(m / 12) for m in (9, *months)]
    finally:
        settings.evaluationDate = before
    made = zero_curve(
        maturities=[m / 12 for m in months], coupons=coupons, prices=prices, at=[0.75], interpolation=interpolation
    )
    ours = [made.value(f"discount_{n}") for n in ("0_75", "0_5", "1", "2", "3", "5", "7")]
    assert ours == pytest.approx(expected, abs=2e-9)


@given(
    gaps=st.lists(st.floats(0.2, 3), min_size=1, max_size=8),
    coupons=st.lists(st.floats(0, 0.1), min_size=8, max_size=8),
    zeros=st.lists(st.floats(-0.01, 0.12), min_size=8, max_size=8),
    frequency=st.sampled_from([1, 2, 4]),
    interpolation=st.sampled_from(["linear_zero", "log_linear_discount"]),
)
def test_a_curve_reprices_its_instruments(
    gaps: list[float], coupons: list[float], zeros: list[float], frequency: int, interpolation: Any
) -> None:
    times = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    known = Curve(tuple(times), tuple(zeros[: len(times)]), interpolation)
    bare = [Quote(t, c, 1.0, frequency) for t, c in zip(times, coupons, strict=False)]
    quotes = [replace(q, price=known.worth(q)) for q in bare]
    curve = bootstrap(quotes, interpolation)
    for quote in quotes:
        assert curve.worth(quote) == pytest.approx(quote.price, abs=1e-8)
    assert curve.zeros == pytest.approx(known.zeros, abs=1e-6)
    rising = [coupons[0] + 0.002 * i for i in range(len(times))]
    par = bootstrap([Quote(t, c, None, frequency) for t, c in zip(times, rising, strict=True)], interpolation)
    for t, c in zip(times, rising, strict=True):
        assert par.par(t, frequency) == pytest.approx(c, abs=1e-9)


BAD_CURVES: list[tuple[dict[str, Any], str]] = [
    ({}, "needs coupons, prices or zero_rates; got none"),
    ({"prices": "99"}, "needs 2 prices, one a maturity; got 1"),
    ({"prices": "99,-98"}, "needs prices and maturities above zero; got -98 at 2 years"),
    ({"prices": "99,98", "zero_rates": "0.01,0.02"}, "needs zero_rates, or coupons and prices; got both"),
    ({"prices": "99,98", "maturities": "1,1"}, "needs each maturity once; got 1 twice"),
    ({"zero_rates": "0.01,0.02", "maturities": "1,1"}, "needs each maturity once"),
    ({"prices": "99,98", "maturities": "0,1"}, "needs maturities above zero"),
    ({"prices": "99,2000"}, "needs a price that a zero rate"),
]


@pytest.mark.parametrize(("more", "message"), BAD_CURVES)
def test_refused_curves(more: dict[str, Any], message: str) -> None:
    with pytest.raises(NotComputed, match=message):
        zero_curve(**({"maturities": "1,2"} | more))


@pytest.mark.parametrize(
    ("rate", "given", "wanted", "published", "within"),
    [
        (0.10, "semiannual", "continuous", 0.09758, 5e-6),
        (0.08, "continuous", "quarterly", 0.0808, 5e-5),
        (0.10, "semiannual", "annual", 0.1025, 1e-12),
        (0.10, "quarterly", "annual", 0.1038, 5e-5),
        (0.10, "monthly", "annual", 0.1047, 5e-5),
        (0.10, "weekly", "annual", 0.1051, 5e-5),
        (0.10, "daily", "annual", 0.1052, 5e-5),
        (0.0525, "quarterly", "annual", 0.0535427, 5e-8),
        (0.053543, "annual", "quarterly", 0.05250032, 5e-9),
    ],
)
def test_converted_rates(rate: float, given: str, wanted: str, published: float, within: float) -> None:
    """Hull, table 4.1 and examples 4.1 and 4.2; Excel's EFFECT and NOMINAL."""
    made = convert_rate(rate=rate, from_compounding=given, to_compounding=wanted)
    assert made.value("rate") == pytest.approx(published, abs=within)


WAYS = ["continuous", "annual", "semiannual", "quarterly", "monthly", "weekly", "daily", "simple", "discount"]


@given(rate=st.floats(-0.2, 0.3), given=st.sampled_from(WAYS), wanted=st.sampled_from(WAYS), time=st.floats(0.05, 3))
def test_a_rate_goes_there_and_back(rate: float, given: str, wanted: str, time: float) -> None:
    there = convert_rate(rate=rate, from_compounding=given, to_compounding=wanted, time=time)
    back = convert_rate(rate=there.value("rate"), from_compounding=wanted, to_compounding=given, time=time)
    assert back.value("rate") == pytest.approx(rate, abs=1e-11)
    assert there.value("discount_factor") * there.value("growth_factor") == pytest.approx(1)


def test_refused_rates() -> None:
    with pytest.raises(NotComputed, match="needs time in years for a simple or discount rate"):
        convert_rate(rate=0.05, from_compounding="simple")
    with pytest.raises(NotComputed, match="needs a time above zero; got -1"):
        convert_rate(rate=0.05, from_compounding="annual", time=-1)
    with pytest.raises(NotComputed, match=r"leaves a positive discount factor; got 0\.5"):
        convert_rate(rate=0.5, from_compounding="discount", time=3)


def test_what_a_model_may_not_make_up() -> None:
    assert measured(zero_curve) == {"coupons", "prices", "zero_rates"}
    assert measured(convert_rate) == {"rate"}
