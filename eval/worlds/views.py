"""Situations of views: prices of which the base rate is known in closed form, so that every pooled chance is."""

import math

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.case import Case, Truth, situation
from openoutcry.eval.worlds.documents import Scene, side
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import rows

HORIZONS = {"10 days": 10, "2 weeks": 10, "20 days": 20, "12 sessions": 12, "4 weeks": 20}
"""Even horizons, as a question may put them."""
STRONG = 0.5
"""The step in log-odds of a strong direction."""


def valley(falling: int, rising: int, pace: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Returns of a price that falls and then rises, a little faster than it fell."""
    return np.expm1(np.concatenate([np.full(falling, -pace), np.full(rising, 1.01 * pace)]))


def share_up(falling: int, rising: int, horizon: int) -> float:
    """The share of overlapping windows of an even *horizon* over a valley that end higher.

    A window rises where half of its steps do or more: of falling + rising - horizon + 1 windows those that begin no
    earlier than half a horizon before the turn.
    """
    return (rising - horizon // 2 + 1) / (falling + rising - horizon + 1)


def pooled(base: float, *steps: float) -> float:
    """The chance after the mean of *steps* in log-odds from *base*."""
    odds = math.log(base / (1 - base)) + (sum(steps) / len(steps) if steps else 0.0)
    return 1 / (1 + math.exp(-odds))


@situation
def opinions(rng: np.random.Generator, one: Made) -> Case:
    """A valley of prices and documents of one tone; truths for roles that are sure of a rise (u) or a fall (d).

    `falling` and `rising` are its sessions, `horizon` one of HORIZONS, `documents` false leaves the documents out.
    """
    scene = Scene(rng, one)
    falling = option(one, "falling", int(rng.integers(40, 80)), low=11, high=1000)
    rising = option(one, "rising", int(rng.integers(40, 80)), low=11, high=1000)
    said = option(one, "horizon", str(rng.choice(list(HORIZONS))), among=HORIZONS)
    _take_prices(scene, falling, rising)
    if option(one, "documents", True):
        scene.write(side(rng), 3)
    base = share_up(falling, rising, HORIZONS[said])
    chances = {f"p_{name}": pooled(base, *(STRONG if c == "u" else -STRONG for c in name)) for name in VOTES}
    truths: dict[str, Truth] = {
        "base": base,
        **chances,
        "apart": pooled(base, STRONG) - pooled(base, -STRONG),
        "days": float(HORIZONS[said]),
        "below": pooled(base, STRONG) + 1e-9,
    }
    return scene.case(truths, {"horizon": said})


VOTES = ("u", "d", "uu", "dd", "ud", "uud", "udd", "uuu", "ddd")


def _take_prices(scene: Scene, falling: int, rising: int) -> None:
    """Give the scene's company a valley of prices instead; the case is asked at their end."""
    pace = float(scene.rng.uniform(0.002, 0.006))
    returns, price = valley(falling, rising, pace), float(scene.rng.uniform(20, 200))
    scene.close(rows(scene.one.ticker, returns, price, scene.start))


@situation
def newcomer(rng: np.random.Generator, one: Made) -> Case:
    """A company with forty closes: enough for its price to be told, too few for a base rate over ten days."""
    scene = Scene(rng, one)
    scene.close(scene.rows["prices"][:40])
    scene.write(side(rng), 3)
    return scene.case({})
