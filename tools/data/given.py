"""A person's own series in place of the warehouse: columns of a CSV, JSONL or Parquet file, or arrays in Python.

Every tool that takes tickers takes the columns of such a view by name. A file path is given by the person
who makes the view, never by a model.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import BadFile, NotComputed, UnknownTicker, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data import files
from openoutcry.tools.data.closes import Bars, Prices
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View

Holds = Literal["returns", "prices"]
Source = str | Path | tuple[str | Path, ...] | Mapping[str, Any] | None
BLANKS = ("", "na", "n/a", "nan", "null", "none", ".", "-", "#n/a")
BAR = ("open", "high", "low", "close")
PACES = ((4, 252), (10, 52), (45, 12), (135, 4))  # median days between rows, up to which a year holds so many


@dataclass(frozen=True, slots=True)
class _Column:
    """One series as read: NaN where a cell is blank."""

    name: str
    file: str
    dates: NDArray[np.datetime64] | None
    cells: NDArray[np.float64]


class Given(View):
    """A view over given series: each holds returns or prices, cut at *as_of* where it is dated."""

    def __init__(self, columns: Iterable[_Column], holds: Holds, as_of: AsOf | None, scale: float = 1.0) -> None:
        self._columns = {c.name: c for c in columns}
        self._holds = holds
        self._scale = scale
        days = [c.dates for c in self._columns.values() if c.dates is not None]
        self._dated = bool(days)
        newest = max((d[-1].astype("datetime64[D]").item() for d in days), default=date(1970, 1, 1))
        super().__init__(None, as_of or AsOf.parse(newest), "")
        self.names_given = tuple(self._columns)
        self.pace = _pace(days[0]) if days else None

    @classmethod
    def read(cls, paths: Iterable[Path], holds: Holds, as_of: str | None = None, *, scale: float = 1.0) -> Self:
        """Read files whose numeric columns are series, joined by their dates where they have any.

        Raises BadFile, or UsageError for two columns of one name.
        """
        columns = [c for path in paths for c in _read(path, holds)]
        if twice := {c.name for c in columns if sum(o.name == c.name for o in columns) > 1}:
            raise UsageError(f"expected each column once, found {', '.join(sorted(twice))} twice: rename one")
        return cls(columns, holds, AsOf.parse(as_of) if as_of else None, scale)

    @classmethod
    def of(
        cls,
        series: Mapping[str, Sequence[float] | NDArray[np.float64]],
        holds: Holds,
        dates: Sequence[Any] | None = None,
        as_of: str | None = None,
    ) -> Self:
        """Take arrays by name, a pandas frame among them (its index gives the dates where it holds any)."""
        index: Any = getattr(series, "index", None) if dates is None else dates
        days = None
        if index is not None and (dates is not None or str(getattr(index, "dtype", "")).startswith("datetime64")):
            days = np.asarray([str(d)[:10] for d in index], "datetime64[D]")
        columns = [_Column(str(k), "given", days, np.asarray(v, np.float64)) for k, v in series.items()]
        for column in columns:
            if days is not None and len(days) != len(column.cells):
                raise UsageError(f"expected {len(days)} values of {column.name}, one a date, got {len(column.cells)}")
        return cls(columns, holds, AsOf.parse(as_of) if as_of else None)

    @cached_property
    def tickers(self) -> tuple[str, ...]:
        """The names of the series."""
        return tuple(self._columns)

    @property
    def main(self) -> str:
        """The only series, or the close of open, high, low and close; nothing where there are several."""
        if len(self._columns) == 1 or "close" in self._columns:
            return "close" if "close" in self._columns else self.tickers[0]
        return ""

    @cached_property
    def names(self) -> dict[str, str]:
        """No company names."""
        return {}

    def query(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """There are no tables here."""
        raise NotComputed("needs the warehouse; a file of series holds no fundamentals, documents or positions")

    def prices_of(self, tickers: Sequence[str]) -> list[Prices]:
        """The series by name."""
        return [self.prices(t) for t in tickers]

    def _load(self, ticker: str) -> Prices:
        column = self._named(ticker)
        cells, dates, notes = self._whole(column)
        rows = Rows.of({ticker: cells}, f"column {ticker} of {column.file}", [])
        basis = "returns as given" if self._holds == "returns" else "prices as given"
        if self._holds == "prices":
            if (cells <= 0).any():
                raise NotComputed(f"needs prices above zero; {ticker} holds {cells.min():g}")
            return Prices(ticker, dates[1:], cells, basis, None, None, rows, None, self._dated, notes)
        changes = cells * self._scale
        good = bool((changes > -1).all())
        if (changes > 1).all():
            notes = (*notes, f"{ticker}: every value is above 100 %; if these are prices, give them as prices")
        with np.errstate(over="ignore", invalid="ignore"):
            wealth = np.concatenate([[1.0], np.cumprod(1 + changes)])
        wealth[~np.isfinite(wealth) | ~np.bool_(good)] = np.nan
        return Prices(
            ticker, dates, np.asarray(wealth, np.float64), basis, None, None, rows, changes, self._dated, notes
        )

    def bars(self, ticker: str) -> Bars:
        """Open, high, low, close of the file's columns of these names; or closes alone."""
        closes = self.prices(ticker)
        stem = ticker.rpartition(":")[0]
        names = {n: f"{stem or ticker}:{n}" for n in (*BAR[:3], "volume")}
        found = {n: self._columns.get(name) or self._columns.get(n) for n, name in names.items()}
        parts = {n: None if c is None else self._whole(c)[0] for n, c in found.items()}
        same = {n: None if v is None or len(v) != len(closes.values) else v for n, v in parts.items()}
        return Bars(closes, same["open"], same["high"], same["low"], same["volume"])

    def _named(self, ticker: str) -> _Column:
        fits = [n for n in self._columns if n.casefold() == ticker.casefold()]
        if ticker not in self._columns and len(fits) != 1:
            raise UnknownTicker(f"no column {ticker!r}; the file has {', '.join(self._columns) or 'no number columns'}")
        return self._columns[ticker if ticker in self._columns else fits[0]]

    def _whole(self, column: _Column) -> tuple[NDArray[np.float64], NDArray[np.datetime64], tuple[str, ...]]:
        """The cells from the first to the last known, one date more than cells, and what was left out.

        Raises NotComputed for a gap between: a return over it is not known.
        """
        cells, dates = column.cells, column.dates
        if dates is not None:
            cut = int(np.searchsorted(dates, np.datetime64(self.as_of.date), side="right"))
            cells, dates = cells[:cut], dates[:cut]
        known = np.flatnonzero(~np.isnan(cells))
        if not len(known):
            raise NotComputed(
                f"needs numbers; column {column.name} holds none{f' by {self.as_of}' if self._dated else ''}"
            )
        first, last = int(known[0]), int(known[-1])
        if gaps := last - first + 1 - len(known):
            row = first + int(np.flatnonzero(np.isnan(cells[first : last + 1]))[0])
            where = row + 1 if dates is None else dates[row]
            raise NotComputed(
                f"needs a series without gaps; {column.name} has {gaps} blank between its first and last number, the "
                f"first at {where}: fill or cut it"
            )
        whole = np.arange(-1, len(cells)).astype("datetime64[D]") if dates is None else _with_start(dates)
        blank = len(cells) - len(known)
        notes = (f"{column.name}: {blank} blank rows before or after its numbers, left out",) if blank else ()
        return cells[first : last + 1], whole[first : last + 2], notes

    def evidence(self, *given: Any, **named: Any) -> Evidence:
        """As of the newest date; of nothing where the series is not dated."""
        made = super().evidence(*given, **named)
        return made if self._dated else made.model_copy(update={"as_of": ""})


