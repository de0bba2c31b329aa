"""Records of roles counted by hand, and weights that follow skill and not the luck of a thin record."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.core.standing import Settled, Standing
from openoutcry.tools.formulas.forecast import FLOOR, TRUST
from openoutcry.tools.standings import standings, weights

DAY = date(2022, 3, 1)
ROLES = ("analyst", "risk", "sentiment")


def view(chance: float, happened: bool, **more: object) -> Settled:
    """A view of five days on AAPL by the analyst."""
    made = DAY + timedelta(int(str(more.pop("day", 0))))
    given = {"role": "analyst", "model": "m", "ticker": "AAPL", "horizon": 5, "base_rate": 0.5}
    return Settled.model_validate(
        {**given, "made": made, "ended": made + timedelta(5), "chance": chance, "happened": happened, **more}
    )


def standing(gain: float, separate: int, role: str = "analyst") -> Standing:
    """A record of which the weights read the gain and the separate views."""
    return Standing(
        role=role,
        model="m",
        horizon=5,
        settled=3 * separate,
        separate=separate,
        brier=0.25,
        base_brier=0.25,
        log_score=math.log(2) - gain,
        base_log_score=math.log(2),
        gain=gain,
    )


def test_a_record_by_hand() -> None:
    (found,) = standings([view(0.8, True), view(0.6, False, day=2), view(0.6, True, day=5, base_rate=0.4)])
    assert (found.role, found.model, found.horizon) == ("analyst", "m", 5)
    assert (found.settled, found.separate) == (3, 2)  # the second began within the first
    assert found.brier == pytest.approx((0.04 + 0.36 + 0.16) / 3)
    assert found.base_brier == pytest.approx((0.25 + 0.25 + 0.36) / 3)
    assert found.log_score == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.6)) / 3)
    assert found.base_log_score == pytest.approx(-(2 * math.log(0.5) + math.log(0.4)) / 3)
    assert found.gain == pytest.approx(found.base_log_score - found.log_score)
    assert [(b.low, b.high, b.views, b.mean_chance, b.frequency) for b in found.bins] == [
        (0.6, 0.7, 2, pytest.approx(0.6), 0.5),
        (0.8, 0.9, 1, pytest.approx(0.8), 1.0),
    ]


def test_no_views_no_record() -> None:
    assert standings([]) == ()


def test_of_the_same_view_twice_the_first_counts() -> None:
    (found,) = standings([view(0.8, True), view(0.3, True), view(0.8, True, day=9)])
    assert found.settled == 2
    assert found.brier == pytest.approx(0.04)
    apart = [view(0.8, True), view(0.8, True, ticker="MSFT"), view(0.8, True, horizon=9), view(0.8, True, model="n")]
    assert sum(s.settled for s in standings([*apart, view(0.8, True, role="risk")])) == 5


def test_spans_overlap_within_a_ticker_alone() -> None:
    (found,) = standings([view(0.8, True, ticker=t, day=d) for t in ("A", "B") for d in range(11)])
    assert (found.settled, found.separate) == (22, 6)  # days 0, 5 and 10 of each


def test_groups_are_sorted_by_role_model_and_horizon() -> None:
    mixed = [("risk", "m", 5), ("analyst", "n", 5), ("analyst", "m", 20), ("analyst", "m", 5), ("desk", "m", 5)]
    found = standings([view(0.8, True, role=r, model=m, horizon=h) for r, m, h in mixed])
    assert [(s.role, s.model, s.horizon) for s in found] == sorted(mixed)


@pytest.mark.parametrize("wrong", [{"chance": 1.0}, {"chance": 0.0}, {"base_rate": 1.0}, {"base_rate": 0.0}])
def test_certainty_is_no_chance(wrong: dict[str, float]) -> None:
    sound = view(0.8, True)
    with pytest.raises(NotComputed, match="between 0 and 1; the view of analyst on AAPL of 2022-03-01 has"):
        standings([sound, sound.model_copy(update=wrong)])


settled = st.lists(
    st.builds(
        view,
        st.floats(0.01, 0.99),
        st.booleans(),
        base_rate=st.floats(0.01, 0.99),
        day=st.integers(0, 40),
        role=st.sampled_from(ROLES),
        ticker=st.sampled_from(["A", "B"]),
    ),
    max_size=40,
)


@given(views=settled, seed=st.integers(0, 9))
def test_order_matters_to_repeats_alone_and_every_view_is_in_one_bin(views: list[Settled], seed: int) -> None:
    once = list({(v.role, v.ticker, v.made): v for v in reversed(views)}.values())
    np.random.default_rng(seed).shuffle(once)  # type: ignore[arg-type]  # a list is shuffled in place
    found = standings(views)
    assert standings(once) == found
    assert sum(s.settled for s in found) == len(once)
    for s in found:
        assert 1 <= s.separate <= s.settled == sum(b.views for b in s.bins)
        assert math.fsum(b.views * b.frequency for b in s.bins) == pytest.approx(
            sum(v.happened for v in once if v.role == s.role)
        )


gains, counts = st.floats(-3, 3), st.integers(0, 5000)
records = st.dictionaries(st.sampled_from(ROLES), st.builds(standing, gains, counts))


@given(record=records, n=st.integers(1, 3))
def test_weights_are_shares_of_one_and_bounded(record: dict[str, Standing], n: int) -> None:
    found = weights(ROLES[:n], record)
    assert list(found) == list(ROLES[:n])
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-12)
    assert all(FLOOR / n - 1e-12 <= w <= 1 - FLOOR * (n - 1) / n + 1e-12 for w in found.values())


@given(record=records)
def test_the_order_of_roles_does_not_matter(record: dict[str, Standing]) -> None:
    found = [weights(order, record) for order in permutations(ROLES)]
    assert all(other == found[0] for other in found)


@given(gain=gains, separate=counts, n=st.integers(1, 3))
def test_equal_records_weigh_the_same_and_none_at_all_too(gain: float, separate: int, n: int) -> None:
    alike = {r: standing(gain, separate, r) for r in ROLES}
    for record in ({}, alike, {r: standing(gain, 0, r) for r in ROLES}, {"other": standing(3.0, 900)}):
        assert weights(ROLES[:n], record) == dict.fromkeys(ROLES[:n], pytest.approx(1 / n))
    assert weights([], alike) == {}


@given(record=records, gain=gains, better=st.just(0.0) | st.floats(1e-9, 3), separate=counts)
def test_a_better_record_never_weighs_less(
    record: dict[str, Standing], gain: float, better: float, separate: int
) -> None:
    low, high = (weights(ROLES, record | {"risk": standing(g, separate)}) for g in (gain, gain + better))
    assert high["risk"] >= low["risk"]
    assert high["analyst"] <= low["analyst"]
    peer = weights(ROLES, {"risk": standing(gain, separate), "analyst": standing(gain + better, separate)})
    assert peer["analyst"] >= peer["risk"]


@given(gain=gains, fewer=counts, more=counts)
def test_a_longer_record_speaks_louder_for_its_gain_and_against_its_loss(gain: float, fewer: int, more: int) -> None:
    few, many = (weights(ROLES, {"risk": standing(gain, n)})["risk"] for n in sorted((fewer, more)))
    assert (many - few) * gain >= -1e-15


def test_a_record_of_a_few_views_hardly_matters_and_none_not_at_all() -> None:
    """One nat a view is e times the base rate's chance at each: far more than any lean can gain."""
    found = [weights(("analyst", "risk"), {"analyst": standing(1.0, n)})["analyst"] for n in (0, 1, 2, 5)]
    assert found[0] == 0.5
    assert found == sorted(found)
    assert found[1] < 0.503
    assert found[3] < 0.55


