"""Value at risk far in the tail, by the peaks over a threshold: a generalised Pareto distribution."""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import Confidence, MaybePositive, Measured, Number, Positive, Reference, Ticker, Window
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, fraction, number, probability, text
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.tool import tool

FEWEST = 20
SOURCE = "peaks over threshold (McNeil, Frey and Embrechts 2015, section 5.2; Hull, extreme value theory)"


@tool
def extreme_value(
    view: View,
    ticker: Ticker,
    confidence: Confidence = 0.999,
    window: Window = 2520,
    threshold: Annotated[float | None, Field(description="loss from which the tail begins, e.g. 0.02")] = None,
    tail: Annotated[float, Field(gt=0, lt=0.5, description="if no threshold: the share of losses in the tail")] = 0.05,
) -> Evidence:
    """VaR and expected shortfall of one day by extreme value theory: peaks over a threshold.

    A generalised Pareto distribution with shape xi and scale beta is fitted by maximum likelihood to the losses
    above the threshold u: VaR = u + beta / xi ((n / n_u (1 - confidence))^-xi - 1), ES = (VaR + beta - xi u) /
    (1 - xi). Losses are negated simple returns. Raises UnknownTicker, or NotComputed with fewer than 20 losses
    above the threshold, a confidence below it, or xi of 1 or more, where the mean of the tail is infinite.
    """
    prices = view.prices(ticker)
    losses = -prices.returns(window, 100)
    if alike(losses):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(losses)} periods")
    u = float(np.quantile(losses, 1 - tail)) if threshold is None else threshold
    excess = losses[losses > u] - u
    if len(excess) < FEWEST:
        raise NotComputed(
            f"needs at least {FEWEST} losses above {u:g}; {ticker} has {len(excess)}: lower the threshold"
        )
    xi, beta, likelihood = _fitted(excess)
    return view.evidence(
        {
            "ticker": text(ticker),
            **_tail(u, xi, beta, len(losses), len(excess), confidence),
            "log_likelihood": number(likelihood),
            "observations": view.span(len(losses)),
            "confidence": probability(confidence),
            **prices.until,
        },
        [prices.rows],
        conventions={"sign": "positive is a loss", "method": SOURCE, "returns": RETURNS.format(basis=prices.basis)},
        missing=stale(view, prices),
    )


@tool
def extreme_value_tail(
    view: View = NO_DATA,
    *,
    threshold: Annotated[Positive, Field(description="u, the loss from which the tail begins, in any unit")],
    xi: Annotated[Number, Field(description="shape of the generalised Pareto distribution, e.g. 0.4")],
    beta: Annotated[Positive, Field(description="its scale, in the unit of the threshold")],
    observations: Annotated[int, Field(gt=0, description="how many losses there are"), Measured(Reference)],
    exceedances: Annotated[int, Field(gt=0, description="how many are above the threshold"), Measured(Reference)],
    confidence: Confidence = 0.99,
    loss: Annotated[MaybePositive, Field(description="a loss above the threshold, whose probability is asked")] = None,
) -> Evidence:
    """VaR and expected shortfall from a stated generalised Pareto tail, in the unit of the threshold.

    The formulas of `extreme_value`. `probability_of_loss` is n_u / n (1 + xi (loss - u) / beta)^(-1 / xi). Raises
    NotComputed for a confidence below the threshold, xi of 1 or more, or more exceedances than observations.
    """
    if exceedances > observations:
        raise NotComputed(f"needs at most {observations} exceedances, as many as observations; got {exceedances}")
    figures = _tail(threshold, xi, beta, observations, exceedances, confidence, number)
    if loss is not None:
        base = 1 + xi * (loss - threshold) / beta
        if loss < threshold:
            raise NotComputed(f"needs a loss of at least the threshold {threshold:g}; got {loss:g}")
        thin = math.exp(-(loss - threshold) / beta) if abs(xi) < 1e-9 else max(base, 0.0) ** (-1 / xi)
        figures["probability_of_loss"] = probability(exceedances / observations * thin)
    return view.evidence(
        {**figures, "confidence": probability(confidence)}, conventions={"sign": "positive is a loss", "method": SOURCE}
    )


def _fitted(excess: NDArray[np.float64]) -> tuple[float, float, float]:
    """Shape, scale and log-likelihood, fitted in units of the mean excess."""
    pareto: Any = import_module("scipy.stats").genpareto
    unit = float(excess.mean())
    with np.errstate(all="ignore"):
        xi, _, beta = (float(v) for v in pareto.fit(excess / unit, floc=0))
        total = float(pareto.logpdf(excess / unit, xi, 0, beta).sum()) - len(excess) * math.log(unit)
    if not math.isfinite(total):
        raise NotComputed("needs losses on which the likelihood of a generalised Pareto has a maximum")
    return xi, beta * unit, total


def _tail(
    u: float, xi: float, beta: float, n: int, above: int, confidence: float, unit: Callable[[float], Figure] = fraction
) -> dict[str, Figure]:
    """VaR and ES with the parameters of the tail."""
    share = n / above * (1 - confidence)
    if share > 1:
        raise NotComputed(
            f"needs a confidence of at least {1 - above / n:.4g}, where the tail begins; got {confidence:g}"
        )
    if xi >= 1:
        raise NotComputed(f"needs xi below 1 for an expected shortfall; got {xi:g}")
    var = u + (-beta * math.log(share) if abs(xi) < 1e-9 else beta / xi * (share**-xi - 1))
    return {
        "var": unit(var),
        "es": unit((var + beta - xi * u) / (1 - xi)),
        "threshold": unit(u),
        "xi": number(xi),
        "beta": number(beta),
        "exceedances": count(above),
    }
