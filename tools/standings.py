"""How well each role has done so far, from its settled views, and what its word should weigh."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np

from openoutcry.core.errors import NotComputed
from openoutcry.core.standing import Settled, Standing
from openoutcry.tools.formulas import forecast

BINS = 10


def standings(views: Sequence[Settled]) -> tuple[Standing, ...]:
    """The record of each role, model and horizon, in that order; none where there are no views.

    Of views of one role, model, ticker, horizon and session the first given counts, so that a question asked
    twice is not two. `separate` counts, a ticker at a time, views whose span begins when the last counted one
    ended, or later. Raises NotComputed for a chance or base rate that is not strictly between 0 and 1.
    """
    if wrong := next((v for v in views if not (0 < v.chance < 1 and 0 < v.base_rate < 1)), None):
        raise NotComputed(
            f"needs chances and base rates between 0 and 1; the view of {wrong.role} on {wrong.ticker} of {wrong.made} "
            f"has {wrong.chance:g} and {wrong.base_rate:g}"
        )
    return tuple(_standing(list(group)) for _, group in groupby(once(views), lambda v: (v.role, v.model, v.horizon)))


def once(views: Sequence[Settled]) -> list[Settled]:
    """The views that count, by role, model, horizon, ticker and session: of the same view given again, the first."""
    latest_first = reversed(sorted(views, key=lambda v: v.given))
    first = {(v.role, v.model, v.horizon, v.ticker, v.made): v for v in latest_first}
    return [first[key] for key in sorted(first)]


def weights(roles: Iterable[str], standings: Mapping[str, Standing]) -> dict[str, float]:
    """What each role weighs in the desk's view, by its standing; the weights sum to 1.

    A role without a standing counts as one that gained nothing over the base rate. See
    `formulas.forecast.pooling_weights`: equal weights without records, and near them while records are thin.
    """
    names = list(dict.fromkeys(roles))
    found = [standings.get(name) for name in names]
    gains, views = [s.gain if s else 0.0 for s in found], [s.separate if s else 0 for s in found]
    return dict(zip(names, forecast.pooling_weights(gains, views), strict=True))


def _standing(views: Sequence[Settled]) -> Standing:
    """The record of views of one role, model and horizon."""
    chance = np.array([v.chance for v in views])
    base = np.array([v.base_rate for v in views])
    happened = np.array([float(v.happened) for v in views])
    log, base_log = forecast.log_score(chance, happened), forecast.log_score(base, happened)
    tickers = dict.fromkeys(v.ticker for v in views)
    return Standing(
        role=views[0].role,
        model=views[0].model,
        horizon=views[0].horizon,
        settled=len(views),
        separate=sum(forecast.separate((v.made, v.ended) for v in views if v.ticker == t) for t in tickers),
        brier=forecast.brier(chance, happened),
        base_brier=forecast.brier(base, happened),
        log_score=log,
        base_log_score=base_log,
        gain=base_log - log,
        bins=forecast.calibration(chance, happened, BINS),
    )
