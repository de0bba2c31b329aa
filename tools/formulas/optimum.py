"""The optimum of a portfolio problem: found by skfolio, then solved exactly where it is a linear system."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.hrp import Distance, LeafOrder, Linkage

Array = NDArray[np.float64]
StatedMethod = Literal[
    "minimum_variance",
    "mean_variance",
    "max_sharpe",
    "risk_parity",
    "hrp",
    "equal_weight",
    "inverse_volatility",
    "maximum_diversification",
]
Method = Literal[StatedMethod, "cvar"]
NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class Moments:
    """Expected returns and their covariances, in the order of `names`, and the returns behind them, if any."""

    names: tuple[str, ...]
    mean: Array
    covariance: Array
    returns: Array | None = None

    @property
    def volatilities(self) -> Array:
        """Standard deviation of each asset."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of the weights; `low` and `high` bound each of them, and they sum to one."""

    method: Method
    low: float = 0.0
    high: float = 1.0
    risk_free: float = 0.0
    risk_aversion: float | None = None
    target_return: float | None = None
    target_volatility: float | None = None
    confidence: float = 0.95
    risk_budget: Mapping[str, float] | None = None
    linkage: Linkage = "single"
    distance: Distance = "columns"
    leaf_order: LeafOrder = "tree"


def within(found: Array, terms: Terms) -> bool:
    """Whether each weight keeps its bounds."""
    return bool((found >= terms.low - NEAR).all() and (found <= terms.high + NEAR).all())


def mean_risk(moments: Moments, terms: Terms, objective: str, measure: str = "VARIANCE", **more: Any) -> Array:
    """The weights of skfolio's MeanRisk with this objective and measure."""
    skfolio, optimization = import_module("skfolio"), import_module("skfolio.optimization")
    chosen = {
        "objective_function": getattr(optimization.ObjectiveFunction, objective),
        "risk_measure": getattr(skfolio.RiskMeasure, measure),
    }
    return fit("MeanRisk", moments, terms, **chosen, **more)


def fit(model: str, moments: Moments, terms: Terms, **more: Any) -> Array:
    """Fit one of skfolio's optimisations to the moments, in units in which volatilities are about 1."""
    unit = 1.0 if more.get("cvar_beta") else float(np.mean(moments.volatilities))
    scaled = {"min_return": unit, "max_standard_deviation": unit, "risk_free_rate": unit, "risk_aversion": 1 / unit}
    more = {k: v / scaled[k] if k in scaled else v for k, v in more.items()}
    returns = np.vstack([moments.mean, moments.mean]) if moments.returns is None else moments.returns
    estimator = getattr(import_module("skfolio.optimization"), model)(
        min_weights=None if math.isinf(terms.low) else terms.low,
        max_weights=None if math.isinf(terms.high) else terms.high,
        prior_estimator=_prior()(moments.mean / unit, moments.covariance / unit**2),
        **more,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(estimator.fit(returns).weights_, np.float64)
    except Exception as error:
        raise NotComputed(
            f"needs a solvable problem; {terms.method} has no optimum within these bounds ({type(error).__name__})"
        ) from None
    found = np.clip(found, terms.low, terms.high)
    return found / found.sum()


def _prior() -> Callable[[Array, Array], Any]:
    """Moments as they are, in the shape that skfolio takes an estimate in."""
    prior: Any = import_module("skfolio.prior")

    class Stated(prior.BasePrior):
        def __init__(self, mu: Array, covariance: Array) -> None:
            self.mu, self.covariance = mu, covariance

        def fit(self, X: Any, y: Any = None, **_: Any) -> Any:
            self.return_distribution_ = prior.ReturnDistribution(
                mu=self.mu, covariance=self.covariance, returns=np.asarray(X)
            )
            return self

    return Stated


def tangent(start: Array, covariance: Array, reward: Array, terms: Terms) -> Array:
    """The same portfolio exactly: where the only bound met is zero, its weights are proportional to V^-1 reward."""
    held = np.abs(start) > 1e-5
    if held.any() and _free(start[held], terms).all():
        found = np.zeros(len(start))
        found[held] = np.linalg.solve(covariance[np.ix_(held, held)], reward[held])
        found = found / found.sum()
        if within(found, terms) and np.abs(found - start).max() < 1e-3:
            return found
    return start


def _free(values: Array, terms: Terms) -> NDArray[np.bool_]:
    return (values > terms.low + 1e-5) & (values < terms.high - 1e-5)


def sharpened(start: Array, moments: Moments, terms: Terms, tilt: Array, target: float | None = None) -> Array:
    """The same optimum exactly: the linear system of the weights between the bounds, by active sets.

    Minimises w'Vw / 2 - tilt'w with sum 1 (and mean'w = target); gives *start* back where that fails.
    """
    covariance, n = moments.covariance / float(np.mean(moments.volatilities)) ** 2, len(start)
    tilt = tilt / float(np.mean(moments.volatilities)) ** 2
    rows = np.vstack([np.ones(n), *([] if target is None else [moments.mean])])
    sums = np.asarray([1.0, *([] if target is None else [target])])
    fixed = np.where(start <= terms.low + 1e-5, -1, np.where(start >= terms.high - 1e-5, 1, 0))
    for _ in range(4 * n):
        free = fixed == 0
        found = np.where(fixed < 0, terms.low, np.where(fixed > 0, terms.high, 0.0))
        k, m = int(free.sum()), len(sums)
        if k < m:
            return start
        system = np.zeros((k + m, k + m))
        system[:k, :k], system[:k, k:], system[k:, :k] = covariance[np.ix_(free, free)], rows[:, free].T, rows[:, free]
        known = found * ~free
        right = np.concatenate([tilt[free] - covariance[free] @ known, sums - rows @ known])
        try:
            solved = np.linalg.solve(system, right)
        except np.linalg.LinAlgError:
            return start
        found[free] = solved[:k]
        slope = covariance @ found - tilt + rows.T @ solved[k:]
        over = np.where(found < terms.low - NEAR, -1, np.where(found > terms.high + NEAR, 1, 0))
        wrong = ((fixed < 0) & (slope < -NEAR)) | ((fixed > 0) & (slope > NEAR))
        if not over.any() and not wrong.any():
            return np.clip(found, terms.low, terms.high)
        fixed = np.where(over != 0, over, np.where(wrong, 0, fixed))
    return start
