"""When a bond pays and how much: by its dates and day count, or by years alone as a textbook has it."""

import math
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.quantlib import DayCount, counter, our_date, ql_date, quantlib


def _whole(value: object) -> object:
    """`2`, as a command line gives it, into a number."""
    return int(value) if isinstance(value, str) and value.strip().isdigit() else value


Convention = Literal["street", "day_count"]
Frequency = Annotated[Literal[0, 1, 2, 3, 4, 6, 12], BeforeValidator(_whole)]
MAX_PERIODS = 3600


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bond pays: coupon a year as a fraction of face, times a year (0: none until redemption)."""

    face: float
    coupon: float
    frequency: int
    redemption: float

    @property
    def period_coupon(self) -> float:
        """The cash of one whole coupon."""
        return self.face * self.coupon / self.frequency if self.frequency else 0.0


@dataclass(frozen=True, slots=True)
class Dates:
    """Settlement and maturity, and where they are odd, issue and first coupon."""

    settlement: date
    maturity: date
    issue: date | None
    first_coupon: date | None
    day_count: DayCount
    end_of_month: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """The payments still to come by years from settlement, and what has accrued; days where dates are known."""

    times: tuple[float, ...]
    amounts: tuple[float, ...]
    accrued: float
    accrued_days: int | None = None
    days_to_next: int | None = None
    period_days: int | None = None
    next_coupon: date | None = None
    previous_coupon: date | None = None


def by_years(terms: Terms, years: float) -> Schedule:
    """Coupons every 1 / frequency years back from maturity; a first one nearer than that has partly accrued.

    Raises NotComputed for a maturity that is not ahead.
    """
    if not 0 < years <= 200:
        raise NotComputed(f"needs a maturity after settlement, up to 200 years away; got {years:g}")
    step = 1 / terms.frequency if terms.frequency else years
    count = max(1, math.ceil(years / step - 1e-9))
    times = [years - k * step for k in range(count - 1, -1, -1)]
    amounts = [terms.period_coupon] * count
    amounts[-1] += terms.redemption
    return Schedule(tuple(times), tuple(amounts), terms.period_coupon * max(0.0, 1 - times[0] / step))


def by_dates(terms: Terms, dates: Dates, convention: Convention) -> Schedule:
    """Coupons back from maturity. `street`: each whole coupon is coupon / frequency and times are coupon periods,
    the first one 1 - accrued days / days of the period, as Excel and the Securities Industry Association count
    them; `day_count`: coupons and times both by the day count, as QuantLib has them.

    Raises NotComputed for dates out of order.
    """
    if dates.settlement >= dates.maturity:
        raise NotComputed(f"needs settlement before maturity; got {dates.settlement} and {dates.maturity}")
    start, end = ql_date(dates.settlement), ql_date(dates.maturity)
    if not terms.frequency:
        day_count: DayCount = "actual/365" if dates.day_count == "actual/actual-icma" else dates.day_count
        time = float(counter(day_count).yearFraction(start, end))
        return Schedule((time,), (terms.redemption,), 0.0, next_coupon=dates.maturity)
    grid = Grid.of(terms.frequency, dates)
    first = dates.first_coupon or next(d for d in grid.days if d > (dates.issue or dates.settlement))
    _in_order(dates, grid, first)
    ahead = [d for d in grid.days if d > dates.settlement and d >= first]
    starts = dates.issue if dates.settlement < first and dates.issue else grid.before(ahead[0])
    sizes = [grid.periods(starts, ahead[0]) if starts == dates.issue else 1.0, *(1.0 for _ in ahead[1:])]
    if convention == "day_count":
        days = [starts, *ahead]
        sizes = [grid.fraction(a, b) * terms.frequency for a, b in pairwise(days)]
        spent = grid.fraction(starts, dates.settlement)
        accrued = spent * terms.frequency
        times = [t - spent for t in accumulate(s / terms.frequency for s in sizes)]
    else:
        until = grid.periods(dates.settlement, ahead[0])
        times = [(until + k) / terms.frequency for k in range(len(ahead))]
        accrued = grid.periods(starts, dates.settlement)
    amounts = [terms.period_coupon * s for s in sizes]
    amounts[-1] += terms.redemption
    return Schedule(
        tuple(times),
        tuple(amounts),
        terms.period_coupon * accrued,
        grid.count(starts, dates.settlement),
        grid.count(dates.settlement, ahead[0]),
        grid.length(ahead[0]),
        ahead[0],
        starts,
    )


def _in_order(dates: Dates, grid: "Grid", first: date) -> None:
    """Raises NotComputed for an issue or first coupon that does not fit."""
    if dates.issue and dates.issue > dates.settlement:
        raise NotComputed(f"needs an issue date by settlement; got {dates.issue} after {dates.settlement}")
    if dates.first_coupon and not dates.issue:
        raise NotComputed("needs issue_date with first_coupon_date, for the interest of the odd first period")
    if first not in grid.days or (dates.issue and first <= dates.issue):
        near = ", ".join(str(d) for d in grid.days[:3])
        raise NotComputed(f"needs a first coupon date after issue and whole periods before maturity, such as {near}")


@dataclass(frozen=True, slots=True)
class Grid:
    """The regular coupon dates up to maturity, and how time is counted between them."""

    days: tuple[date, ...]
    frequency: int
    day_count: DayCount

    @classmethod
    def of(cls, frequency: int, dates: Dates) -> "Grid":
        """Whole periods back from maturity to a day at or before issue and settlement."""
        ql, months = quantlib(), 12 // frequency
        calendar, start = ql.NullCalendar(), min(dates.settlement, dates.issue or dates.settlement)
        found = [dates.maturity]
        while found[-1] > start and len(found) < MAX_PERIODS:
            back = calendar.advance(
                ql_date(dates.maturity), -len(found) * months, ql.Months, ql.Unadjusted, dates.end_of_month
            )
            found.append(our_date(back))
        return cls(tuple(reversed(found)), frequency, dates.day_count)

    def before(self, day: date) -> date:
        """The regular date before *day*, itself one."""
        return self.days[self.days.index(day) - 1]

    def place(self, day: date) -> float:
        """How many periods *day* is after the first date of the grid; within one by accrued days over its days."""
        k = max(i for i, d in enumerate(self.days) if d <= day)
        if self.days[k] == day:
            return float(k)
        start, end = (ql_date(d) for d in self.days[k : k + 2])
        counts, at = counter(self.day_count), ql_date(day)
        if self.day_count == "actual/actual-icma":
            return k + counts.yearFraction(start, at, start, end) * self.frequency
        if self.day_count.startswith("actual/actual"):
            return k + counts.yearFraction(start, at) / counts.yearFraction(start, end)
        return k + counts.yearFraction(start, at) * self.frequency

    def periods(self, start: date, end: date) -> float:
        """How many coupon periods lie between two days."""
        return self.place(end) - self.place(start)

    def fraction(self, start: date, end: date) -> float:
        """The year fraction by the day count; of ICMA, in coupon periods."""
        if self.day_count == "actual/actual-icma":
            return self.periods(start, end) / self.frequency
        return float(counter(self.day_count).yearFraction(ql_date(start), ql_date(end)))

    def count(self, start: date, end: date) -> int:
        """Days between, as the day count counts them."""
        return int(counter(self.day_count).dayCount(ql_date(start), ql_date(end)))

    def length(self, end: date) -> int:
        """Days of the period that ends on *end*: 360 / frequency where the day count says so."""
        if self.day_count.startswith("30") or self.day_count == "actual/360":
            return 360 // self.frequency
        return (end - self.before(end)).days
