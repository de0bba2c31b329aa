"""Who sits where: the stack's choice, what a person switched over it, and what may not sit there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import DataError, UsageError
from openoutcry.serving import roster
from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.force import mend
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.registry.seats import seated, switch, where
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.stack import HOUSE, SEATS, Stack

NOW = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)


def stack(**more: Any) -> Stack:
    models = {
        "big": {"weights": "b", "adapters": {"big-risk": "r"}},
        "small": {"weights": "s"},
        "tone": {"weights": "t", "purpose": "classify"},
        "own": {"engine": "endpoint", "url": "http://127.0.0.1:9000"},
    }
    return Stack.model_validate({"models": models, "uncertified": True, **more})


def test_the_stack_decides_where_nobody_switched(tmp_path: Path) -> None:
    seats = seated(stack(roles={"risk": "big-risk", "reader": "tone"}, previous={"risk": "small"}), tmp_path)
    assert list(seats) == list(SEATS)
    assert seats["risk"] == Pointer(champion="big-risk", previous="small")
    assert seats["reader"] == Pointer(champion="tone")
    assert {seats[s].champion for s in ("analyst", "sentiment", "coordinator", "embedder")} == {HOUSE}


def test_a_switch_moves_the_champion_to_previous_and_back(tmp_path: Path) -> None:
    desk = stack(roles={"risk": "big-risk"}, previous={"risk": "small"})
    first = Pointer(champion="own", previous="big-risk", over="big-risk", number=1)
    assert switch(desk, tmp_path, "risk", "own", answers=True, now=NOW) == first
    assert seated(desk, tmp_path)["risk"] == first
    again = switch(desk, tmp_path, "risk", "own", answers=True, now=NOW)
    assert again == first.model_copy(update={"number": 2})
    moved = switch(desk, tmp_path, "risk", HOUSE, answers=True, now=NOW)
    assert (moved.champion, moved.previous, moved.number) == (HOUSE, "own", 3)
    assert seated(desk, tmp_path)["risk"].champion == HOUSE
    assert seated(desk, tmp_path)["analyst"].champion == HOUSE


@pytest.mark.parametrize(
    ("role", "name", "answers", "said"),
    [
        ("trader", "big", True, "expected a seat among analyst, sentiment, risk"),
        ("risk", "huge", True, "expected a model of this stack, got 'huge'"),
        ("risk", "tone", True, "the risk needs a model for chat; tone is for classify"),
        ("embedder", "big", True, "the embedder needs a model for embed; big is for chat"),
        ("risk", "big", False, "`outcry stack up` starts it, or --force"),
    ],
)
def test_what_may_not_sit_there(tmp_path: Path, role: str, name: str, answers: bool, said: str) -> None:
    with pytest.raises(UsageError) as error:
        switch(stack(), tmp_path, role, name, answers=answers, now=NOW)
    assert said in str(error.value)
    assert pointer.read(tmp_path) == {}
    assert not (tmp_path / "registry").exists()


def test_a_switch_made_for_another_stack_is_left_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pointer.write(tmp_path, "risk", Pointer(champion="huge", previous="big"))
    pointer.write(tmp_path, "analyst", Pointer(champion="tone"))
    pointer.write(tmp_path, "coordinator", Pointer(champion="big", previous="huge"))
    seats = seated(stack(roles={"risk": "small"}), tmp_path)
    assert seats["risk"] == Pointer(champion="small")
    assert seats["analyst"] == Pointer(champion=HOUSE)
    assert seats["coordinator"] == Pointer(champion="big", over=HOUSE)
    shown = "".join(capsys.readouterr())
    assert "huge" in shown
    assert "the analyst needs a model for chat" in shown


def test_a_damaged_seat_is_said(tmp_path: Path) -> None:
    pointer.write(tmp_path, "risk", Pointer(champion="big"))
    (pointer.folder(tmp_path) / "risk.json").write_text("{")
    with pytest.raises(DataError, match="delete it to go back to stack"):
        seated(stack(), tmp_path)


def test_a_damaged_or_lost_seat_is_made_anew_from_the_ledger(tmp_path: Path) -> None:
    desk = stack(roles={"risk": "big-risk"})
    told = {role: switch(desk, tmp_path, role, "own", answers=True, now=NOW) for role in ("risk", "analyst", "reader")}
    (pointer.folder(tmp_path) / "risk.json").write_text("{")
    (pointer.folder(tmp_path) / "analyst.json").unlink()
    (pointer.folder(tmp_path) / "reader.json").write_text('{"champion": "big", "number": 99}')
    mend(tmp_path)
    assert pointer.read(tmp_path) == told


def test_where_a_model_answers(tmp_path: Path) -> None:
    desk = stack()
    states = [State.READY, State.STARTING, State.READY]
    replicas = tuple(Replica(model="big", index=i, url=f"http://127.0.0.1:{i}", state=s) for i, s in enumerate(states))
    roster.write(tmp_path, Roster(replicas=replicas))
    assert where(desk, tmp_path, desk.models["big"]) == ["http://127.0.0.1:0", "http://127.0.0.1:2"]
    assert where(desk, tmp_path, desk.models["small"]) == []
    assert where(desk, tmp_path, desk.models["own"]) == ["http://127.0.0.1:9000"]


def test_a_switch_to_nobody_is_left_aside(tmp_path: Path) -> None:
    pointer.write(tmp_path, "risk", Pointer(champion="", previous="small"))
    assert seated(stack(roles={"risk": "big-risk"}), tmp_path)["risk"] == Pointer(champion="big-risk")


def test_seats_that_cannot_be_read_are_said_to_be(tmp_path: Path) -> None:
    (pointer.folder(tmp_path) / "risk.json").mkdir(parents=True)
    with pytest.raises(DataError, match=r"expected a seat in .*, found none that can be read"):
        seated(stack(), tmp_path)


def test_a_switch_holds_until_the_file_names_another(tmp_path: Path) -> None:
    models = {name: {"weights": "w"} for name in ("one", "two", "three")}

    def stack(name: str) -> Stack:
        return Stack.model_validate({"models": models, "roles": {"risk": name}, "uncertified": True})

    switch(stack("one"), tmp_path, "risk", "two", answers=True, now=NOW)
    assert seated(stack("one"), tmp_path)["risk"].champion == "two"
    assert seated(stack("three"), tmp_path)["risk"].champion == "three"
    assert seated(stack("one"), tmp_path)["risk"].champion == "two"
