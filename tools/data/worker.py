"""A process that runs one statement over one snapshot within hard bounds, answers, and ends.

It says READY on its standard output, once its bounds stand; reads one JSON request from its standard input:
`snapshot`, `views`, `sql`, `max_rows`, `max_bytes`; and writes one JSON answer to its standard output: either
`columns`, `rows`, `truncated`, or `refused` alone.
A request that never comes, because the parent closed its end or died, ends it too.
"""

import json
import math
import os
import resource
import sys
from decimal import Decimal
from pathlib import Path
from typing import TypedDict, cast

import duckdb

from openoutcry.core.errors import SqlRefused
from openoutcry.tools.data.hardened import Limits, connect
from openoutcry.tools.data.sandbox import READY
from openoutcry.tools.data.statement import Gate, told

_BOUNDS = (
    (resource.RLIMIT_AS, 2 << 30, 2 << 30),
    (resource.RLIMIT_FSIZE, 0, 0),
    (resource.RLIMIT_CPU, 10, 11),  # the first is a signal that can be told from a kill
    (resource.RLIMIT_NOFILE, 32, 32),
    (resource.RLIMIT_CORE, 0, 0),
)
# Read as they are; DuckDB writes every other type as text, which needs no Python module and loses nothing.
_AS_THEY_ARE = frozenset(
    {
        *("boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double", "decimal"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint", "varchar", "null"),
    }
)

_ANSWER = "the answer"


class Request(TypedDict):
    """What the parent asks for."""

    snapshot: str
    views: dict[str, str]
    sql: str
    max_rows: int
    max_bytes: int


def main() -> None:
    """Serve one request; the process ends without any clean-up, for it owns nothing."""
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing but READY and the answer may reach the parent
    for which, soft, hard in _BOUNDS:
        resource.setrlimit(which, (soft, hard))
    gate = Gate()
    _write(answers, READY)
    text = sys.stdin.buffer.read()
    if text:
        _write(answers, json.dumps(answer(gate, cast(Request, json.loads(text)))).encode())
    os._exit(0)


def answer(gate: Gate, request: Request) -> dict[str, object]:
    """Check and run the request's statement; whatever goes wrong comes back as `refused`."""
    try:
        gate.check(request["sql"], request["views"])
        return _rows(request)
    except SqlRefused as error:
        return {"refused": str(error)}
    except (duckdb.OutOfMemoryException, MemoryError):
        return {"refused": "The statement ran out of memory: filter or aggregate earlier."}
    except duckdb.InterruptException:
        return {"refused": f"The statement ran past {Limits().milliseconds} ms: read fewer rows."}
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        return {"refused": f"Expected a statement that fits the tables; {told(error)}: correct it."}
    except Exception as error:
        # Not its text: an error met while reading may quote a row that the views leave out.
        return {"refused": f"The statement failed while it ran ({type(error).__name__}): check its casts."}


def _rows(request: Request) -> dict[str, object]:
    most, views = request["max_rows"], request["views"]
    with connect(Path(request["snapshot"]), views=views, limits=Limits()) as connection:
        # As a view, the statement is parsed whole: a query pasted in brackets could end outside them.
        connection.execute(f'CREATE TEMP VIEW "{_ANSWER}" AS {request["sql"]}')
        relation = connection.view(_ANSWER)
        columns = relation.columns
        shown = ", ".join(_shown(place, kind.id) for place, kind in enumerate(relation.types, start=1))
        found = relation.project(shown).limit(most + 1).fetchall()
    rows = [[_plain(value) for value in row] for row in found[:most]]
    if sum(len(json.dumps(row)) for row in rows) > request["max_bytes"]:
        raise SqlRefused(f"Expected an answer of {request['max_bytes']:,} bytes; came more: select less.")
    return {"columns": columns, "rows": rows, "truncated": len(found) > most}


def _shown(place: int, kind: str) -> str:
    """Return the SQL that reads the column at *place*: blobs in hex, instants in ISO 8601, nested as text."""
    if kind in _AS_THEY_ARE:
        return f"#{place}"
    if kind == "blob":
        return f"hex(#{place})"
    text = f"CAST(#{place} AS VARCHAR)"
    return f"replace({text}, ' ', 'T')" if kind.startswith("timestamp") else text


def _plain(value: object) -> object:
    """Return *value* as JSON can carry it; NaN and the infinities become null."""
    number = float(value) if isinstance(value, Decimal) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
