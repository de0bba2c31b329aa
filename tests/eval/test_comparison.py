"""What a run shows: pairs of cases, differences with their bounds, and one lineup summed up."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import UsageError
from openoutcry.eval.comparison import compare, summaries
from openoutcry.eval.outcome import Outcome


def outcome(case: int, score: float, epoch: int = 0, **more: object) -> Outcome:
    given: dict[str, object] = {
        "scenario": f"s{case}",
        "digest": f"d{case}",
        "category": "odd" if case % 2 else "even",
        "cluster": f"k{case // 2}",
        "lineup": "l",
    }
    return Outcome.model_validate({**given, "epoch": epoch, "score": score, **more})


def run(scores: dict[int, list[float]]) -> list[Outcome]:
    return [outcome(case, score, epoch) for case, epochs in scores.items() for epoch, score in enumerate(epochs)]


def test_cases_are_paired_by_their_digest_and_averaged_over_their_epochs() -> None:
    first = run({0: [1, 1, 0], 1: [1, 1, 1], 2: [0, 0, 0], 8: [1]})
    second = run({2: [1, 1, 0], 1: [0, 0], 0: [1, 1, 1], 9: [1]})
    found = compare(first, second)
    assert [(p.scenario, p.first, p.second) for p in found.pairs] == [
        ("s1", 1.0, 0.0),
        ("s0", pytest.approx(2 / 3), 1.0),
        ("s2", 0.0, pytest.approx(2 / 3)),
    ]
    assert found.left_out == 2
    assert (found.overall.cases, found.overall.clusters) == (3, 2)
    assert found.overall.difference == pytest.approx(0.0)
    assert [(c.name, c.cases, c.difference) for c in found.categories] == [
        ("even", 2, pytest.approx(0.5)),
        ("odd", 1, -1.0),
    ]
    assert (found.better, found.worse, found.mcnemar) == (1, 1, 1.0)


def test_a_crash_counts_as_the_zero_that_it_scored() -> None:
    first = run({case: [1.0] for case in range(80)})
    second = [outcome(c, 0.0, failure="crash: X") if c < 60 else outcome(c, 1.0) for c in range(80)]
    found = compare(first, second)
    assert found.overall.second == 0.25 and found.overall.difference == -0.75
    assert found.overall.high < -0.5 and found.worse == 60 and found.mcnemar < 1e-12


def test_bounds_come_from_draws_or_from_signs_and_repeat() -> None:
    rng = np.random.default_rng(2)
    first, second = (run({c: rng.integers(0, 2, 3).tolist() for c in range(120)}) for _ in range(2))
    found = compare(first, second)
    assert found.overall.method == "bootstrap" and found.overall.clusters == 60
    assert found == compare(first, second)
    bounds = {compare(first, second, draws=101, seed=seed).overall.low for seed in range(9)}
    assert len(bounds) > 1, "another seed, other draws"
    few = compare(first[:40], second[:40]).overall
    assert few.method == "signs" and few.low < few.difference < few.high


def test_runs_that_do_not_differ_are_not_known_to_be_alike() -> None:
    same = run({case: [1.0, 0.0] for case in range(80)})
    found = compare(same, same)
    assert found.overall.method == "none" and found.overall.clusters == 40
    assert found.overall.high == -found.overall.low == pytest.approx(1 - 0.05 ** (1 / 40))
    assert 0 < found.overall.high <= 3 / 40
    assert compare(same[:8], same[:8]).overall.high == pytest.approx(1 - 0.05 ** (1 / 2)), "also of few clusters"


def test_a_category_may_have_any_name() -> None:
    sides = [[outcome(c, s, category="overall" if c else "rest") for c in range(4)] for s in (0.0, 1.0)]
    found = compare(*sides)
    assert [(d.name, d.cases) for d in (found.overall, *found.categories)] == [
        ("overall", 4),
        ("overall", 3),
        ("rest", 1),
    ]


def test_runs_of_other_cases_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="expected runs that share cases; got 1 and 2"):
        compare(run({1: [1]}), run({2: [1], 3: [1]}))


SCORES = st.dictionaries(st.integers(0, 30), st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=3), min_size=1)


@given(SCORES, SCORES)
def test_the_other_way_round_is_the_mirror_image(left: dict[int, list[float]], right: dict[int, list[float]]) -> None:
    if not left.keys() & right.keys():
        return
    there, back = compare(run(left), run(right), draws=300), compare(run(right), run(left), draws=300)
    assert (there.better, there.worse) == (back.worse, back.better)
    assert there.mcnemar == pytest.approx(back.mcnemar)
    for one, other in zip((there.overall, *there.categories), (back.overall, *back.categories), strict=True):
        assert one.difference == pytest.approx(-other.difference)
        assert one.low <= one.difference + 1e-9 and one.high >= one.difference - 1e-9
        assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def spent() -> Iterator[Outcome]:
    for case in range(10):
        for epoch in range(2):
            failure = {0: "timeout: no answer", 1: "crash: E"}.get(case, "")
            score = float(case > 3 or (case == 3 and epoch == 0))
            number = 2 * case + epoch + 1
            yield outcome(
                case, score, epoch, failure=failure, seconds=number, tokens=10 * case, retries=epoch, memory=case
            )


def test_one_lineup_summed_up() -> None:
    overall, even, odd = summaries(list(spent()))
    assert (overall.name, even.name, odd.name) == ("overall", "even", "odd")
    assert (overall.cases, overall.clusters, even.cases, even.clusters) == (10, 5, 5, 5)
    assert overall.score == 0.65 and overall.every == 0.6
    assert 0 < overall.low < 0.65 < overall.high < 1
    assert overall.failures == {"crash": 2, "timeout": 2} and even.failures == {"timeout": 2}
    assert (overall.seconds_p50, overall.seconds_p95) == (10.0, 19.0)
    assert (overall.tokens, overall.retries, overall.memory, even.memory) == (45.0, 0.5, 9, 8)
    assert summaries([]) == []


def test_all_right_is_not_certainty() -> None:
    assert summaries(run({case: [1.0] for case in range(10)}))[0].low < 0.6
