"""Portfolio weights from returns or from stated moments, with the risk that each asset brings."""

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Ddof, Lookback, MaybeNumber, Periods, RiskFree, Tickers
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import fraction, multiple, number, slug, text
from openoutcry.tools.formulas.allocation import bounds, weights
from openoutcry.tools.formulas.optimum import Array, Moments, StatedMethod, Terms
from openoutcry.tools.prices import RETURNS, stale
from openoutcry.tools.problem import (
    Apart,
    Aversion,
    Budget,
    Chosen,
    Least,
    Leaves,
    MaybeMatrix,
    MaybeNamed,
    MaybeNumbers,
    Most,
    Short,
    Tail,
    TargetReturn,
    TargetVolatility,
    Tree,
)
from openoutcry.tools.tool import tool


@tool
def optimal_weights(
    view: View,
    tickers: Tickers,
    method: Chosen = "minimum_variance",
    window: Lookback = None,
    min_weight: Least = None,
    max_weight: Most = None,
    allow_short: Short = False,
    risk_free: RiskFree = 0.0,
    risk_aversion: Aversion = None,
    target_return: TargetReturn = None,
    target_volatility: TargetVolatility = None,
    confidence: Tail = 0.95,
    risk_budget: Budget = None,
    linkage: Tree = "single",
    distance: Apart = "columns",
    leaf_order: Leaves = "tree",
    periods: Periods = None,
    ddof: Ddof = 1,
) -> Evidence:
    """Portfolio weights of *tickers* by one of nine methods, with return, volatility, Sharpe and CVaR.

    Methods: minimum_variance, mean_variance (give risk_aversion, target_return or target_volatility), max_sharpe
    (the tangency portfolio), cvar (least expected shortfall), risk_parity (equal risk contributions), hrp,
    equal_weight, inverse_volatility, maximum_diversification.

    Weights sum to one and lie within the bounds; long-only unless *allow_short* or a *min_weight* below 0. Means
    and covariances are those of simple returns over the sessions that all tickers have, times the periods a year.
    `sharpe` is (expected_return - risk_free) / volatility; `cvar` the loss of one period after Rockafellar and
    Uryasev (2000); `effective_assets` 1 / sum of squares; `risk_contribution_X` X's share of the variance, which sum
    to 1; `diversification_ratio` the weighted mean volatility over the portfolio's (Choueifaty 2008).
    With max_sharpe and *risk_aversion*, `risky_share` is the best share of wealth in this portfolio, the rest at
    *risk_free*. The order of *tickers* changes nothing.

    Raises UnknownTicker, or NotComputed with fewer than two tickers, too few returns, covariances of less than full
    rank, bounds that cannot sum to one, a target out of reach, or no return above *risk_free* for max_sharpe.
    """
    series, returns = returns_of(view, tickers, window)
    pace = periods or view.pace or 252
    moments = Moments(
        tuple(tickers), returns.mean(axis=0) * pace, np.cov(returns, rowvar=False, ddof=ddof) * pace, returns
    )
    low, high = bounds(min_weight, max_weight, allow_short)
    terms = Terms(
        *(method, low, high, risk_free, risk_aversion, target_return, target_volatility, confidence),
        *(risk_budget, linkage, distance, leaf_order),
    )
    found = weights(moments, terms)
    return view.evidence(
        {
            **described(moments, found, terms),
            "cvar": fraction(_cvar(returns @ found, confidence)),
            "window": view.span(len(returns)),
            **series[0].until,
        },
        [p.rows for p in series],
        conventions={
            "returns": RETURNS.format(basis=series[0].basis),
            "annualisation": f"means and covariances times {pace:g} periods a year",
            "ddof": str(ddof),
            **_conventions(terms),
        },
        missing=[m for p in series for m in stale(view, p)],
    )


@tool
def weights_from_moments(
    view: View = NO_DATA,
    *,
    expected_returns: Annotated[
        MaybeNamed, Field(description="expected return by asset, D=0.08,E=0.13, or 0.08,0.13 (assets 1, 2, ...)")
    ] = None,
    volatilities: Annotated[
        MaybeNumbers, Field(description="standard deviations in the order of the assets: 0.12,0.20")
    ] = None,
    correlation: Annotated[MaybeNumber, Field(ge=-1, le=1, description="one correlation for every pair")] = None,
    correlations: Annotated[
        MaybeMatrix, Field(description="correlation matrix, e.g. [[1,0.3],[0.3,1]] or 1,0.3;0.3,1")
    ] = None,
    covariance: Annotated[MaybeMatrix, Field(description="covariance matrix, in place of volatilities")] = None,
    method: Annotated[StatedMethod, Field(description="how weights are chosen")] = "minimum_variance",
    min_weight: Least = None,
    max_weight: Most = None,
    allow_short: Short = False,
    risk_free: RiskFree = 0.0,
    risk_aversion: Aversion = None,
    target_return: TargetReturn = None,
    target_volatility: TargetVolatility = None,
    risk_budget: Budget = None,
    linkage: Tree = "single",
    distance: Apart = "columns",
    leaf_order: Leaves = "tree",
) -> Evidence:
    """Portfolio weights from stated expected returns and volatilities with correlations, or a covariance matrix.

    The same methods and figures as `optimal_weights`, without data: the textbook's problem. Only mean_variance and
    max_sharpe need *expected_returns*. Matrices are nested lists in the order of the assets; pairs without a
    correlation have 0. All numbers are of one period, as fractions, and are not annualised. The unconstrained
    solutions of the textbooks need *allow_short*.

    Raises NotComputed for matrices of the wrong size, not symmetric, not positive semi-definite, or as
    `optimal_weights` does. Sources: Markowitz (1952); Bodie, Kane and Marcus, Investments, chapter 7.
    """
    length = len(expected_returns or volatilities or covariance or [])
    names = tuple(expected_returns or [str(i + 1) for i in range(length)])
    given = _covariance(names, volatilities, correlations or correlation, covariance)
    if expected_returns is None and method in ("mean_variance", "max_sharpe"):
        raise NotComputed(f"needs expected_returns for {method}; got none")
    moments = Moments(names, np.asarray(list((expected_returns or dict.fromkeys(names, 0.0)).values())), given)
    low, high = bounds(min_weight, max_weight, allow_short)
    terms = Terms(
        *(method, low, high, risk_free, risk_aversion, target_return, target_volatility, 0.95),
        *(risk_budget, linkage, distance, leaf_order),
    )
    figures = described(moments, weights(moments, terms), terms)
    unknown = ("expected_return", "sharpe", "risky_share") if expected_returns is None else ()
    return view.evidence(
        {name: figure for name, figure in figures.items() if name not in unknown},
        conventions={"moments": "as stated, of one period", **_conventions(terms)},
    )


