"""How the stack and the desk do at this moment, for a person who watches: engines, processes, and the desk's counts."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from openoutcry.core.errors import ModelError
from openoutcry.serving.looks import Look, look
from openoutcry.serving.roster import Replica, State
from openoutcry.serving.running import control
from openoutcry.serving.running.measuring import resident, tree
from openoutcry.serving.stack import Stack
from openoutcry.serving.transport import Transport

PATIENCE = 2.0
"""Seconds that a server may take to give its metrics."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica at a moment. `look` is None where its metrics could not be read. `speed` is tokens a second, prompts
    and answers, since the look before; `memory` is bytes and `cpu` busy cores of all its processes. None: not known.
    """

    replica: Replica
    look: Look | None = None
    speed: float | None = None
    memory: int | None = None
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class _Before:
    """The figures of the look before that only count up, and when it was."""

    at: float
    tokens: int | None
    busy: float


class Watcher:
    """Looks at the replicas of a stack, again and again. *now* is a clock in seconds."""

    def __init__(
        self, stack: Stack, home: Path, transport: Transport, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stack, self._home, self._transport, self._now = stack, home, transport, now
        self._before: dict[tuple[str, int, int], _Before] = {}

    async def seen(self) -> list[Seen]:
        """Every replica, and the servers of a person's own."""
        found = await asyncio.to_thread(control.status, self._stack, self._home)
        return list(await asyncio.gather(*(self._one(replica) for replica in found.replicas)))

    async def desk(self, port: int) -> Mapping[str, float] | None:
        """The sums of the desk's own metrics by name, where it serves them on *port*; None where it does not answer."""
        from prometheus_client.parser import text_string_to_metric_families

        try:
            reply = await self._transport.get(f"http://127.0.0.1:{port}", "/metrics", PATIENCE)
            sums: dict[str, float] = {}
            for family in text_string_to_metric_families(reply.body.decode()):
                for sample in family.samples:
                    for name in (sample.name, *(f"{sample.name}:{v}" for v in sample.labels.values())):
                        sums[name] = sums.get(name, 0.0) + sample.value
        except (ModelError, ValueError):
            return None
        return sums

    async def _one(self, replica: Replica) -> Seen:
        found, (memory, busy) = await asyncio.gather(self._look(replica), asyncio.to_thread(_process, replica.pid))
        now = _Before(self._now(), found and found.prompt_tokens + found.generation_tokens, busy or 0.0)
        key = (replica.model, replica.index, replica.pid)
        before, self._before[key] = self._before.get(key), now
        if before is None or now.at <= before.at:
            return Seen(replica, found, memory=memory)
        spent = now.at - before.at
        speed = None if now.tokens is None or before.tokens is None else max(0, now.tokens - before.tokens) / spent
        return Seen(replica, found, speed, memory, None if busy is None else max(0.0, busy - before.busy) / spent)

    async def _look(self, replica: Replica) -> Look | None:
        if replica.state not in (State.READY, State.DRAINING):
            return None
        try:
            return await look(self._transport, replica.url, PATIENCE)
        except ModelError:
            return None


def _process(pid: int) -> tuple[int | None, float | None]:
    """Bytes of memory, and seconds of processor time so far, of a process and those that it started."""
    import psutil

    pids = tree(pid) if pid else []
    if not pids:
        return None, None
    busy = 0.0
    for one in pids:
        try:
            times = psutil.Process(one).cpu_times()
        except psutil.Error:
            continue
        busy += times.user + times.system
    return resident(pids), busy
