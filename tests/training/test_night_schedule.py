"""When the stages of a night are due: holidays, half days, weekends, both changes of the clocks, and the settings."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.clock import NEW_YORK
from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.tools.sessions import calendar
from openoutcry.training.night import schedule, settings
from openoutcry.training.night.schedule import STAGES, Stage

CALENDAR_DAYS = st.dates(date(1990, 1, 1), date(2049, 12, 31))
MOMENTS = st.datetimes(
    datetime.fromisoformat("1990-01-02"), datetime.fromisoformat("2049-12-31"), timezones=st.just(UTC)
)


def local(moment: datetime) -> str:
    return f"{moment.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M %Z}"


def test_a_night_in_the_week_runs_from_one_session_to_the_next() -> None:
    night = schedule.slots(date(2026, 12, 1), {})
    assert [slot.stage for slot in night] == list(STAGES)
    assert [local(slot.due) for slot in night] == [
        "Tue 2026-12-01 17:00 EST",
        "Tue 2026-12-01 22:00 EST",
        "Wed 2026-12-02 02:00 EST",
        "Wed 2026-12-02 06:00 EST",
    ]
    assert {local(slot.deadline) for slot in night} == {"Wed 2026-12-02 09:30 EST"}


def test_a_deadline_may_be_the_next_night() -> None:
    night = schedule.slots(date(2026, 12, 4), {Stage.TUNE: "night"})
    assert [local(slot.deadline) for slot in night[:2]] == ["Mon 2026-12-07 09:30 EST", "Mon 2026-12-07 17:00 EST"]


def test_a_holiday_has_no_night_and_a_half_day_has_one() -> None:
    thanksgiving, friday = date(2026, 11, 26), date(2026, 11, 27)
    assert thanksgiving not in list(schedule.days(date(2026, 11, 20), date(2026, 11, 30)))
    assert friday in calendar().early
    assert local(schedule.slots(friday, {})[0].due) == "Fri 2026-11-27 17:00 EST"
    on_the_holiday = datetime(2026, 11, 27, 1, tzinfo=UTC)
    assert schedule.newest(on_the_holiday) == date(2026, 11, 25)


@pytest.mark.parametrize(
    ("day", "at", "found"),
    [
        (date(2026, 3, 8), time(1, 59), "Sun 2026-03-08 01:59 EST"),
        (date(2026, 3, 8), time(2), "Sun 2026-03-08 03:00 EDT"),
        (date(2026, 3, 8), time(6), "Sun 2026-03-08 06:00 EDT"),
        (date(2026, 11, 1), time(1, 30), "Sun 2026-11-01 01:30 EDT"),
        (date(2026, 11, 1), time(2), "Sun 2026-11-01 02:00 EST"),
    ],
)
def test_a_time_that_the_clocks_skip_or_show_twice_is_one_moment(day: date, at: time, found: str) -> None:
    assert local(schedule.wall(day, at)) == found


@given(CALENDAR_DAYS)
def test_each_calendar_day_has_each_time_once_and_in_order(day: date) -> None:
    found = [schedule.due(day, stage) for stage in STAGES]
    assert found == sorted(set(found))
    assert found[-1] < schedule.due(day + timedelta(days=1), Stage.PREPARE)
    assert schedule.due(day + timedelta(days=1), Stage.VALIDATE) - schedule.due(day, Stage.VALIDATE) in {
        timedelta(hours=hours) for hours in (23, 24, 25)
    }


@given(CALENDAR_DAYS, st.sampled_from(["open", "night"]))
def test_no_night_reaches_into_the_next(day: date, until: schedule.Until) -> None:
    untils: dict[Stage, schedule.Until] = dict.fromkeys(STAGES, until)
    first, second = list(schedule.days(day, day + timedelta(days=14)))[:2]
    here, there = schedule.slots(first, untils), schedule.slots(second, untils)
    assert all(slot.due < slot.deadline for slot in here)
    assert max(slot.deadline for slot in here) <= min(slot.due for slot in there)


@given(MOMENTS)
def test_the_newest_night_is_the_one_that_began_last(now: datetime) -> None:
    day = schedule.newest(now)
    assert schedule.is_session(day)
    assert schedule.due(day, Stage.PREPARE) <= now
    following = list(schedule.days(day, day + timedelta(days=14)))[1]
    assert now < schedule.due(following, Stage.PREPARE)
    coming = schedule.coming(now, {})
    assert coming.due > now
    assert not [s for d in (day, following) for s in schedule.slots(d, {}) if now < s.due < coming.due]


def test_the_calendar_has_an_end() -> None:
    with pytest.raises(NotComputed, match="2050"):
        schedule.newest(datetime(2060, 1, 1, tzinfo=UTC))


def written(folder: Path, text: str) -> Path:
    (folder / settings.FILE).write_text(text)
    return folder / "desk.toml"


def test_the_example_is_a_file_of_settings_as_it_stands_and_with_every_comment_in_force(tmp_path: Path) -> None:
    example = settings.EXAMPLE.format(model="small")
    plain = settings.load(written(tmp_path, example))
    assert plain.roles["risk"].model == "small"
    assert plain.folder == tmp_path
    in_force = "\n".join(
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in example.splitlines()
    )
    full = settings.load(written(tmp_path, in_force))
    assert full.roles["risk"].recipe == "recipe.toml"
    assert full.model_copy(update={"roles": plain.roles}) == plain.model_copy(update={"deadlines": full.deadlines})
    assert full.untils == dict.fromkeys(STAGES, "open")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "roles in .*Field required"),
        ("[roles]", "name a role, such as"),
        ("[roles.risk]", "roles.risk.model in .*Field required"),
        ("[roles.chef]\nmodel = 'a'", "roles.chef.* in .*'analyst', 'sentiment'"),
        ("[roles.risk]\nmodel = 'a'\nmodle = 'b'", "there is no such key; there are model, sources"),
        ("[roles.risk]\nmodel = 'a'\n[deadlines]\nsleep = 'open'", "deadlines are of the stages prepare, tune"),
        ("[roles.risk]\nmodel = 'a'\n[deadlines]\ntune = 'noon'", "deadlines.tune in .*'open' or 'night'"),
        ("[roles.risk]\nmodel = 'a'\n[gate]\nepochs = 1", "gate.epochs in .*greater than or equal to 3"),
        ("[roles.risk", "is not readable TOML"),
    ],
)
def test_a_fault_in_the_settings_is_one_line_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        settings.load(written(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_without_a_file_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outcry night init"):
        settings.load(tmp_path / "desk.toml")
