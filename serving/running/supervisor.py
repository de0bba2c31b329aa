"""The process that keeps a desk's stack: what runs is brought to what is wanted, again and again, until nothing is.

`python -m openoutcry.serving.running.supervisor HOME [PACE]` is how `outcry stack up` starts it, one a data folder.
Killed, it leaves its replicas running; the next one knows them by their tags and adopts them. SIGHUP makes it look at
once, SIGTERM makes it drain and stop all that it keeps.
"""

import asyncio
import io
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from openoutcry.core.errors import DataError, UsageError
from openoutcry.serving import roster
from openoutcry.serving.roster import Roster, State
from openoutcry.serving.running import processes, wanted
from openoutcry.serving.running.keeper import Ground, Keeper, Pace
from openoutcry.serving.running.processes import Tag
from openoutcry.serving.running.registered import Offer, ToRun, Watched
from openoutcry.serving.running.scaling import Scaler
from openoutcry.serving.running.wanted import Wanted
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport

log = structlog.get_logger()
ENDED = (State.WAITING, State.FAILED)
Place = tuple[str, int]
"""A replica's model and index."""


def lock(home: Path) -> FileLock:
    """Held by whoever keeps *home*'s stack."""
    return FileLock(roster.folder(home) / "supervisor.lock")


class Supervisor:
    """Keeps the replicas of *home*. Only one may live at a time: take the `lock` before."""

    def __init__(self, home: Path, pace: Pace, transport: Transport) -> None:
        self._home = home
        self._pace = pace
        self._ground = Ground(home, pace, transport, self._publish, self._offered)
        self._scaler = Scaler(home, transport, pace.scale)
        self._registry = Watched(home, pace.keep)
        self._asked = Wanted()
        self._found = ToRun()
        self._answered = ""
        self._keepers: dict[Place, Keeper] = {}
        self._leaving: dict[Place, tuple[Keeper, asyncio.Task[None]]] = {}
        self._poked = asyncio.Event()
        self._ending = False
        self._complained = "", ""

    async def run(self) -> None:
        """Keep the stack until nothing is wanted and nothing runs."""
        loop = asyncio.get_running_loop()
        found = await asyncio.to_thread(processes.marked, self._home)
        self._read(first=True)
        await self._look_up()
        await self._adopt(found)
        swept = loop.time()
        while await self._looked():
            if loop.time() - swept > self._pace.sweep:
                await self._sweep()
                swept = loop.time()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._poked.wait(), self._pace.look)
            self._poked.clear()
            await self._scale()
        await self._sweep()
        self._publish()

    def end(self) -> None:
        """Want nothing from now on."""
        self._ending = True
        self.poke()

    def poke(self) -> None:
        """Look now, and try what failed once more."""
        for keeper in self._keepers.values():
            keeper.retry()
        self._poked.set()

    async def _adopt(self, found: list[processes.Marked]) -> None:
        """Take over what an earlier supervisor left. What belongs to no server any more is stopped."""
        known = {entry.pid: entry for entry in roster.read(self._home).replicas}
        for one in found:
            if one.tag and one.leads and (place := (one.tag.model, one.tag.index)) not in self._keepers:
                log.info("adopted", model=one.tag.model, index=one.tag.index, pid=one.pid)
                entry = known.get(one.pid)
                same = entry if entry and entry.url == one.tag.url and entry.state is not State.DRAINING else None
                self._keepers[place] = Keeper(self._ground, one.tag, same, one.process)
        kept = self._tags()
        if strays := [one for one in found if one.tag and one.tag not in kept]:
            await asyncio.to_thread(processes.stop, [one.process for one in strays], self._pace.grace)
        for keeper in self._keepers.values():
            if served := self._wanted.models.get(keeper.tag.model):
                assert self._wanted.stack
                keeper.live(self._wanted.stack, served)

    @property
    def _wanted(self) -> Wanted:
        """What was asked for, and what is registered beside it."""
        return self._found.wanted

    def _offered(self, model: str) -> Offer:
        return self._found.offers.get(model, Offer())

    async def _looked(self) -> bool:
        """Read what is wanted, and bring what runs to it. Whether there is more to do."""
        self._read()
        await self._look_up()
        return self._reconcile()

    async def _look_up(self) -> None:
        """See what of the registry is to run. A fault in that leaves the registry's part as it was."""
        asked, counts = self._asked, Counter(model for model, _ in self._keepers)
        if not self._registry.changed(asked, counts):
            return
        try:
            self._found = await asyncio.to_thread(self._registry.look, asked, counts)
        except (DataError, UsageError, OSError) as error:
            self._complain("what is registered is served as before", str(error))
            if self._found.wanted.token != asked.token:
                self._found = self._found.model_copy(update={"wanted": asked, "whole": ()})

    def _reconcile(self) -> bool:
        """Begin what is wanted and not kept, and end what is kept and not wanted. Whether there is more to do."""
        for place, (_, task) in list(self._leaving.items()):
            if task.done():
                del self._leaving[place]
        places = [place for served in self._wanted.models.values() for place in self._places(served)]
        for place, keeper in list(self._keepers.items()):
            if place not in places or keeper.tag.identity != self._wanted.identities.get(place[0]):
                self._leaving[place] = keeper, keeper.leave()  # it says so at once, while it is still counted
                del self._keepers[place]
        for place in places:
            if place not in self._keepers and place not in self._leaving:
                self._begin(place)
        self._answered = self._wanted.token  # not before, or who waits for it would take the old roster for the new
        self._publish()
        return bool(places or self._keepers or self._leaving)

    def _places(self, served: Served) -> list[Place]:
        """Where replicas of a model are to be: those that run as they should stay, and the lowest free ones come."""
        identity = self._wanted.identities.get(served.name, "")
        own = [k.tag for k in self._keepers.values() if k.tag.model == served.name]
        fit = sorted(tag.index for tag in own if tag.identity == identity)
        count = self._scaler.count(served, len(fit))
        free = (i for i in range(served.replicas.max + len(own)) if i not in fit)
        return [(served.name, index) for index in [*fit, *free][:count]]

    def _begin(self, place: Place) -> None:
        name, index = place
        assert self._wanted.stack
        tag = Tag(model=name, index=index, url="", identity=self._wanted.identities.get(name, ""))
        self._keepers[place] = keeper = Keeper(self._ground, tag)
        keeper.live(self._wanted.stack, self._wanted.models[name])

    def _read(self, first: bool = False) -> None:
        """Read what is wanted. After a new asking, what was given up is tried again."""
        try:
            found = Wanted(token=self._asked.token) if self._ending else wanted.read(self._home)
        except DataError as error:
            if first:
                raise
            self._complain("what was asked for before stays in force", str(error))
            return
        if not first and found.token != self._asked.token:
            self._keepers = {p: k for p, k in self._keepers.items() if k.entry.state is not State.FAILED}
        self._asked = found

    async def _scale(self) -> None:
        """Look at the load. A fault in that is no reason to keep nothing any more."""
        try:
            await self._scaler.look(self._wanted.stack, roster.read(self._home))
        except Exception:
            log.exception("the number of replicas stays as it is")

    async def _sweep(self) -> None:
        """Stop processes that carry a tag which nobody keeps. A fault in that leaves them to the next time."""
        try:
            found = await asyncio.to_thread(processes.marked, self._home)
            kept = self._tags()
            if strays := [one for one in found if one.tag and one.tag not in kept]:
                log.warning("strays stopped", pids=[one.pid for one in strays])
                await asyncio.to_thread(processes.stop, [one.process for one in strays], self._pace.grace)
        except Exception:
            log.exception("processes that nobody keeps may be left")

    def _all(self) -> list[Keeper]:
        return [*self._keepers.values(), *(keeper for keeper, _ in self._leaving.values())]

    def _tags(self) -> list[Tag]:
        """What may run: of a replica that has ended, whatever carries its tag is left over."""
        return [keeper.tag for keeper in self._all() if keeper.entry.pid or keeper.entry.state not in ENDED]

    def _complain(self, what: str, reason: str) -> None:
        """Log a fault that every look meets again, but once in a row: the log is not to grow with it."""
        if (what, reason) != self._complained:
            self._complained = what, reason
            log.error(what, reason=reason)

    def _publish(self) -> None:
        """Write the roster, unless the data folder was deleted: then nothing is to come back."""
        if not roster.folder(self._home).is_dir():
            return
        entries = sorted((keeper.entry for keeper in self._all()), key=lambda entry: (entry.model, entry.index))
        now = Roster(
            stack=self._wanted.source,
            digest=self._answered,
            supervisor=os.getpid(),
            replicas=tuple(entries),
            lacking=self._found.lacking,
        )
        try:
            if now != roster.read(self._home):
                roster.write(self._home, now, make=False)  # it may have gone since that look
        except OSError as error:  # a full disk is no reason to stop; it is written with the next look
            self._complain("the roster could not be written", str(error))


async def keep(home: Path, pace: Pace, handle_signals: bool) -> None:
    """Run a supervisor in this process to its end; one that hears no signals ends all at once. Take the `lock` before.

    What is asked for does not count then: on a full disk it may still say that all is to run.
    """
    transport = Transport()
    async with transport.opened():
        one = Supervisor(home, pace, transport)
        if handle_signals:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, one.poke)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, one.end)
        else:
            one.end()
        await one.run()


class _Log(io.TextIOBase):
    """Standard output that loses what cannot be written: a full disk is no reason to keep nothing any more."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(1, text.encode(errors="replace"))
        return len(text)


def main(argv: list[str]) -> None:
    """Keep the stack of the folder *argv* names; where another process does so already, leave it to that one."""
    home = Path(argv[0])
    sys.stdout = sys.stderr = _Log()
    pace = Pace.model_validate_json(argv[1]) if len(argv) > 1 else Pace()
    try:
        with lock(home).acquire(timeout=0):
            asyncio.run(keep(home, pace, handle_signals=True))
    except Timeout:
        log.info("another supervisor keeps this stack", home=str(home))


if __name__ == "__main__":
    main(sys.argv[1:])
