"""Value at risk of stated positions, volatilities and correlations: the variance-covariance calculator."""

import json
import math
from importlib import import_module
from statistics import NormalDist
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import LISTED, Confidence, MaybeNumber, MaybePositive, Measured, Numbers, Reference
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, number, periods, probability, usd
from openoutcry.tools.tool import tool

Matrix = NDArray[np.float64]


def _rows(value: object) -> object:
    """`1,0.3;0.3,1` or a JSON list of lists, as a command line gives it."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("expected a matrix such as 1,0.3;0.3,1 or one in JSON") from None
    return [[cell.strip() for cell in row.split(",")] for row in value.split(";") if row.strip()]


Square = Annotated[
    list[list[FiniteFloat]] | None,
    BeforeValidator(_rows),
    Measured(list[list[Reference]] | None),
]


@tool
def normal_value_at_risk(
    view: View = NO_DATA,
    *,
    values: Annotated[
        Numbers, Field(min_length=1, max_length=200, description="USD of each position; below 0 is short")
    ],
    volatilities: Annotated[
        list[FiniteFloat] | None,
        LISTED,
        Measured(list[Reference] | None),
        Field(description="standard deviation of each position's return over one period, e.g. 0.02 a day"),
    ] = None,
    correlation: Annotated[
        MaybeNumber, Field(ge=-1, le=1, description="of every pair alike; 0 if none is given")
    ] = None,
    correlations: Annotated[Square, Field(description="matrix, rows by ; : 1,0.3;0.3,1")] = None,
    covariances: Annotated[
        Square, Field(description="of returns over one period, in place of volatilities: 0.0004,0.00006;0.00006,0.0001")
    ] = None,
    confidence: Confidence = 0.99,
    horizon: Annotated[
        int, Field(ge=1, le=2520, description="periods; deviations grow by its square root, means by it")
    ] = 1,
    means: Annotated[
        list[FiniteFloat] | None,
        LISTED,
        Measured(list[Reference] | None),
        Field(description="mean return of each position over one period; 0 if not given"),
    ] = None,
    periods_a_year: Annotated[
        float | None, Field(gt=0, le=366, description="if volatilities and means are a year's: periods in it, e.g. 252")
    ] = None,
    distribution: Annotated[Literal["normal", "t"], Field(description="of returns; t is scaled to the volatility")] = (
        "normal"
    ),
    degrees_of_freedom: Annotated[float, Field(gt=2, description="of the t")] = 4,
    z: Annotated[
        MaybePositive, Field(description="quantile of VaR in place of the exact one, e.g. 1.65 or 2.33; ES is exact")
    ] = None,
) -> Evidence:
    """Parametric (variance-covariance, delta-normal) VaR and ES of stated positions, and what each adds to it.

    VaR = z sqrt(x' S x) sqrt(horizon) - x' mean horizon, in USD. `individual_1` is the VaR of the first position
    alone, `component_1` its part of the whole (they sum to `var`), `marginal_1` the change of VaR a USD more in it,
    `incremental_1` VaR less the VaR without it, `beta_1` its beta to the portfolio. `undiversified_var` is the sum
    of the individual ones and `diversification_benefit` that less VaR. Raises NotComputed where lists differ in
    length, a matrix is not symmetric or not positive semi-definite, or the variance is zero. Sources: Hull, Risk
    Management and Financial Institutions, the model-building approach; Jorion, Value at Risk, chapter 7.
    """
    x = np.array(values)
    covariance = _covariance(len(x), volatilities, correlation, correlations, covariances) / (periods_a_year or 1)
    drift = _of_length(means, len(x), "means") * horizon / (periods_a_year or 1)
    covariance *= horizon
    variance = float(x @ covariance @ x)
    if not variance > 1e-18 * float((x**2 * np.diag(covariance)).sum()):
        raise NotComputed("needs positions whose variance is above zero; these carry none, or hedge each other whole")
    quantile, tail = _factors(confidence, distribution, degrees_of_freedom, z)
    sd = math.sqrt(variance)
    gradient = covariance @ x / sd
    alone = quantile * np.abs(x) * np.sqrt(np.diag(covariance)) - x * drift
    without = [_var(np.delete(x, i), covariance, drift, i, quantile) for i in range(len(x))]
    marginal = quantile * gradient - drift
    var = quantile * sd - float(x @ drift)
    parts = {
        "individual": alone,
        "component": x * marginal,
        "incremental": var - np.array(without),
        "component_es": x * (tail * gradient - drift),
    }
    return view.evidence(
        {
            "var": usd(var),
            "es": usd(tail * sd - float(x @ drift)),
            "standard_deviation": usd(sd),
            "quantile": number(quantile),
            "undiversified_var": usd(alone.sum()),
            "diversification_benefit": usd(alone.sum() - var),
            **{f"{name}_{i}": usd(v) for name, each in parts.items() for i, v in enumerate(each, 1)},
            **{f"marginal_{i}": number(v) for i, v in enumerate(marginal, 1)},
            **_betas(x, gradient / sd),
            "positions": count(len(x)),
            "horizon": periods(horizon),
            "confidence": probability(confidence),
        },
        conventions={
            "sign": "positive is a loss",
            "horizon": f"square root of time over {horizon} periods, means by time",
            "distribution": distribution if distribution == "normal" else f"t, {degrees_of_freedom:g} degrees",
            "quantile": "exact" if z is None else "as given",
        },
    )


def _betas(x: Matrix, share: Matrix) -> dict[str, Figure]:
    """Covariance of each position with the portfolio over its variance, where its value is not zero."""
    total = float(x.sum())
    return {f"beta_{i}": number(v * total) for i, v in enumerate(share, 1)} if total else {}


def _var(rest: Matrix, covariance: Matrix, drift: Matrix, out: int, quantile: float) -> float:
    """VaR without position *out*."""
    kept = np.delete(np.delete(covariance, out, 0), out, 1)
    return quantile * math.sqrt(max(float(rest @ kept @ rest), 0.0)) - float(rest @ np.delete(drift, out))


def _factors(confidence: float, distribution: str, nu: float, z: float | None) -> tuple[float, float]:
    """VaR and ES in standard deviations; a stated *z* takes the place of the first."""
    normal, tail = NormalDist(), 1 - confidence
    if distribution == "normal":
        exact = normal.inv_cdf(confidence)
        return z or exact, normal.pdf(exact) / tail
    t: Any = import_module("scipy.stats").t
    scale = math.sqrt((nu - 2) / nu)
    q = float(t.ppf(confidence, nu))
    return z or q * scale, scale * float(t.pdf(q, nu)) / tail * (nu + q * q) / (nu - 1)


def _of_length(given: list[float] | None, n: int, name: str) -> Matrix:
    if given is not None and len(given) != n:
        raise NotComputed(f"needs {n} {name}, one a position; got {len(given)}")
    return np.zeros(n) if given is None else np.array(given)


def _covariance(
    n: int,
    volatilities: list[float] | None,
    correlation: float | None,
    correlations: list[list[float]] | None,
    covariances: list[list[float]] | None,
) -> Matrix:
    """Of one period. Raises NotComputed where it is stated twice or not at all, or is none."""
    if (volatilities is None) == (covariances is None):
        raise NotComputed("needs either volatilities or covariances; give one of them")
    if covariances is not None:
        if correlation is not None or correlations is not None:
            raise NotComputed("needs covariances alone; they hold the correlations")
        return _whole(covariances, n, "covariances")
    if correlation is not None and correlations is not None:
        raise NotComputed("needs either correlation or correlations; both are given")
    sd = _of_length(volatilities, n, "volatilities")
    if (sd < 0).any():
        raise NotComputed(f"needs volatilities of at least 0; the lowest is {sd.min():g}")
    alike = np.full((n, n), correlation or 0.0)
    np.fill_diagonal(alike, 1.0)
    matrix = _whole(alike.tolist() if correlations is None else correlations, n, "correlations")
    if not np.allclose(np.diag(matrix), 1):
        raise NotComputed("needs correlations with 1 on the diagonal")
    return matrix * np.outer(sd, sd)


def _whole(rows: list[list[float]], n: int, name: str) -> Matrix:
    if len(rows) != n or any(len(row) != n for row in rows):
        raise NotComputed(f"needs {name} of {n} rows by {n}; got {len(rows)} rows of {sorted({len(r) for r in rows})}")
    matrix = np.array(rows)
    if not np.allclose(matrix, matrix.T):
        raise NotComputed(f"needs {name} that are symmetric")
    if float(np.linalg.eigvalsh(matrix).min()) < -1e-9 * float(np.abs(matrix).max()):
        raise NotComputed(f"needs {name} that fit each other; the matrix is not positive semi-definite")
    return matrix
