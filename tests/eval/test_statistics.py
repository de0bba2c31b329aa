"""Each formula of the gate beside scipy or statsmodels, a loop that is too simple to be wrong, or a simulation."""

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openoutcry.core.errors import UsageError
from openoutcry.eval.statistics import bootstrap, costs, signs
from openoutcry.eval.statistics.agreement import kappa
from openoutcry.eval.statistics.clusters import Array, Ints, codes, counts, totals
from openoutcry.eval.statistics.interval import intervals, linearised, wary
from openoutcry.eval.statistics.power import detectable, planned_spread
from openoutcry.eval.statistics.proportions import clopper_pearson, clustered_share, mcnemar
from openoutcry.eval.statistics.repeats import always, majority
from openoutcry.eval.terms import Terms

SEEDS = st.integers(0, 2**32 - 1)


def library(name: str) -> Any:
    """scipy and statsmodels have no types."""
    return import_module(name)


def sample(seed: int, clusters: int, most: int = 5) -> tuple[Array, Ints]:
    """Differences of cases in clusters of unequal size that share some of their luck."""
    rng = np.random.default_rng(seed)
    places = np.repeat(np.arange(clusters), rng.integers(1, most + 1, clusters))
    luck = rng.normal(0, 0.1, clusters)[places]
    return np.round(np.clip(rng.normal(0.02, 0.3, len(places)) + luck, -1, 1), 3), places


def drawn_counts(clusters: int, draws: int, seed: int) -> list[Array]:
    return [row for block in counts(clusters, draws, seed) for row in block]


def one(values: Array, places: Ints, alpha: float, **how: Any) -> Any:
    return intervals(values[:, None], np.ones((len(values), 1), np.bool_), places, np.array([alpha]), **how)[0]


def p_value(means: Array) -> float:
    """One-sided, of no gain against a gain: the share of flips that reach the sum that was seen."""
    return float((np.isnan(means) | (means <= 0)).mean())


@given(SEEDS, st.integers(2, 40))
def test_totals_are_sums_by_cluster(seed: int, clusters: int) -> None:
    values, places = sample(seed, clusters)
    expected = [values[places == c].sum() for c in range(clusters)]
    np.testing.assert_allclose(totals(values[:, None], places)[:, 0], expected, atol=1e-12)
    assert len(set(codes([f"k{p}" for p in places]).tolist())) == clusters


def test_draws_take_as_many_clusters_as_there_are_and_repeat_with_their_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openoutcry.eval.statistics.clusters.CHUNK", 70)
    blocks = list(counts(7, 25, 3))
    drawn = np.concatenate(blocks)
    assert [len(b) for b in blocks] == [10, 10, 5]
    assert drawn.shape == (25, 7) and (drawn.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(drawn, np.concatenate(list(counts(7, 25, 3))))
    assert (drawn != np.concatenate(list(counts(7, 25, 4)))).any()
    many = np.concatenate(list(counts(7, 20_000, 0)))
    assert many.var() == pytest.approx(1 - 1 / 7, abs=0.02), "each count is binomial(7, 1/7)"


@given(SEEDS)
def test_bootstrap_means_are_those_of_a_loop_over_drawn_cases(seed: int) -> None:
    values, places = sample(seed, 12)
    members = np.random.default_rng(seed).random((len(values), 3)) < 0.6
    members[:, 0] = True
    columns = np.where(members, values[:, None], 0.0)
    fast = bootstrap.means(totals(columns, places), totals(members.astype(float), places), 20, seed)
    for row, drawn in zip(fast, drawn_counts(12, 20, seed), strict=True):
        cases = [i for c in range(12) for _ in range(int(drawn[c])) for i in np.flatnonzero(places == c)]
        for j in range(3):
            mine = [values[i] for i in cases if members[i, j]]
            assert row[j] == pytest.approx(np.mean(mine), abs=1e-12) if mine else np.isnan(row[j])


def test_bootstrap_bounds_are_those_of_scipy() -> None:
    values = np.random.default_rng(1).normal(0.05, 0.3, 200)
    found = one(values, np.arange(200), 0.025, draws=20_000)
    theirs = library("scipy.stats").bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", confidence_level=0.95, random_state=2
    )
    assert found.method == "bootstrap"
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.002)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.002)


