"""The value of money over time: cash flows, bills at a discount, and the time between two days."""

import math
from datetime import date
from importlib import import_module
from typing import Annotated, Any

from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import LISTED, Day, MaybeNumber, Numbers
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, fraction, number, years
from openoutcry.tools.formulas.compounding import Compounding
from openoutcry.tools.formulas.flows import lowest, measures, worth
from openoutcry.tools.formulas.quantlib import SimpleDayCount, counter, ql_date, years_between
from openoutcry.tools.tool import tool

HIGHEST, TRIES = 100.0, 4000


@tool
def cash_flows(
    view: View = NO_DATA,
    *,
    amounts: Annotated[Numbers, Field(description="cash in order, paid out negative, e.g. -100,39,59,55,20")],
    times: Annotated[
        list[FiniteFloat] | None, LISTED, Field(description="years (or periods) of each; if not given 0,1,2,...")
    ] = None,
    dates: Annotated[list[date] | None, LISTED, Field(description="days of each, in place of times (XNPV)")] = None,
    rate: Annotated[MaybeNumber, Field(description="over a unit of time; 0.08 is 8 %")] = None,
    compounding: Annotated[Compounding, Field(description="of the rate and the IRR, over a unit of time")] = "annual",
    finance_rate: Annotated[MaybeNumber, Field(description="cost of outflows, for the modified IRR")] = None,
    reinvest_rate: Annotated[MaybeNumber, Field(description="return on inflows, for the modified IRR")] = None,
    day_count: SimpleDayCount = "actual/365",
) -> Evidence:
    """Net present value, internal rate of return, duration and convexity of cash flows by period, year or date.

    `npv` counts the amount at time 0 in full; `npv_excel` discounts the first amount by a whole period too, as
    Excel's NPV does (shown where neither times nor dates are given). `irr` is the rate at which npv is zero; where
    several are, the one nearest to zero, and `irr_count` says how many between -99 % and 10,000 %. Dates are
    counted from the first of them in years of 365 days (XNPV, XIRR). With finance_rate and reinvest_rate: the
    modified IRR (MIRR). Duration and convexity at `rate` where the flows are worth more than zero.

    Raises NotComputed for no amounts, lists of other lengths, or where there is neither a rate nor an IRR.
    Sources: Excel's documentation; Hull, Options, Futures, and Other Derivatives, chapter 4.
    """
    at = _times(amounts, times, dates, day_count)
    found: dict[str, Figure] = {}
    if rate is not None:
        value = worth(at, amounts, rate, compounding)
        found["npv"] = number(value)
        if times is None and dates is None:
            found["npv_excel"] = number(worth([t + 1 for t in at], amounts, rate, compounding))
        last = max(at)
        found["future_value"] = number(value / worth([last], [1.0], rate, compounding))
        if value > 1e-12 * sum(map(abs, amounts)):
            made = measures(at, amounts, rate, compounding)
            found |= {
                "macaulay_duration": years(made.macaulay),
                "modified_duration": years(made.modified),
                "convexity": number(made.convexity),
            }
    roots = _roots(at, amounts, compounding)
    if roots:
        found |= {"irr": fraction(min(roots, key=abs)), "irr_count": count(len(roots))}
    if finance_rate is not None and reinvest_rate is not None:
        found["modified_irr"] = fraction(_modified(at, amounts, finance_rate, reinvest_rate))
    if not found:
        raise NotComputed("needs a rate, or amounts of both signs whose IRR lies between -99 % and 10,000 %")
    return view.evidence(
        found,
        conventions={
            "rate": f"compounded {compounding} over a unit of time",
            "time": f"{day_count} from the first date" if dates else "as given" if times else "periods 0, 1, 2, ...",
        },
        missing=[] if roots else ["irr: no rate between -99 % and 10,000 % makes the value zero"],
    )


