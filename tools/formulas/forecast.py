"""How good were probabilities: scores, their decomposition, calibration, and the weights of a panel by its record.

Plain numbers in and out. Chances lie from 0 to 1, outcomes are 0 or 1, one a chance; arrays have shape (n,) with
n of at least 1. A lower Brier or log score is better.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.standing import Bin

Values = NDArray[np.float64]
Places = NDArray[np.intp]
TRUST = 100
"""The number of separate views at which a record's gain is believed by half, and the most that it is let speak for."""
FLOOR = 0.2
"""The share of an equal weight that no role falls under."""


def brier(chances: Values, outcomes: Values) -> float:
    """The mean squared difference of chance and outcome: half of the score of two classes of Brier (1950)."""
    return float(((chances - outcomes) ** 2).mean())


def log_score(chances: Values, outcomes: Values) -> float:
    """The mean of -ln of the chance given to what happened, in nats (Good 1952).

    Infinite where a chance of 0 happened or one of 1 did not.
    """
    given = np.where(outcomes > 0, chances, 1 - chances)
    return -float(np.log(given).mean()) if given.min() > 0 else math.inf


def skill(score: float, reference: float) -> float:
    """The share of the reference's score that is saved: 1 is perfect, 0 no better; NaN where the reference is 0."""
    return 1 - score / reference if reference else math.nan


def equal_bins(chances: Values, bins: int) -> Places:
    """The bin of each chance among so many of equal width, from 0; a chance on an edge lies in the upper one."""
    return np.searchsorted(np.arange(1, bins) / bins, chances, side="right")


def distinct(chances: Values) -> Places:
    """The place of each chance among the distinct ones, so that a group holds one chance alone."""
    return np.unique(chances, return_inverse=True)[1]


@dataclass(frozen=True, slots=True)
class Parts:
    """A Brier score as reliability - resolution + uncertainty + variance - covariance.

    The last two are of the chances within groups, and 0 where each group holds one chance.
    """

    reliability: float
    resolution: float
    uncertainty: float
    variance: float
    covariance: float

    @property
    def total(self) -> float:
        """The Brier score that these make up."""
        return self.reliability - self.generalised_resolution + self.uncertainty

    @property
    def generalised_resolution(self) -> float:
        """Resolution - variance + covariance, which depends less on the bins than resolution alone does."""
        return self.resolution - self.variance + self.covariance


def decomposed(chances: Values, outcomes: Values, places: Places) -> Parts:
    """The parts of the Brier score, where *places* (n,) gives the group of each chance.

    Reliability, resolution and uncertainty by Murphy (1973); the two terms within groups, without which the parts
    of binned chances do not add up, by Stephenson, Coelho and Jolliffe (2008).
    """
    counts, mean, frequency, inverse = _groups(chances, outcomes, places)
    share, rate = counts / counts.sum(), float(outcomes.mean())
    away = chances - mean[inverse]
    return Parts(
        reliability=float(share @ (mean - frequency) ** 2),
        resolution=float(share @ (frequency - rate) ** 2),
        uncertainty=rate * (1 - rate),
        variance=float((away**2).mean()),
        covariance=float(2 * (away * (outcomes - frequency[inverse])).mean()),
    )


def calibration(chances: Values, outcomes: Values, bins: int | None = None) -> tuple[Bin, ...]:
    """Mean chance against frequency in bins of equal width, or by distinct chance; empty bins are left out."""
    places = distinct(chances) if bins is None else equal_bins(chances, bins)
    counts, mean, frequency, _ = _groups(chances, outcomes, places)
    edges = [(c, c) for c in mean.tolist()] if bins is None else [(k / bins, (k + 1) / bins) for k in _used(places)]
    cells = zip(edges, counts.tolist(), mean.tolist(), frequency.tolist(), strict=True)
    return tuple(Bin(low=a, high=b, views=int(n), mean_chance=p, frequency=o) for (a, b), n, p, o in cells)


def _used(places: Places) -> list[int]:
    return np.unique(places).tolist()


def _groups(chances: Values, outcomes: Values, places: Places) -> tuple[Values, Values, Values, Places]:
    """Of each group that is not empty: count, mean chance, frequency; and the group of each chance among them."""
    inverse = np.unique(places, return_inverse=True)[1]
    counts = np.bincount(inverse).astype(np.float64)
    return counts, np.bincount(inverse, chances) / counts, np.bincount(inverse, outcomes) / counts, inverse


def calibration_error(bins: Sequence[Bin]) -> float:
    """The mean distance of frequency from mean chance, bins weighted by their views (Naeini et al. 2015)."""
    views = sum(b.views for b in bins)
    return math.fsum(b.views * abs(b.frequency - b.mean_chance) for b in bins) / views


def spiegelhalter(chances: Values, outcomes: Values) -> tuple[float, float]:
    """Spiegelhalter's z (1986), and its two-sided p-value: is the Brier score that of calibrated chances?

    Under calibration the score is asymptotically normal about the mean of p (1 - p). A positive z says that it is
    worse than the chances claim. NaN where every chance is 0, 0.5 or 1, for which the score cannot vary.
    """
    tilt = 1 - 2 * chances
    variance = float((tilt**2 * chances * (1 - chances)).sum())
    if variance <= 0:
        return math.nan, math.nan
    z = float(((outcomes - chances) * tilt).sum()) / math.sqrt(variance)
    return z, math.erfc(abs(z) / math.sqrt(2))


def separate(spans: Iterable[tuple[date, date]]) -> int:
    """How many of the spans (first day, last day) do not overlap, counting greedily by their ends.

    A span counts that begins on the last day of the one counted before it, or later: no larger set exists.
    """
    found, free = 0, date.min
    for first, last in sorted(spans, key=lambda span: (span[1], span[0])):
        if first >= free:
            found, free = found + 1, last
    return found


def pooling_weights(gains: Sequence[float], views: Sequence[int]) -> list[float]:
    """Weights, which sum to 1, of forecasters by their records: Bayesian pooling weights, tempered toward equal.

    *gains* are mean log-score gains in nats a view over a common reference, *views* the number of separate ones.
    Bayesian model averaging weighs by exp(gain x views). Here gain and views are both shrunk by
    t = views / (views + TRUST): exp(t gain x t TRUST), the odds that a record of TRUST views would give at the gain
    that is believed. FLOOR of the weight is shared equally. One without views weighs as one that gained nothing.
    """
    if not gains:
        return []
    speaks = [TRUST * (n / (n + TRUST)) ** 2 * gain if n else 0.0 for gain, n in zip(gains, views, strict=True)]
    shares = [math.exp(x - max(speaks)) for x in speaks]
    whole = math.fsum(shares)
    return [FLOOR / len(gains) + (1 - FLOOR) * share / whole for share in shares]
