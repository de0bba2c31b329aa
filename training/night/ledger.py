"""What became of each stage of each night, on the disk the moment it is so: a SQLite file."""

import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from openoutcry.core import sqlite
from openoutcry.core.errors import DataError
from openoutcry.training.night.entry import Attempt, Entry, State
from openoutcry.training.night.schedule import STAGES, Slot, Stage

FILE = "training/night.db"
"""The ledger within the data folder."""
TABLES = (
    "CREATE TABLE IF NOT EXISTS stages (day TEXT NOT NULL, stage TEXT NOT NULL, state TEXT NOT NULL, "
    "due TEXT NOT NULL, deadline TEXT NOT NULL, said TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '{}', "
    "PRIMARY KEY (day, stage))",
    "CREATE TABLE IF NOT EXISTS attempts (day TEXT NOT NULL, stage TEXT NOT NULL, number INTEGER NOT NULL, "
    "process INTEGER NOT NULL, began TEXT NOT NULL, beat TEXT NOT NULL, ended TEXT NOT NULL DEFAULT '', "
    "state TEXT NOT NULL, said TEXT NOT NULL DEFAULT '', PRIMARY KEY (day, stage, number))",
    "CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, process INTEGER NOT NULL, at TEXT NOT NULL)",
)


class Ledger:
    """The ledger of the nights at *home*. Raises DataError where its file cannot be read or written."""

    def __init__(self, home: Path) -> None:
        folder = home / "training"
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self.lock = home / FILE, folder / "night.lock"
        with self.readable():
            self.file = sqlite.opened(self._path, shared=True)
            try:
                for statement in TABLES:
                    self.file.execute(statement)
            except BaseException:
                self.file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def entries(self, first: date | None = None, last: date | None = None) -> list[Entry]:
        """Every stage that stands in the ledger from *first* to *last*, by day and in the order of the night."""
        span = (str(first or date.min), str(last or date.max))
        with self.readable():
            tries: dict[tuple[str, str], list[Attempt]] = {}
            for day, stage, *rest in self.file.execute(
                "SELECT * FROM attempts WHERE day BETWEEN ? AND ? ORDER BY number", span
            ):
                tries.setdefault((day, stage), []).append(_attempt(rest))
            rows = self.file.execute("SELECT * FROM stages WHERE day BETWEEN ? AND ?", span).fetchall()
            found = [_entry(row, tries.get((row[0], row[1]), [])) for row in rows]
        return sorted(found, key=lambda e: (e.day, STAGES.index(e.stage)))

    def entry(self, day: date, stage: Stage) -> Entry | None:
        """One stage; None where nothing is known of it."""
        return next((e for e in self.entries(day, day) if e.stage is stage), None)

    def wanting(self, now: datetime) -> list[Entry]:
        """The stages that are to be tried now, as far as each goes by itself."""
        with self.readable():
            open_ = "SELECT DISTINCT day FROM stages WHERE state IN ('due', 'failed') AND deadline > ? ORDER BY day"
            found = [date.fromisoformat(day) for (day,) in self.file.execute(open_, (text(now),)).fetchall()]
        return [entry for day in found for entry in self.entries(day, day) if entry.wanting(now)]

    def newest(self, until: date) -> date | None:
        """The newest day up to *until* of which anything is known."""
        with self.readable():
            (found,) = self.file.execute("SELECT max(day) FROM stages WHERE day <= ?", (str(until),)).fetchone()
        return date.fromisoformat(found) if found else None

    def mark(self, name: str, now: datetime) -> None:
        """Note that this process was here at *now*."""
        with self.readable():
            self.file.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (name, os.getpid(), text(now)))

    def marked(self, name: str) -> tuple[int, datetime] | None:
        """The process that was noted last under *name*, and when."""
        with self.readable():
            found = self.file.execute("SELECT process, at FROM marks WHERE name = ?", (name,)).fetchone()
        return (found[0], datetime.fromisoformat(found[1])) if found else None

    def settle(self, slots: Iterable[Slot], now: datetime) -> list[Entry]:
        """Take in what is due by *now*, and close what is past its deadline; the entries that changed to closed.

        What was closed under a clock that has been set back since is due again.
        """
        moment = text(now)
        wanted = [(str(s.day), s.stage, text(s.due), text(s.deadline)) for s in slots if s.due <= now]
        with self.changing() as file:
            file.execute(
                "UPDATE stages SET state = 'due', said = '' WHERE state IN ('expired', 'missed') AND deadline > ?",
                (moment,),
            )
            file.executemany(
                "INSERT INTO stages (day, stage, state, due, deadline) VALUES (?, ?, 'due', ?, ?) "
                "ON CONFLICT (day, stage) DO UPDATE SET due = excluded.due, deadline = excluded.deadline "
                "WHERE due <> excluded.due OR deadline <> excluded.deadline",
                wanted,
            )
            late = "SELECT day FROM stages WHERE state = 'due' AND deadline <= ?"
            closed = {day for (day,) in file.execute(late, (moment,))}
        return [self._closed(entry) for day in sorted(closed) for entry in self._late(date.fromisoformat(day), now)]

    def _late(self, day: date, now: datetime) -> list[Entry]:
        return [e for e in self.entries(day, day) if e.state is State.DUE and e.deadline <= now]

    def _closed(self, entry: Entry) -> Entry:
        """The entry, closed in the ledger with the reason."""
        before = self.entry(entry.day, entry.stage.before) if entry.stage.before else None
        state, why = _reason(entry, before)
        with self.changing() as file:
            file.execute(
                "UPDATE stages SET state = ?, said = ? WHERE day = ? AND stage = ? AND state = 'due'",
                (state, why, str(entry.day), entry.stage),
            )
        return entry.model_copy(update={"state": state, "said": why})

    @contextmanager
    def changing(self) -> Generator[sqlite3.Connection]:
        """One transaction, on the disk at its end."""
        with self.readable(), sqlite.together(self.file):
            yield self.file

    @contextmanager
    def readable(self) -> Generator[None]:
        """Read or write within. Raises DataError where that fails."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DataError(f"{self._path} cannot be read or written: {error}; mend that and start again") from None
        except (sqlite3.Error, ValueError, KeyError) as error:
            raise DataError(f"{self._path} cannot be read ({error}); move it away to begin anew") from None


def text(moment: datetime) -> str:
    """A moment as the ledger writes it: ISO 8601, UTC, so that text orders as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _attempt(row: Sequence[Any]) -> Attempt:
    number, process, began, beat, ended, state, said = row
    moments: dict[str, Any] = {"began": began, "beat": beat, "ended": ended or None}
    return Attempt(number=number, process=process, state=state, said=said, **moments)


def _entry(row: Sequence[Any], attempts: list[Attempt]) -> Entry:
    day, stage, state, due, deadline, said, result = row
    what = {"day": day, "stage": stage, "state": state, "due": due, "deadline": deadline, "said": said}
    return Entry(**what, result=json.loads(result), attempts=tuple(attempts))


def _reason(entry: Entry, before: Entry | None) -> tuple[State, str]:
    """How a stage that is past its deadline is closed, and why it was not done."""
    if before is not None and before.state is not State.DONE:
        state = State.MISSED if before.state is State.MISSED else State.EXPIRED
        return state, f"{before.stage}, which it needs, was {before.state}"
    if entry.attempts:
        return State.EXPIRED, f"not done by its deadline: {entry.attempts[-1].state}"
    return State.MISSED, "nobody was at work between its time and its deadline"