def test_a_category_without_a_case_in_some_draw_is_bounded_by_the_others() -> None:
    drawn = bootstrap.means(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]), 200, 0)
    assert np.isnan(drawn[:, 1]).any()
    low, high = bootstrap.percentiles(drawn, np.array([0.05, 0.05]))
    assert (low[1], high[1]) == (1.0, 1.0)


@given(SEEDS, st.integers(3, 30))
def test_the_error_is_that_of_a_cluster_robust_regression(seed: int, clusters: int) -> None:
    values, places = sample(seed, clusters)
    assume(len(values) > clusters)
    regression = library("statsmodels.api").OLS(values, np.ones(len(values)))
    theirs = regression.fit(cov_type="cluster", cov_kwds={"groups": places})
    sums, sizes = totals(np.column_stack([values, np.ones(len(values))]), places).T
    assert linearised(sums, sizes) == pytest.approx(theirs.bse[0], rel=1e-9)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=9))
def test_the_sign_flip_test_is_scipys_permutation_test(sums: list[int]) -> None:
    values = np.array(sums, dtype=np.float64)
    theirs = library("scipy.stats").permutation_test(
        (values,),
        np.sum,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=np.inf,
    )
    mine = p_value(signs.subsets(values, np.ones(len(values)), 2**10, 0))
    assert mine == pytest.approx(theirs.pvalue, abs=1e-12)


@given(SEEDS, st.integers(5, 10), st.sampled_from([0.025, 0.05, 0.1, 0.2]))
def test_bounds_by_signs_are_where_the_test_begins_to_reject(seed: int, clusters: int, alpha: float) -> None:
    values, places = sample(seed, clusters)
    sums, sizes = totals(np.column_stack([values, np.ones(len(values))]), places).T
    low, high = signs.bounds(signs.subsets(sums, sizes, 2**10, 0), alpha)
    if low == -np.inf:
        assert 2.0**-clusters > alpha
        return

    def p(mean: float, side: int) -> float:
        return p_value(signs.subsets(side * (sums - mean * sizes), sizes, 2**10, 0))

    assert p(low - 1e-6, 1) <= alpha < p(low + 1e-6, 1)
    assert p(high + 1e-6, -1) <= alpha < p(high - 1e-6, -1)


def test_drawn_flips_come_near_to_all_of_them() -> None:
    values, places = sample(5, 16)
    sums, sizes = totals(np.column_stack([values, np.ones(len(values))]), places).T
    every, some = (signs.subsets(sums, sizes, draws, 0) for draws in (2**16, 20_000))
    assert len(every) == 2**16 and len(some) == 20_000
    assert p_value(some) == pytest.approx(p_value(every), abs=0.01)
    assert signs.bounds(some, 0.025) == pytest.approx(signs.bounds(every, 0.025), abs=0.01)


def test_too_few_clusters_bound_nothing() -> None:
    values = np.full(4, 0.9)
    assert one(values, np.arange(4), 0.05).low == -1.0
    assert one(np.full(5, 0.9), np.arange(5), 0.05).low == pytest.approx(0.9)


def test_four_wins_to_none_are_no_gain_however_many_cases_are_alike() -> None:
    values = np.zeros(600)
    values[:4] = 1.0
    found = one(values, np.arange(600), 0.025)
    assert found.method == "signs" and found.low <= 0.0
    values[4:6] = 1.0
    assert one(values, np.arange(600), 0.012).low <= 0.0 < one(values, np.arange(600), 0.025).low


def test_the_rounding_of_a_sum_is_no_gain() -> None:
    noise = 0.1 + 0.2 - 0.3
    assert noise > 0
    for few in (2, 30):
        found = one(np.full(40, noise), np.arange(40), 0.025, few=few)
        assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("clusters", "method"), [(12, "signs"), (60, "bootstrap")])
