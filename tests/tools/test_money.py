"""Cash flows, annuities, bills and day counts against the documentation of Excel, numpy-financial and ISDA."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.annuities import annuity as annuity_tool
from openoutcry.tools.money import bill as bill_tool
from openoutcry.tools.money import cash_flows as cash_flows_tool
from openoutcry.tools.money import year_fraction as year_fraction_tool

annuity: Any = annuity_tool
bill: Any = bill_tool
cash_flows: Any = cash_flows_tool
year_fraction: Any = year_fraction_tool
"""As the command line calls them: with text that the tool reads."""

EXCEL_DATES = "2008-01-01,2008-03-01,2008-10-30,2009-02-15,2009-04-01"
LOSS = [-70000, 12000, 15000, 18000, 21000]
FLOWS: list[tuple[str, dict[str, Any], str, float, float]] = [
    ("Excel, NPV", {"amounts": "-10000,3000,4200,6800", "rate": 0.1}, "npv_excel", 1188.44, 0.005),
    ("Excel, NPV", {"amounts": "-40000,8000,9200,10000,12000,14500", "rate": 0.08}, "npv", 1922.06, 0.005),
    ("Excel, NPV", {"amounts": "-40000,8000,9200,10000,12000,14500,-9000", "rate": 0.08}, "npv", -3749.47, 0.005),
    ("Excel, IRR", {"amounts": LOSS}, "irr", -0.021, 5e-4),
    ("Excel, IRR", {"amounts": [*LOSS, 26000]}, "irr", 0.087, 5e-4),
    ("Excel, IRR", {"amounts": LOSS[:3]}, "irr", -0.444, 5e-4),
    ("Excel, XIRR", {"amounts": "-10000,2750,4250,3250,2750", "dates": EXCEL_DATES}, "irr", 0.373362535, 1e-8),
    ("Excel, XNPV", {"amounts": "-10000,2750,4250,3250,2750", "dates": EXCEL_DATES, "rate": 0.09},
     "npv", 2086.647602, 1e-6),
    ("Excel, MIRR", {"amounts": "-120000,39000,30000,21000,37000,46000", "finance_rate": 0.1, "reinvest_rate": 0.12},
     "modified_irr", 0.126094, 1e-6),
    ("numpy-financial, irr", {"amounts": [-100, 39, 59, 55, 20]}, "irr", 0.28095, 5e-6),
    ("numpy-financial, irr", {"amounts": [-100, 0, 0, 74]}, "irr", -0.0955, 5e-5),
    ("numpy-financial, irr", {"amounts": [-100, 100, 0, -7]}, "irr", -0.0833, 5e-5),
    ("numpy-financial, irr", {"amounts": [-100, 100, 0, 7]}, "irr", 0.06206, 5e-6),
    ("numpy-financial, irr", {"amounts": [-5, 10.5, 1, -8, 1]}, "irr", 0.0886, 5e-5),
    ("numpy-financial, npv", {"amounts": [-40000, 5000, 8000, 12000, 30000], "rate": 0.08}, "npv", 3065.22267, 5e-6),
]  # fmt: skip


@pytest.mark.parametrize(("source", "terms", "name", "published", "within"), FLOWS)
def test_published_cash_flows(source: str, terms: dict[str, Any], name: str, published: float, within: float) -> None:
    assert cash_flows(**terms).value(name) == pytest.approx(published, abs=within), source


ANNUITIES: list[tuple[str, dict[str, Any], str, float, float]] = [
    ("Excel, PV", {"rate": "0.08/12", "periods": 240, "payment": 500}, "present_value", -59777.15, 0.005),
    ("Excel, FV", {"rate": "0.06/12", "periods": 10, "payment": -200, "present_value": -500, "due": True},
     "future_value", 2581.40, 0.005),
    ("Excel, FV", {"rate": "0.12/12", "periods": 12, "payment": -1000}, "future_value", 12682.50, 0.005),
    ("Excel, PMT", {"rate": "0.08/12", "periods": 10, "present_value": 10000}, "payment", -1037.03, 0.005),
    ("Excel, PMT", {"rate": "0.08/12", "periods": 10, "present_value": 10000, "due": True}, "payment", -1030.16, 0.005),
    ("Excel, RATE", {"periods": 48, "payment": -200, "present_value": 8000}, "rate", 0.0077, 5e-5),
    ("Excel, RRI", {"periods": 96, "present_value": -10000, "future_value": 11000}, "rate", 0.0009933, 5e-8),
    ("Excel, PDURATION", {"rate": 0.025, "present_value": -2000, "future_value": 2200}, "periods", 3.86, 0.005),
    ("Excel, NPER", {"rate": 0.01, "payment": -100, "present_value": -1000, "future_value": 10000, "due": True},
     "periods", 59.6738657, 5e-8),
    ("Excel, NPER", {"rate": 0.01, "payment": -100, "present_value": -1000, "future_value": 10000},
     "periods", 60.0821229, 5e-8),
    ("numpy-financial, fv", {"rate": "0.05/12", "periods": 120, "payment": -100, "present_value": -100},
     "future_value", 15692.928894335748, 1e-8),
    ("numpy-financial, pmt", {"rate": "0.075/12", "periods": 180, "present_value": 200000},
     "payment", -1854.0247200054619, 1e-9),
    ("numpy-financial, nper", {"rate": "0.07/12", "payment": -150, "present_value": 8000}, "periods", 64.07335, 5e-6),
    ("numpy-financial, pv", {"rate": "0.05/12", "periods": 120, "payment": -100, "future_value": 15692.93},
     "present_value", -100.00067131625819, 1e-8),
]  # fmt: skip


@pytest.mark.parametrize(("source", "terms", "name", "published", "within"), ANNUITIES)
def test_published_annuities(source: str, terms: dict[str, Any], name: str, published: float, within: float) -> None:
    assert annuity(**terms).value(name) == pytest.approx(published, abs=within), source


BILLS: list[tuple[str, dict[str, Any], str, float, float]] = [
    ("Excel, TBILLPRICE", {"settlement": "2008-03-31", "maturity": "2008-06-01", "discount_rate": 0.09},
     "price", 98.45, 1e-9),
    ("Excel, TBILLYIELD", {"settlement": "2008-03-31", "maturity": "2008-06-01", "price": 98.45},
     "money_market_yield", 0.09141696292534264, 1e-12),
    ("Excel, TBILLEQ", {"settlement": "2008-03-31", "maturity": "2008-06-01", "discount_rate": 0.0914},
     "bond_equivalent_yield", 0.09415149, 5e-9),
    ("Excel, PRICEDISC", {"settlement": "2008-02-16", "maturity": "2008-03-01", "discount_rate": 0.0525},
     "price", 99.79583, 5e-6),
    ("Excel, YIELDDISC", {"settlement": "2008-02-16", "maturity": "2008-03-01", "price": 99.795},
     "money_market_yield", 0.0528225719, 5e-9),
    ("Excel, DISC", {"settlement": "2018-07-01", "maturity": "2048-01-01", "price": 97.975, "day_count": 1},
     "discount_rate", 0.000686384, 1e-8),
    ("Excel, INTRATE", {"settlement": "2008-02-15", "maturity": "2008-05-15", "price": 1e6, "face": 1014420},
     "money_market_yield", 0.05768, 1e-9),
    ("Excel, RECEIVED", {"settlement": "2008-02-15", "maturity": "2008-05-15", "price": 1e6, "discount_rate": 0.0575},
     "face", 1014584.654, 5e-4),
    ("Fabozzi, 100 days at 97,569", {"days": 100, "face": 100000, "price": 97569}, "discount_rate", 0.0875, 5e-5),
]  # fmt: skip


@pytest.mark.parametrize(("source", "terms", "name", "published", "within"), BILLS)
def test_published_bills(source: str, terms: dict[str, Any], name: str, published: float, within: float) -> None:
    assert bill(**terms).value(name) == pytest.approx(published, abs=within), source


@pytest.mark.parametrize(
    ("source", "start", "end", "day_count", "published"),
    [
        ("Excel, YEARFRAC", "2012-01-01", "2012-07-30", "0", 0.58055556),
        ("Excel, YEARFRAC", "2012-01-01", "2012-07-30", "1", 0.57650273),
        ("Excel, YEARFRAC", "2012-01-01", "2012-07-30", "3", 0.57808219),
        ("ISDA, EMU and market conventions", "2003-11-01", "2004-05-01", "Actual/Actual (ISDA)", 0.49772438),
        ("ISDA, EMU and market conventions", "2003-11-01", "2004-05-01", "act/act afb", 0.49726776),
        ("ISDA, EMU and market conventions", "1999-02-01", "1999-07-01", "actual/actual-isda", 0.41095890),
        ("ISDA, EMU and market conventions", "2002-08-15", "2003-07-15", "actual/actual-isda", 0.91506849),
        ("ISDA, EMU and market conventions", "2000-01-30", "2000-06-30", "actual/actual-isda", 0.41530055),
    ],
)
def test_published_day_counts(source: str, start: str, end: str, day_count: str, published: float) -> None:
    made = year_fraction(start=start, end=end, day_count=day_count)
    assert made.value("years") == pytest.approx(published, abs=5e-9), source


def test_days_of_30_360() -> None:
    """ISDA's comparison of the three, 28 February to 31 March 2006 and 31 August 2006 to 28 February 2007."""
    for start, end, published in (
        ("2006-08-31", "2007-02-28", (178, 178, 180)),
        ("2007-02-28", "2007-08-31", (183, 182, 180)),
        ("2006-08-20", "2007-02-20", (180, 180, 180)),
    ):
        for name, days in zip(("30/360 ISDA", "30E/360", "30E/360 ISDA"), published, strict=True):
            assert year_fraction(start=start, end=end, day_count=name).value("days") == days, (name, start)


