"""How models did in seats that are watched: a row a run and seat, and beside it the record of who is watched.

<home>/registry/watch.sqlite    losing the newest rows in a power cut costs nothing, so none waits for the disk
"""

import sqlite3
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from openoutcry.core import sqlite
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.registry import watch
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.registry.sitting import Sitting
from openoutcry.serving.registry.watch import Allowed, Record
from openoutcry.serving.seat import Fault, Tried
from openoutcry.serving.stack import HOUSE

Arm = Literal["champion", "challenger", "shadow"]
TABLES = """
CREATE TABLE IF NOT EXISTS observations (
    role TEXT NOT NULL, model TEXT NOT NULL, run TEXT NOT NULL, arm TEXT NOT NULL, number INTEGER NOT NULL,
    at TEXT NOT NULL, faults TEXT NOT NULL, seconds REAL NOT NULL, tokens INTEGER NOT NULL, gone INTEGER NOT NULL,
    PRIMARY KEY (role, model, run, arm)
);
CREATE INDEX IF NOT EXISTS by_step ON observations (role, model, number);
CREATE TABLE IF NOT EXISTS records (role TEXT, model TEXT, record TEXT NOT NULL, PRIMARY KEY (role, model));
"""
NEWEST = 200
"""Runs of the other model that say what is slow."""
WAIT = 5.0
"""Seconds to wait for another writer."""


class Conduct(Frozen):
    """How a model did in one run. `seconds` is how long its answers took together; 0 where all were kept ones.

    `gone`: it failed in that its server could not be reached, and in nothing else.
    """

    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0
    tokens: int = 0
    gone: bool = False


class Observation(Conduct):
    """How the model that was asked first did in a seat in one run. `number` is the ledger's, of how the seat stood."""

    role: str
    model: str
    run: str
    arm: Arm
    number: int


def observed(run: str, sitting: Sitting, lapses: Mapping[str, Fault]) -> list[Observation]:
    """What a run says of who was asked first in each watched seat. *lapses* are what its report says, by role."""
    found: list[Observation] = []
    for role, line in sitting.watched.items():
        mine, first = [one for one in sitting.tried if one.role == role], line.models[0].model_name
        others = {one.model for one in mine if one.fault == "crash" and one.model not in (first, HOUSE)}
        own = [one for one in mine if one.model == first and (one.seconds or one.fault)]  # a kept answer is no new one
        did = conduct(own, lapses.get(role))
        if did and not ("crash" in did.faults and others):  # where nobody answered, it says nothing of the model
            arm: Arm = "challenger" if line.challenged else "champion"
            seat: dict[str, Any] = {"role": role, "model": first, "number": line.pointer.number}
            found.append(Observation(run=run, arm=arm, **seat, **did.model_dump()))
    return found


def conduct(tried: Iterable[Tried], lapse: Fault | None) -> Conduct | None:
    """How a model did, by what came of the requests to it in a run; None where it was not asked.

    *lapse* is what the report says of the answer of its role: that of who stood in, where it gave none.
    """
    own = [one for one in tried if one.asked]
    faults = {one.fault for one in own if one.fault} or ({lapse} if lapse else set[Fault]())
    seconds, tokens = round(sum(one.seconds for one in own), 4), sum(one.tokens for one in own)
    told: tuple[Fault, ...] = tuple(kind for kind in watch.KINDS if kind in faults)
    gone = bool(own) and told == ("crash",) and all(one.gone for one in own if one.fault)
    return Conduct(faults=told, seconds=seconds, tokens=tokens, gone=gone) if own else None


