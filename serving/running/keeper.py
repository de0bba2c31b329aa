"""The life of one replica: started, awaited, warmed, watched, started again after it ended, drained and stopped."""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import structlog

from openoutcry.core.errors import ModelError
from openoutcry.core.evidence import Frozen
from openoutcry.serving import looks
from openoutcry.serving.planning import plan
from openoutcry.serving.registry import artifact
from openoutcry.serving.roster import Replica, State
from openoutcry.serving.running import addresses, launch, printed, processes
from openoutcry.serving.running.measuring import resident
from openoutcry.serving.running.processes import Tag
from openoutcry.serving.running.registered import Offer
from openoutcry.serving.running.swapping import Adapters, Times
from openoutcry.serving.running.warming import warm
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Transport

log = structlog.get_logger()
ORPHANED = 1.0
"""Seconds for an engine whose server is gone to end by itself; it serves nobody, and vLLM's does not notice."""


class Pace(Frozen):
    """The supervisor's times, in seconds, and its counts."""

    look: float = 1.0  # between two looks at anything
    patience: float = 5.0  # for an answer to a look
    misses: int = 3  # looks unanswered in a row until a replica counts as hung
    start: float = 1800.0  # to load weights, at most
    warm: float = 120.0  # for each first request
    pause: float = 1.0  # before the first new start; each later pause is twice as long
    longest: float = 60.0  # pause at most
    tries: int = 5  # ends in a row, each before it was ready for `settled`, until it is given up
    settled: float = 60.0
    drain: float = 30.0  # for requests in the air to end
    grace: float = 15.0  # from SIGTERM to SIGKILL
    sweep: float = 10.0  # between two searches for processes that nobody keeps
    load: float = 120.0  # for one adapter
    keep: float = 600.0  # that what no seat names any more stays loaded, for the runs that began with it
    scale: float = 30.0  # between two decisions on how many replicas there are to be


