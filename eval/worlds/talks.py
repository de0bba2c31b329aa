"""Situations of conversations: two companies, and what each turn about them must give."""

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds import tails
from openoutcry.eval.worlds.case import Case, Row, Truth, situation
from openoutcry.eval.worlds.documents import OPPOSITE, Scene, bounds, side
from openoutcry.eval.worlds.prices import rows
from openoutcry.eval.worlds.sentences import swapped

RETURNS = 420
LEVELS = {"95": 0.95, "99": 0.99, "90": 0.9}
DAYS = (1, 5, 20)


@situation
def pair(rng: np.random.Generator, one: Made) -> Case:
    """Two companies with documents of opposite tones, and the bounds of both by horizon and confidence.

    Truths: var_95_1 and so on of the first, other_var_95_1 of the second; close and other_close; low and high of the
    first one's tone, other_low and other_high of the second's.
    """
    scene, tone, other = Scene(rng, one), side(rng), swapped(one.name)
    scene.rows["companies"] = [*scene.rows["companies"], {"ticker": other.upper(), "name": other}]
    truths: dict[str, Truth] = {"other_ticker": other.upper(), "ticker": one.ticker}
    made: list[Row] = []
    for prefix, ticker in (("", one.ticker), ("other_", other.upper())):
        returns = rng.standard_t(5, RETURNS) * float(rng.uniform(0.006, 0.02))
        these = rows(ticker, np.clip(returns, -0.3, 0.3), float(rng.uniform(20, 200)), scene.start)
        made += these
        truths[f"{prefix}close"] = float(these[-1]["close"])
        for days in DAYS:
            over = tails.spans(np.clip(returns, -0.3, 0.3), days)
            truths |= {f"{prefix}var_{n}_{days}": tails.empirical(over, level).var for n, level in LEVELS.items()}
    scene.close(made)
    scene.write(tone, 3)
    scene.write(OPPOSITE[tone], 3, name=other, ticker=other.upper())
    truths |= {**bounds(tone), **{f"other_{k}": v for k, v in bounds(OPPOSITE[tone]).items()}}
    return scene.case(truths, {"other": other})
