"""The warehouse folder: one snapshot in force at every moment, whatever happens to the one who writes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import duckdb
import pytest

from openoutcry.core.errors import DataError, EmptyWarehouse, WarehouseLocked
from openoutcry.tools.data.ingest import ingest
from openoutcry.tools.data.view import Warehouse
from openoutcry.tools.data.warehouse import current, digest, folder, writing

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]


def silent(_: str) -> None:
    """Progress that nobody watches."""


def prices(path: Path, ticker: str, count: int = 3) -> Path:
    """A file of that many closes, each of a ticker of its own."""
    lines = (f"{ticker}{i},2020-01-02,{i + 1}\n" for i in range(count))
    path.write_text("ticker,date,close\n" + "".join(lines))
    return path


def held(home: Path) -> tuple[str, int]:
    """The snapshot in force, and how many prices it holds; it opens and reads in any case."""
    warehouse = Warehouse.open(home)
    try:
        return warehouse.snapshot, int(warehouse.rows("SELECT count(*) AS n FROM vault.prices", [])["n"][0])
    finally:
        warehouse.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ingest(tmp_path / "home", [prices(tmp_path / "old.csv", "OLD")], progress=silent)
    return tmp_path / "home"


def test_nothing_ingested_yet(tmp_path: Path) -> None:
    with pytest.raises(EmptyWarehouse, match=r"no data at .*: run `outcry ingest --sample` for the sample, or"):
        Warehouse.open(tmp_path / "none")


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(EmptyWarehouse):
        current(tmp_path / "home")
    with pytest.raises(DataError, match=r"the data folder .* cannot be written: Not a directory"):
        ingest(tmp_path / "home", [prices(tmp_path / "p.csv", "P")], progress=silent)


def test_a_pointer_that_is_a_folder(home: Path, tmp_path: Path) -> None:
    pointer = folder(home) / "CURRENT"
    pointer.unlink()
    pointer.mkdir()
    with pytest.raises(DataError, match=r"the data folder .* cannot be read: Is a directory"):
        Warehouse.open(home)


@pytest.mark.parametrize("name", [b"0123456789abcdef", b"", b"\xff\xfe", b"../elsewhere"])
def test_a_pointer_to_nothing_says_how_to_go_on(home: Path, tmp_path: Path, name: bytes) -> None:
    (folder(home) / "CURRENT").write_bytes(name)
    path = prices(tmp_path / "p.csv", "NEW")
    for call in (lambda: Warehouse.open(home), lambda: ingest(home, [path], progress=silent)):
        with pytest.raises(DataError, match=r"which is not there: put it back, or remove .* and ingest the data again"):
            call()
    _start_over(home, path)


@pytest.mark.parametrize("content", [b"garbage" * 1000, b""])
def test_a_damaged_snapshot_says_how_to_go_on(home: Path, tmp_path: Path, content: bytes) -> None:
    snapshot, path = current(home), prices(tmp_path / "p.csv", "NEW")
    snapshot.write_bytes(content)
    if content:  # DuckDB takes an empty file to write a database into
        with pytest.raises(DataError, match=r"cannot be opened as one: remove .* and ingest the data again"):
            ingest(home, [path], progress=silent)
    with pytest.raises(DataError, match=r"cannot be opened as one: remove .* and ingest the data again"):
        Warehouse.open(home)
    _start_over(home, path)


def _start_over(home: Path, path: Path) -> None:
    """Do what the message says."""
    for left in folder(home).iterdir():
        left.unlink()
    folder(home).rmdir()
    ingest(home, [path], progress=silent)
    assert held(home)[1] == 3


def test_a_second_writer_is_turned_away_and_readers_are_not(home: Path, tmp_path: Path) -> None:
    before = held(home)
    path = prices(tmp_path / "new.csv", "NEW")
    with writing(home):
        with pytest.raises(WarehouseLocked, match=r"another process is writing to .*; wait until it ends, then run"):
            ingest(home, [path], progress=silent)
        assert held(home) == before
    assert held(home) == before
    ingest(home, [path], progress=silent)
    assert held(home)[1] == 6


def test_an_error_while_writing_changes_nothing(home: Path) -> None:
    before, files = held(home), sorted(folder(home).iterdir())
    with pytest.raises(RuntimeError, match="in the middle"), writing(home) as connection:
        connection.execute("DELETE FROM vault.prices")
        raise RuntimeError("in the middle")
    assert (held(home), sorted(folder(home).iterdir())) == (before, files)


def test_a_reader_keeps_its_snapshot_while_the_next_is_published(home: Path, tmp_path: Path) -> None:
    warehouse = Warehouse.open(home)
    try:
        ingest(home, [prices(tmp_path / "new.csv", "NEW")], progress=silent)
        assert warehouse.view().tickers == ("OLD0", "OLD1", "OLD2")
        assert held(home)[1] == 6
        assert warehouse.snapshot != held(home)[0]
    finally:
        warehouse.close()


def test_a_snapshot_can_only_be_read(home: Path) -> None:
    warehouse = Warehouse.open(home)
    try:
        for sql in (
            "DELETE FROM vault.prices",
            "CREATE TABLE x (a INT)",
            "ATTACH ':memory:' AS m",
            "COPY vault.prices TO 'x'",
        ):
            with pytest.raises(duckdb.Error):
                warehouse.rows(sql, [])
    finally:
        warehouse.close()


def test_the_digest_names_the_facts_and_not_where_they_came_from(home: Path, tmp_path: Path) -> None:
    assert held(home)[0] == current(home).stem
    changes = {
        "UPDATE vault.prices SET source = 'elsewhere'": True,
        "UPDATE vault.prices SET close = 1.5 WHERE ticker = 'OLD0'": False,
        "UPDATE vault.prices SET close = NULL, adj_close = close": False,
        "UPDATE vault.prices SET known_at = known_at + INTERVAL 1 SECOND": False,
        "DELETE FROM vault.prices WHERE ticker = 'OLD0'": False,
        "INSERT INTO vault.prices FROM vault.prices": False,
        "INSERT INTO vault.companies VALUES (TIMESTAMP '1900-01-01', 'AAA', 'A', '')": False,
    }
    for sql, same in changes.items():
        with duckdb.connect() as copy:
            copy.execute(f"ATTACH '{current(home)}' AS old (READ_ONLY)")
            copy.execute("COPY FROM DATABASE old TO memory")
            assert digest(copy) == current(home).stem
            copy.execute(sql)
            assert (digest(copy) == current(home).stem) is same, sql


# A process that ingests in a child and kills the child after so many seconds; it answers how that ended.
KILLER = """
import os, signal, sys, time
from pathlib import Path
import duckdb, pyarrow
from openoutcry.tools.data.ingest import ingest
home, path = Path(sys.argv[1]), Path(sys.argv[2])
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        ingest(home, [path], progress=lambda said: None)
        os._exit(0)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def killer(home: Path, tmp_path: Path) -> Iterator[Callable[[float], bool]]:
    """Ingest `new.csv` into the home in another process, killed after so many seconds; whether it was cut off."""
    path = prices(tmp_path / "new.csv", "NEW", count=5000)
    command = [sys.executable, "-c", KILLER, str(home), str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        stdin, stdout = cast(IO[str], process.stdin), cast(IO[str], process.stdout)

        def kill_after(seconds: float) -> bool:
            stdin.write(f"{seconds}\n")
            stdin.flush()
            return int(stdout.readline()) != 0

        yield kill_after
        stdin.close()


def test_kill_9_at_any_moment_leaves_a_snapshot_in_force(
    home: Path, tmp_path: Path, killer: Callable[[float], bool]
) -> None:
    old = held(home)
    other = tmp_path / "other"
    ingest(other, [tmp_path / "old.csv"], progress=silent)
    started = time.monotonic()
    ingest(other, [tmp_path / "new.csv"], progress=silent)
    takes, new = time.monotonic() - started, held(other)
    assert (old[1], new[1]) == (3, 5003)
    cut = 0
    for share in (0.02, 0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0, 1.1):
        pointer = folder(home) / "CURRENT"
        cut += killer(share * takes)
        assert held(home) in (old, new)
        pointer.write_text(old[0])  # also where it came to its end
    assert cut > 0
    ingest(home, [tmp_path / "new.csv"], progress=silent)
    assert held(home) == new
    assert {p.name for p in folder(home).iterdir()} == {"CURRENT", "lock", f"{old[0]}.duckdb", f"{new[0]}.duckdb"}


def test_what_a_killed_writer_left_is_cleared_by_the_next(home: Path, tmp_path: Path) -> None:
    left = folder(home) / "next-abc"
    left.mkdir()
    (left / "next.duckdb").write_bytes(os.urandom(100))
    (folder(home) / "CURRENT.next").write_text("half a na")
    before = held(home)
    ingest(home, [tmp_path / "old.csv"], progress=silent)
    assert held(home) == before
    assert {p.name for p in folder(home).iterdir()} == {"CURRENT", "lock", f"{before[0]}.duckdb"}
