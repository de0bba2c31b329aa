"""How much the book, or a portfolio of stated weights, can lose: value at risk, its parts, and its backtest."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import MAPPED, Confidence, Horizon, MaybeDdof, RiskFree, Seed, Ticker, Window
from openoutcry.tools.backtest import Method, coverage_figures, rolling_var
from openoutcry.tools.data.view import View
from openoutcry.tools.exposure import Exposure, exposure_of
from openoutcry.tools.figures import count, fraction, multiple, number, probability, slug, text, usd
from openoutcry.tools.formulas import contributions
from openoutcry.tools.formulas.contributions import Parts, Rule
from openoutcry.tools.prices import alike
from openoutcry.tools.tool import tool

Holdings = Annotated[
    dict[Ticker, Annotated[float, Field(allow_inf_nan=False)]] | None,
    MAPPED,
    Field(description="weight by ticker, e.g. AAPL=0.6,MSFT=0.4; none for the book of positions"),
]
Scaling = Annotated[
    Literal["overlapping", "square_root"],
    Field(description="gaussian: returns over the horizon, or of one period times its square root"),
]
Moments = Annotated[
    Literal["population", "one_divisor"],
    Field(description="cornish_fisher: skewness and kurtosis by the population's deviation, or by that of ddof"),
]
Contribution = Annotated[Literal["var", "es", "both", "none"], Field(description="whose parts by line are given")]
Simulations = Annotated[int, Field(ge=1000, le=500_000, description="simulated scenarios of monte_carlo and garch")]
FEWEST = 60


@tool
def portfolio_value_at_risk(
    view: View,
    weights: Holdings = None,
    horizon: Horizon = 10,
    confidence: Confidence = 0.99,
    method: Method = "historical",
    window: Window = 1000,
    quantile: Annotated[Rule, Field(description="historical: type 7, or the k-th worst")] = "linear",
    scaling: Scaling = "overlapping",
    ddof: MaybeDdof = None,
    moments: Moments = "population",
    contribution: Contribution = "var",
    simulations: Simulations = 20_000,
    seed: Seed = 0,
    rate: RiskFree = 0.0,
) -> Evidence:
    """Value at risk and expected shortfall of the book, or of stated weights, with what each line adds to it.

    Losses as positive fractions of the book's gross value (of the portfolio, for weights), and in USD for the
    book. `component_` parts sum to the VaR (`es_component_` to the ES); `marginal_` is a line's part per unit of
    its exposure. `historical`: overlapping returns over *horizon* on the sessions that all tickers share, options
    in full. `gaussian`: their mean and covariance (divisor n - ddof), options by their delta. `cornish_fisher`:
    modified VaR, moments of the scenarios; *ddof* 1 with *moments* one_divisor are those of the component VaR and
    ES of R's PerformanceAnalytics. `garch`: filtered historical simulation of the portfolio's own
    returns, without parts. `monte_carlo`: normal log returns of mean and covariance over the horizon, options in
    full. Raises UnknownTicker, or NotComputed without positions, with fewer than 60 or 1 / (1 - confidence)
    scenarios, or without variation. `observations` are the daily returns that it rests on, `independent` the spans of
    *horizon* in them that do not overlap.
    """
    held = exposure_of(view, weights, rate)
    needed = max(FEWEST, math.ceil(round(1 / (1 - confidence), 6)))
    options = {"window": window, "horizon": horizon, "confidence": confidence, "needed": needed, "moments": moments}
    divisor = int(method != "cornish_fisher") if ddof is None else ddof
    if alike(daily := held.daily(window, 2)):
        raise NotComputed(f"needs returns that differ; those of the portfolio are all alike over {len(daily)} sessions")
    parts, told = _parts(held, method, options, quantile, scaling, divisor, simulations, seed)
    return view.evidence(
        {
            **_whole(held, parts),
            "horizon": view.span(horizon),
            "confidence": probability(confidence),
            "method": text(method),
            "lines": count(len(held.names)),
            "observations": view.span(len(daily)),
            "independent": count(len(daily) // horizon),
            **_by_line(held, parts, contribution),
            **held.series[0].until,
        },
        held.rows,
        conventions={"sign": "positive is a loss", **told, **held.conventions},
        missing=[*held.missing, *_cut(held, len(daily), window)],
    )


def _cut(held: Exposure, sessions: int, window: int) -> list[str]:
    """A note where the youngest line leaves fewer sessions than were asked for."""
    if sessions >= window:
        return []
    return [f"the last {window:,} sessions: {held.youngest} has {sessions:,} returns, and no line is measured beyond"]


def _parts(
    held: Exposure,
    method: str,
    options: dict[str, Any],
    quantile: Rule,
    scaling: str,
    ddof: int,
    simulations: int,
    seed: int,
) -> tuple[Parts, dict[str, str]]:
    """The tail by *method*, and the conventions under which it holds."""
    window, horizon, confidence = options["window"], options["horizon"], options["confidence"]
    match method:
        case "historical":
            changes = held.changes(held.returns(window, horizon, options["needed"]))
            told = {"horizon": f"overlapping {horizon}-session returns, no scaling by time", "quantile": quantile}
            return contributions.historical(changes, confidence, quantile), told
        case "gaussian":
            return _gaussian(held, window, horizon, confidence, scaling, ddof)
        case "cornish_fisher":
            return _cornish_fisher(held, window, horizon, confidence, scaling, ddof, options["moments"])
        case "monte_carlo":
            return _monte_carlo(held, window, horizon, confidence, simulations, seed)
        case _:
            return _garch(held, window, horizon, confidence, simulations, seed)


def _over(scaling: str, horizon: int) -> tuple[int, int, str]:
    """Sessions a return spans, by how many it is scaled, and the words for it."""
    if scaling == "square_root":
        return 1, horizon, f"one-session moments scaled to {horizon}: mean by time, deviation by its square root"
    return horizon, 1, f"overlapping {horizon}-session returns, no scaling by time"


def _gaussian(
    held: Exposure, window: int, horizon: int, confidence: float, scaling: str, ddof: int
) -> tuple[Parts, dict[str, str]]:
    span, times, words = _over(scaling, horizon)
    returns = held.returns(window, span, FEWEST)[:, held.lines]
    covariance = np.atleast_2d(np.cov(returns, rowvar=False, ddof=ddof)) * times
    parts = contributions.gaussian(returns.mean(axis=0) * times, covariance, held.deltas, confidence)
    return parts, {"horizon": words, "ddof": str(ddof), "parts": "analytic"}


def _cornish_fisher(
    held: Exposure, window: int, horizon: int, confidence: float, scaling: str, ddof: int, moments: str
) -> tuple[Parts, dict[str, str]]:
    span, times, words = _over(scaling, horizon)
    changes = held.changes(held.returns(window, span, FEWEST))
    if times > 1:
        raise NotComputed("needs overlapping returns: a square root of time does not carry skewness and kurtosis")
    one_divisor = moments == "one_divisor"
    parts = contributions.cornish_fisher(changes, confidence, ddof, one_divisor=one_divisor)
    by = f"by the deviation of divisor n - {ddof}" if one_divisor else "of the population"
    told = {"horizon": words, "ddof": str(ddof), "moments": f"skewness and kurtosis {by}"}
    return parts, {**told, "expected shortfall": "Boudt, Peterson and Croux (2008), no less than the VaR"}


def _monte_carlo(
    held: Exposure, window: int, horizon: int, confidence: float, simulations: int, seed: int
) -> tuple[Parts, dict[str, str]]:
    logs = np.log1p(held.returns(window, 1, FEWEST))
    covariance = np.atleast_2d(np.cov(logs, rowvar=False)) * horizon
    chance = np.random.default_rng(seed)
    drawn = chance.multivariate_normal(logs.mean(axis=0) * horizon, covariance, simulations, method="eigh")
    words = f"normal log returns over {horizon} sessions, mean and covariance of {len(logs)} daily ones"
    told = {"horizon": words, "simulations": f"{simulations:,}, seed {seed}", "parts": "mean near the VaR, scaled"}
    return contributions.simulated(held.changes(np.expm1(drawn)), confidence), told


def _garch(
    held: Exposure, window: int, horizon: int, confidence: float, simulations: int, seed: int
) -> tuple[Parts, dict[str, str]]:
    from openoutcry.tools.garch import filtered_historical

    daily = held.daily(window, FEWEST)
    tail = filtered_historical(daily, confidence, horizon=horizon, simulations=simulations, seed=seed)
    told = {
        "horizon": f"{horizon} sessions simulated by GARCH(1,1) of the portfolio's daily returns",
        "simulations": f"{simulations:,}, seed {seed}",
        "parts": "none: the portfolio is one series",
    }
    none = np.array([])
    return Parts(float(tail.var), float(tail.es), none, none), told


def _whole(held: Exposure, parts: Parts) -> dict[str, Figure]:
    figures = {"var": fraction(parts.var), "es": fraction(parts.es)}
    if not held.stated:
        figures |= {"var_usd": usd(parts.var * held.gross), "es_usd": usd(parts.es * held.gross)}
        figures["gross_value"] = usd(held.gross)
    return figures


def _by_line(held: Exposure, parts: Parts, contribution: str) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    if contribution != "none" and len(parts.var_parts):
        largest = int(np.argmax(parts.var_parts))
        figures = {"largest": text(held.names[largest]), "largest_component": fraction(parts.var_parts[largest])}
    for key, mark, values in (("var", "", parts.var_parts), ("es", "es_", parts.es_parts)):
        if contribution not in (key, "both"):
            continue
        for name, value, delta in zip(held.names, values, held.deltas, strict=False):
            figures[f"{mark}component_{slug(name)}"] = fraction(value)
            if delta:
                figures[f"{mark}marginal_{slug(name)}"] = number(value / delta)
    return figures


@tool
def portfolio_var_backtest(
    view: View,
    weights: Holdings = None,
    method: Method = "historical",
    confidence: Confidence = 0.99,
    window: Annotated[int, Field(ge=60, le=5000, description="sessions that each forecast is made from")] = 500,
    test: Annotated[int, Field(ge=20, le=5000, description="latest sessions on which it is tested")] = 250,
    seed: Seed = 0,
    rate: RiskFree = 0.0,
) -> Evidence:
    """How often one-day losses of the book, or of stated weights, broke the VaR forecast the day before.

    Today's holdings are held all along; each forecast knows only the *window* sessions before it. Kupiec's and
    Christoffersen's tests and the Basel traffic light as in `var_backtest`. Raises UnknownTicker, or NotComputed
    without positions or with too few sessions.
    """
    held = exposure_of(view, weights, rate)
    daily = held.daily(window + test, window + test)
    if alike(daily):
        raise NotComputed(f"needs returns that differ; those of the portfolio are all alike over {len(daily)} sessions")
    forecast = rolling_var(daily, window, test, confidence, method, seed=seed)
    losses = -daily[-test:]
    hits = losses > forecast
    return view.evidence(
        {
            **coverage_figures(hits, confidence),
            "worst_ratio": multiple(float((losses / forecast).max())),
            "method": text(method),
            "window": view.span(window),
            **held.series[0].until,
        },
        held.rows,
        conventions={"horizon": "one session ahead", "exception": "a loss above the forecast", **held.conventions},
        missing=held.missing,
    )
