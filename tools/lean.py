"""Directions into probabilities: a base rate from the data, moved by each role's lean."""

import math
from collections.abc import Mapping, Sequence

from openoutcry.core.evidence import Evidence, Figure
from openoutcry.core.report import Lean
from openoutcry.core.standing import Standing
from openoutcry.tools.data.closes import together
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, number, probability, sessions, text
from openoutcry.tools.formulas.forecast import FLOOR, TRUST
from openoutcry.tools.standings import weights
from openoutcry.tools.tool import tool

SHIFT = {Lean.STRONG_DOWN: -0.5, Lean.DOWN: -0.25, Lean.NEUTRAL: 0.0, Lean.UP: 0.25, Lean.STRONG_UP: 0.5}
WINDOW = 2520
FEWEST = 60
WEIGHED = (
    f"mean of log-odds, weights by record: {FLOOR:.0%} equal, the rest as exp({TRUST} t^2 gain) with "
    f"t = separate / (separate + {TRUST})"
)


@tool
def combine_views(
    view: View,
    tickers: Sequence[str],
    horizon: int,
    leans: Mapping[str, Lean],
    record: Mapping[str, Standing] = {},
) -> Evidence:
    """The desk's view: the chance that the first ticker ends *horizon* sessions higher.

    With two tickers: that the first one's return beats the second's. The base rate is how often that
    happened in overlapping windows of the last 2,520 sessions. Each role with a lean moves its log-odds
    by a fixed step; the desk's view is the mean of those log-odds, each with the role's weight. Roles weigh
    the same unless *record*, by role, holds how their views over such a horizon came true: see
    `standings.weights`. A role without a lean is left out. Raises UnknownTicker, or NotComputed with fewer
    than 60 windows.
    """
    first, rows = view.prices(tickers[0]), [view.prices(t).rows for t in tickers[:2]]
    if len(tickers) > 1:
        other = view.prices(tickers[1])
        first, other = together([first, other])
        spans = first.horizon_returns(WINDOW, horizon, FEWEST) - other.horizon_returns(WINDOW, horizon, FEWEST)
    else:
        spans = first.horizon_returns(WINDOW, horizon, FEWEST)
    share = min(max(float((spans > 0).mean()), 0.01), 0.99)
    base = math.log(share / (1 - share))
    odds = {role: base + SHIFT[lean] for role, lean in leans.items() if lean in SHIFT}
    chances = {role: _chance(x) for role, x in odds.items()}
    weight = weights(odds, record)
    desk = _chance(math.fsum(weight[role] * x for role, x in odds.items())) if odds else share
    disagreement = max(chances.values()) - min(chances.values()) if chances else 0.0
    return view.evidence(
        {
            "ticker": text(tickers[0]),
            **({"other": text(tickers[1])} if len(tickers) > 1 else {}),
            "horizon": sessions(horizon),
            "p_up": probability(desk),
            "p_down": probability(1 - desk),
            "base_rate": probability(share),
            "windows": sessions(len(spans)),
            **{f"{role}_p_up": probability(p) for role, p in chances.items()},
            "disagreement": fraction(disagreement),
            **{f"{role}_weight": fraction(share) for role, share in weight.items()},
            **_records({role: record[role] for role in odds if role in record}),
            **first.until,
        },
        rows,
        conventions={
            "event": "a higher close at its end"
            if len(tickers) == 1
            else f"{tickers[0]} returning more than {tickers[1]}",
            "base rate": f"overlapping windows of the last {WINDOW} sessions",
            "steps": ", ".join(f"{lean} {step:+g}" for lean, step in SHIFT.items()) + " in log-odds",
            "pooling": WEIGHED if any(role in record for role in odds) else "mean of log-odds, equal weights",
            "disagreement": "highest less lowest role probability",
        },
    )


def _records(found: Mapping[str, Standing]) -> dict[str, Figure]:
    """What the weights rest on: views settled, those with spans apart, and the gain over the base rate in nats."""
    figures: dict[str, Figure] = {}
    for role, standing in found.items():
        figures |= {
            f"{role}_settled": count(standing.settled),
            f"{role}_separate": count(standing.separate),
            f"{role}_gain": number(standing.gain),
        }
    return figures


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
