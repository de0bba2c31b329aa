"""Test statistics of an event study, of each day and of the whole event window."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Convention = Literal["textbook", "estudy2"]
TINY = 1e-14
Tested = tuple[Array, Array]
"""A statistic a day, and its two-sided p-value."""


@dataclass(frozen=True, slots=True)
class Study:
    """Abnormal returns of n companies: `estimation` (T x n, NaN where a company has none) and `event` (L x n).

    `standardised` are those of the event over their forecast errors; `lengths` the estimation returns of each;
    `spent` the parameters of the model; `cumulative_errors` the standard error of each cumulative abnormal return;
    `forecast` the mean factor by which a forecast error exceeds a residual, day by day (Lamb's).
    """

    estimation: Array
    event: Array
    standardised: Array
    lengths: Array
    spent: int
    cumulative_errors: Array
    forecast: Array
    convention: Convention

    @property
    def companies(self) -> int:
        """How many there are."""
        return self.event.shape[1]

    @property
    def together(self) -> Array:
        """Estimation and event, one under the other."""
        return np.vstack([self.estimation, self.event])

    def sums(self, values: Array) -> Array:
        """A day's sum over the companies; R's estudy2 takes the mean times all companies, also those without one."""
        known = (~np.isnan(values)).sum(axis=1)
        totals = np.nansum(values, axis=1)
        return totals * self.companies / known if self.convention == "estudy2" else totals


def daily(study: Study) -> dict[str, Tested]:
    """Every test of each day's abnormal returns over the companies. The tests across companies need two."""
    alone = {"brown_warner_1980": brown_warner_1980, "brown_warner_1985": brown_warner_1985, "patell": patell}
    across: dict[str, Callable[[Study], Tested]] = {
        "lamb": lamb,
        "t_test": t_test,
        "boehmer": boehmer,
        "sign": sign,
        "generalized_sign": generalized_sign,
        "corrado_sign": corrado_sign,
        "rank": rank,
        "modified_rank": modified_rank,
        "wilcoxon": wilcoxon,
    }
    tests = {**alone, **(across if study.companies > 1 else {})}
    return {name: test(study) for name, test in tests.items()}


def brown_warner_1980(study: Study) -> Tested:
    """The mean over its error from each company's own variance (Brown and Warner 1980); t with mean T - 1."""
    spread = math.sqrt(float(np.nanvar(study.estimation, axis=0, ddof=1).sum())) / study.companies
    return _student(study.event.mean(axis=1) / spread, float(study.lengths.mean()) - 1)


def brown_warner_1985(study: Study) -> Tested:
    """The mean over the deviation of the mean in the estimation period (Brown and Warner 1985); t with mean T - 1."""
    return _student(_ratio(study.event.mean(axis=1), _portfolio(study)), float(study.lengths.mean()) - 1)


def lamb(study: Study) -> Tested:
    """Brown and Warner's of 1985 with the market model's forecast error (Lamb 1995); normal."""
    return _normal(_ratio(study.event.mean(axis=1) / study.forecast, _portfolio(study)))


def t_test(study: Study) -> Tested:
    """The mean over its cross-sectional error; t with n - 1."""
    return _student(_over_error(study.event), study.companies - 1)


def patell(study: Study) -> Tested:
    """The sum of standardised abnormal returns over its deviation (Patell 1976); normal."""
    free = study.lengths - study.spent
    return _normal(study.standardised.sum(axis=1) / math.sqrt(float((free / (free - 2)).sum())))


def boehmer(study: Study) -> Tested:
    """The mean standardised return over its cross-sectional error (Boehmer, Musumeci, Poulsen 1991); t with n - 1."""
    return _student(_over_error(study.standardised), study.companies - 1)


def sign(study: Study) -> Tested:
    """How many are positive, against a half; normal."""
    return _binomial(study.event, 0.5)


def generalized_sign(study: Study) -> Tested:
    """How many are positive, against the share in the estimation period (Cowan 1992); normal."""
    return _binomial(study.event, positive_share(study))


def positive_share(study: Study) -> float:
    """The share of positive abnormal returns in the estimation period."""
    known = study.estimation[~np.isnan(study.estimation)]
    return float((known > 0).mean())


def corrado_sign(study: Study) -> Tested:
    """Signs about each company's median (Corrado and Zivney 1992); normal."""
    return _rooted(study, np.sign(study.together - np.nanmedian(study.together, axis=0)))


def rank(study: Study) -> Tested:
    """Ranks about each company's mean rank (Corrado 1989; Cowan 1992); normal."""
    ranks = _ranks(study)
    apart = ranks - np.nanmean(ranks, axis=0)
    means = study.sums(apart) / (~np.isnan(apart)).sum(axis=1)
    spread = math.sqrt(float((means**2).sum()) / _mean_length(study))
    return _normal(_ratio(means[-len(study.event) :], spread))


def modified_rank(study: Study) -> Tested:
    """Ranks over one more than how many there are, about a half (Corrado and Zivney 1992); normal."""
    ranks = _ranks(study)
    return _rooted(study, ranks / ((~np.isnan(ranks)).sum(axis=0) + 1) - 0.5)


def wilcoxon(study: Study) -> Tested:
    """The sum of the ranks of positive abnormal returns (Wilcoxon 1945); exact where there are no ties."""
    return _signed_ranks(study.event)


def whole(study: Study) -> dict[str, Tested]:
    """Every test of the cumulative abnormal returns, each an array of one."""
    days = len(study.event)
    cars = study.event.sum(axis=0, keepdims=True)
    standard = cars / study.cumulative_errors
    free = study.lengths - study.spent
    n = study.companies
    tests = {
        "j1": _normal(cars.mean(axis=1) / (math.sqrt(float((study.cumulative_errors**2).sum())) / n)),
        "j2": _normal(standard.sum(axis=1) / math.sqrt(float((free / (free - 2)).sum()))),
        "patell_car": _normal(patell(study)[0].sum(keepdims=True) / math.sqrt(days)),
        "brown_warner_1985_car": _normal(brown_warner_1985(study)[0].sum(keepdims=True) / math.sqrt(days)),
    }
    if n < 2:
        return tests
    boehmer_car, factor = _over_error(standard), _uncorrelated(study)
    corrected = {} if factor is None else {"kolari_pynnonen_car": _student(boehmer_car * factor, n - 1)}
    return tests | {
        "lamb_car": _normal(lamb(study)[0].sum(keepdims=True) / math.sqrt(days)),
        "t_test_car": _student(_over_error(cars), n - 1),
        "boehmer_car": _student(boehmer_car, n - 1),
        **corrected,
        "sign_car": _binomial(cars, 0.5),
        "generalized_sign_car": _binomial(cars, positive_share(study)),
        "rank_car": rank_car(study),
        "wilcoxon_car": _signed_ranks(cars),
    }


def rank_car(study: Study) -> Tested:
    """The mean rank in the event window, against the mean of all (Cowan 1992); normal."""
    ranks = _ranks(study)
    middle = float(np.nanmean(ranks, axis=0).mean())
    spread = math.sqrt(float(((np.nanmean(ranks, axis=1) - middle) ** 2).sum()) / _mean_length(study))
    days = len(study.event)
    return _normal(_ratio(np.asarray([math.sqrt(days) * (ranks[-days:].mean() - middle)]), spread))


def _uncorrelated(study: Study) -> float | None:
    """sqrt((1 - r) / (1 + (n - 1) r)) with the mean correlation of residuals (Kolari and Pynnonen 2010), if any."""
    shared = study.estimation[~np.isnan(study.estimation).any(axis=1)]
    n = study.companies
    if len(shared) < 3 or (np.ptp(shared, axis=0) < TINY).any():
        return None
    mean = (float(np.corrcoef(shared, rowvar=False).sum()) - n) / (n * (n - 1))
    inflated = 1 + (n - 1) * mean
    return math.sqrt(max(1 - mean, 0) / inflated) if inflated > TINY else None


def _portfolio(study: Study) -> float:
    """The deviation of the companies' mean abnormal return over the estimation period (divisor T - 1)."""
    return float(np.nanmean(study.estimation, axis=1).std(ddof=1))


def _mean_length(study: Study) -> float:
    return float((~np.isnan(study.together)).sum(axis=0).mean())


def _ranks(study: Study) -> Array:
    stats: Any = import_module("scipy.stats")
    return np.asarray(stats.rankdata(study.together, axis=0, nan_policy="omit"), np.float64)


def _rooted(study: Study, scores: Array) -> Tested:
    """A day's sum over the root of how many, against its deviation over estimation and event."""
    known = (~np.isnan(scores)).sum(axis=1)
    values = study.sums(scores) / np.sqrt(known)
    spread = math.sqrt(float((values**2).sum()) / _mean_length(study))
    return _normal(_ratio(values[-len(study.event) :], spread))


def _over_error(values: Array) -> Array:
    """A row's mean over its error; 0 where the values are all alike, which tells nothing."""
    spread = values.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
    return np.divide(values.mean(axis=1), spread, out=np.zeros(len(values)), where=spread > TINY)


def _ratio(values: Array, spread: float) -> Array:
    """The values over their spread; 0 where there is none, as of companies that offset each other."""
    return values / spread if spread > TINY else np.zeros(len(values))


def _binomial(values: Array, share: float) -> Tested:
    n = values.shape[1]
    if not 0 < share < 1:
        return np.zeros(len(values)), np.ones(len(values))
    return _normal(((values > 0).sum(axis=1) - n * share) / math.sqrt(n * share * (1 - share)))


def _signed_ranks(values: Array) -> Tested:
    stats: Any = import_module("scipy.stats")
    found: list[tuple[float, float]] = []
    for row in values:
        apart = row[row != 0]
        ranks = stats.rankdata(np.abs(apart))
        p = 1.0 if not len(apart) else float(stats.wilcoxon(apart, method="auto").pvalue)
        found.append((float(ranks[apart > 0].sum()), p))
    return np.asarray([s for s, _ in found]), np.asarray([p for _, p in found])


def _normal(values: Array) -> Tested:
    stats: Any = import_module("scipy.stats")
    return values, np.asarray(2 * stats.norm.sf(np.abs(values)), np.float64)


def _student(values: Array, freedom: float) -> Tested:
    stats: Any = import_module("scipy.stats")
    return values, np.asarray(2 * stats.t.sf(np.abs(values), freedom), np.float64)
