"""The autoscaler: never outside its bounds, no flapping, no scaling down on a look that failed; a day replayed."""

import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import UsageError
from openoutcry.serving.looks import Look
from openoutcry.serving.planning.autoscale import (
    DOWN_AFTER,
    EVERY,
    HIGH,
    LOW,
    UP_AFTER,
    Decision,
    Pace,
    decide,
    load,
    moments,
    replay,
)
from openoutcry.serving.stack import Served


def model(least: int = 1, most: int = 3, concurrency: int = 24) -> Served:
    """A replica of it is to carry concurrency / most requests: 8 by default."""
    spans = {"min": least, "max": most}
    return Served.model_validate({"name": "m", "weights": "a/b", "concurrency": concurrency, "replicas": spans})


def busy(share: float, replicas: int = 1) -> list[Look | None]:
    """Replicas whose KV cache is used to that share."""
    return [Look(running=0, waiting=0, kv=share) for _ in range(replicas)]


def run(served: Served, loads: Sequence[Sequence[Look | None]], replicas: int = 1, fits: bool = True) -> list[Decision]:
    """Decisions over looks that come as they are, half a minute apart, however many replicas were decided for."""
    pace, found = Pace(), list[Decision]()
    for tick, looks in enumerate(loads):
        found.append(decide(served, looks, replicas, fits, pace, tick * EVERY))
        replicas, pace = found[-1].replicas, found[-1].pace
    return found


def test_load_is_the_larger_share_and_the_mean_of_replicas() -> None:
    assert load(model(), [Look(running=4, waiting=2, kv=0.1)]) == pytest.approx(0.75)  # 6 of 8
    assert load(model(), [Look(running=1, waiting=0, kv=0.9)]) == pytest.approx(0.9)
    assert load(model(), [Look(running=8, waiting=8, kv=0.9), Look(running=0, waiting=0)]) == pytest.approx(1.0)
    assert load(model(), [Look(running=4, waiting=0), None]) == pytest.approx(0.5)
    assert load(model(), [None]) is None
    assert load(model(), []) is None


def test_two_high_looks_add_one() -> None:
    found = run(model(), [busy(0.81)] * 2)
    assert [d.replicas for d in found] == [1, 2]
    assert found[1].reason == "load 0.81: above 0.8 for 2 looks"


def test_one_high_look_does_not_and_the_threshold_itself_is_not_high() -> None:
    assert [d.replicas for d in run(model(), [busy(0.9), busy(0.5), busy(0.9), busy(0.5)])] == [1] * 4
    assert [d.replicas for d in run(model(), [busy(HIGH)] * 10)] == [1] * 10


def test_four_low_looks_drain_one() -> None:
    found = run(model(), [busy(0.29, 2)] * 4, replicas=2)
    assert [d.replicas for d in found] == [2, 2, 2, 1]
    assert [d.replicas for d in run(model(), [busy(LOW, 2)] * 10, replicas=2)] == [2] * 10


def test_the_box_says_no() -> None:
    found = run(model(), [busy(0.9)] * 5, fits=False)
    assert {d.replicas for d in found} == {1}
    assert found[-1].reason == "load 0.90: high, no further replica fits this box"


def test_a_starting_replica_is_waited_for() -> None:
    """Two are wanted and one is ready: a third is not started, however long it takes."""
    found = run(model(), [busy(0.95, 1)] * 40, replicas=2)
    assert {d.replicas for d in found} == {2}
    assert "1 of 2 replicas not ready yet" in found[-1].reason


def test_cool_down_after_a_change() -> None:
    served = model(most=8)
    pace, replicas, ups = Pace(), 1, list[float]()
    for tick in range(40):
        decision = decide(served, busy(1.0, replicas), replicas, True, pace, tick * EVERY)
        if decision.replicas > replicas:
            ups.append(tick * EVERY)
        replicas, pace = decision.replicas, decision.pace
    assert replicas == 8
    assert min(later - earlier for earlier, later in itertools.pairwise(ups)) >= UP_AFTER
    downs = list[float]()
    for tick in range(40, 200):
        decision = decide(served, busy(0.0, replicas), replicas, True, pace, tick * EVERY)
        if decision.replicas < replicas:
            downs.append(tick * EVERY)
        replicas, pace = decision.replicas, decision.pace
    assert replicas == 1
    assert min(later - earlier for earlier, later in itertools.pairwise([ups[-1], *downs])) >= DOWN_AFTER


@pytest.mark.parametrize("looks", [[None], [None, None], [Look(0, 0), None], [Look(0, 0)], []])
def test_a_dead_metric_is_no_reason_to_scale_down(looks: list[Look | None]) -> None:
    found = run(model(), [looks] * 50, replicas=2)
    assert {d.replicas for d in found} == {2}


def test_a_dead_metric_begins_the_count_of_low_looks_anew() -> None:
    low, dead = busy(0.0, 2), [Look(0, 0), None]
    assert {d.replicas for d in run(model(), [low, low, low, dead, low, low, low], replicas=2)} == {2}
    assert run(model(), [low, low, low, dead, low, low, low, low], replicas=2)[-1].replicas == 1


def test_a_dead_replica_beside_a_full_one_lets_more_come() -> None:
    full_and_dead = [Look(running=16, waiting=9, kv=1.0), None]
    assert run(model(), [full_and_dead] * 2, replicas=2)[-1].replicas == 3


def test_what_is_outside_its_bounds_is_brought_back() -> None:
    assert run(model(least=2), [busy(0.5)], replicas=1)[0].replicas == 2
    assert run(model(most=2), [busy(0.9, 5)], replicas=5)[0].replicas == 2


