"""GARCH volatility: a model fitted to a series, and the forecasts of a model that is stated."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import (
    Horizon,
    MaybeNumber,
    MaybePositive,
    Periods,
    Ticker,
    Window,
)
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import fraction, number, text
from openoutcry.tools.figures import periods as periods_ahead
from openoutcry.tools.formulas import conditional, tails
from openoutcry.tools.formulas.conditional import Backcast, Distribution, Errors, Fitted, Mean, Variant
from openoutcry.tools.prices import RETURNS, alike, log_returns, stale
from openoutcry.tools.tool import tool

Lag = Annotated[int, Field(ge=1, le=5)]
BACKCASTS = {
    "exponential": "exponentially weighted squared residuals, as Python's arch does",
    "mean_square": "mean of the squared residuals, at each trial mean (Bollerslev and Ghysels 1996)",
}
ERRORS = {"robust": "Bollerslev-Wooldridge sandwich", "classic": "inverse Hessian"}


@tool
def garch(
    view: View,
    ticker: Ticker,
    window: Window = 2520,
    p: Annotated[Lag, Field(description="lags of the squared residual (alpha)")] = 1,
    q: Annotated[int, Field(ge=0, le=5, description="lags of the variance (beta)")] = 1,
    o: Annotated[
        int | None, Field(ge=0, le=5, description="lags of the asymmetry (gamma); 1 for gjr and egarch, else 0")
    ] = None,
    mean: Annotated[Mean, Field(description="a constant mean mu, or none")] = "constant",
    distribution: Annotated[Distribution, Field(description="normal, or Student t with nu degrees")] = "normal",
    variant: Annotated[Variant, Field(description="garch, egarch (Nelson) or gjr (Glosten, J., R.)")] = "garch",
    backcast: Annotated[
        Backcast,
        Field(
            description="variance before the first return: exponential as Python's arch; mean_square is "
            "mean(e**2), as in the published DM/GBP benchmark"
        ),
    ] = "exponential",
    errors: Annotated[
        Errors, Field(description="standard errors: robust (Bollerslev-Wooldridge) or classic (Hessian)")
    ] = "robust",
    horizon: Horizon = 10,
    multiplier: Annotated[
        FiniteFloat, Field(gt=0, description="returns are multiplied by it first: 100 for percent")
    ] = 1.0,
    log: Annotated[bool, Field(description="log returns instead of simple ones")] = False,
    periods: Periods = None,
) -> Evidence:
    """Fit a GARCH(p,q), GJR or EGARCH model to the returns of *ticker* and forecast their volatility.

    Figures: the parameters (mu, omega, alpha_1, gamma_1, beta_1, nu), `std_err_` of each, log-likelihood,
    persistence, half-life, long-run volatility, and volatility forecasts. h = omega + alpha e^2 + gamma e^2
    [e < 0] + beta h of one period, in the squared unit of the returns; an EGARCH models log h. Maximum likelihood
    by arch; with backcast mean_square its exact maximum, which meets the benchmark of McCullough and Renfro (1999),
    Fiorentini, Calzolari and Panattoni (1996). Persistence is alpha + gamma / 2 + beta (beta of an EGARCH); the
    long-run variance omega / (1 - persistence); `forecast_volatility` is of the next period and
    `average_volatility` the root of the mean variance over *horizon*. Raises UnknownTicker, or NotComputed with
    fewer than 100 returns, returns all alike, or a likelihood without a maximum.
    """
    prices = view.prices(ticker)
    returns = prices.returns(window, conditional.NEEDED)
    if alike(returns):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(returns)} periods")
    returns = (log_returns(ticker, returns) if log else returns) * multiplier
    model = conditional.fit(
        returns,
        p=p,
        q=q,
        o=o,
        mean=mean,
        distribution=distribution,
        variant=variant,
        backcast=backcast,
        errors=errors,
    )
    pace, times = periods or view.pace or 252, f", times {multiplier:g}" if multiplier != 1 else ""
    forecasts, missing = _forecasts(model, horizon, pace, multiplier)
    return view.evidence(
        {
            "ticker": text(ticker),
            **{name: number(value) for name, value in model.params.items()},
            **{f"std_err_{name}": number(value) for name, value in model.std_err.items()},
            "log_likelihood": number(model.log_likelihood),
            "aic": number(2 * len(model.params) - 2 * model.log_likelihood),
            "bic": number(len(model.params) * math.log(len(returns)) - 2 * model.log_likelihood),
            **forecasts,
            "last_standardised_residual": number(model.standardised[-1]),
            "horizon": view.span(horizon),
            "observations": view.span(len(returns)),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "returns": f"{'log returns' if log else RETURNS.format(basis=prices.basis)}{times}",
            "model": f"{variant}({p},{q}), {mean} mean, {distribution} distribution",
            "backcast": BACKCASTS[backcast],
            "standard errors": ERRORS[errors],
            "annualisation": f"square root of {pace:g} periods",
        },
        missing=[*stale(view, prices), *missing, *_without_errors(model)],
    )


def _forecasts(model: Fitted, horizon: int, pace: float, scale: float) -> tuple[dict[str, Figure], list[str]]:
    """Persistence and volatilities; and what the model has not got."""
    unit = fraction if scale == 1 else number
    missing: list[str] = []
    figures = {"persistence": number(model.persistence)}
    if 0 < model.persistence < 1:
        figures["half_life"] = number(math.log(0.5) / math.log(model.persistence))
    else:
        missing.append(f"half-life: a persistence of {model.persistence:.6g} does not die away")
    if (long_run := model.long_run_variance) is None:
        missing.append("long-run volatility: the model has none in closed form")
    else:
        figures["long_run_variance"] = number(long_run)
        figures["long_run_volatility"] = unit(math.sqrt(long_run))
        figures["long_run_volatility_annual"] = unit(math.sqrt(long_run * pace))
    ahead = model.expected_variances(horizon)
    figures["last_volatility"] = unit(math.sqrt(float(model.variances[-1])))
    figures["forecast_volatility"] = unit(math.sqrt(float(ahead[0])))
    figures["forecast_volatility_annual"] = unit(math.sqrt(float(ahead[0]) * pace))
    if len(ahead) < horizon:
        missing.append("average volatility over the horizon: an EGARCH has it in closed form for the next period alone")
    else:
        figures["horizon_end_volatility"] = unit(math.sqrt(float(ahead[-1])))
        figures["average_volatility"] = unit(math.sqrt(float(ahead.mean())))
        figures["average_volatility_annual"] = unit(math.sqrt(float(ahead.mean()) * pace))
    return figures, missing


def _without_errors(model: Fitted) -> list[str]:
    names = [n for n in model.params if n not in model.std_err]
    return [f"standard errors of {', '.join(names)}: not known where an estimate lies on a bound"] if names else []


def filtered_historical(
    returns: NDArray[np.float64],
    confidence: float,
    *,
    horizon: int = 1,
    simulations: int = 20_000,
    seed: int = 0,
    backcast: Backcast = "exponential",
) -> tails.Tail:
    """VaR and ES by filtered historical simulation of a GARCH(1,1) with a constant mean; see `conditional`."""
    model = conditional.fit(returns, backcast=backcast)
    return tails.historical(conditional.filtered_returns(model, horizon, simulations, seed), confidence)


@tool
def garch_forecast(
    view: View = NO_DATA,
    *,
    omega: Annotated[MaybeNumber, Field(ge=0, description="constant of the variance of one period")] = None,
    alpha: Annotated[MaybeNumber, Field(ge=0, le=1, description="weight of the latest squared return")] = None,
    beta: Annotated[MaybeNumber, Field(ge=0, le=1, description="weight of the variance before")] = None,
    decay: Annotated[
        float | None,
        Field(gt=0, lt=1, description="lambda of an EWMA, e.g. 0.94: omega 0, alpha 1 - lambda, beta lambda"),
    ] = None,
    long_run_volatility: Annotated[MaybePositive, Field(description="of one period; in place of omega")] = None,
    volatility: Annotated[
        MaybePositive,
        Field(description="of one period, e.g. 0.016 a day: the latest estimate (the next if no last_return)"),
    ] = None,
    variance: Annotated[MaybePositive, Field(description="the square of volatility, in place of it")] = None,
    last_return: Annotated[MaybeNumber, Field(description="the latest return, which updates the variance")] = None,
    horizon: Annotated[int, Field(ge=1, le=5000, description="periods ahead, e.g. trading days")] = 10,
    periods: Annotated[float, Field(gt=0, le=366, description="periods a year")] = 252,
) -> Evidence:
    """Update and forecast volatility by a stated GARCH(1,1), or an EWMA: next period, term structure, long run.

    `next_volatility` = sqrt(omega + alpha r^2 + beta h). `expected_volatility` is of the period *horizon* after
    that next one, V_L + (alpha + beta)^horizon (h - V_L); `average_volatility` the root of the mean variance over
    the next *horizon* periods; `term_volatility` a year's of an option of that life by Hull's continuous form,
    V_L + (1 - e^(-aT)) / (aT) (h - V_L), a = -ln(alpha + beta); `term_sensitivity` how much it moves for a unit
    of today's annual volatility. Raises NotComputed where the parameters, or the volatility, are stated twice or
    not at all, or their weights add to more than 1. Source: Hull, Options, Futures, and Other Derivatives, the
    chapter on estimating volatilities; Bollerslev (1986).
    """
    w, a, b, base = _stated(omega, alpha, beta, decay, long_run_volatility)
    if (volatility is None) == (variance is None):
        raise NotComputed("needs either volatility or variance of one period; give one of them")
    h = variance if variance is not None else (volatility or 0.0) ** 2
    if last_return is not None:
        h = w + a * last_return**2 + b * h
    return view.evidence(
        {
            "next_variance": number(h),
            "next_volatility": fraction(math.sqrt(h)),
            "next_volatility_annual": fraction(math.sqrt(h * periods)),
            "omega": number(w),
            "alpha": number(a),
            "beta": number(b),
            **_term(h, a + b, w, base, horizon, periods),
            "horizon": periods_ahead(horizon),
        },
        conventions={
            "volatility": "of one period, unless named annual",
            "annualisation": f"square root of {periods:g} periods",
            "horizon": "expected_volatility is of the period that many after the next",
        },
    )


def _stated(
    omega: float | None, alpha: float | None, beta: float | None, decay: float | None, long_run: float | None
) -> tuple[float, float, float, float | None]:
    """Omega, alpha, beta and the long-run variance, where there is one."""
    if decay is not None:
        if any(v is not None for v in (omega, alpha, beta, long_run)):
            raise NotComputed("needs either decay (an EWMA) or alpha, beta and omega (a GARCH); both are given")
        return 0.0, 1 - decay, decay, None
    if alpha is None or beta is None or (omega is None) == (long_run is None):
        raise NotComputed("needs alpha, beta and either omega or long_run_volatility; or decay alone")
    left = 1 - alpha - beta
    if left < -1e-12:
        raise NotComputed(f"needs alpha + beta of at most 1; they add to {alpha + beta:g}")
    if long_run is not None:
        omega = left * long_run**2
    if omega is None or omega == 0 or left < 1e-12:
        return omega or 0.0, alpha, beta, None
    return omega, alpha, beta, omega / left


def _term(
    h: float, persistence: float, omega: float, base: float | None, horizon: int, periods: float
) -> dict[str, Figure]:
    """The term structure from the next variance *h*."""
    steps = np.arange(horizon + 1)
    level = 0.0 if base is None else base
    path = level + persistence**steps * (h - level) + (omega * steps if base is None else 0.0)
    average = float(path[:horizon].mean())
    figures: dict[str, Figure] = {
        "expected_variance": number(path[-1]),
        "expected_volatility": fraction(math.sqrt(path[-1])),
        "average_volatility": fraction(math.sqrt(average)),
        "average_volatility_annual": fraction(math.sqrt(average * periods)),
        "persistence": number(persistence),
    }
    if base is None or not 0 < persistence < 1:
        return figures
    rate = -math.log(persistence)
    share = -math.expm1(-rate * horizon) / (rate * horizon)
    term = base + share * (h - base)
    return figures | {
        "long_run_weight": number(1 - persistence),
        "long_run_variance": number(base),
        "long_run_volatility": fraction(math.sqrt(base)),
        "long_run_volatility_annual": fraction(math.sqrt(base * periods)),
        "reversion_rate": number(rate),
        "half_life": number(math.log(2) / rate),
        "term_volatility": fraction(math.sqrt(term * periods)),
        "term_sensitivity": number(share * math.sqrt(h / term)),
    }