@given(
    rate=st.floats(0.0005, 0.2),
    periods=st.integers(1, 240),
    payment=st.floats(-500, -1),
    present=st.floats(0, 5000),
    due=st.booleans(),
)
def test_an_annuity_solves_for_each_of_its_numbers(
    rate: float, periods: int, payment: float, present: float, due: bool
) -> None:
    whole: dict[str, Any] = {"rate": rate, "periods": periods, "payment": payment, "present_value": present}
    whole["future_value"] = annuity(**whole, due=due).value("future_value")
    assume(abs(whole["future_value"]) > 1 and rate * periods < 20)
    for name in ("present_value", "payment", "periods"):
        found = annuity(**{n: v for n, v in whole.items() if n != name}, due=due)
        scale = max(abs(whole["present_value"]), abs(whole["payment"]))
        assert found.value(name) == pytest.approx(whole[name], rel=1e-6, abs=1e-6 * scale), name


@given(amounts=st.lists(st.floats(1, 100), min_size=1, max_size=12), cost=st.floats(10, 300))
def test_value_at_the_irr_is_zero(amounts: list[float], cost: float) -> None:
    assume(sum(amounts) > cost * 0.2)
    found = cash_flows(amounts=[-cost, *amounts])
    assert found.value("irr_count") == 1
    again = cash_flows(amounts=[-cost, *amounts], rate=found.value("irr"))
    assert again.value("npv") == pytest.approx(0, abs=1e-6 * cost)


