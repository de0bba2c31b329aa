"""How sure a Sharpe ratio is: its errors, the probabilistic and the deflated ratio, the track record needed."""

import math
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import (
    LISTED,
    LONGEST,
    Ddof,
    Lookback,
    MaybeNumber,
    Measured,
    Number,
    Periods,
    Reference,
    RiskFree,
    Ticker,
)
from openoutcry.tools.data.closes import together
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, number, probability, text, years
from openoutcry.tools.formulas import sharpe_error, tails
from openoutcry.tools.formulas.sharpe_error import Estimate, expected_maximum, hac_error, powers, time_factor
from openoutcry.tools.performance import FreeRule, FreeSeries, a_period, annualisation
from openoutcry.tools.prices import RETURNS, alike, stale
from openoutcry.tools.tool import tool

_NORMAL = NormalDist()
Level = Annotated[
    float,
    Field(gt=0.5, lt=1, description="confidence: two-sided in the interval, one-sided in the track record length"),
]
Trials = Annotated[
    int | None, Field(ge=1, le=10**9, description="independent trials of which this is the best, for deflated_sharpe")
]
TrialVariance = Annotated[
    MaybeNumber,
    Field(ge=0, description="variance of the trials' Sharpe ratios; if not given 1 / (n - 1), chance alone"),
]
Benchmark = Annotated[FiniteFloat, Field(description="the Sharpe ratio to beat, of one PERIOD as sharpe is")]
OwnSkewness = Annotated[MaybeNumber, Field(description="used in place of the sample's skewness, e.g. 0")]
OwnKurtosis = Annotated[
    MaybeNumber, Field(description="used in place of the sample's kurtosis, 3 being normal; 3 leaves it out")
]
Lags = Annotated[
    int | None,
    Field(
        ge=0,
        le=1000,
        description="autocorrelations used in annualising and in the HAC error; if not given periods a year - 1, "
        "but at most 11",
    ),
]

Rho = Annotated[
    list[FiniteFloat] | None,
    LISTED,
    Measured(list[Reference] | None),
    Field(description="autocorrelations of the returns, order 1 first; the further ones are taken as zero"),
]
RhoModel = Annotated[
    Literal["given", "ar1"], Field(description="ar1: each order is a power of the one autocorrelation given")
]


def _figures(
    of: Estimate, benchmark: float, confidence: float, trials: int | None, variance: float | None, pace: float
) -> tuple[dict[str, Figure], list[str]]:
    """What follows from the stated numbers alone, and what does not."""
    z = _NORMAL.inv_cdf((1 + confidence) / 2)
    lo, mertens = (math.sqrt(v / of.observations) for v in (1 + of.sharpe**2 / 2, of.spread))
    known = {
        "sharpe": number(of.sharpe),
        "observations": count(of.observations),
        "skewness": number(of.skewness),
        "kurtosis": number(of.kurtosis),
        "standard_error_normal": number(lo),
        "standard_error_mertens": number(mertens),
        "standard_error": number(of.error),
        "t_statistic": number(of.sharpe / of.error),
        "t_statistic_normal": number(of.sharpe / lo),
        "lower": number(of.sharpe - z * of.error),
        "upper": number(of.sharpe + z * of.error),
        "lower_normal": number(of.sharpe - z * lo),
        "upper_normal": number(of.sharpe + z * lo),
        "confidence": probability(confidence),
        "benchmark_sharpe": number(benchmark),
        "probabilistic_sharpe": probability(of.probability_above(benchmark)),
        "p_value": probability(1 - of.probability_above(benchmark)),
    }
    missing: list[str] = []
    if of.sharpe > benchmark:
        needed = of.needed(benchmark, confidence)
        known["minimum_track_record"] = number(needed)
        known["minimum_track_record_years"] = years(needed / pace)
    else:
        missing.append("minimum track record: needs a Sharpe ratio above the benchmark")
    if trials is not None:
        spread = 1 / (of.observations - 1) if variance is None else variance
        best = expected_maximum(trials, spread)
        known |= {
            "trials": count(trials),
            "trial_variance": number(spread),
            "expected_maximum_sharpe": number(best),
            "deflated_sharpe": probability(of.probability_above(best)),
        }
    return known, missing


