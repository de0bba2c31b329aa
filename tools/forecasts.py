"""Scoring of probability forecasts whose outcomes are known."""

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.core.standing import Bin
from openoutcry.tools.arguments import LISTED, Measured, Reference
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, number, probability
from openoutcry.tools.formulas import forecast
from openoutcry.tools.formulas.forecast import Values
from openoutcry.tools.tool import tool

BINS = 10
Chance = Annotated[float, Field(ge=0, le=1)]
Outcome = Annotated[int, Field(ge=0, le=1)]


@tool
def forecast_score(
    view: View = NO_DATA,
    *,
    probabilities: Annotated[
        list[Chance], LISTED, Measured(list[Reference]), Field(description="forecast probabilities, e.g. 0.7,0.2,0.9")
    ],
    outcomes: Annotated[
        list[Outcome],
        LISTED,
        Measured(list[Reference]),
        Field(description="what happened, in the same order: 1 or 0 for each probability"),
    ],
    reference: Annotated[
        list[Chance] | None,
        LISTED,
        Measured(list[Reference] | None),
        Field(description="probabilities to beat, one each or one for all; if not given the frequency of the outcomes"),
    ] = None,
    bins: Annotated[
        int | None,
        Field(ge=1, le=20, description="bins of equal width; if not given by distinct probability up to ten, else 10"),
    ] = None,
) -> Evidence:
    """How good probability forecasts were: Brier and log score, skill, Murphy's decomposition, calibration.

    brier is the mean of (p - o)^2 and log_score that of -ln of the probability of what happened (nats). skill is
    1 - brier / reference_brier, and gain is reference_log_score - log_score. brier = reliability - resolution +
    uncertainty + within_variance - within_covariance, exactly; the last two are 0 where a group holds one probability.
    calibration_error is the mean distance of frequency from mean probability over the bins, and in_the_large is mean
    probability less frequency. spiegelhalter_z tests calibration: positive is worse than the probabilities claim.
    bin_1_.. are those bins that hold any. What is not defined is listed as missing: an infinite log score, skill
    over a perfect reference, a test of nothing but 0, 0.5 and 1.

    Raises NotComputed where the lists differ in length or are empty. Sources: Brier (1950); Murphy (1973); Stephenson,
    Coelho and Jolliffe (2008); Spiegelhalter (1986); Naeini, Cooper and Hauskrecht (2015).
    """
    p, o = np.asarray(probabilities, np.float64), np.asarray(outcomes, np.float64)
    if not len(p) or len(p) != len(o):
        raise NotComputed(f"needs an outcome for each probability; got {len(p)} probabilities and {len(o)} outcomes")
    known = _reference(reference, o)
    bins = BINS if bins is None and len(np.unique(p)) > BINS else bins
    groups = forecast.calibration(p, o, bins)
    parts = forecast.decomposed(p, o, forecast.distinct(p) if bins is None else forecast.equal_bins(p, bins))
    scores = _scores(p, o, known)
    return view.evidence(
        {
            "observations": count(len(p)),
            **{name: number(value) for name, value in scores.items() if math.isfinite(value)},
            "reliability": number(parts.reliability),
            "resolution": number(parts.resolution),
            "uncertainty": number(parts.uncertainty),
            "within_variance": number(parts.variance),
            "within_covariance": number(parts.covariance),
            "generalised_resolution": number(parts.generalised_resolution),
            "base_rate": probability(o.mean()),
            "mean_probability": probability(p.mean()),
            "in_the_large": number(p.mean() - o.mean()),
            "calibration_error": number(forecast.calibration_error(groups)),
            **_test(p, o),
            **_table(groups),
        },
        conventions={
            "brier": "mean squared difference, 0 is perfect",
            "log score": "natural logarithm, 0 is perfect",
            "reference": "frequency of these outcomes" if reference is None else "as given",
            "groups": "distinct probabilities" if bins is None else f"{bins} bins of equal width, upper edge excluded",
            "spiegelhalter_p_value": "two-sided, asymptotic",
        },
        missing=_undefined(scores, p),
    )


def _reference(given: list[float] | None, outcomes: Values) -> Values:
    """The probabilities to beat, one a forecast."""
    if given is None:
        return np.full(len(outcomes), outcomes.mean())
    if len(given) not in (1, len(outcomes)):
        raise NotComputed(f"needs one reference probability or {len(outcomes)}, one a forecast; got {len(given)}")
    return np.broadcast_to(np.asarray(given, np.float64), outcomes.shape)


def _scores(p: Values, o: Values, reference: Values) -> dict[str, float]:
    brier, base = forecast.brier(p, o), forecast.brier(reference, o)
    logs, base_logs = forecast.log_score(p, o), forecast.log_score(reference, o)
    return {
        "brier": brier,
        "log_score": logs,
        "reference_brier": base,
        "reference_log_score": base_logs,
        "skill": forecast.skill(brier, base),
        "gain": base_logs - logs if math.isfinite(base_logs) else math.nan,
    }


def _test(p: Values, o: Values) -> dict[str, Figure]:
    z, chance = forecast.spiegelhalter(p, o)
    if math.isnan(z):
        return {}
    return {"spiegelhalter_z": number(z), "spiegelhalter_p_value": probability(chance)}


def _table(groups: tuple[Bin, ...]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"bins": count(len(groups))}
    for i, group in enumerate(groups, 1):
        figures |= {
            f"bin_{i}_observations": count(group.views),
            f"bin_{i}_probability": probability(group.mean_chance),
            f"bin_{i}_frequency": probability(group.frequency),
        }
    return figures


def _undefined(scores: dict[str, float], p: Values) -> list[str]:
    """What could not be said, and why."""
    said: list[str] = []
    if math.isinf(scores["log_score"]):
        said.append("log_score and gain: infinite, as a probability of 0 or 1 failed")
    if math.isinf(scores["reference_log_score"]):
        said.append("reference_log_score and gain: infinite, as a reference of 0 or 1 failed")
    if math.isnan(scores["skill"]):
        said.append("skill: the reference is perfect, so there is nothing to beat")
    if np.isin(p, (0.0, 0.5, 1.0)).all():
        said.append("spiegelhalter_z: the score of probabilities of 0, 0.5 and 1 alone cannot vary")
    return said
