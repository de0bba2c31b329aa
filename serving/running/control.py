"""What a person does with the stack: up, down, status. Each speaks to the supervisor, and does without a dead one."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import Timeout

from openoutcry.core.errors import DataError, ModelError, ModelRefused, ModelUnreachable, UsageError
from openoutcry.serving import roster
from openoutcry.serving.registry.artifact import is_name
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running import addresses, printed, processes, supervisor, wanted
from openoutcry.serving.running.keeper import Pace
from openoutcry.serving.running.offering import elsewhere, held, names
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Transport

Watch = Callable[[Replica], None]
"""Told of a replica whenever it changes its state."""
PACE = Pace()
REMIND = 15.0
"""Seconds after which what still starts is told again."""
ANSWER = 3.0
"""Seconds that a server which others started may take to say what it has."""
OVER = (State.READY, State.FAILED)


def up(stack: Stack, home: Path, wait: float, watch: Watch, pace: Pace = PACE) -> Roster:
    """Have what *stack* names run, and what it no longer names stopped. At most *wait* seconds for all to be ready.

    The roster that it came to: a replica may have failed, or still be starting. Raises UsageError, and changes
    nothing, where the engine or weights are not there, or a socket's path is too long; ModelUnreachable where no
    supervisor can be started.
    """
    asked = wanted.of(stack)
    addresses.refuse(stack, home)
    if not asked.models and not processes.marked(home):
        return Roster()
    wanted.write(home, asked)
    _taken_in(home, pace)
    return _awaited(home, time.monotonic() + wait, _Told(watch))


def _taken_in(home: Path, pace: Pace) -> None:
    """See that a supervisor lives and has read what is asked for. One that is just leaving is succeeded."""
    deadline = time.monotonic() + 60
    while not _read(home):
        if not processes.supervisors(home):
            _begin(home, pace)
        poke(home)
        until = time.monotonic() + 1
        while not _read(home) and time.monotonic() < until:
            time.sleep(0.05)
        if time.monotonic() > deadline:
            log = printed.log_of(home, printed.SUPERVISOR)
            raise ModelUnreachable(f"expected a supervisor to take the stack in, none did; {log} says why")


def poke(home: Path) -> None:
    """Have the supervisor look at once."""
    _signalled(home, signal.SIGHUP)


def _signalled(home: Path, number: signal.Signals) -> None:
    """Signal the supervisor, if it has come far enough to be listening: then it stands in the roster."""
    for one in processes.supervisors(home):
        if one.pid == roster.read(home).supervisor:
            with suppress(psutil.Error):
                one.process.send_signal(number)


def _read(home: Path) -> bool:
    """Whether the supervisor has read the newest asking, which may be one that came after ours."""
    return roster.read(home).digest == wanted.read(home).token


def _begin(home: Path, pace: Pace) -> None:
    """Start a supervisor in a session of its own, so that it outlives the terminal."""
    log = printed.log_of(home, printed.SUPERVISOR)
    printed.set_aside(log)
    said = {**os.environ, **processes.marks(home)}
    said.pop(processes.REPLICA, None)
    told = [] if pace == PACE else [pace.model_dump_json()]
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "openoutcry.serving.running.supervisor", str(home.absolute()), *told],
        said,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _awaited(home: Path, deadline: float, told: "_Told") -> Roster:
    """The roster once every replica is ready or given up and none is leaving, or at the deadline.

    Raises ModelUnreachable where the supervisor dies before.
    """
    while True:
        kept = processes.supervisors(home)  # before the roster is read: it may end as it should
        now = told.of(roster.read(home))
        if all(replica.state in OVER for replica in now.replicas) or time.monotonic() >= deadline:
            return now
        if not kept:
            log = printed.log_of(home, printed.SUPERVISOR)
            raise ModelUnreachable(
                f"expected every replica to come up, but the supervisor ended meanwhile; {log} may say why, and "
                "`outcry stack up` starts another, which takes over what runs"
            )
        time.sleep(0.1)


class _Told:
    """Tells of each change once, and now and then of what still starts."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._last = time.monotonic()
        self._seen: dict[tuple[str, int], State] = {}

    def of(self, now: Roster) -> Roster:
        """Tell what changed since the last look."""
        for replica in now.replicas:
            place = replica.model, replica.index
            if self._seen.get(place) is not replica.state:
                self._seen[place] = replica.state
                self._watch(replica)
        if time.monotonic() - self._last > REMIND:
            self._last = time.monotonic()
            for replica in now.replicas:
                if replica.state is State.STARTING:
                    so_far = f"for {time.time() - replica.since:.0f} s so far"
                    self._watch(replica.model_copy(update={"reason": so_far}))
        return now


