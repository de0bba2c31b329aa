"""SQLite files that several processes share: written ahead, and on the disk when a transaction ends."""

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

WAIT = 30.0
"""Seconds to wait for another writer."""


def opened(
    path: Path, *, make: bool = True, wait: float = WAIT, shared: bool = False, sync: Literal["FULL", "NORMAL"] = "FULL"
) -> sqlite3.Connection:
    """The file at *path* to write; without *make* it has to be there. Its folder has to be there in any case.

    *shared*: threads may use the connection, one at a time. *sync* NORMAL may lose the newest transactions in a power
    cut. Raises sqlite3.Error.
    """
    address = f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"
    connection = sqlite3.connect(address, timeout=wait, isolation_level=None, uri=True, check_same_thread=not shared)
    try:
        _written_ahead(connection, wait)
        connection.execute(f"PRAGMA synchronous = {sync}")
    except BaseException:
        connection.close()
        raise
    return connection


def opened_to_read(path: Path) -> sqlite3.Connection:
    """The file at *path* as it is, which may lie where nothing can be written. Raises sqlite3.Error."""
    changes = os.access(path.parent, os.W_OK) or path.with_name(f"{path.name}-wal").exists()
    address = f"{path.absolute().as_uri()}?mode=ro{'' if changes else '&immutable=1'}"
    return sqlite3.connect(address, timeout=WAIT, isolation_level=None, uri=True)


def busy(error: sqlite3.Error) -> bool:
    """Whether nothing is wrong but that another one writes."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


@contextmanager
def together(connection: sqlite3.Connection) -> Generator[None]:
    """One transaction: all of it or nothing, with no other writer meanwhile. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _written_ahead(connection: sqlite3.Connection, wait: float) -> None:
    """Of two that open a new file at once, SQLite does not let the second wait by itself."""
    end = time.monotonic() + wait
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
