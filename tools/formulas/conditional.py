"""Volatility that moves: GARCH models fitted by arch, their forecasts, and filtered historical simulation.

Plain arrays in, plain numbers out. Variances are of one period, in the squared unit of the returns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas import likelihood

Values = NDArray[np.float64]
Mean = Literal["constant", "zero"]
Distribution = Literal["normal", "t"]
Variant = Literal["garch", "egarch", "gjr"]
Backcast = Literal["exponential", "mean_square"]
Errors = Literal["robust", "classic"]
NEEDED = 100
RESTARTS = 3
_ABS_NORMAL = math.sqrt(2 / math.pi)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model: parameters by arch's names (`alpha_1`), and what it says of each return given."""

    variant: Variant
    params: Mapping[str, float]
    std_err: Mapping[str, float]
    log_likelihood: float
    residuals: Values
    variances: Values

    def lags(self, name: str) -> Values:
        """The parameters `name_1`, `name_2` and so on."""
        return np.array([v for k, v in self.params.items() if k.startswith(f"{name}_")], np.float64)

    @property
    def mu(self) -> float:
        """The mean return; 0 of a zero-mean model."""
        return self.params.get("mu", 0.0)

    @property
    def omega(self) -> float:
        """The constant of the (log) variance."""
        return self.params["omega"]

    @property
    def persistence(self) -> float:
        """How much of a shock to the variance is left a period later; 1 never dies."""
        betas = float(self.lags("beta").sum())
        if self.variant == "egarch":
            return betas
        return float(self.lags("alpha").sum()) + float(self.lags("gamma").sum()) / 2 + betas

    @property
    def long_run_variance(self) -> float | None:
        """The unconditional variance, where the model has one in closed form."""
        left = 1 - self.persistence
        return None if self.variant == "egarch" or left < 1e-8 else self.omega / left

    @property
    def standardised(self) -> Values:
        """Each residual over its standard deviation."""
        return self.residuals / np.sqrt(self.variances)

    def expected_variances(self, horizon: int) -> Values:
        """Of each of the next *horizon* periods; of an EGARCH the next alone is closed."""
        if self.variant == "egarch":
            return np.array([self._next_egarch()])
        alpha, gamma, beta = (self.lags(n) for n in ("alpha", "gamma", "beta"))
        square = [float(v) for v in self.residuals[-len(alpha) - len(gamma) :] ** 2]
        falls = [s if e < 0 else 0.0 for s, e in zip(square, self.residuals[-len(square) :], strict=True)]
        h = [float(v) for v in self.variances[-max(len(beta), 1) :]]
        ahead: list[float] = []
        for _ in range(horizon):
            new = self.omega + _lagged(alpha, square) + _lagged(gamma, falls) + _lagged(beta, h)
            ahead.append(new)
            square.append(new)
            falls.append(new / 2)
            h.append(new)
        return np.array(ahead)

    def _next_egarch(self) -> float:
        z = [float(v) for v in self.standardised[-10:]]
        size = [abs(v) - _ABS_NORMAL for v in z]
        logs = [float(v) for v in np.log(self.variances[-10:])]
        parts = ((self.lags("alpha"), size), (self.lags("gamma"), z), (self.lags("beta"), logs))
        return math.exp(self.omega + sum(_lagged(w, v) for w, v in parts))


def _lagged(weights: Values, values: list[float]) -> float:
    """The first weight on the newest value, the second on the one before."""
    return sum(float(w) * v for w, v in zip(weights, reversed(values), strict=False))


def fit(
    returns: Values,
    *,
    p: int = 1,
    q: int = 1,
    o: int | None = None,
    mean: Mean = "constant",
    distribution: Distribution = "normal",
    variant: Variant = "garch",
    backcast: Backcast = "exponential",
    errors: Errors = "robust",
) -> Fitted:
    """Fit by maximum likelihood with arch, in units of the sample's standard deviation, and scale back.

    The variance before the first is arch's own *backcast* (exponential weights), or the mean squared residual.
    For GARCH and GJR Newton's steps go on to the exact maximum, with exact standard errors. Raises NotComputed with
    fewer than 100 returns or where the likelihood has no maximum.
    """
    if len(returns) < NEEDED:
        raise NotComputed(f"needs at least {NEEDED} returns to fit a GARCH; got {len(returns)}")
    lags = o if o is not None else int(variant != "garch")
    scale = float(returns.std())
    y = returns / scale
    search = _Search(y, (p, lags, q), mean, distribution, variant, backcast, errors)
    shape = None
    if variant != "egarch":
        first = None if backcast == "mean_square" else _exponential(y, mean)
        shape = likelihood.Shape(mean == "constant", p, lags, q, distribution == "t", first)
    names, point = _best(search, shape)
    return _scaled(point, names, variant, scale)


class _Point(NamedTuple):
    """What was found in units of the sample's standard deviation."""

    theta: Values
    covariance: Values
    total: float
    residuals: Values
    variances: Values


def _scaled(point: _Point, names: list[str], variant: Variant, scale: float) -> Fitted:
    """In the units of the returns: residuals by *scale*, variances by its square, a log variance by 2 log(scale)."""
    theta, at = point.theta.copy(), names.index("omega")
    moves = np.eye(len(names))
    if "mu" in names:
        moves[0, 0] = scale
    if variant == "egarch":
        betas = [i for i, n in enumerate(names) if n.startswith("beta_")]
        moves[at, betas] = -2 * math.log(scale)
        theta = moves @ theta
        theta[at] += 2 * math.log(scale)
    else:
        moves[at, at] = scale * scale
        theta = moves @ theta
    spread = np.diag(moves @ point.covariance @ moves.T)
    return Fitted(
        variant,
        dict(zip(names, theta.tolist(), strict=True)),
        {n: math.sqrt(v) for n, v in zip(names, spread.tolist(), strict=True) if math.isfinite(v) and v > 0},
        point.total - len(point.residuals) * math.log(scale),
        point.residuals * scale,
        np.asarray(point.variances * scale * scale),
    )


