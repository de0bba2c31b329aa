"""When each stage of a night is due and until when: pure arithmetic over the exchange's days, in New York time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Literal

import numpy as np

from openoutcry.core.clock import NEW_YORK
from openoutcry.tools.sessions import calendar, session_after


class Stage(StrEnum):
    """The stages of a night, in order; each but the first needs the one before to be done."""

    PREPARE = "prepare"
    TUNE = "tune"
    VALIDATE = "validate"
    DEPLOY = "deploy"

    @property
    def before(self) -> "Stage | None":
        """The stage that must be done first."""
        place = STAGES.index(self)
        return STAGES[place - 1] if place else None


STAGES = tuple(Stage)
TIMES: Mapping[Stage, tuple[int, time]] = {
    Stage.PREPARE: (0, time(17)),
    Stage.TUNE: (0, time(22)),
    Stage.VALIDATE: (1, time(2)),
    Stage.DEPLOY: (1, time(6)),
}
"""Calendar days after the exchange day, and the time on the wall in New York."""
Until = Literal["open", "night"]
"""How long a stage may still run: to the next session's open, or to the next night's first stage."""
Untils = Mapping[Stage, Until]
Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A stage of an exchange day: it may run from `due` on and before `deadline`, both UTC."""

    day: date
    stage: Stage
    due: datetime
    deadline: datetime

    def open(self, now: datetime) -> bool:
        """Whether it is due and its deadline has not passed."""
        return self.due <= now < self.deadline

    def __str__(self) -> str:
        return f"{self.stage} of {self.day}"


def wall(day: date, at: time) -> datetime:
    """The moment, in UTC, at which a clock on a wall in New York first shows *at* on *day*.

    Where the clocks skip that time it is the moment of as many minutes after the change; where they show it twice, the
    first counts. So each day has it once.
    """
    return datetime.combine(day, at, NEW_YORK).replace(fold=0).astimezone(UTC)


def due(day: date, stage: Stage) -> datetime:
    """When *stage* of the exchange day *day* is due, in UTC."""
    after, at = TIMES[stage]
    return wall(day + timedelta(days=after), at)


def slots(day: date, untils: Untils) -> tuple[Slot, ...]:
    """The four slots of the exchange day *day*; a stage that *untils* does not name ends at the next open.

    Raises NotComputed beyond the calendar's end.
    """
    following = session_after(day, 1)
    ends = {"open": opening(following), "night": due(following, Stage.PREPARE)}
    return tuple(Slot(day, stage, due(day, stage), ends[untils.get(stage, "open")]) for stage in STAGES)


def opening(day: date) -> datetime:
    """When the session of *day* opens, in UTC."""
    known = calendar()
    moment: datetime = known.opens[known.position(day) - 1].item()
    return moment.replace(tzinfo=UTC)


def newest(now: datetime) -> date:
    """The newest exchange day whose night has begun. Raises NotComputed outside the calendar."""
    day = session_after(now.astimezone(NEW_YORK).date(), 0)
    return day if due(day, Stage.PREPARE) <= now else session_after(day, -1)


def days(first: date, last: date) -> Iterator[date]:
    """The exchange days from *first* to *last*, both included."""
    known = calendar()
    start = int(np.searchsorted(known.sessions, np.datetime64(first)))
    for place in range(start, known.position(last)):
        yield known.at(place)


def coming(now: datetime, untils: Untils) -> Slot:
    """The slot that becomes due next."""
    day = newest(now)
    nights = (*slots(day, untils), *slots(session_after(day, 1), untils))
    return min((slot for slot in nights if slot.due > now), key=lambda slot: slot.due)


def is_session(day: date) -> bool:
    """Whether the exchange trades on *day*. Raises NotComputed outside the calendar."""
    return session_after(day, 0) == day
