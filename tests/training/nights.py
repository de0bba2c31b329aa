"""A night under a clock of the test's own: every stage that runs is noted, and may be made to fail."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from openoutcry.core.errors import DataError
from openoutcry.training.night.claim import NotNow
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.loop import Night
from openoutcry.training.night.schedule import Slot, Stage, Until, Untils
from openoutcry.training.night.working import Done, Job, perform


@dataclass
class Clock:
    """What the time is, as the test says."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Played:
    """A night whose stages take no time. `fails` says whether a try of a stage is to fail."""

    home: Path
    clock: Clock
    untils: Untils = field(default_factory=dict[Stage, Until])
    fails: Callable[[Job], bool] = lambda _: False
    ran: list[tuple[date, Stage, datetime]] = field(default_factory=list[tuple[date, Stage, datetime]])
    told: list[str] = field(default_factory=list[str])

    def work(self, job: Job) -> Done:
        if self.fails(job):
            raise DataError("the disk is full")
        self.ran.append((job.day, job.stage, job.now()))
        return Done(said="as it should", result={"of": str(job.day), "before": job.earlier.get("before", 0) + 1})

    async def night(self, ledger: Ledger) -> Night:
        stop = asyncio.Event()

        async def work(slot: Slot) -> None:
            try:
                await perform(ledger, slot, self.work, now=self.clock, stop=stop)
            except NotNow as error:
                self.told.append(str(error))

        return Night(ledger, self.untils, work, self.clock, self.told.append)

    async def look(self, *moments: datetime) -> None:
        """A process that begins, looks at each of *moments*, and ends."""
        with Ledger(self.home) as ledger:
            night = await self.night(ledger)
            for moment in moments:
                self.clock.at = moment
                await night.once(asyncio.Event())

    @property
    def counts(self) -> Counter[tuple[date, Stage]]:
        return Counter((day, stage) for day, stage, _ in self.ran)
