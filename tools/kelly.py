"""How much to stake: the Kelly criterion for bets and for assets."""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import (
    Ddof,
    Lookback,
    MaybeNumber,
    MaybePositive,
    Periods,
    Positive,
    RiskFree,
    Ticker,
    Tickers,
)
from openoutcry.tools.data.closes import together
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import fraction, multiple, number, probability
from openoutcry.tools.portfolio import slugs
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.tool import tool

Array = NDArray[np.float64]
Chance = Annotated[MaybePositive, Field(lt=1, description="probability of winning a bet, e.g. 0.53")]
Share = Annotated[float, Field(gt=0, le=5, description="fraction of the full Kelly stake: 0.5 is half Kelly")]
Level = Annotated[
    float | None, Field(gt=0, lt=1, description="share of the first wealth, for the chance of ever falling to it")
]


@tool
def kelly(
    view: View = NO_DATA,
    *,
    win_probability: Chance = None,
    odds: Annotated[
        Positive, Field(description="net odds: won per unit staked, the win/loss ratio; 1 is even money")
    ] = 1.0,
    loss: Annotated[Positive, Field(description="lost per unit staked when a bet is lost")] = 1.0,
    mean: Annotated[MaybeNumber, Field(description="expected return a year of an asset, in place of a bet")] = None,
    volatility: Annotated[MaybePositive, Field(description="standard deviation of that return a year")] = None,
    risk_free: RiskFree = 0.0,
    kelly_fraction: Share = 1.0,
    fall_to: Level = None,
) -> Evidence:
    """The Kelly stake of a bet (win_probability, odds) or of an asset (mean, volatility, risk_free), and its growth.

    A bet: f = p / loss - (1 - p) / odds, which is p - q / odds where all of the stake can be lost; `growth` is
    p ln(1 + odds f) + q ln(1 - loss f) a bet at the stake of *kelly_fraction* times f. An asset in continuous time:
    f = (mean - risk_free) / volatility^2; `growth` is risk_free + f (mean - risk_free) - f^2 volatility^2 / 2 a year,
    and `growth_full` at full Kelly is risk_free + Sharpe^2 / 2. A negative stake says to take the other side.
    `chance_of_fall` is that of ever falling to *fall_to* of the first wealth: fall_to^(2 / share - 1), in continuous
    time and with a positive stake.

    Raises NotComputed without one of the two sets of numbers, or where the stake could lose all. Sources: Kelly
    (1956); Thorp, The Kelly Criterion in Blackjack, Sports Betting and the Stock Market (2006).
    """
    if (win_probability is None) == (mean is None) or (mean is None) != (volatility is None):
        raise NotComputed("needs win_probability, or mean and volatility; got both, neither or half of them")
    if win_probability is not None:
        figures, growth = _bet(win_probability, odds, loss, kelly_fraction), "natural logarithm of wealth a bet"
    else:
        figures = _asset(mean or 0.0, volatility or 1.0, risk_free, kelly_fraction)
        growth = "natural logarithm of wealth a year, continuous trading"
    if fall_to is not None:
        if float(figures["kelly"].value) <= 0 or kelly_fraction >= 2:
            raise NotComputed("needs a stake that grows for fall_to: a positive kelly and a kelly_fraction below 2")
        figures["chance_of_fall"] = probability(fall_to ** (2 / kelly_fraction - 1))
    return view.evidence(figures, conventions={"growth": growth, "stake": f"{kelly_fraction:g} of full Kelly"})


def _bet(p: float, odds: float, loss: float, share: float) -> dict[str, Figure]:
    full = p / loss - (1 - p) / odds
    stake = full * share
    if loss * stake >= 1 or odds * stake <= -1:
        raise NotComputed(f"needs a stake that cannot lose all; {share:g} of the Kelly stake is {stake:.4g}")

    def growth(f: float) -> float:
        return p * math.log1p(odds * f) + (1 - p) * math.log1p(-loss * f)

    return {
        "kelly": fraction(full),
        "half_kelly": fraction(full / 2),
        "stake": fraction(stake),
        "edge": fraction(p * odds - (1 - p) * loss),
        "growth": fraction(growth(stake)),
        "growth_full": fraction(growth(full)),
    }