@tool
def bill(
    view: View = NO_DATA,
    *,
    settlement: Annotated[date | None, Field(description="settlement day, with maturity in place of time")] = None,
    maturity: Annotated[date | None, Field(description="maturity day")] = None,
    days: Annotated[FiniteFloat | None, Field(gt=0, description="days to maturity, in place of dates")] = None,
    face: Annotated[FiniteFloat | None, Field(description="redemption; not given with price and discount_rate")] = None,
    price: Annotated[MaybeNumber, Field(description="cash price, or amount invested")] = None,
    discount_rate: Annotated[MaybeNumber, Field(description="bank discount a year, 0.05 is 5 %")] = None,
    money_market_yield: Annotated[MaybeNumber, Field(description="simple yield a year on the price")] = None,
    day_count: Annotated[SimpleDayCount, Field(description="or an Excel basis, 0 to 4")] = "actual/360",
) -> Evidence:
    """A Treasury bill or other paper at a discount: price, bank discount, money-market and bond-equivalent yield.

    Give one of `price`, `discount_rate` and `money_market_yield` (face is 100 if not given), or price and
    discount_rate for the face (Excel's RECEIVED). discount = (face - price) / face / t, money-market yield =
    (face - price) / price / t, t by `day_count`; bond-equivalent yield on 365 days, simple up to half a year and
    semiannual beyond (Excel's TBILLEQ); effective annual (face / price)^(365 / days) - 1.

    Raises NotComputed for a maturity at or before settlement, a price at or below zero, or a discount that leaves
    none. Sources: Excel's TBILLPRICE, TBILLYIELD, TBILLEQ, DISC, PRICEDISC, INTRATE, YIELDDISC, RECEIVED; Stigum,
    Money Market.
    """
    time, length = _span(settlement, maturity, days, day_count)
    given = [v is not None for v in (price, discount_rate, money_market_yield)]
    if face is None and price is not None and discount_rate is not None and money_market_yield is None:
        face, discount_rate = _grown(price, discount_rate, time), None
    elif sum(given) != 1:
        raise NotComputed("needs one of price, discount_rate and money_market_yield, or price and discount_rate")
    whole = 100.0 if face is None else face
    if discount_rate is not None:
        cost = whole * (1 - discount_rate * time)
    else:
        cost = whole / (1 + (money_market_yield or 0.0) * time) if price is None else price
    if cost <= 0 or whole <= 0:
        raise NotComputed(f"needs a price and a face above zero; got {cost:g} and {whole:g}")
    return view.evidence(
        {
            "price": number(cost),
            "face": number(whole),
            "discount": number(whole - cost),
            "discount_rate": fraction((whole - cost) / whole / time),
            "money_market_yield": fraction((whole - cost) / cost / time),
            "bond_equivalent_yield": fraction(_bond_equivalent(cost / whole, length)),
            "effective_annual_yield": fraction((whole / cost) ** (365 / length) - 1),
            "days": number(length),
            "time": years(time),
        },
        conventions={"time": f"{day_count}; bond-equivalent and effective annual on 365 days"},
    )


@tool
def year_fraction(
    view: View = NO_DATA,
    *,
    start: Day,
    end: Day,
    day_count: Annotated[SimpleDayCount, Field(description="or an Excel basis, 0 to 4")] = "actual/365",
) -> Evidence:
    """The time between two days in years and days, by a day count (Excel's YEARFRAC and DAYS360).

    30/360 is the US rule with the end of February, 30/360-isda without; actual/actual is that of ISDA. Raises
    NotComputed for an end before the start, or actual/actual-icma, which needs coupon dates: the tool bond has
    it. Source: ISDA 2006
    definitions, section 4.16, as in QuantLib 1.44.
    """
    if end < start:
        raise NotComputed(f"needs an end at or after the start; got {start} and {end}")
    return view.evidence(
        {
            "years": years(years_between(start, end, day_count)),
            "days": number(counter(day_count).dayCount(ql_date(start), ql_date(end))),
            "calendar_days": number((end - start).days),
        },
        conventions={"day count": day_count},
    )


