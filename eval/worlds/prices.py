"""Situations of prices: returns of which the whole distribution is known, in an order that chance decides."""

import math
from datetime import date
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds import tails
from openoutcry.eval.worlds.case import Case, Row, Truth, situation
from openoutcry.eval.worlds.options import option

START = date(2018, 1, 2)
HORIZONS = {"1 day": 1, "2 days": 2, "a week": 5, "7 days": 7, "10 days": 10, "two weeks": 10, "15 sessions": 15}
"""Horizons as people say them, in sessions."""
LEVELS = {"90%": 0.9, "95%": 0.95, "97.5%": 0.975, "99%": 0.99}
FAR = ("97.5%", "99%", "99.5%")
"""Confidences far out in a tail."""
Values = NDArray[np.float64]


def weekdays(length: int, start: date = START) -> list[date]:
    """The first *length* weekdays from *start* on."""
    return np.busday_offset(np.datetime64(start), np.arange(length), roll="forward").tolist()


def rows(ticker: str, returns: Values, price: float, start: date = START) -> list[Row]:
    """A row a session: *price*, and then one more for each of *returns* (simple)."""
    closes = price * np.concatenate([[1.0], np.cumprod(1 + returns)])
    days = np.busday_offset(np.datetime64(start), np.arange(len(closes)), roll="forward")
    return [
        {"ticker": ticker, "date": day, "close": close, "adj_close": close}
        for day, close in zip(np.datetime_as_string(days).tolist(), map(repr, closes.tolist()), strict=True)
    ]


def named(one: Made, made: list[Row], **others: list[Row]) -> dict[str, list[Row]]:
    """The rows of a case about one company: its prices, its name, and what else there is."""
    return {"prices": made, "companies": [{"ticker": one.ticker, "name": one.name}], **others}


@situation
def steady(rng: np.random.Generator, one: Made) -> Case:
    """Daily returns that are the quantiles of a normal law, shuffled: deviation and daily bounds are known exactly.

    There are 1,000 returns, the quantiles of the law at (i + 1/2) / 1000. What is true of a tail is the quantile of
    these returns by linear interpolation (type 7, as numpy has it), close to that of the law but not the same: at 1 %
    of a deviation of 0.02 it differs in the third digit. `percent` (of the confidence) and `horizon` may be chosen as
    they are said; else chance does. `var_1d` is the loss bound of one day at 99 %, whatever is chosen.
    """
    special: Any = import_module("scipy.special")
    sessions, deviation = 1000, option(one, "deviation", float(rng.uniform(0.008, 0.03)), low=1e-4, high=0.25)
    drift = float(rng.uniform(-2e-4, 8e-4))
    grid: Values = drift + deviation * special.ndtri((np.arange(sessions) + 0.5) / sessions)
    returns: Values = rng.permutation(grid)
    made = rows(one.ticker, returns, float(rng.uniform(20, 200)))
    horizon = option(one, "horizon", str(rng.choice(list(HORIZONS))), among=HORIZONS)
    level = option(one, "percent", str(rng.choice(list(LEVELS))), among=LEVELS)
    days, confidence = HORIZONS[horizon], LEVELS[level]
    return Case(
        rows=named(one, made),
        truths={
            "var_1d": tails.empirical(grid, 0.99).var,
            "close": float(made[-1]["close"]),
            "days": float(days),
            "level": confidence,
            **_measured(returns, days, confidence),
        },
        as_of=made[-1]["date"],
        words={"horizon": horizon, "confidence": level},
    )


def _measured(returns: Values, days: int, confidence: float) -> dict[str, Truth]:
    """Losses over *days* by history and by a normal curve, and the deviation a year, plain and weighted."""
    over = tails.spans(returns, days)
    seen, curve = tails.empirical(over, confidence), tails.normal(over, confidence)
    return {
        "var": seen.var,
        "es": seen.es,
        "normal_var": curve.var,
        "normal_es": curve.es,
        "volatility": tails.annual(returns, 252),
        "volatility_weighted": tails.weighted(returns[-252:]),
        "share_up": float((over > 0).mean()),
        "worst": float(over.min()),
    }


@situation
def heavy(rng: np.random.Generator, one: Made) -> Case:
    """Daily returns that are the quantiles of a Student t, shuffled: tails fatter than a normal law has them.

    There are 1,000 returns, the quantiles of the law at (i + 1/2) / 1000, moved by a drift and scaled. `student_var` is
    the bound of the law itself, `var` and `es` are of these returns, the quantile by linear interpolation (type 7).
    """
    special: Any = import_module("scipy.special")
    sessions, freedom = 1000, option(one, "freedom", int(rng.integers(3, 7)), low=3, high=100)
    scale, drift = float(rng.uniform(0.005, 0.015)), float(rng.uniform(-2e-4, 6e-4))
    grid: Values = drift + scale * special.stdtrit(freedom, (np.arange(sessions) + 0.5) / sessions)
    returns: Values = rng.permutation(grid)
    made = rows(one.ticker, returns, float(rng.uniform(20, 200)))
    level = option(one, "percent", str(rng.choice(FAR)), among=FAR)
    confidence = round(float(level.rstrip("%")) / 100, 6)
    far = tails.extreme(grid, 0.999)
    return Case(
        rows=named(one, made),
        truths={
            "level": confidence,
            "student_var": tails.student(drift, scale, freedom, confidence),
            "modified_var": tails.modified(grid, confidence),
            "var": tails.empirical(grid, confidence).var,
            "es": tails.empirical(grid, confidence).es,
            "extreme_var": far.var,
            "extreme_es": far.es,
        },
        as_of=made[-1]["date"],
        words={"confidence": level},
    )


@situation
def clustered(rng: np.random.Generator, one: Made) -> Case:
    """Returns of a GARCH(1,1) whose parameters are known, with a storm at the end: the next deviation is known."""
    sessions = 2200
    alpha, beta = float(rng.uniform(0.07, 0.11)), float(rng.uniform(0.84, 0.88))
    base = float(rng.uniform(0.009, 0.018)) ** 2
    drawn = rng.standard_normal(sessions)
    drawn[-6:] = rng.choice([-1.0, 1.0], 6) * rng.uniform(2.2, 2.6, 6)
    returns, variance = np.empty(sessions), base
    for i, z in enumerate(drawn.tolist()):
        returns[i] = math.sqrt(variance) * z
        variance = base * (1 - alpha - beta) + alpha * returns[i] ** 2 + beta * variance
    made = rows(one.ticker, returns, float(rng.uniform(20, 200)))
    truths: dict[str, Truth] = {"forecast": math.sqrt(variance * 252), "long_run": math.sqrt(base * 252)}
    return Case(rows=named(one, made), truths=truths, as_of=made[-1]["date"])
