"""One clock: no tool's answer at a moment depends on a row that was not known by then."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import openoutcry.tools
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import DataError, OutOfRange, UnknownTicker
from openoutcry.core.evidence import Evidence, Query
from openoutcry.tools import catalogue
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.prices import price_summary
from openoutcry.tools.query import sql
from openoutcry.tools.risk import value_at_risk
from openoutcry.tools.tool import reads_data

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]
Answers = Callable[[View, str, str], dict[str, Evidence | str]]

NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = datetime(2020, 6, 1, 12, tzinfo=UTC), datetime(2021, 5, 5, 12, tzinfo=UTC)


def utc(moment: str) -> datetime:
    """A stored moment, written apart from the code under test: a bare date is its last second in New York."""
    if len(moment) == 10:
        moment += "T23:59:59"
    read = datetime.fromisoformat(moment)
    return (read if read.tzinfo else read.replace(tzinfo=NEW_YORK)).astimezone(UTC)


def known(table: str, row: Row) -> datetime:
    """When the row could be known."""
    for name in ("known_at", "filed", "published"):
        if row.get(name):
            return utc(str(row[name]))
    if table == "prices":
        day = date.fromisoformat(str(row["date"]))
        return datetime.combine(day, time(16), NEW_YORK).astimezone(UTC)
    return utc(str(row["date"]))


def kept(tables: dict[str, list[Row]], by: datetime) -> dict[str, list[Row]]:
    return {name: [row for row in rows if known(name, row) <= by] for name, rows in tables.items()}


def quarters(ticker: str) -> Iterator[Row]:
    ends = ("2019-09-30", "2019-12-31", "2020-03-31", "2020-06-30", "2020-09-30", "2020-12-31", "2021-03-31")
    for i, end in enumerate(ends):
        filed = (date.fromisoformat(end) + timedelta(40)).isoformat()
        facts = {"revenue": 100.0 + 7 * i, "net_income": 9.0 + i, "eps_diluted": 0.09 + i / 100, "shares_diluted": 100}
        row = {"ticker": ticker, "fiscal_period": f"2020Q{i % 4 + 1}", "period_end": end}
        yield row | {"filed": filed} | facts
        if i % 2:
            restated = (date.fromisoformat(end) + timedelta(75)).isoformat() + "T08:30:00"
            yield row | {"filed": restated, "net_income": 5.0 + i, "revenue": 90.0 + 7 * i}


def years(ticker: str) -> Iterator[Row]:
    """Three fiscal years, whose last day is also a quarter's, each restated a while after."""
    for i, year in enumerate((2018, 2019, 2020)):
        end = date(year, 12, 31)
        stocks = {"total_assets": 900.0 + 40 * i, "total_liabilities": 500.0 + 9 * i, "total_equity": 400.0 + 31 * i}
        parts = {"current_assets": 300.0 + 20 * i, "receivables": 80.0 + 3 * i, "property_plant_equipment": 250.0 + i}
        owed = {"current_liabilities": 200.0 - 4 * i, "long_term_debt": 150.0 - 10 * i, "retained_earnings": 90.0 + i}
        flows = {"revenue": 430.0 + 30 * i, "cost_of_revenue": 260.0 + 11 * i, "selling_general_admin": 50.0 + 2 * i}
        more = {"depreciation": 30.0 + i, "operating_income": 60.0 + 5 * i, "pretax_income": 55.0 + 4 * i}
        last = {"net_income": 40.0 + 6 * i, "operating_cash_flow": 70.0 + 5 * i, "shares_outstanding": 100.0 + i % 2}
        row = {"ticker": ticker, "fiscal_period": f"{year}FY", "period_end": end, "filed": end + timedelta(50)}
        yield row | stocks | parts | owed | flows | more | last
        yield row | {"filed": end + timedelta(100), "net_income": 33.0 + 4 * i, "revenue": 401.0 + 21 * i}


