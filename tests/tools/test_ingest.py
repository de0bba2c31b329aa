"""Ingest: each row is taken, found there already, or refused with line and reason; a bad file changes nothing."""

import csv
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import BadFile, EmptyWarehouse, UsageError
from openoutcry.tools.data.ingest import Intake, ingest
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.data.warehouse import current

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]

HEADER = "ticker,date,close\n"
GOOD = HEADER + "AAA,2020-01-02,5\nAAA,2020-01-03,6\n"
STORIES = [{"ticker": "AAA", "published": "2020-01-02", "body": f"Story {i}", "source": "Wire"} for i in range(3)]
WIDE = "ticker,fiscal_period,period_end,filed,revenue,net_income\n"
LONG = "ticker,fiscal_period,period_end,filing_date,item,value\n"


def silent(_: str) -> None:
    """Progress that nobody watches."""


def take(home: Path, files: dict[str, str | bytes], **options: Any) -> list[Intake]:
    """Write the files, in order, and ingest them."""
    folder = home.parent / "files"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return ingest(home, [folder / name for name in files], progress=silent, **options)


def stored(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a statement of the test's own finds in the snapshot in force."""
    warehouse = Warehouse.open(home)
    try:
        columns = warehouse.rows(sql, [])
        return list(zip(*(c.tolist() for c in columns.values()), strict=True))
    finally:
        warehouse.close()


def rejects(intake: Intake) -> list[dict[str, str]]:
    assert intake.rejects is not None
    with intake.rejects.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_the_bundled_sample(sample_home: Path, tmp_path: Path, view_of: ViewOf) -> None:
    view = view_of(sample_home)
    assert (len(view.tickers), str(view.as_of)) == (20, "2022-12-28")
    counts = {
        t: stored(sample_home, f"SELECT count(*) FROM vault.{t}")[0][0] for t in ("prices", "documents", "positions")
    }
    assert counts == {"prices": 166_260, "documents": 99, "positions": 30}
    assert not (sample_home / "rejects").exists()


def test_every_kind_of_file_and_its_counts(home: Path) -> None:
    intakes = take(
        home,
        {
            "prices.csv": GOOD,
            "wide.csv": WIDE + "AAA,2020Q1,2020-03-31,2020-05-01,100,\n",
            "long.csv": LONG + "AAA,2020Q1,2020-03-31,2020-05-01,net_income,9\n",
            "news.jsonl": "".join(json.dumps(s) + "\n" for s in STORIES),
            "book.csv": "ticker,date,quantity\nAAA,2020-01-02,3\n",
            "names.csv": "ticker,name\nAAA,A Company\n",
        },
    )
    assert [(i.file, i.dataset, i.taken, i.refused, i.rejects) for i in intakes] == [
        ("prices.csv", "prices", 2, [], None),
        ("wide.csv", "fundamentals", 1, [], None),
        ("long.csv", "fundamentals", 1, [], None),
        ("news.jsonl", "documents", 3, [], None),
        ("book.csv", "positions", 1, [], None),
        ("names.csv", "companies", 1, [], None),
    ]
    found = stored(home, "SELECT item, value, form, source FROM vault.fundamentals ORDER BY item")
    assert found == [("net_income", 9, "10-Q", "long.csv:2"), ("revenue", 100, "10-Q", "wide.csv:2")]


def test_a_year_beside_its_fourth_quarter(home: Path) -> None:
    """Both end on one day and may be filed on one: neither takes the other's place, and each is restated alone."""
    day = "2020-12-31,2021-02-01"
    (intake,) = take(home, {"a.csv": WIDE + f"AAA,2020Q4,{day},100,\nAAA,2020FY,{day},400,\n"})
    assert (intake.taken, intake.refused) == (2, [])
    (again,) = take(home, {"b.csv": LONG + f"AAA,2020FY,{day},revenue,400\nAAA,2020FY,{day},revenue,401\n"})
    assert (again.taken, again.unchanged, len(again.refused)) == (0, 1, 1)
    take(home, {"c.csv": LONG + "AAA,2020FY,2020-12-31,2021-03-01,revenue,390\n"})
    found = stored(home, "SELECT fiscal_period, value, form FROM vault.fundamentals ORDER BY known_at, value")
    assert found == [("2020Q4", 100, "10-Q"), ("2020FY", 400, "10-K"), ("2020FY", 390, "10-K")]


def test_wide_and_long_say_the_same(tmp_path: Path) -> None:
    wide, long = tmp_path / "a" / "home", tmp_path / "b" / "home"
    for home in (wide, long):
        home.parent.mkdir()
    take(wide, {"w.csv": WIDE + "AAA,2020Q1,2020-03-31,2020-05-01,100,9\n"})
    take(
        long,
        {
            "l.csv": LONG
            + "".join(f"AAA,2020Q1,2020-03-31,2020-05-01,{i},{v}\n" for i, v in (("net_income", 9), ("revenue", 100)))
        },
    )
    assert current(wide).name == current(long).name


def test_parquet_and_its_wrong_types(home: Path, tmp_path: Path) -> None:
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    good = {
        "ticker": ["AAA"] * 2,
        "date": pa.array([0, 86400], pa.timestamp("s")),
        "close": pa.array([5, 6], pa.int16()),
    }
    pq.write_table(pa.table(good), tmp_path / "good.parquet")
    wrong = {"ticker": ["BBB"] * 4, "date": [20200102, 1577923200, 86400, 18263], "close": [True, False, True, True]}
    pq.write_table(pa.table(wrong), tmp_path / "wrong.parquet")
    bytes_ = {"ticker": [b"CCC"], "date": [b"2020-01-02"], "close": ["5"]}
    pq.write_table(pa.table(bytes_), tmp_path / "bytes.parquet")
    first, second, third = ingest(
        home, [tmp_path / f"{n}.parquet" for n in ("good", "wrong", "bytes")], progress=silent
    )
    assert (first.taken, second.taken, len(second.refused), third.taken) == (2, 0, 4, 0)
    assert second.reasons.keys() == {"date: expected a date in ISO form, as 2022-06-30"}
    assert stored(home, "SELECT ticker, date::VARCHAR, close, known_at::VARCHAR FROM vault.prices ORDER BY date") == [
        ("AAA", "1970-01-01", 5, "1970-01-01 21:00:00"),
        ("AAA", "1970-01-02", 6, "1970-01-02 21:00:00"),
    ]


def test_rows_are_refused_one_by_one_with_line_and_reason(home: Path) -> None:
    lines = [
        "AAA,2020-01-02",  # ragged, and first
        "AAA,2020-01-02,5",
        "AAA,2020-01-03,nan",
        "AAA,2020-13-03,5",
        "a b,2020-01-03,5",
        "AAA,2020-01-03,",
        "AAA,2020-01-03,5,6",
        "AAA,2020-01-03,7",
        "AAA,2020-01-02,5",  # a duplicate
    ]
    (intake,) = take(home, {"prices.csv": HEADER + "\n".join(lines)})
    assert (intake.taken, intake.unchanged) == (2, 1)
    assert [(r["line"], r["reason"]) for r in rejects(intake)] == [
        ("2", "expected 3 cells, found 2"),
        ("4", "close: should be a finite number, got 'nan'"),
        ("5", "date: expected a date in ISO form, as 2022-06-30, got '2020-13-03'"),
        ("6", "ticker: String should match pattern '^[A-Z][A-Z0-9.\\-]{0,11}$', got 'A B'"),
        ("7", "expected close or adj_close, found neither"),
        ("8", "expected 3 cells, found 4"),
    ]
    assert json.loads(rejects(intake)[1]["row"]) == {"ticker": "AAA", "date": "2020-01-03", "close": "nan"}
    assert intake.rejects == home / "rejects" / "prices.csv.rejects.csv"


def test_a_broken_first_line_of_jsonl_does_not_change_what_the_file_is(home: Path) -> None:
    rows = ['{"ticker": "AA', '{"ticker": "AAA", "date": "2020-01-02", "close": 5}', "[]", '{"close": NaN}']
    (intake,) = take(home, {"p.jsonl": "\n".join(rows)})
    assert (intake.dataset, intake.taken) == ("prices", 1)
    assert [r["line"] for r in rejects(intake)] == ["1", "3", "4"]


def test_what_cannot_be_written_as_text_is_refused_and_still_recorded(home: Path) -> None:
    (intake,) = take(home, {"n.jsonl": json.dumps(STORIES[0]) + '\n{"body": "a\\ud800", "published": "2020-01-02"}'})
    assert intake.taken == 1
    assert "\\ud800" in rejects(intake)[0]["row"]


def test_files_of_one_name_keep_their_own_rejects(home: Path) -> None:
    bad = HEADER + "AAA,2020-01-02,{}\nAAA,2020-01-03,5\n"
    first, second = take(home, {"a/p.csv": bad.format("x"), "b/p.csv": bad.format("y")})
    assert [rejects(i)[0]["reason"][-3:] for i in (first, second)] == ["'x'", "'y'"]


def test_the_same_files_twice_change_nothing(home: Path) -> None:
    files: dict[str, str | bytes] = {"p.csv": GOOD, "n.jsonl": json.dumps(STORIES[0])}
    take(home, files)
    before = current(home), (home / "warehouse" / "CURRENT").read_text()
    again = take(home, files)
    assert [(i.taken, i.unchanged) for i in again] == [(0, 2), (0, 1)]
    assert (current(home), (home / "warehouse" / "CURRENT").read_text()) == before
    assert len(list((home / "warehouse").glob("*.duckdb"))) == 1


@settings(max_examples=8)
@given(order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_neither_order_nor_files_change_the_snapshot(
    tmp_path_factory: pytest.TempPathFactory, order: random.Random, cuts: list[int]
) -> None:
    rows = [f"{t},2020-01-{d:02},{d}" for t in ("AAA", "BBB") for d in range(1, 21)]
    rows += ["AAA,2020-01-07,7"]  # a duplicate
    straight = tmp_path_factory.mktemp("straight") / "home"
    take(straight, {"p.csv": HEADER + "\n".join(rows)})
    order.shuffle(rows)
    edges = [0, *sorted(cuts), len(rows)]
    parts = [rows[a:b] for a, b in pairwise(edges) if a < b]
    split = tmp_path_factory.mktemp("split") / "home"
    half = len(parts) // 2
    for batch in (parts[:half], parts[half:]):  # in one run and in two
        if batch:
            take(split, {f"{order.random()}.csv": HEADER + "\n".join(part) for part in batch})
    assert current(split).name == current(straight).name


def test_a_row_that_contradicts_is_refused_and_a_restatement_is_taken(home: Path) -> None:
    take(home, {"p.csv": GOOD})
    known = "ticker,date,close,known_at\n"
    lines = ["AAA,2020-01-02,9,", "AAA,2020-01-02,9,2020-02-01", "AAA,2020-01-02,8,2020-02-01", "AAA,2020-01-03,6,"]
    (intake,) = take(home, {"q.csv": known + "\n".join(lines)})
    assert (intake.taken, intake.unchanged, [r.line for r in intake.refused]) == (1, 1, [2, 4])
    assert {r.reason for r in intake.refused} == {
        "differs from a row already known at the same moment; give a later known_at to restate it"
    }
    assert stored(home, "SELECT close FROM vault.prices WHERE date = '2020-01-02' ORDER BY known_at") == [(5,), (9,)]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"bad.csv": b"ticker,date,close\nAAA,2020-01-02,5\n" * 3000 + b"\xff\xfe"}, "expected text in UTF-8"),
        ({"bad.parquet": b"PAR1"}, "expected a readable parquet file"),
        ({"bad.csv": ""}, "expected rows, found none: check what wrote it"),
        ({"bad.csv": HEADER}, "expected rows, found none: check what wrote it"),
        ({"bad.jsonl": "\n\n"}, "expected rows, found none: check what wrote it"),
        ({"bad.csv": HEADER + "a\nb\n"}, r"found none that can be read \(expected 3 cells, found 1\)"),
        ({"bad.csv": "a,b\n1,2\n"}, "expected the columns of one data set .*, found a, b: rename them"),
        ({"bad.xlsx": b"PK"}, "expected a file ending in .csv, .parquet, .jsonl, got .xlsx"),
    ],
)
def test_a_bad_file_in_the_middle_leaves_everything_as_it_was(
    home: Path, bad: dict[str, str | bytes], told: str
) -> None:
    take(home, {"p.csv": GOOD})
    before = current(home), sorted(p.name for p in (home / "warehouse").iterdir())
    refused = HEADER + "BBB,2020-01-02,x\nBBB,2020-01-03,5\n"
    with pytest.raises(BadFile, match=told) as caught:
        take(home, {"first.csv": refused, **bad, "last.csv": GOOD.replace("AAA", "CCC")})
    assert "\n" not in str(caught.value)
    assert (current(home), sorted(p.name for p in (home / "warehouse").iterdir())) == before
    assert not (home / "rejects").exists()
    take(home, {"last.csv": GOOD.replace("AAA", "CCC")})
    assert stored(home, "SELECT count(*) FROM vault.prices") == [(4,)]


