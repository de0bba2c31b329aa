"""The processes of a desk's stack, found by what their environment says, so that none is ever lost.

Every process that a desk starts carries `OUTCRY_KEPT_BY`, a digest of its data folder; a replica carries a tag in
`OUTCRY_REPLICA` too. Both are inherited, so that an engine whose server was killed is found as well.
"""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import ValidationError

from openoutcry.core.evidence import Frozen

STACK = "OUTCRY_KEPT_BY"
REPLICA = "OUTCRY_REPLICA"
ROUNDS = 5
"""Searches at most, while processes are ended, for what those have started meanwhile."""


class Tag(Frozen):
    """Which replica a process belongs to; `identity` is that of its model as it was when it was started."""

    model: str
    index: int
    url: str
    identity: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A process of the stack. `tag` is None for the supervisor; `leads` where it is the one that we started itself."""

    process: psutil.Process
    tag: Tag | None
    leads: bool

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid


def mark(home: Path) -> str:
    """What the processes of *home* carry; the same whether or not the folder still exists."""
    return hashlib.sha256(os.fsencode(home.absolute().resolve())).hexdigest()[:16]


def marks(home: Path, tag: Tag | None = None) -> dict[str, str]:
    """The environment that makes a process one of *home*'s."""
    return {STACK: mark(home), **({REPLICA: tag.model_dump_json()} if tag else {})}


def marked(home: Path) -> list[Marked]:
    """Every living process of *home*'s stack but this one."""
    wanted = mark(home)
    found: list[Marked] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            said = process.environ()
            if said.get(STACK) == wanted and process.pid != os.getpid() and alive(process):
                found.append(Marked(process, _tag(said), os.getsid(process.pid) == process.pid))
    return found


def _tag(said: dict[str, str]) -> Tag | None:
    try:
        return Tag.model_validate_json(said[REPLICA])
    except (KeyError, ValidationError):
        return None


def supervisors(home: Path) -> list[Marked]:
    """The process that keeps *home*'s stack, if it lives, and any that is about to find that another does so."""
    found = [one for one in marked(home) if one.tag is None and one.leads]
    pids = {one.pid for one in found}
    return [one for one in found if _parent(one.process) not in pids]  # a replica in its start is not yet itself


def _parent(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return process.ppid()
    return 0


def alive(process: psutil.Process) -> bool:
    """Whether it runs, and is not a dead child that nobody has asked about.

    As long as any thread of it is there it holds its memory, ports and locks, though the first may have ended.
    """
    with suppress(psutil.Error):
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    return False


def stop(processes: Iterable[psutil.Process], grace: float) -> list[int]:
    """End processes: SIGTERM, and SIGKILL to those that are there *grace* seconds later. The ids of the latter.

    Blocks until all are gone.
    """
    told = _told(processes, signal.SIGTERM) if grace else processes
    stubborn = _told(_outlived(told, grace), signal.SIGKILL)
    _outlived(stubborn, 10)
    return [process.pid for process in stubborn]


def stop_all(found: Callable[[], Sequence[psutil.Process]], grace: float) -> list[int]:
    """As `stop`, those too that came while the others were ended: *found* is asked again until it gives none."""
    killed: list[int] = []
    for _ in range(ROUNDS):
        if not (there := found()):
            break
        killed += stop(there, grace)
    return killed


def _outlived(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that are there after so long. One that is dead and only unclaimed by its parent is not."""
    left, deadline = list(processes), time.monotonic() + seconds
    while (left := [process for process in left if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _told(processes: Iterable[psutil.Process], number: int) -> list[psutil.Process]:
    told: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            told.append(process)
    return told
