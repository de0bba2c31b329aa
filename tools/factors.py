"""What a series' returns are made of: their regression on factors."""

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Confidence, Lookback, Periods, RiskFree, Ticker, Tickers
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, number, probability, text
from openoutcry.tools.portfolio import slugs
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.tool import tool

Array = NDArray[np.float64]
Errors = Literal["classic", "hc0", "hc1", "hc2", "hc3", "hac"]
RateSeries = Annotated[
    Ticker | None, Field(description="a ticker or column of risk-free returns a period, in place of risk_free")
]


@tool
def factor_exposure(
    view: View,
    ticker: Ticker,
    factors: Annotated[Tickers, Field(description="tickers or columns that explain it, e.g. MKT,SMB,HML")],
    risk_free: RiskFree = 0.0,
    risk_free_series: RateSeries = None,
    factors_excess: Annotated[
        Tickers, Field(description="those factors that are spreads or excess returns already, e.g. SMB,HML")
    ] = [],  # noqa: B006  # read only
    ticker_excess: Annotated[bool, Field(description="the ticker's returns are excess returns already")] = False,
    errors: Annotated[
        Errors, Field(description="standard errors: OLS, White's HC0 to HC3, or Newey and West's HAC")
    ] = "classic",
    lags: Annotated[
        int | None, Field(ge=0, le=1000, description="lags of hac; if not given floor(4 (T / 100)^(2/9))")
    ] = None,
    small_sample: Annotated[
        bool, Field(description="hac times T / (T - k): Stata's newey, statsmodels' use_correction")
    ] = False,
    use_t: Annotated[bool, Field(description="p-values and bounds from Student's t, else from the normal")] = True,
    confidence: Confidence = 0.95,
    window: Lookback = None,
    periods: Periods = None,
) -> Evidence:
    """Alpha and betas of *ticker* on *factors* by ordinary least squares, with standard errors, t, p and R-squared.

    A risk-free rate (a year, divided by the periods; or a series of returns a period) is taken from the ticker and
    from each factor, except from those in *factors_excess*; with none, returns are used as they are. One benchmark
    gives the CAPM; MKT,SMB,HML Fama and French's three factors.

    For each coefficient (`alpha`, `beta_X`) come `se_`, `t_`, `p_` and the bounds `low_` and `high_`. `alpha` is a
    period's, `alpha_annual` that times the periods a year, `alpha_annual_compounded` (1 + alpha)^periods - 1.
    `residual_volatility` is the standard error of the regression (divisor T - k), `residual_volatility_annual` that
    times the square root of the periods. `f` tests all betas, with the chosen errors. `hac` has Bartlett weights
    1 - l / (lags + 1) (Newey and West 1987; the default lags follow their 1994 rule of thumb).

    Raises UnknownTicker, or NotComputed with at most k + 1 common returns, or factors of which one is made up of the
    others or does not vary.
    """
    if len(set(factors)) != len(factors) or not factors or ticker in factors:
        raise NotComputed(f"needs one or more factors, each once, other than {ticker}; got {', '.join(factors)}")
    if unknown := set(factors_excess) - set(factors):
        raise NotComputed(f"needs factors_excess among the factors; got {', '.join(sorted(unknown))}")
    series, columns, rate = columns_of(view, [ticker, *factors], (risk_free, risk_free_series), window, periods)
    pace = periods or view.pace or 252
    kept = [ticker_excess, *(f in factors_excess for f in factors)]
    y, *xs = (c if keep else c - rate for c, keep in zip(columns, kept, strict=True))
    names = ["alpha", *(f"beta_{s}" for s in slugs(factors))]
    lag = math.floor(4 * (len(y) / 100) ** (2 / 9)) if lags is None else lags
    fitted = _fitted(y, xs, factors, errors, lag, small_sample, use_t)
    return view.evidence(
        {
            "ticker": text(ticker),
            **_coefficients(fitted, names, confidence),
            **_annual(float(fitted.params[0]), pace),
            **_quality(fitted, pace),
            **({"lags": count(lag)} if errors == "hac" else {}),
            "observations": view.span(len(y)),
            **series[0].until,
        },
        [p.rows for p in series],
        conventions={
            "returns": RETURNS.format(basis=series[0].basis),
            "risk_free": rate_said(risk_free, risk_free_series, pace),
            "errors": _errors_said(errors, lag, small_sample),
            "distribution": "Student's t, T - k degrees of freedom" if use_t else "normal",
            "annualisation": f"{pace:g} periods a year",
        },
        missing=[*(m for p in series for m in stale(view, p)), *_exact(fitted, ticker)],
    )


def _exact(fitted: Any, ticker: str) -> list[str]:
    """What to know where the factors leave nothing of the ticker."""
    none_left = alike(np.asarray(fitted.resid, np.float64))
    return [f"errors, t, p and residuals: of rounding alone, as the factors make up {ticker} wholly"] * none_left


