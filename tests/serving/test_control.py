"""Up, down, status and logs: two at once, a dead supervisor, a deleted folder, a process that will not go."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from openoutcry.core.errors import ModelUnreachable, UsageError
from openoutcry.serving import roster, stack
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running import control, printed, processes, supervisor, wanted
from tests.serving.test_supervisor import BRISK, WAIT, until

# Who hangs is not replaced: here that would hide who ends it.
QUICK = BRISK.model_copy(update={"patience": 0.5, "misses": 10_000, "drain": 1})
Rig = Any


def silent(_: Replica) -> None:
    """Nobody watches."""


def complaints(rig: Rig) -> str:
    return (rig.home / "stack/logs/supervisor.log").read_text()


@contextmanager
def later(done: Callable[[], object]) -> Generator[None]:
    """Have something done in half a second, and at the latest before the end of the block is left."""
    timer = threading.Timer(0.5, done)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def up(rig: Rig, file: Path) -> Roster:
    return control.up(stack.load(str(file)), rig.home, WAIT, silent, QUICK)


def test_up_tells_each_change_and_down_ends_every_process(rig: Rig) -> None:
    file, seen = rig.stack(), list[State]()
    rig.mood("slow")  # it starts until that was told

    def told(replica: Replica) -> None:
        seen.append(replica.state)
        rig.mood("")

    ready = control.up(stack.load(str(file)), rig.home, WAIT, told, QUICK)
    assert [r.state for r in ready.replicas] == [State.READY]
    assert seen == [State.STARTING, State.READY]
    assert len(processes.marked(rig.home)) == 3
    assert control.down(rig.home, silent, QUICK) == 3
    assert not processes.marked(rig.home)
    assert control.down(rig.home, silent, QUICK) == 0
    assert roster.read(rig.home).replicas == ()


def test_house_needs_nothing_and_leaves_no_trace(rig: Rig) -> None:
    assert control.up(stack.load("house"), rig.home, 1, silent, QUICK) == Roster()
    assert not rig.home.exists()


def test_up_with_house_after_a_stack_stops_it(rig: Rig) -> None:
    up(rig, rig.stack())
    assert control.up(stack.load("house"), rig.home, WAIT, silent, QUICK).replicas == ()
    until(lambda: not processes.marked(rig.home), "something is left")


def test_two_ups_at_once_start_one_of_each(rig: Rig) -> None:
    file, found = rig.stack(m="replicas = {min = 2, max = 2}"), list[Roster]()
    both = [threading.Thread(target=lambda: found.append(up(rig, file))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    until(lambda: len(processes.supervisors(rig.home)) == 1, "the one that came second stays")
    marked = processes.marked(rig.home)
    assert sorted(m.tag.index for m in marked if m.tag and m.leads) == [0, 1]
    assert len([m for m in marked if m.tag is None]) == 1
    assert [[r.pid for r in one.replicas] for one in found] == [[r.pid for r in found[0].replicas]] * 2
    control.down(rig.home, silent, QUICK)


def test_what_is_not_there_changes_nothing(rig: Rig) -> None:
    before = up(rig, rig.stack())
    file = rig.root / "bad.toml"
    file.write_text('engine = "engine"\n[models.other]\nweights = "./none"\n')
    with pytest.raises(UsageError, match="expected the weights of other"):
        up(rig, file)
    assert roster.read(rig.home) == before
    control.down(rig.home, silent, QUICK)


@pytest.mark.parametrize("supervised", [True, False])
def test_down_ends_what_hangs_and_what_ignores_it(rig: Rig, supervised: bool) -> None:
    file = rig.stack()
    rig.mood("stubborn")
    up(rig, file)
    rig.mood("stubborn hang")
    if not supervised:
        _kill_supervisor(rig)
    assert control.down(rig.home, silent, QUICK) == (3 if supervised else 2)
    assert not processes.marked(rig.home)


def test_down_ends_a_supervisor_that_hangs(rig: Rig) -> None:
    up(rig, rig.stack())
    (keeper,) = processes.supervisors(rig.home)
    os.kill(keeper.pid, signal.SIGSTOP)
    control.down(rig.home, silent, QUICK)
    assert not processes.marked(rig.home)


@pytest.mark.parametrize("supervised", [True, False])
def test_down_finds_what_runs_for_a_deleted_folder(rig: Rig, supervised: bool) -> None:
    slow = QUICK.model_copy(update={"look": 5.0})
    control.up(stack.load(str(rig.stack())), rig.home, WAIT, silent, slow)
    if not supervised:
        _kill_supervisor(rig)
    rig.home.rename(rig.root / "gone")  # in one step: it is written to meanwhile
    assert control.down(rig.home, silent, QUICK) >= 2
    assert not processes.marked(rig.home)
    assert not rig.home.exists()


def test_a_supervisor_whose_folder_is_deleted_ends_with_all_it_keeps(rig: Rig) -> None:
    up(rig, rig.stack())
    rig.home.rename(rig.root / "gone")  # in one step: it is written to meanwhile
    until(lambda: not processes.marked(rig.home), "something is left")
    assert not rig.home.exists()


async def test_a_folder_that_goes_just_before_the_roster_is_written_stays_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, gone, write = tmp_path / "home", tmp_path / "gone", roster.write
    roster.folder(home).mkdir(parents=True)

    def late(home: Path, now: Roster, make: bool = True) -> None:
        home.rename(gone)
        write(home, now, make)

    monkeypatch.setattr(roster, "write", late)
    await supervisor.keep(home, QUICK, handle_signals=False)
    assert gone.exists()
    assert not home.exists()


def test_status_before_during_and_after_a_death(rig: Rig) -> None:
    loaded = stack.load(str(rig.stack()))
    (before,) = control.status(loaded, rig.home).replicas
    assert (before.state, before.reason) == (State.STOPPED, "`outcry stack up` starts it")
    ready = up(rig, rig.root / "stack.toml")
    assert control.status(loaded, rig.home) == ready
    _kill_supervisor(rig)
    processes.stop([psutil.Process(ready.replicas[0].pid)], 0)
    found = control.status(loaded, rig.home)
    assert found.supervisor == 0
    assert (found.replicas[0].state, found.replicas[0].reason[:10]) == (State.STOPPED, "it is gone")
    control.down(rig.home, silent, QUICK)


def test_what_has_no_process_stands_by_its_supervisor(tmp_path: Path, stand_in: Callable[[Path], int]) -> None:
    """One waits for its turn to start, one for its next start, and the process of one is a stranger's by now."""
    pid = stand_in(tmp_path)
    first = Replica(model="m", index=0, url="", state=State.STARTING)
    waits = first.model_copy(update={"index": 1, "state": State.WAITING, "reason": "it ended"})
    gone = first.model_copy(update={"index": 2, "state": State.READY, "pid": os.getpid()})
    failed = first.model_copy(update={"index": 3, "state": State.FAILED})
    now = Roster(supervisor=pid, replicas=(first, waits, gone, failed))
    roster.write(tmp_path, now)
    found = control.standing(tmp_path)
    assert (found.supervisor, found.replicas[:2], found.replicas[3]) == (pid, (first, waits), failed)
    assert (found.replicas[2].state, found.replicas[2].pid) == (State.STOPPED, 0)
    roster.write(tmp_path, now.model_copy(update={"supervisor": os.getpid()}))
    found = control.standing(tmp_path)
    assert (found.supervisor, [r.state for r in found.replicas]) == (0, [*[State.STOPPED] * 3, State.FAILED])