@pytest.fixture(scope="module")
def tables(price_rows: Rows) -> dict[str, list[Row]]:
    """Prices, some of them restated later; filings and restatements; documents; a book that changes."""
    prices: list[Row] = []
    for ticker, pace in (("AAA", 7), ("BBB", 11)):
        closes = [100 + (i * pace) % 23 + i / 9 for i in range(400)]
        bars = [{"open": c + 1, "high": c * 1.03, "low": c * 0.96, "volume": 900 + i} for i, c in enumerate(closes)]
        rows: list[Row] = [row | bar for row, bar in zip(price_rows(ticker, closes), bars, strict=True)]
        late = [
            row | {"close": float(row["close"]) * 1.1, "known_at": f"{row['date'] + timedelta(30 + i % 50)}T09:00:00"}
            for i, row in enumerate(rows[::9])
        ]
        prices += [row | {"known_at": ""} for row in rows] + late
    kinds, words = ("news", "filing", "release"), ("profit up", "a profit warning", "warning", "nothing")
    documents = [
        {
            "ticker": ("AAA", "BBB", "*")[i % 3],
            "published": (datetime(2020, 2, 1, 13, 7) + timedelta(hours=61 * i)).isoformat(),  # noqa: DTZ001
            "kind": kinds[i % 3],
            "source": f"wire {i % 4}",
            "title": f"Story {i}",
            "body": words[i % 4],
        }
        for i in range(200)
    ]
    days = [row["date"] for row in price_rows("AAA", [1.0] * 400)][5::20]
    positions = [
        {"date": day, "ticker": ticker, "quantity": (i + 1) * (10 if ticker == "AAA" else -4), "known_at": late}
        for i, day in enumerate(days)
        for ticker, late in (("AAA", ""), ("BBB", f"{day + timedelta(6)}T10:00:00"))
    ]
    return {
        "prices": prices,
        "fundamentals": [row for t in ("AAA", "BBB") for row in (*quarters(t), *years(t))],
        "documents": documents,
        "positions": positions,
    }


@pytest.fixture(scope="module")
def whole(make_home: MakeHome, tables: dict[str, list[Row]]) -> Path:
    return make_home(**tables)


def test_every_tool_is_among_those_tried(tools: dict[str, Any]) -> None:
    found: set[str] = set()
    for module in pkgutil.iter_modules(openoutcry.tools.__path__):
        room = importlib.import_module(f"openoutcry.tools.{module.name}")
        for name, function in inspect.getmembers(room, inspect.isfunction):
            own = function.__module__ == room.__name__ and not name.startswith("_")
            if own and get_type_hints(function).get("return") is Evidence:
                found.add(name)
    listed = {name for topic in catalogue.by_topic().values() for name in topic}
    # The coordinator's view, a part of `read_documents`, and what calls a tool or writes its name into evidence.
    assert found - listed == {"combine_views", "document_tone", "stamped", "call", "charted"}
    read = {name for name in listed if reads_data(catalogue.named(name))}
    # `sql` needs more than a view: it has tests of its own.
    assert read - {"sql"} | {"combine_views"} == {name.split()[0] for name in tools}


def test_every_tool_answers_at_the_end(whole: Path, view_of: ViewOf, answers: Answers) -> None:
    said = answers(view_of(whole), "AAA", "BBB")
    assert [answer for answer in said.values() if isinstance(answer, str)] == []


@pytest.fixture(scope="module")
def until(make_home: MakeHome, tables: dict[str, list[Row]]) -> Callable[[datetime], Path]:
    """A warehouse that ends at a moment: the rows known by then, and no other."""

    def make(by: datetime) -> Path:
        past = kept(tables, by)
        assert all(len(past[name]) < len(rows) for name, rows in tables.items())
        return make_home(**past)

    return make


@settings(max_examples=12)
@given(by=st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)))
@example(by=datetime(2020, 8, 10, 3, 59, 59))  # noqa: DTZ001  # the last second of a filing day in New York
@example(by=datetime(2020, 8, 10, 3, 59, 58))  # noqa: DTZ001  # and the second before
def test_the_future_changes_no_answer(
    whole: Path, until: Callable[[datetime], Path], view_of: ViewOf, answers: Answers, by: datetime
) -> None:
    """Every tool says the same over all rows as over a warehouse that ends at the as-of."""
    by = by.replace(microsecond=0, tzinfo=UTC)
    with_future = view_of(whole, by.isoformat())
    without = view_of(until(by), by.isoformat())
    assert with_future.snapshot != without.snapshot
    first, second = (answers(view, "AAA", "BBB") for view in (with_future, without))
    assert first == second
    for answer in first.values():
        if isinstance(answer, Evidence):
            assert answer.known_at is not None
            assert answer.known_at <= by.replace(tzinfo=None)
    assert with_future.tickers == without.tickers == ("AAA", "BBB")


