"""A new model's way into a seat, step by step: what is due follows from seat, record and time alone."""

import itertools
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.function import FunctionModel

from openoutcry.core.errors import DataError, UsageError
from openoutcry.serving.registry import artifact, observations, rollout
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.registry.observations import Book, Observation, conduct
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.registry.rollout import RUNS, Rollouts, Standing, due
from openoutcry.serving.registry.sitting import Line, Sitting
from openoutcry.serving.registry.watch import SUSPECT, Record, Stream
from openoutcry.serving.seat import Fault, Tried
from tests.serving.rollout_bench import NOW, RolloutBench, kinds

HOUR = timedelta(hours=1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RolloutBench]:
    yield RolloutBench(tmp_path / "home", roles=("risk",))


def seen(at: RolloutBench, model: str, count: int, *faults: Fault, first: int = 0, **more: Any) -> list[Observation]:
    number = at.seat("risk").number
    said: dict[str, Any] = {"arm": "challenger", **more}
    return [
        Observation(role="risk", model=model, run=f"{number}-{first + i}", number=number, faults=faults, **said)
        for i in range(count)
    ]


def noted(at: RolloutBench, found: list[Observation], now: datetime = NOW) -> Standing:
    stood = [*(at.rollouts.note([one], now)[0] for one in found)]
    return stood[-1]


def test_from_the_shadow_to_the_seat_and_through_its_watch(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    shares = [bench.seat("risk").share]
    for least in RUNS.values():
        stood = noted(bench, seen(bench, name, least - 1))
        assert stood.due.move == "stay"
        assert stood.due.said.startswith(f"{least - 1} of {least} runs seen")
        noted(bench, seen(bench, name, 1, first=least))
        shares.append(bench.seat("risk").share)
    assert shares == [0, 5, 25, 0]
    seat = bench.seat("risk")
    assert (seat.champion, seat.previous, seat.challenger) == (name, "m", "")
    assert bench.rollouts.step("risk", NOW + 23 * HOUR).due.move == "stay"
    noted(bench, seen(bench, name, 1, arm="champion"))
    assert bench.rollouts.step("risk", NOW + 24 * HOUR).due.move == "settle"
    assert bench.seat("risk").until is None
    assert bench.rollouts.step("risk", NOW + 99 * HOUR).due.said == "nothing is under way"
    assert [k for k in kinds(bench.home) if k != "evaluated"] == [
        *("registered", "shadowed", "canary", "canary", "promoted", "settled")
    ]


def test_a_quiet_desk_moves_on_by_the_clock_and_says_so(bench: RolloutBench) -> None:
    name, now = bench.challenger("risk", "w1"), NOW
    noted(bench, seen(bench, name, 1, arm="shadow"))
    for share, runs in ((5, 1), (25, 0)):
        assert bench.rollouts.step("risk", now + 11 * HOUR).due.move == "stay"
        now += 12 * HOUR
        stood = bench.rollouts.step("risk", now)
        assert stood.due.said == f"no alarm in 12 h, in which {runs} runs were seen"
        assert bench.seat("risk").share == share
    noted(bench, seen(bench, name, 1), now)
    bench.rollouts.step("risk", now + 12 * HOUR)
    assert bench.seat("risk").champion == name
    noted(bench, seen(bench, name, 1, arm="champion"), now)
    assert bench.rollouts.step("risk", now + 99 * HOUR).due.move == "settle"


def test_who_was_never_seen_goes_nowhere_by_the_clock(bench: RolloutBench) -> None:
    name, now = bench.challenger("risk", "w1"), NOW
    for share in (0, 5, 25):
        bench.rollouts.note(seen(bench, "m", 60, arm="champion"), now)
        now += 99 * HOUR
        stood = bench.rollouts.step("risk", now)
        assert stood.due.said.startswith("held: it was not seen in one run since it stands there; `outcry stack ")
        assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, share)
        if share < 25:
            bench.moves(now).canary("risk", name, 5 if not share else 25, record=1)
    bench.moves(now).promote("risk", name, record=1)
    assert bench.rollouts.step("risk", now + 99 * HOUR).due.said.startswith("held: it was not seen")
    assert bench.seat("risk").until


