"""Scores of probabilities against published examples, scikit-learn, and identities that hold for any forecast."""

import math
from datetime import date, timedelta
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.tools.forecasts import forecast_score
from openoutcry.tools.formulas import forecast

score: Any = forecast_score
"""As a command line calls it: with text for lists."""

# Brier (1950), table 1: the chance of rain on ten occasions, and whether it rained.
BRIER = [0.7, 0.9, 0.8, 0.4, 0.2, 0.0, 0.0, 0.0, 0.0, 0.1], [0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
# scikit-learn 1.9, the examples of brier_score_loss, log_loss and calibration_curve.
SKLEARN_BRIER = [0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0]
SKLEARN_LOG = [0.9, 0.1, 0.2, 0.65], [1, 0, 0, 1]
SKLEARN_CURVE = [0.1, 0.2, 0.3, 0.4, 0.65, 0.7, 0.8, 0.9, 1.0], [0, 0, 0, 0, 1, 1, 1, 1, 1]

chances = st.one_of(st.floats(0, 1), st.sampled_from([k / 10 for k in range(11)]))
pairs = st.lists(st.tuples(chances, st.integers(0, 1)), min_size=1, max_size=60)
inner = st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(0, 1)), min_size=1, max_size=60)
Pairs = list[tuple[float, int]]


def split(pairs: Pairs) -> tuple[list[float], list[int]]:
    return [p for p, _ in pairs], [o for _, o in pairs]


def told(probabilities: object, outcomes: object, **more: object) -> dict[str, float]:
    """The figures as plain numbers."""
    made = score(probabilities=probabilities, outcomes=outcomes, **more)
    return {name: float(f.value) for name, f in made.figures.items()}


def test_published_scores() -> None:
    # Brier adds the squares of both classes, which doubles the score of one: .19.
    assert 2 * told(*BRIER)["brier"] == pytest.approx(0.19)
    assert told(*SKLEARN_BRIER)["brier"] == pytest.approx(0.0375)
    assert told(*SKLEARN_LOG)["log_score"] == pytest.approx(0.21616, abs=5e-6)
    found = told(*SKLEARN_CURVE, bins=3)
    assert [found[f"bin_{i}_frequency"] for i in (1, 2, 3)] == [0, 0.5, 1]
    assert [found[f"bin_{i}_probability"] for i in (1, 2, 3)] == pytest.approx([0.2, 0.525, 0.85])


def test_the_parts_of_a_table_by_hand() -> None:
    """Of five at 20 % one happens, of four at 50 % three, of one at 90 % one: 5 of 10 in all."""
    p = [0.2] * 5 + [0.5] * 4 + [0.9]
    found = told(p, [1, 0, 0, 0, 0, 1, 1, 1, 0, 1])
    assert found["reliability"] == pytest.approx((5 * 0 + 4 * 0.25**2 + 1 * 0.1**2) / 10)
    assert found["resolution"] == pytest.approx((5 * 0.3**2 + 4 * 0.25**2 + 1 * 0.5**2) / 10)
    assert found["uncertainty"] == 0.25
    assert found["within_variance"] == found["within_covariance"] == 0
    assert found["skill"] == pytest.approx(1 - found["brier"] / 0.25)
    assert found["calibration_error"] == pytest.approx((4 * 0.25 + 0.1) / 10)
    assert found["in_the_large"] == pytest.approx(0.39 - 0.5)


def test_the_parts_within_a_bin_by_hand() -> None:
    """In one bin, means of 0.3 and 0.5: chances lie 0.1 below and above, and what is 0.1 above happens."""
    found = told([0.2, 0.4], [0, 1], bins=1)
    assert found["reliability"] == pytest.approx(0.04)
    assert found["resolution"] == 0
    assert found["within_variance"] == pytest.approx(0.01)
    assert found["within_covariance"] == pytest.approx(2 * 0.1 * 0.5)
    assert found["generalised_resolution"] == pytest.approx(0.09)
    assert found["brier"] == pytest.approx(0.04 + 0.25 + 0.01 - 0.1)