CONVENTIONS = {
    "sharpe": "of one period, not annualised; so are its errors, bounds and the benchmark",
    "standard_error": "normal: sqrt((1 + SR^2 / 2) / n), Lo (2002); mertens: sqrt((1 - skew SR + (kurtosis - 1) / 4 "
    "SR^2) / n); standard_error: the same with n - 1, as in the probabilistic Sharpe ratio",
    "kurtosis": "3 is normal; skewness and kurtosis of the population (divisor n)",
    "minimum_track_record": "in periods, one-sided at the confidence",
    "deflated_sharpe": "the probability that the true ratio is above the best to be expected of the trials by chance",
}


@tool
def sharpe_ratio(
    view: View,
    ticker: Ticker,
    risk_free: RiskFree = 0.0,
    risk_free_series: FreeSeries = None,
    benchmark_sharpe: Benchmark = 0.0,
    confidence: Level = 0.95,
    trials: Trials = None,
    trial_variance: TrialVariance = None,
    periods: Periods = None,
    window: Lookback = None,
    ddof: Ddof = 1,
    skewness: OwnSkewness = None,
    kurtosis: OwnKurtosis = None,
    lags: Lags = None,
    risk_free_rule: FreeRule = "linear",
) -> Evidence:
    """A series' Sharpe ratio with its standard errors, confidence interval, probabilistic and deflated ratio.

    `sharpe` is of one period; `annual_sharpe` is that times the square root of the periods a year, and
    `annual_sharpe_autocorrelation` that times eta(q) of Lo (2002), which minds autocorrelation up to *lags*.
    `standard_error_hac` is Lo's GMM error with the weights of Newey and West (1987). `probabilistic_sharpe` is the
    probability that the true ratio is above *benchmark_sharpe*; `minimum_track_record` how many periods prove it;
    `deflated_sharpe` allows for the best of *trials* having been chosen.

    Raises UnknownTicker, or NotComputed with fewer than 4 returns or where all are alike. Sources: Lo, The
    Statistics of Sharpe Ratios (2002); Mertens (2002); Bailey and Lopez de Prado, The Sharpe Ratio Efficient
    Frontier (2012) and The Deflated Sharpe Ratio (2014).
    """
    sources = view.prices_of([ticker, *([risk_free_series] if risk_free_series else [])])
    shared = together(sources) if len(sources) > 1 else sources
    returns, *rest = (p.returns(window or LONGEST, needed=4) for p in shared)
    pace = periods or view.pace or 252
    excess = returns - (rest[0] if rest else a_period(risk_free, pace, risk_free_rule))
    if alike(excess):
        raise NotComputed(f"needs returns that differ; those of {ticker} are all alike over {len(excess)} periods")
    of, q = tails.moments(excess), max(round(pace), 1)
    stated = Estimate(
        float(excess.mean()) / float(excess.std(ddof=ddof)),
        len(excess),
        float(of.skewness) if skewness is None else skewness,
        float(of.excess_kurtosis) + 3 if kurtosis is None else kurtosis,
    )
    used = min(min(q - 1, 11) if lags is None else lags, len(excess) - 2)
    rho = sharpe_error.autocorrelations(excess, used)
    known, missing = _figures(stated, benchmark_sharpe, confidence, trials, trial_variance, pace)
    timed: dict[str, Figure] = {}
    try:
        factor = time_factor(rho, q)
        timed = {"time_factor": number(factor), "annual_sharpe_autocorrelation": number(stated.sharpe * factor)}
    except NotComputed as error:
        missing.append(f"annual Sharpe ratio with autocorrelation: {error}; fewer lags may do")
    hac = hac_error(excess, stated.sharpe, used)
    return view.evidence(
        {
            "ticker": text(ticker),
            **known,
            "standard_error_hac": number(hac),
            "annual_sharpe": number(stated.sharpe * math.sqrt(pace)),
            "annual_standard_error": number(stated.error * math.sqrt(pace)),
            **timed,
            "autocorrelation": number(rho[0] if rho else 0.0),
            "lags": count(used),
            "periods_a_year": number(pace),
            **shared[0].until,
        },
        [p.rows for p in sources],
        conventions={
            "returns": RETURNS.format(basis=shared[0].basis),
            "annualisation": annualisation(view, periods, pace),
            "ddof": str(ddof),
            **CONVENTIONS,
            "time_factor": f"eta({q}) from {used} autocorrelations (divisor n); the further ones as zero",
            "standard_error_hac": f"Newey-West with {used} lags, divisor n",
        },
        missing=[*(n for p in sources for n in stale(view, p)), *(f"{ticker} {m}" for m in missing)],
    )


