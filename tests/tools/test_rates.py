"""Bonds against Hull, Fabozzi, Excel's documentation and QuantLib, and what must hold of them."""

from collections.abc import Mapping
from datetime import date, timedelta
from importlib import import_module
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.tools.arguments import measured
from openoutcry.tools.rates import bond as bond_tool

bond: Any = bond_tool
"""As the command line calls them: with text that the tool reads."""
ql: Any = import_module("QuantLib")

HULL = "Hull, Options, Futures, and Other Derivatives, chapter 4"
FABOZZI = "Fabozzi, Bond Markets, Analysis, and Strategies, chapters 2 and 4"
EXCEL = "Excel's documentation"
CONTINUOUS = {"coupon": 0.10, "years_to_maturity": 3, "compounding": "continuous"}
SHORT_ZEROS = "0.5=0.05,1=0.058,1.5=0.064,2=0.068"


def dated(settlement: str, maturity: str, basis: int, **more: Any) -> dict[str, Any]:
    """Dates as Excel takes them; its basis is read as a day count."""
    return {"settlement": settlement, "maturity": maturity, "day_count": basis, **more}


def by_nine(coupon: float, years: int) -> dict[str, Any]:
    """Fabozzi's bonds, all at a yield of 9 %."""
    return {"coupon": coupon, "years_to_maturity": years, "yield_to_maturity": 0.09}


BONDS: list[tuple[str, dict[str, Any], dict[str, tuple[float | int | str, float]]]] = [
    (HULL, CONTINUOUS | {"yield_to_maturity": 0.12}, {
        "clean_price": (94.213, 5e-4), "macaulay_duration": (2.653, 5e-4),
    }),
    (HULL, CONTINUOUS | {"yield_to_maturity": 0.121}, {"clean_price": (93.963, 5e-4)}),
    (HULL, {"coupon": 0.10, "years_to_maturity": 3, "clean_price": 94.213}, {
        "yield_to_maturity": (0.123673, 5e-6), "modified_duration": (2.4985, 1e-4),
    }),
    (HULL, {"coupon": 0.06, "years_to_maturity": 2, "zero_rates": SHORT_ZEROS, "compounding": "continuous"}, {
        "dirty_price": (98.39, 0.005), "yield_to_maturity": (0.0676, 5e-5), "par_yield": (0.0687, 5e-5),
    }),
    (FABOZZI, {"face": 1000, "coupon": 0.10, "years_to_maturity": 20, "yield_to_maturity": 0.11}, {
        "clean_price": (919.77, 0.005),
    }),
    (FABOZZI, {"face": 1000, "coupon": 0.10, "years_to_maturity": 20, "yield_to_maturity": 0.068}, {
        "clean_price": (1347.04, 0.005),
    }),
    (FABOZZI, {"face": 1000, "coupon": 0.10, "years_to_maturity": 20, "yield_to_maturity": 0.10}, {
        "clean_price": (1000, 1e-9), "current_yield": (0.10, 1e-12),
    }),
    (FABOZZI, {"face": 1000, "years_to_maturity": 15, "yield_to_maturity": 0.094}, {"clean_price": (252.12, 0.005)}),
    (FABOZZI, by_nine(0.09, 5), {
        "macaulay_duration": (4.13, 0.005), "modified_duration": (3.96, 0.005), "convexity": (19.45, 0.005),
    }),
    (FABOZZI, by_nine(0.09, 25), {
        "macaulay_duration": (10.33, 0.005), "modified_duration": (9.88, 0.005), "convexity": (160.72, 0.005),
    }),
    (FABOZZI, by_nine(0.06, 5), {
        "clean_price": (88.1309, 5e-5), "macaulay_duration": (4.35, 0.005), "modified_duration": (4.16, 0.005),
    }),
    (FABOZZI, by_nine(0.06, 25), {
        "clean_price": (70.3570, 5e-5), "macaulay_duration": (11.10, 0.005), "modified_duration": (10.62, 0.005),
    }),
    (FABOZZI, by_nine(0, 5), {
        "clean_price": (64.3928, 5e-5), "macaulay_duration": (5.00, 1e-9), "modified_duration": (4.78, 0.005),
        "convexity": (25.18, 0.005),
    }),
    (FABOZZI, by_nine(0, 25), {"clean_price": (11.0710, 5e-5), "convexity": (583.78, 0.005)}),
    (f"{EXCEL}, PRICE", dated("2008-02-15", "2017-11-15", 0, coupon=0.0575, yield_to_maturity=0.065), {
        "clean_price": (94.63436162, 1e-8),
    }),
    (f"{EXCEL}, YIELD", dated("2008-02-15", "2016-11-15", 0, coupon=0.0575, clean_price=95.04287), {
        "yield_to_maturity": (0.065, 5e-8),
    }),
    (f"{EXCEL}, DURATION", dated("2018-07-01", "2048-01-01", 1, coupon=0.08, yield_to_maturity=0.09), {
        "macaulay_duration": (10.9191453, 1e-7),
    }),
    (f"{EXCEL}, DURATION 2007", dated("2008-01-01", "2016-01-01", 1, coupon=0.08, yield_to_maturity=0.09), {
        "macaulay_duration": (5.993775, 1e-6), "modified_duration": (5.73567, 1e-5),
    }),
    (f"{EXCEL}, ODDFPRICE", dated(
        "2008-11-11", "2021-03-01", 1, coupon=0.0785, yield_to_maturity=0.0625, issue_date="2008-10-15",
        first_coupon_date="2009-03-01",
    ), {"clean_price": (113.597717, 1e-6)}),
    (f"{EXCEL}, ODDFYIELD", dated(
        "2008-11-11", "2021-03-01", 0, coupon=0.0575, clean_price=84.50, issue_date="2008-10-15",
        first_coupon_date="2009-03-01",
    ), {"yield_to_maturity": (0.077245542, 1e-9)}),
    (f"{EXCEL}, COUPDAYBS, COUPDAYS, COUPDAYSNC, COUPNCD, COUPPCD", dated(
        "2011-01-25", "2011-11-15", 1, coupon=0.05, yield_to_maturity=0.05
    ), {
        "accrued_days": (71, 0), "coupon_period_days": (181, 0), "days_to_next_coupon": (110, 0),
        "next_coupon": ("2011-05-15", 0), "previous_coupon": ("2010-11-15", 0), "payments_left": (2, 0),
    }),
    (f"{EXCEL}, COUPNUM", dated("2007-01-25", "2008-11-15", 1, coupon=0.05, yield_to_maturity=0.05), {
        "payments_left": (4, 0),
    }),
    (f"{EXCEL}, ACCRINT", dated(
        "2008-05-01", "2008-08-31", 0, face=1000, coupon=0.10, yield_to_maturity=0.1, issue_date="2008-03-01"
    ), {"accrued_interest": (16.666667, 1e-6)}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "terms", "published"), BONDS)