@settings(max_examples=200)
@given(pairs=pairs, bins=st.one_of(st.none(), st.integers(1, 20)))
def test_the_parts_make_up_the_score_and_never_contradict_it(pairs: Pairs, bins: int | None) -> None:
    found = told(*split(pairs), bins=bins)
    parts = found["reliability"] - found["resolution"] + found["uncertainty"]
    assert parts + found["within_variance"] - found["within_covariance"] == pytest.approx(found["brier"], abs=1e-12)
    general = found["reliability"] - found["generalised_resolution"] + found["uncertainty"]
    assert general == pytest.approx(found["brier"], abs=1e-12)
    assert found["reliability"] >= 0
    assert -1e-15 <= found["resolution"] <= found["uncertainty"] + 1e-12
    assert found["calibration_error"] >= abs(found["in_the_large"]) - 1e-12
    assert sum(found[f"bin_{i}_observations"] for i in range(1, int(found["bins"]) + 1)) == len(pairs)


@given(pairs=inner, bins=st.integers(1, 20))
def test_scikit_learn_says_the_same(pairs: Pairs, bins: int) -> None:
    metrics: Any = import_module("sklearn.metrics")
    p, o = split(pairs)
    found = told(p, o, bins=bins)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(o, p, labels=[0, 1]))
    assert found["log_score"] == pytest.approx(metrics.log_loss(o, p, labels=[0, 1]))


def test_without_bins_few_probabilities_are_their_own_groups_and_many_lie_in_ten() -> None:
    few = score(probabilities=[0.31, 0.33, 0.31], outcomes=[1, 0, 0])
    assert few.conventions["groups"] == "distinct probabilities"
    assert (few.value("bins"), few.value("bin_1_observations")) == (2, 2)
    many = score(probabilities=[i / 50 for i in range(50)], outcomes=[0, 1] * 25)
    assert many.conventions["groups"].startswith("10 bins")
    assert many.value("bins") == 10


@pytest.mark.parametrize("bins", range(1, 21))
def test_an_edge_belongs_to_the_bin_above_it(bins: int) -> None:
    edges = np.array([k / bins for k in range(bins + 1)])
    assert forecast.equal_bins(edges, bins).tolist() == [*range(bins), bins - 1]


def test_tenths_as_they_are_written_are_edges() -> None:
    written = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert forecast.equal_bins(written, 10).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


def test_spiegelhalter_by_the_mean_and_variance_of_the_score() -> None:
    """z is the Brier score less its mean, over its deviation, both under calibration (Redelmeier et al. 1991)."""
    p, o = [0.1, 0.35, 0.6, 0.85, 0.9], [0, 1, 0, 1, 1]
    brier = sum((a - b) ** 2 for a, b in zip(p, o, strict=True)) / 5
    mean = sum(a * (1 - a) for a in p) / 5
    variance = sum(a * (1 - a) * (1 - 2 * a) ** 2 for a in p) / 25
    found = told(p, o)
    assert found["spiegelhalter_z"] == pytest.approx((brier - mean) / math.sqrt(variance))
    stats: Any = import_module("scipy.stats")
    assert found["spiegelhalter_p_value"] == pytest.approx(2 * stats.norm.sf(abs(found["spiegelhalter_z"])))


def test_spiegelhalter_rejects_calibrated_chances_as_often_as_it_says_and_bold_ones_nearly_always() -> None:
    random = np.random.default_rng(11)
    rejected, bold = 0, 0
    for _ in range(2000):
        p = random.uniform(0.05, 0.95, 200)
        o = (random.random(200) < p).astype(float)
        rejected += forecast.spiegelhalter(p, o)[1] < 0.05
        z, chance = forecast.spiegelhalter(np.where(p > 0.5, 0.95, 0.05), o)
        bold += chance < 0.05 and z > 0
    assert 0.038 < rejected / 2000 < 0.062
    assert bold / 2000 > 0.99