def test_who_answered_in_the_shadow_alone_takes_no_seat_by_the_clock(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    noted(bench, seen(bench, name, 9, arm="shadow"))
    for hours in (12, 24, 36, 48):
        bench.rollouts.step("risk", NOW + hours * HOUR)
    assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, 25)


def test_a_watch_that_begins_in_the_future_is_over(bench: RolloutBench) -> None:
    pointer = Pointer(champion="x", previous="m", since=NOW + 9999 * HOUR, until=NOW + 10_023 * HOUR)
    assert due(pointer, Record(runs=1), 1, NOW).move == "settle"
    assert due(pointer, Record(runs=1), 1, NOW + 9998 * HOUR).move == "stay", "a clock may be put back a little"


def test_a_bad_challenger_goes_out_and_its_reason_has_numbers(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1", share=5)
    stood = noted(bench, seen(bench, name, 3, "schema"))
    assert stood.due.move == "roll back"
    assert stood.due.said == "3 of its first 3 runs failed (most of them gave no answer in the form that was asked for)"
    seat = bench.seat("risk")
    assert (seat.champion, seat.challenger) == ("m", "")
    assert kinds(bench.home)[-2:] == ["rolled_back", "quarantined"]
    with pytest.raises(UsageError, match="may sit no more: quarantined: 3 of its first 3"):
        bench.moves().shadow("risk", name)
    late = seen(bench, name, 5, "schema", first=50)
    assert noted(bench, late).due.move == "stay"
    assert kinds(bench.home).count("rolled_back") == 1


def test_of_several_desks_one_takes_it_out(bench: RolloutBench) -> None:
    name = bench.champion("risk", "w1")
    found = seen(bench, name, 24, "crash", arm="champion")
    threads = [threading.Thread(target=noted, args=(bench, found[i::6])) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.seat("risk").champion == "m"
    assert kinds(bench.home).count("rolled_back") == kinds(bench.home).count("quarantined") == 1


def test_what_the_ledger_says_is_put_in_force_where_somebody_died_before(bench: RolloutBench) -> None:
    name = bench.champion("risk", "w1")
    file = bench.home / "stack" / "seats" / "risk.json"
    stale, found, opened = file.read_bytes(), seen(bench, name, 3, "crash", arm="champion"), bench.moves()
    bench.moves().rollback("risk", "by one who died")
    file.write_bytes(stale)
    Rollouts(bench.home, lambda now: replace(opened, now=now)).note(found, NOW)  # of a desk that was open all the while
    assert bench.seat("risk").champion == "m"
    assert kinds(bench.home).count("rolled_back") == 1


def test_a_step_that_the_gate_does_not_vouch_for_is_put_off(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    noted(bench, seen(bench, name, 1))
    file = next((bench.home / "models").glob("*/files/adapter_model.safetensors"))
    file.chmod(0o644)
    file.write_text("flipped")
    stood = bench.rollouts.step("risk", NOW + 12 * HOUR)
    assert stood.due.move == "stay"
    assert stood.due.said.startswith("held: ")
    assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, 0)


def test_a_suspect_goes_no_further_until_it_has_cleared_up(bench: RolloutBench) -> None:
    pointer = Pointer(champion="m", challenger="x", share=5, since=NOW)
    suspect = Record(streams={"crash": Stream(runs=90, failed=9, sums=(2 * SUSPECT, 0.0))}, runs=90)
    held = due(pointer, suspect, 90, NOW + 99 * HOUR)
    assert (held.move, held.said) == (
        "stay",
        f"held: the evidence against it is {suspect.suspicion:.3g}, and must fall below 4",
    )
    assert due(pointer, Record(), 90, NOW).move == "advance"


@given(st.sampled_from([0, 1, 5, 10, 25, 60, 99]), st.integers(0, 80), st.integers(0, 30))
def test_every_step_leads_to_a_larger_share(share: int, runs: int, hours: int) -> None:
    pointer, record = Pointer(champion="m", challenger="x", share=share, since=NOW), Record(runs=runs + 1)
    found = due(pointer, record, runs, NOW + hours * HOUR)
    assert found.move == ("advance" if found.share else "stay")
    assert not found.share or found.share > share
    by_clock = hours >= 12 and (runs > 0 or share < 25)
    assert bool(found.share) == (by_clock or runs >= RUNS[max(s for s in RUNS if s <= share)])


def test_the_same_run_counts_once(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1", share=5)
    for _ in range(3):
        noted(bench, seen(bench, name, 1, "schema"))
    assert bench.rollouts.standing("risk", NOW).record.runs == 1
    assert bench.seat("risk").challenger == name


def test_a_challenger_is_seen_beside_the_champions_record(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1", share=5)
    noted(bench, seen(bench, "m", 60, seconds=1.0, arm="champion"))
    noted(bench, seen(bench, name, 1, seconds=1.49))
    assert bench.rollouts.standing("risk", NOW).record.of("slow").failed == 0
    noted(bench, seen(bench, name, 1, seconds=1.51, first=9))
    stood = bench.rollouts.standing("risk", NOW)
    assert (stood.record.of("slow").failed, stood.runs, stood.other) == (1, 2, "m")


def test_a_damaged_book_is_said_and_costs_a_run_nothing(bench: RolloutBench) -> None:
    bench.challenger("risk", "w1", share=5)
    observations.path(bench.home).write_bytes(b"no database, at all" * 99)
    with pytest.raises(DataError, match="move it away, and the watch begins anew"):
        noted(bench, seen(bench, "m", 1))


def tried(fault: Fault | None = None, seconds: float = 1.0, asked: bool = True) -> Tried:
    return Tried("risk", "x", fault, seconds, 7, asked)


def test_what_a_run_says_of_a_model() -> None:
    assert conduct([], "schema") is None
    assert conduct([tried("crash", asked=False)], None) is None
    assert conduct([tried(), tried()], None) == observations.Conduct(seconds=2.0, tokens=14)
    found = conduct([tried(), tried("schema")], "evidence")
    assert found and found.faults == ("schema",)
    lapsed = conduct([tried()], "evidence")
    assert lapsed and lapsed.faults == ("evidence",)


def test_nothing_is_written_where_nothing_is_under_way(bench: RolloutBench) -> None:
    assert bench.rollouts.note([], NOW) == []
    assert rollout.watched(Pointer(champion="m", previous="n")) == ("", "")
    assert bench.rollouts.step("risk", NOW).due.said == "nothing is under way"
    assert not (bench.home / "registry").exists()


def test_nobody_is_judged_who_is_not_watched(bench: RolloutBench) -> None:
    name = bench.champion("risk", "w1")
    noted(bench, seen(bench, name, 1, arm="champion"))
    bench.rollouts.step("risk", NOW + 24 * HOUR)
    other = bench.challenger("risk", "w2", champion=name, share=5)
    noted(bench, seen(bench, name, 9, "schema", arm="champion"))
    stood = bench.rollouts.standing("risk", NOW)
    assert (stood.model, bench.seat("risk").champion) == (other, name)
    with observations.reading(bench.home) as book:
        assert book
        record = book.record("risk", name)
        assert (record.runs, record.failed, record.alarm) == (1, 0, "")
        [one] = seen(bench, other, 1)
        assert book.allowed(one, name).rates["schema"] > 0.4, "others are held to it all the same"


def test_a_bad_day_of_both_is_no_fault_of_one(bench: RolloutBench) -> None:
    draw, out = random.Random(3), 0
    for _ in range(20):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.executescript(observations.TABLES)
            book, count = Book(connection), itertools.count()

            def one(model: str, rate: float, count: Iterator[int] = count) -> Observation:
                faults: tuple[Fault, ...] = ("evidence",) if draw.random() < rate else ()
                run: dict[str, Any] = {"arm": "challenger", "number": 1, "faults": faults}
                return Observation(role="risk", model=model, run=str(next(count)), **run)

            for _ in range(1000):
                book.keep(one("m", 0.03), NOW)
            record, left = Record(), 70
            while left and not record.alarm:
                if draw.random() < (0.5 if left > 50 else 0.25):
                    record, left = book.add(one("x", 0.25), "m", NOW), left - 1
                else:
                    book.keep(one("m", 0.25), NOW)
            out += bool(record.alarm)
    assert out <= 3  # beside the other's whole life, more than half of them would go


def test_a_run_waits_for_no_bytes_and_a_rollback_for_nobody(
    bench: RolloutBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = bench.challenger("risk", "w1")
    noted(bench, seen(bench, name, 19))
    reads, go, real = threading.Event(), threading.Event(), artifact.check

    def slow(there: Registered) -> None:
        reads.set()
        assert go.wait(60)
        real(there)

    monkeypatch.setattr(artifact, "check", slow)
    rollouts = bench.rollouts
    rollouts.after("r1", sat(bench, tried(), model=name), {}, NOW)
    assert reads.wait(60), "the step is being done"
    assert bench.seat("risk").share == 0
    for run in range(2, 9):
        rollouts.after(f"r{run}", sat(bench, tried("schema"), model=name), {}, NOW)
    assert bench.seat("risk").challenger == "", "it went out meanwhile"
    go.set()
    rollouts.close()
    assert bench.seat("risk").challenger == ""
    assert [k for k in kinds(bench.home) if k != "evaluated"] == [
        *("registered", "shadowed", "rolled_back", "quarantined")
    ]


def test_a_step_is_done_when_the_desk_is_closed(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    noted(bench, seen(bench, name, 19))
    rollouts = bench.rollouts
    rollouts.after("r1", sat(bench, tried(), model=name), {}, NOW)
    rollouts.close()
    assert bench.seat("risk").share == 5


def sat(at: RolloutBench, *tried: Tried, model: str = "x") -> Sitting:
    """A run in which *model* challenges, and what came of asking it."""
    asked = FunctionModel(lambda messages, info: ModelResponse([]), model_name=model)
    number = 1 if model == "x" else at.seat("risk").number
    line = Line(Pointer(champion="m", challenger=model, share=99, number=number), True, (asked,))
    return Sitting({"risk": line}, [replace(one, model=model) for one in tried])


def test_a_kept_answer_is_no_new_run(bench: RolloutBench) -> None:
    assert observations.observed("r", sat(bench, tried(seconds=0.0)), {"risk": "evidence"}) == []
    [mixed] = observations.observed("r", sat(bench, tried(seconds=0.0), tried(seconds=2.0)), {})
    assert (mixed.seconds, mixed.faults) == (2.0, ())


def test_a_server_that_went_away_is_one_failure_however_many_were_in_flight(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1", share=5)
    broke = Tried("risk", "x", "crash", 1.0, 7, gone=True)
    assert [one.gone for one in observations.observed("r", sat(bench, broke), {})] == [True]
    assert [one.gone for one in observations.observed("r", sat(bench, broke, tried("schema")), {})] == [False]
    noted(bench, seen(bench, name, 12, "crash", gone=True))
    assert bench.rollouts.standing("risk", NOW).record.runs == 1
    noted(bench, seen(bench, name, 1, first=20))
    noted(bench, seen(bench, name, 12, "crash", gone=True, first=30))
    assert bench.rollouts.standing("risk", NOW).record.failed == 2
    assert bench.seat("risk").challenger == name
    noted(bench, seen(bench, name, 1, "crash", first=50))
    assert bench.seat("risk").challenger == "", "what answered and broke is its own"


def test_seconds_of_the_shadow_are_no_measure_of_busy_hours(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1", share=5)
    noted(bench, seen(bench, "m", 60, seconds=0.1, arm="shadow"))
    noted(bench, seen(bench, name, 12, seconds=5.0))
    assert bench.rollouts.standing("risk", NOW).record.of("slow").failed == 0
    noted(bench, seen(bench, name, 1, seconds=5.0, arm="shadow", first=30))
    assert bench.rollouts.standing("risk", NOW).record.of("slow").failed == 1


def test_what_the_gate_turned_down_since_goes_no_further(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    noted(bench, seen(bench, name, 1))
    bench.vouched("risk", name, "m", "REJECT")
    stood = bench.rollouts.step("risk", NOW + 12 * HOUR)
    assert stood.due.said.startswith(f"held: record 2 of the gate says REJECT of {name} since; `outcry models rollback")
    assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, 0)


def test_nobody_waits_for_somebody_who_moves_the_seat_already(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    noted(bench, seen(bench, name, 1))
    file = bench.home / "registry" / "rollout-risk.lock"
    with FileLock(file):
        assert bench.rollouts.step("risk", NOW + 12 * HOUR).due.move == "advance"
        assert bench.seat("risk").share == 0
    bench.rollouts.step("risk", NOW + 12 * HOUR)
    assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, 5)
