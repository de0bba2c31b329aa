"""The book as it stands: what is held at which price, and what it is worth once its underlyings have moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed, UnknownTicker
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.occ import SHARES, Contract
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View
from openoutcry.tools.formulas.pricing import american_value
from openoutcry.tools.prices import alike, stale

VOLATILITY_WINDOW = 252
FEWEST = 20
NODES = 101
MODEL = (
    f"American, on {SHARES} shares, by the model: volatility of {VOLATILITY_WINDOW} sessions, actual/365, no dividends"
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A line of the book with its price: `quantity` of shares, or of `contract`. `spot` is USD a share."""

    symbol: str
    ticker: str
    quantity: float
    spot: float
    contract: Contract | None = None
    years: float = 0.0
    volatility: float = 0.0

    def value(self, move: float = 0.0, *, rate: float = 0.0, volatility: float = 0.0) -> float:
        """USD once the underlying has returned *move*, volatility risen by *volatility*, at the rate *rate*."""
        spot = self.spot * (1 + move)
        if self.contract is None:
            return self.quantity * spot
        sigma = max(self.volatility + volatility, 0.0)
        price = american_value(spot, self.contract.strike, rate, sigma, self.years, self.contract.kind)
        return self.quantity * SHARES * price

    def changes(self, moves: NDArray[np.float64], rate: float = 0.0) -> NDArray[np.float64]:
        """The change of value in USD for each of *moves*; an option's is interpolated between 101 full prices."""
        if self.contract is None:
            return self.quantity * self.spot * moves
        grid = np.linspace(min(float(moves.min()), 0.0), max(float(moves.max()), 0.0), NODES)
        values = np.array([self.value(float(m), rate=rate) for m in grid])
        return np.interp(moves, grid, values) - self.value(rate=rate)

    def delta(self, rate: float = 0.0) -> float:
        """Change of value in USD for a small return of the underlying, a unit of return."""
        step = 1e-3
        return (self.value(step, rate=rate) - self.value(-step, rate=rate)) / (2 * step)


@dataclass(frozen=True, slots=True)
class Book:
    """The newest day of each book known by now, added up: priced holdings, and what could not be priced.

    `unvalued` are the symbols that are held and have no value here; an option that has ended is not among them.
    """

    day: date
    holdings: tuple[Holding, ...]
    prices: Mapping[str, Prices]
    rows: tuple[Rows, ...]
    lines: int
    underlyings: frozenset[str]
    unvalued: tuple[str, ...] = ()
    missing: list[str] = field(default_factory=list[str])

    @property
    def unpriced(self) -> frozenset[str]:
        """The underlyings that are held and have no price."""
        return self.underlyings - self.prices.keys()

    @property
    def tickers(self) -> tuple[str, ...]:
        """The underlyings, each once."""
        return tuple(dict.fromkeys(h.ticker for h in self.holdings))

    @property
    def options(self) -> bool:
        """Whether any holding is an option."""
        return any(h.contract for h in self.holdings)

    def gross(self, rate: float = 0.0) -> float:
        """USD, the sum of absolute market values."""
        return sum(abs(h.value(rate=rate)) for h in self.holdings)

    def net(self, rate: float = 0.0) -> float:
        """USD, the sum of market values."""
        return sum(h.value(rate=rate) for h in self.holdings)

    def conventions(self, rate: float) -> dict[str, str]:
        """How the holdings are valued."""
        priced = "newest close as traded, or adjusted where that is all there is"
        return {"price": priced, **({"options": f"{MODEL}, rate {rate:.4g} a year"} if self.options else {})}


def book_of(view: View) -> Book:
    """The book, several accounts added up. Raises NotComputed without positions, or where none can be priced."""
    rows = view.query(
        "SELECT book, date, ticker, quantity, known_at FROM positions "
        "WHERE date = (SELECT max(date) FROM positions p WHERE p.book = positions.book) AND quantity <> 0 "
        "ORDER BY book, ticker"
    )
    if not len(rows):
        raise NotComputed(f"needs positions; the book known by {view.as_of} holds none: ingest positions")
    held: dict[str, float] = {}
    for symbol, quantity in zip(rows.cells("ticker"), rows.cells("quantity"), strict=True):
        held[symbol] = held.get(symbol, 0.0) + quantity
    prices, missing = _priced(view, held)
    found = {symbol: _holding(view, symbol, q, prices, missing) for symbol, q in held.items() if q}
    holdings = tuple(h for h in found.values() if h)
    unvalued = tuple(s for s, h in found.items() if h is None and not _ended(s, view.as_of.date))
    if not holdings:
        raise NotComputed(f"needs a price of what the book holds; {'; '.join(missing)}")
    sources = (rows, *(p.rows for p in prices.values()))
    names = frozenset(map(_underlying, held))
    return Book(max(rows.days("date")), holdings, prices, sources, len(rows), names, unvalued, missing)


def _ended(symbol: str, day: date) -> bool:
    contract = Contract.parse(symbol)
    return contract is not None and contract.expiry < day


def _underlying(symbol: str) -> str:
    contract = Contract.parse(symbol)
    return contract.underlying if contract else symbol


def _priced(view: View, held: Sequence[str] | Mapping[str, float]) -> tuple[dict[str, Prices], list[str]]:
    prices: dict[str, Prices] = {}
    missing: list[str] = []
    for ticker in dict.fromkeys(map(_underlying, held)):
        try:
            prices[ticker] = view.prices(ticker)
            missing += stale(view, prices[ticker])
        except (UnknownTicker, NotComputed):
            missing.append(f"{ticker}: held, but no usable price is known; left out of the gross value")
    return prices, missing


def _holding(
    view: View, symbol: str, quantity: float, prices: Mapping[str, Prices], missing: list[str]
) -> Holding | None:
    """The holding with its price; None, and a note, where there is none."""
    contract, ticker = Contract.parse(symbol), _underlying(symbol)
    if ticker not in prices:
        return None
    spot = close(prices[ticker])
    if contract is None:
        return Holding(symbol, ticker, quantity, spot)
    years = (contract.expiry - view.as_of.date).days / 365
    if years < 0:
        missing.append(f"{symbol}: held, but it ended on {contract.expiry}; left out")
        return None
    try:
        daily = prices[ticker].returns(VOLATILITY_WINDOW, needed=FEWEST)
    except NotComputed as error:
        missing.append(f"{symbol}: held, but its volatility {error}; left out")
        return None
    if alike(daily):
        missing.append(f"{symbol}: held, but the returns of {ticker} are all alike; left out")
        return None
    return Holding(symbol, ticker, quantity, spot, contract, years, float(daily.std(ddof=1) * np.sqrt(252)))


def close(prices: Prices) -> float:
    """The newest close: as traded where it is known."""
    return float(prices.values[-1] if prices.traded is None else prices.traded[-1])
