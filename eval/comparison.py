"""What a run shows: scores with their bounds, and the paired difference between two lineups, whole and by category."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.statistics.clusters import Array, codes
from openoutcry.eval.statistics.costs import quantile
from openoutcry.eval.statistics.interval import Interval, Method, intervals
from openoutcry.eval.statistics.proportions import clopper_pearson, clustered_share, mcnemar
from openoutcry.eval.statistics.repeats import majority

OVERALL = "overall"
LEVEL = 0.025
"""One-sided level of each bound: both together are a 95 % interval."""


class Difference(Frozen):
    """The mean difference of scores, second minus first, over the cases of a category or over all.

    `low` and `high` are a 95 % interval by clusters: drawn with replacement, or their signs flipped where fewer
    than thirty of them show a difference. Where none does, the method is "none" and the bounds are the largest share
    of clusters that may differ unseen, either way (Clopper and Pearson; at most 3 over the number of clusters).
    """

    name: str
    cases: int
    clusters: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    method: Method | Literal["none"]


class Pair(Frozen):
    """One case: its mean score over epochs on either side."""

    scenario: str
    digest: str
    category: str
    first: float
    second: float


class Comparison(Frozen):
    """Two lineups over the cases that both played.

    `better` and `worse` count the cases that the second, or the first alone, has right in most epochs; `mcnemar` is
    their exact two-sided p-value. `pairs` begins with the worst case for the second.
    """

    overall: Difference
    categories: tuple[Difference, ...]
    better: int
    worse: int
    mcnemar: float
    pairs: tuple[Pair, ...]
    left_out: int
    """Cases that only one side played."""


class Summary(Frozen):
    """One lineup over the cases of a category, or over all.

    `score` is the mean over cases of their means over epochs, `low` and `high` its 95 % interval by clusters, `every`
    the share of cases right in all epochs. `failures` counts outcomes by the kind of failure; seconds, tokens and
    retries are those of an outcome; `memory` is the most bytes that were seen, 0 where that could not be told.
    """

    name: str
    cases: int
    clusters: int
    score: float
    low: float
    high: float
    every: float
    failures: dict[str, int]
    seconds_p50: float
    seconds_p95: float
    tokens: float
    retries: float
    memory: int


def compare(first: Sequence[Outcome], second: Sequence[Outcome], *, draws: int = 10_000, seed: int = 0) -> Comparison:
    """The second lineup's outcomes against the first's, case by case (the same digest), over any number of epochs.

    A crash, a timeout and a schema failure count as the 0 that they scored. Raises UsageError where no case is shared.
    """
    left, right = by_case(first), by_case(second)
    shared = sorted(left.keys() & right.keys())
    if not shared:
        raise UsageError(f"expected runs that share cases; got {len(left)} and {len(right)} with none in common")
    cases = [right[digest][0] for digest in shared]
    scores = np.array([[_mean(side[digest]) for side in (left, right)] for digest in shared])
    better, worse = won(scores[:, 0], scores[:, 1])
    pairs = [
        Pair(scenario=c.scenario, digest=c.digest, category=c.category, first=float(a), second=float(b))
        for c, (a, b) in zip(cases, scores, strict=True)
    ]
    overall, *categories = _differences(cases, scores, draws, seed)
    return Comparison(
        overall=overall,
        categories=tuple(categories),
        better=better,
        worse=worse,
        mcnemar=mcnemar(better, worse),
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.second - pair.first, pair.scenario))),
        left_out=len(left.keys() ^ right.keys()),
    )


def by_case(outcomes: Sequence[Outcome]) -> Mapping[str, list[Outcome]]:
    """The outcomes of each case, by its digest."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.digest, []).append(outcome)
    return found


def won(first: Array, second: Array) -> tuple[int, int]:
    """Cases that only the second has right in most epochs, and that only the first has; of mean scores."""
    before, after = majority(first), majority(second)
    return int((after & ~before).sum()), int((before & ~after).sum())


def _mean(outcomes: Sequence[Outcome]) -> float:
    return sum(o.score for o in outcomes) / len(outcomes)


def _differences(cases: Sequence[Outcome], scores: Array, draws: int, seed: int) -> list[Difference]:
    names = [OVERALL, *sorted({case.category for case in cases})]
    members = np.array([[True, *(case.category == name for name in names[1:])] for case in cases])
    values = np.repeat((scores[:, 1] - scores[:, 0])[:, None], len(names), axis=1)
    levels = np.full(len(names), LEVEL)
    found = intervals(values, members, codes([c.cluster for c in cases]), levels, draws=draws, seed=seed)
    return [_difference(name, scores[members[:, j]], found[j]) for j, name in enumerate(names)]


def _difference(name: str, scores: Array, found: Interval) -> Difference:
    first, second = scores.mean(axis=0)
    alike = bool(np.all(scores[:, 0] == scores[:, 1])) or found.low == found.high == 0.0  # no proof that none differs
    unseen = clopper_pearson(0, found.clusters, 2 * LEVEL)[1]
    return Difference(
        name=name,
        cases=found.cases,
        clusters=found.clusters,
        first=float(first),
        second=float(second),
        difference=found.estimate,
        low=-unseen if alike else found.low,
        high=unseen if alike else found.high,
        method="none" if alike else found.method,
    )


def summaries(outcomes: Sequence[Outcome]) -> list[Summary]:
    """One lineup's outcomes summed up: overall, then by category in alphabetical order. None for no outcomes."""
    if not outcomes:
        return []
    names = sorted({outcome.category for outcome in outcomes})
    parts = [(name, [o for o in outcomes if o.category == name]) for name in names]
    return [_summary(name, part) for name, part in [(OVERALL, list(outcomes)), *parts]]


def _summary(name: str, outcomes: Sequence[Outcome]) -> Summary:
    cases = list(by_case(outcomes).values())
    clusters = codes([case[0].cluster for case in cases])
    scores = np.array([_mean(case) for case in cases])
    low, high = clustered_share(scores, clusters, LEVEL)
    seconds = np.array([o.seconds for o in outcomes])
    return Summary(
        name=name,
        cases=len(cases),
        clusters=int(clusters.max()) + 1,
        score=float(scores.mean()),
        low=low,
        high=high,
        every=float(np.mean([all(o.score >= 1 for o in case) for case in cases])),
        failures=dict(sorted(Counter(o.failure.partition(":")[0] for o in outcomes if o.failure).items())),
        seconds_p50=quantile(seconds, 0.5),
        seconds_p95=quantile(seconds, 0.95),
        tokens=float(np.mean([o.tokens for o in outcomes])),
        retries=float(np.mean([o.retries for o in outcomes])),
        memory=max(o.memory for o in outcomes),
    )