class Book:
    """The observations, over an open connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, seen: Observation, other: str, now: datetime) -> Record:
        """Take in an observation of a model that is watched beside the model *other*; its record after it.

        One that is there already changes nothing; nor does one whose server has been gone since the last: it is one
        failure, however many were in flight.
        """
        allowed, record = self.allowed(seen, other), self.record(seen.role, seen.model)
        slow = 0 < allowed.seconds < seen.seconds
        seen = seen.model_copy(update={"faults": (*seen.faults, "slow")}) if slow else seen
        if not self.keep(seen, now):
            return record
        record = record.after(seen.faults, allowed)
        whole = (seen.role, seen.model, record.model_dump_json())
        self._connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", whole)
        return record

    def keep(self, seen: Observation, now: datetime) -> bool:
        """Keep how a model did without judging it: others are held to it. Whether there is anything new in it."""
        if seen.gone and self._gone(seen):
            return False
        values = seen.model_dump() | {"at": now.astimezone(UTC).isoformat(), "faults": " ".join(seen.faults)}
        row = "(:role, :model, :run, :arm, :number, :at, :faults, :seconds, :tokens, :gone)"
        return bool(self._connection.execute(f"INSERT OR IGNORE INTO observations VALUES {row}", values).rowcount)

    def _gone(self, seen: Observation) -> bool:
        query = "SELECT gone FROM observations WHERE role = ? AND model = ? ORDER BY rowid DESC LIMIT 1"
        last = self._connection.execute(query, (seen.role, seen.model)).fetchone()
        return bool(last and last[0])

    def record(self, role: str, model: str) -> Record:
        """How a model did in a seat so far."""
        query = "SELECT record FROM records WHERE role = ? AND model = ?"
        found = self._connection.execute(query, (role, model)).fetchone()
        return Record.model_validate_json(found[0]) if found else Record()

    def allowed(self, seen: Observation, other: str) -> Allowed:
        """What a model may do that is seen beside *other*: what that one did since it is; nobody's where it is house.

        Its seconds in the shadow, one run at a time, say nothing of what is slow where people ask, nor the other way.
        """
        if other in ("", HOUSE):
            return Allowed()
        query = "SELECT seconds FROM observations WHERE role = ? AND model = ? AND seconds > 0 AND (arm = 'shadow') = ?"
        newest, named = f"{query} ORDER BY rowid DESC LIMIT {NEWEST}", (seen.role, other, seen.arm == "shadow")
        seconds = self._connection.execute(newest, named).fetchall()
        since = "SELECT rowid FROM observations WHERE role = ? AND model = ? ORDER BY number, rowid LIMIT 1"
        first = self._connection.execute(since, (seen.role, seen.model)).fetchone()
        did = self._did(seen.role, other, first[0] if first else 0) or self._did(seen.role, other, 0)
        return watch.allowed(did, [one for (one,) in seconds])

    def _did(self, role: str, model: str, since: int) -> dict[frozenset[str], int]:
        """In how many runs a model failed in which ways, from one row on."""
        query = "SELECT faults, count(*) FROM observations WHERE role = ? AND model = ? AND rowid >= ? GROUP BY faults"
        found = self._connection.execute(query, (role, model, since))
        return {frozenset(faults.split()): count for faults, count in found}

    def runs(self, role: str, model: str, arm: Arm) -> set[str]:
        """The runs in which a model was seen so."""
        query = "SELECT run FROM observations WHERE role = ? AND model = ? AND arm = ?"
        return {run for (run,) in self._connection.execute(query, (role, model, arm))}

    def step(self, role: str, model: str, pointer: Pointer) -> int:
        """In how many runs a model was seen since the seat stands as it does."""
        query = "SELECT count(*) FROM observations WHERE role = ? AND model = ? AND number = ?"
        return int(self._connection.execute(query, (role, model, pointer.number)).fetchone()[0])


def path(home: Path) -> Path:
    """Where a desk keeps its observations."""
    return home / "registry" / "watch.sqlite"


@contextmanager
def writing(home: Path) -> Generator[Book]:
    """The book, for one transaction. Raises DataError where the file is damaged, or others write for too long."""
    file = path(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _opened(file) as connection:
        connection.executescript(TABLES)
        with sqlite.together(connection):
            yield Book(connection)


@contextmanager
def reading(home: Path) -> Generator[Book | None]:
    """The book as it is now; None where nothing was ever written."""
    if not path(home).exists():
        yield None
        return
    with _opened(path(home)) as connection:
        yield Book(connection)


@contextmanager
def _opened(file: Path) -> Generator[sqlite3.Connection]:
    try:
        with closing(sqlite.opened(file, wait=WAIT, sync="NORMAL")) as connection:
            yield connection
    except sqlite3.Error as error:
        again = "another one writes it: try again" if sqlite.busy(error) else "move it away, and the watch begins anew"
        raise DataError(f"expected what models did in {file}, got {error}; {again}") from None