def given(returns: Source, prices: Source, as_of: str | None = None, scale: float = 1.0) -> Given:
    """A view over returns or over prices: a file, several, arrays by name, or a pandas frame.

    *scale* is a factor on returns from files, 0.01 for percent. Raises UsageError where both are given.
    """
    if returns is not None and prices is not None:
        raise UsageError("expected returns or prices, got both; call the tool once for each")
    holds, series = ("prices", prices) if returns is None else ("returns", returns)
    if isinstance(series, str | Path):
        return Given.read([Path(series)], holds, as_of, scale=scale)
    if isinstance(series, tuple):
        return Given.read(map(Path, series), holds, as_of, scale=scale)
    return Given.of(series or {}, holds, as_of=as_of)


def _pace(dates: NDArray[np.datetime64]) -> float:
    """Periods a year, as the dates tell."""
    gap = float(np.median(np.diff(dates).astype("timedelta64[D]").astype(float))) if len(dates) > 1 else 1.0
    return next((pace for most, pace in PACES if gap <= most), 1)


def _with_start(dates: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """The dates with one before the first, at which the first return began."""
    gap = np.diff(dates[:2])[0] if len(dates) > 1 else np.timedelta64(1, "D")
    return np.concatenate([[dates[0] - gap], dates])


def _read(path: Path, holds: Holds) -> list[_Column]:
    rows = list(files.read(path, plain_names=True))
    if broken := next((r for r in rows if r.broken), None):
        raise BadFile(f"{path}: line {broken.line}: {broken.broken}")
    if not rows:
        raise BadFile(f"{path}: expected rows under a header, found none")
    names = list(rows[0].values)
    if ticker := next((n for n in names if n.casefold() in ("ticker", "symbol")), None):
        return _long(path, rows, names, ticker)
    return _wide(path, rows, names, "", holds)


def _long(path: Path, rows: list[files.RawRow], names: list[str], ticker: str) -> list[_Column]:
    """A file with a ticker a row: its adj_close, close, price or return under the ticker's name."""
    wanted = ("adj_close", "adj close", "close", "price", "return", "returns", "value")
    column = next((n for w in wanted for n in names if n.casefold() == w), None)
    if column is None:
        raise BadFile(f"{path}: expected a column {', '.join(wanted)} beside {ticker}, found {', '.join(names)}")
    found: list[_Column] = []
    for name in dict.fromkeys(str(r.values[ticker]) for r in rows):
        mine = [r for r in rows if str(r.values[ticker]) == name]
        parts = {c.name.casefold(): c for c in _wide(path, mine, [n for n in names if n != ticker], "", "prices")}
        main = parts[column.casefold()]
        found.append(_Column(name, main.file, main.dates, main.cells))
        if column.casefold() == "close":
            found += [
                _Column(f"{name}:{n}", c.file, c.dates, c.cells) for n, c in parts.items() if n in (*BAR, "volume")
            ]
    return found


def _wide(path: Path, rows: list[files.RawRow], names: list[str], prefix: str, holds: Holds) -> list[_Column]:
    """A file whose every number column is a series; the first column of dates, if any, dates them."""
    dates = next((d for n in names if (d := _dates(n, [r.values.get(n) for r in rows])) is not None), None)
    order = np.arange(len(rows)) if dates is None else np.argsort(dates[1], kind="stable")
    days = None if dates is None else dates[1][order]
    if days is not None and len(days) > 1 and (days[1:] == days[:-1]).any():
        twice = days[1:][days[1:] == days[:-1]][0]
        raise BadFile(f"{path}: expected each date once, found {twice} twice")
    found: list[_Column] = []
    for name in names:
        if dates is not None and name == dates[0]:
            continue
        cells = [_number(r.values.get(name)) for r in rows]
        if any(isinstance(c, str) for c in cells):
            bad = next(i for i, c in enumerate(cells) if isinstance(c, str))
            if sum(isinstance(c, str) for c in cells) <= len(cells) // 2:
                raise BadFile(
                    f"{path}: line {rows[bad].line}: expected a number in {name}, got {cells[bad]!r}: mend or blank it"
                )
            continue
        numbers = np.asarray(cells, np.float64)
        if BAR[3] in (n.casefold() for n in names) and name.casefold() in (*BAR, "volume"):
            name = name.casefold()
        found.append(_Column(f"{prefix}{name}", path.name, days, numbers[order]))
    if not found:
        raise BadFile(f"{path}: expected at least one column of numbers, found {', '.join(names)}")
    return found


def _dates(name: str, cells: list[Any]) -> tuple[str, NDArray[np.datetime64]] | None:
    """The column as days, where every cell is one: 2022-06-30, 2022-06-30 16:00, 20220630 or 2022-06 (its last day)."""
    try:
        days = [_day(str(c).strip()) for c in cells]
    except ValueError:
        return None
    return name, np.asarray(days, "datetime64[D]")


def _day(text: str) -> date:
    if len(text) == 7 and text[4] == "-":
        year, month = int(text[:4]), int(text[5:])
        return date(year + month // 12, month % 12 + 1, 1) - timedelta(1)
    if len(text) == 8 and text.isdigit():
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    if len(text) < 10 or text[4] != "-":
        raise ValueError(text)
    return date.fromisoformat(text[:10])


def _number(cell: object) -> float | str:
    """A number; NaN for a blank; the text itself where it is neither."""
    if cell is None or str(cell).strip().casefold() in BLANKS:
        return math.nan
    try:
        number = float(str(cell).strip().removesuffix("%")) / (100 if str(cell).strip().endswith("%") else 1)
    except ValueError:
        return str(cell)
    return number if math.isfinite(number) else str(cell)
