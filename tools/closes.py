"""One ticker's closes as numpy arrays, and the returns made from them."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.table import Rows

SPLIT_JUMP = 1.4


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

    @classmethod
    def of(cls, ticker: str, rows: Rows) -> Self:
        """Take adj_close where every session has it, else close. Raises NotComputed where neither is whole."""
        adjusted, traded = (_complete(rows.columns[c]) for c in ("adj_close", "close"))
        values = traded if adjusted is None else adjusted
        if values is None:
            raise NotComputed(_patchy(ticker, rows))
        through = rows.cells("adjusted_through")[-1]
        basis = "close" if adjusted is None else "adj_close"
        last = None if through is None else date.fromisoformat(str(through)[:10])
        return cls(ticker, rows.columns["date"], values, basis, traded, last, rows)

    def at(self, places: NDArray[np.intp]) -> "Prices":
        """The same prices on some of their sessions alone, such as those that another ticker has too."""
        traded = None if self.traded is None else self.traded[places]
        return replace(self, dates=self.dates[places], values=self.values[places], traded=traded)

    @property
    def price_name(self) -> str:
        """What a price level of these is called in a sentence."""
        return "close" if self.basis == "close" else "adjusted close"

    def last_date(self) -> date:
        """The session of the newest close."""
        return self.dates[-1].astype("datetime64[D]").item()

    def returns(self, window: int, needed: int = 2) -> NDArray[np.float64]:
        """The last *window* daily simple returns.

        Raises NotComputed with fewer than *needed*, or where closes as traded jump as in a split.
        """
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
        values = self._steady(window)
        if len(values) - horizon < needed:
            raise NotComputed(
                f"needs at least {needed} overlapping {horizon}-session returns; "
                f"{self.ticker} has {max(len(values) - horizon, 0)} in its last {window} sessions known by then"
            )
        return values[horizon:] / values[:-horizon] - 1.0

    def _steady(self, window: int) -> NDArray[np.float64]:
        values, dates = self.values[-(window + 1) :], self.dates[-(window + 1) :]
        if self.basis == "close" and (day := jump(values, dates)):
            raise NotComputed(
                f"needs adj_close; the close of {self.ticker} jumps on {day}, as in a split, which would count as a "
                "return: ingest prices with adj_close"
            )
        return values


def _complete(column: NDArray[Any]) -> NDArray[np.float64] | None:
    """The column as floats, or None where a cell is missing."""
    values = np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)
    return None if np.isnan(values).any() else values


def _patchy(ticker: str, rows: Rows) -> str:
    """What is wrong where neither column is whole."""
    missing = [d for d, v in zip(rows.days("date"), rows.cells("adj_close"), strict=True) if v is None]
    return (
        f"needs adj_close on every session of {ticker}, or close on every one; adj_close is missing on "
        f"{len(missing)} of {len(rows)}, first on {missing[0]}: ingest those rows with adj_close"
    )


def jump(values: NDArray[np.float64], dates: NDArray[np.datetime64]) -> date | None:
    """The first session whose close is SPLIT_JUMP times the one before, or one SPLIT_JUMP-th of it."""
    ratio = np.maximum(values[1:] / values[:-1], values[:-1] / values[1:])
    found = np.flatnonzero(ratio > SPLIT_JUMP)
    return dates[int(found[0]) + 1].astype("datetime64[D]").item() if len(found) else None
