"""The one clock: a bare date is the end of that day in New York."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.clock import AsOf, new_york_date
from openoutcry.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2022-06-30", datetime(2022, 7, 1, 3, 59, 59, tzinfo=UTC)),
        ("2022-01-31", datetime(2022, 2, 1, 4, 59, 59, tzinfo=UTC)),
        ("2022-06-30T10:00", datetime(2022, 6, 30, 14, 0, tzinfo=UTC)),
        ("2022-06-30T10:00:00+00:00", datetime(2022, 6, 30, 10, 0, tzinfo=UTC)),
        ("20220630", datetime(2022, 7, 1, 3, 59, 59, tzinfo=UTC)),
        ("2022-06-30T00:00:00", datetime(2022, 7, 1, 3, 59, 59, tzinfo=UTC)),
    ],
)
def test_parse(text: str, moment: datetime) -> None:
    assert AsOf.parse(text).moment == moment


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_a_date_round_trips(day: date) -> None:
    as_of = AsOf.parse(day)
    assert as_of.date == day
    assert AsOf.parse(str(as_of)) == as_of
    assert new_york_date(as_of.moment.replace(tzinfo=None)) == day


@given(st.integers(631_152_000, 4_102_444_800))
def test_a_moment_round_trips(seconds: int) -> None:
    as_of = AsOf.parse(datetime.fromtimestamp(seconds, UTC))
    assert AsOf.parse(str(as_of)) == as_of


@pytest.mark.parametrize("moment", [datetime(2021, 11, 7, h, 30, tzinfo=UTC) for h in (4, 5, 6, 7)])
def test_the_hour_that_autumn_repeats_round_trips(moment: datetime) -> None:
    assert AsOf.parse(str(AsOf.parse(moment))).moment == moment


def test_a_midnight_of_a_data_frame_is_its_day() -> None:
    assert AsOf.parse(datetime(2022, 6, 30)) == AsOf.parse("2022-06-30")  # noqa: DTZ001  # as pandas gives it


@pytest.mark.parametrize("text", ["yesterday", "2022-13-01", "2022-02-30", "", "30/06/2022", "9999-12-31"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^expected an as-of like 2022-06-30") as caught:
        AsOf.parse(text)
    assert "\n" not in str(caught.value)
