"""The as-of view: the only way a run reads the warehouse. Every statement sees clocked tables alone."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import DataError, NotComputed, OutOfRange, UnknownTicker
from openoutcry.core.evidence import Evidence, Figure, Query, Series
from openoutcry.tools import hardened, warehouse
from openoutcry.tools.rows import DATASETS, clocked
from openoutcry.tools.sandbox import Sandbox, SandboxRows

GRACE_DAYS = 7
KEPT_VIEWS = 8


@dataclass(frozen=True, slots=True)
class Rows:
    """What a statement returned, by column, and the record of it."""

    columns: Mapping[str, NDArray[Any]]
    query: Query
    known_at: datetime | None

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


@dataclass(frozen=True, slots=True)
class Prices:
    """One ticker's closes, oldest first. `basis` is adj_close or close; `values` are positive USD.

    `traded` holds the closes as traded where every session has one.
    """

    ticker: str
    dates: NDArray[np.datetime64]
    values: NDArray[np.float64]
    basis: str
    traded: NDArray[np.float64] | None
    adjusted_through: date | None
    rows: Rows

    def last_date(self) -> date:
        """The session of the newest close."""
        return _day(self.dates[-1])

    def returns(self, window: int, needed: int = 2) -> NDArray[np.float64]:
        """The last *window* daily simple returns. Raises NotComputed with fewer than *needed*."""
        values = self.values[-(window + 1) :]
        if len(values) - 1 < needed:
            raise NotComputed(
                f"needs at least {needed} daily returns; {self.ticker} has {max(len(values) - 1, 0)} known by then"
            )
        return values[1:] / values[:-1] - 1.0

    def horizon_returns(self, window: int, horizon: int, needed: int = 2) -> NDArray[np.float64]:
        """Overlapping simple returns over *horizon* sessions within the last *window* + 1 closes."""
        values = self.values[-(window + 1) :]
        if len(values) - horizon < needed:
            raise NotComputed(
                f"needs at least {needed} overlapping {horizon}-session returns; "
                f"{self.ticker} has {max(len(values) - horizon, 0)} in its last {window} sessions known by then"
            )
        return values[horizon:] / values[:-horizon] - 1.0


def _day(value: Any) -> date:
    return value.astype("datetime64[D]").item()


class Warehouse:
    """One snapshot, opened for reading. Safe to share between threads and runs."""

    def __init__(self, path: Path) -> None:
        self.snapshot = path.stem
        self._path = path
        try:
            self._connection = hardened.connect(path, limits=None)
        except duckdb.Error:
            raise warehouse.damaged(path) from None
        self._lock = threading.Lock()
        self._views: dict[AsOf, View] = {}

    @classmethod
    def open(cls, home: Path) -> "Warehouse":
        """Open the snapshot in force. Raises EmptyWarehouse or DataError."""
        return cls(warehouse.current(home))

    @cached_property
    def sandbox(self) -> Sandbox:
        """Where statements written by a model run."""
        return Sandbox(self._path)

    @cached_property
    def bounds(self) -> tuple[datetime, datetime] | None:
        """The first and last moment at which a price or document became known, in UTC; None if empty."""
        spans = " UNION ALL ".join(
            f"SELECT min(known_at) a, max(known_at) b FROM vault.{t}" for t in ("prices", "documents")
        )
        found = self._connection.cursor().execute(f"SELECT min(a), max(b) FROM ({spans})").fetchone()
        return found if found and found[0] else None

    def view(self, as_of: AsOf | None = None) -> "View":
        """The warehouse as known at *as_of* (default: at its newest row).

        Raises OutOfRange for an as-of before the data begins or more than a week after it ends.
        """
        if self.bounds is None:
            raise DataError("the warehouse holds no prices and no documents: ingest some first")
        first, last = (AsOf.parse(b.isoformat() + "+00:00") for b in self.bounds)
        as_of = as_of or AsOf.parse(last.date)
        if as_of < first:
            raise OutOfRange(f"as-of {as_of} is before the data begins on {first.date}; choose a later one")
        if (as_of.date - last.date).days > GRACE_DAYS:
            raise OutOfRange(
                f"as-of {as_of} is after the data ends on {last.date}; choose that day or ingest newer data"
            )
        with self._lock:
            if as_of not in self._views:
                while len(self._views) >= KEPT_VIEWS:
                    self._views.pop(next(iter(self._views)))
                self._views[as_of] = View(self, as_of)
            return self._views[as_of]

    def rows(self, sql: str, parameters: Sequence[object]) -> Mapping[str, NDArray[Any]]:
        """Run our own statement on a cursor of its own."""
        with self._lock:
            cursor = self._connection.cursor()
        try:
            return cast("Mapping[str, NDArray[Any]]", cursor.execute(sql, parameters).fetchnumpy())
        finally:
            cursor.close()

    def again(self, query: Query, as_of: AsOf) -> str:
        """Run a recorded statement once more and say whether it gives the same rows."""
        if query.sql.startswith("WITH ") and "vault." in query.sql:
            found = hash_of(self.rows(query.sql, []))
        else:
            found = View(self, as_of).sql(query.sql).sha256
        return "the same rows" if found == query.sha256 else f"other rows, SHA-256 {found}"

    def close(self) -> None:
        """Release the snapshot and any worker."""
        if "sandbox" in self.__dict__:
            self.sandbox.close()
        self._connection.close()


class View:
    """The tables as known at one moment. Holds no way to reach a later row. Safe to share between threads."""

    def __init__(self, source: Warehouse | None, as_of: AsOf, snapshot: str = "") -> None:
        self.as_of = as_of
        self.snapshot = source.snapshot if source else snapshot
        self._warehouse = source
        self._prices: dict[str, Prices] = {}
        self._lock = threading.Lock()

    @classmethod
    def detached(cls, as_of: AsOf, snapshot: str) -> "View":
        """A view over nothing, for a replay: any read of data is an error."""
        return cls(None, as_of, snapshot)

    @property
    def _source(self) -> Warehouse:
        if self._warehouse is None:
            raise DataError("this run is replayed from its record and reads no data")
        return self._warehouse

    def query(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """Run our own statement over clocked tables; select `known_at` to have the newest one recorded."""
        used = [name for name in DATASETS if name in sql]
        gates = ", ".join(f"{name} AS ({clocked(name, self.as_of)})" for name in used)
        statement = f"WITH {gates} {sql}"
        columns = self._source.rows(statement, parameters)
        count = len(next(iter(columns.values())))
        shown = _inlined(statement, parameters)
        return Rows(columns, Query(sql=shown, rows=count, sha256=hash_of(columns)), _newest(columns.get("known_at")))

    def evidence(
        self,
        tool: str,
        arguments: Mapping[str, object],
        figures: Mapping[str, Figure],
        rows: Sequence[Rows],
        *,
        conventions: Mapping[str, str] | None = None,
        missing: Sequence[str] = (),
        items: Sequence[str] = (),
        series: Mapping[str, Series] | None = None,
    ) -> Evidence:
        """Evidence made from these rows: their statements, hashes and newest `known_at` go with it."""
        known = [r.known_at for r in rows if r.known_at is not None]
        return Evidence(
            tool=tool,
            arguments=dict(arguments),
            as_of=str(self.as_of),
            known_at=max(known, default=None),
            figures=figures,
            items=tuple(items),
            conventions=conventions or {},
            queries=tuple(r.query for r in rows),
            missing=tuple(missing),
            series=series or {},
        )

    def sql(self, statement: str) -> SandboxRows:
        """Run a statement that a model wrote, in the sandbox, over the public columns. Raises SqlRefused."""
        views = {name: clocked(name, self.as_of, d.public) for name, d in DATASETS.items()}
        return self._source.sandbox.run(statement, views)

    @cached_property
    def tickers(self) -> tuple[str, ...]:
        """The tickers with a price known by now, sorted."""
        return tuple(self.query("SELECT DISTINCT ticker FROM prices ORDER BY ticker").cells("ticker"))

    @cached_property
    def names(self) -> dict[str, str]:
        """Company names by ticker."""
        rows = self.query("SELECT ticker, name FROM companies ORDER BY ticker")
        return dict(zip(rows.cells("ticker"), rows.cells("name"), strict=True))

    def prices(self, ticker: str) -> Prices:
        """A ticker's closes: adj_close where every row has it, else close. Raises UnknownTicker, NotComputed."""
        with self._lock:
            if ticker not in self._prices:
                self._prices[ticker] = self._load(ticker)
            return self._prices[ticker]

    def _load(self, ticker: str) -> Prices:
        rows = self.query(
            "SELECT date, close, adj_close, adjusted_through, known_at FROM prices WHERE ticker = ? ORDER BY date",
            [ticker],
        )
        if not len(rows):
            raise UnknownTicker(f"no price of {ticker} is known by {self.as_of}; check the ticker and the as-of")
        adjusted, traded = (_complete(rows.columns[c]) for c in ("adj_close", "close"))
        values = traded if adjusted is None else adjusted
        if values is None:
            raise NotComputed(f"needs adj_close, or close, on every session of {ticker}; some rows lack both or one")
        through = rows.cells("adjusted_through")[-1]
        return Prices(
            ticker,
            rows.columns["date"],
            values,
            "close" if adjusted is None else "adj_close",
            traded,
            None if through is None else date.fromisoformat(str(through)[:10]),
            rows,
        )


def _newest(moments: NDArray[Any] | None) -> datetime | None:
    known: Any = np.ma.asarray([] if moments is None else moments).compressed()
    return known.max().astype("datetime64[us]").item() if len(known) else None


def _plain(column: NDArray[Any]) -> list[Any]:
    """The cells of a column; missing is None, which `MaskedArray.filled(None)` would not give."""
    cells, hidden = np.ma.getdata(column).tolist(), np.ma.getmaskarray(column).tolist()
    return [None if missing else cell for cell, missing in zip(cells, hidden, strict=True)]


def _complete(column: NDArray[Any]) -> NDArray[np.float64] | None:
    """The column as floats, or None where a cell is missing."""
    values = np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)
    return None if np.isnan(values).any() else values


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