def columns_of(
    view: View, tickers: Sequence[str], rates: tuple[float, str | None], window: int | None, periods: float | None
) -> tuple[list[Prices], list[Array], Array]:
    """The series, their returns over the sessions that all have, and the risk-free return of each period."""
    risk_free, rate_series = rates
    series = view.prices_of([*tickers, *([rate_series] if rate_series else [])])
    columns = [p.returns(window or 1_000_000, needed=len(tickers) + 3) for p in together(series)]
    if rate_series:
        return series, columns[:-1], columns[-1]
    return series, columns, np.full(len(columns[0]), risk_free / (periods or view.pace or 252))


def _fitted(
    y: Array, xs: Sequence[Array], names: Sequence[str], errors: Errors, lags: int, small_sample: bool, use_t: bool
) -> Any:
    if still := [n for x, n in zip(xs, names, strict=True) if alike(x)]:
        raise NotComputed(f"needs factors that vary; {', '.join(still)} does not")
    if alike(y):
        raise NotComputed("needs returns that differ; those of the ticker are all alike")
    design = np.column_stack([np.ones(len(y)), *xs])
    scaled = design / np.sqrt((design**2).sum(axis=0))
    if np.linalg.matrix_rank(scaled, tol=1e-9) < design.shape[1]:
        raise NotComputed("needs factors of which none is made up of the others")
    if errors == "hac" and lags >= len(y):
        raise NotComputed(f"needs fewer lags than returns; got {lags} and {len(y)}")
    linear: Any = import_module("statsmodels.regression.linear_model")
    model = linear.OLS(y, design)
    if errors == "classic":
        return model.fit(use_t=use_t)
    if errors == "hac":
        how = {"maxlags": lags, "use_correction": small_sample}
        return model.fit(cov_type="HAC", cov_kwds=how, use_t=use_t)
    return model.fit(cov_type=errors.upper(), use_t=use_t)


def _coefficients(fitted: Any, names: Sequence[str], confidence: float) -> dict[str, Figure]:
    """Each coefficient with its error, t, p and bounds."""
    low, high = np.asarray(fitted.conf_int(alpha=1 - confidence)).T
    figures: dict[str, Figure] = {}
    for i, name in enumerate(names):
        made = fraction if name == "alpha" else number
        figures |= {
            name: made(fitted.params[i]),
            f"se_{name}": made(fitted.bse[i]),
            f"t_{name}": number(fitted.tvalues[i]),
            f"p_{name}": probability(fitted.pvalues[i]),
            f"low_{name}": made(low[i]),
            f"high_{name}": made(high[i]),
        }
    return figures


def _annual(alpha: float, pace: float) -> dict[str, Figure]:
    """Alpha a year; compounded only where it is a return, of less than 100 % a period."""
    figures = {"alpha_annual": fraction(alpha * pace)}
    return figures | ({"alpha_annual_compounded": fraction((1 + alpha) ** pace - 1)} if abs(alpha) < 1 else {})


def _quality(fitted: Any, pace: float) -> dict[str, Figure]:
    """How well the regression fits, and what its residuals look like."""
    stattools: Any = import_module("statsmodels.stats.stattools")
    rest, spread = np.asarray(fitted.resid), math.sqrt(fitted.mse_resid)
    bera, bera_p, skew, kurtosis = stattools.jarque_bera(rest)
    return {
        "r_squared": fraction(fitted.rsquared),
        "adj_r_squared": fraction(fitted.rsquared_adj),
        "residual_volatility": fraction(spread),
        "residual_volatility_annual": fraction(spread * math.sqrt(pace)),
        "f": number(fitted.fvalue),
        "p_f": probability(fitted.f_pvalue),
        "durbin_watson": number(stattools.durbin_watson(rest)),
        "jarque_bera": number(bera),
        "p_jarque_bera": probability(bera_p),
        "residual_skewness": number(skew),
        "residual_kurtosis": number(kurtosis),
        "log_likelihood": number(fitted.llf),
        "aic": number(fitted.aic),
        "bic": number(fitted.bic),
    }


def rate_said(risk_free: float, rate_series: str | None, pace: float) -> str:
    """How the risk-free return of a period came about."""
    return f"returns of {rate_series}" if rate_series else f"{risk_free:g} a year, divided by {pace:g} periods"


def _errors_said(errors: Errors, lags: int, small_sample: bool) -> str:
    if errors == "classic":
        return "ordinary least squares, divisor T - k"
    if errors == "hac":
        return f"Newey and West, {lags} lags, Bartlett weights" + (", times T / (T - k)" if small_sample else "")
    return f"White's, {errors.upper()}"
