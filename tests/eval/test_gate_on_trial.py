"""The gate is itself on trial: how often does it promote a model that is no better, and how often one that is?

Models are simulated on the cases of a shipped gate set, and the real `decide` judges what they did. A case is as hard
for all of them; on top, each has its own way with a cluster and with a case, and its luck in each epoch, in log-odds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest

from openoutcry.eval.gate.verdict import decide
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.statistics.clusters import Array, Ints, codes
from openoutcry.eval.suite import load
from openoutcry.eval.terms import Side, Status, Terms, Verdict

EPOCHS, SAFETY = 3, 300
TERMS = Terms(draws=800)
SHARE = 0.7
"""What the champion gets right on average."""
HARD, SHARED_LUCK, OWN_CASE, OWN_CLUSTER = 1.8, 0.6, 0.7, 0.25
"""Deviations in log-odds: of cases, of clusters, and of what a model has to itself of either."""


@dataclass(frozen=True)
class Simulated:
    """A model that gets *gain* more right than the champion on average, and what else is odd about it."""

    gain: float = 0.0
    in_category: Mapping[int, float] = field(default_factory=dict[int, float])
    crashes: float = 0.0
    slower: float = 1.0
    unsafe: int = 0
    cases: str = "c"


@dataclass(frozen=True)
class Places:
    """The cluster and the category of each case of a suite, as numbers."""

    clusters: Ints
    categories: Ints

    @property
    def many(self) -> int:
        """How many clusters there are."""
        return len(set(self.clusters.tolist()))


@cache
def places(suite: str) -> Places:
    cases = load(suite, "gate", "2026-11").scenarios
    return Places(codes([case.of for case in cases]), codes([case.category for case in cases]))


@cache
def odds(gain: float) -> float:
    """The log-odds at which a model is right in SHARE + *gain* of the cases, over a large number of them."""
    optimize: Any = import_module("scipy.optimize")
    spread = np.sqrt(HARD**2 + SHARED_LUCK**2 + OWN_CASE**2 + OWN_CLUSTER**2)
    cases = np.random.default_rng(0).normal(0, spread, 200_000)

    def missed(shift: float) -> float:
        return float((1 / (1 + np.exp(-shift - cases))).mean()) - SHARE - gain

    return float(optimize.brentq(missed, -10, 10))


@cache
def safety(failed: int) -> tuple[Outcome, ...]:
    """Safety cases of which *failed* went wrong."""
    return tuple(
        Outcome(
            scenario=f"s{i}",
            digest=f"s{i}",
            category="safety",
            cluster=f"s{i}",
            lineup="simulated",
            epoch=e,
            score=float(i >= failed),
            asked=1,
        )
        for i in range(SAFETY)
        for e in range(EPOCHS)
    )


class Row(NamedTuple):
    """What the gate reads of an `Outcome`: five million of them are made here, and none needs to be checked."""

    scenario: str
    digest: str
    category: str
    cluster: str
    epoch: int
    score: float
    seconds: float
    tokens: int
    retries: int
    memory: int


def play(model: Simulated, at: Places, hard: Array, rng: np.random.Generator) -> Side:
    """What *model* does with all cases in all epochs."""
    clusters, categories, cases = at.clusters, at.categories, len(at.clusters)
    own = rng.normal(0, OWN_CLUSTER, at.many)[clusters] + rng.normal(0, OWN_CASE, cases)
    base = np.array([odds(model.in_category.get(int(c), model.gain)) for c in categories])
    chance = 1 / (1 + np.exp(-(base + hard + own)))
    shape = cases, EPOCHS
    right = (rng.random(shape) < chance[:, None]) & (rng.random(shape) >= model.crashes)
    seconds = np.exp(0.3 * hard)[:, None] * rng.lognormal(0, 0.3, shape) * model.slower
    tokens, retries = rng.poisson(900, shape), rng.poisson(0.05, shape)
    outcomes = tuple(
        Row(
            f"s{i}",
            f"{model.cases}{i}",
            f"category {categories[i]}",
            f"k{clusters[i]}",
            e,
            float(right[i, e]),
            float(seconds[i, e]),
            int(tokens[i, e]),
            int(retries[i, e]),
            2**30,
        )
        for i in range(cases)
        for e in range(EPOCHS)
    )
    fixed: dict[str, Any] = {"name": "simulated", "models": {}, "cases": model.cases, "prompts": {}, "decoding": {}}
    return Side.model_construct(**fixed, outcomes=outcomes, safety=safety(model.unsafe))


def judged(model: Simulated, seed: int, suite: str = "risk") -> Verdict:
    """The verdict on *model* against a champion and an anchor of the same skill, each with its own luck."""
    rng, at = np.random.default_rng([seed, 6]), places(suite)
    hard = rng.normal(0, SHARED_LUCK, at.many)[at.clusters] + rng.normal(0, HARD, len(at.clusters))
    champion, challenger, anchor = (play(m, at, hard, rng) for m in (Simulated(), model, Simulated()))
    return decide(TERMS, champion, challenger, anchor, TERMS.alpha)


def promoted(model: Simulated, seeds: int, suite: str = "risk") -> float:
    """The share of *seeds* in which *model* is promoted."""
    return sum(judged(model, seed, suite).decision == "PROMOTE" for seed in range(seeds)) / seeds


def test_the_same_model_twice_is_promoted_in_at_most_five_of_a_hundred() -> None:
    assert promoted(Simulated(), 400) <= 0.05


@pytest.mark.parametrize(("loss", "seeds"), [(0.02, 200), (0.05, 120)])
def test_a_worse_model_is_hardly_ever_promoted(loss: float, seeds: int) -> None:
    assert promoted(Simulated(-loss), seeds) <= 0.025


@pytest.mark.parametrize("suite", ["analyst", "risk"])
def test_a_model_that_is_ten_points_better_is_promoted(suite: str) -> None:
    assert promoted(Simulated(0.10), 100, suite) >= 0.90


@pytest.mark.parametrize(
    ("model", "by"),
    [
        (Simulated(crashes=1.0), "gain"),
        (Simulated(0.10, crashes=0.5), "gain"),
        (Simulated(0.10, slower=1.3), "p95 latency"),
        (Simulated(0.10, unsafe=1), "safety"),
    ],
    ids=["all crash", "half crash", "slow", "one safety case"],
)
def test_what_is_broken_is_rejected_however_good_the_rest(model: Simulated, by: str) -> None:
    for seed in range(20):
        verdict = judged(model, seed)
        assert verdict.decision == "REJECT"
        assert by in {c.name for c in verdict.criteria if c.status is Status.BROKEN}


def test_a_category_that_is_twenty_five_points_worse_is_never_outweighed() -> None:
    verdicts = [judged(Simulated(0.14, in_category={3: -0.25}), seed) for seed in range(100)]
    assert not any(v.decision == "PROMOTE" for v in verdicts)
    gained = [c for v in verdicts for c in v.criteria if c.name == "gain"]
    assert all(c.status is Status.HOLDS for c in gained), "it is better overall"
    assert all(any(r.startswith("category 3 against") for r in v.reasons) for v in verdicts)


def test_another_set_of_cases_proves_nothing() -> None:
    for seed in range(10):
        verdict = judged(Simulated(0.20, cases="other"), seed)
        assert verdict.decision == "INCONCLUSIVE"
        assert "cases differ" in verdict.reasons[0]
