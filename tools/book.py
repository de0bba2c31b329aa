"""What the book holds of a ticker, at the newest close known."""

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import RiskFree, Ticker
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, day, fraction, number, per_share, text, usd
from openoutcry.tools.holdings import Book, Holding, book_of, close
from openoutcry.tools.tool import tool


@tool
def position(view: View, ticker: Ticker, rate: RiskFree = 0.0) -> Evidence:
    """The book's holding of *ticker*: shares, market value, and share of the book's gross value.

    Uses the newest day of the book known by now and the newest close of each holding; gross value is the
    sum of absolute market values. Options on *ticker* (positions by OCC symbol) are counted and valued
    beside the shares: American, at the ticker's own volatility and *rate*; `contracts` counts long and short
    ones. Raises NotComputed without
    positions, without *ticker* among them, or without a price of it.
    """
    book = book_of(view)
    mine = [h for h in book.holdings if h.ticker == ticker]
    if not mine and ticker in book.unpriced:
        view.prices(ticker)
    if not mine:
        raise NotComputed(f"needs a position in {ticker}; the book known by {view.as_of} holds none")
    prices = book.prices[ticker]
    shares = sum(h.quantity for h in mine if h.contract is None)
    value = shares * close(prices)
    return view.evidence(
        {
            "ticker": text(ticker),
            "basis": text("close" if prices.traded is not None else prices.price_name),
            "shares": count(shares) if float(shares).is_integer() else number(shares),
            "close": per_share(close(prices)),
            "value": usd(value),
            "gross_share": fraction(abs(value) / book.gross(rate)),
            "holdings": count(book.lines),
            "book_date": day(book.day),
            **_options(mine, book, rate),
        },
        book.rows,
        conventions={
            "value": f"shares times the newest {'close' if prices.traded is not None else prices.basis}",
            "gross share": "absolute value over the sum of absolute values, accounts added up",
            **({"options": book.conventions(rate)["options"]} if book.options else {}),
        },
        missing=book.missing,
    )


def _options(mine: list[Holding], book: Book, rate: float) -> dict[str, Figure]:
    """What the options on the ticker are worth, and the shares that they move like."""
    held = [h for h in mine if h.contract]
    if not held:
        return {}
    value = sum(h.value(rate=rate) for h in held)
    return {
        "contracts": count(sum(abs(h.quantity) for h in held)),
        "options_value": usd(value),
        "options_gross_share": fraction(sum(abs(h.value(rate=rate)) for h in held) / book.gross(rate)),
        "delta_shares": number(sum(h.delta(rate) for h in held) / held[0].spot),
    }