LOOKS = st.one_of(
    st.none(),
    st.builds(Look, running=st.integers(0, 40), waiting=st.integers(0, 200), kv=st.floats(0, 1)),
)


@given(
    least=st.integers(0, 3),
    more=st.integers(0, 4),
    concurrency=st.integers(1, 64),
    days=st.lists(st.tuples(st.lists(LOOKS, max_size=6), st.booleans()), max_size=60),
    begin=st.integers(0, 10),
)
def test_never_outside_its_bounds_and_one_step_at_a_time(
    least: int, more: int, concurrency: int, days: list[tuple[list[Look | None], bool]], begin: int
) -> None:
    served = model(least, max(least + more, 1), concurrency)
    replicas, pace = begin, Pace()
    for tick, (looks, fits) in enumerate(days):
        decision = decide(served, looks, replicas, fits, pace, tick * EVERY)
        assert served.replicas.min <= decision.replicas <= served.replicas.max
        if served.replicas.min <= replicas <= served.replicas.max:
            assert abs(decision.replicas - replicas) <= 1
            assert fits or decision.replicas <= replicas
        if None in looks or not looks:
            assert decision.replicas >= min(replicas, served.replicas.max)
        replicas, pace = decision.replicas, decision.pace


@given(
    level=st.floats(0.05, 3.0),
    noise=st.floats(0, 0.05),
    seed=st.integers(0, 1000),
)
def test_noise_around_any_steady_load_does_not_flap(level: float, noise: float, seed: int) -> None:
    """Work that adds up to *level* replicas is shared; after it has settled the number changes once at most."""
    draw, served = random.Random(seed), model(most=4)
    replicas, pace, changes = 1, Pace(), list[int]()
    for tick in range(400):
        share = min(max((level + draw.uniform(-noise, noise)) / replicas, 0.0), 1.0)
        decision = decide(served, busy(share, replicas), replicas, True, pace, tick * EVERY)
        if decision.replicas != replicas:
            changes.append(decision.replicas - replicas)
        replicas, pace = decision.replicas, decision.pace
    assert all(step == 1 for step in changes) or all(step == -1 for step in changes)


def day(seed: int = 7) -> Iterator[str]:
    """A recorded trading day in lines: quiet before 09:30, a rush at the open, a lunch lull, a rush into the close.

    Requests at once on all replicas together, with noise; one look in fifty fails.
    """
    draw = random.Random(seed)
    for tick in range(int(11 * 3600 / EVERY)):
        at = 7 * 3600 + tick * EVERY
        hour = at / 3600
        rush = 20 * math.exp(-(((hour - 9.75) / 0.35) ** 2)) + 18 * math.exp(-(((hour - 15.75) / 0.3) ** 2))
        base = 3.5 if 9.5 <= hour <= 16 else 0.5
        work = max(base + rush + draw.gauss(0, 1), 0)
        look: dict[str, Any] | None = {
            "running": min(round(work), 16),
            "waiting": max(round(work) - 16, 0),
            "kv": min(work / 30, 1),
        }
        yield json.dumps({"at": at, "model": "m", "looks": [None if draw.random() < 0.02 else look]})


def test_a_recorded_day_grows_at_the_open_and_the_close_and_shrinks_between() -> None:
    lines = list(day())
    decided = list(replay(model(), moments(lines), lambda n: n <= 3))
    at = {round(json.loads(line)["at"]): d.replicas for line, d in zip(lines, decided, strict=True)}

    def number(hour: float) -> int:
        return at[round(hour * 3600 / EVERY) * round(EVERY)]

    assert [number(hour) for hour in (8.5, 10, 12.5, 16, 17.75)] == [1, 3, 1, 3, 1]
    changes = sum(a.replicas != b.replicas for a, b in itertools.pairwise(decided))
    assert changes == 8  # two up and two down at each rush


def test_a_smaller_box_caps_the_day() -> None:
    decided = list(replay(model(), moments(day()), lambda n: n <= 2))
    assert max(d.replicas for d in decided) == 2
    assert any("no further replica fits" in d.reason for d in decided)


def test_work_of_two_is_spread_over_those_that_are_decided_for() -> None:
    recorded = [
        json.dumps({"at": t * EVERY, "model": "m", "looks": [{"running": 7, "waiting": 0}] * 2}) for t in range(2)
    ]
    first, second = replay(model(), moments(recorded), lambda n: True)
    assert first.load == pytest.approx(14 / 8)  # one replica carries what two did
    assert second.replicas == 2


def test_lines_of_other_models_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl"
    file.write_text('{"at": 1, "model": "a", "looks": []}\n\n{"at": 2, "model": "b", "looks": [null]}\n')
    lines = file.read_text().splitlines()
    assert [m.at for m in moments(lines)] == [1, 2]
    assert [m.at for m in moments(lines, "b")] == [2]


@pytest.mark.parametrize("line", ["{", '{"at": 1, "model": "a"}', '{"at": 1, "model": "a", "looks": [{"kv": 0.1}]}'])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(UsageError, match="line 2 of the recorded day"):
        list(moments(['{"at": 1, "model": "a", "looks": []}', line]))


def test_the_last_one_stays_since_nothing_would_say_that_it_is_wanted_again() -> None:
    found = run(model(least=0), [busy(0.0)] * 40)
    assert {d.replicas for d in found} == {1}
    assert found[-1].reason == "load 0.00: low, at its least of 1"
