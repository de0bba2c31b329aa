"""The watch's statistics: false alarms, delays, the hard floor, and what the other model's record allows."""

import math
import random
from collections import Counter
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.serving.registry import watch
from openoutcry.serving.registry.watch import LIMIT, RATE, Allowed, Record, Stream, allowed

stats: Any = import_module("scipy.stats")
OURS = Allowed()
runs = st.lists(st.booleans(), min_size=1, max_size=60)


def followed(failures: list[bool], rate: float = RATE) -> Stream:
    stream = Stream()
    for failed in failures:
        stream = stream.after(failed, rate)
    return stream


def over_time(failures: NDArray[np.bool_], rate: float) -> NDArray[np.float64]:
    """The evidence after each run, straight from its definition, a row a simulation: an oracle of its own."""
    worse = [min(rate + watch.WORSE, (rate + 1) / 2), (rate + 1) / 2]
    count = failures.shape[1]
    total = np.zeros(failures.shape)
    for w in worse:
        ratio = failures * math.log(w / rate) + ~failures * math.log((1 - w) / (1 - rate))
        sums = np.cumsum(ratio, axis=1)
        starts = np.concatenate([np.zeros((len(sums), 1)), sums[:, :-1]], axis=1)
        place = np.arange(1, count + 1, dtype=np.float64)
        weights = 1 / (place * (place + 1))
        started = np.logaddexp.accumulate(np.log(weights) - starts, axis=1)
        total += np.exp(np.minimum(sums + started, np.log(watch.CAP))) / 2
    return total + 1 / (1 + np.arange(1, count + 1, dtype=np.float64))


@given(runs, st.floats(0.01, 0.6))
def test_the_evidence_is_what_its_definition_says(failures: list[bool], rate: float) -> None:
    found = [followed(failures[: i + 1], rate).evidence for i in range(len(failures))]
    exact = over_time(np.array([failures]), rate)[0]
    whole = int((exact < watch.CAP / 4).cumprod().sum())  # beyond that it is cut off
    assert found[:whole] == pytest.approx(exact[:whole], rel=1e-6)


def test_a_model_no_worse_than_allowed_hardly_ever_goes() -> None:
    failures = np.random.default_rng(7).random((2000, 1440)) < RATE  # 24 hours, a run a minute
    gone = (over_time(failures, RATE).max(axis=1) >= LIMIT).mean()
    assert gone <= stats.binom.ppf(0.999, 2000, watch.ALPHA / len(watch.KINDS)) / 2000


def in_a_row(rate: float, runs: int) -> float:
    """Chance that some row in so many runs is too deep: exact, over how long the row is that ends at each run."""
    depths = [watch.row(run, rate) for run in range(1, runs + 1)]
    chance, gone = np.eye(1, max(depths) + 1)[0], 0.0
    for depth in depths:
        chance = np.concatenate([[chance.sum() * (1 - rate)], chance[:-1] * rate])
        gone += chance[depth:].sum()
        chance[depth:] = 0
    return gone


@pytest.mark.parametrize("rate", [0.05, 0.08, 0.12, 0.15, 0.25, 0.4, 0.7])
def test_a_row_is_as_rare_in_a_whole_watch_as_it_is_said_to_be(rate: float) -> None:
    assert in_a_row(rate, 1440) <= 0.0025
    assert in_a_row(rate, 14_400) <= 0.0035  # ten runs a minute


def alarmed(failures: NDArray[np.bool_], rate: float) -> NDArray[np.bool_]:
    """Which simulations an alarm ends that fail in one way: by the test, their first runs, or a row. Also an oracle."""
    place: NDArray[np.int64] = np.arange(1, failures.shape[1] + 1, dtype=np.int64)
    since = place - np.maximum.accumulate(np.where(failures, 0, place), axis=1)
    deep = (since >= [watch.row(run, rate) for run in place.tolist()]).any(axis=1)
    few = next(k for k in range(3, 7) if k == 6 or stats.binom.sf(k - 1, 5, rate) <= watch.RARE_FIRST)
    first = failures[:, : watch.FIRST].sum(axis=1) >= few
    return first | deep | (over_time(failures, rate).max(axis=1) >= LIMIT)


@pytest.mark.parametrize("rate", [RATE, 0.15, 0.25])
def test_neither_test_nor_floor_takes_out_who_does_what_is_allowed(rate: float) -> None:
    failures = np.random.default_rng(5).random((2000, 1440)) < rate
    most = watch.ALPHA / len(watch.KINDS) + watch.RARE_FIRST + 0.0025
    assert alarmed(failures, rate).sum() <= stats.binom.ppf(0.999, 2000, most)
    there = Allowed(rates={**OURS.rates, "schema": rate}, any=rate)
    odd = np.random.default_rng(6).random((30, 60)) < 2 * rate
    found = [bool(after(*life.tolist(), given=there).alarm) for life in odd]
    assert found == alarmed(odd, rate).tolist()
    assert 0 < sum(found) < 30