def _asset(mean: float, spread: float, risk_free: float, share: float) -> dict[str, Figure]:
    excess = mean - risk_free
    full = excess / spread**2
    stake = full * share
    return {
        "kelly": multiple(full),
        "half_kelly": multiple(full / 2),
        "stake": multiple(stake),
        "sharpe": number(excess / spread),
        "growth": fraction(risk_free + stake * excess - stake**2 * spread**2 / 2),
        "growth_full": fraction(risk_free + (excess / spread) ** 2 / 2),
        "volatility_at_stake": fraction(abs(stake) * spread),
    }


@tool
def kelly_from_returns(
    view: View,
    tickers: Tickers,
    window: Lookback = None,
    risk_free: RiskFree = 0.0,
    risk_free_series: Annotated[
        Ticker | None, Field(description="a ticker or column of risk-free returns a period, in place of risk_free")
    ] = None,
    variance_of: Annotated[
        Literal["returns", "excess"],
        Field(description="whose variance: that of returns (Thorp; R's PerformanceAnalytics), or of excess returns"),
    ] = "returns",
    kelly_fraction: Share = 1.0,
    ddof: Ddof = 1,
    periods: Periods = None,
) -> Evidence:
    """Growth-optimal (Kelly) leverage of one ticker, or of several together, from the means and variances of returns.

    One: mean excess return / variance (the same a period as a year). Several: V^-1 m, with V the covariances and m
    the mean excess returns. `kelly_X` is X's multiple of wealth at full Kelly, `half_kelly_X` half of it (R's
    KellyRatio prints the half), `stake_X` *kelly_fraction* of it; the rest is lent or borrowed at the risk-free
    rate. `growth` is r + s'm - s'Vs / 2 a year at the stakes, `growth_full` at full Kelly (log of wealth, continuous
    trading).

    Raises UnknownTicker, or NotComputed with too few returns or covariances of less than full rank. Source: Thorp
    (2006), section 7; Merton (1969).
    """
    if not tickers:
        raise NotComputed("needs a ticker; got none")
    names = [*tickers, *([risk_free_series] if risk_free_series else [])]
    series = view.prices_of(names)
    columns = [p.returns(window or 1_000_000, needed=len(tickers) + 2) for p in together(series)]
    pace = periods or view.pace or 252
    rates = columns.pop() if risk_free_series else np.full(len(columns[0]), risk_free / pace)
    returns = np.column_stack(columns)
    excess = returns - rates[:, None]
    covariance: Array = np.atleast_2d(np.cov(returns if variance_of == "returns" else excess, rowvar=False, ddof=ddof))
    if any(alike(c) for c in columns) or np.linalg.matrix_rank(covariance, hermitian=True) < len(tickers):
        raise NotComputed("needs returns that differ, and no ticker that the others make up")
    full: Array = np.linalg.inv(covariance) @ np.asarray(excess.mean(axis=0), np.float64)
    rate, mean, variance = float(rates.mean()) * pace, excess.mean(axis=0) * pace, covariance * pace

    def growth(stakes: Array) -> Figure:
        return fraction(rate + stakes @ mean - stakes @ variance @ stakes / 2)

    single = float(full[0])
    one = {"kelly": single, "half_kelly": single / 2, "stake": single * kelly_fraction} if len(tickers) == 1 else {}
    return view.evidence(
        {
            **{name: multiple(value) for name, value in one.items()},
            **{
                f"{name}_{s}": multiple(value * scale)
                for s, value in zip(slugs(tickers), full.tolist(), strict=True)
                for name, scale in (("kelly", 1.0), ("half_kelly", 0.5), ("stake", kelly_fraction))
            },
            "leverage": multiple(np.abs(full).sum() * kelly_fraction),
            "growth": growth(full * kelly_fraction),
            "growth_full": growth(full),
            "observations": view.span(len(returns)),
            **series[0].until,
        },
        [p.rows for p in series],
        conventions={
            "returns": RETURNS.format(basis=series[0].basis),
            "variance": f"of {variance_of if variance_of == 'returns' else 'excess returns'}, divisor n - {ddof}",
            "risk_free": risk_free_series or f"{risk_free:g} a year, divided by {pace:g} periods",
            "growth": f"natural logarithm of wealth a year of {pace:g} periods, continuous trading",
        },
        missing=[m for p in series for m in stale(view, p)],
    )