def test_a_bound_is_wrong_as_often_as_its_level_says(clusters: int, method: str) -> None:
    rng = np.random.default_rng(7)
    places = np.repeat(np.arange(clusters), 5)
    wrong = np.zeros(2)
    for seed in range(600):
        luck = rng.normal(0, 0.15, clusters)[places]
        values = rng.choice([-1.0, 0.0, 1.0], len(places), p=[0.15, 0.7, 0.15]) + luck
        found = one(values, places, 0.05, draws=600, seed=seed)
        assert found.method == method
        wrong += [found.low > 0, found.high < 0]
    assert wrong / 600 == pytest.approx([0.05, 0.05], abs=0.025)


@pytest.mark.parametrize("alpha", [0.025, 0.002])
def test_a_bound_of_few_clusters_is_as_wide_as_students(alpha: float) -> None:
    stats = library("scipy.stats")
    values = stats.norm.ppf((np.arange(31) + 0.5) / 31) / 10
    found = one(values, np.arange(31, dtype=np.int64), alpha, draws=40_000)

    width = stats.t.ppf(1 - alpha, 30) * values.std(ddof=1) / np.sqrt(31)
    assert found.method == "bootstrap"
    assert found.low == pytest.approx(-width, rel=0.03) and found.high == pytest.approx(width, rel=0.03)


@given(st.integers(0, 400), st.integers(1, 400), st.sampled_from([0.01, 0.025, 0.05]))
def test_clopper_pearson_is_that_of_statsmodels(successes: int, trials: int, alpha: float) -> None:
    successes = min(successes, trials)
    proportion = library("statsmodels.stats.proportion")
    theirs = proportion.proportion_confint(successes, trials, alpha=2 * alpha, method="beta")
    assert clopper_pearson(successes, trials, alpha) == pytest.approx(theirs, abs=1e-9)


