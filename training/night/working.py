"""One stage, run as its claim says: it is told when to stop, it beats while it works, and what it came to is kept."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from openoutcry.core.errors import OutcryError
from openoutcry.core.evidence import Frozen
from openoutcry.training.night.claim import Claim, claim
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.schedule import Now, Slot, Stage

BEAT = 30.0
"""Seconds between two signs of life in the ledger."""
LOOK = 0.2
"""Seconds between two looks at the clock while a stage works."""
DEADLINE, OUTSIDE = "its deadline passed", "stopped from outside"
T = TypeVar("T")


class Stopped(Exception):
    """A stage was told to stop and did. Never an error: what it has so far lies in folders that it goes on from."""


class Done(Frozen):
    """What a stage came to: a line for people, and what the next stage needs."""

    said: str
    result: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A stage at work. `earlier` is the result of the stage before; `last` says that a further failure is final."""

    day: date
    stage: Stage
    earlier: Mapping[str, Any]
    last: bool
    now: Now
    tell: Callable[[str], None]
    _why: list[str] = field(default_factory=list[str])

    def stop(self, why: str) -> None:
        """Ask it to stop; the first reason counts."""
        self._why.append(why)

    @property
    def stopping(self) -> str:
        """Why it is to stop; empty while it is not."""
        return self._why[0] if self._why else ""

    def check(self, *_: object) -> None:
        """To be called now and then by the work. Raises Stopped where it is to stop."""
        if self._why:
            raise Stopped(self._why[0])


Work = Callable[[Job], Done]


async def perform(
    ledger: Ledger,
    slot: Slot,
    work: Work,
    *,
    now: Now,
    stop: asyncio.Event,
    tell: Callable[[str], None] = lambda _: None,
    by_hand: bool = False,
    again: bool = False,
) -> str:
    """Run *work* as the stage of *slot*, and keep what it came to; the state that its try ended in.

    *tell* hears that it begins, and how it ends. Raises NotNow where it may not run. An error of ours ends the try as
    failed and is returned as that; any other is kept as failed too, and raised. By hand it has no deadline.
    """
    with claim(ledger, slot, now(), by_hand=by_hand, again=again) as held:
        job = Job(slot.day, slot.stage, held.earlier, held.last, now, tell)
        tell(f"{slot} begins{f', try {held.number}' if held.number > 1 else ''}")
        try:
            done = await _watched(held, job, work, stop, not by_hand)
        except Stopped:
            if job.stopping == DEADLINE:
                held.expired(DEADLINE, now())
                tell(f"{slot} expired: {DEADLINE}")
                return "expired"
            held.back(OUTSIDE, now())
            tell(f"{slot} {OUTSIDE}; it goes on when it is run again")
            return "given back"
        except (asyncio.CancelledError, KeyboardInterrupt):
            job.stop(OUTSIDE)  # from here on the claim may be another's
            held.back(OUTSIDE, now())
            raise
        except OutcryError as error:
            held.failed(str(error), now())
            tell(f"{slot} failed: {error}")
            return "failed"
        except BaseException as error:
            held.failed(f"{type(error).__name__}: {error}", now())
            raise
        held.done(done.said, done.result, now())
        tell(f"{slot} done: {done.said}")
        return "done"


async def _watched(held: Claim, job: Job, work: Work, stop: asyncio.Event, ends: bool) -> Done:
    """The work on a thread of its own, told to stop by *stop* or by the clock, which is compared and not counted."""
    ended = asyncio.get_running_loop().create_future()
    _on_a_thread(lambda: work(job), ended)
    beaten = job.now()
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=LOOK)
            moment = job.now()
            if stop.is_set():
                job.stop(OUTSIDE)
            elif ends and moment >= held.slot.deadline:
                job.stop(DEADLINE)
            if abs((moment - beaten).total_seconds()) >= BEAT:
                held.beat(moment)
                beaten = moment
        return ended.result()
    finally:
        ended.cancel()  # told twice to end, nobody hears any more what the work came to


def _on_a_thread(work: Callable[[], T], ended: "asyncio.Future[T]") -> None:
    """Run *work*; the thread does not keep a process alive that is told twice to end."""
    loop = asyncio.get_running_loop()

    def over(found: T | None, error: BaseException | None) -> None:
        if ended.cancelled():
            return
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(found)  # type: ignore[arg-type]

    def run() -> None:
        found, fault = None, None
        try:
            found = work()
        except BaseException as error:
            fault = error
        with suppress(RuntimeError):  # told twice to end, the loop may be closed by now
            loop.call_soon_threadsafe(over, found, fault)

    threading.Thread(target=run, name="night", daemon=True).start()