def test_status_asks_servers_that_stand_already(rig: Rig, double: Any) -> None:
    url = double("model_double")
    file = rig.root / "stack.toml"
    file.write_text(
        f'[models.up]\nengine = "endpoint"\nurl = "{url}"\n'
        '[models.off]\nengine = "ollama"\nweights = "x"\nurl = "http://127.0.0.1:9"\n'
    )
    found = {r.model: r for r in control.status(stack.load(str(file)), rig.home).replicas}
    assert (found["up"].state, found["off"].state) == (State.READY, State.FAILED)
    assert "expected a server at http://127.0.0.1:9" in found["off"].reason


def test_logs_of_one_and_of_several(rig: Rig) -> None:
    up(rig, rig.stack(one="", two="replicas = {min = 2, max = 2}"))
    (line,) = printed.tail(rig.home, "one", 5, False)
    assert line.startswith("INFO 11-25 02:46:36 [api_server.py:1] serving")
    assert sorted(line.split(" | ")[0] for line in printed.tail(rig.home, "two", 5, False)) == ["two-0", "two-1"]
    followed = printed.tail(rig.home, "one", 1, True)
    assert next(followed) == line  # now it has read to the end
    with (rig.home / "stack/logs/one-0.log").open("a") as log:
        log.write("half")
        log.flush()
        with later(lambda: (log.write(" a line\n"), log.flush())):
            assert next(followed) == "half a line"
    (rig.home / "stack/logs/one-0.log").rename(rig.root / "old")  # as a long one is set aside
    (rig.root / "new").write_text("anew\n")
    with later(lambda: (rig.root / "new").rename(rig.home / "stack/logs/one-0.log")):
        assert next(followed) == "anew"
    with pytest.raises(UsageError, match="got 'three'; there are logs of one, supervisor, two"):
        next(printed.tail(rig.home, "three", 5, False))
    control.down(rig.home, silent, QUICK)


