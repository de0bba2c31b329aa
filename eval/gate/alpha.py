"""The ledger of looks: how much chance of a false promotion each look of a month may spend.

Look i of a calendar month (UTC), for a role, may use alpha x i^-1.75. The sum over any number of looks stays under
alpha x zeta(1.75) = 1.963 alpha, under 5 % for the usual 2.5 %, whatever the looks share (Boole's inequality).
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from openoutcry.core import sqlite
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.core.seals import folder
from openoutcry.eval.scenario import Bank

EXPONENT = 1.75
OPENING = (
    "CREATE TABLE IF NOT EXISTS looks (look TEXT PRIMARY KEY, role TEXT NOT NULL, challenger TEXT NOT NULL, "
    "bank TEXT NOT NULL, rotation TEXT NOT NULL, month TEXT NOT NULL, turn INTEGER NOT NULL, alpha REAL NOT NULL, "
    "begun TEXT NOT NULL, runs TEXT NOT NULL, record INTEGER, UNIQUE (role, month, turn), "
    "UNIQUE (role, bank, rotation, challenger))",
    "CREATE UNIQUE INDEX IF NOT EXISTS sealed ON looks (role, rotation) WHERE bank = 'sealed'",
)
STANDING = "SELECT month, turn, alpha, begun, runs, record FROM looks WHERE look = ?"


class Asked(Frozen):
    """A look as it is asked for: by its digest, whose it is, and where it looks."""

    look: str
    role: str
    challenger: str
    """The digest of the model that wants the seat."""
    bank: Bank
    rotation: str
    level: float
    """The level of the terms, of which the look gets its part."""
    runs: tuple[str, ...] = ()
    """The names of the runs that it is played in, which follow from all that is asked, and of whom."""


class Charged(Asked):
    """A look that has begun, in these `runs`. `record` is the number of its record, 0 until there is one."""

    month: str
    turn: int
    alpha: float
    begun: str
    record: int = 0


def granted(level: float, turn: int) -> float:
    """The one-sided level of look *turn* (from 1) of a month, of a *level* for the first."""
    return level * turn**-EXPONENT


def rotation(bank: Bank, now: datetime) -> str:
    """Which cases are in force: of the gate set by month (2026-11), of the sealed set by quarter (2026Q4)."""
    at = now.astimezone(UTC)
    return f"{at:%Y}Q{(at.month + 2) // 3}" if bank == "sealed" else month(now)


def month(now: datetime) -> str:
    """The calendar month, in UTC."""
    return f"{now.astimezone(UTC):%Y-%m}"


def looks(home: Path, role: str, now: datetime) -> int:
    """How many looks of this month the role has used."""
    with _opened(home) as file:
        return _used(file, role, month(now))


def standing(home: Path, asked: Asked) -> Charged | None:
    """The look itself where it has begun, so that it may go on."""
    with _opened(home) as file:
        row = file.execute(STANDING, (asked.look,)).fetchone()
    return _charged(asked, row) if row else None


def refused(home: Path, asked: Asked) -> str:
    """One line that says why a look may not begin; empty where it may, or where it has."""
    with _opened(home) as file:
        return _refused(file, asked)


def set_back(home: Path, now: datetime) -> str:
    """One line that says that the clock stands before a look that has begun; empty where it does not.

    Months that come again would give their looks again.
    """
    with _opened(home) as file:
        return _set_back(file, now)


def begin(home: Path, asked: Asked, now: datetime, alpha: float) -> Charged:
    """Charge a look, once: one that has begun already is given as it is.

    *alpha* is what it was promised. Raises UsageError where it may not begin, or where another look that began
    meanwhile has left it less; nothing is charged then.
    """
    with _opened(home) as file, sqlite.together(file):
        if row := file.execute(STANDING, (asked.look,)).fetchone():
            return _charged(asked, row)
        if why := _set_back(file, now) or _refused(file, asked):
            raise UsageError(why)
        turn = _used(file, asked.role, month(now)) + 1
        if granted(asked.level, turn) != alpha:
            raise UsageError(
                f"another look for {asked.role} began meanwhile, so that this one is look {turn}; plan it anew"
            )
        one = (month(now), turn, alpha, now.astimezone(UTC).isoformat(timespec="seconds"), " ".join(asked.runs))
        file.execute(
            "INSERT INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (asked.look, asked.role, asked.challenger, asked.bank, asked.rotation, *one),
        )
        return _charged(asked, (*one, None))


def close(home: Path, look: str, record: int) -> None:
    """Note the number of a look's record."""
    with _opened(home) as file:
        file.execute("UPDATE looks SET record = ? WHERE look = ?", (record, look))


def known(home: Path) -> dict[str, int | None] | None:
    """Every look that has begun, with the number of its record where it came to a verdict; None without a ledger."""
    path = _path(home)
    if not path.exists():
        return None
    try:
        with closing(sqlite.opened_to_read(path)) as file:
            return dict(file.execute("SELECT look, record FROM looks"))
    except sqlite3.DatabaseError as error:
        raise DataError(f"expected the ledger of looks in {path}, found none that can be read: {error}") from None


def _refused(file: sqlite3.Connection, asked: Asked) -> str:
    row = file.execute(
        "SELECT look, challenger, record, begun FROM looks WHERE role = ? AND bank = ? AND rotation = ? "
        "AND (challenger = ? OR bank = 'sealed') ORDER BY challenger = ? DESC",
        (asked.role, asked.bank, asked.rotation, asked.challenger, asked.challenger),
    ).fetchone()
    if row is None or row[0] == asked.look:
        return ""
    _, challenger, record, begun = row
    who = "this challenger" if challenger == asked.challenger else f"another challenger ({challenger})"
    what = (
        f"record {record} holds its verdict"
        if record
        else (f"it began {begun} under other terms, or against others, and has no verdict; give it again as it was")
    )
    return (
        f"the {asked.bank} set {asked.rotation} was looked at for {asked.role} by {who}: {what}; "
        f"the next look is at the next rotation"
    )


def _set_back(file: sqlite3.Connection, now: datetime) -> str:
    newest: str | None = file.execute("SELECT MAX(month) FROM looks").fetchone()[0]
    if newest is None or newest <= month(now):
        return ""
    return f"expected a clock that goes forward: it says {month(now)}, and a look began in {newest}; set it right"


def _used(file: sqlite3.Connection, role: str, of: str) -> int:
    return file.execute("SELECT COUNT(*) FROM looks WHERE role = ? AND month = ?", (role, of)).fetchone()[0]


def _charged(asked: Asked, row: tuple[str, int, float, str, str, int | None]) -> Charged:
    of, turn, alpha, begun, runs, record = row
    own = asked.model_copy(update={"runs": tuple(runs.split())}).model_dump()
    return Charged(**own, month=of, turn=turn, alpha=alpha, begun=begun, record=record or 0)


@contextmanager
def _opened(home: Path) -> Generator[sqlite3.Connection]:
    """The ledger's file. Raises DataError where it cannot be read or written."""
    path = _path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite.opened(path)) as file:
            for statement in OPENING:
                file.execute(statement)
            yield file
    except sqlite3.DatabaseError as error:
        raise DataError(f"expected the ledger of looks in {path}, found none that can be used: {error}") from None


def _path(home: Path) -> Path:
    return folder(home) / "looks.sqlite"