def test_a_model_s_own_sql_sees_no_future(whole: Path, tables: dict[str, list[Row]], view_of: ViewOf) -> None:
    by = "2020-10-15"
    past = kept(tables, utc(by))
    view = view_of(whole, by)
    for table, rows in past.items():
        keys = {"prices": ("ticker", "date"), "positions": ("ticker", "date"), "documents": ("title",)}.get(table)
        facts = len({tuple(str(row[k]) for k in keys) for row in rows}) if keys else None
        evidence = sql(view, f"SELECT count(*), max(known_at) FROM {table}")
        newest = datetime.fromisoformat(str(evidence.figures["c2_1"].value))
        assert newest == max(known(table, row) for row in rows).replace(tzinfo=None)
        if facts is not None:
            assert evidence.value("c1_1") == facts


@pytest.mark.parametrize("day", ["2020-03-06", "2020-03-09", "2020-10-30", "2020-11-02"])
def test_a_close_is_known_at_four_in_new_york(make_home: MakeHome, price_rows: Rows, view_of: ViewOf, day: str) -> None:
    """On both sides of both changes of the clocks (8 March and 1 November 2020)."""
    rows = price_rows("AAA", [1.0 + i for i in range(300)], start="2019-12-02")
    home = make_home(prices=rows)
    today = next(float(row["close"]) for row in rows if row["date"].isoformat() == day)
    closes = {t: view_of(home, f"{day}T{t}").prices("AAA").values[-1] for t in ("15:00", "15:59:59", "16:00", "23:00")}
    assert closes == {"15:00": today - 1, "15:59:59": today - 1, "16:00": today, "23:00": today}
    assert view_of(home, day).prices("AAA").values[-1] == today