def test_published_bonds(
    source: str, terms: dict[str, Any], published: Mapping[str, tuple[float | str, float]]
) -> None:
    made = bond(**terms)
    for name, (value, within) in published.items():
        if isinstance(value, str):
            assert made.figures[name].value == value, source
        else:
            assert made.value(name) == pytest.approx(value, abs=within), (source, name)


def test_the_last_period_is_simple_interest_in_excel_and_the_us() -> None:
    """Excel's formula where one coupon is left: (100 + C) / (1 + DSR/E x yield / 2) - accrued."""
    terms = dated("2008-02-15", "2008-05-15", 0, coupon=0.06, yield_to_maturity=0.04)
    assert bond(**terms).value("clean_price") == pytest.approx(103 / (1 + 0.5 * 0.02) - 1.5, abs=1e-12)
    compounded = bond(**terms, last_period="compounded").value("dirty_price")
    assert compounded == pytest.approx(103 / 1.02**0.5, abs=1e-12)
    assert bond(coupon=0.06, years_to_maturity="3/12", yield_to_maturity=0.04).value("dirty_price") == compounded


def test_a_yield_to_call_takes_the_call() -> None:
    """Fabozzi, chapter 3: 18 years of 11 % at 1,169: 9.077 %; called in 8 at 1,055: 8.535 %; in 13 at par: 8.79 %."""
    bought: dict[str, Any] = {"face": 1000, "coupon": 0.11, "clean_price": 1169}
    for years, redemption, published in ((18, 1000, 0.09077), (8, 1055, 0.08535), (13, 1000, 0.0879)):
        made = bond(**bought, years_to_maturity=years, redemption=redemption)
        assert made.value("yield_to_maturity") == pytest.approx(published, abs=5e-5)


def test_a_long_first_period_pays_for_its_length() -> None:
    """Nine months of 6 % on the 30/360 day count pay 4.50, and three of them have accrued 1.50."""
    terms = dated(
        "2024-04-15", "2026-10-15", 0, coupon=0.06, yield_to_maturity=0.06, issue_date="2024-01-15",
        first_coupon_date="2024-10-15",
    )  # fmt: skip
    made = bond(**terms)
    assert made.value("accrued_interest") == pytest.approx(1.5)
    flows = [4.5, 3, 3, 3, 103]
    dirty = sum(a / 1.03 ** (1 + k) for k, a in enumerate(flows))
    assert made.value("dirty_price") == pytest.approx(dirty, abs=1e-12)


