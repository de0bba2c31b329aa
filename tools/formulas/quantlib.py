"""QuantLib as this house uses it: loaded late, its clock stopped, with our dates and day counts."""

import re
from calendar import isleap
from collections.abc import Callable
from datetime import date
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from openoutcry.core.errors import NotComputed

DayCount = Literal[
    "actual/365",
    "actual/360",
    "actual/actual-isda",
    "actual/actual-icma",
    "actual/actual-afb",
    "actual/actual-excel",
    "30/360",
    "30/360-isda",
    "30e/360",
    "30e/360-isda",
]
EXCEL = {"0": "30/360", "2": "actual/360", "3": "actual/365", "4": "30e/360"}


def _spelt(plain: str, basis_1: str) -> Callable[[object], object]:
    """Reads `ACT/365`, `Actual/Actual ISDA`, `30/360 US` or a number of Excel as one of our names."""

    def read(value: object) -> object:
        name = re.sub(r"[\s()-]+", "-", str(value).lower()).strip("-")
        name = re.sub(r"\bact\b", "actual", name).replace("isma", "icma")
        name = basis_1 if name == "1" else EXCEL.get(name, name)
        name = re.sub(r"^(actual/365|30/360)(-?f|-fixed|-us|-usa|-nasd)$", r"\1", name)
        return f"actual/actual-{plain}" if name == "actual/actual" else name

    return read


SimpleDayCount = Annotated[DayCount, BeforeValidator(_spelt("isda", "actual/actual-excel"))]
BondDayCount = Annotated[DayCount, BeforeValidator(_spelt("icma", "actual/actual-icma"))]


@cache
def quantlib() -> Any:
    """QuantLib, its evaluation date fixed so that the wall clock is never read: every date is passed."""
    library: Any = import_module("QuantLib")
    library.Settings.instance().evaluationDate = library.Date(1, 1, 1950)
    return library


def ql_date(day: date) -> Any:
    """Our date as QuantLib's. Raises NotComputed outside 1902 to 2199."""
    if not 1902 <= day.year <= 2199:
        raise NotComputed(f"needs dates from 1902 to 2199; got {day}")
    return quantlib().Date(day.day, day.month, day.year)


def our_date(day: Any) -> date:
    """QuantLib's date as ours."""
    return date(day.year(), day.month(), day.dayOfMonth())


@cache
def counter(day_count: DayCount) -> Any:
    """QuantLib's day counter of this name; 30/360 is the US rule with the end of February (SIA, Excel basis 0)."""
    ql = quantlib()
    makers: dict[str, Callable[[], Any]] = {
        "actual/365": ql.Actual365Fixed,
        "actual/360": ql.Actual360,
        "actual/actual-isda": lambda: ql.ActualActual(ql.ActualActual.ISDA),
        "actual/actual-excel": ql.Actual365Fixed,
        "actual/actual-icma": lambda: ql.ActualActual(ql.ActualActual.ISMA),
        "actual/actual-afb": lambda: ql.ActualActual(ql.ActualActual.AFB),
        "30/360": lambda: ql.Thirty360(ql.Thirty360.USA),
        "30/360-isda": lambda: ql.Thirty360(ql.Thirty360.BondBasis),
        "30e/360": lambda: ql.Thirty360(ql.Thirty360.European),
        "30e/360-isda": lambda: ql.Thirty360(ql.Thirty360.German),
    }
    return makers[day_count]()


def years_between(start: date, end: date, day_count: DayCount) -> float:
    """The year fraction from *start* to *end*. Raises NotComputed for ICMA, which needs a coupon period."""
    if day_count == "actual/actual-icma":
        raise NotComputed("needs a day count that stands without coupons, such as actual/actual-isda; got ICMA")
    if day_count == "actual/actual-excel":
        return _as_excel(start, end)
    return float(counter(day_count).yearFraction(ql_date(start), ql_date(end)))


def _as_excel(start: date, end: date) -> float:
    """Basis 1 of Excel's YEARFRAC: actual days over the length of the year, or of the mean calendar year touched.

    Source: OpenFormula 1.2, section 4.11.7.
    """
    if start > end:
        return -_as_excel(end, start)
    if start.year == end.year:
        length = 365.0 + isleap(start.year)
    elif start.year + 1 == end.year and (start.month, start.day) >= (end.month, end.day):
        leap = [date(y, 2, 29) for y in (start.year, end.year) if isleap(y)]
        length = 365.0 + any(start <= day <= end for day in leap)
    else:
        years = range(start.year, end.year + 1)
        length = 365.0 + sum(isleap(y) for y in years) / len(years)
    return (end - start).days / length
