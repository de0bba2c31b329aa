"""What the book holds of a ticker, at the newest close known."""

import math

from openoutcry.core.errors import NotComputed, UnknownTicker
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import Ticker
from openoutcry.tools.closes import Prices
from openoutcry.tools.figures import count, day, fraction, number, per_share, text, usd
from openoutcry.tools.prices import stale
from openoutcry.tools.tool import tool
from openoutcry.tools.view import View


@tool
def position(view: View, ticker: Ticker) -> Evidence:
    """The book's holding of *ticker*: shares, market value, and share of the book's gross value.

    Uses the newest day of the book known by now and the newest close of each holding; gross value is the
    sum of absolute market values. Raises NotComputed without positions or without *ticker* among them.
    """
    rows = view.query(
        "SELECT book, date, ticker, quantity, known_at FROM positions "
        "WHERE date = (SELECT max(date) FROM positions) AND quantity <> 0 ORDER BY book, ticker"
    )
    held = list(zip(rows.cells("ticker"), rows.cells("quantity"), strict=True))
    mine = [quantity for name, quantity in held if name == ticker]
    if not mine:
        raise NotComputed(f"needs a position in {ticker}; the book known by {view.as_of} holds none")
    prices = view.prices(ticker)
    priced, missing = {ticker: prices}, stale(view, prices)
    for name in dict.fromkeys(name for name, _ in held):
        try:
            priced[name] = view.prices(name)
        except (UnknownTicker, NotComputed):
            missing.append(f"{name}: held, but no usable price is known; left out of the gross value")
    gross = sum(abs(quantity) * _close(priced[name]) for name, quantity in held if name in priced)
    close, quantity = _close(prices), math.fsum(mine)
    return view.evidence(
        {
            "ticker": text(ticker),
            "basis": text("close" if prices.traded is not None else prices.price_name),
            "shares": count(quantity) if quantity.is_integer() else number(quantity),
            "close": per_share(close),
            "value": usd(quantity * close),
            "gross_share": fraction(abs(quantity) * close / gross),
            "holdings": count(len(held)),
            "book_date": day(rows.days("date")[0]),
        },
        [rows, *(p.rows for p in priced.values())],
        conventions={
            "value": f"shares times the newest {'close' if prices.traded is not None else prices.basis}",
            "gross share": "absolute value over the sum of absolute values of all books",
        },
        missing=missing,
    )


def _close(prices: Prices) -> float:
    """The newest close: as traded where it is known."""
    return float(prices.values[-1] if prices.traded is None else prices.traded[-1])