def _exponential(y: Values, mean: Mean) -> float:
    """arch's first variance: squared residuals weighted by 0.94 a period over the first 75."""
    square = ((y - (float(y.mean()) if mean == "constant" else 0.0)) ** 2)[:75]
    weights = 0.94 ** np.arange(len(square))
    return float(weights @ square / weights.sum())


@dataclass(frozen=True, slots=True)
class _Search:
    """What arch is asked for."""

    y: Values
    lags: tuple[int, int, int]
    mean: Mean
    distribution: Distribution
    variant: Variant
    backcast: Backcast
    errors: Errors

    def run(self, start: Values | None = None) -> Any:
        """arch's result: with its own tolerance, or from *start* on with a tight one."""
        p, o, q = self.lags
        arch: Any = import_module("arch")
        vol = "EGARCH" if self.variant == "egarch" else "GARCH"
        words: dict[str, Any] = {"mean": self.mean.capitalize(), "dist": self.distribution, "rescale": False}
        model = arch.arch_model(self.y, vol=vol, p=p, o=o, q=q, **words)
        more: dict[str, Any] = {"disp": "off", "show_warning": False, "cov_type": self.errors}
        if self.backcast == "mean_square":
            centre = float(self.y.mean()) if self.mean == "constant" else 0.0
            more["backcast"] = float(((self.y - centre) ** 2).mean())
        if start is not None:
            more |= {"starting_values": start, "tol": 1e-13, "options": {"maxiter": 500}}
        with np.errstate(all="ignore"):
            return model.fit(**more)


def _best(search: _Search, shape: likelihood.Shape | None) -> tuple[list[str], _Point]:
    """The names, and the exact maximum where there is one inside the bounds; else arch's best of some starts."""
    best = search.run()
    if best.convergence_flag:
        p, _, q = search.lags
        raise NotComputed(
            f"needs returns whose likelihood has a maximum; the search for a {search.variant}({p},{q}) found none "
            f"over {len(search.y)} returns: try more of them, or another model"
        )
    names = [str(n).replace("[", "_").replace("]", "") for n in best.params.index]
    for _ in range(RESTARTS):
        if shape and (exact := likelihood.maximum(np.asarray(best.params, np.float64), search.y, shape)) is not None:
            return names, _exactly(exact, search.y, shape, search.errors)
        again = search.run(_within(best.params))
        if not again.loglikelihood > best.loglikelihood + 1e-9:
            break
        best = again
    return names, _told(best)


def _within(params: Any) -> Values:
    """The same a little inside the bounds, where arch takes them as a start."""
    moved = np.asarray(params, np.float64).copy()
    for i, name in enumerate(params.index):
        if str(name).startswith(("alpha", "gamma", "beta")):
            moved[i] = 0.9999 * moved[i] + 1e-6 * str(name).startswith("alpha")
        if name == "nu":
            moved[i] = min(max(float(moved[i]), 2.1), 400.0)
    return moved


def _told(found: Any) -> _Point:
    """By arch; NaN for errors that it cannot give."""
    theta = np.asarray(found.params, np.float64)
    with np.errstate(all="ignore"):
        try:
            covariance = np.asarray(found.param_cov, np.float64)
        except np.linalg.LinAlgError:
            covariance = np.full((len(theta), len(theta)), np.nan)
    h = np.asarray(found.conditional_volatility, np.float64) ** 2
    return _Point(theta, covariance, float(found.loglikelihood), np.asarray(found.resid, np.float64), h)


def _exactly(theta: Values, y: Values, shape: likelihood.Shape, errors: Errors) -> _Point:
    """At the exact maximum."""
    covariance = likelihood.covariance(theta, y, shape, robust=errors == "robust")
    e, h = likelihood.path(theta, y, shape)
    return _Point(theta, covariance, float(likelihood.terms(theta, y, shape).sum()), e, h)


def filtered(model: Fitted, returns: Values) -> Values:
    """The standard deviation that *model* foresaw for each of the *returns*, which follow those it was fitted on.

    GARCH(1,1) alone: each looks at the returns before it and no further.
    """
    lfilter: Any = import_module("scipy.signal").lfilter
    (alpha,), (beta,) = model.lags("alpha"), model.lags("beta")
    first = float(model.expected_variances(1)[0])
    square = (returns[:-1] - model.mu) ** 2
    rest = lfilter([1.0], [1.0, -beta], model.omega + alpha * square, zi=[beta * first])[0]
    return np.sqrt(np.concatenate([[first], rest]))


def filtered_returns(model: Fitted, horizon: int, simulations: int, seed: int) -> Values:
    """Simulated simple returns over *horizon*: filtered historical simulation of a GARCH(1,1).

    Standardised residuals are drawn with replacement and scaled by a variance that goes on from the last one
    (Barone-Adesi, Giannopoulos and Vosper 1999). The returns of the periods are compounded.
    """
    chance = np.random.default_rng(seed)
    pool = model.standardised
    (alpha,), (beta,) = model.lags("alpha"), model.lags("beta")
    h = np.full(simulations, float(model.expected_variances(1)[0]))
    wealth = np.ones(simulations)
    for _ in range(horizon):
        shock = pool[chance.integers(len(pool), size=simulations)] * np.sqrt(h)
        wealth *= 1 + model.mu + shock
        h = model.omega + alpha * shock**2 + beta * h
    return wealth - 1
