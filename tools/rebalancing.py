"""A portfolio chosen anew every so often from what was known by then, and what came of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Series
from openoutcry.tools.arguments import Ddof, Lookback, Periods, RiskFree, Tickers
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, multiple, number, text
from openoutcry.tools.formulas.allocation import bounds, weights
from openoutcry.tools.formulas.optimum import Array, Moments, Terms
from openoutcry.tools.portfolio import returns_of, slugs
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.problem import (
    Apart,
    Aversion,
    Chosen,
    Least,
    Leaves,
    Most,
    Short,
    Tail,
    TargetReturn,
    Tree,
)
from openoutcry.tools.tool import tool

Length = Annotated[int, Field(ge=3, le=10_000, description="how many returns before a rebalance its weights are from")]
Held = Annotated[int, Field(ge=1, le=10_000, description="how many returns later the weights are chosen anew")]
Cost = Annotated[float, Field(ge=0, lt=0.5, description="cost of trading as a share of what is bought and sold, 0.001")]
Holding = Annotated[
    Literal["drift", "constant"],
    Field(description="between rebalances weights drift with prices or are constant"),
]


@dataclass(frozen=True, slots=True)
class Walk:
    """Out-of-sample returns, what was traded at each rebalance (the first buys all), and the weights then."""

    returns: Array
    traded: Array
    weights: Array


@tool
def walk_forward(
    view: View,
    tickers: Tickers,
    method: Chosen = "minimum_variance",
    train: Length = 252,
    test: Held = 63,
    min_weight: Least = None,
    max_weight: Most = None,
    allow_short: Short = False,
    risk_free: RiskFree = 0.0,
    risk_aversion: Aversion = None,
    target_return: TargetReturn = None,
    confidence: Tail = 0.95,
    cost: Cost = 0.0,
    holding: Holding = "drift",
    linkage: Tree = "single",
    distance: Apart = "columns",
    leaf_order: Leaves = "tree",
    window: Lookback = None,
    periods: Periods = None,
    ddof: Ddof = 1,
) -> Evidence:
    """Out-of-sample return, volatility, Sharpe, drawdown and turnover of a rebalanced portfolio, beside equal weights.

    Every *test* returns the weights are chosen anew by *method* from the *train* returns before, and earn the *test*
    returns after: none sees a later return. The last stretch may be shorter. `equal_...` holds equal weights,
    rebalanced on the same days at the same cost.

    `annual_return` compounds; `sharpe` is (mean excess return) / standard deviation (n - ddof), times the square root
    of the periods a year; `max_drawdown` counts from the start; `turnover` is the mean sum of absolute weight
    changes at a rebalance, the first purchase left out, `annual_turnover` that a year; costs, also of the first
    purchase, are taken from the first return after. `weight_X` is what the last rebalance chose.

    Raises UnknownTicker, or NotComputed with fewer than *train* + 2 common returns, or as `optimal_weights` does.
    """
    series, returns = returns_of(view, tickers, window)
    if len(returns) < train + 2:
        raise NotComputed(f"needs at least {train + 2} common returns for train={train}; got {len(returns)}")
    pace = periods or view.pace or 252
    low, high = bounds(min_weight, max_weight, allow_short)
    terms = Terms(
        *(method, low, high, risk_free, risk_aversion, target_return, None, confidence),
        *(None, linkage, distance, leaf_order),
    )
    plain = Terms("equal_weight")
    ours, equal = (
        _walked(tuple(tickers), returns, (train, test), t, (pace, ddof), cost, holding == "drift")
        for t in (terms, plain)
    )
    dates = _days(together(series)[0], len(ours.returns))
    return view.evidence(
        {
            "method": text(method),
            **_told(ours, pace, risk_free, ddof, ""),
            **_told(equal, pace, risk_free, ddof, "equal_"),
            **{f"weight_{n}": fraction(w) for n, w in zip(slugs(tickers), ours.weights[-1], strict=True)},
            "rebalances": count(len(ours.weights)),
            "train": view.span(train),
            "test": view.span(test),
            "observations": view.span(len(ours.returns)),
            **series[0].until,
        },
        [p.rows for p in series],
        conventions={
            "returns": RETURNS.format(basis=series[0].basis),
            "annualisation": f"{pace:g} periods a year",
            "ddof": str(ddof),
            "holding": "weights drift between rebalances" if holding == "drift" else "weights held constant",
            "cost": f"{cost:g} of what is bought and sold",
        },
        missing=[m for p in series for m in stale(view, p)],
        series={
            name: Series(dates=dates, values=tuple(np.cumprod(1 + w.returns).tolist()))
            for name, w in (("wealth", ours), ("equal_wealth", equal))
        },
    )


def _days(prices: Prices, length: int) -> tuple[date, ...]:
    return tuple(prices.dates[-length:].astype("datetime64[D]").tolist()) if prices.dated else ()


def _walked(
    names: tuple[str, ...],
    returns: Array,
    lengths: tuple[int, int],
    terms: Terms,
    scale: tuple[float, int],
    cost: float,
    drifts: bool,
) -> Walk:
    pace, ddof = scale
    held, earned, traded, chosen = np.zeros(len(names)), list[Array](), list[float](), list[Array]()
    for past, future in _stretches(returns, *lengths):
        moments = Moments(names, past.mean(axis=0) * pace, np.cov(past, rowvar=False, ddof=ddof) * pace, past)
        fresh = weights(moments, terms)
        traded.append(float(np.abs(fresh - held).sum()))
        made, held = _held(fresh, future, drifts)
        made[0] = (1 - cost * traded[-1]) * (1 + made[0]) - 1
        earned.append(made)
        chosen.append(fresh)
    return Walk(np.concatenate(earned), np.asarray(traded), np.asarray(chosen))


def _stretches(returns: Array, train: int, test: int) -> Iterator[tuple[Array, Array]]:
    """What was known at each rebalance, and what came until the next."""
    for start in range(train, len(returns), test):
        yield returns[start - train : start], returns[start : start + test]


def _held(fresh: Array, future: Array, drifts: bool) -> tuple[Array, Array]:
    """The returns of these weights, and the weights at the end. Raises NotComputed where all is lost."""
    if not drifts:
        return future @ fresh, fresh
    worth = np.cumprod(1 + future, axis=0) * fresh
    whole = np.concatenate([[1.0], worth.sum(axis=1)])
    if (whole <= 0).any():
        raise NotComputed("needs a portfolio that keeps some value; its short positions lose all of it")
    return whole[1:] / whole[:-1] - 1, worth[-1] / whole[-1]


def _told(walk: Walk, pace: float, risk_free: float, ddof: int, prefix: str) -> dict[str, Figure]:
    made: NDArray[np.float64] = walk.returns
    if (made <= -1).any() or alike(made):
        raise NotComputed("needs out-of-sample returns above -100 % that differ")
    wealth = np.concatenate([[1.0], np.cumprod(1 + made)])
    spread = float(made.std(ddof=ddof)) * math.sqrt(pace)
    turnover = float(walk.traded[1:].mean()) if len(walk.traded) > 1 else 0.0
    a_year = float(walk.traded[1:].sum()) * pace / len(made)
    figures = {
        "total_return": fraction(wealth[-1] - 1),
        "annual_return": fraction(float(wealth[-1]) ** (pace / len(made)) - 1),
        "mean_return": fraction(made.mean() * pace),
        "volatility": fraction(spread),
        "sharpe": number((made.mean() * pace - risk_free) / spread),
        "max_drawdown": fraction((1 - wealth / np.maximum.accumulate(wealth)).max()),
        "turnover": multiple(turnover),
        "annual_turnover": multiple(a_year),
    }
    return {f"{prefix}{name}": figure for name, figure in figures.items()}
