"""The GARCH likelihood with its exact derivatives, and its maximum by Newton's steps.

The benchmark of McCullough and Renfro (1999) sets h_0 = e_0^2 = mean(e_t^2), which moves with the mean. arch
holds its first variance fixed and stops when its search does, so its estimate is a start: the last digits, and
the standard errors, are made here.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
STEPS = 12
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Shape:
    """Which parameters there are, in the order of arch: mu, omega, alpha, gamma, beta, nu.

    `first` is the variance before the first return; None for the mean squared residual.
    """

    mean: bool
    p: int
    o: int
    q: int
    t: bool
    first: float | None = None

    def parts(self, theta: NDArray[Any]) -> tuple[Any, Any, NDArray[Any], NDArray[Any], NDArray[Any], Any]:
        """Mean, omega, alphas, gammas, betas and degrees of freedom (None for a normal)."""
        at = int(self.mean)
        a, g = at + 1 + self.p, at + 1 + self.p + self.o
        nu = theta[-1] if self.t else None
        return (theta[0] if self.mean else 0.0), theta[at], theta[at + 1 : a], theta[a:g], theta[g : g + self.q], nu


def terms(theta: NDArray[Any], y: Values, shape: Shape) -> NDArray[Any]:
    """The log-likelihood of each return; of complex parameters too, for their derivatives."""
    e, h = path(theta, y, shape)
    square, nu = e * e, shape.parts(theta)[-1]
    if nu is None:
        return -0.5 * (math.log(2 * math.pi) + np.log(h) + square / h)
    gammaln: Any = import_module("scipy.special").loggamma
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(math.pi * (nu - 2))
    return constant - 0.5 * np.log(h) - (nu + 1) / 2 * np.log(1 + square / (h * (nu - 2)))


def path(theta: NDArray[Any], y: Values, shape: Shape) -> tuple[NDArray[Any], NDArray[Any]]:
    """Residuals and variances."""
    mu, omega, alpha, gamma, beta, _ = shape.parts(theta)
    e = y - mu
    square = e * e
    return e, variances(square, np.where(np.real(e) < 0, square, 0), omega, alpha, gamma, beta, shape.first)


def variances(
    square: NDArray[Any],
    falls: NDArray[Any],
    omega: Any,
    alpha: NDArray[Any],
    gamma: NDArray[Any],
    beta: NDArray[Any],
    first: float | None,
) -> NDArray[Any]:
    """h_t of squared residuals and of those of falls alone; all before the first are *first* (a half for falls)."""
    lfilter: Any = import_module("scipy.signal").lfilter
    n = len(square)
    start: Any = square.mean() if first is None else first
    drive = np.full(n, omega, dtype=np.result_type(square, omega, alpha, beta))
    for weights, values, before in ((alpha, square, start), (gamma, falls, start / 2)):
        for lag, weight in enumerate(weights, 1):
            drive[lag:] += weight * values[: n - lag]
            drive[:lag] += weight * before
    if not len(beta):
        return drive
    state = np.cumsum(beta[::-1])[::-1] * start
    return lfilter([1.0], np.concatenate([[1.0], -beta]), drive, zi=state)[0]


def maximum(theta: Values, y: Values, shape: Shape) -> Values | None:
    """Newton's steps from *theta*; None where they find no maximum inside the bounds."""
    begun = float(terms(theta, y, shape).sum())
    for _ in range(STEPS):
        gradient, hessian = scores(theta, y, shape).sum(axis=1), curvature(theta, y, shape)
        if not np.isfinite(hessian).all() or (np.linalg.eigvalsh(hessian) >= 0).any():
            return None
        step: Values = np.asarray(np.linalg.solve(hessian, gradient), np.float64)
        theta = theta - step
        if not _inside(theta, shape):
            return None
        if (np.abs(step) <= 1e-9 * np.maximum(np.abs(theta), 1e-3)).all():
            return theta if float(terms(theta, y, shape).sum()) >= begun - 1e-9 else None
    return None


def _inside(theta: Values, shape: Shape) -> bool:
    _, omega, alpha, gamma, beta, nu = shape.parts(theta)
    persistence = alpha.sum() + gamma.sum() / 2 + beta.sum()
    least = min(float(omega), float(alpha.min()), float(beta.min(initial=1.0)))
    return least > 0 and persistence < 1 and (nu is None or nu > 2)


def scores(theta: Values, y: Values, shape: Shape) -> Values:
    """The gradient of each return's term, a row a parameter, by complex steps: exact to rounding."""

    def moved(i: int) -> Values:
        at = theta.astype(complex)
        at[i] += _TINY * 1j
        return np.imag(terms(at, y, shape)) / _TINY

    return np.array([moved(i) for i in range(len(theta))])


def curvature(theta: Values, y: Values, shape: Shape) -> Values:
    """The Hessian of the log-likelihood: central differences of the exact gradient."""

    def slope(step: Values) -> Values:
        ahead, back = scores(theta + step, y, shape), scores(theta - step, y, shape)
        return (ahead.sum(axis=1) - back.sum(axis=1)) / (2 * step.sum())

    steps = np.diag(1e-5 * np.maximum(np.abs(theta), 1e-3))
    hessian = np.array([slope(step) for step in steps])
    return (hessian + hessian.T) / 2


def covariance(theta: Values, y: Values, shape: Shape, *, robust: bool) -> Values:
    """Of the estimates: the inverse Hessian, or with scores on both sides (Bollerslev and Wooldridge 1992)."""
    inverse: Values = np.asarray(np.linalg.inv(-curvature(theta, y, shape)), np.float64)
    if not robust:
        return inverse
    each = scores(theta, y, shape)
    return inverse @ (each @ each.T) @ inverse
