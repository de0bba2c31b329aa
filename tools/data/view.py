"""The as-of view: the only way a run reads the warehouse. Every statement sees clocked tables alone."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import DataError, OutOfRange, UnknownTicker
from openoutcry.core.evidence import Evidence, Figure, Query, Series
from openoutcry.tools.data import hardened, warehouse
from openoutcry.tools.data.closes import Bars, Prices
from openoutcry.tools.data.rows import DATASETS, clocked
from openoutcry.tools.data.sandbox import Sandbox, SandboxRows
from openoutcry.tools.data.table import Rows, hash_of
from openoutcry.tools.figures import periods, sessions

_PRICES = "date, close, adj_close, adjusted_through, known_at"
GRACE_DAYS = 7
KEPT_VIEWS = 8


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
        found = View(self, as_of).sql(query.sql).sha256 if query.sandboxed else hash_of(self.rows(query.sql, []))
        return "the same rows" if found == query.sha256 else f"other rows, SHA-256 {found}"

    def close(self) -> None:
        """Release the snapshot and any worker."""
        if "sandbox" in self.__dict__:
            self.sandbox.close()
        self._connection.close()


class View:
    """The tables as known at one moment. Holds no way to reach a later row. Safe to share between threads.

    `pace` is how many periods a year its series have (None where that is not known), and `names_given` the
    names of a person's own series, which need not look like tickers.
    """

    pace: float | None = 252
    names_given: tuple[str, ...] | None = None

    def __init__(self, source: Warehouse | None, as_of: AsOf, snapshot: str = "") -> None:
        self.as_of = as_of
        self.snapshot = source.snapshot if source else snapshot
        self._warehouse = source
        self._prices: dict[str, Prices] = {}
        self._many: dict[tuple[str, ...], list[Prices]] = {}
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
        return Rows.of(self._source.rows(statement, parameters), statement, parameters)

    def evidence(
        self,
        figures: Mapping[str, Figure],
        rows: Sequence[Rows] = (),
        *,
        conventions: Mapping[str, str] | None = None,
        missing: Sequence[str] = (),
        items: Sequence[str] = (),
        series: Mapping[str, Series] | None = None,
    ) -> Evidence:
        """Evidence made from these rows: their statements, hashes and newest `known_at` go with it.

        `tools.tool` writes in which tool made it and what it was asked.
        """
        distinct = {id(r): r for r in rows}.values()
        known = [r.known_at for r in distinct if r.known_at is not None]
        return Evidence(
            tool="",
            arguments={},
            as_of="" if self is NO_DATA else str(self.as_of),
            known_at=max(known, default=None),
            figures=figures,
            items=tuple(items),
            conventions=conventions or {},
            queries=tuple(r.query for r in distinct),
            missing=tuple(missing),
            series=series or {},
        )

    def span(self, length: int) -> Figure:
        """How many periods of the series: trading days where it has 252 a year."""
        return sessions(length) if self.pace == 252 else periods(length)

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

    def prices_of(self, tickers: Sequence[str]) -> list[Prices]:
        """The closes of several tickers, in this order, read by one statement. Raises as `prices` does."""
        wanted = tuple(dict.fromkeys(tickers))
        with self._lock:
            if wanted not in self._many:
                self._many[wanted] = self._load_many(wanted)
            found = dict(zip(wanted, self._many[wanted], strict=True))
        return [found[t] for t in tickers]

    def bars(self, ticker: str) -> Bars:
        """A ticker's closes with open, high, low and volume. Raises as `prices` does.

        Where the closes are adjusted and the closes as traded are known, the others are adjusted alike.
        """
        closes = self.prices(ticker)
        rows = self.query(
            "SELECT date, open, high, low, close, adj_close, volume, known_at FROM prices WHERE ticker = ? "
            "ORDER BY date",
            [ticker],
        )
        return Bars.of(closes, rows)

    def _load(self, ticker: str) -> Prices:
        rows = self.query(f"SELECT {_PRICES} FROM prices WHERE ticker = ? ORDER BY date", [ticker])
        if not len(rows):
            raise self._unknown(ticker)
        return Prices.of(ticker, rows)

    def _load_many(self, tickers: Sequence[str]) -> list[Prices]:
        marks = ", ".join("?" * len(tickers)) or "NULL"
        rows = self.query(
            f"SELECT ticker, {_PRICES} FROM prices WHERE ticker IN ({marks}) ORDER BY ticker, date", list(tickers)
        )
        names = np.asarray(rows.columns["ticker"], dtype=str)
        starts, ends = np.searchsorted(names, tickers, "left"), np.searchsorted(names, tickers, "right")
        if none := [t for t, a, b in zip(tickers, starts, ends, strict=True) if a == b]:
            raise self._unknown(", ".join(none))
        return [Prices.of(t, rows, slice(a, b)) for t, a, b in zip(tickers, starts, ends, strict=True)]

    def _unknown(self, ticker: str) -> UnknownTicker:
        return UnknownTicker(f"no price of {ticker} is known by {self.as_of}; check the ticker and the as-of")


NO_DATA = View.detached(AsOf.parse("1970-01-01"), "")
"""The view of a calculator that is asked for itself and not within a run: no data, no as-of."""
