"""The supervisor with real processes: replicas end, hang, are given up, adopted, changed, drained, and none is lost."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from openoutcry.serving import roster, stack
from openoutcry.serving.planning import autoscale
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running import control, processes
from openoutcry.serving.running.keeper import Pace

BRISK = Pace(look=0.05, warm=60, pause=0.05, longest=0.2, grace=0.5, sweep=0.3)
"""Looks often, and gives up on nobody for a machine that is busy."""
QUICK = BRISK.model_copy(
    update={"patience": 20, "start": 120, "tries": 3, "settled": 1000, "drain": 10, "scale": 0.2},
)
WAIT = 120


class Rig(Protocol):
    """As tests/conftest.py makes it."""

    root: Path
    home: Path

    def mood(self, words: str, model: str = "m") -> None: ...
    def looked(self, times: int, path: str = "/health", model: str = "m") -> None: ...
    def stack(self, **models: str) -> Path: ...


def silent(_: Replica) -> None:
    """Nobody watches."""


def up(rig: Rig, file: Path | None = None, pace: Pace = QUICK, wait: float = WAIT) -> Roster:
    return control.up(stack.load(str(file or rig.root / "stack.toml")), rig.home, wait, silent, pace)


def down(rig: Rig, pace: Pace = QUICK) -> None:
    control.down(rig.home, silent, pace)
    assert not processes.marked(rig.home)


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def only(rig: Rig) -> Replica:
    (replica,) = roster.read(rig.home).replicas
    return replica


def leaders(rig: Rig) -> list[tuple[str, int]]:
    return sorted((m.tag.model, m.tag.index) for m in processes.marked(rig.home) if m.tag and m.leads)


def kill_supervisor(rig: Rig) -> None:
    keepers = processes.supervisors(rig.home)
    processes.stop([one.process for one in keepers], 0)
    assert keepers


@pytest.mark.parametrize("victim", ["server", "engine core"])
def test_a_killed_replica_comes_again_and_leaves_nothing(rig: Rig, victim: str) -> None:
    before = up(rig, rig.stack()).replicas[0]
    family = [m for m in processes.marked(rig.home) if m.tag]
    assert sorted(m.leads for m in family) == [False, True]
    if victim == "server":
        os.kill(before.pid, signal.SIGKILL)
    else:  # the double does not notice, vLLM does and answers 503: so have it
        next(m for m in family if not m.leads).process.kill()
        rig.mood("slow")
        until(lambda: only(rig).state is not State.READY, "an ill replica stays ready")
        rig.mood("")
    until(lambda: only(rig).state is State.READY and only(rig).pid != before.pid, "it does not come again")
    assert only(rig).restarts == 1
    told = (rig.home / "stack/logs/supervisor.log").read_text()
    assert ("killed by SIGKILL" if victim == "server" else "did not answer /health 3 times in a row") in told
    assert not any(processes.alive(m.process) for m in family)
    down(rig)


def test_a_replica_is_ready_only_after_health_and_first_requests(rig: Rig) -> None:
    file = rig.stack()
    rig.mood("slow")
    assert up(rig, file, wait=1).replicas[0].state is State.STARTING
    assert roster.read(rig.home).ready("m") == []
    rig.mood("")
    until(lambda: roster.read(rig.home).ready("m"), "it is not ready")
    asked = [json.loads(line) for line in (rig.root / "m/asked.jsonl").read_text().splitlines()]
    assert [("tools" in body, "response_format" in body) for body in asked] == [(False, True), (True, False)]
    down(rig)


def test_a_refused_first_request_is_told_and_no_reason_to_fail(rig: Rig) -> None:
    file = rig.stack()
    rig.mood("refuse")
    replica = up(rig, file).replicas[0]
    assert replica.state is State.READY
    assert "status 400" in replica.reason
    down(rig)


def test_a_crash_loop_is_given_up_with_its_reason_and_tried_again_when_asked(rig: Rig) -> None:
    file = rig.stack()
    rig.mood("crash")
    replica = up(rig, file).replicas[0]
    assert (replica.state, replica.restarts) == (State.FAILED, QUICK.tries - 1)
    assert replica.reason == "ValueError: the weights are torn"
    rig.mood("")
    time.sleep(3 * QUICK.longest)
    assert only(rig).state is State.FAILED
    assert up(rig, file).replicas[0].state is State.READY
    down(rig)


def test_a_hung_replica_is_replaced(rig: Rig) -> None:
    before = up(rig, rig.stack(), QUICK.model_copy(update={"patience": 0.5})).replicas[0]
    os.kill(before.pid, signal.SIGSTOP)
    until(lambda: only(rig).state is State.READY and only(rig).pid != before.pid, "it is not replaced")
    down(rig)


def test_a_replica_that_never_answers_is_given_up(rig: Rig) -> None:
    file = rig.stack()
    rig.mood("slow")
    replica = up(rig, file, QUICK.model_copy(update={"start": 0.5, "tries": 2})).replicas[0]
    assert (replica.state, replica.reason) == (State.FAILED, "did not answer /health within 0.5 s")
    down(rig)


def test_the_next_supervisor_adopts_what_runs(rig: Rig) -> None:
    file = rig.stack(m="replicas = {min = 2, max = 2}")
    before = up(rig, file)
    asked = (rig.root / "m/asked.jsonl").read_text()
    kill_supervisor(rig)
    assert leaders(rig) == [("m", 0), ("m", 1)]
    after = up(rig, file)
    assert after.supervisor != before.supervisor
    assert [(r.pid, r.url, r.since) for r in after.replicas] == [(r.pid, r.url, r.since) for r in before.replicas]
    assert (rig.root / "m/asked.jsonl").read_text() == asked
    os.kill(before.replicas[0].pid, signal.SIGKILL)  # what was adopted is kept as what was started
    until(lambda: before.replicas[0].pid not in {r.pid for r in roster.read(rig.home).replicas}, "it is not kept")
    assert len(up(rig, file).ready("m")) == 2
    down(rig)


def test_a_replica_that_died_with_its_supervisor_is_started_and_its_rest_stopped(rig: Rig) -> None:
    before = up(rig, rig.stack()).replicas[0]
    rest = next(m for m in processes.marked(rig.home) if m.tag and not m.leads)
    kill_supervisor(rig)
    os.kill(before.pid, signal.SIGKILL)
    assert up(rig).replicas[0].pid != before.pid
    assert not processes.alive(rest.process)
    down(rig)


def test_a_supervisor_killed_between_intent_and_start_leaves_one_replica(rig: Rig) -> None:
    before = up(rig, rig.stack()).replicas[0]
    kill_supervisor(rig)
    intent = before.model_copy(update={"pid": 0, "state": State.STARTING})
    roster.write(rig.home, roster.read(rig.home).model_copy(update={"replicas": (intent,)}))
    assert up(rig).replicas[0].pid == before.pid  # it had come to start it: the process says whose it is
    kill_supervisor(rig)
    processes.stop([m.process for m in processes.marked(rig.home)], 0)
    roster.write(rig.home, roster.read(rig.home).model_copy(update={"replicas": (intent,)}))
    assert up(rig).replicas[0].pid not in (0, before.pid)  # it had not
    assert leaders(rig) == [("m", 0)]
    down(rig)


def test_killed_at_any_moment_it_never_starts_a_second_one(rig: Rig) -> None:
    file, moments = rig.stack(m="replicas = {min = 2, max = 2}"), random.Random(5)
    for _ in range(6):
        up(rig, file, wait=0)
        time.sleep(moments.uniform(0, 0.6))
        kill_supervisor(rig)
    assert [r.state for r in up(rig, file).replicas] == [State.READY, State.READY]
    assert leaders(rig) == [("m", 0), ("m", 1)]
    down(rig)


def test_a_changed_stack_starts_what_is_new_and_replaces_only_what_changed(rig: Rig) -> None:
    first = {r.model: r.pid for r in up(rig, rig.stack(kept="", gone="", other="")).replicas}
    second = {r.model: r.pid for r in up(rig, rig.stack(kept="seconds = 5.0", new="", other="cores = 2")).replicas}
    assert set(second) == {"kept", "new", "other"}
    assert second["kept"] == first["kept"]
    assert second["other"] != first["other"]
    assert leaders(rig) == [("kept", 0), ("new", 0), ("other", 0)]
    down(rig)


def test_changed_weights_count_from_the_next_up(rig: Rig) -> None:
    before = up(rig, rig.stack()).replicas[0]
    (rig.root / "weights/model.safetensors").write_bytes(b"others")
    rig.looked(5)
    assert only(rig).pid == before.pid
    after = up(rig).replicas[0]
    assert after.pid != before.pid
    assert after.state is State.READY
    down(rig)


def test_a_replica_drains_before_it_is_stopped(rig: Rig) -> None:
    pace = QUICK.model_copy(update={"drain": 300})
    before = up(rig, rig.stack(m="", other=""), pace).replicas[0]
    rig.mood("busy")
    up(rig, rig.stack(other=""), pace, wait=0)
    until(lambda: roster.read(rig.home).replicas[0].state is State.DRAINING, "it does not drain")
    rig.looked(10, "/metrics")
    assert psutil.pid_exists(before.pid)
    assert roster.read(rig.home).ready("m") == []
    rig.mood("")
    until(lambda: leaders(rig) == [("other", 0)], "it is not stopped")
    down(rig)


def test_a_stray_is_swept(rig: Rig) -> None:
    up(rig, rig.stack())
    tag = processes.Tag(model="m", index=5, url="http://127.0.0.1:1", identity="")
    stray = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, **processes.marks(rig.home, tag)}, start_new_session=True
    )
    assert stray.wait(WAIT) == -signal.SIGTERM
    down(rig)


def test_sigterm_ends_all(rig: Rig) -> None:
    up(rig, rig.stack())
    (keeper,) = processes.supervisors(rig.home)
    keeper.process.terminate()
    until(lambda: not processes.marked(rig.home), "something is left")
    assert roster.read(rig.home).replicas == ()


def test_a_damaged_asking_leaves_all_as_it_is(rig: Rig) -> None:
    before = up(rig, rig.stack()).replicas[0]
    (rig.home / "stack/wanted.json").write_text("{")
    until(lambda: "stays in force" in (rig.home / "stack/logs/supervisor.log").read_text(), "it does not look")
    rig.looked(5)
    assert only(rig) == before
    down(rig)


def test_a_busy_model_gets_one_more_replica_where_it_may(rig: Rig) -> None:
    file = rig.stack(m="concurrency = 2\nreplicas = {min = 1, max = 2}\nmemory = '50MB'\nkv_cache = '1MB'")
    up(rig, file)
    rig.mood("busy")
    until(lambda: len(roster.read(rig.home).ready("m")) == 2, "there is no second replica")
    with (rig.home / "stack/scaling.jsonl").open() as lines:
        grown = next(moment for moment in autoscale.moments(lines) if moment.replicas == 2)
    assert [look and look.running for look in grown.looks] == [1]
    assert grown.reason == "load 1.00: above 0.8 for 2 looks"
    kill_supervisor(rig)
    assert len(up(rig).ready("m")) == 2
    rig.mood("")
    down(rig)


def test_an_idle_model_gives_a_replica_back_and_keeps_the_other(rig: Rig) -> None:
    more = "replicas = {{min = {}, max = 2}}\nmemory = '50MB'\nkv_cache = '1MB'"
    first, second = up(rig, rig.stack(m=more.format(2))).replicas
    up(rig, rig.stack(m=more.format(1)), wait=0)
    until(lambda: leaders(rig) == [("m", 0)], "none is given back")
    until(lambda: len(roster.read(rig.home).replicas) == 1, "it stands in the roster still")
    assert (only(rig).pid, only(rig).state) == (first.pid, State.READY)
    assert not psutil.pid_exists(second.pid)
    with (rig.home / "stack/scaling.jsonl").open() as lines:
        given = next(moment for moment in autoscale.moments(lines) if moment.replicas == 1)
    assert (len(given.looks), given.reason) == (2, "load 0.00: below 0.3 for 4 looks")
    time.sleep(2)  # five looks more: the last one stays
    assert only(rig).pid == first.pid
    down(rig)
