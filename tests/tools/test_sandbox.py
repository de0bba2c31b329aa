"""What SQL written by a hostile model can do here: read the clocked views, and nothing else."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path

import duckdb
import psutil
import pytest

from openoutcry.core.errors import SqlRefused
from openoutcry.tools.data.hardened import Limits, connect
from openoutcry.tools.data.sandbox import MAX_ROWS, READY, SECONDS, Sandbox, SandboxRows
from openoutcry.tools.data.statement import MAX_CHARACTERS, Gate, check
from openoutcry.tools.data.worker import Request, answer

FUTURE = "FROMTHEFUTURE"
CLOCK = "TIMESTAMPTZ '2020-04-09 00:00:00+00'"
VIEWS = {
    "prices": f"SELECT * FROM vault.prices WHERE known_at <= {CLOCK}",
    "documents": f"SELECT * FROM vault.documents WHERE known_at <= {CLOCK}",
}
SNAPSHOT = f"""
CREATE SCHEMA vault;
CREATE TABLE vault.prices AS
    SELECT 'T' || i % 3 AS ticker, DATE '2020-01-01' + (i // 3)::INTEGER AS day, sin(i) + 2 AS close,
        '1' AS note, TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_days((i // 3)::INTEGER) AS known_at
    FROM range(300) r(i);
INSERT INTO vault.prices
    SELECT 'T0', DATE '2030-01-01', 999999.0, '{FUTURE}', TIMESTAMPTZ '2030-01-01 00:00:00+00' FROM range(50);
CREATE TABLE vault.documents AS
    SELECT 'D' || i AS id, CASE WHEN i < 5 THEN 'plain' ELSE '{FUTURE}' END AS text,
        TIMESTAMPTZ '2020-04-05 00:00:00+00' + to_days(i::INTEGER) AS known_at
    FROM range(10) r(i);
CREATE TABLE main.prices AS FROM vault.prices;
CREATE TABLE vault.long AS SELECT sin(i) AS wave FROM range(600000) r(i);
CREATE MACRO leak() AS (SELECT max(close) FROM vault.prices);
CREATE MACRO leaks() AS TABLE FROM vault.prices;
CREATE SEQUENCE vault.counter;
CHECKPOINT;
"""

HONEST: dict[str, tuple[tuple[object, ...], ...]] = {
    "SELECT count(*), count(DISTINCT ticker) FROM prices": ((300, 3),),
    "SELECT max(day), max(known_at) FROM prices": (("2020-04-09", "2020-04-09T00:00:00+00"),),
    "WITH t AS (SELECT ticker, day FROM prices), u AS (FROM t) SELECT min(day) FROM u": (("2020-01-01",),),
    "SELECT ticker, count(*) n FROM Prices GROUP BY ALL ORDER BY 1 DESC LIMIT 1": (("T2", 100),),
    "SELECT day, lag(day) OVER (PARTITION BY ticker ORDER BY day) FROM prices QUALIFY row_number() OVER "
    "(PARTITION BY ticker ORDER BY day) = 2 AND ticker = 'T1'": (("2020-01-02", "2020-01-01"),),
    "SELECT count(*) FROM prices p JOIN documents d ON p.known_at = d.known_at": ((15,),),
    "SELECT count(*) FROM prices ASOF JOIN documents USING (known_at)": ((15,),),
    "SELECT (SELECT count(*) FROM documents) + 1 WHERE EXISTS (FROM prices)": ((6,),),
    "VALUES (1, 'a'), (2, NULL)": ((1, "a"), (2, None)),
    "SELECT unnest([1, 2]) AS n, {'a': [1.5]} AS s": ((1, "{'a': [1.5]}"), (2, "{'a': [1.5]}")),
    "SELECT * FROM range(2) a(i), generate_series(1, 1) b(j), unnest([7]) c(k)": ((0, 1, 7), (1, 1, 7)),
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) FROM t": ((1,), (2,), (3,)),
    "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 ORDER BY 1": ((1,), (2,)),
    "SELECT 0.5::DECIMAL(4, 2), 'nan'::DOUBLE, 1e999::DOUBLE, true, '\\x00\\xFF'::BLOB": (
        (0.5, None, None, True, "00FF"),
    ),
    "SELECT 1 AS a, 2 AS a; -- the end": ((1, 2),),
    "SELECT round(geomean(x), 3), list_sum([1, 2]), list_aggregate([1, 3], 'avg') FROM (VALUES (2), (8)) v(x)": (
        (4.0, 3, 2.0),
    ),
    "SELECT age(DATE '2020-03-01', DATE '2020-01-01'), date_trunc('month', DATE '2020-03-09')": (
        ("2 months", "2020-03-01T00:00:00"),
    ),
    "SELECT if(1 IN (1, 2), coalesce(NULL, 'y'), 'n'), CASE 1 WHEN 1 THEN 2 END, [x + 1 FOR x IN [1]]": (
        ("y", 2, "[2]"),
    ),
}

ATTACKS: dict[str, list[str]] = {
    "writes": [
        "INSERT INTO prices VALUES (1)",
        "INSERT INTO vault.prices SELECT * FROM vault.prices",
        "UPDATE vault.prices SET close = 0",
        "DELETE FROM vault.prices",
        "TRUNCATE vault.prices",
        "DROP TABLE vault.prices",
        "DROP VIEW prices",
        "ALTER TABLE vault.prices ADD COLUMN x INT",
        "CREATE TABLE t AS SELECT 1",
        "CREATE OR REPLACE TEMP VIEW prices AS SELECT * FROM vault.prices",
        "CREATE TEMP TABLE t (a INT)",
        "CREATE INDEX i ON vault.prices (day)",
        "MERGE INTO vault.prices USING prices ON true WHEN MATCHED THEN DELETE",
        "WITH t AS (DELETE FROM vault.prices RETURNING *) SELECT * FROM t",
        "WITH t AS (INSERT INTO vault.prices SELECT * FROM prices RETURNING *) SELECT * FROM t",
        "WITH t AS (UPDATE vault.prices SET close = 0 RETURNING *) FROM t",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN TRANSACTION",
        "COMMENT ON TABLE vault.prices IS 'x'",
    ],
    "copying": [
        "COPY (SELECT 1) TO 'out.csv'",
        "COPY prices TO '/tmp/out.parquet'",
        "COPY vault.prices FROM 'planted.csv'",
        "COPY FROM DATABASE snapshot TO memory",
        "WITH t AS (COPY (SELECT 1) TO 'out.csv') SELECT * FROM t",
        "EXPORT DATABASE 'out'",
        "IMPORT DATABASE 'out'",
    ],
    "attaching": [
        "ATTACH 'other.duckdb'",
        "ATTACH ':memory:' AS m",
        "DETACH snapshot",
        "USE vault",
        "SET schema = 'vault'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "FORCE INSTALL spatial FROM community",
        "CREATE SECRET s (TYPE S3)",
    ],
    "settings": [
        "PRAGMA database_list",
        "PRAGMA table_info('vault.prices')",
        "SET memory_limit = '64GB'",
        "RESET lock_configuration",
        "SET VARIABLE x = 1",
        "SELECT getvariable('x')",
        "SELECT current_setting('memory_limit')",
        "SELECT set_config('threads', '9', false)",
        "SELECT getenv('HOME')",
        "SELECT version()",
    ],
    "files": [
        "SELECT * FROM read_csv('planted.csv')",
        "SELECT * FROM read_csv_auto(['planted.csv'])",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_parquet('x.parquet')",
        "SELECT * FROM read_json('x.json')",
        "SELECT * FROM read_duckdb('snapshot.duckdb')",
        "SELECT * FROM glob('*')",
        "SELECT * FROM sniff_csv('planted.csv')",
        "SELECT * FROM 'planted.csv'",
        'SELECT * FROM "planted.csv"',
        "FROM '/etc/passwd'",
        "SELECT * FROM parquet_metadata('x')",
        "SELECT * FROM 'https://example.org/x.parquet'",
        "SELECT * FROM prices, LATERAL (SELECT * FROM read_text(ticker))",
    ],
    "other schemas": [
        "SELECT * FROM vault.prices",
        "SELECT * FROM snapshot.vault.prices",
        "SELECT * FROM main.prices",
        "SELECT * FROM temp.prices",
        'SELECT * FROM "vault"."prices"',
        "SELECT * FROM VAULT.PRICES",
        "SELECT * FROM vault /* x */ . /* y */ prices",
        "TABLE vault.prices",
        "FROM vault.prices",
        "SELECT (SELECT max(close) FROM vault.prices)",
        "SELECT * FROM prices WHERE close IN (SELECT close FROM vault.prices)",
        "SELECT * FROM prices UNION ALL SELECT * FROM vault.prices",
        "SELECT * FROM prices JOIN vault.prices v USING (day)",
        "WITH t AS MATERIALIZED (SELECT * FROM vault.prices) SELECT * FROM t",
        "SELECT list_transform([1], lambda x: (SELECT max(close) FROM vault.prices))",
        "SELECT sum(1) OVER (ORDER BY (SELECT max(close) FROM vault.prices))",
        "SELECT 1 ORDER BY (SELECT max(close) FROM vault.prices)",
        "SELECT 1 LIMIT (SELECT count(*) FROM vault.prices)",
        "SELECT COUNT(*) FILTER (WHERE 1 IN (SELECT 1 FROM vault.prices))",
        "SELECT * REPLACE ((SELECT max(close) FROM vault.prices) AS close) FROM prices",
        "SELECT * FROM long",
        "SELECT nextval('vault.counter')",
        "SELECT * FROM prices AT (VERSION => 1)",
    ],
    "catalog": [
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM duckdb_tables",
        "SELECT * FROM duckdb_columns()",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM duckdb_logs()",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM pg_tables",
        "SELECT * FROM pragma_table_info('prices')",
        "SELECT * FROM pragma_storage_info('vault.prices')",
        "SELECT * FROM seq_scan('vault.prices')",
        "SELECT current_schemas(true)",
        "SELECT pg_get_viewdef(1)",
        "SELECT get_block_size('snapshot')",
        "SELECT stats(close) FROM prices",
    ],
    "sql in text": [
        "SELECT * FROM query('SELECT * FROM vault.prices')",
        "SELECT * FROM query_table('vault.prices')",
        "SELECT * FROM query_table(['prices', 'vault.prices'])",
        "SELECT json_serialize_plan('SELECT * FROM vault.prices')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM vault.prices'))",
        "SELECT * FROM histogram('vault.prices', close)",
        "SELECT * FROM histogram_values('vault.prices', close)",
        "SELECT * FROM repeat_row(1, num_rows = 2)",
        "SELECT * FROM summary((SELECT * FROM prices))",
    ],
    "several": [
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE vault.prices",
        "SELECT 1 /* ; */; DELETE FROM vault.prices --",
        "SELECT 1 --\n; SELECT * FROM vault.prices",
        "SELECT 1 -- \r\n; CHECKPOINT",
        "SELECT $$ $$; ATTACH 'x.duckdb'",
        "SELECT 1 /* /* */ */ ; SELECT 2",
        "",
        ";",
        "-- nothing",
        "SELECT 1\x00; SELECT 2",
    ],
    "other statements": [
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT * FROM vault.prices",
        "DESCRIBE prices",
        "DESCRIBE vault.prices",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "SUMMARIZE vault.prices",
        "SELECT * FROM (DESCRIBE vault.prices)",
        "SELECT * FROM (SUMMARIZE vault.prices)",
        "SELECT * FROM (SHOW TABLES)",
        "WITH t AS (SHOW databases) FROM t",
        "PIVOT prices ON ticker USING sum(close)",
        "FROM prices PIVOT (sum(close) FOR ticker IN ('T0'))",
        "UNPIVOT prices ON close",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "CALL pragma_version()",
        "SELECT ?",
        "SELECT $1",
        "SELECT * FROM prices WHERE day = $day",
    ],
    "clock and chance": [
        "SELECT now()",
        "SELECT today()",
        "SELECT current_date",
        "SELECT CURRENT_TIMESTAMP",
        'SELECT "current_timestamp"::VARCHAR',
        "SELECT current_time::VARCHAR",
        "SELECT localtimestamp",
        "SELECT localtime",
        "SELECT current_localtime()",
        "SELECT current_localtimestamp()",
        "SELECT get_current_timestamp()",
        "SELECT transaction_timestamp()",
        "SELECT age(DATE '2020-01-01')",
        "SELECT ago('1 day')",
        "SELECT random()",
        "SELECT setseed(0.5)",
        "SELECT uuid()",
        "SELECT gen_random_uuid()",
        "SELECT list_transform([1], lambda x: random())",
        "SELECT * FROM prices ORDER BY random()",
        "SELECT * FROM prices USING SAMPLE 5",
        "SELECT * FROM prices TABLESAMPLE 10%",
        "SELECT reservoir_quantile(close, 0.5) FROM prices",
        "SELECT list_aggregate([1, 2], 'reservoir_' || 'quantile', 0.5)",
        "SELECT current_user",
        "SELECT user",
        "SELECT session_user",
        "SELECT current_database()",
        "SELECT current_schema",
        "SELECT txid_current()",
        "SELECT current_query()",
        "SELECT sleep_ms(10)",
        "SELECT write_log('x')",
    ],
    "names": [
        "WITH prices AS (SELECT 1 AS close) SELECT * FROM prices",
        "WITH sqlite_master AS (SELECT * FROM sqlite_master) SELECT * FROM sqlite_master",
        "WITH RECURSIVE pg_class AS (SELECT * FROM pg_class UNION ALL SELECT 1) SELECT * FROM pg_class",
        "SELECT * FROM (WITH pg_class AS (SELECT 1) FROM pg_class), pg_class",
        "WITH a AS (FROM b), b AS (SELECT 1) FROM a",
        "(WITH t AS (SELECT 1) FROM t) UNION ALL FROM t",
        "SELECT main.upper('a')",
        "SELECT ticker.upper() FROM prices",
        "SELECT system.main.now()",
        "SELECT pg_catalog.pg_typeof(1)",
        "SELECT 1::vault.kind",
        "SELECT leak()",
        "SELECT * FROM leaks()",
        "SELECT json_group_structure((SELECT close FROM vault.prices))",
        "SELECT * FROM vault\u00a0.prices",
        "SELECT * FROM \uff56ault.prices",
        "SELECT * FROM pric\u0435s",
        'SELECT * FROM "prices "',
        "SELECT \ud800",
        "SELECT __internal_barrier(1)",
        "SELECT finalize('x'::BLOB)",
        "SELECT " + "1" * MAX_CHARACTERS,
        "SELECT " + "(" * 1000 + "1" + ")" * 1000,
        "SELECT " + "CASE WHEN 1 THEN " * 300 + "1" + " END" * 300,
    ],
}
# These read well and fail only when they run, since DuckDB 2.0 knows no such words for an instant.
LATE = [
    "SELECT 'now'::TIMESTAMP",
    "SELECT 'today'::DATE",
    "SELECT DATE 'tomorrow'",
    "SELECT CAST(concat('no', 'w') AS TIMESTAMPTZ)",
    "SELECT TIMESTAMP 'yesterday'",
    "SELECT nothing FROM prices",
    "SELECT vault.prices.close FROM prices",
    "SELECT 'vault.prices'::regclass",
    "SELECT main.current_date",
]
STATEMENTS = [(group, sql) for group, statements in ATTACKS.items() for sql in statements]

BOMBS = [
    "SELECT count(*) FROM range(1000000) a, range(1000000) b",
    "SELECT * FROM range(100000000000) t(i) ORDER BY hash(i), i LIMIT 900000",
    "SELECT len(repeat('x', 3000000000))",
    "SELECT lpad('x', 50000000, 'y')",
    "SELECT printf('%1000000000d', 1)",
    "SELECT format('{:>1000000000}', 1)",
    "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "SELECT list_reduce(list_transform(range(90000), lambda x: 'abc'), lambda a, b: a || b)",
    "SELECT len(string_split(repeat('a,', 30000000), ','))",
    "WITH RECURSIVE t(n) AS (SELECT repeat('x', 1000000) UNION ALL SELECT n || n FROM t) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT " + "[" * 240 + "1" + "]" * 240,
    "SELECT " + "list_distinct(" * 200 + "[1]" + ")" * 200,
    "SELECT * FROM range(10)" + " NATURAL JOIN range(10)" * 400,
    "SELECT * FROM prices WHERE close IN (" + ",".join(map(str, range(2000))) + ")",
    "SELECT regexp_full_match(repeat('a', 1000000) || 'b', '(a|aa)+')",
    "SELECT regexp_replace(repeat('a', 5000000), 'a', 'bbbbbbbbbb', 'g')",
    "SELECT " + ",".join(["1"] * 2500),
    "SELECT " + ",".join(["*"] * 200) + " FROM prices",
    "SELECT list(i ORDER BY hash(i)) FROM range(300000000) t(i)",
    "SELECT list_aggregate(range(200000000), 'sum')",
    "SELECT repeat('x', 100000) FROM range(1000)",
    "SELECT count(DISTINCT i) FROM range(100000000) t(i)",
    "SELECT replace(repeat('a', 2000000), 'a', repeat('b', 1000))",
    "SELECT ('[' || repeat('[', 1000000) || repeat(']', 1000000) || ']')::JSON",
]


THROW = """
import json, resource, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from openoutcry.core.errors import SqlRefused
from openoutcry.tools.data.sandbox import Sandbox

def outcome(sql):
    start = time.monotonic()
    try:
        said = sandbox.run(sql, json.loads(sys.argv[2])).sha256
    except SqlRefused as error:
        said = str(error)
    return time.monotonic() - start, said

def most():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

before = most()
with Sandbox(Path(sys.argv[1])) as sandbox, ThreadPoolExecutor(2) as pool:
    seconds, outcomes = zip(*pool.map(outcome, json.load(sys.stdin)))
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"seconds": seconds, "outcomes": outcomes, "own": most() - before, "children": children}))
"""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] -- pytest finds it
    """What is to succeed may wait for its processor; the bound has tests of its own."""
    monkeypatch.setattr("openoutcry.tools.data.sandbox.SECONDS", 120.0)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshots") / "snapshot.duckdb"
    path.with_name("planted.csv").write_text(f"note\n{FUTURE}\n")
    with duckdb.connect(path) as connection:
        connection.execute(SNAPSHOT)
    return path


@pytest.fixture(scope="module")
def sandbox(snapshot: Path) -> Iterator[Sandbox]:
    with Sandbox(snapshot) as opened:
        yield opened


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with Gate() as opened:
        yield opened


@pytest.fixture
def unchanged(snapshot: Path) -> Iterator[None]:
    before = _state(snapshot)
    yield
    assert _state(snapshot) == before


def _state(snapshot: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in snapshot.parent.iterdir()}


def _outcome(sandbox: Sandbox, sql: str) -> SandboxRows | str:
    """Return the rows, or the refusal, which is one line whatever happened."""
    try:
        return sandbox.run(sql, VIEWS)
    except SqlRefused as error:
        assert "\n" not in str(error) and FUTURE not in str(error)
        return str(error)


def _children() -> list[int]:
    """Return the living and the zombie children of this process; the lists of single threads lose some as one ends."""
    return [child.pid for child in psutil.Process().children()]


@pytest.mark.parametrize("sql", HONEST)
def test_an_honest_query_gives_its_rows(sandbox: Sandbox, sql: str) -> None:
    assert sandbox.run(sql, VIEWS).rows == HONEST[sql]


@pytest.mark.parametrize(("group", "sql"), STATEMENTS)
def test_the_gate_refuses_every_attack(gate: Gate, group: str, sql: str) -> None:
    with pytest.raises(SqlRefused, match=r"^Expected [^\n]+\.$"):
        gate.check(sql, VIEWS)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("group", [*ATTACKS, "late"])
def test_the_sandbox_refuses_every_attack_and_nothing_changes(sandbox: Sandbox, group: str) -> None:
    statements = ATTACKS.get(group, LATE)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(_outcome, repeat(sandbox), statements))
    passed = [sql for sql, outcome in zip(statements, outcomes, strict=True) if not isinstance(outcome, str)]
    assert passed == []


@pytest.mark.usefixtures("unchanged")
def test_the_settings_alone_keep_files_and_snapshot_from_harm(snapshot: Path) -> None:
    for group in ("writes", "copying", "attaching", "settings", "files"):
        for sql in ATTACKS[group]:
            with connect(snapshot, views=VIEWS, limits=Limits()) as connection:
                try:
                    found = connection.execute(sql).fetchall()
                except duckdb.Error:
                    continue
                assert FUTURE not in str(found) and "root:" not in str(found), sql


def test_there_are_attacks_and_bombs_enough() -> None:
    assert len(STATEMENTS) >= 150 and len(BOMBS) >= 20


@pytest.mark.usefixtures("unchanged")
def test_every_bomb_is_contained(snapshot: Path) -> None:
    # In a process of its own, for the most memory that a process's children ever had is over all of them.
    ran = subprocess.run(
        [sys.executable, "-c", THROW, str(snapshot), json.dumps(VIEWS)],
        input=json.dumps(BOMBS),
        stdout=subprocess.PIPE,
        text=True,
        timeout=1200,
        check=True,
    )
    found = json.loads(ran.stdout)
    outcomes = [str(text) for text in found["outcomes"]]
    assert not [text for text in outcomes if "\n" in text or FUTURE in text]
    assert max(found["seconds"]) < SECONDS + 60
    assert found["own"] < 100_000 and found["children"] < 2_200_000  # kilobytes
    bounds = {"ran out of memory", "ran past 3000 ms", "stopped after 5 s"}
    assert {bound for bound in bounds for text in outcomes if bound in text} == bounds


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM prices ORDER BY day DESC LIMIT 100",
        "SELECT * FROM prices WHERE day > DATE '2025-01-01'",
        "SELECT max(close), max(note), max(day), count(*) FROM prices",
        "SELECT * FROM documents WHERE text LIKE 'FROM%' OR true",
        "SELECT * FROM prices WHERE CAST(note AS INTEGER) > 0",
        "SELECT sum(CAST(note AS INTEGER)) FROM prices WHERE ticker = 'T0'",
        "FROM prices WHERE CASE WHEN day > DATE '2025-01-01' THEN CAST(note AS INTEGER) ELSE 1 END = 1",
        "SELECT * FROM prices a LEFT JOIN prices b ON CAST(a.note AS INTEGER) = b.close",
        "SELECT approx_top_k(note, 3), mode(note), histogram(note) FROM prices",
    ],
)
def test_rows_of_the_future_never_come_back_nor_stir_an_error(sandbox: Sandbox, sql: str) -> None:
    found = sandbox.run(sql, VIEWS)
    text = str(found.rows)
    assert FUTURE not in text and "999999" not in text and "2030" not in text


def test_the_hash_is_over_the_canonical_rows_and_stays(sandbox: Sandbox, snapshot: Path) -> None:
    sql = "SELECT ticker, avg(close) AS mean FROM prices GROUP BY ticker ORDER BY ticker"
    first = sandbox.run(sql, VIEWS)
    with Sandbox(snapshot) as other:
        assert other.run(sql, VIEWS) == first
    canonical = json.dumps({"columns": ["ticker", "mean"], "rows": first.rows}, separators=(",", ":"))
    assert first.sha256 == hashlib.sha256(canonical.encode()).hexdigest()


def test_a_sum_over_many_row_groups_is_the_same_to_the_last_bit(sandbox: Sandbox) -> None:
    views = {"long": "SELECT * FROM vault.long"}
    found = {sandbox.run("SELECT sum(wave), avg(wave) FROM long", views).sha256 for _ in range(6)}
    assert len(found) == 1


def test_rows_past_the_cap_are_cut_and_said_to_be(sandbox: Sandbox) -> None:
    found = sandbox.run("SELECT i FROM range(5000) t(i)", VIEWS)
    assert (len(found.rows), found.truncated) == (MAX_ROWS, True)
    assert not sandbox.run(f"SELECT i FROM range({MAX_ROWS}) t(i)", VIEWS).truncated


def test_threads_share_a_sandbox(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(_outcome, repeat(sandbox), (f"SELECT {i}" for i in range(12))))
    assert [rows.rows for rows in found if isinstance(rows, SandboxRows)] == [((i,),) for i in range(12)]


def test_one_spare_is_kept_with_no_secrets_and_closing_ends_it(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTCRY_SECRET", "hush")
    before = set(_children())
    with Sandbox(snapshot) as sandbox:
        sandbox.run("SELECT 1", VIEWS)
        (spare,) = set(_children()) - before
        assert Path(f"/proc/{spare}/environ").read_bytes() == b""
        os.kill(spare, signal.SIGKILL)
        _wait_for(lambda: _is_dead(spare))
        assert sandbox.run("SELECT 2", VIEWS).rows == ((2,),)
        assert len(set(_children()) - before) == 1
    assert set(_children()) <= before
    with pytest.raises(SqlRefused, match="closed"):
        sandbox.run("SELECT 1", VIEWS)


def test_the_spare_does_not_outlive_a_killed_parent(snapshot: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from openoutcry.tools.data.sandbox import Sandbox\n"
        "sandbox = Sandbox(Path(sys.argv[1])); sandbox.run('SELECT 1', {})\n"
        "print(Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text(), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(snapshot)], stdout=subprocess.PIPE, timeout=300, check=False
    )
    (spare,) = ran.stdout.split()
    _wait_for(lambda: not _runs_worker(int(spare)))


def _is_dead(pid: int) -> bool:
    """Tell whether only the zombie is left: its first thread ended, and every other one is gone."""
    process = Path(f"/proc/{pid}")
    return ") Z " in (process / "stat").read_text() and len(list((process / "task").iterdir())) == 1


def _runs_worker(pid: int) -> bool:
    try:
        return b"tools.data.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("print('nonsense')", "nonsense"),
        ("print('[1]')", "nonsense"),
        ("import os; os.abort()", "memory"),
        ("import os; os.kill(os.getpid(), 9)", "killed by the system"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "CPU time"),
        ("raise SystemExit(3)", "ended its process"),
        ("while True: print('x' * 100_000)", "1,000,000 bytes"),
    ],
)
def test_however_a_worker_dies_the_person_reads_one_line(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr("openoutcry.tools.data.sandbox._START", f"import os\nos.write(1, {READY!r})\n{program}")
    assert re.search(message, _refusal(snapshot))


def test_a_statement_has_its_time_from_when_its_process_is_ready(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openoutcry.tools.data.sandbox.SECONDS", 0.5)
    slow = "import os, time; time.sleep(1); "
    monkeypatch.setattr("openoutcry.tools.data.sandbox._START", f"{slow}os.write(1, {READY!r} + b'{{}}')")
    with Sandbox(snapshot) as sandbox:
        assert sandbox.run("SELECT 1", VIEWS).rows == ()
    monkeypatch.setattr("openoutcry.tools.data.sandbox._START", f"{slow}os.write(1, {READY!r}); time.sleep(600)")
    assert _refusal(snapshot) == "The statement was stopped after 0.5 s: read fewer rows."


@pytest.mark.parametrize(
    ("program", "met"),
    [
        ("print('nonsense')", "ended before it was ready"),
        ("raise SystemExit(3)", "ended before it was ready"),
        ("import time; time.sleep(600)", "was not ready within 0.5 s"),
    ],
)
def test_a_worker_that_is_never_ready_is_told(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch, program: str, met: str
) -> None:
    monkeypatch.setattr("openoutcry.tools.data.sandbox._START", program)
    monkeypatch.setattr("openoutcry.tools.data.sandbox.START", 0.5 if "sleep" in program else 120.0)
    assert _refusal(snapshot) == f"The statement was not run, for its process {met}: ask again."


def _refusal(snapshot: Path) -> str:
    with Sandbox(snapshot) as sandbox, pytest.raises(SqlRefused) as refused:
        sandbox.run("SELECT 1", VIEWS)
    return str(refused.value)


def test_a_second_connection_of_the_process_finds_the_settings_and_has_its_own_views(snapshot: Path) -> None:
    first = connect(snapshot, views={"v": "SELECT 1"})
    with first, connect(snapshot, views={"v": "SELECT 2"}) as second:
        assert (first.execute("FROM v").fetchall(), second.execute("FROM v").fetchall()) == ([(1,)], [(2,)])
        assert second.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)
        with pytest.raises(duckdb.Error, match="locked"):
            second.execute("SET threads = 8")
        with pytest.raises(duckdb.Error, match="configuration"):
            connect(snapshot, limits=Limits())


def test_the_limits_take_hold(snapshot: Path) -> None:
    names = (
        "threads",
        "max_execution_time",
        "max_expression_depth",
        "enable_external_access",
        "temp_directory",
    )
    shown = ", ".join(f"current_setting('{name}')" for name in names)
    with connect(snapshot, limits=Limits()) as connection:
        assert connection.execute(f"SELECT {shown}").fetchone() == (1, 3000, 250, False, "")


def test_a_view_that_does_not_bind_leaves_nothing_open(snapshot: Path) -> None:
    with pytest.raises(duckdb.Error):
        connect(snapshot, views={"v": "SELECT nothing"})
    with connect(snapshot, limits=Limits()):
        pass


def test_every_word_duckdb_answers_without_a_table_is_refused(gate: Gate) -> None:
    with duckdb.connect() as connection:
        words = connection.execute(
            "SELECT function_name FROM duckdb_functions() UNION SELECT keyword_name FROM duckdb_keywords()"
        ).fetchall()
        extra = ["current_time", "current_timestamp", "localtime", "localtimestamp", "system_user", "sysdate"]
        names = {str(word) for (word,) in words if str(word).isidentifier()} | set(extra)
        answered = {name for name in names if _binds(connection, f'SELECT typeof("{name}")')}
    assert len(answered) >= 11
    for name in answered:
        with pytest.raises(SqlRefused):
            gate.check(f"SELECT {name}", VIEWS)


def _binds(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        connection.execute(sql)
    except duckdb.Error:
        return False
    return True


def test_no_function_without_arguments_reads_anything(gate: Gate) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE len(parameters) = 0"
            " AND function_type IN ('scalar', 'macro') AND regexp_full_match(function_name, '\\w+')"
        ).fetchall()
    allowed = {str(name) for (name,) in rows if _admits(gate, f"SELECT {name}()")}
    of_nothing = {"pi", "row", "map", "add", "map_concat", "struct_pack", "struct_concat", "union_value"}
    lists = {"list_value", "list_pack", "list_cat", "list_concat", "list_zip", "unpivot_list"}
    arrays = {"array_value", "array_cat", "array_concat", "array_zip", "array_to_json"}
    texts = {"json_array", "json_object", "json_quote", "row_to_json", "to_json"}
    assert allowed <= of_nothing | lists | arrays | texts


def _admits(gate: Gate, sql: str) -> bool:
    try:
        gate.check(sql, VIEWS)
    except SqlRefused:
        return False
    return True


def test_one_statement_can_be_checked_alone() -> None:
    check("SELECT close FROM prices", {"prices"})
    with pytest.raises(SqlRefused, match="documents"):
        check("SELECT * FROM documents", {"prices"})


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1.5::DECIMAL(4, 1) AS x", {"columns": ["x"], "rows": [[1.5]], "truncated": False}),
        ("SELECT i FROM range(9) t(i)", {"columns": ["i"], "rows": [[0], [1]], "truncated": True}),
        ("SELECT repeat('x', 999)", {"refused": "Expected an answer of 100 bytes; came more: select less."}),
        ("SELECT list(i) FROM range(300000000) t(i)", {"refused": "ran out of memory"}),
        ("SELECT nothing", {"refused": "fits the tables"}),
        ("SELECT 'x'::INTEGER", {"refused": "ConversionException"}),
        ("DROP TABLE x", {"refused": "one SELECT"}),
    ],
)
def test_a_worker_answers_in_json(
    gate: Gate, snapshot: Path, monkeypatch: pytest.MonkeyPatch, sql: str, expected: dict[str, object]
) -> None:
    monkeypatch.setattr("openoutcry.tools.data.worker.Limits", partial(Limits, milliseconds=600_000))
    request = Request(snapshot=str(snapshot), views=VIEWS, sql=sql, max_rows=2, max_bytes=100)
    found = json.loads(json.dumps(answer(gate, request)))
    if "refused" in expected:
        assert list(found) == ["refused"] and str(expected["refused"]) in found["refused"]
    else:
        assert found == expected
