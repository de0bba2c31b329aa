"""A new model's way into a seat: the shadow, some runs, more, all of them, and a watch; out again where it does worse.

What is due follows from how the seat stands, what was seen and the time alone, so that whoever looks does what is due:
the desk after each run, `outcry models watch --step`, the night. Of several at once, one does it.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import structlog
from filelock import FileLock, Timeout

from openoutcry.core.errors import OutcryError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.registry import artifact, observations, seats, vouched
from openoutcry.serving.registry.force import mend
from openoutcry.serving.registry.moves import STEPS, Moves, gather
from openoutcry.serving.registry.observations import Book, Observation, observed
from openoutcry.serving.registry.pointer import Pointer, Seats
from openoutcry.serving.registry.sitting import Sitting
from openoutcry.serving.registry.watch import SUSPECT, Record
from openoutcry.serving.seat import Fault

HOURS = {0: 12, 5: 12, 25: 12}
"""Hours after which a step ends though few runs were seen, by the share of the challenger."""
RUNS = {0: 20, 5: 20, 25: 50}
"""Runs of the challenger without an alarm after which a step ends."""
UNSEEN = "`outcry stack status` shows whether it can be asked"
log = structlog.get_logger()


class Due(Frozen):
    """What is due in a seat, and why. `share` is of the step that comes next."""

    move: Literal["stay", "advance", "settle", "roll back"] = "stay"
    said: str = ""
    share: int = 0


class Standing(Frozen):
    """How a rollout stands. `model` is the one that is watched, `other` the one that it is seen beside."""

    role: str
    pointer: Pointer
    model: str
    other: str
    record: Record
    runs: int
    due: Due


def watched(pointer: Pointer) -> tuple[str, str]:
    """Who is watched in a seat, and beside whom; nobody where nothing is under way."""
    if pointer.challenger:
        return pointer.challenger, pointer.champion
    return (pointer.champion, pointer.previous) if pointer.until else ("", "")


def due(pointer: Pointer, record: Record, runs: int, now: datetime) -> Due:
    """What is due in a seat whose watched model has this *record*, and was seen in *runs* since the seat stands so.

    The clock seats nobody, nor ends a watch, without one run in traffic: who cannot be asked gives no alarm either.
    """
    model, _ = watched(pointer)
    if not model:
        return Due(said="nothing is under way")
    if record.alarm:
        return Due(move="roll back", said=record.alarm)
    if not pointer.challenger:
        if pointer.watching(now):
            return Due(said=f"watched until {pointer.until:%Y-%m-%d %H:%M} UTC")
        if not runs:
            return Due(said=f"held: it was not seen in one run since it stands there; {UNSEEN}")
        return Due(move="settle", said=f"no alarm in {record.runs} runs by the end of its watch")
    return _step(pointer, record, runs, now)


def _step(pointer: Pointer, record: Record, runs: int, now: datetime) -> Due:
    share = max((s for s in RUNS if s <= pointer.share), default=0)
    least, hours = RUNS[share], HOURS[share]
    then = (pointer.since or now) + timedelta(hours=hours)
    if runs < least and now < then:
        return Due(said=f"{runs} of {least} runs seen, or until {then:%Y-%m-%d %H:%M} UTC")
    if record.suspicion >= SUSPECT:
        return Due(said=f"held: the evidence against it is {record.suspicion:.3g}, and must fall below {SUSPECT:g}")
    after = next(step for step in STEPS if step > pointer.share)
    if not runs and (after == STEPS[-1] or not record.runs):
        return Due(said=f"held: it was not seen in one run since it stands there; {UNSEEN}")
    seen = f"no alarm in {runs} runs" if runs >= least else f"no alarm in {hours} h, in which {runs} runs were seen"
    return Due(move="advance", share=after, said=seen)


@contextmanager
def _quiet(**about: str) -> Generator[None]:
    """Go on whatever goes wrong; the log says why."""
    try:
        yield
    except OutcryError as error:
        log.warning("a rollout was not looked at", reason=str(error), **about)
    except Exception:
        log.exception("a rollout was not looked at", **about)


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The rollouts of a desk at *home*; *moves* gives what moves its seats at a moment."""

    home: Path
    moves: Callable[[datetime], Moves]
    _aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rollout"))
    _going: dict[str, Future[None]] = field(default_factory=dict[str, Future[None]])

    def note(self, seen: Sequence[Observation], now: datetime) -> list[Standing]:
        """Keep what a run said of watched models, and do what is due; how those seats stood."""
        return [self.step(role, now) for role in self._kept(seen, now)]

    def after(self, run: str, sitting: Sitting, lapses: Mapping[str, Fault], now: datetime) -> None:
        """Keep what a run of the desk said, and take out at once who is to go; other steps follow beside the run.

        Nobody's answer waits for the bytes of a whole model. Whatever goes wrong costs the run nothing; the log says
        why.
        """
        with _quiet(run=run):
            for role in self._kept(observed(run, sitting, lapses), now):
                due = self.standing(role, now).due.move
                if due == "roll back":
                    self.step(role, now)
                elif due != "stay" and (role not in self._going or self._going[role].done()):
                    self._going[role] = self._aside.submit(self._go, role, now)

    def _go(self, role: str, now: datetime) -> None:
        with _quiet(role=role):
            self.step(role, now)

    def close(self) -> None:
        """Wait for the step that is being done, if one is."""
        self._aside.shutdown()

    def _kept(self, seen: Sequence[Observation], now: datetime) -> list[str]:
        """Keep what was seen; the roles that it is of."""
        if seen:
            with observations.writing(self.home) as book:
                for one in seen:
                    self._add(book, one, now)
        return list(dict.fromkeys(one.role for one in seen))

    def step(self, role: str, now: datetime) -> Standing:
        """Do what is due in a seat; how it stood, and what was due. What cannot be done is put off, and said.

        Where somebody else is at it already, that one does it. Who is to go goes whoever is at it.
        """
        stood = self.standing(role, now)
        if stood.due.move == "stay":
            return stood
        if stood.due.move == "roll back":
            return self._stepped(role, now)
        file = observations.path(self.home).with_name(f"rollout-{role}.lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(file, timeout=0):
                return self._stepped(role, now)
        except Timeout:
            return stood

    def _stepped(self, role: str, now: datetime) -> Standing:
        mend(self.home)  # who died between the ledger and the seat's file has moved it all the same
        stood = self.standing(role, now)  # somebody else may have been here first
        try:
            self._do(stood, now)
        except OutcryError as error:
            log.warning("a rollout does not go on", role=role, model=stood.model, reason=str(error))
            return stood.model_copy(update={"due": Due(said=f"held: {error}")})
        return stood

    def standing(self, role: str, now: datetime) -> Standing:
        """How a seat's rollout stands."""
        pointer = self._pointer(role, now)
        model, other = watched(pointer)
        record, runs = Record(), 0
        if model:
            with observations.reading(self.home) as book:
                if book:
                    record, runs = book.record(role, model), book.step(role, model, pointer)
        told = due(pointer, record, runs, now)
        return Standing(role=role, pointer=pointer, model=model, other=other, record=record, runs=runs, due=told)

    def _add(self, book: Book, seen: Observation, now: datetime) -> None:
        model, other = watched(self._pointer(seen.role, now))
        if seen.model == model:
            book.add(seen, other, now)
        else:
            book.keep(seen, now)

    def _do(self, stood: Standing, now: datetime) -> None:
        moves, role, model, what = self.moves(now), stood.role, stood.model, stood.due
        if what.move == "stay":
            return
        if what.move == "roll back":
            moves.rollback(role, what.said, expected=model)
            log.warning("rolled back", role=role, model=model, reason=what.said)
            return
        if what.move == "settle":
            moves.settle(role, expected=model)
        elif what.share < STEPS[-1]:
            moves.canary(role, model, what.share, record=self._record(role, model, stood.pointer, now))
        else:
            record = self._record(role, model, stood.pointer, now)
            moves.promote(role, model, record=record, expected=stood.pointer.champion)
        log.info("a rollout goes on", role=role, model=model, share=what.share, reason=what.said)

    def _record(self, role: str, model: str, pointer: Pointer, now: datetime) -> int:
        """The number of the record by which a challenger was admitted; a person may have relied on an unusual one.

        Raises UsageError where the gate has turned it down since.
        """
        held, there = pointer.records.get(model, ""), artifact.find(self.home, model)
        gather(self.home, there, now)
        own = vouched.records(self.home, there)
        number = next((int(r["number"]) for r in own if r["hash"] == held), 0)
        if why := vouched.turned_down(own, role, number):
            raise UsageError(
                f"{why}; `outcry models rollback {role}` takes it out, `outcry models promote {model} --role {role} "
                f"--share 100 --record {number}` seats it all the same"
            )
        return number

    def _pointer(self, role: str, now: datetime) -> Pointer:
        stack = self.moves(now).stack
        return seats.standing(stack, seats.named(role), Seats(self.home).of(role))
