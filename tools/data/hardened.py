"""The one way a snapshot is opened: read-only, without files, network or settings left to change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

_BEFORE: tuple[tuple[str, str], ...] = (
    ("autoinstall_known_extensions", "false"),
    ("autoload_known_extensions", "false"),
    ("allow_community_extensions", "false"),
    ("allow_extension_repositories", "'forbidden'"),
    ("allow_persistent_secrets", "false"),
    ("allow_unredacted_secrets", "false"),
    ("python_enable_replacements", "false"),
    ("python_scan_all_frames", "false"),
)
_SPILL: tuple[tuple[str, str], ...] = (("temp_directory", "''"), ("max_temp_directory_size", "'0KB'"))
_AFTER: tuple[tuple[str, str], ...] = (
    ("enable_external_access", "false"),
    ("disabled_filesystems", "'LocalFileSystem'"),
    ("lock_configuration", "true"),
)


# One, because a parallel sum of doubles differs in its last bits from run to run, and a run must give the
# same rows, and so the same hash, whenever it is repeated.
THREADS = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement of a model may use; sizes in DuckDB's spelling, the time in milliseconds."""

    memory: str = "512MB"
    operator_memory: str = "256MB"
    milliseconds: int = 3000
    depth: int = 250


def connect(
    path: Path, *, views: Mapping[str, str] | None = None, limits: Limits | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the snapshot at *path* with nothing but reading left possible, and close the settings.

    Each of *views* becomes a temporary view: its name, and the SELECT it stands for, both trusted text.
    *limits* of None leaves DuckDB's own bounds, which is for statements this package wrote itself.

    DuckDB shares one instance among a process's connections to one file: a second connection finds the
    settings in place, and gets its own views; it cannot have *limits*, which raises `duckdb.Error`, as do
    an unreadable file and a view that does not bind.
    """
    # Given on opening, because threads start then, one a core, and each takes address space.
    connection = duckdb.connect(path, read_only=True, config={"threads": THREADS})
    try:
        _harden(connection, limits)
        for name, select in (views or {}).items():
            connection.execute(f'CREATE TEMP VIEW "{name.replace(chr(34), chr(34) * 2)}" AS {select}')
    except BaseException:
        connection.close()
        raise
    return connection


def _harden(connection: duckdb.DuckDBPyConnection, limits: Limits | None) -> None:
    """Apply every setting in its order, unless another connection of this process has locked them."""
    try:
        for name, value in _settings(limits):
            connection.execute(f"SET {name} = {value}")
    except duckdb.Error:
        locked = connection.execute("SELECT current_setting('lock_configuration')").fetchone()
        if limits is not None or locked != (True,):
            raise


def _settings(limits: Limits | None) -> Iterator[tuple[str, str]]:
    """Every setting and its value, as SQL, in the order that was tried against attacks.

    The time zone is set because casts of instants to text and to dates would follow the machine's.
    """
    yield "GLOBAL TimeZone", "'UTC'"
    yield from _BEFORE
    if limits is not None:
        yield "memory_limit", f"'{limits.memory}'"
        yield "operator_memory_limit", f"'{limits.operator_memory}'"
    yield from _SPILL
    if limits is not None:
        yield "max_execution_time", str(limits.milliseconds)
        yield "max_expression_depth", str(limits.depth)
    yield from _AFTER
