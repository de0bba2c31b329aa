"""Questions to the tables: typed ones, whose SQL is ours, and SQL of a model's own, in the sandbox."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Query, Unit
from openoutcry.tools.arguments import LISTED
from openoutcry.tools.data.rows import DATASETS
from openoutcry.tools.data.statement import told, ungrounded
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, number, text
from openoutcry.tools.tool import tool

Table = Literal["prices", "fundamentals", "documents", "positions", "companies"]
Column = Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
MOST = 50
FILTERS = 'conditions, e.g. [{"column": "ticker", "op": "=", "value": "AAPL"}]'
DAYS = ("date", "period_end", "adjusted_through")


class Aggregate(StrEnum):
    """What to compute of a column."""

    COUNT = "count"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    SUM = "sum"
    STDDEV = "stddev_samp"


class Filter(BaseModel):
    """A condition on a column. Dates are ISO strings."""

    model_config = ConfigDict(extra="forbid")
    column: Column
    op: Literal["=", "<>", "<", "<=", ">", ">="] = "="
    value: str | float


@tool
def query(
    view: View,
    table: Table,
    columns: Annotated[list[Column], LISTED, Field(min_length=1, max_length=8, description="columns, e.g. date,close")],
    filters: Annotated[list[Filter], LISTED, Field(max_length=8, description=FILTERS)] = [],  # noqa: B006  # read only; a model's schema wants a list
    aggregate: Aggregate | None = None,
    group_by: Annotated[list[Column], LISTED, Field(max_length=3, description="columns to aggregate by")] = [],  # noqa: B006  # as above
    order_by: Annotated[Column | None, Field(description="column that orders the rows")] = None,
    descending: bool = False,
    limit: Annotated[int, Field(ge=1, le=MOST, description="most rows")] = 10,
) -> Evidence:
    """Select *columns* of a table, filtered; with *aggregate*, that of each column a group.

    Each cell is a figure: `close_1` is the column close of the first row. Rows that *order_by* leaves
    equal follow the table's key. Raises NotComputed for a column that the table does not show, columns or
    filters that do not fit together, or where no row matches.
    """
    named = [*columns, *group_by, *(f.column for f in filters), *([order_by] if order_by else [])]
    _known(table, named)
    _fitting(columns, aggregate, group_by, order_by)
    names = list(dict.fromkeys([*group_by, *columns]))
    key = ", ".join(DATASETS[table].row.key)
    # Ordered, because a parallel sum of doubles differs in its last bits from run to run.
    selected = ", ".join(
        f"{aggregate}({n} ORDER BY {key}) AS {n}" if aggregate and n not in group_by else n for n in names
    )
    newest = "" if "known_at" in names else f", {'max(known_at)' if aggregate else 'known_at'} AS known_at"
    where = " AND ".join(f"{f.column} {f.op} ?" for f in filters) or "true"
    order = f"{order_by or names[0]}{' DESC' if descending else ''}"
    ties = group_by if aggregate else [key]
    sql = (
        f"SELECT {selected}{newest} FROM {table} WHERE {where}"
        + (f" GROUP BY {', '.join(group_by)}" if group_by else "")
        + (f" ORDER BY {', '.join([order, *ties])}" if group_by or not aggregate else "")
        + f" LIMIT {limit}"
    )
    try:
        rows = view.query(sql, [f.value for f in filters])
    except duckdb.Error as error:
        raise NotComputed(f"needs filters and an aggregate that fit their columns: {told(error)}") from None
    if rows.known_at is None:
        raise NotComputed(f"no row of {table} known by {view.as_of} matches")
    cells = zip(*(_dated(n, rows.cells(n)) for n in names), strict=True)
    return view.evidence(_cells(names, cells), [rows])


def _known(table: str, named: Iterable[str]) -> None:
    shown = DATASETS[table].public
    for name in named:
        if name not in shown:
            raise NotComputed(f"{table} has no column {name}; it has {', '.join(shown)}")


def _fitting(
    columns: Sequence[str], aggregate: Aggregate | None, group_by: Sequence[str], order_by: str | None
) -> None:
    """Raise NotComputed for a question that no SELECT could answer."""
    if group_by and not aggregate:
        raise NotComputed(f"needs an aggregate to group by {', '.join(group_by)}: name one, or do not group")
    if aggregate and (twice := {*columns} & {*group_by, "known_at"}):
        raise NotComputed(f"needs other columns to aggregate than {', '.join(sorted(twice))}: name one not grouped by")
    if aggregate and order_by and order_by not in {*columns, *group_by}:
        raise NotComputed(f"needs an order by a column of the answer, got {order_by}: name one of the columns")


def _dated(name: str, cells: list[Any]) -> list[Any]:
    """The cells, with dates as dates where the column holds no times."""
    return [c.date() if isinstance(c, datetime) and name in DAYS else c for c in cells]


def _cells(names: Sequence[str], rows: Iterable[Sequence[object]]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    lines = 0
    for lines, row in enumerate(rows, 1):
        for name, value in zip(names, row, strict=True):
            if value is not None and lines <= MOST:
                figures[f"{name}_{lines}"] = _figure(value)
    return figures | {"rows": count(lines)}


def _figure(value: object) -> Figure:
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, datetime | date):
            return Figure(value=value.isoformat(), unit=Unit.DATE)
        return text(str(value)[:64])
    return number(value)


@tool
def sql(view: View, statement: Annotated[str, Field(max_length=10_000)]) -> Evidence:
    """Run one SELECT over the tables prices, fundamentals, documents, positions and companies.

    Each cell is a figure: `c1_2` is the first column of the second row. Numbers and dates only: other
    text is left out. Raises SqlRefused for anything but a bounded, deterministic SELECT, and NotComputed for
    one that reads no table or returns a constant.
    """
    answer = view.sql(statement)
    if why := ungrounded(statement, DATASETS):
        raise NotComputed(f"needs a statement whose every column comes from the tables; {why}")
    names = [f"c{i}" for i in range(1, len(answer.columns) + 1)]
    cells = [[v if isinstance(v, int | float) or _plain(v) else None for v in row] for row in answer.rows]
    evidence = view.evidence(
        _cells(names, cells),
        [],
        conventions={n: c[:64] for n, c in zip(names, answer.columns, strict=True)},
        missing=[f"rows past the first {MOST}: not shown"] if answer.truncated or len(answer.rows) > MOST else [],
    )
    ran = Query(sql=statement, rows=len(answer.rows), sha256=answer.sha256, sandboxed=True)
    return evidence.model_copy(update={"queries": (ran,)})


def _plain(value: object) -> bool:
    """Whether a text cell is one of our own short names or a date, not prose."""
    return isinstance(value, str) and len(value) <= 32 and value.isascii() and " " not in value.strip()
