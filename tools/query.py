"""Questions to the tables: typed ones, whose SQL is ours, and SQL of a model's own, in the sandbox."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Query
from openoutcry.tools.figures import count, number, text
from openoutcry.tools.rows import DATASETS
from openoutcry.tools.view import View

Table = Literal["prices", "fundamentals", "documents", "positions", "companies"]
Column = Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
MOST = 50


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


def query(
    view: View,
    table: Table,
    columns: Annotated[list[Column], Field(min_length=1, max_length=8)],
    filters: Annotated[list[Filter], Field(max_length=8)] = [],  # noqa: B006  # read only; a model's schema wants a list
    aggregate: Aggregate | None = None,
    group_by: Annotated[list[Column], Field(max_length=3)] = [],  # noqa: B006  # as above
    order_by: Column | None = None,
    descending: bool = False,
    limit: Annotated[int, Field(ge=1, le=MOST)] = 10,
) -> Evidence:
    """Select *columns* of a table, filtered; with *aggregate*, that of each column a group.

    Each cell is a figure: `close_1` is the column close of the first row. Raises NotComputed for a column
    that the table does not show, or where no row matches.
    """
    named = [*columns, *group_by, *(f.column for f in filters), *([order_by] if order_by else [])]
    _known(table, named)
    chosen = [f"{aggregate}({c}) AS {c}" if aggregate else c for c in columns]
    selected = ", ".join([*(g for g in group_by if g not in columns), *chosen])
    where = " AND ".join(f"{f.column} {f.op} ?" for f in filters) or "true"
    order = order_by or (group_by or columns)[0]
    sql = (
        f"SELECT {selected}, {'max(known_at)' if aggregate else 'known_at'} AS known_at FROM {table} WHERE {where}"
        + (f" GROUP BY {', '.join(group_by)}" if group_by else "")
        + (f" ORDER BY {order}{' DESC' if descending else ''}" if group_by or not aggregate else "")
        + f" LIMIT {limit}"
    )
    rows = view.query(sql, [f.value for f in filters])
    names = [n for n in rows.columns if n != "known_at" or n in columns]
    if not len(rows):
        raise NotComputed(f"no row of {table} known by {view.as_of} matches")
    cells = zip(*(rows.cells(n) for n in names), strict=True)
    arguments = {
        "table": table,
        "columns": columns,
        "filters": [f.model_dump() for f in filters],
        "aggregate": aggregate,
        "group_by": group_by,
        "order_by": order_by,
        "descending": descending,
        "limit": limit,
    }
    return view.evidence("query", arguments, _cells(names, cells), [rows])


def _known(table: str, named: Iterable[str]) -> None:
    shown = DATASETS[table].public
    for name in named:
        if name not in shown:
            raise NotComputed(f"{table} has no column {name}; it has {', '.join(shown)}")


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
            value = value.isoformat()
        return text(str(value)[:64])
    return number(value)


def sql(view: View, statement: Annotated[str, Field(max_length=10_000)]) -> Evidence:
    """Run one SELECT over the tables prices, fundamentals, documents, positions and companies.

    Each cell is a figure: `c1_2` is the first column of the second row. Numbers and dates only: other
    text is left out. Raises SqlRefused for anything but a bounded, deterministic SELECT.
    """
    answer = view.sql(statement)
    names = [f"c{i}" for i in range(1, len(answer.columns) + 1)]
    cells = [[v if isinstance(v, int | float) or _plain(v) else None for v in row] for row in answer.rows]
    evidence = view.evidence(
        "sql",
        {"statement": statement},
        _cells(names, cells),
        [],
        conventions={n: c[:64] for n, c in zip(names, answer.columns, strict=True)},
        missing=["rows past the first were cut at the sandbox's bound"] if answer.truncated else [],
    )
    ran = Query(sql=statement, rows=len(answer.rows), sha256=answer.sha256)
    return evidence.model_copy(update={"queries": (ran,)})


def _plain(value: object) -> bool:
    """Whether a text cell is one of our own short names or a date, not prose."""
    return isinstance(value, str) and len(value) <= 32 and value.isascii() and " " not in value.strip()
