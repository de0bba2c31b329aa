"""Bonds: price, yield, accrued interest, duration, convexity, spread over a zero curve."""

import math
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import MaybeNumber
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, day, fraction, number, years
from openoutcry.tools.formulas.bonds import Convention, Dates, Frequency, Schedule, Terms, by_dates, by_years
from openoutcry.tools.formulas.compounding import Compounding, Way, factor
from openoutcry.tools.formulas.curves import Curve, curve_of
from openoutcry.tools.formulas.flows import Measures, measures, root, yield_of
from openoutcry.tools.formulas.quantlib import BondDayCount
from openoutcry.tools.formulas.times import ByYears, Years
from openoutcry.tools.tool import tool

Coupon = Annotated[FiniteFloat, Field(description="coupon rate a year, 0.06 is 6 % of face")]
Often = Annotated[Frequency, Field(description="coupons a year; 0 for one payment at maturity")]
Price = Annotated[MaybeNumber, Field(description="price without accrued interest, in the money of face (per 100)")]
Dirty = Annotated[MaybeNumber, Field(description="price with accrued interest (cash, full or invoice price)")]
Yield = Annotated[MaybeNumber, Field(description="yield to maturity a year, 0.065 is 6.5 %")]
Ways = Annotated[
    Compounding | None, Field(description="compounding of the yield; if not given as often as the coupon, or annual")
]
ZeroRates = Annotated[
    ByYears, Field(description="zero rate by years, e.g. 0.5=0.05,1=0.058; in between linear, beyond flat")
]
OfZero = Annotated[Compounding, Field(description="compounding of the zero rates")]
Settlement = Annotated[date | None, Field(description="settlement day, with maturity in place of years")]
Maturity = Annotated[date | None, Field(description="maturity (or call) day")]
Ahead = Annotated[Years, Field(description="years to maturity (or call), in place of dates; 10, or 7/12")]
LastPeriod = Annotated[
    Literal["simple", "compounded"] | None,
    Field(
        description="discounting within the last coupon period; if not given simple for dates in the street "
        "convention (Excel, US), else compounded"
    ),
]


@tool
def bond(
    view: View = NO_DATA,
    *,
    face: Annotated[FiniteFloat, Field(description="face value; every price is in its money")] = 100,
    coupon: Coupon = 0,
    frequency: Often = 2,
    settlement: Settlement = None,
    maturity: Maturity = None,
    years_to_maturity: Ahead = None,
    yield_to_maturity: Yield = None,
    clean_price: Price = None,
    dirty_price: Dirty = None,
    zero_rates: ZeroRates = None,
    zero_compounding: OfZero = "continuous",
    redemption: Annotated[FiniteFloat | None, Field(description="paid at maturity or call; face if not given")] = None,
    day_count: Annotated[BondDayCount, Field(description="or an Excel basis, 0 to 4")] = "30/360",
    compounding: Ways = None,
    convention: Annotated[Convention, Field(description="how coupons and times are made of dates")] = "street",
    last_period: LastPeriod = None,
    issue_date: Annotated[date | None, Field(description="start of interest, for an odd first period")] = None,
    first_coupon_date: Annotated[date | None, Field(description="with issue_date, for a long first period")] = None,
    end_of_month: Annotated[bool, Field(description="a maturity at a month's end has coupons there")] = True,
) -> Evidence:
    """Price, yield, accrued interest, duration and convexity of a fixed-rate, zero-coupon or callable bond.

    Give `settlement` and `maturity`, or `years_to_maturity` for exact times without a calendar. Give one of
    `yield_to_maturity`, `clean_price`, `dirty_price` and `zero_rates`, and the others follow; a price together
    with `zero_rates` gives the spread over the curve. For a yield to call give the call's day and price as
    maturity and redemption; for a zero coupon leave coupon at 0 (its yield compounds as often as `frequency`).

    Convention `street`: a coupon is coupon / frequency whatever its days, and times are whole coupon periods and
    1 - accrued days / days of the period, as in Excel's PRICE, YIELD and DURATION; `day_count`: both by the day
    count, as in QuantLib. Duration is in years: Macaulay the mean time of present values, modified -dP/dy / P;
    convexity d2P/dy2 / P in years squared; dv01 the fall of the dirty price for 0.0001 of yield; the dirty price
    is P. Odd first periods by `issue_date` (and `first_coupon_date` where it is long); an odd last period is
    not covered.

    Raises NotComputed for a settlement at or after maturity, dates or prices missing or given twice, a price at
    or below zero, or a yield that leaves no positive discount factor. Sources: Hull, chapter 4; Fabozzi, Bond
    Markets, Analysis, and Strategies; Excel's documentation; QuantLib 1.44.
    """
    terms = Terms(_above(face, "face"), coupon, frequency, face if redemption is None else redemption)
    pays = _schedule(
        terms, settlement, maturity, years_to_maturity, issue_date, first_coupon_date, day_count, end_of_month,
        convention,
    )  # fmt: skip
    dated = settlement is not None
    way: Way = compounding or frequency or 1
    simple = last_period == "simple" or (last_period is None and dated and convention == "street" and frequency > 0)
    if simple and len(pays.times) == 1 and frequency and not isinstance(compounding, str):
        way = "simple"
    curve = curve_of(zero_rates, zero_compounding)
    given = _one_of(yield_to_maturity, clean_price, dirty_price, curve is not None)
    cost = dirty_price if dirty_price is not None else None if clean_price is None else clean_price + pays.accrued
    if yield_to_maturity is not None:
        found = yield_to_maturity
    else:
        cost = cost if cost is not None else _on(curve, pays)
        found = yield_of(pays.times, pays.amounts, _above(cost, "price"), way)
    made = measures(pays.times, pays.amounts, found, way)
    return view.evidence(
        {
            **_prices(made, pays, terms, found, way),
            **_from_curve(curve, pays, terms, made.value, priced=given != "zero_rates"),
            **_calendar(pays),
        },
        conventions={
            "yield": f"compounded {way if isinstance(way, str) else f'{way} times a year'}"
            + (", simple interest in the last coupon period" if way == "simple" else ""),
            "price": f"of face {face:g}; dirty = clean + accrued",
            "times": _timing(convention, day_count, dated=dated),
            "duration": "years: Macaulay, and modified = -dP/dy / P; convexity = d2P/dy2 / P, years squared",
            "solved from": given,
        },
    )


