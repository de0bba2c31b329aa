"""The night itself: a look at what is due, and the next stage that may run, again and again.

It is triggered by how things stand and never by an alarm, so that nothing hangs on being awake at the right moment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from openoutcry.core.errors import NotComputed
from openoutcry.training.night.claim import busy
from openoutcry.training.night.entry import Entry, State
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.schedule import Now, Slot, Untils, days, newest, slots

LOOK = 30.0
"""Seconds between two looks."""
BACK = timedelta(days=31)
"""How far back missed nights are told of: a clock that was years off is not that many nights."""
BEGAN, LOOKED = "began", "looked"
"""The marks in the ledger: since when the night is kept, and who looked last."""


@dataclass(frozen=True, slots=True)
class Night:
    """The nights of a ledger. *work* runs one stage, and what it came to stands in the ledger afterwards."""

    ledger: Ledger
    untils: Untils
    work: Callable[[Slot], Awaitable[None]]
    now: Now
    tell: Callable[[str], None] = lambda _: None
    beside: Callable[[], None] = lambda: None
    """What else is looked at each time: how new models do in their seats."""

    def look(self) -> Entry | None:
        """Take in what is due and close what is late; the stage that is to run now, if any, and if none is running.

        Raises NotComputed outside the calendar.
        """
        if busy(self.ledger):
            return None
        now = self.now()
        last = newest(now)
        for closed in self.ledger.settle(self._begun(last, now), now):
            self.tell(f"{closed.slot} {closed.state}: {closed.said}")
        return next((entry for entry in self.ledger.wanting(now) if self._may(entry)), None)

    def _begun(self, last: date, now: datetime) -> Iterator[Slot]:
        """The slots that have begun since the newest day that is known of; none that ended before the first look."""
        noted = self.ledger.marked(BEGAN)
        if noted is None or now < noted[1]:
            self.ledger.mark(BEGAN, now)
        began = min(now, noted[1]) if noted else now
        first = max(self.ledger.newest(last) or newest(began), last - BACK)
        for day in days(first, last):
            yield from (slot for slot in slots(day, self.untils) if slot.deadline > began and slot.due <= now)

    def _may(self, entry: Entry) -> bool:
        """Whether the stage before it is done."""
        before = self.ledger.entry(entry.day, entry.stage.before) if entry.stage.before else None
        return entry.stage.before is None or (before is not None and before.state is State.DONE)

    async def once(self, stop: asyncio.Event) -> None:
        """Run all that is due, in order, until nothing is left that may run now."""
        while not stop.is_set() and (entry := self.look()) is not None:
            await self.work(entry.slot)
            after = self.ledger.entry(entry.day, entry.stage)
            if after is None or len(after.attempts) == len(entry.attempts) or after.state is State.DUE:
                return  # it could not begin, or was stopped: the next look is soon enough

    async def keep(self, stop: asyncio.Event) -> None:
        """Look every half minute until *stop*; a machine that slept looks when it wakes.

        What is beside is looked at while a stage works, too: a new model that fails is not left there for its hours.
        """
        both = [asyncio.ensure_future(task(stop)) for task in (self._stages, self._beside)]
        try:
            await asyncio.gather(*both)
        finally:
            for task in both:
                task.cancel()

    async def _stages(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.ledger.mark(LOOKED, self.now())
            try:
                await self.once(stop)
            except NotComputed as error:  # a clock that is years off, which may be set right
                self.tell(f"the clock says {self.now():%Y-%m-%d}: {error}")
            await _rest(stop)

    async def _beside(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.to_thread(self.beside)
            await _rest(stop)


async def _rest(stop: asyncio.Event) -> None:
    """Until the next look."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), LOOK)
