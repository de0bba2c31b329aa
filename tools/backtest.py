"""Was a VaR right: one-day forecasts rolled forward without look-ahead, and the tests of their exceptions."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Series
from openoutcry.tools.arguments import LISTED, Confidence, MaybeDdof, Measured, Reference, Seed, Ticker
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, fraction, multiple, number, probability, text
from openoutcry.tools.formulas import conditional, coverage, tails
from openoutcry.tools.formulas.coverage import Coverage
from openoutcry.tools.formulas.tails import Quantile
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.tool import tool

Values = NDArray[np.float64]
Method = Literal["historical", "gaussian", "cornish_fisher", "garch", "monte_carlo"]
DRAWS = 20_000
Count = Annotated[int | None, Field(ge=0), Measured(Reference | None)]
Level = Annotated[float, Field(gt=0.5, lt=1, description="confidence of the test itself: 0.95 rejects at 5 %")]


def rolling_var(
    returns: Values,
    window: int,
    test: int,
    confidence: float,
    method: Method = "historical",
    *,
    seed: int = 0,
    quantile: Quantile = "linear",
    ddof: int | None = None,
) -> Values:
    """One-period VaR for each of the last *test* returns, from the *window* returns before it and no later one.

    `garch` is fitted once, on the *window* before the first of them, and then filtered: the quantile of its
    standardised residuals times the deviation foreseen (filtered historical simulation over one period).
    `monte_carlo` draws from a lognormal fitted to each window, with the same *seed* each day. *ddof* is 0 for
    cornish_fisher and 1 for gaussian unless given. Raises NotComputed with fewer than window + test returns.
    """
    if len(returns) < window + test:
        raise NotComputed(f"needs {window} + {test} returns to estimate and test; got {len(returns)}")
    recent = returns[-(window + test) :]
    if method == "garch":
        model = conditional.fit(recent[:window])
        tail = tails.historical(model.standardised, confidence, quantile)
        return conditional.filtered(model, recent[window:]) * float(tail.var) - model.mu
    past = np.lib.stride_tricks.sliding_window_view(recent[:-1], window).T
    match method:
        case "historical":
            return tails.historical(past, confidence, quantile).var
        case "gaussian":
            return tails.gaussian(past.mean(axis=0), past.std(axis=0, ddof=1 if ddof is None else ddof), confidence).var
        case "cornish_fisher":
            return tails.cornish_fisher(past, confidence, ddof or 0).var
        case "monte_carlo":
            return _simulated(recent, window, confidence, seed)


def _simulated(recent: Values, window: int, confidence: float, seed: int) -> Values:
    if recent.min() <= -1:
        raise NotComputed(f"needs returns above -100 % for a lognormal; the lowest is {recent.min():g}")
    logs = np.lib.stride_tricks.sliding_window_view(np.log1p(recent)[:-1], window).T
    drawn = np.random.default_rng(seed).standard_normal(DRAWS)
    z = float(tails.historical(drawn, confidence).var)
    return -np.expm1(logs.mean(axis=0) - z * logs.std(axis=0, ddof=1))


def coverage_figures(hits: NDArray[Any], confidence: float) -> dict[str, Figure]:
    """What the tests say of a sequence of exceptions, oldest first."""
    return figures_of(coverage.coverage(hits, confidence), confidence)


def figures_of(found: Coverage, confidence: float) -> dict[str, Figure]:
    """The figures of counts that were tested."""
    figures = {
        "exceptions": count(found.exceptions),
        "observations": count(found.observations),
        "expected": number(found.expected),
        "rate": fraction(found.exceptions / found.observations),
        "confidence": probability(confidence),
        "kupiec_lr": number(found.kupiec),
        "kupiec_p_value": probability(found.kupiec_p),
        "binomial_z": number(found.z),
        "cumulative_probability": probability(found.cumulative),
        "zone": text(found.zone),
    }
    if found.independence is not None and found.conditional is not None and found.transitions is not None:
        figures |= {
            "independence_lr": number(found.independence),
            "independence_p_value": probability(coverage.p_value(found.independence, 1)),
            "conditional_coverage_lr": number(found.conditional),
            "conditional_coverage_p_value": probability(coverage.p_value(found.conditional, 2)),
            **{f"n{k}": count(n) for k, n in zip(("00", "01", "10", "11"), found.transitions, strict=True)},
        }
    if factors := coverage.multipliers(found, confidence):
        figures["multiplier"] = multiple(factors[0])
        figures["plus_factor"] = number(round(factors[0] - 3, 2))
        figures["multiplier_mar32"] = multiple(factors[1])
    return figures


TESTS = {
    "kupiec": "proportion of failures, chi-square with 1 degree of freedom",
    "independence": "Christoffersen (1998), chi-square 1; conditional coverage is its sum with Kupiec's, chi-square 2",
    "zone": "Basel (1996) by the binomial chance of so many exceptions or fewer: yellow from 95 %, red from 99.99 %",
    "multiplier": "Basel (1996): 3 plus 0 to 1; yellow by its table for a year at 99 % alone; MAR32: 1.5 to 2",
}


@tool
def var_backtest(
    view: View,
    ticker: Ticker,
    method: Annotated[Method, Field(description="cornish_fisher is modified VaR; garch is filtered historical")] = (
        "historical"
    ),
    confidence: Confidence = 0.99,
    window: Annotated[int, Field(ge=20, le=5000, description="periods that each forecast is made from")] = 500,
    test: Annotated[int, Field(ge=20, le=5000, description="latest periods on which it is tested")] = 250,
    quantile: Annotated[Quantile, Field(description="rule of historical and garch; linear is type 7")] = "linear",
    ddof: MaybeDdof = None,
    seed: Seed = 0,
) -> Evidence:
    """How often one-day losses of *ticker* broke the VaR forecast the day before, and whether that is too often.

    Each forecast knows only the *window* returns before its day; GARCH is fitted once, before the test, and
    filtered. Figures: exceptions and how many were expected, Kupiec's proportion-of-failures test, Christoffersen's
    independence and conditional coverage (`_lr` and `_p_value` of each), the Basel traffic light `zone` with its
    `multiplier`, and the mean quantile loss. An exception is a loss above the forecast. Raises UnknownTicker, or
    NotComputed with fewer than *window* + *test* returns or where they are all alike. Sources: Kupiec (1995),
    Christoffersen (1998), Basel Committee, Supervisory Framework for the Use of "Backtesting" (1996).
    """
    prices = view.prices(ticker)
    returns = prices.returns(window + test, window + test)
    if alike(returns):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(returns)} periods")
    var = rolling_var(returns, window, test, confidence, method, seed=seed, quantile=quantile, ddof=ddof)
    seen = returns[-test:]
    hits = -seen > var
    days = tuple(prices.dates[-test:].astype("datetime64[D]").tolist()) if prices.dated else ()
    return view.evidence(
        {
            "ticker": text(ticker),
            "method": text(method),
            **coverage_figures(hits, confidence),
            "quantile_loss": number(coverage.quantile_loss(seen, var, confidence)),
            "mean_var": fraction(var.mean()),
            "last_var": fraction(var[-1]),
            "mean_exception_loss": fraction(-seen[hits].mean() if hits.any() else 0.0),
            "window": view.span(window),
            "test": view.span(test),
            **prices.until,
        },
        [prices.rows],
        conventions={
            "returns": RETURNS.format(basis=prices.basis),
            "horizon": "one period ahead",
            "exception": "a loss above the forecast made from the periods before",
            **_how(method, window, quantile, ddof, seed),
            **TESTS,
        },
        missing=stale(view, prices),
        series={
            "var": Series(dates=days, values=tuple(var.tolist())),
            "exceptions": Series(
                dates=tuple(d for d, hit in zip(days, hits, strict=False) if hit), values=tuple(seen[hits].tolist())
            ),
        },
    )


def _how(method: str, window: int, quantile: str, ddof: int | None, seed: int) -> dict[str, str]:
    """The conventions of the forecasts."""
    match method:
        case "garch":
            return {
                "method": f"GARCH(1,1) fitted on the {window} periods before the test, filtered through it",
                "quantile": f"{quantile}, of standardised residuals",
            }
        case "monte_carlo":
            return {"method": f"lognormal of each window, {DRAWS:,} draws, seed {seed}", "ddof": "1"}
        case "historical":
            return {"quantile": quantile}
        case _:
            return {"ddof": str(int(method == "gaussian") if ddof is None else ddof)}


@tool
def exceptions_test(
    view: View = NO_DATA,
    *,
    exceptions: Annotated[Count, Field(description="how many losses were above the VaR")] = None,
    observations: Annotated[Count, Field(description="how many days were tested")] = None,
    confidence: Confidence = 0.99,
    level: Level = 0.95,
    first: Annotated[Count, Field(description="day of the first exception, the first day being 1 (TUFF test)")] = None,
    hits: Annotated[
        list[int] | None,
        LISTED,
        Measured(list[Reference] | None),
        Field(description="in place of counts: a 1 for an exception and a 0 else, oldest first"),
    ] = None,
    n00: Annotated[Count, Field(description="days without an exception after one without")] = None,
    n01: Annotated[Count, Field(description="days with an exception after one without")] = None,
    n10: Annotated[Count, Field(description="days without an exception after one with")] = None,
    n11: Annotated[Count, Field(description="days with an exception after one with")] = None,
) -> Evidence:
    """Test a count, or a sequence, of VaR exceptions: Kupiec, Christoffersen, time until first failure, Basel zone.

    Give *exceptions* and *observations*, or *hits*; the transition counts n00 .. n11 add Christoffersen's
    independence and conditional coverage tests. `reject` is 1 where Kupiec's test rejects the VaR at *level*;
    it does not for counts strictly between `accept_above` and `accept_below` (Kupiec 1995, table 3; Jorion, Value
    at Risk). `cumulative_probability` is the binomial chance of so many exceptions or fewer, and
    `at_least_probability` of so many or more (Basel 1996, table 1). From *hits* also Haas's time between failures.
    Raises NotComputed where the counts do not fit each other.
    """
    moves = (n00, n01, n10, n11)
    found, sequence = _counted(exceptions, observations, confidence, hits, moves)
    low, high = coverage.accepted(found.observations, confidence, level)
    p = 1 - confidence
    under = coverage.cumulative(found.exceptions - 1, found.observations, p) if found.exceptions else 0.0
    figures = {
        **figures_of(found, confidence),
        "critical_value": number(coverage.critical(level)),
        "reject": count(found.kupiec > coverage.critical(level)),
        "at_least_probability": probability(max(0.0, 1 - under)),
        "exact_probability": probability(max(0.0, found.cumulative - under)),
        "binomial_p_value": probability(math.erfc(abs(found.z) / math.sqrt(2))),
    }
    figures |= {k: count(v) for k, v in (("accept_above", low), ("accept_below", high)) if v is not None}
    return view.evidence(
        figures | _waits(first, sequence, found, confidence),
        conventions={**TESTS, "level": f"{level:g}", "accept_above, accept_below": "both excluded"},
    )


Moves = tuple[int | None, int | None, int | None, int | None]


def _counted(
    exceptions: int | None, observations: int | None, confidence: float, hits: list[int] | None, moves: Moves
) -> tuple[Coverage, list[int]]:
    """The tests, and the days of the exceptions where they are known."""
    if hits is not None:
        if exceptions is not None or observations is not None or any(n is not None for n in moves):
            raise NotComputed("needs either hits or counts; both are given")
        if len(hits) < 2 or set(hits) - {0, 1}:
            raise NotComputed("needs hits of at least two days, each 0 or 1")
        return coverage.coverage(hits, confidence), [i for i, hit in enumerate(hits, 1) if hit]
    known = [n for n in moves if n is not None]
    if len(known) not in (0, 4):
        raise NotComputed("needs all of n00, n01, n10 and n11, or none of them")
    if known:
        exceptions = known[1] + known[3] if exceptions is None else exceptions
        observations = sum(known) if observations is None else observations
    if exceptions is None or not observations:
        raise NotComputed("needs exceptions and observations above zero, or hits, or n00, n01, n10 and n11")
    if exceptions > observations or (known and not sum(known) <= observations <= sum(known) + 1):
        raise NotComputed(
            f"needs counts that fit each other; got {exceptions} exceptions of {observations} observations"
            + (f" and {sum(known)} transitions" if known else "")
        )
    told = (known[0], known[1], known[2], known[3]) if known else None
    return coverage.counted(exceptions, observations, confidence, told), []


def _waits(first: int | None, days: list[int], found: Coverage, confidence: float) -> dict[str, Figure]:
    """Tests of the time until the first exception and between them."""
    first = days[0] if first is None and days else first
    figures: dict[str, Figure] = {}
    if first is not None:
        if not 1 <= first <= found.observations:
            raise NotComputed(f"needs first between 1 and {found.observations}; got {first}")
        ratio = coverage.first_failure(first, confidence)
        figures |= {"tuff_lr": number(ratio), "tuff_p_value": probability(coverage.p_value(ratio, 1))}
    if days:
        gaps = [b - a for a, b in zip([0, *days[:-1]], days, strict=True)]
        apart = coverage.between_failures(gaps, confidence)
        both = apart + found.kupiec
        figures |= {
            "between_failures_lr": number(apart),
            "between_failures_p_value": probability(coverage.p_value(apart, len(days))),
            "mixed_kupiec_lr": number(both),
            "mixed_kupiec_p_value": probability(coverage.p_value(both, len(days) + 1)),
        }
    return figures
