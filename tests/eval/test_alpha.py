from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.seals import folder
from openoutcry.eval.gate import alpha, anchor
from openoutcry.eval.gate.alpha import Asked
from openoutcry.eval.gate.anchor import Pinned

NOW = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
Ask = Callable[..., Asked]


@pytest.fixture
def ask() -> Ask:
    """A look at the gate set by the challenger c1."""

    def asked(look: str = "look", **values: object) -> Asked:
        given = {"role": "risk", "challenger": "c1", "bank": "gate", "rotation": "2026-11", "level": 0.025}
        return Asked.model_validate({"look": look, **given, **values})

    return asked


@given(st.integers(1, 3000), st.floats(1e-6, 0.025))
def test_any_number_of_looks_spend_less_than_twice_the_level(looks: int, level: float) -> None:
    spent = sum(alpha.granted(level, turn) for turn in range(1, looks + 1))

    assert spent < 1.97 * level <= 0.05
    assert alpha.granted(level, 1) == level


def test_looks_of_a_month_get_less_and_less(tmp_path: Path, ask: Ask) -> None:
    turns = [
        alpha.begin(tmp_path, ask(f"l{i}", challenger=f"c{i}"), NOW, alpha.granted(0.025, i)).turn for i in (1, 2, 3)
    ]

    assert turns == [1, 2, 3]
    assert alpha.looks(tmp_path, "risk", NOW) == 3
    assert alpha.looks(tmp_path, "analyst", NOW) == 0
    assert alpha.looks(tmp_path, "risk", NOW + timedelta(days=3)) == 0


def test_a_look_that_goes_on_is_charged_once(tmp_path: Path, ask: Ask) -> None:
    first = alpha.begin(tmp_path, ask(), NOW, 0.025)
    again = alpha.begin(tmp_path, ask(), NOW + timedelta(days=9), 0.001)

    assert first == again == alpha.standing(tmp_path, ask())
    assert alpha.looks(tmp_path, "risk", NOW) == 1


def test_a_challenger_looks_once_at_a_rotation(tmp_path: Path, ask: Ask) -> None:
    alpha.begin(tmp_path, ask("one"), NOW, 0.025)
    assert "has no verdict" in alpha.refused(tmp_path, ask("other terms"))
    alpha.close(tmp_path, "one", 7)

    with pytest.raises(UsageError, match="record 7 holds its verdict"):
        alpha.begin(tmp_path, ask("other terms"), NOW, alpha.granted(0.025, 2))
    assert alpha.looks(tmp_path, "risk", NOW) == 1
    assert alpha.known(tmp_path) == {"one": 7}
    assert not alpha.refused(tmp_path, ask("next month", rotation="2026-12"))
    assert not alpha.refused(tmp_path, ask("another role", role="analyst"))


def test_the_sealed_set_is_looked_at_once_a_quarter(tmp_path: Path, ask: Ask) -> None:
    sealed = {"bank": "sealed", "rotation": "2026Q4"}
    alpha.begin(tmp_path, ask("one", **sealed), NOW, 0.025)

    assert "another challenger (c1)" in alpha.refused(tmp_path, ask("two", challenger="c2", **sealed))
    assert not alpha.refused(tmp_path, ask("two", challenger="c2", role="analyst", **sealed))
    assert not alpha.refused(tmp_path, ask("two", challenger="c2", bank="sealed", rotation="2027Q1"))
    assert not alpha.refused(tmp_path, ask("gate", challenger="c2"))


def test_a_look_that_another_overtook_is_not_charged(tmp_path: Path, ask: Ask) -> None:
    alpha.begin(tmp_path, ask("one"), NOW, 0.025)

    with pytest.raises(UsageError, match="look 2"):
        alpha.begin(tmp_path, ask("two", challenger="c2"), NOW, 0.025)
    assert alpha.looks(tmp_path, "risk", NOW) == 1


def test_looks_that_begin_at_once_share_no_turn(tmp_path: Path, ask: Ask) -> None:
    def begin(number: int) -> int:
        for turn in range(1, 20):
            try:
                one = ask(f"l{number}", challenger=f"c{number}")
                return alpha.begin(tmp_path, one, NOW, alpha.granted(0.025, turn)).turn
            except UsageError:
                continue
        return 0

    with ThreadPoolExecutor(8) as threads:
        turns = sorted(threads.map(begin, range(8)))
    assert len(set(turns) - {0}) == 8 - turns.count(0) == alpha.looks(tmp_path, "risk", NOW)
    assert 1 in turns


def test_a_clock_that_was_set_back_does_not_give_a_month_again(tmp_path: Path, ask: Ask) -> None:
    alpha.begin(tmp_path, ask("one"), NOW, 0.025)
    before = NOW - timedelta(days=40)

    assert "it says 2026-10, and a look began in 2026-11" in alpha.set_back(tmp_path, before)
    with pytest.raises(UsageError, match="a clock that goes forward"):
        alpha.begin(tmp_path, ask("two", challenger="c2", rotation="2026-10"), before, 0.025)
    assert alpha.set_back(tmp_path, NOW - timedelta(days=9)) == "", "within a month the looks are counted anyway"
    assert alpha.begin(tmp_path, ask("one"), before, 0.025).month == "2026-11", "one that has begun goes on"


def test_months_and_quarters_are_of_utc() -> None:
    late = datetime(2026, 12, 31, 20, 0, tzinfo=timezone(timedelta(hours=-5)))

    assert alpha.rotation("gate", NOW) == "2026-11"
    assert alpha.rotation("sealed", NOW) == "2026Q4"
    assert alpha.rotation("gate", late) == "2027-01"
    assert alpha.rotation("sealed", late) == "2027Q1"


def test_a_damaged_ledger_is_no_clean_one(tmp_path: Path, ask: Ask) -> None:
    alpha.begin(tmp_path, ask(), NOW, 0.025)
    for file in folder(tmp_path).glob("looks.sqlite*"):
        file.write_bytes(b"x" * 4096)

    with pytest.raises(DataError, match="ledger of looks"):
        alpha.looks(tmp_path, "risk", NOW)


def test_an_anchor_stands_still(tmp_path: Path) -> None:
    house = Pinned(name="house", digest="d1")
    assert not anchor.refused(tmp_path, "risk", house)
    anchor.pin(tmp_path, "risk", house)

    assert not anchor.refused(tmp_path, "risk", house)
    assert "was d1 when it was pinned and is d2 now" in anchor.refused(
        tmp_path, "risk", Pinned(name="house", digest="d2")
    )
    assert "pinned to house, not tall" in anchor.refused(tmp_path, "risk", Pinned(name="tall", digest="d1"))
    assert not anchor.refused(tmp_path, "analyst", Pinned(name="tall", digest="d1"))
    (folder(tmp_path) / "anchors.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        anchor.pinned(tmp_path, "risk")
