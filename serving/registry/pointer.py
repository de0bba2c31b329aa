"""Who sits in a seat: champion, challenger and the one before, as one small file a seat that every run reads.

<home>/stack/seats/<role>.json    written beside and renamed, so it is whole or not there
"""

import os
import threading
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import Field, ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen

WATCHED = timedelta(hours=24)
"""How long a new champion is watched."""
LONGEST = 1024 * 1024
"""Bytes; a seat takes less than one of a thousand of it."""


class Pointer(Frozen):
    """A seat. `share` is the percentage of runs that the challenger answers; at 0 it runs in the shadow.

    `over` is whom the stack file named when it was moved, `uncertified` whom a person seated without a card. `records`
    are the hashes of the signed records by which registered models sit here, by name. `number` is the event of the
    ledger that it follows from, `since` when that was, and `until` how long the champion is watched.
    """

    champion: str
    previous: str = ""
    challenger: str = ""
    share: int = Field(default=0, ge=0, le=100)
    records: dict[str, str] = {}
    over: str = ""
    uncertified: tuple[str, ...] = ()
    number: int = 0
    since: datetime | None = None
    until: datetime | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Who is to stay loaded: champion, challenger and the one before."""
        return tuple(name for name in dict.fromkeys((self.champion, self.challenger, self.previous)) if name)

    def watching(self, now: datetime) -> bool:
        """Whether the champion is watched at that moment; a watch that began in the future, by a wrong clock, is none.

        A clock that is put back by less than the length of a watch ends none.
        """
        if self.until is None:
            return False
        return (self.since is None or self.since - WATCHED <= now) and now < self.until


def folder(home: Path) -> Path:
    """Where the seats lie."""
    return home / "stack" / "seats"


def write(home: Path, role: str, pointer: Pointer) -> None:
    """Put a seat in force, whatever its file says. Who calls it holds the ledger, so the newest word comes last."""
    durable.put(folder(home) / f"{role}.json", pointer.model_dump_json(indent=1).encode())


def forget(home: Path, role: str) -> None:
    """Take a seat's file away: who is named in the stack file sits there."""
    (folder(home) / f"{role}.json").unlink(missing_ok=True)


def roles(home: Path) -> list[str]:
    """The seats that have a file."""
    return sorted(path.stem for path in folder(home).glob("*.json"))


def read(home: Path) -> dict[str, Pointer]:
    """The seats that were moved. Raises DataError where a file is damaged."""
    found = {role: _read(folder(home) / f"{role}.json") for role in roles(home)}
    return {role: pointer for role, pointer in found.items() if pointer}


class Seats:
    """The seats, read again whenever a file changes. Safe to share between threads."""

    def __init__(self, home: Path) -> None:
        self._folder = str(folder(home))
        self._seen: dict[str, tuple[bytes, Pointer | None]] = {}
        self._lock = threading.Lock()

    def of(self, role: str) -> Pointer | None:
        """How a seat stands; None where it was never moved. A damaged or lost file is as before: the last whole one.

        The same object as long as the file is the same. It is read each time, as a time stamp may be the same for two.
        """
        try:
            content = _content(f"{self._folder}/{role}.json")
        except OSError:
            content = b""
        with self._lock:
            known, last = self._seen.get(role, (b"", None))
            if content != known:
                last = _parsed(content) or last
                self._seen[role] = content, last
            return last


def _content(path: str) -> bytes:
    """A small file's bytes; every run reads each seat, and the plain calls take a third of the time."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, LONGEST)
    finally:
        os.close(handle)


def _parsed(content: bytes) -> Pointer | None:
    try:
        return Pointer.model_validate_json(content)
    except ValidationError:
        return None


def _read(path: Path) -> Pointer | None:
    try:
        found = _parsed(path.read_bytes())
        what = "a damaged file"
    except FileNotFoundError:
        return None
    except OSError as error:
        found, what = None, f"none that can be read ({error.strerror})"
    if found is None:
        raise DataError(
            f"expected a seat in {path}, found {what}; delete it to go back to stack.toml, or to what the registry's "
            "ledger has of it"
        )
    return found
