"""What came of each case, on disk the moment it is there: a SQLite file for each run."""

import sqlite3
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from openoutcry.core import sqlite
from openoutcry.core.errors import BrokenRun, DataError
from openoutcry.eval.outcome import Outcome, Transcript

Key = tuple[str, str, int]
"""Lineup, digest of the case, epoch."""
OPENING = (
    "CREATE TABLE IF NOT EXISTS outcomes (lineup TEXT NOT NULL, digest TEXT NOT NULL, epoch INTEGER NOT NULL, "
    "outcome BLOB NOT NULL, transcript BLOB NOT NULL, PRIMARY KEY (lineup, digest, epoch))",
)
LEVEL = 1
"""Of compression: a transcript shrinks tenfold in about a millisecond; more is not worth the wait."""


class Ledger:
    """The outcomes of one run and their transcripts. What was kept once is there after a crash, and never twice.

    It may be shared between threads. Both are compressed, so that a byte that was changed on disk does not pass for a
    result: zlib's sum tells. Raises BrokenRun for a file that cannot be read as a ledger; one that is not there is made
    only where *make* says so.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self._run, self._lock = path.parent.name, threading.Lock()
        with self._readable():
            self._file = sqlite.opened(path, make=make, shared=True)
            try:
                for statement in OPENING:
                    self._file.execute(statement)
            except BaseException:
                self._file.close()
                raise

    @classmethod
    def made(cls, path: Path) -> None:
        """Make an empty one at *path* where none is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with cls(path, make=True):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.close()

    def keep(self, transcript: Transcript) -> None:
        """Write an outcome and all that was said, in one transaction; they are on the disk when this returns.

        Raises DataError where the disk does not take them: what was kept before is safe.
        """
        texts = (transcript.outcome.model_dump_json(), transcript.model_dump_json())
        packed = [zlib.compress(text.encode(), LEVEL) for text in texts]
        try:
            with self._lock:
                self._file.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", (*transcript.outcome.key, *packed))
        except sqlite3.OperationalError as error:
            raise stopped(self._run, error) from None
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from None

    def outcomes(self) -> list[Outcome]:
        """All outcomes, by case, epoch and lineup."""
        with self._readable():
            rows = self._file.execute("SELECT outcome FROM outcomes").fetchall()
            found = [Outcome.model_validate_json(zlib.decompress(packed)) for (packed,) in rows]
        return sorted(found, key=lambda o: (o.scenario, o.digest, o.epoch, o.lineup))

    def transcript(self, key: Key) -> Transcript:
        """All that was said in one case."""
        with self._readable():
            found = self._file.execute(
                "SELECT transcript FROM outcomes WHERE lineup = ? AND digest = ? AND epoch = ?", key
            ).fetchone()
            if found is None:
                raise BrokenRun(f"run {self._run}: expected a transcript of {' '.join(map(str, key))}, found none")
            return Transcript.model_validate_json(zlib.decompress(found[0]))

    @contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, zlib.error, ValidationError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> BrokenRun:
        why = "not of this version" if isinstance(error, ValidationError) else str(error)
        return BrokenRun(f"run {self._run}: its ledger cannot be read ({why}); move its folder away and run it again")


def stopped(run: str, error: Exception) -> DataError:
    """A fault of the machine that stops a run, in one line."""
    return DataError(f"run {run} stopped: {error}; mend that and give the same command again: it goes on from there")