def test_a_restated_price_counts_from_its_known_at(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    rows = price_rows("AAA", [10.0] * 40)
    day = rows[5]["date"].isoformat()
    home = make_home(prices=[*rows, rows[5] | {"close": 99.0, "adj_close": 99.0, "known_at": "2020-02-03T10:00:00"}])
    for as_of, high in (("2020-02-03T09:59:59", 10.0), ("2020-02-03T10:00:00", 99.0)):
        prices = view_of(home, as_of).prices("AAA")
        assert prices.values.max() == high
        assert sum(d.isoformat() == day for d in prices.rows.days("date")) == 1


def test_an_as_of_outside_the_data_is_told_so(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    home = make_home(prices=price_rows("AAA", [10.0] * 10, start="2020-03-02"))  # to 2020-03-13
    with pytest.raises(OutOfRange, match=r"as-of 2020-03-01 is before the data begins on 2020-03-02; choose a later"):
        view_of(home, "2020-03-01")
    with pytest.raises(OutOfRange, match=r"as-of 2020-03-21 is after the data ends on 2020-03-13; choose that day or"):
        view_of(home, "2020-03-21")
    assert view_of(home, "2020-03-20").prices("AAA").last_date() == date(2020, 3, 13)
    assert str(view_of(home).as_of) == "2020-03-13"
    with pytest.raises(OutOfRange):
        view_of(home, "2020-03-02T15:59:59")


def test_a_warehouse_without_prices_or_documents_says_so(make_home: MakeHome, view_of: ViewOf) -> None:
    home = make_home(positions=[{"date": "2020-01-01", "ticker": "AAA", "quantity": 1}])
    with pytest.raises(DataError, match="holds no prices and no documents: ingest some first"):
        view_of(home)


def test_a_replayed_view_reads_nothing() -> None:
    view = View.detached(AsOf.parse("2020-01-01"), "abc")
    assert view.snapshot == "abc"
    with pytest.raises(DataError, match="replayed from its record and reads no data"):
        price_summary(view, "AAA")


def test_a_recorded_statement_gives_the_same_rows_again(sample_home: Path, whole: Path, answers: Answers) -> None:
    """Also at another home, and after the rows came in another order; not where the data differ."""
    source, sample = Warehouse.open(whole), Warehouse.open(sample_home)
    try:
        as_of = AsOf.parse("2021-02-01")
        ran: list[Query] = []
        for answer in answers(source.view(as_of), "AAA", "BBB").values():
            ran += answer.queries if isinstance(answer, Evidence) else ()
        ran += sql(source.view(as_of), "SELECT ticker, avg(close) FROM prices GROUP BY 1 ORDER BY 1").queries
        assert len(ran) > 20
        assert {source.again(query, as_of) for query in ran} == {"the same rows"}
        assert all(query.rows > 0 for query in ran)
        assert {sample.again(query, as_of)[:10] for query in ran if "'AAA'" in query.sql} == {"other rows"}
    finally:
        source.close()
        sample.close()


@pytest.mark.parametrize(
    "cells",
    [
        ("NULL::VARCHAR", "chr(63)", "'None'", "''"),
        ("NULL::DOUBLE", "0::DOUBLE", "1e20::DOUBLE"),
        ("NULL::DATE", "DATE '1970-01-01'"),
    ],
)
def test_hashes_tell_missing_from_every_value(view_of: ViewOf, sample_home: Path, cells: tuple[str, ...]) -> None:
    view = view_of(sample_home)
    found = {view.query(f"SELECT {cell} AS x FROM companies").query.sha256 for cell in cells}
    assert len(found) == len(cells)


def test_missing_cells_come_as_none(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    rows = price_rows("AAA", [10.0] * 3, open="", adjusted_through="")
    rows[1] |= {"open": 9.5, "adjusted_through": "2020-06-01"}
    view = view_of(make_home(prices=rows))
    found = view.query("SELECT open, adjusted_through, source, known_at FROM prices ORDER BY date")
    assert found.cells("open") == [None, 9.5, None]
    assert found.cells("adjusted_through") == [None, datetime(2020, 6, 1), None]  # noqa: DTZ001
    assert None not in found.cells("source")
    assert view.prices("AAA").adjusted_through is None


def test_an_as_of_prints_as_it_was_given(sample_home: Path, view_of: ViewOf) -> None:
    for as_of in ("2021-06-30", "2021-06-30T10:00:00"):
        evidence = value_at_risk(view_of(sample_home, as_of), "AAPL")
        assert evidence.as_of == as_of
        again = value_at_risk(view_of(sample_home, evidence.as_of), "AAPL")
        assert again == evidence


def test_a_ticker_of_the_future_is_unknown(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    rows = [*price_rows("AAA", [1.0, 2.0] * 30), *price_rows("ZZZ", [1.0, 2.0] * 30, start="2020-02-10")]
    home = make_home(prices=rows)
    view = view_of(home, "2020-02-07")
    assert view.tickers == ("AAA",)
    with pytest.raises(UnknownTicker, match="no price of ZZZ is known by 2020-02-07"):
        view.prices("ZZZ")


ALLOWED = {
    ("rows.py", "clocked"),  # the gate
    ("warehouse.py", "_create"),
    ("warehouse.py", "digest"),
    ("ingest.py", "_insert"),  # adds rows to the next snapshot
    ("view.py", "bounds"),  # first and last moment, to refuse an as-of outside
}


def functions_that_name_the_vault(path: Path) -> set[str]:
    found: set[str] = set()
    stack: list[tuple[ast.AST, str]] = [(ast.parse(path.read_text()), "module")]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = node.name
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "vault" in node.value.lower():
            found.add(inside)
        stack += [(child, inside) for child in ast.iter_child_nodes(node)]
    return found


def test_stored_rows_are_reached_through_the_clock_alone() -> None:
    sources = sorted(Path(next(iter(openoutcry.tools.__path__))).rglob("*.py"))
    assert len(sources) > 15
    found = {(path.name, name) for path in sources for name in functions_that_name_the_vault(path)}
    assert found == ALLOWED


def test_no_tool_reads_the_wall_clock() -> None:
    for path in Path(next(iter(openoutcry.tools.__path__))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")), path
