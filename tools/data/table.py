"""What one of our own statements returned: columns, the record of the statement, and a hash of its rows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.evidence import Query


@dataclass(frozen=True, slots=True)
class Rows:
    """What a statement returned, by column, and the record of it."""

    columns: Mapping[str, NDArray[Any]]
    query: Query
    known_at: datetime | None

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]], sql: str, parameters: Sequence[object]) -> Self:
        """Keep the columns with the statement, its values written in, and the newest `known_at` among them."""
        count = len(next(iter(columns.values())))
        query = Query(sql=_inlined(sql, parameters), rows=count, sha256=hash_of(columns))
        return cls(columns, query, _newest(columns.get("known_at")))

    def __len__(self) -> int:
        return self.query.rows

    def days(self, name: str) -> list[date]:
        """A column of dates; none may be missing."""
        return self.columns[name].astype("datetime64[D]").tolist()

    def moments(self, name: str) -> list[datetime]:
        """A column of moments, UTC without zone; none may be missing."""
        return self.columns[name].astype("datetime64[us]").tolist()

    def cells(self, name: str) -> list[Any]:
        """A column as plain Python values; missing is None."""
        return _plain(self.columns[name])


def _newest(moments: NDArray[Any] | None) -> datetime | None:
    known: Any = np.ma.asarray([] if moments is None else moments).compressed()
    return known.max().astype("datetime64[us]").item() if len(known) else None


def _plain(column: NDArray[Any]) -> list[Any]:
    """The cells of a column; missing is None, which `MaskedArray.filled(None)` would not give."""
    cells, hidden = np.ma.getdata(column).tolist(), np.ma.getmaskarray(column).tolist()
    return [None if missing else cell for cell, missing in zip(cells, hidden, strict=True)]


def _inlined(sql: str, parameters: Sequence[object]) -> str:
    """The statement with its values written in, so that it can be run again as shown."""
    parts = sql.split("?")
    values = [str(p) if isinstance(p, int | float) else "'" + str(p).replace("'", "''") + "'" for p in parameters]
    return "".join(a + b for a, b in zip(parts, [*values, ""], strict=True))


def hash_of(columns: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over column names and cells, in order; equal on any machine for equal rows."""
    hasher = hashlib.sha256()
    for name, column in columns.items():
        hasher.update(name.encode())
        if column.dtype == object:
            hasher.update("\x1f".join(map(repr, _plain(column))).encode())
        else:
            hasher.update(np.ma.getmaskarray(column).tobytes())
            hasher.update(np.ma.filled(np.ma.asarray(column), 0).tobytes())
    return hasher.hexdigest()