def test_no_failure_in_three_hundred_leaves_one_in_a_hundred() -> None:
    assert clopper_pearson(0, 300, 0.05)[1] == pytest.approx(1 - 0.05 ** (1 / 300))
    assert clopper_pearson(0, 30, 0.05)[1] == pytest.approx(0.095, abs=5e-4)
    assert clopper_pearson(0, 0, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize(("lost", "clusters"), [(0, 29), (0, 60), (1, 30), (7, 40), (20, 20)])
def test_what_must_not_be_worse_is_bounded_by_clopper_pearson_where_clusters_are_lost_whole(
    lost: int, clusters: int
) -> None:
    places = np.repeat(np.arange(clusters), 3)
    (down,), (up,) = (wary_of(np.where(places < lost, sign, 0.0), places, 100_000) for sign in (-1.0, 1.0))
    exact = clopper_pearson(lost, clusters, 0.05)[1]
    assert (-down.low, up.high) == (pytest.approx(exact, abs=0.003), pytest.approx(exact, abs=0.003))


def wary_of(values: Array, places: Ints, draws: int) -> Any:
    return wary(values[:, None], np.ones((len(values), 1), np.bool_), places, np.array([0.05]), draws=draws)


@pytest.mark.parametrize(("clusters", "each"), [(5, 4), (8, 3), (20, 3), (30, 2), (60, 1)])
def test_a_loss_of_the_margin_that_strikes_few_clusters_passes_no_oftener_than_its_level(
    clusters: int, each: int
) -> None:
    rng, places = np.random.default_rng(5), np.repeat(np.arange(clusters), each)
    drawn = (-(rng.random(clusters) < 0.1).astype(float)[places] for _ in range(600))
    assert np.mean([wary_of(values, places, 2000)[0].low > -0.1 for values in drawn]) <= 0.06


def test_shares_by_clusters() -> None:
    alone = np.array([1.0] * 70 + [0.0] * 30)
    assert clustered_share(alone, np.arange(100), 0.025) == pytest.approx(clopper_pearson(0.7 * 99, 99, 0.025))
    twins = clustered_share(np.repeat(alone, 2), np.repeat(np.arange(100), 2), 0.025)
    assert twins == pytest.approx(clustered_share(alone, np.arange(100), 0.025), abs=0.003), "copies tell nothing new"
    assert clustered_share(np.ones(50), np.repeat(np.arange(5), 10), 0.025) == clopper_pearson(5, 5, 0.025)
    assert clustered_share(np.zeros(50), np.repeat(np.arange(5), 10), 0.025) == clopper_pearson(0, 5, 0.025)
    assert clustered_share(np.ones(50), np.zeros(50, np.int64), 0.025) == (0.0, 1.0)
    assert clustered_share(np.full(10, 0.5), np.arange(10), 0.025) == clopper_pearson(5, 10, 0.025)


def test_shares_by_clusters_hold_the_truth() -> None:
    rng, places = np.random.default_rng(3), np.repeat(np.arange(25), 6)
    held = 0
    for _ in range(500):
        chance = rng.beta(8, 2, 25)[places]
        low, high = clustered_share((rng.random(150) < chance).astype(float), places, 0.025)
        held += low <= 0.8 <= high
    assert held / 500 >= 0.93


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_that_of_statsmodels(better: int, worse: int) -> None:
    theirs = library("statsmodels.stats.contingency_tables").mcnemar([[0, better], [worse, 0]], exact=True)
    assert mcnemar(better, worse) == pytest.approx(theirs.pvalue if better + worse else 1.0, abs=1e-12)


def test_a_case_over_its_epochs() -> None:
    scores = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert majority(scores).tolist() == majority(scores.mean(axis=1)).tolist() == [True, True, False, False]
    assert majority(np.array([[1.0, 0.0]])).tolist() == [False], "a tie is not right"
    assert always(scores).tolist() == [1.0, 0.0, 0.0, 0.0]


@given(SEEDS, st.sampled_from([0.5, 0.9, 0.95]))
def test_quantiles_of_draws_are_numpys_weighted_ones(seed: int, q: float) -> None:
    values, places = sample(seed, 9)
    fast = bootstrap.quantiles(values, places, q, 15, seed)
    for mine, drawn in zip(fast, drawn_counts(9, 15, seed), strict=True):
        assert mine == np.quantile(values, q, weights=drawn[places], method="inverted_cdf")


def over(first: Array, second: Array, axis: int = -1) -> Array:
    return np.asarray(np.mean(second, axis=axis) / np.mean(first, axis=axis))


def test_ratios_of_costs_are_bounded_as_scipy_does() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.lognormal(0, 0.5, (300, 2)), rng.lognormal(0.3, 0.5, (300, 2))
    theirs = library("scipy.stats").bootstrap(
        (first.mean(axis=1), second.mean(axis=1)),
        over,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=0.9,
        random_state=5,
    )
    assert costs.mean_low(first, second, np.arange(300), 0.05) == pytest.approx(
        theirs.confidence_interval.low, abs=0.01
    )
    slower = costs.quantile_low(first, 2 * first, np.arange(300), 0.95, 0.05, draws=500)
    assert slower == 2.0, "both sides are drawn together"
    assert costs.quantile(np.arange(1.0, 101.0), 0.95) == 95.0


def test_ratios_with_nothing_below_the_line() -> None:
    assert (costs.ratio(0.0, 0.0), costs.ratio(0.0, 2.0), costs.ratio(2.0, 3.0)) == (1.0, np.inf, 1.5)
    none, some = np.zeros((50, 3)), np.zeros((50, 3))
    some[0, 0] = 1.0
    assert costs.mean_low(none, some, np.arange(50), 0.05, floor=0.02) < 1.1
    assert costs.mean_low(none, none, np.arange(50), 0.05) == 1.0


def test_the_detectable_gain_is_that_of_statsmodels() -> None:
    for clusters, power, alpha in ((100, 0.8, 0.025), (400, 0.9, 0.01)):
        effect = (
            library("statsmodels.stats.power")
            .TTestPower()
            .solve_power(nobs=clusters, alpha=alpha, power=power, alternative="larger")
        )
        mine = detectable(Terms(power=power), clusters, clusters, alpha, spread=0.4)
        assert mine == pytest.approx(effect * 0.4, rel=0.01)
    normal = (
        library("statsmodels.stats.power")
        .NormalIndPower(ddof=0)
        .solve_power(nobs1=100_000, alpha=0.025, power=0.8, ratio=0, alternative="larger")
    )
    assert detectable(Terms(), 100_000, 100_000, 0.025, spread=1.0) == pytest.approx(normal, rel=1e-3)


def test_the_detectable_gain_falls_with_cases_and_epochs_and_grows_as_the_level_shrinks() -> None:
    shipped = detectable(Terms(), 600, 100, 0.025)
    assert shipped < Terms().margin, "the shipped gate set can see the gain that matters"
    assert detectable(Terms(), 100, 50, 0.025) > Terms().margin, "a small suite cannot"
    assert detectable(Terms(), 600, 100, 0.0025) > shipped > detectable(Terms(epochs=9), 600, 100, 0.025)
    assert detectable(Terms(), 600, 1, 0.025) == detectable(Terms(), 600, 5, 0.025) == 1.0
    assert detectable(Terms(), 600, 6, 0.025) < 1.0


def test_the_planned_spread_gives_the_power_that_it_promises() -> None:
    """Differences made by the stated assumption are found as often as the terms say, at the detectable gain."""
    terms, cases, clusters = Terms(), 600, 100
    rng, places = np.random.default_rng(8), np.arange(cases) % clusters
    variance = planned_spread(cases, clusters, terms.epochs) ** 2 / (1 + 5 * 0.05)
    gain, found = detectable(terms, cases, clusters, terms.alpha), 0
    for seed in range(400):
        luck = rng.normal(0, np.sqrt(0.05 * variance), clusters)[places]
        values = gain + luck + rng.normal(0, np.sqrt(0.95 * variance), cases)
        found += one(values, places, terms.alpha, draws=400, seed=seed).low > 0
    assert found / 400 == pytest.approx(terms.power, abs=0.06)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=80))
