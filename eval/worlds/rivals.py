"""Situations of prices and accounts side by side: one company's price over spans, and two companies to compare."""

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.books import beside
from openoutcry.eval.worlds.case import Case, situation
from openoutcry.eval.worlds.prices import named, rows
from openoutcry.eval.worlds.statements import START, Books, filings

SPANS = {"a month": 21, "a quarter": 63, "63 sessions": 63, "a year": 252, "21 sessions": 21, "252 sessions": 252}
FIGURES = {21: "return_month", 63: "return_quarter", 252: "return_year"}
"""The figure of `price_summary` that is a return over so many sessions."""
AVERAGED = (30, 50, 100)


@situation
def priced(rng: np.random.Generator, one: Made) -> Case:
    """A price whose way over a month, a quarter and a year is known."""
    returns = rng.normal(float(rng.uniform(-4e-4, 9e-4)), float(rng.uniform(0.008, 0.022)), 320)
    made = rows(one.ticker, returns, float(rng.uniform(20, 200)))
    closes = np.array([float(r["close"]) for r in made])
    span, length = str(rng.choice(list(SPANS))), int(rng.choice(AVERAGED))
    others = [figure for sessions, figure in FIGURES.items() if sessions != SPANS[span]]
    return Case(
        rows=named(one, made),
        truths={
            "figure": FIGURES[SPANS[span]],
            "not_this": others[0],
            "nor_this": others[1],
            "change": float(closes[-1] / closes[-1 - SPANS[span]] - 1),
            "below_high": float(1 - closes[-1] / closes[-252:].max()),
            "above_average": float(closes[-1] / closes[-length:].mean() - 1),
            "length": float(length),
        },
        as_of=made[-1]["date"],
        words={"span": span, "length": str(length)},
    )


@situation
def rivals(rng: np.random.Generator, one: Made) -> Case:
    """Two companies on the same sessions, with accounts of both; the first moves with the second by a known beta."""
    other = beside(one.ticker, 1)[0]
    ours, theirs = Books(rng), Books(rng)
    ours.returns = 1e-4 + float(rng.uniform(0.5, 1.6)) * theirs.returns + 0.5 * ours.returns
    made, beyond = rows(one.ticker, ours.returns, ours.price, START), rows(other, theirs.returns, theirs.price, START)
    year = [float(np.prod(1 + books.returns[-252:]) - 1) for books in (ours, theirs)]
    slope, _ = np.polyfit(theirs.returns, ours.returns, 1)
    now, then = ours.quarters[-1], theirs.quarters[-1]
    rows_of = named(one, [*made, *beyond], fundamentals=[*filings(one.ticker, ours), *filings(other, theirs)])
    rows_of["companies"].append({"ticker": other, "name": other.capitalize()})
    return Case(
        rows=rows_of,
        truths={
            "beta": float(slope),
            "return": year[0],
            "other_return": year[1],
            "difference": year[0] - year[1],
            "margin": now["net_income"] / now["revenue"],
            "other_margin": then["net_income"] / then["revenue"],
            "other_ticker": other,
        },
        as_of=made[-1]["date"],
        words={"other": other.capitalize()},
    )
