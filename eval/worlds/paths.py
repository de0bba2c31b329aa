"""Situations of paths: falls of planned depth, bounds broken a planned number of times, short lives."""

import numpy as np
from numpy.typing import NDArray

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds import tails
from openoutcry.eval.worlds.case import Case, situation
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import named, rows

Values = NDArray[np.float64]
TESTED, BEFORE = 250, 500


@situation
def fallen(rng: np.random.Generator, one: Made) -> Case:
    """Two falls from two peaks, the first the deeper and made good, the second still under way."""
    deep = option(one, "deep", float(rng.uniform(0.25, 0.6)), low=0.01, high=0.95)
    second = deep * float(rng.uniform(0.4, 0.8))
    now = second * float(rng.uniform(0.3, 0.8))
    lengths = rng.integers((40, 15, 60, 40, 15, 10), (120, 60, 160, 120, 60, 40))
    whole = np.log([1.3, 1 - deep, 1.1 / (1 - deep), 1.2, 1 - second, (1 - now) / (1 - second)])
    legs = [_leg(rng, int(n), float(total)) for n, total in zip(lengths, whole, strict=True)]
    made = rows(one.ticker, np.expm1(np.concatenate(legs)), float(rng.uniform(20, 200)))
    turns = np.cumsum(lengths)
    return Case(
        rows=named(one, made),
        truths={
            "deepest": deep,
            "second": second,
            "now": now,
            "to_trough": float(lengths[1]),
            "peak_date": made[int(turns[0])]["date"],
            "trough_date": made[int(turns[1])]["date"],
        },
        as_of=made[-1]["date"],
    )


def _leg(rng: np.random.Generator, sessions: int, total: float) -> Values:
    """Log returns of one sign that add up to *total*."""
    return rng.dirichlet(np.full(sessions, 3.0)) * total


@situation
def tested(rng: np.random.Generator, one: Made) -> Case:
    """A band of small moves, and *broken* losses, each worse than any before: no forecast from the past holds them."""
    broken = option(one, "broken", int(rng.integers(1, 13)), low=0, high=100)
    calm = rng.permutation(np.linspace(-0.01, 0.011, BEFORE))
    test = rng.uniform(-0.006, 0.008, TESTED)
    days = np.sort(rng.permutation(np.arange(TESTED))[:broken])
    test[days] = -(0.03 + 0.005 * np.arange(broken))
    made = rows(one.ticker, np.concatenate([calm, test]), float(rng.uniform(20, 200)))
    return Case(
        rows=named(one, made),
        truths={"exceptions": float(broken), "zone": tails.zone(broken, TESTED, 0.99)},
        as_of=made[-1]["date"],
    )


@situation
def young(rng: np.random.Generator, one: Made) -> Case:
    """A company that is listed since a few weeks: too few returns for a tail, enough for a deviation."""
    known: int = option(one, "returns", int(rng.integers(30, 55)), low=2, high=252)
    returns: Values = 0.02 * rng.standard_normal(known)
    made = rows(one.ticker, returns, float(rng.uniform(20, 200)))
    return Case(
        rows=named(one, made),
        truths={"volatility": tails.annual(returns, known), "last_date": made[-1]["date"]},
        as_of=made[-1]["date"],
    )


@situation
def still(rng: np.random.Generator, one: Made) -> Case:
    """A price that has never moved."""
    made = rows(one.ticker, np.zeros(300), 50.0)
    return Case(rows=named(one, made), truths={"close": 50.0}, as_of=made[-1]["date"])