def down(home: Path, watch: Watch, pace: Pace = PACE) -> int:
    """Drain and stop all that runs for *home*, the supervisor too, dead or alive. How many processes ended."""
    before = processes.marked(home)
    if not before:
        return 0
    if roster.folder(home).is_dir():
        try:
            wanted.write(home, wanted.nothing())
        except OSError:  # as on a full disk; a signal says it too
            _signalled(home, signal.SIGTERM)
        _ended(home, watch, pace)
    if left := [one.process for one in processes.marked(home)]:  # the folder was deleted, or all else failed
        processes.stop(left, pace.grace)
    return len(before)


def _ended(home: Path, watch: Watch, pace: Pace) -> None:
    """Have the supervisor end everything; without one, do its work here. One that hangs is killed."""
    needs = pace.drain + pace.patience + 2 * pace.grace + 10 * pace.look
    deadline, told = time.monotonic() + needs, _Told(watch)
    poke(home)
    while (there := processes.supervisors(home)) and time.monotonic() < deadline:
        told.of(roster.read(home))
        time.sleep(0.1)
    processes.stop([one.process for one in there], 0)
    with suppress(Timeout, OSError, DataError), supervisor.lock(home).acquire(timeout=5):
        asyncio.run(supervisor.keep(home, pace, handle_signals=False))


def status(stack: Stack, home: Path) -> Roster:
    """All of the stack as it stands: what runs, what does not, and whether servers of other engines answer."""
    now = standing(home)
    there = {replica.model for replica in now.replicas}
    lost = [model for name, model in wanted.started(stack).items() if name not in there]
    missing = [_missing(model, now) for model in lost if not is_name(model.name) or model.name in now.lacking]
    others = [model for model in stack.models.values() if model.engine != "vllm"]
    answers = asyncio.run(_asked(stack, others)) if others else []
    return now.model_copy(update={"replicas": (*now.replicas, *missing, *answers)})


def standing(home: Path) -> Roster:
    """The roster, less what is true no more: what died with nobody to see it is stopped, and so is a supervisor."""
    now, pids = roster.read(home), {one.pid for one in processes.marked(home)}
    keeper = now.supervisor if now.supervisor in pids else 0
    replicas = tuple(r if _so(r, pids, bool(keeper)) else _gone(r) for r in now.replicas)
    return now.model_copy(update={"supervisor": keeper, "replicas": replicas})


def _so(replica: Replica, pids: set[int], kept: bool) -> bool:
    """Whether the roster is still right: that it runs, or where it has no process yet, that one is to come."""
    if replica.state in (State.FAILED, State.STOPPED):
        return True
    return kept if replica.state is State.WAITING or not replica.pid else replica.pid in pids


def _gone(replica: Replica) -> Replica:
    reason = "it is gone; `outcry stack up` starts it"
    return replica.model_copy(update={"state": State.STOPPED, "pid": 0, "reason": reason})


def _missing(model: Served, now: Roster) -> Replica:
    why = "`outcry stack up` starts it" if model.replicas.min else "none is to run: its `min` is 0"
    why = now.lacking.get(model.name) or why
    return Replica(model=model.name, index=0, url="", state=State.STOPPED, reason=why)


async def _asked(stack: Stack, models: Sequence[Served]) -> list[Replica]:
    transport = Transport(stack.allow)
    async with transport.opened():
        return list(await asyncio.gather(*(_answers(transport, model) for model in models)))


async def _answers(transport: Transport, model: Served) -> Replica:
    state, reason, there = State.READY, f"{model.engine}: it answers", list[str]()
    try:
        there = await names(transport, model.url, ANSWER)
    except ModelRefused as error:
        state, reason = State.FAILED, f"{model.engine}: it answered with {error}"
    except (ModelError, UsageError) as error:
        state, reason = State.FAILED, f"{model.engine}: {error}"
    loaded = tuple(name for name in model.hot if held(name, there))
    lacking = {name: elsewhere(model) for name in model.hot if name not in loaded and state is State.READY}
    return Replica(
        model=model.name, index=0, url=model.url, state=state, reason=reason, adapters=loaded, lacking=lacking
    )