@dataclass(frozen=True)
class Ground:
    """What all keepers of a desk share. `changed` is called after each change of a replica's entry.

    `offered` gives the adapters that each replica of a model is to have.
    """

    home: Path
    pace: Pace
    transport: Transport
    changed: Callable[[], None]
    offered: Callable[[str], Offer]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by a start on a GPU: vLLM measures its free memory, and must be alone while it does."""


class Keeper:
    """Keeps one replica. `entry` is what the roster says of it, `tag` what its processes carry."""

    def __init__(self, ground: Ground, tag: Tag, entry: Replica | None = None, process: psutil.Process | None = None):
        self.tag = tag
        self.entry = entry or Replica(model=tag.model, index=tag.index, url=tag.url, state=State.STARTING)
        self._ground = ground
        self._process = process
        self._child: subprocess.Popen[bytes] | None = None
        self._begins = 0
        self._short = 0
        self._task: asyncio.Task[None] | None = None
        pace = ground.pace
        times = Times(patience=pace.patience, load=pace.load, pause=pace.pause, longest=pace.longest, keep=pace.keep)
        self._adapters = Adapters(ground.transport, times)
        self._log = printed.log_of(ground.home, f"{tag.model}-{tag.index}")
        if process:
            self.entry = self.entry.model_copy(update={"pid": process.pid, "log": str(self._log)})

    def live(self, stack: Stack, served: Served) -> None:
        """Begin to keep it. A process that it was made with is adopted."""
        self._task = asyncio.create_task(self._life(stack, served))

    def retry(self) -> None:
        """Try at once what has failed and waits for its next try."""
        self._adapters.retry()

    def leave(self) -> asyncio.Task[None]:
        """Keep it no longer: nobody is sent there any more, what is in the air may end, then it is stopped."""
        serves = self.entry.state is State.READY
        if self._task:
            self._task.cancel()  # before: it might say once more that it is ready
        self._say(State.DRAINING)
        return asyncio.create_task(self._leave(serves))

    async def _leave(self, serves: bool) -> None:
        if self._task:
            await asyncio.wait([self._task])  # however it ends
        if serves:
            await self._drained()
        await self._stopped()
        self._say(State.STOPPED)

    async def _life(self, stack: Stack, served: Served) -> None:
        pace = self._ground.pace
        while True:
            try:
                reason = await self._run(stack, served)
            except Exception as error:  # whatever it is, the replica is to be started again, or given up with a reason
                reason = str(error) or type(error).__name__
            settled = self.entry.state is State.READY and time.time() - self.entry.since >= pace.settled
            self._short = 0 if settled else self._short + 1
            log.warning("replica ended", model=served.name, index=self.tag.index, reason=reason, failures=self._short)
            self._say(State.WAITING if self._short < pace.tries else State.FAILED, reason)
            await self._stopped()
            if self.entry.state is State.FAILED:
                return
            pause = min(pace.longest, pace.pause * 2 ** max(0, self._short - 1)) * random.uniform(0.8, 1.2)
            await asyncio.sleep(pause)
            self.entry = self.entry.model_copy(update={"restarts": self.entry.restarts + 1})

    async def _run(self, stack: Stack, served: Served) -> str:
        """One process from its start to its end. The reason of the end."""
        starts = self.entry.state is not State.READY  # else it was adopted, and is loaded and warm
        async with self._ground.turn if starts and launch.gpu(served) else nullcontext():
            if self._process is None:
                if artifact.is_name(served.name):
                    await asyncio.to_thread(_checked, self._ground.home, served.name)
                await self._start(stack, served)
            if fault := await self._healthy_at_last():
                return fault
        if starts:
            refused = await warm(self._ground.transport, self.tag.url, served, self._ground.pace.warm)
            await self._swapped_at_last(served)  # a champion's adapter is there before anybody is sent
            if not self._alive():
                return await self._why()
            self._say(State.READY, refused)
        return await self._ended(served)

    async def _start(self, stack: Stack, served: Served) -> None:
        """Start the process. It is written down before it is there, and its tag says the same from its first moment."""
        home = self._ground.home
        url = addresses.fresh(home, served, self.tag.index)
        command, said = await asyncio.to_thread(_prepared, stack, served, url, self.tag.index)
        self.tag = self.tag.model_copy(update={"url": url})
        fresh = {"url": url, "pid": 0, "log": str(self._log), "adapters": ()}
        self.entry = self.entry.model_copy(update=fresh)
        self._adapters.begin()
        self._say(State.STARTING, self.entry.reason)
        printed.set_aside(self._log)
        with self._log.open("ab") as output:
            self._begins = output.tell()
            self._child = subprocess.Popen(
                command,
                env={**said, **processes.marks(home, self.tag)},
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077 if served.socket else -1,  # what it makes is then for nobody else
            )
        self._process = psutil.Process(self._child.pid)
        self.entry = self.entry.model_copy(update={"pid": self._child.pid})
        self._say(State.STARTING, self.entry.reason)

    async def _healthy_at_last(self) -> str:
        """Wait until it answers. Why it does not, or nothing."""
        pace = self._ground.pace
        limit = pace.patience * pace.misses if self.entry.state is State.READY else pace.start
        deadline = time.monotonic() + limit
        while not await self._healthy():
            if not self._alive():
                return await self._why()
            if time.monotonic() > deadline:
                return f"did not answer /health within {limit:g} s"
            await asyncio.sleep(pace.look)
        return ""

    async def _ended(self, served: Served) -> str:
        """Watch it until it ends, or hangs. The reason."""
        pace, misses, looked = self._ground.pace, 0, 0
        swap: asyncio.Task[bool] | None = None
        try:
            while misses < pace.misses:
                if swap is None or swap.done():  # beside the looks: a load may take long
                    swap = asyncio.create_task(self._swap(served))
                await asyncio.sleep(pace.look)
                if not self._alive():
                    return await self._why()
                misses = 0 if await self._healthy() else misses + 1
                looked += 1
                if looked % 30 == 0:
                    await self._weigh(served)
        finally:
            if swap:
                swap.cancel()
        return f"did not answer /health {misses} times in a row"

    async def _swapped_at_last(self, served: Served) -> None:
        """Bring its adapters to what they are to be. Asked again where it does not answer, as long as a load takes."""
        pace = self._ground.pace
        deadline = time.monotonic() + pace.load
        while not await self._swap(served) and self._alive() and time.monotonic() < deadline:
            await asyncio.sleep(pace.look)

    async def _swap(self, served: Served) -> bool:
        """Bring its adapters to what they are to be. Whether it said what it has; else the next look comes to that."""
        try:
            async for now in self._adapters.brought(self.tag.url, served, self._ground.offered(served.name)):
                if (now.names, now.lacking) != (self.entry.adapters, self.entry.lacking):
                    self.entry = self.entry.model_copy(update={"adapters": now.names, "lacking": now.lacking})
                    self._ground.changed()
        except ModelError:
            return False
        except Exception:
            log.exception("adapters stay as they are", model=served.name, index=self.tag.index)
        return True

    async def _healthy(self) -> bool:
        with suppress(ModelError):
            return (await self._ground.transport.get(self.tag.url, "/health", self._ground.pace.patience)).status == 200
        return False

    async def _weigh(self, served: Served) -> None:
        """Say so where it takes a fifth more memory than it may."""
        most = served.memory
        held = await asyncio.to_thread(lambda: resident([one.pid for one in self._own()])) if most else 0
        if most and held > 1.2 * most and "memory" not in self.entry.reason:
            reason = f"takes {held / 1e9:.1f} GB of memory, and `memory` says {most / 1e9:.1f} GB"
            log.warning("replica grew", model=served.name, index=self.tag.index, reason=reason)
            self._say(State.READY, reason)

    async def _drained(self) -> None:
        """Wait until nothing is in the air there, or no longer. Who read the roster just before may still come."""
        pace = self._ground.pace
        deadline = time.monotonic() + pace.drain
        while time.monotonic() < deadline and self._alive():
            await asyncio.sleep(pace.look)
            with suppress(ModelError):
                seen = await looks.look(self._ground.transport, self.tag.url, pace.patience)
                if not seen.running + seen.waiting:
                    return

    async def _stopped(self) -> None:
        """Stop all of its processes, those that outlived their server too. What is left by a fault is swept."""
        grace = self._ground.pace.grace if self._alive() else min(ORPHANED, self._ground.pace.grace)
        try:
            if killed := await asyncio.to_thread(processes.stop_all, self._own, grace):
                log.warning("replica had to be killed", model=self.tag.model, index=self.tag.index, pids=killed)
            if self._child:
                await asyncio.to_thread(self._child.wait, 10)
        except Exception:  # whatever it is, its life goes on
            log.exception("processes of a replica may be left", model=self.tag.model, index=self.tag.index)
        self._process = self._child = None
        self.entry = self.entry.model_copy(update={"pid": 0})

    def _own(self) -> list[psutil.Process]:
        own = [one.process for one in processes.marked(self._ground.home) if one.tag == self.tag]
        server = self._process  # what has just begun may not show its environment yet
        return own if server is None or server in own or not processes.alive(server) else [server, *own]

    def _alive(self) -> bool:
        return self._process is not None and processes.alive(self._process)

    async def _why(self) -> str:
        """Why the process ended: what it printed last that names an error, else how the system ended it."""
        code = None
        if self._child:
            with suppress(subprocess.TimeoutExpired):
                code = await asyncio.to_thread(self._child.wait, 10)
        if code == -signal.SIGKILL:
            return "killed by SIGKILL; where nobody did that, the system ran out of memory"
        ended = f"ended by signal {-code}" if code and code < 0 else f"ended with status {code}" if code else "ended"
        return printed.blame(self._log, self._begins) or ended

    def _say(self, state: State, reason: str = "") -> None:
        moved = {"since": time.time()} if state is not self.entry.state or not self.entry.since else {}
        self.entry = self.entry.model_copy(update={"state": state, "reason": reason, **moved})
        self._ground.changed()


def _checked(home: Path, name: str) -> None:
    """Raises DataError where a byte of a registered model is not as it was registered."""
    artifact.check(artifact.find(home, name))


def _prepared(stack: Stack, served: Served, url: str, index: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a start, which may take seconds: vLLM's Python is asked, and nvidia-smi.

    Raises UsageError where a part of it is not there.
    """
    on_gpu = launch.gpu(served)
    gpus = plan.place(stack, served, index) if on_gpu else ()
    environment = {**os.environ, **launch.environment(served, on_gpu, gpus)}
    return launch.command(stack, served, url, on_gpu), environment