def test_a_first_ingest_that_fails_leaves_no_data(home: Path) -> None:
    with pytest.raises(BadFile):
        take(home, {"p.csv": GOOD, "q.csv": b'ticker,date,close\nAAA,2020-01-02,"5"x\n'})
    with pytest.raises(EmptyWarehouse):
        current(home)


def test_folders_and_missing_paths(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "deeper").mkdir(parents=True)
    with pytest.raises(BadFile, match=r"expected a folder with .csv, .parquet, .jsonl files, found none"):
        ingest(home, [folder], progress=silent)
    (folder / "b.csv").write_text(GOOD)
    (folder / "a.CSV").write_text(GOOD.replace("AAA", "BBB"))
    (folder / "notes.txt").write_text("no data")
    (folder / "deeper" / "c.csv").write_text("no data either")
    assert [i.file for i in ingest(home, [folder], progress=silent)] == ["a.CSV", "b.csv"]
    with pytest.raises(BadFile, match=r"nothing.csv: no such file; check the path"):
        ingest(home, [folder / "nothing.csv"], progress=silent)
    with pytest.raises(UsageError, match="expected files to ingest, got none; name them, or give --sample"):
        ingest(home, [], progress=silent)


def test_a_folder_may_hold_more_files_than_may_be_open(home: Path, tmp_path: Path) -> None:
    import resource

    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(120):
        (folder / f"{i}.csv").write_text(f"{HEADER}T{i},2020-01-02,5\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 60, hard))
    try:
        assert sum(i.taken for i in ingest(home, [folder], progress=silent)) == 120
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_may_be_told_what_it_is(home: Path) -> None:
    (intake,) = take(
        home,
        {"x.csv": "ticker,date,eps_diluted,fiscal_period,period_end,filed\nAAA,,1,2020Q1,2020-03-31,2020-05-01\n"},
        dataset="fundamentals",
    )
    assert (intake.dataset, intake.taken) == ("fundamentals", 1)


HOSTILE = [
    "it's.csv",
    '"; DROP TABLE vault.prices; --.csv',
    "a?b%s{x}.csv",
    "é 漢.csv",
    "p\udce9.csv",
    "--.csv",
    "$1.csv",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_s_name_is_only_a_name(home: Path, name: str) -> None:
    (intake,) = take(home, {name: GOOD + "AAA,x,1\n"})
    assert (intake.taken, len(intake.refused)) == (2, 1)
    shown = name.replace("\udce9", "?")
    assert stored(home, "SELECT source FROM vault.prices ORDER BY date") == [(f"{shown}:2",), (f"{shown}:3",)]
    assert rejects(intake)


TEXTS = [
    "'; DROP TABLE vault.documents; --",
    'a "quoted" \x00 text\x1f',
    "=cmd|' /C calc'!A0",
    "{E1.var}",
    "\\'\r\n\t",
    "漢字 🎈",
]


def test_hostile_text_is_stored_as_it_came(home: Path) -> None:
    rows = [{"ticker": "AAA", "published": "2020-01-02", "title": t, "body": f"[{t}]", "source": t} for t in TEXTS]
    (intake,) = take(home, {"n.jsonl": "".join(json.dumps(r) + "\n" for r in rows)})
    assert intake.taken == len(TEXTS)
    assert {b for (b,) in stored(home, "SELECT body FROM vault.documents")} == {f"[{t}]" for t in TEXTS}
    tickers = [{"ticker": t, "date": "2020-01-02", "close": 5} for t in [*TEXTS, "AAA"]]
    (intake,) = take(home, {"p.jsonl": "".join(json.dumps(r) + "\n" for r in tickers)})
    assert (intake.taken, len(intake.refused)) == (1, len(TEXTS))


def test_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows: Sequence[str] = [f"T{i},2020-01-02,5" for i in range(2500)]
    path.write_text(HEADER + "\n".join(rows))
    said: list[str] = []
    ingest(tmp_path / "home", [path], progress=said.append)
    assert said == ["p.csv: 999 rows read", "p.csv: 1,999 rows read", "p.csv: 2,500 taken"]


def test_a_row_of_the_future_is_refused_where_now_is_given(home: Path, tmp_path: Path) -> None:
    """One mistyped year must not move the desk's clock."""
    path = tmp_path / "typo.csv"
    path.write_text(HEADER + "AAA,2020-05-29,5\nAAA,2020-06-05,6\n")
    now = datetime(2020, 6, 1, tzinfo=UTC)
    (intake,) = ingest(home, [path], progress=lambda _: None, now=now)
    assert (intake.taken, len(intake.refused)) == (1, 1)
    assert intake.refused[0].reason == "known only on 2020-06-05, which is still to come; check the date"


def test_columns_are_found_by_the_names_that_providers_use(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "yahoo.csv"
    path.write_text("Ticker;Date;Close;Adj Close;Mood\naapl;2020-01-02;400;98.5;calm\n")
    (intake,) = ingest(home, [path], progress=lambda _: None)
    assert (intake.taken, intake.unused) == (1, ("mood",))
    warehouse = Warehouse.open(home)
    prices = warehouse.view().prices("AAPL")
    assert (prices.basis, prices.values.tolist()) == ("adj_close", [98.5])
    warehouse.close()


def test_rejects_of_an_earlier_try_are_taken_away(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "AAA,soon,5\nAAA,2020-01-02,5\n")
    (first,) = ingest(home, [path], progress=lambda _: None)
    assert first.rejects is not None
    path.write_text(HEADER + "AAA,2020-01-03,5\nAAA,2020-01-02,5\n")
    (second,) = ingest(home, [path], progress=lambda _: None)
    assert (second.rejects, first.rejects.exists()) == (None, False)
