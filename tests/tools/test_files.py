"""Files into raw rows: every kind read alike, broken lines told apart, unreadable files named."""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import BadFile
from openoutcry.tools.data import files
from openoutcry.tools.data.files import RawRow, read, recognise
from openoutcry.tools.data.rows import DATASETS

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "ticker,date,close\nAAA,2020-01-02,5\n",
        "\ufeffTicker, DATE ,Close\r\nAAA,2020-01-02,5\r\n",
        'ticker,date,close\n\n"AAA","2020-01-02","5"\n\n',
    ],
)
def test_csv(write: Write, content: str) -> None:
    (row,) = read(write("Prices.CSV", content))
    assert row.values == {"ticker": "AAA", "date": "2020-01-02", "close": "5"}
    assert not row.broken


def test_csv_lines_are_numbered_as_in_the_file(write: Write) -> None:
    content = 'body,date\n"two\nlines",2020-01-02\n\nshort\na,b,c\nlast,2020-01-03\n'
    rows = list(read(write("a.csv", content)))
    assert [(r.line, r.broken) for r in rows] == [
        (2, ""),
        (5, "expected 2 cells, found 1"),
        (6, "expected 2 cells, found 3"),
        (7, ""),
    ]
    assert rows[0].values["body"] == "two\nlines"
    assert rows[2].values == {"column_1": "a", "column_2": "b", "column_3": "c"}


def test_jsonl(write: Write) -> None:
    deep = "[" * 100_000
    content = f'{{"Body": "x", "n": 1.5}}\n\n{{"body": \nnull\n[1]\n{deep}\n{{"body": "y"}}'
    rows = list(read(write("a.jsonl", content)))
    assert [(r.line, r.broken.split(":")[0]) for r in rows] == [
        (1, ""),
        (3, "not JSON"),
        (4, "expected a JSON object"),
        (5, "expected a JSON object"),
        (6, "not JSON"),
        (7, ""),
    ]
    assert rows[0].values == {"body": "x", "n": 1.5}
    assert rows[4].values == {"text": deep[:1000]}


def test_parquet(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "a.parquet",
        {
            "Ticker": ["AAA", None],
            "date": [date(2020, 1, 2), date(2020, 1, 3)],
            "known_at": [datetime(2020, 1, 2, 16), None],  # noqa: DTZ001
            "close": [Decimal("5.25"), None],
            "flag": [True, False],
        },
    )
    first, second = read(path)
    assert first == RawRow(
        1,
        {
            "ticker": "AAA",
            "date": "2020-01-02",
            "known_at": "2020-01-02T16:00:00",
            "close": Decimal("5.25"),
            "flag": True,
        },
    )
    assert second.values["ticker"] is None
    assert second.line == 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"x", r"expected a file ending in .csv, .parquet, .jsonl, got .txt"),
        ("a", b"x", r"expected a file ending in .csv, .parquet, .jsonl, got none"),
        ("a.csv", b"ticker\n\xe9", r"expected text in UTF-8, found another encoding: save it as UTF-8"),
        ("a.csv", b'ticker\n"A"A', r"expected a readable csv file, found a fault"),
        ("a.csv", b'ticker\n"A', r"expected a readable csv file, found a fault"),
        ("a.csv", b"close,date, CLOSE\n1,2,3\n", r"expected each column once, found close again"),
        ("a.parquet", b"", r"expected a readable parquet file, found a fault"),
        ("a.parquet", b"PAR1" + b"\0" * 64 + b"PAR1", r"expected a readable parquet file, found a fault"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(write: Write, name: str, content: bytes, told: str) -> None:
    path = write(name, content)
    with pytest.raises(BadFile, match=told) as caught:
        list(read(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_or_nothing_under_a_file_s_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(BadFile, match="found a fault"):
        list(read(tmp_path / "a.csv"))
    with pytest.raises(BadFile, match=r"b.csv: no such file; check the path"):
        list(read(tmp_path / "b.csv"))


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("ticker date close volume", "prices"),
        ("ticker date adj_close", "prices"),
        ("ticker period_end filed item value", "fundamentals"),
        ("ticker period_end filed revenue", "fundamentals"),
        ("published body", "documents"),
        ("created_at text ticker", "documents"),
        ("date ticker quantity", "positions"),
        ("ticker name", "companies"),
    ],
)
def test_a_data_set_is_told_by_its_columns(columns: str, name: str) -> None:
    assert recognise(Path("x.csv"), frozenset(columns.split())).name == name


def test_columns_of_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"expected the columns of one data set .*, found a, b: rename them"):
        recognise(tmp_path / "x.csv", frozenset("ab"))
    with pytest.raises(BadFile, match="found no columns"):
        recognise(tmp_path / "x.csv", frozenset())


def test_a_wide_row_becomes_one_row_an_item() -> None:
    wide = RawRow(3, {"ticker": "AAA", "net_income": "", "revenue": "5", "eps_diluted": 0.1, "total_equity": None})
    rows = list(files.long(DATASETS["fundamentals"], wide))
    assert [(r.line, r.values["item"], r.values["value"]) for r in rows] == [
        (3, "revenue", "5"),
        (3, "eps_diluted", 0.1),
    ]
    assert all(r.values["ticker"] == "AAA" and "revenue" not in r.values for r in rows)


def test_a_wide_row_without_a_figure_is_not_lost() -> None:
    (row,) = files.long(DATASETS["fundamentals"], RawRow(3, {"ticker": "AAA", "revenue": ""}))
    assert row.broken.startswith("expected a figure in one of revenue, ")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("fundamentals", RawRow(1, {"item": "revenue", "value": 5, "revenue": 6})),
        ("fundamentals", RawRow(1, {"column_1": "x"}, "broken")),
        ("prices", RawRow(1, {"revenue": 5})),
    ],
)
def test_other_rows_pass_as_they_are(name: str, row: RawRow) -> None:
    assert list(files.long(DATASETS[name], row)) == [row]


def test_the_sample_s_prices_say_up_to_when_they_are_adjusted() -> None:
    rows = files.read_sample_prices(files.sample_prices())
    first = next(rows)
    assert first.line == 2
    assert json.loads(json.dumps(first.values)) == {
        "ticker": "AAPL",
        "date": "1990-01-02",
        "adj_close": first.values["adj_close"],
        "adjusted_through": "2023-08-10",
    }