@tool
def sharpe_significance(
    view: View = NO_DATA,
    *,
    sharpe: Annotated[Number, Field(description="the Sharpe ratio of one period, or of a year with annualised")],
    observations: Annotated[int, Field(ge=2, le=10**9, description="how many periods it was measured over")],
    skewness: Annotated[Number, Field(description="skewness of the returns of a period")] = 0.0,
    kurtosis: Annotated[Number, Field(ge=1, description="kurtosis of the returns, NOT excess: 3 is normal")] = 3.0,
    benchmark_sharpe: Annotated[
        FiniteFloat, Field(description="the Sharpe ratio to beat, in the unit of sharpe")
    ] = 0.0,
    confidence: Level = 0.95,
    trials: Trials = None,
    trial_variance: TrialVariance = None,
    periods: Annotated[float, Field(gt=0, le=366, description="periods a year, e.g. 250 or 12")] = 252,
    annualised: Annotated[
        bool,
        Field(description="whether sharpe, benchmark_sharpe and trial_variance are a year's, over those periods"),
    ] = False,
    autocorrelations: Rho = None,
    autocorrelation_model: RhoModel = "given",
) -> Evidence:
    """Standard error, probabilistic and deflated Sharpe ratio and track record needed, from stated numbers.

    The calculator of `sharpe_ratio`: PSR = Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)),
    with all ratios of one period. With *annualised* true the Sharpe ratios are divided by the square root of
    *periods* and the trials' variance by *periods* first. `annual_sharpe_autocorrelation` is the ratio times
    eta(q) of Lo (2002), equation 20, q being *periods*, and `time_factor` eta itself.

    Raises NotComputed where skewness and kurtosis cannot go together, or the autocorrelations cannot be. Sources:
    Lo, The Statistics of Sharpe Ratios (2002); Mertens (2002); Bailey and Lopez de Prado, The Sharpe Ratio Efficient
    Frontier (2012) and The Deflated Sharpe Ratio (2014).
    """
    root = math.sqrt(periods) if annualised else 1.0
    variance = None if trial_variance is None else trial_variance / root**2
    stated = Estimate(sharpe / root, observations, skewness, kurtosis)
    known, missing = _figures(stated, benchmark_sharpe / root, confidence, trials, variance, periods)
    q, given = max(round(periods), 1), autocorrelations or []
    correlations = powers(given, q) if autocorrelation_model == "ar1" else given
    if any(abs(r) > 1 for r in correlations):
        raise NotComputed(f"needs autocorrelations from -1 to 1; got {max(correlations, key=abs):g}")
    factor = time_factor(correlations, q)
    return view.evidence(
        {
            **known,
            "annual_sharpe": number(stated.sharpe * math.sqrt(periods)),
            "annual_standard_error": number(stated.error * math.sqrt(periods)),
            "time_factor": number(factor),
            "annual_sharpe_autocorrelation": number(stated.sharpe * factor),
        },
        conventions={**CONVENTIONS, "time_factor": f"eta({q}), autocorrelations {autocorrelation_model}"},
        missing=missing,
    )