def _above(value: float, name: str) -> float:
    if value <= 0:
        raise NotComputed(f"needs a {name} above zero; got {value:g}")
    return value


def _schedule(
    terms: Terms,
    settlement: date | None,
    maturity: date | None,
    ahead: float | None,
    issue: date | None,
    first_coupon: date | None,
    day_count: BondDayCount,
    end_of_month: bool,
    convention: Convention,
) -> Schedule:
    """The payments by dates or by years. Raises NotComputed unless they are given in one way."""
    if ahead is not None and settlement is None and maturity is None:
        return by_years(terms, ahead)
    if ahead is not None or settlement is None or maturity is None:
        raise NotComputed("needs settlement and maturity, or years_to_maturity; give one of the two")
    return by_dates(terms, Dates(settlement, maturity, issue, first_coupon, day_count, end_of_month), convention)


def _one_of(found: float | None, clean: float | None, dirty: float | None, curve: bool) -> str:
    """What the others are solved from. Raises NotComputed for none or several."""
    names = ("yield_to_maturity", "clean_price", "dirty_price")
    given = [n for n, v in zip(names, (found, clean, dirty), strict=True) if v is not None]
    if len(given) > 1 or (not given and not curve):
        got = " and ".join(given) or "none"
        raise NotComputed(f"needs one of yield_to_maturity, clean_price, dirty_price and zero_rates; got {got}")
    return given[0] if given else "zero_rates"


def _on(curve: Curve | None, pays: Schedule, spread: float = 0.0) -> float:
    """What the payments are worth on the curve, its zero rates *spread* higher."""
    if curve is None:
        raise NotComputed("needs zero rates; got none")
    return math.fsum(
        a * curve.discount(t) * math.exp(-spread * t) for t, a in zip(pays.times, pays.amounts, strict=True)
    )


def _prices(made: Measures, pays: Schedule, terms: Terms, found: float, way: Way) -> dict[str, Figure]:
    clean = made.value - pays.accrued
    grown = 1 / factor(found, 1.0, way)
    current = {"current_yield": fraction(terms.face * terms.coupon / clean)} if clean > 0 else {}
    return {
        "clean_price": number(clean),
        "dirty_price": number(made.value),
        "accrued_interest": number(pays.accrued),
        "yield_to_maturity": fraction(found),
        "effective_annual_yield": fraction(grown - 1),
        "bond_equivalent_yield": fraction(2 * (math.sqrt(grown) - 1)),
        **current,
        "macaulay_duration": years(made.macaulay),
        "modified_duration": years(made.modified),
        "convexity": number(made.convexity),
        "dv01": number(made.modified * made.value * 1e-4),
        "dollar_duration": number(made.modified * made.value),
        "payments_left": count(len(pays.times)),
    }


def _from_curve(curve: Curve | None, pays: Schedule, terms: Terms, price: float, *, priced: bool) -> dict[str, Figure]:
    """The spread over the curve of a priced bond, or the coupon at which the curve makes it worth its face."""
    if curve is None:
        return {}
    if priced:
        spread = root(lambda s: _on(curve, pays, s) - price, -20.0)
        return {"z_spread": fraction(spread), "price_on_curve": number(_on(curve, pays))}
    if not terms.frequency:
        return {}
    annuity = math.fsum(curve.discount(t) for t in pays.times)
    return {"par_yield": fraction(terms.frequency * (1 - curve.discount(pays.times[-1])) / annuity)}


def _calendar(pays: Schedule) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    if pays.accrued_days is not None and pays.days_to_next is not None and pays.period_days is not None:
        found |= {
            "accrued_days": count(pays.accrued_days),
            "days_to_next_coupon": count(pays.days_to_next),
            "coupon_period_days": count(pays.period_days),
        }
    for name, when in (("next_coupon", pays.next_coupon), ("previous_coupon", pays.previous_coupon)):
        found |= {} if when is None else {name: day(when)}
    return found


def _timing(convention: Convention, day_count: BondDayCount, *, dated: bool) -> str:
    if not dated:
        return "years as given, coupons back from maturity"
    return f"{day_count}, " + (
        "in coupon periods (street, Excel)" if convention == "street" else "coupons and times by it (QuantLib)"
    )