@given(pairs=inner, reference=st.floats(0.05, 0.95))
def test_a_reference_is_beaten_by_what_it_loses(pairs: Pairs, reference: float) -> None:
    p, o = split(pairs)
    one, each = told(p, o, reference=[reference]), told(p, o, reference=[reference] * len(p))
    assert one == each
    alone = told([reference] * len(p), o)
    assert one["skill"] == pytest.approx(1 - one["brier"] / alone["brier"])
    assert one["gain"] == pytest.approx(alone["log_score"] - one["log_score"])
    assert told([reference] * len(p), o, reference=[reference])["gain"] == 0


def test_each_forecast_has_its_own_reference() -> None:
    found = told([0.7, 0.2], [1, 0], reference=[0.5, 0.4])
    assert found["reference_brier"] == pytest.approx((0.25 + 0.16) / 2)
    assert found["reference_log_score"] == pytest.approx(-(math.log(0.5) + math.log(0.6)) / 2)
    assert found["skill"] == pytest.approx(1 - (0.09 + 0.04) / 0.41)


@given(pairs=inner, rate=st.floats(0.01, 0.99))
def test_no_constant_scores_better_than_the_frequency(pairs: Pairs, rate: float) -> None:
    _, o = split(pairs)
    own = told([sum(o) / len(o)] * len(o), o)
    assert own["brier"] <= told([rate] * len(o), o)["brier"] + 1e-15
    assert own["brier"] == pytest.approx(own["uncertainty"], abs=1e-15)


def test_what_is_not_defined_is_said_and_left_out() -> None:
    made = score(probabilities=[1.0, 0.5], outcomes=[0, 1])
    assert made.value("brier") == 0.625
    assert {"log_score", "gain", "spiegelhalter_z"}.isdisjoint(made.figures)
    assert [m.split(":")[0] for m in made.missing] == ["log_score and gain", "spiegelhalter_z"]
    alike = score(probabilities=[0.7, 0.8], outcomes=[1, 1])
    assert "skill" not in alike.figures
    assert alike.missing == ("skill: the reference is perfect, so there is nothing to beat",)
    assert alike.value("gain") < 0
    certain = score(probabilities=[0.7, 0.8], outcomes=[1, 0], reference=[0.0])
    assert "reference_log_score and gain" in certain.missing[0]
    assert score(probabilities=[1.0, 0.0], outcomes=[1, 0]).value("log_score") == 0


def test_as_a_command_line_gives_it() -> None:
    assert told("0.7,0.2,0.9", "1,0,1")["brier"] == pytest.approx((0.09 + 0.04 + 0.01) / 3)


@pytest.mark.parametrize(
    ("probabilities", "outcomes", "more", "error", "words"),
    [
        ("0.5,0.6", "1", {}, NotComputed, "needs an outcome for each probability; got 2 probabilities and 1 outcomes"),
        ([], [], {}, NotComputed, "got 0 probabilities and 0 outcomes"),
        ("1.2", "1", {}, UsageError, "probabilities"),
        ("0.5", "2", {}, UsageError, "outcomes"),
        ("0.5,0.6,0.7", "1,0,1", {"reference": "0.5,0.6"}, NotComputed, "needs one reference probability or 3"),
        ("0.5", "1", {"bins": 0}, UsageError, "bins"),
        ("nan", "1", {}, UsageError, "probabilities"),
    ],
)
def test_what_does_not_fit_is_refused(
    probabilities: object, outcomes: object, more: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        score(probabilities=probabilities, outcomes=outcomes, **more)


def most(spans: list[tuple[int, int]]) -> int:
    """The largest number of spans that do not overlap, by trying every set."""
    sets = ([s for i, s in enumerate(spans) if mask >> i & 1] for mask in range(2 ** len(spans)))
    apart = (c for c in sets if all(a[1] <= b[0] for a, b in zip(sorted(c), sorted(c)[1:], strict=False)))
    return max(len(c) for c in apart)


@given(spans=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=8))
def test_separate_spans_are_as_many_as_can_be(spans: list[tuple[int, int]]) -> None:
    ends = [(first, first + length) for first, length in spans]
    days = [(date(2022, 1, 1) + timedelta(a), date(2022, 1, 1) + timedelta(b)) for a, b in ends]
    assert forecast.separate(days) == most(ends)
