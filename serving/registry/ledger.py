"""Everything that ever happened to a model or a seat, in order: the truth of which the pointer files are a cache.

<home>/registry/ledger.sqlite    events; they are added, and never changed or taken away
"""

import json
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from openoutcry.core import sqlite
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.registry.pointer import Pointer

_TABLES = (
    """CREATE TABLE IF NOT EXISTS events (
        number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, role TEXT NOT NULL, digest TEXT NOT NULL,
        name TEXT NOT NULL, said TEXT NOT NULL, pointer TEXT, data TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS by_role ON events (role, number)",
    "CREATE TRIGGER IF NOT EXISTS unchanged BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events stay'); END",
    "CREATE TRIGGER IF NOT EXISTS kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events stay'); END",
    # REPLACE takes rows away without the trigger above
    """CREATE TRIGGER IF NOT EXISTS added BEFORE INSERT ON events
        WHEN NEW.number <= (SELECT coalesce(max(number), 0) FROM events)
        BEGIN SELECT RAISE(ABORT, 'events stay'); END""",
)
_COLUMNS = ("number", "at", "kind", "role", "digest", "name", "said", "pointer", "data")


class Kind(StrEnum):
    """What happened."""

    REGISTERED = "registered"
    EVALUATED = "evaluated"
    SWITCHED = "switched"  # by a person, among the models of the stack file
    SHADOWED = "shadowed"
    CANARY = "canary"
    PROMOTED = "promoted"
    SETTLED = "settled"  # the watch over a champion ended well
    ROLLED_BACK = "rolled_back"
    QUARANTINED = "quarantined"
    ARCHIVED = "archived"


class Event(Frozen):
    """One thing that happened. `pointer` is how the seat stood after it, where it moved."""

    number: int
    at: str
    kind: Kind
    role: str
    digest: str
    name: str
    said: str = ""
    pointer: Pointer | None = None
    data: dict[str, Any] = {}


class Ledger:
    """The events, over an open connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def events(self, role: str = "", kind: Kind | None = None) -> Iterator[Event]:
        """Events, oldest first; of one role, or of one kind."""
        where = [(f"{column} = ?", value) for column, value in (("role", role), ("kind", kind)) if value]
        clause = " AND ".join(said for said, _ in where) or "1"
        query = f"SELECT * FROM events WHERE {clause} ORDER BY number"
        for row in self._connection.execute(query, [str(value) for _, value in where]):
            told = dict(zip(_COLUMNS, row, strict=True))
            try:
                pointer = Pointer.model_validate_json(told["pointer"]) if told["pointer"] else None
                yield Event.model_validate(told | {"pointer": pointer, "data": json.loads(told["data"])})
            except (ValueError, TypeError):  # pydantic's own is a ValueError
                raise _strange(told["number"]) from None

    def pointers(self) -> dict[str, Pointer]:
        """How each seat stands that was ever moved."""
        query = (
            "SELECT number, role, pointer FROM events WHERE number IN "
            "(SELECT max(number) FROM events WHERE pointer IS NOT NULL GROUP BY role)"
        )
        found: dict[str, Pointer] = {}
        for number, role, said in self._connection.execute(query):
            try:
                found[role] = Pointer.model_validate_json(said)
            except ValueError:
                raise _strange(number) from None
        return found

    def shut(self) -> dict[str, str]:
        """What may sit no more, by digest, and why: quarantined or archived."""
        query = "SELECT digest, kind, said FROM events WHERE kind IN (?, ?) ORDER BY number"
        kinds = (str(Kind.QUARANTINED), str(Kind.ARCHIVED))
        return {
            digest: f"{kind}: {said}" if said else kind for digest, kind, said in self._connection.execute(query, kinds)
        }

    def digest(self, name: str) -> str:
        """The digest of the registered model *name*, though its files may be gone; empty where there was none."""
        query = "SELECT digest FROM events WHERE name = ? AND digest != '' ORDER BY number DESC LIMIT 1"
        row = self._connection.execute(query, (name,)).fetchone()
        return str(row[0]) if row else ""

    def add(
        self,
        now: datetime,
        kind: Kind,
        role: str,
        digest: str,
        name: str,
        said: str = "",
        pointer: Pointer | None = None,
        **data: Any,
    ) -> Pointer | None:
        """Add an event; the pointer, with the event's number."""
        number = self._connection.execute("SELECT coalesce(max(number), 0) + 1 FROM events").fetchone()[0]
        pointer = pointer and pointer.model_copy(update={"number": number})
        values = (
            *(number, now.astimezone(UTC).isoformat(), str(kind), role, digest, name, said),
            pointer.model_dump_json() if pointer else None,
            json.dumps(data, sort_keys=True),
        )
        self._connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return pointer


def path(home: Path) -> Path:
    """Where the ledger of a desk lies."""
    return home / "registry" / "ledger.sqlite"


@contextmanager
def writing(home: Path) -> Generator[Ledger]:
    """The ledger, for one transaction that nobody else's comes between: all of it is kept, or nothing."""
    file = path(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _told(file), closing(sqlite.opened(file)) as connection, sqlite.together(connection):
        for statement in _TABLES:
            connection.execute(statement)
        yield Ledger(connection)


@contextmanager
def reading(home: Path) -> Generator[Ledger | None]:
    """The ledger as it is now; None where nothing was ever written, and then nothing is."""
    file = path(home)
    if not file.exists():
        yield None
        return
    with _told(file), closing(sqlite.opened_to_read(file)) as connection:
        begun = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone()
        yield Ledger(connection) if begun else None


@contextmanager
def _told(file: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        what = "another process writes it: try again" if sqlite.busy(error) else "bring it back from a copy"
        raise DataError(f"expected the registry's ledger in {file}, got {error}; {what}") from None


def _strange(number: int) -> DataError:
    return DataError(
        f"expected an event of the registry's ledger, found something else in event {number}; bring the "
        "ledger back from a copy"
    )
