"""One ticker's closes as numpy arrays, and the returns made from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Figure
from openoutcry.tools.data.table import Rows
from openoutcry.tools.figures import day

SPLIT_JUMP = 1.4


@dataclass(frozen=True, slots=True)
class Prices:
    """One ticker's closes, oldest first. `basis` is adj_close or close; `values` are positive USD.

    `traded` holds the closes as traded where every session has one. Of a person's own return series, `changes`
    holds the returns as given and `values` the wealth that they make of 1; where a return of -100 % or less
    makes none, `values` are NaN. `dated` is false where a file tells no dates; `notes` says what was left out.
    """

    ticker: str
    dates: NDArray[np.datetime64]
    values: NDArray[np.float64]
    basis: str
    traded: NDArray[np.float64] | None
    adjusted_through: date | None
    rows: Rows
    changes: NDArray[np.float64] | None = None
    dated: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, ticker: str, rows: Rows, part: slice = slice(None)) -> Self:
        """Take adj_close where every session has it, else close, of *part* of the rows.

        Raises NotComputed where neither is whole.
        """
        adjusted, traded = (_complete(rows.columns[c][part]) for c in ("adj_close", "close"))
        values = traded if adjusted is None else adjusted
        if values is None:
            raise NotComputed(_patchy(ticker, rows, part))
        through: Any = rows.columns["adjusted_through"][part][-1]
        last = None if np.ma.is_masked(through) or np.isnat(through) else through.astype("datetime64[D]").item()
        basis = "close" if adjusted is None else "adj_close"
        return cls(ticker, rows.columns["date"][part], values, basis, traded, last, rows)

    def at(self, places: NDArray[np.intp]) -> "Prices":
        """The same prices on some of their sessions alone, such as those that another ticker has too."""
        traded = None if self.traded is None else self.traded[places]
        whole = self.changes is not None and (places[1:] - places[:-1] == 1).all()
        return replace(
            self,
            dates=self.dates[places],
            values=self.values[places],
            traded=traded,
            changes=self.changes[places[1:] - 1] if whole and self.changes is not None else None,
        )

    @property
    def price_name(self) -> str:
        """What a price level of these is called in a sentence."""
        return "close" if self.basis == "close" else "adjusted close"

    def last_date(self) -> date:
        """The session of the newest close."""
        return self.dates[-1].astype("datetime64[D]").item()

    @property
    def until(self) -> dict[str, Figure]:
        """The figure `last_date`, where the series is dated."""
        return {"last_date": day(self.last_date())} if self.dated else {}

    def levels(self, window: int) -> NDArray[np.float64]:
        """The last *window* closes. Raises NotComputed where a return series makes no positive wealth."""
        values = self.values[-window:]
        if self.changes is not None and np.isnan(values).any():
            raise NotComputed(
                f"needs returns above -100 %; {self.ticker} holds {self.changes.min():g}, which leaves no "
                "wealth: if the file is in percent, give its scale as 0.01"
            )
        return values

    def returns(self, window: int, needed: int = 2) -> NDArray[np.float64]:
        """The last *window* daily simple returns, or those of a person's own series as given.

        Raises NotComputed with fewer than *needed*, or where closes as traded jump as in a split.
        """
        if self.changes is not None:
            if len(self.changes[-window:]) < needed:
                raise NotComputed(f"needs at least {needed} returns; {self.ticker} has {len(self.changes)}")
            return self.changes[-window:]
        values = self._steady(window)
        if len(values) - 1 < needed:
            raise NotComputed(
                f"needs at least {needed} daily returns; {self.ticker} has {max(len(values) - 1, 0)} known by then"
            )
        return values[1:] / values[:-1] - 1.0

    def horizon_returns(self, window: int, horizon: int, needed: int = 2) -> NDArray[np.float64]:
        """Overlapping simple returns over *horizon* sessions within the last *window* + 1 closes.

        Raises NotComputed as `returns` does.
        """
        if self.changes is not None and horizon == 1:
            return self.returns(window, needed)
        values = self._steady(window)
        if len(values) - horizon < needed:
            raise NotComputed(
                f"needs at least {needed} overlapping {horizon}-session returns; "
                f"{self.ticker} has {max(len(values) - horizon, 0)} in its last {len(values) - 1} sessions known then"
            )
        return values[horizon:] / values[:-horizon] - 1.0

    def _steady(self, window: int) -> NDArray[np.float64]:
        values, dates = self.levels(window + 1), self.dates[-(window + 1) :]
        if self.basis == "close" and (day := jump(values, dates)):
            raise NotComputed(
                f"needs adj_close; the close of {self.ticker} jumps on {day}, as in a split, which would count as a "
                "return: ingest prices with adj_close"
            )
        return values


@dataclass(frozen=True, slots=True)
class Bars:
    """A ticker's closes with, session by session, what else is known of them; None where it is not whole."""

    closes: Prices
    open: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    low: NDArray[np.float64] | None
    volume: NDArray[np.float64] | None

    @classmethod
    def of(cls, closes: Prices, rows: Rows) -> Self:
        """Take the columns that are whole; with adjusted closes, scaled as the close was where that is known."""
        part = {n: _complete(rows.columns[n]) for n in ("open", "high", "low", "volume", "close")}
        traded = part["close"]
        scale = np.float64(1) if closes.basis == "close" else None if traded is None else closes.values / traded

        def scaled(name: str) -> NDArray[np.float64] | None:
            values = part[name]
            return None if scale is None or values is None else values * scale

        return cls(closes, scaled("open"), scaled("high"), scaled("low"), part["volume"])


def _complete(column: NDArray[Any]) -> NDArray[np.float64] | None:
    """The column as floats, or None where a cell is missing."""
    values = np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)
    return None if np.isnan(values).any() else values


def _patchy(ticker: str, rows: Rows, part: slice) -> str:
    """What is wrong where neither column is whole."""
    days, cells = rows.days("date")[part], rows.cells("adj_close")[part]
    missing = [d for d, v in zip(days, cells, strict=True) if v is None]
    return (
        f"needs adj_close on every session of {ticker}, or close on every one; adj_close is missing on "
        f"{len(missing)} of {len(days)}, first on {missing[0]}: ingest those rows with adj_close"
    )


def jump(values: NDArray[np.float64], dates: NDArray[np.datetime64]) -> date | None:
    """The first session whose close is SPLIT_JUMP times the one before, or one SPLIT_JUMP-th of it."""
    ratio = np.maximum(values[1:] / values[:-1], values[:-1] / values[1:])
    found = np.flatnonzero(ratio > SPLIT_JUMP)
    return dates[int(found[0]) + 1].astype("datetime64[D]").item() if len(found) else None


def together(series: Sequence[Prices]) -> list[Prices]:
    """The same series on the sessions that all of them have. Raises NotComputed where they share fewer than two."""
    first, *others = series
    shared = first.dates
    for other in others:
        if not np.array_equal(shared, other.dates):
            shared = np.intersect1d(shared, other.dates)
    if len(shared) < 2:
        raise NotComputed(f"needs sessions in common; {', '.join(s.ticker for s in series)} share {len(shared)}")
    if all(len(s.dates) == len(shared) for s in series):
        return list(series)
    return [s.at(np.searchsorted(s.dates, shared)) for s in series]