def _times(
    amounts: list[float], times: list[float] | None, dates: list[date] | None, day_count: SimpleDayCount
) -> list[float]:
    """When each amount falls, from the first date or as given. Raises NotComputed for lists of other lengths."""
    if not amounts or (times is not None and dates is not None):
        raise NotComputed("needs amounts, and times or dates but not both")
    for name, given in (("times", times), ("dates", dates)):
        if given is not None and len(given) != len(amounts):
            raise NotComputed(f"needs {len(amounts)} {name}, one an amount; got {len(given)}")
    if dates is not None:
        return [years_between(dates[0], d, day_count) for d in dates]
    return list(times) if times is not None else [float(i) for i in range(len(amounts))]


def _roots(times: list[float], amounts: list[float], way: Compounding) -> list[float]:
    """Every rate between -99 % and 10,000 % at which the value is zero."""
    if min(amounts) >= 0 or max(amounts) <= 0:
        return []
    optimize: Any = import_module("scipy.optimize")
    low = max(lowest(way, max(*times, 1e-9)), -1.0) if way in ("simple", "continuous") else -1.0
    low = -3.0 if way == "continuous" else low + 0.01
    high = 1 / max(times) - 1e-9 if way == "discount" else HIGHEST

    def value(rate: float) -> float:
        return worth(times, amounts, rate, way)

    steps = [low + (high - low) * (i / TRIES) ** 3 for i in range(TRIES + 1)]
    values = [value(r) for r in steps]
    found = [r for r, v in zip(steps, values, strict=True) if v == 0]
    for i in range(TRIES):
        if values[i] * values[i + 1] < 0:
            found.append(float(optimize.brentq(value, steps[i], steps[i + 1], xtol=1e-15)))
    return found


def _modified(times: list[float], amounts: list[float], finance: float, reinvest: float) -> float:
    """The rate that takes the present value of outflows to the future value of inflows. Raises NotComputed."""
    paid = -math.fsum(min(a, 0.0) * (1 + finance) ** -t for t, a in zip(times, amounts, strict=True))
    last = max(times)
    got = math.fsum(max(a, 0.0) * (1 + reinvest) ** (last - t) for t, a in zip(times, amounts, strict=True))
    if paid <= 0 or got <= 0 or last <= 0:
        raise NotComputed("needs amounts of both signs for a modified IRR")
    return (got / paid) ** (1 / last) - 1


def _span(
    settlement: date | None, maturity: date | None, days: float | None, day_count: SimpleDayCount
) -> tuple[float, float]:
    """Years by the day count, and days. Raises NotComputed unless they are given in one way, and ahead."""
    if days is not None and settlement is None and maturity is None:
        year = 365.0 if "365" in day_count or "actual/actual" in day_count else 360.0
        return days / year, days
    if days is not None or settlement is None or maturity is None:
        raise NotComputed("needs settlement and maturity, or days; give one of the two")
    if settlement >= maturity:
        raise NotComputed(f"needs settlement before maturity; got {settlement} and {maturity}")
    return years_between(settlement, maturity, day_count), float((maturity - settlement).days)


def _grown(price: float, discount_rate: float, time: float) -> float:
    left = 1 - discount_rate * time
    if left <= 0:
        raise NotComputed(f"needs a discount below the face; got {discount_rate:g} over {time:g} years")
    return price / left


def _bond_equivalent(ratio: float, length: float) -> float:
    """On 365 days: simple up to 182 of them, and with one coupon between beyond (Stigum; Excel's TBILLEQ)."""
    x = length / 365
    if length <= 182:
        return (1 / ratio - 1) / x
    a = 2 * x - 1
    if a < 1e-9:
        return 2 * (1 / ratio - 1)
    return (-2 * x + 2 * math.sqrt(x * x - a * (1 - 1 / ratio))) / a