def test_the_weight_by_hand() -> None:
    found = weights(("analyst", "risk"), {"analyst": standing(0.02, TRUST), "risk": standing(-0.01, TRUST)})
    # Both are believed by half and speak for half: exp(100 / 4 x gain).
    ratio = math.exp(0.5) / (math.exp(0.5) + math.exp(-0.25))
    assert found["analyst"] == pytest.approx(0.1 + 0.8 * ratio)
    assert found["risk"] == pytest.approx(0.1 + 0.8 * (1 - ratio))


def simulated(skills: Sequence[float], views: int, runs: int, step: float, seed: int) -> list[list[float]]:
    """Weights after so many views, in worlds in which a role's lean moves the true log-odds by its skill times it."""
    random = np.random.default_rng(seed)
    found: list[list[float]] = []
    for _ in range(runs):
        leans = random.choice([-step, 0.0, step], size=(views, len(skills)))
        happened = random.random(views) < 1 / (1 + np.exp(-(leans @ np.array(skills))))
        chance = 1 / (1 + np.exp(-leans))
        gain = np.log(np.where(happened[:, None], chance, 1 - chance) / 0.5).mean(axis=0)
        record = {r: standing(float(g), views, r) for r, g in zip(ROLES, gain, strict=False)}
        found.append(list(weights(ROLES[: len(skills)], record).values()))
    return found


@pytest.mark.parametrize(("step", "band"), [(0.25, 0.05), (0.5, 0.10)])
def test_luck_over_twenty_views_moves_equals_little(step: float, band: float) -> None:
    """The whole range of leans, mild and strong: within the band of equal in 95 of 100 records."""
    away = [abs(w[0] - 0.5) for w in simulated((0.5, 0.5), 20, 2000, step, 1)]
    assert np.mean(np.array(away) <= band) >= 0.95


@pytest.mark.parametrize(("views", "band"), [(100, 0.30), (500, 0.30), (5000, 0.20)])
def test_nor_does_a_long_record_choose_among_equals(views: int, band: float) -> None:
    """Odds that grow with each view would give one of two equals nearly all; strong leans, the worst case."""
    away = [abs(w[0] - 0.5) for w in simulated((0.5, 0.5), views, 400, 0.5, 2)]
    assert np.mean(np.array(away) <= band) >= 0.95


def test_a_better_role_wins_over_five_hundred_views() -> None:
    for step, least, wins in ((0.25, 0.6, 0.9), (0.5, 0.8, 0.99)):
        found = np.array(simulated((1.0, 0.0), 500, 400, step, 3))
        assert np.mean(found[:, 0] > found[:, 1]) >= wins
        assert np.median(found[:, 0]) > least