def described(moments: Moments, found: Array, terms: Terms) -> dict[str, Figure]:
    """The weights and what they make of the moments; ratios to the volatility only where there is some."""
    names = slugs(moments.names)
    earned, spread = float(moments.mean @ found), math.sqrt(max(found @ moments.covariance @ found, 0.0))
    figures = {
        "method": text(terms.method),
        **{f"weight_{n}": fraction(w) for n, w in zip(names, found, strict=True)},
        "expected_return": fraction(earned),
        "volatility": fraction(spread),
        "variance": number(spread**2),
        "effective_assets": number(1 / float(found @ found)),
    }
    if spread < 1e-7 * float(moments.volatilities.mean()):
        return figures
    if terms.risk_aversion is not None:
        figures["risky_share"] = fraction((earned - terms.risk_free) / (terms.risk_aversion * spread**2))
    shares = found * (moments.covariance @ found) / spread**2
    return {
        **figures,
        "sharpe": number((earned - terms.risk_free) / spread),
        "diversification_ratio": multiple(float(moments.volatilities @ found) / spread),
        **{f"risk_contribution_{n}": fraction(s) for n, s in zip(names, shares, strict=True)},
    }


def slugs(names: Sequence[str]) -> list[str]:
    """The names as parts of figures' names. Raises NotComputed where two of them look alike."""
    made = [slug(n) for n in names]
    if len(set(made)) < len(made):
        raise NotComputed(f"needs names that differ in letters and digits; got {', '.join(names)}")
    return made


def returns_of(view: View, tickers: Sequence[str], window: int | None) -> tuple[list[Prices], Array]:
    """The series and their returns over the sessions that all have, a column a ticker."""
    if len(tickers) < 2:
        raise NotComputed(f"needs two or more tickers; got {', '.join(tickers) or 'none'}")
    series = view.prices_of(tickers)
    returns = [p.returns(window or 1_000_000, needed=3) for p in together(series)]
    return series, np.column_stack(returns)


def _cvar(returns: Array, confidence: float) -> float:
    """The least of a + E[(loss - a)+] / (1 - confidence) over a: Rockafellar and Uryasev (2000), theorem 1."""
    losses = np.sort(-returns)
    start = losses[min(math.ceil(round(confidence * len(losses), 9)), len(losses)) - 1]
    return float(start + np.maximum(losses - start, 0).mean() / (1 - confidence))


def _covariance(
    names: Sequence[str],
    volatilities: Sequence[float] | None,
    correlations: list[list[float]] | float | None,
    covariance: list[list[float]] | None,
) -> Array:
    n = len(names)
    if covariance is not None and volatilities is None and correlations is None:
        return _square(covariance, n, "covariance")
    if volatilities is None or covariance is not None:
        raise NotComputed("needs covariance alone, or volatilities with correlations; got both or neither")
    if len(volatilities) != n or min(volatilities) <= 0:
        raise NotComputed(f"needs {n} volatilities above zero, one an asset; got {list(volatilities)}")
    if isinstance(correlations, list):
        links = _square(correlations, n, "correlations")
    else:
        links = np.full((n, n), correlations or 0.0) + np.eye(n) * (1 - (correlations or 0.0))
    if not np.allclose(np.diag(links), 1) or np.abs(links).max() > 1 + 1e-12:
        raise NotComputed("needs correlations between -1 and 1, with 1 on the diagonal")
    return links * np.outer(volatilities, volatilities)


def _square(rows: list[list[float]], n: int, name: str) -> Array:
    if len(rows) != n or any(len(r) != n for r in rows):
        raise NotComputed(f"needs {n} rows of {n} numbers in {name}, in the order of the assets")
    matrix = np.asarray(rows)
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-12):
        raise NotComputed(f"needs a symmetric matrix in {name}")
    return (matrix + matrix.T) / 2


def _conventions(terms: Terms) -> dict[str, str]:
    low, high = (f"{b:g}" if math.isfinite(b) else "no bound" for b in (terms.low, terms.high))
    said = {"weights": f"sum to 1; each from {low} to {high}"}
    if terms.method == "hrp":
        said["hrp"] = f"linkage {terms.linkage}, distance {terms.distance}, leaves {terms.leaf_order}"
    if terms.risk_aversion is not None:
        said["utility"] = "expected return - risk_aversion / 2 x variance"
    return said
