"""What the company reported, as filed and as known: growth, margins, and what the price pays for them."""

import math
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Positive, Ticker
from openoutcry.tools.data.closes import SPLIT_JUMP, Prices, jump
from openoutcry.tools.data.items import Item
from openoutcry.tools.data.periods import YEAR, Basis, Period, apart, four_to, periods, quarters
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import day, fraction, multiple, per_share, text, usd, years
from openoutcry.tools.prices import stale
from openoutcry.tools.tool import tool

ADJUSTMENT_DAYS = 366
_SAME = {"quarter": "the same quarter a year before", "year": "the year before"}
ChosenBasis = Annotated[Basis, Field(description="what is compared: one fiscal quarter, or one fiscal year")]


@tool
def growth(view: View, ticker: Ticker, basis: ChosenBasis = "quarter") -> Evidence:
    """The latest quarter's or year's revenue and net income against the same a year before, as filed.

    *basis* `year` takes annual rows, or else four quarters. Growth of net income is given only where both
    earned a profit. Raises NotComputed without the latest revenue or without the quarter or year before.
    """
    known, rows = periods(view, ticker, basis)
    latest = known[0]
    before = apart(known, latest, YEAR)
    if before is None:
        wanted = "the quarter a year before" if basis == "quarter" else "the year before"
        raise NotComputed(f"needs {wanted} {latest.period}; {ticker} has {len(known)} {basis}s")
    if Item.REVENUE not in latest.items or not before.items.get(Item.REVENUE, 0) > 0:
        raise NotComputed(f"needs revenue of {latest.period} and {before.period} of {ticker}")
    figures = heading(ticker, latest) | {"year_ago": text(before.period)}
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
        rows,
        conventions={"basis": f"one fiscal {basis}, as filed, against {_SAME[basis]}"},
        missing=missing,
    )


def heading(ticker: str, period: Period) -> dict[str, Figure]:
    """Whose figures these are, and of when."""
    return {
        "ticker": text(ticker),
        "period": text(period.period),
        "period_end": day(period.end),
        "filed": day(period.filed),
    }


@tool
def compound_growth(
    view: View = NO_DATA,
    *,
    begin: Annotated[Positive, Field(description="value at the start")],
    end: Annotated[Positive, Field(description="value at the end")],
    periods: Annotated[Positive, Field(description="years (or periods) between them: 2018 to 2021 are 3")],
) -> Evidence:
    """Compound annual growth rate (CAGR) of a value from *begin* to *end* over *periods* years.

    (end / begin) ** (1 / periods) - 1, as Excel's RRI(periods, begin, end). Raises UsageError for a value that
    is not above zero, and NotComputed where the rate is beyond what a number can hold.
    """
    try:
        rate = (end / begin) ** (1 / periods) - 1
    except OverflowError:
        rate = math.inf
    if not math.isfinite(rate) or not math.isfinite(end / begin):
        raise NotComputed(f"needs values that a rate can link; got {begin:g} to {end:g} over {periods:g}")
    return view.evidence(
        {"growth": fraction(rate), "total_growth": fraction(end / begin - 1), "periods": years(periods)},
        conventions={"compounding": "once a period; a period is a year unless told otherwise"},
    )


@tool
def margins(view: View, ticker: Ticker, basis: ChosenBasis = "quarter") -> Evidence:
    """Gross, operating and net margin of the latest quarter or year, and the net margin's change over a year.

    Fractions of revenue; *basis* `year` takes annual rows, or else four quarters. An item that was not filed
    is listed as missing. Raises NotComputed without revenue.
    """
    known, rows = periods(view, ticker, basis)
    latest, before = known[0], apart(known, known[0], YEAR)
    revenue = latest.items.get(Item.REVENUE, 0.0)
    if revenue <= 0:
        raise NotComputed(f"needs positive revenue of {latest.period} of {ticker}")
    figures, missing = heading(ticker, latest), list[str]()
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
        rows,
        conventions={"basis": f"one fiscal {basis}, as filed; changes are differences of fractions"},
        missing=missing,
    )


@tool
def valuation(view: View, ticker: Ticker) -> Evidence:
    """Price to earnings of the last four quarters, earnings yield, and, where shares are known, price to sales.

    Refuses rather than mislead. Raises UnknownTicker, and NotComputed without four consecutive quarters of
    diluted EPS, where the share count jumps between them (a split: EPS as filed do not add up), or where
    the only price is adjusted for splits and dividends of more than a year after the as-of.
    """
    known, rows = quarters(view, ticker)
    year = _last_four(ticker, known)
    prices = view.prices(ticker)
    price, notes = price_on(prices, year[0])
    earnings = sum(q.items[Item.EPS_DILUTED] for q in year)
    figures = heading(ticker, year[0]) | {
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


def price_on(prices: Prices, latest: Period) -> tuple[float, list[str]]:
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


def _shares(quarter: Period) -> float:
    """Diluted shares as filed, or as implied by net income and EPS; 0 where neither is known."""
    income, eps = quarter.items.get(Item.NET_INCOME, 0.0), quarter.items[Item.EPS_DILUTED]
    return quarter.items.get(Item.SHARES_DILUTED) or (abs(income / eps) if eps else 0.0)


def _last_four(ticker: str, quarters: list[Period]) -> list[Period]:
    year = four_to(quarters[0], quarters)
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
