"""The statistics of a look at the gate's size: 1,200 cases x 3 epochs x 10,000 draws, beside scipy and a plain loop.

`python benchmarks/gate.py` runs alone; nothing here is asserted. Times are medians of several rounds in this one run.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from openoutcry.eval.gate.verdict import decide
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.statistics.clusters import Array, Ints
from openoutcry.eval.statistics.interval import intervals
from openoutcry.eval.terms import Side, Terms

CASES, EPOCHS, DRAWS, CLUSTERS, CATEGORIES, ROUNDS = 1_200, 3, 10_000, 200, 8, 3
Line = tuple[str, str, str]
"""What was measured, the value, and the goal."""


def scores(seed: int) -> Array:
    """Scores of cases x epochs, of a model that is right in about seven of ten."""
    rng = np.random.default_rng(seed)
    return (rng.random((CASES, EPOCHS)) < rng.beta(2, 0.8, CASES)[:, None]).astype(np.float64)


def placed(clusters: int) -> Ints:
    """The cluster of each case."""
    return np.arange(CASES) % clusters


def ours(first: Array, second: Array, clusters: Ints) -> None:
    """The whole and each category, bounded together."""
    categories = np.arange(CASES) // (CASES // CATEGORIES)
    members = np.column_stack([np.ones(CASES, np.bool_), *(categories == c for c in range(CATEGORIES))])
    values = np.repeat((second - first).mean(axis=1)[:, None], CATEGORIES + 1, axis=1)
    intervals(values, members, clusters, np.full(CATEGORIES + 1, 0.025), draws=DRAWS)


def scipys(first: Array, second: Array) -> None:
    """The whole alone, and each case its own cluster: scipy draws no clusters."""
    values = (second - first).mean(axis=1)
    stats: Any = import_module("scipy.stats")
    stats.bootstrap((values,), np.mean, n_resamples=DRAWS, method="percentile", batch=1_000, rng=0)


def loop(first: Array, second: Array, clusters: Ints, draws: int) -> None:
    """The whole alone, by the book: draw clusters, gather their cases, take the mean."""
    values, rng = (second - first).mean(axis=1), np.random.default_rng(0)
    cases = [np.flatnonzero(clusters == c) for c in range(CLUSTERS)]
    means: list[float] = []
    for _ in range(draws):
        drawn: list[int] = rng.integers(0, CLUSTERS, CLUSTERS).tolist()
        means.append(float(values[np.concatenate([cases[c] for c in drawn])].mean()))
    np.quantile(means, [0.025, 0.975])


def side(seed: int) -> Side:
    """The outcomes of one side of a look."""
    right, clusters = scores(seed), placed(CLUSTERS)
    outcomes = tuple(
        Outcome(
            scenario=f"s{i}",
            digest=f"d{i}",
            category=f"c{i * CATEGORIES // CASES}",
            cluster=f"k{clusters[i]}",
            lineup="l",
            epoch=e,
            score=float(right[i, e]),
            seconds=1.0 + i % 7,
            tokens=900,
        )
        for i in range(CASES)
        for e in range(EPOCHS)
    )
    return Side(name="m", models={}, cases="c", prompts={}, decoding={}, outcomes=outcomes)


def seconds(work: Callable[[], object]) -> float:
    """The median time of *work*."""
    times: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def rows() -> Iterator[Line]:
    """The lines of the table."""
    first, second, clusters = scores(0), scores(1), placed(CLUSTERS)
    size = f"{CASES:,} cases x {EPOCHS} epochs x {DRAWS:,} draws"
    fast = seconds(lambda: ours(first, second, clusters))
    yield f"bootstrap, {size}, {CATEGORIES} categories", f"{fast:.3f} s", "goal: under 1 s"
    alone = seconds(lambda: ours(first, second, placed(CASES)))
    yield f"    each case its own cluster ({CASES:,})", f"{alone:.3f} s", ""
    yield "    scipy.stats.bootstrap, no categories, no clusters", f"{seconds(lambda: scipys(first, second)):.3f} s", ""
    plain = seconds(lambda: loop(first, second, clusters, DRAWS // 10)) * 10
    yield "    plain loop over drawn clusters, no categories", f"{plain:.3f} s", "a tenth of the draws, times ten"
    sides = side(0), side(1), side(2)
    yield f"whole verdict, {size}", f"{seconds(lambda: decide(Terms(), *sides, 0.025)):.3f} s", ""


if __name__ == "__main__":
    for name, value, goal in rows():
        print(f"{name:<72} {value:>10}   {goal}")
