"""What the company reported, as filed and as known: growth, margins, and what the price pays for them."""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np

from openoutcry.core.clock import new_york_date
from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Ticker
from openoutcry.tools.closes import SPLIT_JUMP, Prices, jump
from openoutcry.tools.figures import day, fraction, multiple, per_share, text, usd
from openoutcry.tools.prices import stale
from openoutcry.tools.rows import Item
from openoutcry.tools.table import Rows
from openoutcry.tools.tool import tool
from openoutcry.tools.view import View

YEAR = (350, 380)
QUARTER = (70, 125)
ADJUSTMENT_DAYS = 366


@dataclass(frozen=True, slots=True)
class Quarter:
    """One quarter's items, as known; `filed` is when the newest of them became known."""

    period: str
    end: date
    filed: date
    items: dict[str, float]


def _quarters(view: View, ticker: str) -> tuple[list[Quarter], Rows]:
    """Quarters known by now, newest first. Raises NotComputed where there are none."""
    rows = view.query(
        "SELECT period_end, fiscal_period, item, value, known_at FROM fundamentals WHERE ticker = ? "
        "ORDER BY period_end DESC, item",
        [ticker],
    )
    if not len(rows):
        raise NotComputed(f"needs quarterly figures; none of {ticker} is known by {view.as_of}: ingest fundamentals")
    found: dict[date, Quarter] = {}
    cells = zip(*(rows.cells(n) for n in ("fiscal_period", "item", "value")), strict=True)
    for end, moment, (period, item, value) in zip(
        rows.days("period_end"), rows.moments("known_at"), cells, strict=True
    ):
        known = new_york_date(moment)
        quarter = found.setdefault(end, Quarter(period, end, known, {}))
        quarter.items[item] = value
        if known > quarter.filed:
            found[end] = Quarter(period, end, known, quarter.items)
    return list(found.values()), rows


def _apart(quarters: list[Quarter], latest: Quarter, span: tuple[int, int]) -> Quarter | None:
    """The quarter that ended *span* days before *latest*."""
    return next((q for q in quarters if span[0] <= (latest.end - q.end).days <= span[1]), None)


@tool
def growth(view: View, ticker: Ticker) -> Evidence:
    """The latest quarter's revenue and net income against the same quarter a year before, as filed.

    Growth of net income is given only where both quarters earned a profit. Raises NotComputed without
    the latest quarter's revenue or without a quarter a year before.
    """
    quarters, rows = _quarters(view, ticker)
    latest = quarters[0]
    before = _apart(quarters, latest, YEAR)
    if before is None:
        raise NotComputed(f"needs the quarter a year before {latest.period}; {ticker} has {len(quarters)} quarters")
    if Item.REVENUE not in latest.items or not before.items.get(Item.REVENUE, 0) > 0:
        raise NotComputed(f"needs revenue of {latest.period} and {before.period} of {ticker}")
    figures = _heading(ticker, latest) | {"year_ago": text(before.period)}
    missing: list[str] = []
    for item in (Item.REVENUE, Item.NET_INCOME):
        now, then = latest.items.get(item), before.items.get(item)
        if now is not None:
            figures[str(item)] = usd(now)
        if now is None or then is None:
            missing.append(f"{ticker} {item} of {latest.period} or {before.period}: not in the data")
        elif then > 0 and (item is Item.REVENUE or now > 0):
            figures[f"{item}_growth"] = fraction(now / then - 1)
        else:
            missing.append(f"{ticker} {item} growth: a loss in {latest.period} or {before.period}")
    return view.evidence(
        figures,
        [rows],
        conventions={"basis": "one fiscal quarter, as filed, against the same quarter a year before"},
        missing=missing,
    )


def _heading(ticker: str, quarter: Quarter) -> dict[str, Figure]:
    return {
        "ticker": text(ticker),
        "period": text(quarter.period),
        "period_end": day(quarter.end),
        "filed": day(quarter.filed),
    }


@tool
def margins(view: View, ticker: Ticker) -> Evidence:
    """Gross, operating and net margin of the latest quarter, and the net margin's change over a year.

    Fractions of revenue. An item that was not filed is listed as missing. Raises NotComputed without revenue.
    """
    quarters, rows = _quarters(view, ticker)
    latest, before = quarters[0], _apart(quarters, quarters[0], YEAR)
    revenue = latest.items.get(Item.REVENUE, 0.0)
    if revenue <= 0:
        raise NotComputed(f"needs positive revenue of {latest.period} of {ticker}")
    figures, missing = _heading(ticker, latest), list[str]()
    for name, item in (
        ("gross", Item.GROSS_PROFIT),
        ("operating", Item.OPERATING_INCOME),
        ("net", Item.NET_INCOME),
    ):
        if item in latest.items:
            figures[name] = fraction(latest.items[item] / revenue)
        else:
            missing.append(f"{ticker} {item} of {latest.period}: not in the data")
    if before and "net" in figures and Item.NET_INCOME in before.items and before.items.get(Item.REVENUE, 0) > 0:
        old = before.items[Item.NET_INCOME] / before.items[Item.REVENUE]
        figures["net_change"] = fraction(latest.items[Item.NET_INCOME] / revenue - old)
        figures["year_ago"] = text(before.period)
    return view.evidence(
        figures,
        [rows],
        conventions={"basis": "one fiscal quarter, as filed; changes are differences of fractions"},
        missing=missing,
    )