@given(rate=st.floats(0.001, 0.2), days=st.one_of(st.just(182.5), st.integers(1, 364)))
def test_a_bill_from_each_of_its_rates(rate: float, days: float) -> None:
    made = bill(days=days, discount_rate=rate)
    for name in ("price", "money_market_yield"):
        again = bill(days=days, **{name: made.value(name)})
        assert again.value("discount_rate") == pytest.approx(rate, rel=1e-9)
    price, half = made.value("price"), made.value("bond_equivalent_yield") / 2
    spare = days / 365
    grown = (1 + half) * (1 + 2 * half * (spare - 0.5)) if days > 182 else 1 + 2 * half * spare
    assert price * grown == pytest.approx(100)


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (cash_flows, {"amounts": "1,2"}, "needs a rate, or amounts of both signs"),
    (cash_flows, {"amounts": "-1,2", "times": "1"}, "needs 2 times, one an amount; got 1"),
    (cash_flows, {"amounts": ""}, "needs amounts, and times or dates"),
    (cash_flows, {"amounts": "1,2", "finance_rate": 0.1, "reinvest_rate": 0.1}, "needs amounts of both signs"),
    (annuity, {"rate": 0.1}, "needs all but one of rate, periods, payment, present_value and future_value"),
    (annuity, {"rate": -2, "periods": 3, "payment": 4}, "needs a rate above -100 %"),
    (annuity, {"rate": 0.1, "payment": 10, "present_value": 100}, "needs payments that reach the future value"),
    (annuity, {"periods": 5, "payment": 10, "present_value": 100}, "needs payments that some rate"),
    (bill, {"days": 90}, "needs one of price, discount_rate and money_market_yield"),
    (bill, {"price": 99}, "needs settlement and maturity, or days"),
    (bill, {"settlement": "2024-02-01", "maturity": "2024-01-01", "price": 99}, "needs settlement before maturity"),
    (bill, {"days": 90, "price": -1}, "needs a price and a face above zero; got -1 and 100"),
    (bill, {"days": 90, "price": 90, "discount_rate": 5}, "needs a discount below the face"),
    (year_fraction, {"start": "2024-02-01", "end": "2024-01-01"}, "needs an end at or after the start"),
    (year_fraction, {"start": "2024-01-01", "end": "2024-02-01", "day_count": "act/act icma"}, "got ICMA"),
]


@pytest.mark.parametrize(("tool", "terms", "message"), REFUSED)
def test_refusals(tool: Any, terms: dict[str, Any], message: str) -> None:
    with pytest.raises(NotComputed, match=message):
        tool(**terms)
