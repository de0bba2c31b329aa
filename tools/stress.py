"""Stress: the book revalued in full, options included, under named windows of history and named shocks."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import LISTED, MAPPED, RiskFree, Ticker
from openoutcry.tools.data.closes import Prices, jump
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, day, fraction, text, usd
from openoutcry.tools.holdings import Book, Holding, book_of
from openoutcry.tools.tool import tool

FILE = Path(__file__).parent / "stress.toml"
GAP_DAYS = 7
Names = Annotated[
    list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]],
    LISTED,
    Field(max_length=40, description="scenarios by name; empty for all that had ended by the as-of"),
]
Moves = Annotated[
    dict[Ticker, Annotated[float, Field(gt=-1, le=10)]],
    MAPPED,
    Field(description="a shock of your own: return by ticker, e.g. AAPL=-0.3; other tickers move by equity"),
]
Equity = Annotated[float | None, Field(gt=-1, le=10, description="a shock of your own: return of every ticker")]
Rise = Annotated[float, Field(ge=-5, le=5, description="rise of every volatility, a year: 0.1 is ten points")]
Shift = Annotated[float, Field(ge=-1, le=1, description="rise of the rate, a year: 0.02 is two points")]


@dataclass(frozen=True, slots=True)
class Shock:
    """What moves: a return by ticker or for all, and rises of volatilities and of the rate; or a window of history."""

    equity: float = 0.0
    volatility: float = 0.0
    rate: float = 0.0
    moves: Mapping[str, float] = field(default_factory=dict[str, float])
    window: tuple[date, date] | None = None


@cache
def scenarios() -> tuple[int, dict[str, Shock]]:
    """The file's version and its scenarios by name."""
    read: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    history = {n: Shock(window=(w["from"], w["to"])) for n, w in read["historical"].items()}
    return read["version"], history | {n: Shock(**s) for n, s in read["shock"].items()}


@tool
def stress_test(
    view: View,
    scenarios: Names = [],  # noqa: B006  # read only; a schema wants a list
    equity: Equity = None,
    moves: Moves = {},  # noqa: B006  # as above
    volatility: Rise = 0.0,
    rate_shift: Shift = 0.0,
    rate: RiskFree = 0.0,
) -> Evidence:
    """What the book would gain or lose under named windows of history, named shocks, or a shock of your own.

    Every holding is revalued in full, options as American at shifted spot, volatility and rate; the change is
    at once, without time passing. In a window of history each ticker returns what it returned then; a window
    that had not ended by the as-of is not there. `equity`, `moves`, `volatility` and `rate_shift` make the
    scenario `own`. Figures: profit (negative is a loss) in USD, and as a fraction of the book's gross value, by
    scenario, and the part of the options. Raises NotComputed without a priced position, or for an unknown scenario.
    """
    book = book_of(view)
    version, chosen = _chosen(view, scenarios, equity, moves, volatility, rate_shift)
    gross, figures, missing = book.gross(rate), dict[str, Figure](), list(book.missing)
    totals, without = dict[str, float](), dict[str, list[str]]()
    for name, shock in chosen.items():
        left: list[str] = []
        changes = _changes(book, shock, rate, left)
        for ticker in left:
            without.setdefault(ticker, []).append(name)
        if not changes:
            continue
        totals[name] = sum(changes.values())
        figures |= {f"profit_{name}": usd(totals[name]), f"share_{name}": fraction(totals[name] / gross)}
        if book.options:
            figures[f"options_{name}"] = usd(sum(c for h, c in changes.items() if h.contract))
    missing += [f"{t}: no usable price in {', '.join(names)}; left out there" for t, names in without.items()]
    if not totals:
        raise NotComputed(f"needs prices of the book within a scenario's window; {'; '.join(missing)}")
    worst = min(totals, key=totals.__getitem__)
    heading = {
        "worst": text(worst),
        "worst_profit": usd(totals[worst]),
        "worst_share": fraction(totals[worst] / gross),
        "gross_value": usd(gross),
        "scenarios": count(len(totals)),
        "book_date": day(book.day),
    }
    return view.evidence(
        heading | figures,
        book.rows,
        conventions={
            "sign": "negative is a loss",
            "revaluation": "full, at once, no time passing; a window of history close to close",
            "scenario file": f"version {version}",
            "share": "of the gross value before",
            **book.conventions(rate),
        },
        missing=list(dict.fromkeys(missing)),
    )


def _chosen(
    view: View, names: list[str], equity: float | None, moves: Mapping[str, float], volatility: float, rate: float
) -> tuple[int, dict[str, Shock]]:
    """The scenarios to run: those named, or all that had ended; with `own` where a shock is given."""
    version, every = scenarios()
    known = {n: s for n, s in every.items() if s.window is None or s.window[1] <= view.as_of.date}
    if unknown := [n for n in names if n not in known]:
        raise NotComputed(
            f"needs a scenario that had ended by {view.as_of}; got {unknown[0]}, there are {', '.join(known)}"
        )
    own = {"own": Shock(equity or 0.0, volatility, rate, moves)}
    if equity is None and not moves and not volatility and not rate:
        own = {}
    return version, {n: s for n, s in known.items() if n in names or (not names and not own)} | own


def _changes(book: Book, shock: Shock, rate: float, left: list[str]) -> dict[Holding, float]:
    """The change of each holding in USD; one whose ticker had no price then is left out and put into *left*."""
    moves = dict(shock.moves)
    if odd := moves.keys() - set(book.tickers):
        raise NotComputed(f"needs moves of tickers that the book holds; it holds no {', '.join(sorted(odd))}")
    for ticker in book.tickers:
        move = shock.equity if shock.window is None else _moved(book.prices[ticker], *shock.window)
        if move is None:
            left.append(ticker)
        else:
            moves.setdefault(ticker, move)
    return {
        h: h.value(moves[h.ticker], rate=rate + shock.rate, volatility=shock.volatility) - h.value(rate=rate)
        for h in book.holdings
        if h.ticker in moves
    }


def _moved(prices: Prices, start: date, end: date) -> float | None:
    """The return from the close of *start* to that of *end*, or of the session before.

    None where no close is near, or where closes as traded jump in it as in a split.
    """
    places = [int(np.searchsorted(prices.dates, np.datetime64(d), side="right")) - 1 for d in (start, end)]
    for place, wanted in zip(places, (start, end), strict=True):
        if place < 0 or (wanted - prices.dates[place].astype("datetime64[D]").item()).days > GAP_DAYS:
            return None
    span = slice(places[0], places[1] + 1)
    if prices.basis == "close" and jump(prices.values[span], prices.dates[span]):
        return None
    return float(prices.values[places[1]] / prices.values[places[0]] - 1)
