"""A stage of a night as it stands, with its tries, and whether it is to be tried now.

due -> running -> done
 ^        |-----> failed     tried again after a pause, at most twice
 |        |-----> expired    its deadline passed; missed, where it was never begun
 +--------+                  stopped from outside, or its process died
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from openoutcry.core.evidence import Frozen
from openoutcry.training.night.schedule import Slot, Stage

TRIES = 3
"""How often a stage may fail in a night."""
PAUSE = timedelta(minutes=15)
"""Between a failure and the next try."""
BREAKS = 5
"""How often its process may die before a stage counts as failed: whatever kills it would do so again."""


class State(StrEnum):
    """How a stage stands."""

    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    MISSED = "missed"


class Attempt(Frozen):
    """One try. `state` is running, done, failed, expired, given back (stopped from outside) or broken off (it died)."""

    number: int
    process: int
    began: datetime
    beat: datetime
    ended: datetime | None
    state: str
    said: str


class Entry(Frozen):
    """A stage of an exchange day as it stands, with all its tries."""

    day: date
    stage: Stage
    state: State
    due: datetime
    deadline: datetime
    said: str
    result: dict[str, Any]
    attempts: tuple[Attempt, ...] = ()

    @property
    def slot(self) -> Slot:
        """When it may run."""
        return Slot(self.day, self.stage, self.due, self.deadline)

    def count(self, state: str) -> int:
        """How many tries ended so."""
        return sum(attempt.state == state for attempt in self.attempts)

    def wanting(self, now: datetime) -> bool:
        """Whether it is to be tried now, as far as itself goes. Time that ran backwards counts as time that passed."""
        if not self.slot.open(now):
            return False
        if self.state is State.FAILED and self.count("failed") < TRIES and self.count("broken off") < BREAKS:
            return abs(now - (self.attempts[-1].ended or now)) >= PAUSE
        return self.state is State.DUE