def test_month_ends() -> None:
    """Excel's COUPNCD counts back from a month's end to month's ends."""
    terms = dated("2011-01-25", "2012-08-31", 0, coupon=0.05, yield_to_maturity=0.05)
    assert bond(**terms).figures["next_coupon"].value == "2011-02-28"
    other = dated("2011-03-25", "2012-06-30", 0, coupon=0.05, yield_to_maturity=0.05)
    assert bond(**other, end_of_month=False).figures["previous_coupon"].value == "2010-12-30"
    assert bond(**other).figures["previous_coupon"].value == "2010-12-31"


def test_a_spread_over_the_curve() -> None:
    terms: dict[str, Any] = {"coupon": 0.06, "years_to_maturity": 2, "zero_rates": SHORT_ZEROS}
    priced = bond(**terms)
    assert bond(**terms, clean_price=priced.value("clean_price")).value("z_spread") == pytest.approx(0, abs=1e-9)
    lifted = ",".join(f"{p.split('=')[0]}={float(p.split('=')[1]) + 0.01}" for p in SHORT_ZEROS.split(","))
    dearer = bond(**(terms | {"zero_rates": lifted})).value("dirty_price")
    assert bond(**terms, dirty_price=dearer).value("z_spread") == pytest.approx(0.01, abs=1e-10)


DAY_COUNTS = {
    "actual/actual-icma": lambda: ql.ActualActual(ql.ActualActual.ISMA),
    "30/360": lambda: ql.Thirty360(ql.Thirty360.USA),
    "actual/365": ql.Actual365Fixed,
    "actual/360": ql.Actual360,
}