def _kill_supervisor(rig: Rig) -> None:
    (keeper,) = processes.supervisors(rig.home)
    processes.stop([keeper.process], 0)


def test_up_says_so_where_the_supervisor_dies_meanwhile(rig: Rig) -> None:
    file = rig.stack()
    rig.mood("slow")
    with pytest.raises(ModelUnreachable, match="the supervisor ended meanwhile"):  # killed once it is seen to start
        control.up(stack.load(str(file)), rig.home, WAIT, lambda _: _kill_supervisor(rig), QUICK)
    control.down(rig.home, silent, QUICK)


def test_down_ends_all_where_nothing_can_be_written(rig: Rig) -> None:
    """As on a full disk. Until then, what was asked for and cannot be read any more stays in force."""
    up(rig, rig.stack())
    (keeper,) = processes.supervisors(rig.home)
    keeper.process.suspend()  # between the two it would see a folder taken away, and rightly stop everything
    (rig.home / "stack/wanted.json").unlink()
    (rig.home / "stack/wanted.json").mkdir()
    keeper.process.resume()
    until(lambda: "stays in force" in complaints(rig), "it does not look")
    assert len(processes.marked(rig.home)) == 3
    assert control.down(rig.home, silent, QUICK) == 3
    assert not processes.marked(rig.home)


def test_a_fault_that_lasts_is_logged_once(rig: Rig) -> None:
    up(rig, rig.stack())
    (rig.home / "stack/wanted.json").write_text("{")
    until(lambda: "stays in force" in complaints(rig), "it does not look")
    rig.looked(20)
    assert complaints(rig).count("stays in force") == 1
    control.down(rig.home, silent, QUICK)


def test_a_log_that_cannot_be_written_stops_nothing(rig: Rig) -> None:
    """As on a full disk."""
    wanted.write(rig.home, wanted.of(stack.load(str(rig.stack()))))
    command = [sys.executable, "-m", "openoutcry.serving.running.supervisor", str(rig.home), QUICK.model_dump_json()]
    marks = {**os.environ, **processes.marks(rig.home)}
    with Path("/dev/full").open("w") as full:
        keeper = subprocess.Popen(command, stdout=full, stderr=full, env=marks, start_new_session=True)
    first = _ready_again(rig, 0)
    os.kill(first, signal.SIGKILL)
    assert _ready_again(rig, first) != first
    control.down(rig.home, silent, QUICK.model_copy(update={"drain": 60}))  # the supervisor's own is 1
    assert keeper.wait(WAIT) == 0


def _ready_again(rig: Rig, before: int) -> int:
    """The process of the one replica, once another than *before* is ready."""
    deadline = time.monotonic() + WAIT
    while not (ready := [r.pid for r in roster.read(rig.home).replicas if r.state is State.READY and r.pid != before]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return ready[0]
