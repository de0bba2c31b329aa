"""The warehouse folder: a pointer to one immutable snapshot, and a lock for the one who writes the next.

    warehouse/CURRENT            the name of the snapshot in force
    warehouse/<digest>.duckdb    a snapshot; never changed once named
    warehouse/lock               held while a new snapshot is written
    warehouse/next-*/            where it is written; what a killed writer left there goes with the next

A writer copies the snapshot, adds rows in one transaction, and renames: a crash at any moment leaves
the old snapshot in force. The digest is over the rows, so the same rows give the same name anywhere.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import duckdb
import structlog

from openoutcry.core.errors import DataError, EmptyWarehouse, WarehouseLocked
from openoutcry.tools.data.rows import DATASETS

log = structlog.get_logger()
_TYPES = {
    "date": "DATE",
    "period_end": "DATE",
    "adjusted_through": "DATE",
    "known_at": "TIMESTAMP",
    **dict.fromkeys(("open", "high", "low", "close", "adj_close", "volume", "value", "quantity"), "DOUBLE"),
}


def folder(home: Path) -> Path:
    """Where a home keeps its warehouse."""
    return home / "warehouse"


def current(home: Path) -> Path:
    """The snapshot in force. Raises EmptyWarehouse where there is none."""
    try:
        name = (folder(home) / "CURRENT").read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        raise EmptyWarehouse(
            f"no data at {home}: run `outcry ingest --sample` for the sample, or `outcry ingest PATH...`"
        ) from None
    except OSError as error:
        raise DataError(f"the data folder {home} cannot be read: {error.strerror}") from None
    path = folder(home) / f"{name}.duckdb"
    if not path.is_file():
        raise DataError(
            f"{folder(home)}/CURRENT names {name}, which is not there: put it back, or remove {folder(home)} "
            "and ingest the data again"
        )
    return path


def damaged(path: Path) -> DataError:
    """What to say of a snapshot that DuckDB cannot open."""
    return DataError(
        f"expected a snapshot at {path}, found a file that cannot be opened as one: remove {path.parent} and "
        "ingest the data again"
    )


@contextlib.contextmanager
def writing(home: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """Hold the lock and yield a connection in a transaction on a copy; publish it on a clean exit.

    Raises WarehouseLocked while another process writes, DataError where the folder cannot be made.
    """
    root = folder(home)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / "lock").open("a")
    except OSError as error:
        raise DataError(f"the data folder {root} cannot be written: {error.strerror}") from None
    with lock, _locked(lock.fileno(), root), _scratch(root) as copy:
        with contextlib.suppress(EmptyWarehouse):
            shutil.copyfile(current(home), copy)
        try:
            connection = duckdb.connect(copy, config={"autoinstall_known_extensions": False})
        except duckdb.Error:
            raise damaged(current(home)) from None
        with contextlib.closing(connection):
            _create(connection)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
            name = digest(connection)
            connection.execute("CHECKPOINT")
        _publish(root, copy, name)
        log.info("snapshot published", snapshot=name, folder=str(root))


@contextlib.contextmanager
def _locked(descriptor: int, root: Path) -> Generator[None]:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WarehouseLocked(
            f"another process is writing to {root}; wait until it ends, then run this again"
        ) from None
    yield


@contextlib.contextmanager
def _scratch(root: Path) -> Generator[Path]:
    for left in root.glob("next-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=root, prefix="next-") as name:
        yield Path(name) / "next.duckdb"


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE SCHEMA IF NOT EXISTS vault")
    for dataset in DATASETS.values():
        columns = ", ".join(f"{c} {_TYPES.get(c, 'VARCHAR')}" for c in (*dataset.columns, "source"))
        connection.execute(f"CREATE TABLE IF NOT EXISTS vault.{dataset.name} ({columns})")


def digest(connection: duckdb.DuckDBPyConnection) -> str:
    """Name the facts stored: equal whatever the order or the files they came in. 16 hex digits."""
    sums: list[str] = []
    for dataset in DATASETS.values():
        row = " || '\x1f' || ".join(f"coalesce({c}::VARCHAR, '')" for c in dataset.columns)
        halves = f"sum(md5_number_lower({row})::HUGEINT), sum(md5_number_upper({row})::HUGEINT)"
        found = connection.execute(f"SELECT count(*), {halves} FROM vault.{dataset.name}").fetchone()
        sums.append(f"{dataset.name}:{found}")
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]


def _publish(root: Path, copy: Path, name: str) -> None:
    """Rename the copy to its digest, then flip the pointer; both are synced to disk."""
    target = root / f"{name}.duckdb"
    if not target.exists():
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        copy.rename(target)
    pointer = root / "CURRENT.next"
    with pointer.open("w", encoding="ascii") as file:
        file.write(name)
        file.flush()
        os.fsync(file.fileno())
    pointer.replace(root / "CURRENT")
    descriptor = os.open(root, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
