"""A new model's way into a seat, step by step: what is due follows from seat, record and time alone."""

import threading
from collections.abc import Iterator
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
from openoutcry.serving.registry import observations, rollout
from openoutcry.serving.registry.observations import Observation, conduct
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
    assert bench.rollouts.step("risk", NOW + 24 * HOUR).due.move == "settle"
    assert bench.seat("risk").until is None
    assert bench.rollouts.step("risk", NOW + 99 * HOUR).due.said == "nothing is under way"
    assert [k for k in kinds(bench.home) if k != "evaluated"] == [
        *("registered", "shadowed", "canary", "canary", "promoted", "settled")
    ]


def test_a_quiet_desk_moves_on_by_the_clock_and_says_so(bench: RolloutBench) -> None:
    name, now = bench.challenger("risk", "w1"), NOW
    for share in (5, 25):
        assert bench.rollouts.step("risk", now + 11 * HOUR).due.move == "stay"
        now += 12 * HOUR
        stood = bench.rollouts.step("risk", now)
        assert stood.due.said == "no alarm in 12 h, in which 0 runs were seen"
        assert bench.seat("risk").share == share
    bench.rollouts.step("risk", now + 12 * HOUR)
    assert bench.seat("risk").champion == name


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
    Rollouts(bench.home, opened.at).note(found, NOW)  # of a desk that was open all the while
    assert bench.seat("risk").champion == "m"
    assert kinds(bench.home).count("rolled_back") == 1


def test_a_step_that_the_gate_does_not_vouch_for_is_put_off(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
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
    found = due(Pointer(champion="m", challenger="x", share=share, since=NOW), Record(), runs, NOW + hours * HOUR)
    assert found.move == ("advance" if found.share else "stay")
    assert not found.share or found.share > share
    assert bool(found.share) == (hours >= 12 or runs >= RUNS[max(s for s in RUNS if s <= share)])


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


def sat(at: RolloutBench, *tried: Tried) -> Sitting:
    """A run in which `x` challenges, and what came of asking it."""
    model = FunctionModel(lambda messages, info: ModelResponse([]), model_name="x")
    line = Line(Pointer(champion="m", challenger="x", share=99, number=1), True, (model,))
    return Sitting({"risk": line}, list(tried))


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
    bench.vouched("risk", name, "m", "REJECT")
    stood = bench.rollouts.step("risk", NOW + 12 * HOUR)
    assert stood.due.said.startswith(f"held: record 2 of the gate says REJECT of {name} since; `outcry models rollback")
    assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, 0)


def test_nobody_waits_for_somebody_who_moves_the_seat_already(bench: RolloutBench) -> None:
    name = bench.challenger("risk", "w1")
    file = bench.home / "registry" / "rollout-risk.lock"
    with FileLock(file):
        assert bench.rollouts.step("risk", NOW + 12 * HOUR).due.move == "advance"
        assert bench.seat("risk").share == 0
    bench.rollouts.step("risk", NOW + 12 * HOUR)
    assert (bench.seat("risk").challenger, bench.seat("risk").share) == (name, 5)
