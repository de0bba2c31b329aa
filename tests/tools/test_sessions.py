"""The trading calendar against the exchange's own notices, and its arithmetic against counting by hand."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.tools import sessions
from openoutcry.tools.sessions import FIRST, LAST, market_holidays, session_after, sessions_between

trading_calendar: Any = sessions.trading_calendar
"""As a command line calls it: with text for a date."""
DAYS = st.dates(date(1972, 1, 1), date(2048, 12, 31))
# NYSE, "Holidays & Trading Hours" (nyse.com/markets/hours-calendars), as published for each year.
HOLIDAYS = {
    2022: "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26",
    2023: "01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25",
    2024: "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25",
    2026: "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
}
EARLY = {2022: "11-25", 2023: "07-03 11-24", 2024: "07-03 11-29 12-24", 2026: "11-27 12-24"}
# Trading days a year, as the exchange and many a text count them.
COUNTS = {
    **dict.fromkeys((1990, 1991, 1993, 1997, 2008, 2020), 253),
    **dict.fromkeys((1994, 1998, 1999, 2000, 2003, 2004, 2005, 2010, 2015, 2016, 2019, 2021, 2024), 252),
    **dict.fromkeys((2006, 2007, 2017, 2018, 2022), 251),
    **dict.fromkeys((2012, 2023, 2025), 250),
    **{1992: 254, 1996: 254, 2001: 248},
}


def told(day: str, **more: Any) -> dict[str, Any]:
    """The figures of a day as plain values."""
    return {name: figure.value for name, figure in trading_calendar(day=day, **more).figures.items()}


@pytest.mark.parametrize("year", HOLIDAYS)
def test_the_holidays_and_early_closes_of_a_year_are_those_that_the_exchange_published(year: int) -> None:
    figures = {n: f.value for n, f in market_holidays(year=year).figures.items()}
    days = [figures[f"holiday_{i}"] for i in range(1, int(figures["holidays"]) + 1)]
    assert days == [f"{year}-{d}" for d in HOLIDAYS[year].split()]
    early = [figures[f"early_close_{i}"] for i in range(1, int(figures["early_closes"]) + 1)]
    assert early == [f"{year}-{d}" for d in EARLY[year].split()]
    assert {figures[f"early_close_{i}_time"] for i in range(1, len(early) + 1)} == {"13:00"}


@pytest.mark.parametrize(("year", "sessions"), COUNTS.items())
def test_sessions_in_a_year(year: int, sessions: int) -> None:
    assert market_holidays(year=year).value("sessions") == sessions
    assert told(f"{year}-03-15")["sessions_in_year"] == sessions


@pytest.mark.parametrize(
    "day",
    [
        *(f"2001-09-{d}" for d in (11, 12, 13, 14)),  # the attacks
        *("2012-10-29", "2012-10-30"),  # hurricane Sandy
        *("1994-04-27", "2004-06-11", "2007-01-02", "2018-12-05", "2025-01-09"),  # Nixon, Reagan, Ford, Bush, Carter
        *("1985-09-27", "1977-07-14"),  # hurricane Gloria, the blackout
    ],
)
def test_closings_for_a_day_of_mourning_or_a_storm(day: str) -> None:
    figures = told(day)
    assert (figures["is_session"], figures["kind"]) == (0, "special closing")
    assert "open" not in figures


@pytest.mark.parametrize(
    ("day", "kind", "close"),
    [
        ("2022-06-30", "session", "16:00"),
        *(("2022-03-11", "session", "16:00"), ("2022-03-14", "session", "16:00")),  # about both changes of the clocks
        *(("2022-11-04", "session", "16:00"), ("2022-11-07", "session", "16:00")),
        *(("2022-11-25", "early close", "13:00"), ("2023-07-03", "early close", "13:00")),
        *(("2024-12-24", "early close", "13:00"), ("2019-12-24", "early close", "13:00")),
        *(("2022-07-04", "holiday", None), ("2022-06-20", "holiday", None), ("2022-04-15", "holiday", None)),
        *(("2021-06-18", "session", "16:00"), ("2020-06-19", "session", "16:00")),  # before Juneteenth was one
        *(("2022-07-02", "weekend", None), ("2022-07-03", "weekend", None)),
        ("2021-12-31", "session", "16:00"),  # a New Year's Day on a Saturday takes no Friday
        ("1997-01-20", "session", "16:00"),  # Martin Luther King's day is one since 1998
    ],
)
def test_what_a_day_is_and_when_it_closes(day: str, kind: str, close: str | None) -> None:
    figures = told(day)
    assert (figures["kind"], figures.get("close")) == (kind, close)
    assert figures["is_session"] == (close is not None)
    assert figures["early_close"] == (kind == "early close")
    assert figures.get("open") == (None if close is None else "09:30")


def test_names_and_neighbours() -> None:
    figures = told("2022-06-20")
    assert figures["holiday"] == "Juneteenth National Independence Day"
    assert (figures["previous_session"], figures["next_session"]) == ("2022-06-17", "2022-06-21")
    figures = told("2022-06-21")
    assert (figures["previous_session"], figures["next_session"]) == ("2022-06-17", "2022-06-22")
    assert (figures["weekday"], figures["sessions_in_month"]) == ("Tuesday", 21)


@pytest.mark.parametrize(
    ("day", "horizon", "end"),
    [
        ("2022-06-30", 10, "2022-07-15"),
        ("2022-06-30", 1, "2022-07-01"),
        ("2022-07-01", 1, "2022-07-05"),
        ("2022-07-02", 1, "2022-07-05"),  # from a Saturday before a holiday
        ("2022-07-05", -1, "2022-07-01"),
        ("2022-07-04", 0, "2022-07-01"),
        ("2001-09-10", 1, "2001-09-17"),
        ("2020-12-31", 252, "2021-12-31"),
    ],
)
def test_n_sessions_on(day: str, horizon: int, end: str) -> None:
    assert told(day, horizon=horizon)["horizon_end"] == end
    assert session_after(date.fromisoformat(day), horizon).isoformat() == end


def test_sessions_between_two_days() -> None:
    figures = told("2022-06-30", end="2022-07-15")
    assert (figures["sessions_between"], figures["sessions_inclusive"], figures["calendar_days"]) == (10, 11, 15)
    back = told("2022-07-15", end="2022-06-30")
    assert (back["sessions_between"], back["sessions_inclusive"], back["calendar_days"]) == (-10, 11, -15)
    weekend = told("2022-07-02", end="2022-07-04")
    assert (weekend["sessions_between"], weekend["sessions_inclusive"]) == (0, 0)


@given(a=DAYS, b=DAYS, c=DAYS)
def test_counts_add_up(a: date, b: date, c: date) -> None:
    assert sessions_between(a, b) + sessions_between(b, c) == sessions_between(a, c)


@given(day=DAYS, n=st.integers(-400, 400))
def test_counting_undoes_going_on(day: date, n: int) -> None:
    end = session_after(day, n)
    assert sessions_between(day, end) == n
    assert session_after(end, 0) == end
    assert trading_calendar(day=end).value("is_session") == 1


@given(day=DAYS, length=st.integers(0, 60))
def test_a_count_is_that_of_its_days_one_by_one(day: date, length: int) -> None:
    days = [day + timedelta(i) for i in range(1, length + 1)]
    found = sum(trading_calendar(day=d).value("is_session") for d in days)
    assert sessions_between(day, day + timedelta(length)) == found


@given(day=DAYS)
def test_no_weekend_is_a_session(day: date) -> None:
    figures = trading_calendar(day=day).figures
    if day.weekday() > 4:
        assert figures["is_session"].value == 0
    assert str(figures["previous_session"].value) < day.isoformat() < str(figures["next_session"].value)


def test_years_and_months_hold_all_sessions() -> None:
    total = sum(market_holidays(year=y).value("sessions") for y in range(2000, 2010))
    assert total == sessions_between(date(1999, 12, 31), date(2009, 12, 31))
    months = sum(told(f"2022-{m:02}-10")["sessions_in_month"] for m in range(1, 13))
    assert months == 251


@pytest.mark.parametrize("day", [FIRST - timedelta(1), LAST + timedelta(1), date(1, 1, 1), date(9999, 12, 31)])
def test_outside_the_calendar_there_is_no_answer(day: date) -> None:
    for call in (
        lambda: trading_calendar(day=day),
        lambda: session_after(day, 1),
        lambda: sessions_between(date(2020, 1, 1), day),
        lambda: trading_calendar(day="2020-01-02", end=day),
    ):
        with pytest.raises(NotComputed, match=f"needs a day from 1970-01-01 to 2050-12-31; got {day}"):
            call()
    with pytest.raises(NotComputed, match=r"needs a year from 1970 to 2050; got"):
        market_holidays(year=day.year)


@pytest.mark.parametrize(("day", "n"), [(LAST, 1), (FIRST, -1), (date(2020, 1, 2), 25_000), (FIRST, 0)])
def test_a_horizon_past_the_calendar_is_refused(day: date, n: int) -> None:
    with pytest.raises(NotComputed, match="needs sessions within the calendar, which runs from 1970-01-01"):
        session_after(day, n)


def test_the_ends_of_the_calendar_have_one_neighbour() -> None:
    assert "previous_session" not in told("1970-01-02")
    assert told("1970-01-02")["next_session"] == "1970-01-05"
    assert "next_session" not in told("2050-12-31")


def test_hours_that_the_package_does_not_know_are_not_told() -> None:
    evidence = trading_calendar(day="1985-09-26")
    assert "open" not in evidence.figures
    assert evidence.missing == ("open and close on 1985-09-26: the package does not know the hours before 1985-09-30",)
    assert told("1985-09-30")["open"] == "09:30"


def test_a_day_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="trading_calendar: day"):
        trading_calendar(day="2022-02-30")
    with pytest.raises(UsageError, match="trading_calendar: horizon"):
        trading_calendar(day="2022-02-28", horizon=1_000_000)