@pytest.mark.parametrize(("rate", "most"), [(0.05, 0.03), (0.15, 0.05), (0.3, 0.12)])
def test_of_two_that_are_alike_the_new_one_mostly_comes_through(rate: float, most: float) -> None:
    """The way in beside a model that fails as often, and is as new: 20 runs of both, 5 %, 25 %."""
    generator, gone = random.Random(1), 0
    for _ in range(100):
        other, record = Counter[frozenset[str]](), Record()
        for share, least in ((0.5, 20), (0.05, 20), (0.25, 50)):
            end = record.runs + least
            while record.runs < end and not record.alarm:
                faults = frozenset[watch.Fault](["evidence"] if generator.random() < rate else [])
                if generator.random() < share:
                    record = record.after(faults, allowed(other))
                else:
                    other[faults] += 1
        gone += bool(record.alarm)
    assert gone <= 100 * most


def test_what_matters_is_found_soon_however_long_all_was_well() -> None:
    generator = np.random.default_rng(11)
    for rate, at_first, later in ((0.15, 160, 320), (0.3, 40, 80), (0.6, 14, 25)):
        bad = generator.random((400, 900)) < rate
        well = generator.random((400, 300)) < 0.01
        for before, most in ((well[:, :0], at_first), (well, later)):
            evidence = over_time(np.concatenate([before, bad], axis=1), RATE)[:, before.shape[1] :]
            delays = np.where((evidence >= LIMIT).any(axis=1), (evidence >= LIMIT).argmax(axis=1) + 1, 10_000)
            assert np.median(delays) <= most, (rate, before.shape[1], np.median(delays))


@given(runs, st.data(), st.floats(0.01, 0.6))
def test_another_failure_never_speaks_for_a_model(failures: list[bool], data: st.DataObject, rate: float) -> None:
    i = data.draw(st.integers(0, len(failures) - 1))
    worse = [*failures[:i], True, *failures[i + 1 :]]
    assert followed(worse, rate).evidence >= followed(failures, rate).evidence * (1 - 1e-9)


@given(
    st.lists(st.sampled_from(["", "schema", "crash", "evidence", "slow"]), max_size=40), st.sampled_from(watch.KINDS)
)
def test_an_alarm_stays(faults: list[str], kind: watch.Fault) -> None:
    record = Record()
    for fault in faults:
        before = record.alarm
        record = record.after([fault] if fault else [], OURS)  # type: ignore[list-item]
        assert not before or record.alarm == before
    assert record.runs == len(faults)
    assert record.of(kind).failed == faults.count(kind)


def after(*failed: bool, given: Allowed = OURS) -> Record:
    record = Record()
    for one in failed:
        record = record.after(["schema"] if one else [], given)
    return record


def test_one_bad_run_or_two_flip_nothing() -> None:
    assert not after(True).alarm
    assert not after(True, True).alarm
    assert not after(*[False] * 20, True, False, True).alarm


def test_the_hard_floor_holds_whatever_the_test_says() -> None:
    assert after(True, False, True, False, True).alarm.startswith("3 of its first 5 runs failed")
    assert after(True, True, True).alarm.startswith("3 of its first 3 runs failed")
    assert not after(True, False, True, False, False, True).alarm
    row = after(*[False] * 400, *[True] * 5)
    assert row.alarm.startswith("its last 5 runs failed (most of them gave no answer in the form")
    assert row.of("schema").evidence < LIMIT


def test_slowness_alone_makes_no_hard_floor() -> None:
    record = Record()
    for _ in range(watch.WARM - 1):
        record = record.after(["slow"], OURS)
    assert not record.alarm
    assert record.failed == 0
    assert record.after(["slow"], OURS).alarm.startswith("10 of 10 runs were too slow, where 5% may (evidence ")


def test_what_the_other_model_does_as_well_is_allowed() -> None:
    there = allowed({frozenset(["evidence"]): 40, frozenset(["evidence", "slow"]): 10, frozenset(): 150})
    assert there.rates["schema"] == RATE
    assert 0.25 < there.rates["evidence"] < 0.32
    assert there.any == there.rates["evidence"]
    record = Record()
    for i in range(400):
        record = record.after(["evidence"] if i % 4 == 0 else [], there)
    assert not record.alarm
    assert after(True, True, True).alarm
    bad = Record()
    for _ in range(4):
        bad = bad.after(["evidence"], there)
    assert not bad.alarm


def test_little_is_known_of_a_model_that_was_hardly_asked() -> None:
    prior = stats.beta(watch.WEIGHT * RATE, watch.WEIGHT * (1 - RATE))
    assert allowed({}).rates["crash"] == pytest.approx(prior.ppf(watch.SURE))
    some = {frozenset(["schema"]): 3, frozenset[str](): 40, frozenset(["slow"]): 7}
    exact = stats.beta(watch.WEIGHT * RATE + 3, watch.WEIGHT * (1 - RATE) + 47).ppf(watch.SURE)
    assert allowed(some).rates["schema"] == pytest.approx(exact)
    assert allowed(some).any == allowed(some).rates["schema"]
    assert allowed({frozenset(): 5000}).rates["schema"] == RATE


def test_slow_is_measured_by_the_others_seconds() -> None:
    assert allowed({}, [1.0] * 19).seconds == 0
    assert allowed({}, [0.0] * 50).seconds == 0
    seconds = [i / 100 for i in range(1, 101)]
    assert allowed({}, seconds).seconds == pytest.approx(0.96 * watch.PATIENCE)
    assert allowed({}).rates["slow"] == 2 * RATE


def test_evidence_never_overflows() -> None:
    assert math.isfinite(followed([True] * 2000).evidence)
