"""The right to run a stage: held by one process at a time, and given to the next when that one ends or dies.

It is a lock of the operating system, which the kernel lets go when its holder dies and keeps while a machine sleeps. A
lease of minutes would pass in that sleep, and two would be at work on waking. What a claim writes counts only while the
stage is still its own.
"""

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from filelock import FileLock, Timeout

from openoutcry.core.errors import DataError, UsageError
from openoutcry.training.night.entry import BREAKS, TRIES, Entry, State
from openoutcry.training.night.ledger import Ledger, text
from openoutcry.training.night.schedule import Slot, Stage


class NotNow(UsageError):
    """A stage may not run now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A stage that is this process's to run. `earlier` is the result of the stage before; `last` says that a further
    failure is final. `was` is how it stood before: one that was done stays done, whatever a further try comes to.
    """

    ledger: Ledger
    slot: Slot
    number: int
    earlier: Mapping[str, Any]
    last: bool
    was: Entry | None = None

    def beat(self, now: datetime) -> None:
        """Note that the work goes on."""
        with self.ledger.changing() as file:
            file.execute(
                "UPDATE attempts SET beat = ? WHERE day = ? AND stage = ? AND number = ?", (text(now), *self._key)
            )

    def done(self, said: str, result: Mapping[str, Any], now: datetime) -> None:
        """It is done, once and for all: the result is on the disk with it."""
        self._over(State.DONE, "done", said, now, result)

    def failed(self, said: str, now: datetime) -> None:
        """It failed, and is tried again unless this was the last try."""
        self._over(State.FAILED, "failed", said, now)

    def expired(self, said: str, now: datetime) -> None:
        """Its deadline passed while it ran."""
        self._over(State.EXPIRED, "expired", said, now)

    def back(self, said: str, now: datetime) -> None:
        """It was stopped from outside, and is due again."""
        self._over(State.DUE, "given back", said, now)

    @property
    def _key(self) -> tuple[str, str, int]:
        return str(self.slot.day), self.slot.stage, self.number

    def _over(
        self, state: State, ended: str, said: str, now: datetime, result: Mapping[str, Any] | None = None
    ) -> None:
        """Close the try and the stage in one transaction. Raises DataError where it is no longer ours."""
        stands: tuple[State, str, Mapping[str, Any]] = state, said, result or {}
        if state is not State.DONE and self.was is not None and self.was.state is State.DONE:
            stands = State.DONE, self.was.said, self.was.result
        with self.ledger.changing() as file:
            own = file.execute(
                "UPDATE attempts SET state = ?, said = ?, ended = ? "
                "WHERE day = ? AND stage = ? AND number = ? AND state = 'running'",
                (ended, said, text(now), *self._key),
            )
            if own.rowcount != 1:
                raise DataError(f"{self.slot} was taken over meanwhile: what this try came to does not count")
            file.execute(
                "UPDATE stages SET state = ?, said = ?, result = ? WHERE day = ? AND stage = ?",
                (*stands[:2], json.dumps(stands[2]), *self._key[:2]),
            )


@contextmanager
def claim(ledger: Ledger, slot: Slot, now: datetime, *, by_hand: bool = False, again: bool = False) -> Generator[Claim]:
    """Hold the stage for the length of a `with`. Raises NotNow where it may not run, with the reason.

    *by_hand* runs it before its time and after its deadline too; *again* even where it is done, which it stays where
    that comes to nothing. The stage before must be done in any case.
    """
    with _held(ledger):
        yield _begun(ledger, slot, now, by_hand, again)


def busy(ledger: Ledger) -> bool:
    """Whether a process is at work on any stage. What a dead one left running is due again after this."""
    try:
        with _held(ledger):
            return False
    except NotNow:
        return True


@contextmanager
def _held(ledger: Ledger) -> Generator[None]:
    lock = FileLock(ledger.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise NotNow(f"expected no stage at work, found {_at_work(ledger)}: wait for its end") from None
    try:
        _recover(ledger)
        yield
    finally:
        lock.release()


def _at_work(ledger: Ledger) -> str:
    with ledger.readable():
        found = ledger.file.execute("SELECT day, stage, process FROM attempts WHERE state = 'running'").fetchone()
    return f"{found[1]} of {found[0]} (process {found[2]})" if found else "another process"


def _recover(ledger: Ledger) -> None:
    """What says running while nobody holds the lock belonged to a process that died."""
    with ledger.readable():
        left = ledger.file.execute("SELECT day, stage FROM stages WHERE state = 'running'").fetchall()
    for day, stage in left:
        state, said = _left(ledger.entry(date.fromisoformat(day), Stage(stage)))
        with ledger.changing() as file:
            file.execute(
                "UPDATE attempts SET state = 'broken off', ended = beat, said = 'its process died' "
                "WHERE day = ? AND stage = ? AND state = 'running'",
                (day, stage),
            )
            file.execute("UPDATE stages SET state = ?, said = ? WHERE day = ? AND stage = ?", (state, said, day, stage))


def _left(entry: Entry | None) -> tuple[State, str]:
    """How a stage stands whose process died: done where an earlier try was, with the result that it left."""
    tries = entry.attempts if entry else ()
    if done := [attempt.said for attempt in tries if attempt.state == "done"]:
        return State.DONE, done[-1]
    broken = 1 + sum(attempt.state == "broken off" for attempt in tries)
    return (State.FAILED, f"its process died {BREAKS} times") if broken >= BREAKS else (State.DUE, "")


def _begun(ledger: Ledger, slot: Slot, now: datetime, by_hand: bool, again: bool) -> Claim:
    """The next try, in the ledger. Raises NotNow."""
    entry = ledger.entry(slot.day, slot.stage)
    if entry is not None and entry.state is State.DONE and not again:
        raise NotNow(f"{slot} is done: {entry.said}; `--again` runs it once more")
    if not by_hand and (entry is None or not entry.wanting(now)):
        raise NotNow(f"{slot} is {entry.state if entry else 'not due yet'}, and not to be tried now")
    earlier = _earlier(ledger, slot)
    number = len(entry.attempts) + 1 if entry else 1
    key, moment = (str(slot.day), slot.stage), text(now)
    with ledger.changing() as file:
        file.execute(
            "INSERT INTO stages (day, stage, state, due, deadline) VALUES (?, ?, 'running', ?, ?) "
            "ON CONFLICT (day, stage) DO UPDATE SET state = 'running', said = ''",
            (*key, text(slot.due), text(slot.deadline)),
        )
        file.execute(
            "INSERT INTO attempts (day, stage, number, process, began, beat, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*key, number, os.getpid(), moment, moment, State.RUNNING),
        )
    return Claim(ledger, slot, number, earlier, _final(entry), entry)


def _earlier(ledger: Ledger, slot: Slot) -> Mapping[str, Any]:
    """The result of the stage before. Raises NotNow where that is not done."""
    if slot.stage.before is None:
        return {}
    before = ledger.entry(slot.day, slot.stage.before)
    if before is None or before.state is not State.DONE:
        stands = before.state if before else "not begun"
        raise NotNow(f"{slot} needs {slot.stage.before} to be done first; that is {stands}")
    return before.result


def _final(entry: Entry | None) -> bool:
    return entry is not None and entry.count("failed") >= TRIES - 1
