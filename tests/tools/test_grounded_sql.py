"""The sql tool gives figures of the data, not of the model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import DataError, NotComputed
from openoutcry.tools.data.view import Warehouse
from openoutcry.tools.query import sql


@pytest.fixture(scope="module")
def warehouse(sample_home: Path) -> Iterator[Warehouse]:
    opened = Warehouse.open(sample_home)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 42",
        "SELECT 0.155 AS var FROM prices LIMIT 1",
        "SELECT close, 7 FROM prices",
        "SELECT x FROM (VALUES (42)) t(x)",
        "WITH made AS (SELECT 42 AS x) SELECT x FROM made, prices",
        "SELECT adj_close FROM prices UNION ALL SELECT 42 FROM prices",
        "SELECT n FROM range(3) t(n)",
        "SELECT 40 + 2 FROM prices",
    ],
)
def test_a_constant_never_comes_back_as_evidence(warehouse: Warehouse, statement: str) -> None:
    view = warehouse.view(AsOf.parse("2022-06-30"))
    with pytest.raises(NotComputed, match=r"reads no table|is a constant"):
        sql(view, statement)


def test_figures_of_the_data_come_back_with_their_statement(warehouse: Warehouse) -> None:
    view = warehouse.view(AsOf.parse("2022-06-30"))
    statement = (
        "WITH a AS (SELECT ticker, max(adj_close) AS top FROM prices GROUP BY ticker) "
        "SELECT ticker, top, top * 2, rank() OVER (ORDER BY top DESC) FROM a ORDER BY top DESC LIMIT 2"
    )
    evidence = sql(view, statement)
    assert evidence.figures["c1_1"].value == "UNH"
    assert evidence.value("c3_1") == pytest.approx(2 * evidence.value("c2_1"))
    assert evidence.value("rows") == 2
    assert evidence.queries[0].sql == statement
    assert sql(view, statement).queries == evidence.queries


def test_the_clock_holds_in_the_sandbox(warehouse: Warehouse) -> None:
    view = warehouse.view(AsOf.parse("2015-01-02"))
    evidence = sql(view, "SELECT max(date), max(known_at) FROM prices")
    assert str(evidence.figures["c1_1"].value) == "2015-01-02"
    with pytest.raises(DataError):
        sql(view, "SELECT body FROM documents")
