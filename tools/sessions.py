"""The trading calendar of the New York Stock Exchange: sessions, holidays, early closes, and counts between days."""

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.clock import NEW_YORK
from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Day
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, sessions, text
from openoutcry.tools.figures import day as dated
from openoutcry.tools.tool import tool

FIRST, LAST = date(1970, 1, 1), date(2050, 12, 31)
"""The days that the calendar covers: before, the package lacks closings. Years to come follow today's rules."""
TIMED = date(1985, 9, 30)
"""Since when the session begins at 9:30; the package gives that for the years before as well."""
CONVENTIONS = {
    "exchange": "New York Stock Exchange (XNYS), regular session, by the package exchange_calendars",
    "times": "New York local time, the same before and after a change of the clocks",
}


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sessions, oldest first, with opens and closes in UTC; the days on which it closed early; names of holidays."""

    sessions: NDArray[np.datetime64]
    opens: NDArray[np.datetime64]
    closes: NDArray[np.datetime64]
    early: frozenset[date]
    named: dict[date, str]

    def position(self, day: date) -> int:
        """How many sessions there were up to the end of *day*. Raises NotComputed outside the calendar."""
        if not FIRST <= day <= LAST:
            raise NotComputed(f"needs a day from {FIRST} to {LAST}; got {day}")
        return int(np.searchsorted(self.sessions, np.datetime64(day), side="right"))

    def at(self, place: int) -> date:
        """The session at *place*. Raises NotComputed outside the calendar."""
        if not 0 <= place < len(self.sessions):
            raise NotComputed(f"needs sessions within the calendar, which runs from {FIRST} to {LAST}")
        return self.sessions[place].item()


@cache
def calendar() -> Calendar:
    """The calendar, made once a process, over a fixed span: it never reads the clock."""
    exchange: Any = import_module("exchange_calendars")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses what a later pandas will change
        made = exchange.get_calendar("XNYS", start=FIRST.isoformat(), end=LAST.isoformat())
        names = made.regular_holidays.holidays(FIRST, LAST, return_name=True)
    schedule = made.schedule
    return Calendar(
        sessions=schedule.index.to_numpy().astype("datetime64[D]"),
        opens=schedule["open"].dt.tz_localize(None).to_numpy().astype("datetime64[s]"),
        closes=schedule["close"].dt.tz_localize(None).to_numpy().astype("datetime64[s]"),
        early=frozenset(d.date() for d in made.early_closes),
        named={d.date(): str(n) for d, n in names.items()},
    )


def session_after(day: date, n: int) -> date:
    """The session *n* sessions after *day*; for a negative *n*, before it.

    A day without a session counts as the session before it: 1 is the first session after the day, 0 the
    newest up to its end. Raises NotComputed outside the calendar.
    """
    return calendar().at(calendar().position(day) - 1 + n)


def sessions_between(a: date, b: date) -> int:
    """How many sessions lie after *a*, up to *b* inclusive; negative where *b* is before *a*.

    Raises NotComputed outside the calendar.
    """
    return calendar().position(b) - calendar().position(a)


@tool
def trading_calendar(
    view: View = NO_DATA,
    *,
    day: Day,
    horizon: Annotated[
        int | None, Field(ge=-25_000, le=25_000, description="sessions to count on from the day; negative: back")
    ] = None,
    end: Annotated[date | None, Field(description="another day, to count the sessions up to")] = None,
) -> Evidence:
    """Whether a day is a New York Stock Exchange session, when it opens and closes, and what is N sessions on.

    Figures: is_session and early_close (1 or 0), kind (session, early close, weekend, holiday, special closing),
    open and close in New York, next_session and previous_session (never the day itself), sessions_in_month and
    sessions_in_year. With `horizon`: horizon_end, the session that many sessions after the day; from a day
    without a session, the first after it is 1. With `end`: sessions_between, those after the day up to `end`
    inclusive (negative where `end` is earlier), sessions_inclusive, those of both ends and between, and
    calendar_days. Raises NotComputed for a day outside 1970 to 2050. Source: rules and closings of the NYSE as the
    package exchange_calendars has them; closings announced after its release are not known, nor are opens and
    closes before 1985-09-30 or the short days of October and November 1987.
    """
    known = calendar()
    place = known.position(day)
    figures = {"day": dated(day), "weekday": text(f"{day:%A}"), **_kind(known, day)}
    if place < len(known.sessions):
        figures["next_session"] = dated(known.at(place))
    if (before := place - 1 - _is_session(known, day)) >= 0:
        figures["previous_session"] = dated(known.at(before))
    months = np.datetime64(day, "M")
    figures["sessions_in_month"] = sessions((known.sessions.astype("datetime64[M]") == months).sum())
    figures["sessions_in_year"] = sessions(len(_year(known, day.year)))
    if horizon is not None:
        figures["horizon"], figures["horizon_end"] = sessions(horizon), dated(session_after(day, horizon))
    if end is not None:
        figures |= _between(known, day, end)
    untimed = [f"open and close on {day}: the package does not know the hours before {TIMED}"] if day < TIMED else []
    return view.evidence(figures, conventions=CONVENTIONS, missing=untimed)


@tool
def market_holidays(
    view: View = NO_DATA, *, year: Annotated[int, Field(description="calendar year, from 1970 to 2050")]
) -> Evidence:
    """The weekdays of a year on which the New York Stock Exchange is closed, and those on which it closes early.

    Figures: sessions, holidays and early_closes (how many), first_session, last_session, holiday_1, holiday_2, ...
    and early_close_1, ... in order of date, each with the name of its rule or its closing time. Raises NotComputed
    for a year outside 1970 to 2050. Source as of `trading_calendar`.
    """
    known = calendar()
    if not FIRST.year <= year <= LAST.year:
        raise NotComputed(f"needs a year from {FIRST.year} to {LAST.year}; got {year}")
    days, early = _year(known, year), sorted(d for d in known.early if d.year == year)
    week = np.arange(np.datetime64(f"{year}-01-01"), np.datetime64(f"{year + 1}-01-01"))
    closed = [d for d in week[np.is_busday(week)].tolist() if d not in set(days)]
    figures = {
        "sessions": sessions(len(days)),
        "holidays": count(len(closed)),
        "early_closes": count(len(early)),
        "first_session": dated(days[0]),
        "last_session": dated(days[-1]),
    }
    for i, found in enumerate(closed, 1):
        figures |= {f"holiday_{i}": dated(found), f"holiday_{i}_name": text(known.named.get(found, "special closing"))}
    for i, found in enumerate(early, 1):
        figures |= {f"early_close_{i}": dated(found), f"early_close_{i}_time": text(_times(known, found)[1])}
    return view.evidence(figures, conventions=CONVENTIONS)


def _is_session(known: Calendar, day: date) -> bool:
    place = known.position(day)
    return place > 0 and known.at(place - 1) == day


def _times(known: Calendar, day: date) -> tuple[str, str]:
    """Open and close of a session in New York."""
    place = known.position(day) - 1
    moments: list[datetime] = [known.opens[place].item(), known.closes[place].item()]
    first, last = (f"{m.replace(tzinfo=UTC).astimezone(NEW_YORK):%H:%M}" for m in moments)
    return first, last


def _kind(known: Calendar, day: date) -> dict[str, Figure]:
    if _is_session(known, day):
        first, last = _times(known, day)
        early = day in known.early
        kind = "early close" if early else "session"
        figures = {"is_session": count(1), "early_close": count(early), "kind": text(kind)}
        return figures | ({"open": text(first), "close": text(last)} if day >= TIMED else {})
    kind = "weekend" if day.weekday() > 4 else "holiday" if day in known.named else "special closing"
    figures = {"is_session": count(0), "early_close": count(0), "kind": text(kind)}
    return figures | ({"holiday": text(known.named[day])} if kind == "holiday" else {})


def _year(known: Calendar, year: int) -> list[date]:
    first, last = known.position(date(year, 1, 1)) - _is_session(known, date(year, 1, 1)), date(year, 12, 31)
    return known.sessions[first : known.position(last)].tolist()


def _between(known: Calendar, day: date, end: date) -> dict[str, Figure]:
    first, last = sorted((day, end))
    inclusive = sessions_between(first, last) + _is_session(known, first)
    return {
        "end": dated(end),
        "sessions_between": sessions(sessions_between(day, end)),
        "sessions_inclusive": sessions(inclusive),
        "calendar_days": count((end - day).days),
    }
