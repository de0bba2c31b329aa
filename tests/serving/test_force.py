"""The ledger's word in the seats' files: after moves at once, after a copy of the ledger was brought back."""

import shutil
from pathlib import Path

import pytest

from openoutcry.serving.registry import force, ledger, pointer, seats
from openoutcry.serving.registry.pointer import Pointer
from tests.serving.trained import NOW, Trained, trained


@pytest.fixture
def at(tmp_path: Path) -> Trained:
    return trained(tmp_path)


def switched(at: Trained, name: str, role: str = "risk") -> Pointer:
    return seats.switch(at.stack, at.home, role, name, answers=True, now=NOW)


def truth(at: Trained) -> dict[str, Pointer]:
    with ledger.reading(at.home) as told:
        return told.pointers() if told else {}


def test_an_older_word_never_comes_over_a_newer_one(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    real = force.writing

    def meanwhile(home: Path) -> object:
        monkeypatch.setattr(force, "writing", real)
        switched(at, "spare")  # between the first move's word and its file
        return real(home)

    monkeypatch.setattr(force, "writing", meanwhile)
    switched(at, "nano")
    assert pointer.read(at.home) == truth(at)
    assert truth(at)["risk"].champion == "spare"
    assert truth(at)["risk"].previous == "nano"


def test_after_a_copy_was_brought_back_a_move_is_in_force_at_once(at: Trained) -> None:
    switched(at, "nano")
    shutil.copytree(at.home / "registry", at.root / "copy")
    for _ in range(3):
        switched(at, "spare")
    shutil.rmtree(at.home / "registry")
    shutil.copytree(at.root / "copy", at.home / "registry")
    moved = switched(at, "house")
    assert moved.previous == "nano", "it is moved from where the ledger says it stands"
    assert pointer.read(at.home) == {"risk": moved}


def test_a_move_that_the_ledger_does_not_know_is_taken_back(at: Trained) -> None:
    at.adapter("a")
    shutil.copytree(at.home / "registry", at.root / "copy")
    switched(at, "nano")
    shutil.rmtree(at.home / "registry")
    force.mend(at.home)
    assert pointer.read(at.home)["risk"].champion == "nano", "no ledger says nothing"
    shutil.copytree(at.root / "copy", at.home / "registry")
    pointer.write(at.home, "analyst", Pointer(champion="spare"))  # by hand
    force.mend(at.home)
    assert pointer.read(at.home) == {"analyst": Pointer(champion="spare")}
