"""The methods that choose a portfolio's weights from means, covariances and returns."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.hrp import hierarchical
from openoutcry.tools.formulas.optimum import NEAR, Array, Moments, Terms, fit, mean_risk, sharpened, tangent, within


def bounds(minimum: float | None, maximum: float | None, allow_short: bool) -> tuple[float, float]:
    """The bounds of each weight: 0 and 1, or none where shorting is allowed, unless they are given."""
    low = (-math.inf if allow_short else 0.0) if minimum is None else minimum
    high = (math.inf if low < 0 else 1.0) if maximum is None else maximum
    return low, high


def weights(moments: Moments, terms: Terms) -> Array:
    """The weights, in the order of `names`; the order in which the assets come changes none.

    Raises NotComputed where the bounds cannot be met, the covariances are of no use, or no optimum exists.
    """
    _check(moments, terms)
    order = np.argsort(np.asarray(moments.names))
    ordered = replace(
        moments,
        names=tuple(sorted(moments.names)),
        mean=moments.mean[order],
        covariance=moments.covariance[np.ix_(order, order)],
        returns=None if moments.returns is None else moments.returns[:, order],
    )
    found = np.empty(len(order))
    found[order] = _METHODS[terms.method](ordered, terms)
    return found


def _check(moments: Moments, terms: Terms) -> None:
    n, low, high = len(moments.names), terms.low, terms.high
    if n < 2 or len(set(moments.names)) < n:
        raise NotComputed(f"needs two or more assets, each once; got {', '.join(moments.names) or 'none'}")
    if low > high:
        raise NotComputed(f"needs a min_weight of at most max_weight; got {low:g} and {high:g}")
    if n * high < 1 - NEAR or n * low > 1 + NEAR:
        raise NotComputed(
            f"needs {n} weights that can sum to 1: max_weight of at least {1 / n:.4g} and min_weight of at most "
            f"that; got {low:g} and {high:g}"
        )
    if (moments.volatilities < 1e-12).any():
        still = ", ".join(np.asarray(moments.names)[moments.volatilities < 1e-12])
        raise NotComputed(f"needs returns that differ; those of {still} are all alike")
    linked = _correlations(moments.covariance)
    lowest = float(np.linalg.eigvalsh(linked)[0])
    if lowest < -1e-8:
        raise NotComputed(f"needs a covariance matrix without negative eigenvalues; the least is {lowest:.3g}")
    if (terms.method in _NEED_RANK and lowest < 1e-10) or (
        terms.method in _NEED_ONE and not _one_optimum(moments.covariance)
    ):
        raise NotComputed(
            f"needs a covariance matrix of full rank for {terms.method}: more returns than assets, and no asset that "
            "the others make up"
        )


def _one_optimum(matrix: Array) -> bool:
    """Whether variance rises in every direction that keeps the sum of weights, so that there is one least."""
    n = len(matrix)
    directions = np.eye(n)[:, 1:] - np.eye(n)[:, [0]]
    variances = directions.T @ matrix @ directions / float(np.diag(matrix).mean())
    return float(np.linalg.eigvalsh(variances)[0]) > 1e-10


def _correlations(covariance: Array) -> Array:
    spread = np.sqrt(np.diag(covariance))
    return covariance / np.outer(spread, spread)


def _equal(moments: Moments, terms: Terms) -> Array:
    return np.full(len(moments.names), 1 / len(moments.names))


def _inverse_volatility(moments: Moments, terms: Terms) -> Array:
    """Shares in proportion to 1 / volatility; where a bound bites, in proportion within the bounds."""
    shares = 1 / moments.volatilities
    little, much = 0.0, 1 / float(shares.min()) * max(1.0, abs(min(terms.high, 1e6)))
    for _ in range(200):
        middle = (little + much) / 2
        if np.clip(middle * shares, terms.low, terms.high).sum() < 1:
            little = middle
        else:
            much = middle
    found = np.clip(much * shares, terms.low, terms.high)
    return found / found.sum()


def _hrp(moments: Moments, terms: Terms) -> Array:
    return hierarchical(moments.covariance, (terms.low, terms.high), terms.linkage, terms.distance, terms.leaf_order)


def _minimum_variance(moments: Moments, terms: Terms) -> Array:
    start = mean_risk(moments, terms, "MINIMIZE_RISK")
    return sharpened(start, moments, terms, tilt=np.zeros(len(start)))


def _mean_variance(moments: Moments, terms: Terms) -> Array:
    """The largest mean - risk_aversion / 2 variance, or the least variance at a target, or the most return."""
    asked = (terms.risk_aversion, terms.target_return, terms.target_volatility)
    if sum(a is not None for a in asked) != 1:
        raise NotComputed(
            "needs one of risk_aversion, target_return and target_volatility for mean_variance; "
            f"got {sum(a is not None for a in asked)} of them"
        )
    if terms.risk_aversion is not None:
        start = mean_risk(moments, terms, "MAXIMIZE_UTILITY", risk_aversion=terms.risk_aversion / 2)
        return sharpened(start, moments, terms, tilt=moments.mean / terms.risk_aversion)
    if terms.target_volatility is not None:
        _reachable_volatility(moments, terms, terms.target_volatility)
        return mean_risk(moments, terms, "MAXIMIZE_RETURN", max_standard_deviation=terms.target_volatility)
    target = _target(moments, terms)
    least = _minimum_variance(moments, terms)
    if float(moments.mean @ least) >= target:
        return least
    start = mean_risk(moments, terms, "MINIMIZE_RISK", min_return=target)
    return sharpened(start, moments, terms, tilt=np.zeros(len(start)), target=target)


def _reachable_volatility(moments: Moments, terms: Terms, target: float) -> None:
    least = _minimum_variance(moments, terms)
    lowest = math.sqrt(least @ moments.covariance @ least)
    if target < lowest:
        raise NotComputed(f"needs a target_volatility of at least {lowest:.6g}, the least there is; got {target:g}")


def _target(moments: Moments, terms: Terms) -> float:
    target, most = terms.target_return or 0.0, _most(moments.mean, terms)
    if target > most + NEAR:
        raise NotComputed(f"needs a target_return of at most {most:.6g}, the most within the bounds; got {target:g}")
    return min(target, most)


def _most(mean: Array, terms: Terms) -> float:
    """The highest expected return within the bounds: as much as may be of the best, then of the next."""
    if math.isinf(terms.low) or math.isinf(terms.high):
        return math.inf if np.ptp(mean) > 0 else float(mean[0])
    left, total = 1 - terms.low * len(mean), terms.low * float(mean.sum())
    for value in sorted(mean.tolist(), reverse=True):
        more = min(left, terms.high - terms.low)
        left, total = left - more, total + more * value
    return total


def _max_sharpe(moments: Moments, terms: Terms) -> Array:
    excess = moments.mean - terms.risk_free
    if (best := _most(excess, terms)) <= 0:
        raise NotComputed(
            f"needs an expected return above the risk-free rate for max_sharpe; the most within the bounds is "
            f"{best + terms.risk_free:.6g} and the rate {terms.risk_free:g}"
        )
    if math.isinf(terms.low) and float(np.linalg.solve(moments.covariance, excess).sum()) <= 0:
        raise NotComputed(
            "needs a minimum-variance portfolio that earns more than the risk-free rate; without bounds no tangency "
            "portfolio exists otherwise"
        )
    start = mean_risk(moments, terms, "MAXIMIZE_RATIO", risk_free_rate=terms.risk_free)
    return tangent(start, moments.covariance, excess, terms)


def _maximum_diversification(moments: Moments, terms: Terms) -> Array:
    start = fit("MaximumDiversification", moments, terms)
    return tangent(start, moments.covariance, moments.volatilities, terms)


def _cvar(moments: Moments, terms: Terms) -> Array:
    if moments.returns is None:
        raise NotComputed("needs returns for cvar; stated moments hold none")
    target = {} if terms.target_return is None else {"min_return": _target(moments, terms)}
    return mean_risk(moments, terms, "MINIMIZE_RISK", measure="CVAR", cvar_beta=terms.confidence, **target)


def _risk_parity(moments: Moments, terms: Terms) -> Array:
    """Risk contributions as budgeted; solved again by Newton's method (Spinu 2013) where no bound bites."""
    if terms.low < 0:
        raise NotComputed(f"needs a min_weight of at least 0 for risk_parity; got {terms.low:g}")
    budget = _budget(moments, terms)
    start = fit("RiskBudgeting", moments, terms, risk_budget=budget)
    covariance, x = moments.covariance, start / math.sqrt(start @ moments.covariance @ start)
    for _ in range(50):
        slope = covariance @ x - budget / x
        step = np.linalg.solve(covariance + np.diag(budget / x**2), slope)
        falls = step > 0
        x = x - step * min(1.0, 0.9 * float((x[falls] / step[falls]).min(initial=np.inf)))
    found = x / x.sum()
    return found if within(found, terms) else start


def _budget(moments: Moments, terms: Terms) -> Array:
    given = terms.risk_budget
    if given is None:
        return np.full(len(moments.names), 1 / len(moments.names))
    if set(given) != set(moments.names) or min(given.values()) <= 0:
        raise NotComputed(f"needs a risk_budget above zero for each of {', '.join(moments.names)}; got {dict(given)}")
    budget = np.asarray([given[n] for n in moments.names])
    return budget / budget.sum()


_NEED_RANK = ("max_sharpe", "risk_parity", "maximum_diversification")
_NEED_ONE = ("minimum_variance", "mean_variance")
_METHODS: dict[str, Callable[[Moments, Terms], Array]] = {
    "minimum_variance": _minimum_variance,
    "mean_variance": _mean_variance,
    "max_sharpe": _max_sharpe,
    "cvar": _cvar,
    "risk_parity": _risk_parity,
    "hrp": _hrp,
    "equal_weight": _equal,
    "inverse_volatility": _inverse_volatility,
    "maximum_diversification": _maximum_diversification,
}
