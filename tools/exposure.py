"""What a portfolio gains or loses for given returns of its tickers: the book as it stands, or stated weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View
from openoutcry.tools.holdings import book_of
from openoutcry.tools.prices import stale

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A portfolio over tickers with common sessions.

    `names` are its lines, `lines` the place of each one's ticker in `series`. `deltas` are the change of each line
    for a unit return of its ticker, in units of `gross`. `gross` is USD of the book, or 1 of stated weights.
    """

    names: tuple[str, ...]
    lines: tuple[int, ...]
    series: tuple[Prices, ...]
    deltas: Matrix
    gross: float
    revalue: tuple[Callable[[Matrix], Matrix], ...]
    rows: Sequence[Rows]
    conventions: Mapping[str, str]
    missing: tuple[str, ...]
    stated: bool
    youngest: str
    """The ticker that has the fewest sessions; all share no more."""

    def changes(self, moves: Matrix) -> Matrix:
        """Scenarios by lines from scenarios by tickers, in units of `gross`; options in full."""
        parts = [value(moves[:, place]) for value, place in zip(self.revalue, self.lines, strict=True)]
        return np.column_stack(parts) / self.gross

    def returns(self, window: int, horizon: int, needed: int) -> Matrix:
        """Overlapping *horizon*-session returns by tickers, the last *window* sessions. Raises NotComputed."""
        return np.column_stack([p.horizon_returns(window, horizon, needed) for p in self.series])

    def daily(self, window: int, needed: int) -> Matrix:
        """Returns of the portfolio at today's holdings, session by session."""
        return self.changes(self.returns(window, 1, needed)).sum(axis=1)


def exposure_of(view: View, weights: Mapping[str, float] | None, rate: float) -> Exposure:
    """The portfolio of *weights*, or the book where none are given. Raises NotComputed where it is empty."""
    if not weights and view.names_given is not None:
        raise NotComputed(f"needs weights, as {view.names_given[0]}=1: a file of series holds no positions")
    return _stated(view, weights) if weights else _book(view, rate)


def _stated(view: View, weights: Mapping[str, float]) -> Exposure:
    held = {name: weight for name, weight in weights.items() if weight}
    if not held:
        raise NotComputed("needs a weight other than zero")
    prices = view.prices_of(list(held))
    return Exposure(
        names=tuple(held),
        lines=tuple(range(len(held))),
        series=tuple(together(prices)),
        deltas=np.array(list(held.values())),
        gross=1.0,
        revalue=tuple((lambda moves, w=w: w * moves) for w in held.values()),
        rows=[p.rows for p in prices],
        conventions={"portfolio": "stated weights, held all along", "unit": "of the portfolio's value"},
        missing=tuple(dict.fromkeys(m for p in prices for m in stale(view, p))),
        stated=True,
        youngest=_youngest(prices),
    )


def _book(view: View, rate: float) -> Exposure:
    book = book_of(view)
    gross, places = book.gross(rate), {t: i for i, t in enumerate(book.tickers)}
    return Exposure(
        names=tuple(h.symbol for h in book.holdings),
        lines=tuple(places[h.ticker] for h in book.holdings),
        series=tuple(together([book.prices[t] for t in book.tickers])),
        deltas=np.array([h.delta(rate) for h in book.holdings]) / gross,
        gross=gross,
        revalue=tuple((lambda moves, h=h: h.changes(moves, rate)) for h in book.holdings),
        rows=book.rows,
        conventions={
            "portfolio": f"the book of {book.day}, held all along",
            "unit": "of the book's gross value",
            **book.conventions(rate),
        },
        missing=tuple(book.missing),
        stated=False,
        youngest=_youngest(list(book.prices.values())),
    )


def _youngest(prices: Sequence[Prices]) -> str:
    return min(prices, key=lambda p: len(p.dates)).ticker