@tool
def valuation(view: View, ticker: Ticker) -> Evidence:
    """Price to earnings of the last four quarters, earnings yield, and, where shares are known, price to sales.

    Refuses rather than mislead. Raises UnknownTicker, and NotComputed without four consecutive quarters of
    diluted EPS, where the share count jumps between them (a split: EPS as filed do not add up), or where
    the only price is adjusted for splits and dividends of more than a year after the as-of.
    """
    quarters, rows = _quarters(view, ticker)
    year = _last_four(ticker, quarters)
    prices = view.prices(ticker)
    price, notes = _price(prices, year[0])
    earnings = sum(q.items[Item.EPS_DILUTED] for q in year)
    figures = _heading(ticker, year[0]) | {
        "close": per_share(price),
        "price_date": day(prices.last_date()),
        "eps": per_share(earnings),
        "earnings_yield": fraction(earnings / price),
    }
    missing = [*stale(view, prices), *notes]
    if earnings > 0:
        figures["pe"] = multiple(price / earnings)
    else:
        missing.append(f"{ticker} price to earnings: the last four quarters made a loss")
    shares, sales = year[0].items.get(Item.SHARES_DILUTED), [q.items.get(Item.REVENUE) for q in year]
    total = sum(s for s in sales if s)
    if shares and all(sales) and total > 0:
        figures |= {"market_value": usd(price * shares), "price_to_sales": multiple(price * shares / total)}
    else:
        missing.append(f"{ticker} price to sales: diluted shares or revenue of a quarter not in the data")
    return view.evidence(
        figures,
        [rows, prices.rows],
        conventions={
            "earnings": "sum of four quarters' diluted EPS as filed",
            "price": "close as traded" if prices.traded is not None else prices.basis,
            "shares": "weighted average diluted shares of the latest quarter",
        },
        missing=missing,
    )


def _price(prices: Prices, latest: Quarter) -> tuple[float, list[str]]:
    """The newest close on the share count of *latest*, and what to know of it. Raises NotComputed where in doubt."""
    last, ticker = prices.last_date(), prices.ticker
    if prices.traded is not None:
        since = prices.dates >= np.datetime64(latest.end)
        if day := jump(prices.traded[since], prices.dates[since]):
            raise NotComputed(
                f"needs one share count; the close of {ticker} jumps on {day}, as in a split, so EPS as filed for "
                f"{latest.period} do not fit the price until the next filing"
            )
        return float(prices.traded[-1]), []
    through = prices.adjusted_through
    if through is None or (through - last).days > ADJUSTMENT_DAYS:
        raise NotComputed(
            f"needs the close as traded; the closes of {ticker} are adjusted for what happened after {last}, up to "
            f"{through or 'an unknown date'}: ingest prices with both close and adj_close into a new home"
        )
    note = f"{ticker} close as traded: taken from the close adjusted for dividends and splits up to {through}"
    return float(prices.values[-1]), [note]


def _shares(quarter: Quarter) -> float:
    """Diluted shares as filed, or as implied by net income and EPS; 0 where neither is known."""
    income, eps = quarter.items.get(Item.NET_INCOME, 0.0), quarter.items[Item.EPS_DILUTED]
    return quarter.items.get(Item.SHARES_DILUTED) or (abs(income / eps) if eps else 0.0)


def _last_four(ticker: str, quarters: list[Quarter]) -> list[Quarter]:
    year = [quarters[0]]
    while len(year) < 4 and (before := _apart(quarters, year[-1], QUARTER)):
        year.append(before)
    known = [q for q in year if Item.EPS_DILUTED in q.items]
    if len(known) < 4:
        raise NotComputed(f"needs diluted EPS of four consecutive quarters; {ticker} has {len(known)}")
    shares = [s for s in map(_shares, year) if s]
    if any(max(a, b) / min(a, b) > SPLIT_JUMP for a, b in pairwise(shares)):
        raise NotComputed(
            f"needs four quarters on one share count; {ticker}'s jumps within {year[-1].period} to {year[0].period}, "
            "as in a split, so EPS as filed do not add up"
        )
    return year
