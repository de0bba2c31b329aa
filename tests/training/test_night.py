"""The night over days and years: each stage at most once, none lost, whatever the clock and the processes do."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.clock import NEW_YORK
from openoutcry.core.errors import DataError
from openoutcry.training.night import claim as claims
from openoutcry.training.night import schedule
from openoutcry.training.night.claim import NotNow, claim
from openoutcry.training.night.entry import BREAKS, PAUSE, State
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.loop import BEGAN, LOOKED, Night
from openoutcry.training.night.schedule import STAGES, Slot, Stage
from openoutcry.training.night.waiting import waiting
from openoutcry.training.night.working import Done, Job, perform
from tests.training.nights import Clock, Played

TUESDAY = date(2026, 12, 1)
NIGHT = schedule.slots(TUESDAY, {})
MEMORY = Path("/dev/shm")
"""A folder in memory, where there is one: thousands of nights are not to wait for the disk."""
SECOND = timedelta(seconds=1)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


@pytest.fixture
def quick() -> Iterator[Path]:
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def expected(looks: Sequence[datetime], untils: schedule.Untils) -> set[tuple[date, Stage]]:
    """What must have run: a stage runs at the first look at or after its time that finds the one before done."""
    found: set[tuple[date, Stage]] = set()
    for day in schedule.days(looks[0].date() - timedelta(days=7), looks[-1].date() + timedelta(days=1)):
        since = datetime.min.replace(tzinfo=UTC)
        for slot in schedule.slots(day, untils):
            at = next((look for look in looks if slot.due <= look < slot.deadline and look >= since), None)
            if at is None:
                break
            found.add((day, slot.stage))
            since = at
    return found


GAPS = st.lists(
    st.one_of(
        st.integers(1, 60).map(lambda m: timedelta(minutes=m)),
        st.integers(1, 20).map(lambda h: timedelta(hours=h)),
        st.integers(1, 9).map(lambda d: timedelta(days=d, minutes=7 * d)),
    ),
    min_size=1,
    max_size=25,
)
STARTS = st.one_of(
    st.datetimes(datetime.fromisoformat("2015-01-01"), datetime.fromisoformat("2030-01-01"), timezones=st.just(UTC)),
    st.sampled_from(["2026-03-06T16:00", "2026-10-30T16:00", "2026-11-25T16:59", "2026-12-24T12:30"]).map(new_york),
)


@given(start=STARTS, gaps=GAPS, restarts=st.integers(1, 5), until=st.sampled_from(["open", "night"]))
@settings(max_examples=25)
def test_whatever_is_slept_through_what_was_due_while_someone_looked_ran_once(
    start: datetime, gaps: list[timedelta], restarts: int, until: schedule.Until
) -> None:
    looks = [start]
    for gap in gaps:
        looks.append(looks[-1] + gap)
    untils: dict[Stage, schedule.Until] = dict.fromkeys(STAGES, until)
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        played = Played(Path(folder), Clock(start), untils)
        for first in range(0, len(looks), restarts):
            asyncio.run(played.look(*looks[first : first + restarts]))
        assert set(played.counts) == expected(looks, untils)
        assert set(played.counts.values()) <= {1}
        with Ledger(Path(folder)) as ledger:
            late = [e for e in ledger.entries() if e.deadline <= looks[-1]]
            assert {e.state for e in late} <= {State.DONE, State.EXPIRED, State.MISSED}
            assert all(e.said for e in late)


def test_a_year_with_every_holiday_and_change_of_the_clocks(quick: Path) -> None:
    first, last = date(2026, 1, 2), date(2026, 12, 31)
    played = Played(quick, Clock(new_york("2026-01-02T12:00")))
    days = list(schedule.days(first, last))
    moments = [slot.due + 29 * SECOND for day in days for slot in schedule.slots(day, {})]
    asyncio.run(played.look(*moments))
    assert list(played.counts) == [(day, stage) for day in days for stage in STAGES]
    assert set(played.counts.values()) == {1}
    walls = {(stage, f"{at.astimezone(NEW_YORK):%H:%M}") for _, stage, at in played.ran}
    assert walls == set(zip(STAGES, ("17:00", "22:00", "02:00", "06:00"), strict=True))
    assert not {date(2026, 4, 3), date(2026, 11, 26), date(2026, 7, 3)} & {day for day, _ in played.counts}


@given(
    steps=st.lists(st.integers(-30, 40).map(lambda h: timedelta(hours=h)), min_size=2, max_size=20),
)
@settings(max_examples=25)
def test_a_clock_that_is_set_back_and_forth_makes_nothing_run_twice(steps: list[timedelta]) -> None:
    at = new_york("2026-10-29T12:00")
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        played = Played(Path(folder), Clock(at))
        for step in steps:
            at += step
            asyncio.run(played.look(at))
        assert set(played.counts.values()) <= {1}
        forward = at + timedelta(days=3)
        asyncio.run(played.look(*(forward + timedelta(hours=h) for h in range(48))))
        after = {day for day in schedule.days(forward.date(), forward.date() + timedelta(days=2))}
        assert {d for d in after if schedule.due(d, Stage.DEPLOY) < forward + timedelta(hours=47)} <= {
            day for (day, stage) in played.counts if stage is Stage.DEPLOY
        } | {d for d in after if schedule.slots(d, {})[0].deadline <= forward}


async def test_what_was_given_up_under_a_wrong_clock_is_due_again(tmp_path: Path) -> None:
    played = Played(tmp_path, Clock(NIGHT[0].due))
    await played.look(NIGHT[0].due, NIGHT[0].due + timedelta(days=400))
    with Ledger(tmp_path) as ledger:
        found = ledger.entry(TUESDAY, Stage.TUNE)
    assert found is None or found.state is State.MISSED
    await played.look(*(slot.due for slot in NIGHT[1:]))
    assert [stage for day, stage in played.counts if day == TUESDAY] == list(STAGES)


async def test_a_clock_years_ahead_at_the_first_look_is_no_beginning(tmp_path: Path) -> None:
    played = Played(tmp_path, Clock(NIGHT[0].due))
    await played.look(new_york("2031-06-04T12:00"), *(slot.due for slot in NIGHT))
    assert [stage for day, stage in played.counts if day == TUESDAY] == list(STAGES)


async def test_what_ended_before_the_first_look_was_nobodys_and_what_is_open_is_caught_up(tmp_path: Path) -> None:
    played = Played(tmp_path, Clock(NIGHT[3].deadline))
    await played.look(NIGHT[3].deadline)
    with Ledger(tmp_path) as ledger:
        assert ledger.entries() == []
        assert ledger.marked(BEGAN)
    await played.look(schedule.due(date(2026, 12, 2), Stage.VALIDATE) + SECOND)
    assert [stage for _, stage, _ in played.ran] == [Stage.PREPARE, Stage.TUNE, Stage.VALIDATE]


async def test_a_night_that_was_slept_through_is_told_with_its_reason(tmp_path: Path) -> None:
    played = Played(tmp_path, Clock(NIGHT[0].due))
    await played.look(NIGHT[0].due, NIGHT[3].deadline + timedelta(days=1))
    with Ledger(tmp_path) as ledger:
        found = {(e.day, e.stage): (e.state, e.said) for e in ledger.entries()}
    nobody = "nobody was at work between its time and its deadline"
    assert found[TUESDAY, Stage.PREPARE] == (State.DONE, "as it should")
    assert found[TUESDAY, Stage.TUNE] == (State.MISSED, nobody)
    assert found[TUESDAY, Stage.VALIDATE] == (State.MISSED, "tune, which it needs, was missed")
    assert found[date(2026, 12, 2), Stage.PREPARE] == (State.MISSED, nobody)
    assert f"tune of 2026-12-01 missed: {nobody}" in played.told


async def test_a_failure_is_tried_again_after_a_pause_and_not_for_ever(tmp_path: Path) -> None:
    played = Played(tmp_path, Clock(NIGHT[0].due), fails=lambda job: job.stage is Stage.TUNE)
    at = NIGHT[1].due
    await played.look(NIGHT[0].due, at, at + PAUSE - SECOND, *(at + n * PAUSE for n in range(1, 12)))
    await played.look(NIGHT[3].deadline)
    with Ledger(tmp_path) as ledger:
        tune, validate = (ledger.entry(TUESDAY, stage) for stage in (Stage.TUNE, Stage.VALIDATE))
    assert tune and validate
    assert [a.began - at for a in tune.attempts] == [0 * PAUSE, PAUSE, 2 * PAUSE]
    assert (tune.state, tune.said) == (State.FAILED, "the disk is full")
    assert (validate.state, validate.said) == (State.EXPIRED, "tune, which it needs, was failed")


async def test_the_last_try_knows_that_it_is_and_a_success_after_failures_counts(tmp_path: Path) -> None:
    last: list[bool] = []

    def fails(job: Job) -> bool:
        last.append(job.last)
        return not job.last

    played = Played(tmp_path, Clock(NIGHT[0].due), fails=fails)
    await played.look(*(NIGHT[0].due + n * PAUSE for n in range(5)))
    assert last == [False, False, True]
    assert played.counts == {(TUESDAY, Stage.PREPARE): 1}


async def test_a_stage_hands_its_result_to_the_next(tmp_path: Path) -> None:
    played = Played(tmp_path, Clock(NIGHT[0].due))
    await played.look(*(slot.due for slot in NIGHT))
    with Ledger(tmp_path) as ledger:
        assert [e.result for e in ledger.entries()] == [{"of": "2026-12-01", "before": n} for n in (1, 2, 3, 4)]


def test_a_claim_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger, Ledger(tmp_path) as other:
        ledger.settle(NIGHT, NIGHT[0].due)
        with claim(ledger, NIGHT[0], NIGHT[0].due) as held:
            assert claims.busy(other)
            with (
                pytest.raises(NotNow, match=r"found prepare of 2026-12-01 \(process \d+\)"),
                claim(other, NIGHT[0], NIGHT[0].due, by_hand=True, again=True),
            ):
                pass
            held.done("", {}, NIGHT[0].due)
        assert not claims.busy(other)


def test_what_a_dead_process_left_is_due_again_at_once_and_its_word_no_longer_counts(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, NIGHT[0].due)
        with claim(ledger, NIGHT[0], NIGHT[0].due) as dead:
            pass  # ended without a word, as by kill -9
        assert not claims.busy(ledger)
        with claim(ledger, NIGHT[0], NIGHT[0].due) as held:
            with pytest.raises(DataError, match="was taken over meanwhile"):
                dead.done("late", {}, NIGHT[0].due)
            held.done("in time", {}, NIGHT[0].due)
        found = ledger.entry(TUESDAY, Stage.PREPARE)
    assert found
    assert (found.said, [a.state for a in found.attempts]) == ("in time", ["broken off", "done"])


PROMOTED = {"roles": {"risk": {"name": "risk-1", "decision": "PROMOTE", "record": 1}}}


@pytest.mark.parametrize("ends", ["back", "failed", "expired", ""])
def test_a_stage_that_was_done_stays_so_whatever_a_further_try_comes_to(tmp_path: Path, ends: str) -> None:
    """Empty: its process dies."""
    at = NIGHT[3].deadline
    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, NIGHT[3].due)
        for slot in NIGHT[:3]:
            with claim(ledger, slot, slot.due) as held:
                held.done("as it should", PROMOTED, slot.due)
        with claim(ledger, NIGHT[2], at, by_hand=True, again=True) as held:
            if ends:
                getattr(held, ends)("the disk is full", at)
        assert not claims.busy(ledger)
        ledger.settle(NIGHT, at)
        found = ledger.entry(TUESDAY, Stage.VALIDATE)
    assert found
    assert (found.state, found.said, found.result) == (State.DONE, "as it should", PROMOTED)
    assert len(found.attempts) == 2
    assert waiting(tmp_path, date(2026, 12, 2))["risk"]["name"] == "risk-1"


def test_a_stage_that_kills_its_process_each_time_is_given_up(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, NIGHT[0].due)
        for _ in range(BREAKS):
            with claim(ledger, NIGHT[0], NIGHT[0].due):
                pass
        assert not claims.busy(ledger)
        found = ledger.entry(TUESDAY, Stage.PREPARE)
        assert found
        assert (found.state, found.said) == (State.FAILED, f"its process died {BREAKS} times")
        assert not found.wanting(NIGHT[0].due + PAUSE)


@pytest.mark.parametrize("stage", STAGES[1:])
async def test_by_hand_a_stage_still_needs_the_one_before_and_runs_once(tmp_path: Path, stage: Stage) -> None:
    played, slot = Played(tmp_path, Clock(NIGHT[0].due)), NIGHT[STAGES.index(stage)]
    stop = asyncio.Event()

    async def by_hand(slot: Slot, *, again: bool = False) -> str:
        return await perform(ledger, slot, played.work, now=played.clock, stop=stop, by_hand=True, again=again)

    with Ledger(tmp_path) as ledger:
        with pytest.raises(NotNow, match=f"needs {stage.before} to be done first; that is not begun"):
            await by_hand(slot)
        for earlier in NIGHT[: STAGES.index(stage)]:
            await by_hand(earlier)
        assert await by_hand(slot) == "done"
        with pytest.raises(NotNow, match=r"is done: as it should; `--again`"):
            await by_hand(slot)
        assert await by_hand(slot, again=True) == "done"
    assert played.counts[TUESDAY, stage] == 2


def waits(began: threading.Event) -> claims.Any:
    def work(job: Job) -> Done:
        began.set()
        while True:
            job.check()
            threading.Event().wait(0.01)

    return work


async def test_a_stage_that_is_told_to_stop_gives_its_claim_back(tmp_path: Path) -> None:
    clock, stop, began = Clock(NIGHT[0].due), asyncio.Event(), threading.Event()
    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, clock.at)
        told = list[str]()
        work = perform(ledger, NIGHT[0], waits(began), now=clock, stop=stop, tell=told.append)
        running = asyncio.create_task(work)
        await asyncio.to_thread(began.wait)
        stop.set()
        assert await running == "given back"
        assert told == [f"{NIGHT[0]} begins", f"{NIGHT[0]} stopped from outside; it goes on when it is run again"]
        found = ledger.entry(TUESDAY, Stage.PREPARE)
        assert found
        assert found.state is State.DUE
        assert found.wanting(clock.at)


async def test_a_stage_ends_at_its_deadline_though_the_machine_slept(tmp_path: Path) -> None:
    clock, began = Clock(NIGHT[0].due), threading.Event()
    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, clock.at)
        told = list[str]()
        work = perform(ledger, NIGHT[0], waits(began), now=clock, stop=asyncio.Event(), tell=told.append)
        running = asyncio.create_task(work)
        await asyncio.to_thread(began.wait)
        clock.at = NIGHT[0].deadline
        assert await running == "expired"
        assert told[-1] == f"{NIGHT[0]} expired: its deadline passed"
        found = ledger.entry(TUESDAY, Stage.PREPARE)
    assert found
    assert (found.state, found.said) == (State.EXPIRED, "its deadline passed")


async def test_a_stage_that_is_told_twice_to_stop_has_not_failed_and_its_work_ends(tmp_path: Path) -> None:
    clock, began, ended = Clock(NIGHT[0].due), threading.Event(), threading.Event()

    def work(job: Job) -> Done:
        try:
            return waits(began)(job)
        finally:
            ended.set()

    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, clock.at)
        running = asyncio.create_task(perform(ledger, NIGHT[0], work, now=clock, stop=asyncio.Event()))
        await asyncio.to_thread(began.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(ended.wait, 60)
        found = ledger.entry(TUESDAY, Stage.PREPARE)
    assert found
    assert (found.state, [a.state for a in found.attempts]) == (State.DUE, ["given back"])


@pytest.mark.parametrize("fails", [False, True])
def test_work_that_ends_when_its_loop_is_gone_is_heard_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    began, over, threads, faults = threading.Event(), threading.Event(), list[threading.Thread](), list[object]()
    monkeypatch.setattr(threading, "excepthook", faults.append)

    def work(job: Job) -> Done:
        threads.append(threading.current_thread())
        began.set()
        over.wait()
        if fails:
            job.check()
        return Done(said="too late")

    async def cut() -> None:
        with Ledger(tmp_path) as ledger:
            ledger.settle(NIGHT, NIGHT[0].due)
            stop = asyncio.Event()
            running = asyncio.create_task(perform(ledger, NIGHT[0], work, now=Clock(NIGHT[0].due), stop=stop))
            await asyncio.to_thread(began.wait)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(cut())
    over.set()
    threads[0].join(60)
    assert (threads[0].is_alive(), faults) == (False, [])


async def test_a_fault_of_the_program_is_kept_as_a_failure_and_shown(tmp_path: Path) -> None:
    def broken(_: Job) -> Done:
        raise ZeroDivisionError("by zero")

    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, NIGHT[0].due)
        with pytest.raises(ZeroDivisionError):
            await perform(ledger, NIGHT[0], broken, now=Clock(NIGHT[0].due), stop=asyncio.Event())
        found = ledger.entry(TUESDAY, Stage.PREPARE)
    assert found
    assert (found.state, found.said) == (State.FAILED, "ZeroDivisionError: by zero")


async def test_the_loop_looks_until_it_is_told_to_stop_and_outlives_a_clock_that_is_years_off(tmp_path: Path) -> None:
    played, stop = Played(tmp_path, Clock(datetime(2060, 1, 1, tzinfo=UTC))), asyncio.Event()
    with Ledger(tmp_path) as ledger:
        night = await played.night(ledger)
        keeping = asyncio.create_task(night.keep(stop))
        while not played.told:
            await asyncio.sleep(0.01)
        stop.set()
        await keeping
        assert ledger.marked(LOOKED)
    assert "the clock says 2060-01-01: needs a day from 1970-01-01 to 2050-12-31" in played.told[0]


async def test_the_seats_are_looked_at_while_a_stage_works_for_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openoutcry.training.night.loop.LOOK", 600.0)
    looked, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def works_until_looked(_: Slot) -> None:
        looked.clear()
        await asyncio.wait_for(looked.wait(), 120)
        stop.set()

    with Ledger(tmp_path) as ledger:

        def beside() -> None:
            loop.call_soon_threadsafe(looked.set)

        night = Night(ledger, {}, works_until_looked, Clock(NIGHT[0].due), beside=beside)
        await night.keep(stop)
    assert looked.is_set()


def test_a_ledger_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "night.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"night\.db cannot be read .*move it away"):
        Ledger(tmp_path)
