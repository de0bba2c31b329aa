"""Binomial trees of any number of steps, node by node as the textbooks draw them.

QuantLib's own Cox-Ross-Rubinstein engine approximates the probability of an up move, so that with few steps
it does not give the textbook's values; hence this one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.contract import Option

Moves = Literal["crr", "equal"]
MAX_STEPS = 5000


@dataclass(frozen=True, slots=True)
class Tree:
    """The price at the root, the moves, and the greeks of the first nodes (None where there are too few steps)."""

    price: float
    up: float
    down: float
    probability: float
    delta: float
    gamma: float | None
    theta: float | None


def tree(option: Option, steps: int, up: float | None = None, down: float | None = None, moves: Moves = "crr") -> Tree:
    """Price *option* backwards through *steps* moves, with greeks as Hull reads them off the tree.

    `crr`: up = e^(volatility x root of the step), down = 1 / up (Cox, Ross and Rubinstein 1979). `equal`: both
    moves have probability 1/2 (Jarrow and Rudd 1983). *up* and *down* take the place of the volatility. Cash
    dividends are escrowed: the tree is of the spot less their present value. Raises NotComputed where the
    probability of an up move leaves 0 to 1.
    """
    step = option.years / steps
    grows = math.exp((option.rate - option.dividend_yield) * step)
    rise, fall = _moves(option, step, moves) if up is None or down is None else (up, down)
    chance = 0.5 if moves == "equal" and up is None else (grows - fall) / (rise - fall) if rise > fall else math.nan
    if not 0 < chance < 1:
        raise NotComputed(
            f"needs moves with down < growth < up; got {fall:.6g}, {grows:.6g}, {rise:.6g}: more steps, or other moves"
        )
    levels: list[NDArray[np.float64]] = []
    values = np.empty(0)
    for i in range(steps, -1, -1):
        pays = np.maximum(option.sign * (_prices(option, i, step, rise, fall) - option.strike), 0.0)
        if i == steps:
            values = pays
        else:
            values = math.exp(-option.rate * step) * (chance * values[:-1] + (1 - chance) * values[1:])
            values = np.maximum(values, pays) if option.exercise == "american" else values
        levels = [values, *levels][:3]
    spots = [_prices(option, i, step, rise, fall) for i in range(min(steps, 2) + 1)]
    return Tree(float(values[0]), rise, fall, chance, _delta(levels, spots), *_curve(levels, spots, step))


def _moves(option: Option, step: float, moves: Moves) -> tuple[float, float]:
    spread = option.volatility * math.sqrt(step)
    drift = (option.rate - option.dividend_yield - option.volatility**2 / 2) * step if moves == "equal" else 0.0
    return math.exp(drift + spread), math.exp(drift - spread)


def _prices(option: Option, i: int, step: float, up: float, down: float) -> NDArray[np.float64]:
    """The prices after *i* moves, highest first, with what dividends are still to come."""
    falls = np.arange(i + 1)
    now = i * step
    ahead = sum(c * math.exp(-option.rate * (t - now)) for t, c in option.dividends if t >= now - 1e-9)
    return (option.spot - option.paid) * np.exp((i - falls) * math.log(up) + falls * math.log(down)) + ahead


def _delta(levels: list[NDArray[np.float64]], spots: list[NDArray[np.float64]]) -> float:
    return float((levels[1][0] - levels[1][1]) / (spots[1][0] - spots[1][1]))


def _curve(
    levels: list[NDArray[np.float64]], spots: list[NDArray[np.float64]], step: float
) -> tuple[float | None, float | None]:
    """Gamma from the three nodes after two moves, and theta from the middle one of them against the root.

    Where that node's price is not the root's, what delta and gamma make of the difference is taken off.
    """
    if len(levels) < 3:
        return None, None
    (high, middle, low), at = levels[2], spots[2]
    bend = (high - middle) / (at[0] - at[1]) - (middle - low) / (at[1] - at[2])
    gamma, away = bend / ((at[0] - at[2]) / 2), at[1] - spots[0][0]
    change = middle - levels[0][0] - _delta(levels, spots) * away - gamma * away**2 / 2
    return float(gamma), float(change / (2 * step))
