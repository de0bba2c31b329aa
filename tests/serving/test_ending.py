"""What ends at a bad moment: a supervisor that has just begun, a replica about to be ready, a system in need."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from openoutcry.serving import roster, stack
from openoutcry.serving.roster import Replica, State
from openoutcry.serving.running import control, keeper, processes, supervisor, wanted
from openoutcry.serving.running.keeper import Ground, Keeper
from openoutcry.serving.running.processes import Tag
from openoutcry.serving.running.registered import Offer
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Reply, Transport
from tests.serving.test_supervisor import QUICK, WAIT, down, only, silent, until, up

Rig = Any
LASTS = """
import ctypes, signal, threading, time
from pathlib import Path
def ends(*_):
    threading.Thread(target=time.sleep, args=(1,)).start()
    ctypes.CDLL(None).pthread_exit(None)
signal.signal(signal.SIGTERM, ends)
Path("listens").touch()
while True: time.sleep(60)
"""
"""One whose first thread ends at once where it is told to, and another a second later."""


def terminated(rig: Rig) -> None:
    """The supervisor hears SIGTERM now."""
    for one in processes.supervisors(rig.home):
        one.process.terminate()


def test_sigterm_ends_what_has_just_begun(rig: Rig) -> None:
    pace = QUICK.model_copy(update={"look": 1.0})
    control.up(stack.load(str(rig.stack())), rig.home, 0, silent, pace)
    terminated(rig)
    until(lambda: not processes.marked(rig.home), "something is left")
    assert roster.read(rig.home).replicas == ()


def test_sigterm_ends_what_gives_way_to_a_changed_model(rig: Rig) -> None:
    pace = QUICK.model_copy(update={"drain": 300})
    control.up(stack.load(str(rig.stack())), rig.home, WAIT, silent, pace)
    rig.mood("busy")
    control.up(stack.load(str(rig.stack(m="max_model_len = 4096"))), rig.home, 0, silent, pace)
    until(lambda: only(rig).state is State.DRAINING, "it does not drain")
    terminated(rig)
    rig.mood("")
    until(lambda: not processes.marked(rig.home), "something is left")
    assert roster.read(rig.home).replicas == ()


class Answers(Transport):
    """A server that is healthy, and whose first requests are answered once `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def get(self, url: str, path: str, seconds: float) -> Reply:
        return Reply(200, b"")

    async def post(self, url: str, path: str, body: bytes, seconds: float) -> Reply:
        self.asked.set()
        await self.go.wait()
        return Reply(200, b"{}")


class One:
    """A keeper of one process that does nothing, and each state that it said."""

    def __init__(self, home: Path, state: State, device: str = "cpu") -> None:
        tag = Tag(model="m", index=0, url="http://127.0.0.1:9", identity="i")
        said = {**os.environ, **processes.marks(home, tag)}
        self.child = subprocess.Popen(["sleep", "600"], env=said, start_new_session=True)
        until(lambda: processes.marked(home), "it shows no environment yet")
        self.answers, self.states = Answers(), list[State]()
        self.ground = Ground(home, QUICK, self.answers, self._changed, lambda _: Offer())
        entry = Replica(model="m", index=0, url=tag.url, state=state, since=1.0)
        self.keeper = Keeper(self.ground, tag, entry, psutil.Process(self.child.pid))
        self._served = Served.model_validate({"name": "m", "weights": "./none", "device": device})

    def _changed(self) -> None:
        self.states.append(self.keeper.entry.state)

    def live(self) -> None:
        """Begin to keep it."""
        self.keeper.live(Stack(), self._served)

    async def until(self, state: State) -> None:
        """Wait for a state that it stays in."""
        async with asyncio.timeout(WAIT):
            while self.keeper.entry.state is not state:
                await asyncio.sleep(0.01)


Kept = Callable[..., One]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made: list[One] = []

    def make(state: State, device: str = "cpu") -> One:
        made.append(One(tmp_path, state, device))
        return made[-1]

    yield make
    for one in made:
        one.child.kill()
        one.child.wait()


async def test_who_leaves_is_never_ready_again(kept: Kept) -> None:
    one = kept(State.STARTING)
    one.live()
    await one.answers.asked.wait()
    one.answers.go.set()  # its last first request is answered, and in the same turn it is wanted no more
    await one.keeper.leave()
    assert one.states == [State.DRAINING, State.STOPPED]
    assert one.child.wait(WAIT) == -signal.SIGTERM


async def test_a_system_without_files_to_open_ends_no_replicas_life(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kept(State.READY)
    one.live()
    monkeypatch.setattr(psutil, "process_iter", _in_need)
    one.child.kill()
    await one.until(State.FAILED)  # it was tried again and again: there are no weights
    assert one.keeper.entry.pid == 0
    await one.keeper.leave()
    assert one.states[-1] is State.STOPPED


def starts(*command: str) -> Callable[..., tuple[list[str], dict[str, str]]]:
    """What a keeper is to start, in place of the engine."""

    def prepared(*_: object) -> tuple[list[str], dict[str, str]]:
        return list(command), {}

    return prepared


async def test_who_leaves_is_gone_with_its_last_thread(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kept(State.READY)
    roster.folder(tmp_path).mkdir()
    monkeypatch.setattr(keeper, "_prepared", starts(sys.executable, "-c", LASTS))
    one.live()
    one.child.kill()  # it is started anew
    await one.answers.asked.wait()
    pid = one.keeper.entry.pid
    await asyncio.to_thread(until, (tmp_path / "stack/logs/listens").exists, "it does not listen")
    await one.keeper.leave()
    assert not psutil.pid_exists(pid)


async def test_who_shows_no_environment_yet_is_ended_too(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process in its first moment, which no search finds."""
    one = kept(State.STARTING)
    monkeypatch.setattr(psutil, "process_iter", _none)
    await one.keeper.leave()
    assert one.child.poll() == -signal.SIGTERM


async def test_a_start_does_not_make_a_deleted_folder_anew(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kept(State.READY)
    monkeypatch.setattr(keeper, "_prepared", starts("true"))
    one.answers.go.set()
    one.live()
    one.child.kill()
    await one.until(State.FAILED)
    assert "No such file or directory" in one.keeper.entry.reason
    assert not roster.folder(tmp_path).exists()
    await one.keeper.leave()


def test_what_is_left_of_one_that_was_given_up_is_swept(rig: Rig) -> None:
    file = rig.stack()
    rig.mood("crash")
    failed = up(rig, file).replicas[0]
    tag = Tag(model="m", index=0, url=failed.url, identity=wanted.read(rig.home).identities["m"])
    said = {**os.environ, **processes.marks(rig.home, tag)}
    assert subprocess.Popen(["sleep", "600"], env=said, start_new_session=True).wait(WAIT) == -signal.SIGTERM
    down(rig)


async def test_what_was_adopted_waits_for_no_turn_to_be_watched(kept: Kept) -> None:
    one = kept(State.READY, "cuda")
    async with one.ground.turn:
        one.live()
        one.child.kill()
        await one.until(State.WAITING)
        await one.keeper.leave()


def _in_need() -> Iterator[psutil.Process]:
    raise OSError(24, "Too many open files")


def _none() -> Iterator[psutil.Process]:
    return iter(())


@pytest.mark.parametrize("second", [_in_need, psutil.process_iter])
async def test_a_supervisor_sweeps_before_it_ends(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: Callable[[], Iterator[psutil.Process]]
) -> None:
    """Of what it did not find when it began; a system in need is no reason to fail."""
    stray = kept(State.READY).child
    looks = iter((_none, second))
    monkeypatch.setattr(psutil, "process_iter", lambda: next(looks)())
    await supervisor.keep(tmp_path, QUICK, handle_signals=False)
    if second is not _in_need:
        assert stray.wait(WAIT) == -signal.SIGTERM
