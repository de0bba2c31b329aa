"""The memory's folder: a pointer to the table in force, the tables beside it, and a lock for the one who writes.

    memory/current              the name of the table in force
    memory/<name>.lance/        a table
    memory/lock                 held while rows are written, or the pointer is moved
    memory/next.lock            held by the one process that fills the next table
    memory/forgetting           what a forget still has to remove, until it is done

A process that has a table open follows the pointer at its next operation.
"""

import contextlib
import fcntl
import importlib
import os
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from openoutcry.core.errors import DataError
from openoutcry.memory.arrow import Rows
from openoutcry.memory.table import SCHEMA, Name

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds to wait for another process that writes."""


class Folder:
    """The tables of one folder. Nothing is read or made until it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[str, Any] | None = None
        self._connection: Any = None
        self._here = threading.Lock()
        self._opening = threading.Lock()

    @property
    def forgetting(self) -> Path:
        """The note of what a forget has still to remove."""
        return self.path / "forgetting"

    def name(self) -> Name | None:
        """The name of the table in force, or None where nothing was remembered yet.

        Raises DataError where the pointer names no table, or one of a newer schema than this release knows.
        """
        try:
            text = (self.path / "current").read_text(encoding="utf-8", errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"the memory at {self.path} cannot be read: {error.strerror}") from None
        name = Name.parse(text)
        if name is None:
            raise DataError(
                f"expected {self.path / 'current'} to name a table of memories, got {text!r}: put it back, "
                f"or remove {self.path} to start anew"
            )
        if name.schema > SCHEMA:
            raise DataError(
                f"the memory at {self.path} has schema {name.schema}, and this release reads up to {SCHEMA}: "
                "install the release that wrote it, or a later one"
            )
        return name

    def current(self) -> Any | None:
        """The table in force, opened once; None where nothing was remembered yet. Raises DataError as `name` does."""
        name = self.name()
        if name is None:
            return None
        with self._opening:
            if self._opened is None or self._opened[0] != str(name):
                self._opened = (str(name), self.open(name))
            return self._opened[1]

    def reading(self, work: Callable[[Any], T], empty: T) -> T:
        """What *work* finds in the table in force; *empty* where there is none.

        A table that was replaced, or files that were tidied away, while it was read are read once more. Raises
        DataError where that fails too.
        """
        for last in (False, True):
            table = self.current()
            if table is None:
                return empty
            try:
                return work(table)
            except (RuntimeError, ValueError, OSError) as error:
                if last:
                    raise self._damaged(error) from None
                with self._opening:
                    self._opened = None
        return empty

    def connect(self) -> Any:
        """The LanceDB connection; each read through it sees the newest commit of any process."""
        if self._connection is None:
            self.path.mkdir(parents=True, exist_ok=True)
            os.environ.setdefault("LANCEDB_LOG", "error")
            lancedb = importlib.import_module("lancedb")
            self._connection = lancedb.connect(str(self.path), read_consistency_interval=timedelta(0))
        return self._connection

    def open(self, name: Name) -> Any:
        """The table of that name. Raises DataError where it is missing or cannot be opened."""
        try:
            return self.connect().open_table(str(name))
        except (RuntimeError, ValueError, OSError):
            if self.name() != name and (moved := self.name()):
                return self.open(moved)
            raise DataError(
                f"expected the table {name} in {self.path}, found none that can be opened: restore it from a copy, "
                f"or remove {self.path} to start anew"
            ) from None

    def create(self, name: Name, columns: Rows) -> Any:
        """A new, empty table in place of whatever had that name. Call it with the lock held."""
        return self.connect().create_table(str(name), schema=columns, mode="overwrite")

    def names(self) -> list[Name]:
        """Every table in the folder, in force or not."""
        found = (Name.parse(path.stem) for path in self.path.glob("*.lance"))
        return sorted(name for name in found if name)

    def drop(self, name: Name) -> None:
        """Remove a table and its files. Call it with the lock held."""
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            self.connect().drop_table(str(name))
        remove(self.path / f"{name}.lance")

    def sweep(self) -> None:
        """Remove tables that were replaced, where a killed process left them."""
        name = self.name()
        if name and any(other.turn < name.turn for other in self.names()):
            with self.writing():
                for other in self.names():
                    if (now := self.name()) and other.turn < now.turn:
                        self.drop(other)

    def point(self, name: Name) -> None:
        """Put *name* in force: at any moment the pointer is the old one or the new one, whole."""
        sync(self.path / f"{name}.lance", 0)
        replace(self.path / "current", str(name))

    @contextlib.contextmanager
    def writing(self, patience: float = PATIENCE) -> Generator[None]:
        """Hold the write lock, among the threads of this process and among processes.

        Raises DataError where another holds it for *patience* seconds, the folder cannot be written, or what is done
        meanwhile finds a damaged file.
        """
        until = time.monotonic() + patience
        if not self._here.acquire(timeout=patience):
            raise self._busy(patience)
        try:
            with self.locked("lock", until - time.monotonic(), patience):
                yield
        except (RuntimeError, ValueError, OSError) as error:
            raise self._damaged(error) from None
        finally:
            self._here.release()

    @contextlib.contextmanager
    def locked(self, name: str, wait: float, patience: float = 0.0) -> Generator[None]:
        """Hold the file lock *name*, trying for *wait* seconds. Raises DataError where another process has it."""
        until = time.monotonic() + wait
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / name).open("a")
        except OSError as error:
            raise DataError(f"the memory at {self.path} cannot be written: {error.strerror}") from None
        with file:
            while not _taken(file.fileno()):
                if time.monotonic() >= until:
                    raise self._busy(patience)
                time.sleep(0.005)
            yield

    def _damaged(self, error: Exception) -> DataError:
        said = next(iter(str(error).splitlines()), "")[:200]
        return DataError(
            f"the memory at {self.path} cannot be read or written ({said}): restore it from a copy, or remove it to "
            "start anew"
        )

    def _busy(self, patience: float) -> DataError:
        return DataError(
            f"another process has been writing to the memory at {self.path} for {patience:.0f} s: "
            "wait until it ends, then run this again"
        )


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def replace(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old text or the new one."""
    draft = path.with_name(f"{path.name}.next")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync(path.parent)


def sync(table: Path, since: int) -> None:
    """Bring to disk what was written in a table's folder since *since* (nanoseconds): LanceDB does not do so itself."""
    for folder, _, files in os.walk(table):
        fresh = [path for name in files if _written(path := Path(folder, name)) >= since]
        for path in fresh:
            _sync(path)
        if fresh:
            _sync(Path(folder))


def size(folder: Path) -> int:
    """Bytes on disk in a folder; what goes away while they are counted counts for nothing."""
    return sum(_size(Path(at, name)) for at, _, files in os.walk(folder) for name in files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -1


def _sync(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder and all in it, if it is there."""
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(FileNotFoundError):
            path.rmdir() if path.is_dir() else path.unlink()
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()