def test_kappa_is_agreement_beyond_chance(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    yes, also = np.mean(first), np.mean(second)
    chance = float(yes * also + (1 - yes) * (1 - also))
    assume(chance < 0.999)
    found = kappa(first, second)
    assert found.share == pytest.approx(np.mean([a == b for a, b in pairs]))
    assert found.value == pytest.approx((found.share - chance) / (1 - chance))
    table = np.zeros((2, 2))
    np.add.at(table, (np.array(first, dtype=int), np.array(second, dtype=int)), 1)
    with warnings.catch_warnings(action="ignore"):  # statsmodels divides by zero where all agree by chance
        theirs = library("statsmodels.stats.inter_rater").cohens_kappa(table)
    assert found.value == pytest.approx(theirs.kappa)
    if theirs.var_kappa > 1e-12:
        assert found.high == pytest.approx(min(1.0, theirs.kappa + 1.959964 * theirs.std_kappa))
    assert -1 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high <= 1


def test_kappas_bounds_are_those_of_drawn_pairs() -> None:
    rng = np.random.default_rng(9)
    truth = rng.random(400) < 0.4
    judged = truth ^ (rng.random(400) < 0.1)
    found = kappa(truth.tolist(), judged.tolist())
    draws = [kappa(truth[i].tolist(), judged[i].tolist()).value for i in rng.integers(0, 400, (300, 400))]
    assert (found.high - found.value) / 1.96 == pytest.approx(np.std(draws), rel=0.15)


def test_a_few_labels_that_all_agree_are_no_proof() -> None:
    assert kappa([True, False, True, False], [True, False, True, False]).low < 0.6
    assert kappa([True, False] * 100, [True, False] * 100).low > 0.9
    assert (kappa([True] * 9, [True] * 9).value, kappa([True] * 9, [True] * 9).low) == (0.0, -1.0)
    with pytest.raises(UsageError, match="as many labels"):
        kappa([True], [])


def test_a_stricter_level_takes_more_draws() -> None:
    assert (bootstrap.enough(10_000, 0.025), bootstrap.enough(1_000, 0.001)) == (10_000, 20_000)