def in_quantlib(
    settlement: date, maturity: date, coupon: float, frequency: int, day_count: str, rate: float
) -> tuple[float, float, float, float, float]:
    """Clean price, accrued, Macaulay and modified duration, convexity of QuantLib's own bond."""
    day, end = (ql.Date(d.day, d.month, d.year) for d in (settlement, maturity))
    years = settlement.year - maturity.year - 1
    schedule = ql.Schedule(
        end + ql.Period(years * 12, ql.Months), end, ql.Period(12 // frequency, ql.Months), ql.NullCalendar(),
        ql.Unadjusted, ql.Unadjusted, ql.DateGeneration.Backward, False,
    )  # fmt: skip
    counter = DAY_COUNTS[day_count]()
    made = ql.FixedRateBond(0, 100, schedule, [coupon], counter)
    at = ql.InterestRate(rate, counter, ql.Compounded, frequency)
    functions = ql.BondFunctions
    return (
        functions.cleanPrice(made, at, day),
        functions.accruedAmount(made, day),
        functions.duration(made, at, ql.Duration.Macaulay, day),
        functions.duration(made, at, ql.Duration.Modified, day),
        functions.convexity(made, at, day),
    )


@settings(max_examples=60)
@given(
    settlement=st.dates(date(2005, 1, 1), date(2025, 12, 28)),
    ahead=st.integers(40, 9000),
    coupon=st.floats(0.001, 0.12),
    frequency=st.sampled_from([1, 2, 4]),
    day_count=st.sampled_from(list(DAY_COUNTS)),
    rate=st.floats(-0.01, 0.15),
)
def test_bonds_against_quantlib(
    settlement: date, ahead: int, coupon: float, frequency: int, day_count: str, rate: float
) -> None:
    maturity = settlement + timedelta(ahead)
    assume(maturity.day <= 28)
    price, accrued, macaulay, modified, convexity = in_quantlib(
        settlement, maturity, coupon, frequency, day_count, rate
    )
    alike = day_count == "actual/actual-icma" or (day_count == "30/360" and max(settlement.day, maturity.day) < 28)
    ways = ["street", "day_count"] if alike else ["day_count"]
    for convention in ways:
        made = bond(
            settlement=settlement, maturity=maturity, coupon=coupon, frequency=frequency, day_count=day_count,
            yield_to_maturity=rate, convention=convention, last_period="compounded",
            end_of_month=False,
        )  # fmt: skip
        assert made.value("clean_price") == pytest.approx(price, rel=1e-9)
        assert made.value("accrued_interest") == pytest.approx(accrued, abs=1e-9)
        assert made.value("macaulay_duration") == pytest.approx(macaulay, rel=1e-8)
        assert made.value("modified_duration") == pytest.approx(modified, rel=1e-8)
        assert made.value("convexity") == pytest.approx(convexity, rel=1e-8)


@given(
    coupon=st.floats(0, 0.15),
    years=st.floats(0.1, 40),
    rate=st.floats(-0.02, 0.3),
    frequency=st.sampled_from([0, 1, 2, 4, 12]),
    compounding=st.sampled_from([None, "continuous", "annual", "simple"]),
)
def test_price_and_yield_go_round_and_price_falls_as_yield_rises(
    coupon: float, years: float, rate: float, frequency: int, compounding: str | None
) -> None:
    assume(compounding != "simple" or rate > -0.9 / years)
    terms: dict[str, Any] = {
        "coupon": coupon, "years_to_maturity": years, "frequency": frequency, "compounding": compounding,
    }  # fmt: skip
    made, higher = (bond(**terms, yield_to_maturity=r) for r in (rate, rate + 0.001))
    assert higher.value("dirty_price") < made.value("dirty_price")
    clean, dirty, accrued = (made.value(n) for n in ("clean_price", "dirty_price", "accrued_interest"))
    assert clean + accrued == pytest.approx(dirty, rel=1e-12)
    for name, price in (("clean_price", clean), ("dirty_price", dirty)):
        assert bond(**terms, **{name: price}).value("yield_to_maturity") == pytest.approx(rate, abs=1e-9)
    move = 1e-5
    up, down = (bond(**terms, yield_to_maturity=rate + s).value("dirty_price") for s in (move, -move))
    assert made.value("modified_duration") == pytest.approx((down - up) / (2 * move) / dirty, rel=1e-5, abs=1e-6)
    assert made.value("convexity") == pytest.approx((up - 2 * dirty + down) / move**2 / dirty, rel=1e-2, abs=1e-2)


BAD_BONDS: list[tuple[dict[str, Any], str]] = [
    ({"yield_to_maturity": None}, "needs one of yield_to_maturity, clean_price, dirty_price and zero_rates; got none"),
    ({"clean_price": 99}, "got yield_to_maturity and clean_price"),
    ({"years_to_maturity": None}, "needs settlement and maturity, or years_to_maturity"),
    ({"settlement": "2020-01-01"}, "needs settlement and maturity, or years_to_maturity"),
    ({"years_to_maturity": 0}, "needs a maturity after settlement"),
    ({"years_to_maturity": -2}, "needs a maturity after settlement"),
    ({"face": 0}, "needs a face above zero; got 0"),
    ({"yield_to_maturity": None, "clean_price": -5}, "needs a price above zero; got -5"),
    ({"yield_to_maturity": -3}, "needs a rate that leaves a positive discount factor; got -3"),
    ({"yield_to_maturity": None, "zero_rates": "now=0.05"}, "needs zero rates by years above zero"),
    ({"coupon": -2}, "needs flows worth more than zero"),
]


@pytest.mark.parametrize(("more", "message"), BAD_BONDS)
def test_refused_bonds(more: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"coupon": 0.05, "years_to_maturity": 5, "yield_to_maturity": 0.04}
    with pytest.raises(NotComputed, match=message):
        bond(**(whole | more))


BAD_DATES: list[tuple[dict[str, Any], str]] = [
    ({"settlement": "2031-01-01"}, "needs settlement before maturity; got 2031-01-01 and 2030-05-15"),
    ({"settlement": "2030-05-15"}, "needs settlement before maturity"),
    ({"issue_date": "2021-01-01"}, "needs an issue date by settlement"),
    ({"first_coupon_date": "2020-11-15"}, "needs issue_date with first_coupon_date"),
    ({"first_coupon_date": "2020-12-01", "issue_date": "2020-01-01"}, "needs a first coupon date after issue"),
    ({"settlement": "1850-01-01"}, "needs dates from 1902 to 2199; got 1850-01-01"),
]


@pytest.mark.parametrize(("more", "message"), BAD_DATES)
def test_refused_dates(more: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {
        "coupon": 0.05, "settlement": "2020-02-15", "maturity": "2030-05-15", "yield_to_maturity": 0.04,
    }  # fmt: skip
    with pytest.raises(NotComputed, match=message):
        bond(**(whole | more))
    with pytest.raises(UsageError, match="day_count"):
        bond(**whole, day_count="lunar")


def test_what_a_model_may_not_make_up() -> None:
    assert measured(bond) == {"yield_to_maturity", "clean_price", "dirty_price", "zero_rates"}


def test_years_between_coupons() -> None:
    """2.25 years of 8 % by halves: five payments, the first in a quarter, half of its coupon accrued."""
    made = bond(coupon=0.08, years_to_maturity=2.25, yield_to_maturity=0.06)
    flows = [(0.5, 4), (1.5, 4), (2.5, 4), (3.5, 4), (4.5, 104)]
    assert made.value("dirty_price") == pytest.approx(sum(a / 1.03**t for t, a in flows), abs=1e-12)
    assert made.value("accrued_interest") == pytest.approx(2)
    assert made.value("payments_left") == 5
