"""What is registered: taken in once, whole, and refused where a byte of it is another."""

import multiprocessing
import os
import shutil
import sqlite3
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core import sqlite
from openoutcry.core.errors import DataError, UsageError
from openoutcry.serving import ollama, pull
from openoutcry.serving.registry import artifact, seats
from openoutcry.serving.registry.artifact import Made, Registered
from openoutcry.serving.registry.ledger import Kind, path, reading, writing
from openoutcry.serving.registry.standings import standings
from openoutcry.serving.seating import Seating
from tests.serving.trained import NOW, Trained, trained


@pytest.fixture
def at(tmp_path: Path) -> Trained:
    return trained(tmp_path)


def kinds(at: Trained) -> list[str]:
    with reading(at.home) as ledger:
        return [str(event.kind) for event in ledger.events()] if ledger else []


def test_what_is_registered_is_found_and_the_same_twice_is_one(at: Trained) -> None:
    one, two = at.adapter("a"), at.adapter("b")
    assert at.adapter("a") == one
    assert one.name == f"risk-{one.digest[:12]}"
    assert artifact.listing(at.home) == sorted([one, two], key=lambda each: each.name)
    for given_ in (one.name, one.digest, one.digest[:8], one.name[:12]):
        assert artifact.find(at.home, given_) == one
    assert kinds(at) == ["registered", "registered"]
    assert {p.name: p.read_bytes() for p in one.files.iterdir()} == {
        "adapter_config.json": b'{"r": 8}',
        "adapter_model.safetensors": b"a" * 9,
    }
    artifact.check(one)


def test_the_recipe_and_the_tokenizer_are_part_of_what_it_is(at: Trained) -> None:
    one = at.adapter("a")
    assert at.adapter("a", recipe={"seed": 2}).digest != one.digest
    (at.root / "base" / "tokenizer.json").write_text('{"other": 1}')
    assert at.adapter("a", base=one.artifact.base).digest != one.digest


@pytest.mark.parametrize("given_", ["", "r", "risk-", "abc", "zzzz", "../..", "analyst-{digest}", "risk-{digest}0"])
def test_what_is_not_registered_is_not_found(at: Trained, given_: str) -> None:
    one = at.adapter("a")
    with pytest.raises(UsageError, match="`outcry models list` shows what there is"):
        artifact.find(at.home, given_.format(digest=one.digest[:12]))


def test_a_beginning_that_fits_two_is_refused(at: Trained) -> None:
    found = [at.adapter(f"w{i}").digest for i in range(20)]
    first = next(d for d in found if sum(o[0] == d[0] for o in found) > 1)
    with pytest.raises(UsageError):
        artifact.find(at.home, first[0])


def test_what_cannot_be_taken_in(at: Trained) -> None:
    with pytest.raises(UsageError, match="expected the folder of an adapter"):
        artifact.register(at.home, at.root / "nothing", Made(kind="adapter", role="risk"), NOW)
    (at.root / "empty").mkdir()
    with pytest.raises(UsageError, match="found nothing at"):
        artifact.register(at.home, at.root / "empty", Made(kind="adapter", role="risk"), NOW)
    with pytest.raises(UsageError, match="expected a seat among"):
        artifact.register(at.home, at.root / "base", Made(kind="model", role="cook"), NOW)
    assert list(pull.folder(at.home).glob("*")) == []


FILES = ("artifact.json", "files/adapter_config.json", "files/adapter_model.safetensors")


@given(name=st.sampled_from(FILES), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_flipped_byte_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: int, flip: int
) -> None:
    at = trained(tmp_path_factory.mktemp("flip"))
    one = at.adapter("a")
    file = one.folder / name
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= flip
    file.chmod(0o644)
    file.write_bytes(bytes(content))
    with pytest.raises(DataError, match="register it anew"):
        artifact.check(one)
    assert at.adapter("a") == one, "registering it anew makes it whole"
    artifact.check(one)


def test_a_missing_or_strange_file_is_refused(at: Trained) -> None:
    one = at.adapter("a")
    for strange in (".hidden", "more.py", "deep/er.bin"):
        (one.files / strange).parent.mkdir(exist_ok=True)
        (one.files / strange).write_text("x")
        with pytest.raises(DataError, match="was never part of"):
            artifact.check(one)
        (one.files / strange).unlink()
    (one.files / "link").symlink_to(at.root)
    with pytest.raises(DataError, match="link was never part of"):
        artifact.check(one)
    (one.files / "link").unlink()
    (one.files / "adapter_config.json").unlink()
    with pytest.raises(DataError, match=r"adapter_config\.json is missing"):
        artifact.check(one)


def test_records_survive_a_mending_registration(at: Trained) -> None:
    one = at.adapter("a")
    at.moves().evaluated(one.name, at.record(one.name))
    (one.folder / "artifact.json").unlink()
    assert [each.state for each in standings(at.home)] == ["damaged"]
    assert at.adapter("a") == one
    assert [p.name for p in (one.folder / "records").iterdir()] == ["000001.json"]
    assert [p.name for p in pull.folder(at.home).glob("*")] == [one.digest]


def test_nobody_waits_for_the_bytes_of_a_registration(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    one, real, moved = at.adapter("a"), artifact.check, list[str]()

    def check(there: Registered) -> None:
        real(there)
        seats.switch(at.stack, at.home, "risk", "nano", answers=True, now=NOW)  # another writer, while it reads
        moved.append(there.name)

    monkeypatch.setattr(artifact, "check", check)
    monkeypatch.setattr(sqlite, "opened", partial(sqlite.opened, wait=0.0))
    assert at.adapter("a") == one
    assert moved == [one.name]


def test_a_ledger_that_another_one_writes_is_not_to_be_brought_back(
    at: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.adapter("a")
    monkeypatch.setattr(sqlite, "opened", partial(sqlite.opened, wait=0.0))
    told = pytest.raises(DataError, match="is locked; another process writes it: try again")
    with writing(at.home), told, writing(at.home):
        pass


def test_the_weights_of_a_quarantined_model_stay_out_whatever_lies_beside_them(at: Trained) -> None:
    name = at.adapter("a").name
    at.record(name)
    at.moves().promote("risk", name)
    at.moves().rollback("risk", "worse")
    (at.source("a") / "README.md").write_text("Another one, truly.")
    with pytest.raises(UsageError, match=f"these weights are those of {name}, which is quarantined: worse"):
        at.adapter("a")
    (at.source("a") / "adapter_model.safetensors").write_bytes(b"others")
    assert at.adapter("a").name != name


def test_a_registered_embedder_with_a_flipped_byte_takes_no_seat(at: Trained) -> None:
    purposes = {"models": {"words": {"weights": "./base", "purpose": "embed"}}}
    at = Trained(at.root, purposes)
    one = at.adapter("e", role="embedder", kind="embedder", base_name="words")
    (one.files / "adapter_model.safetensors").chmod(0o644)
    (one.files / "adapter_model.safetensors").write_bytes(b"f" * 9)
    with pytest.raises(DataError, match="is not as it was registered; register it anew"):
        seats.switch(at.stack, at.home, "embedder", one.name, answers=True, now=NOW)
    assert not seats.pointer.read(at.home)
    at.adapter("e", role="embedder", kind="embedder", base_name="words")
    seats.switch(at.stack, at.home, "embedder", one.name, answers=True, now=NOW)
    (one.files / "adapter_model.safetensors").write_bytes(b"f" * 9)

    def local() -> Any:
        raise AssertionError

    def exact(_: Path) -> Any:
        raise AssertionError

    seating = Seating(at.bare, at.home, {})
    assert seating.embedder(local, exact) is local, "nothing that is damaged is loaded here"
    seating.close()


def test_what_a_dead_registration_left_goes_after_a_day(at: Trained) -> None:
    left = pull.folder(at.home) / f"{artifact.SCRATCH}left"
    left.mkdir(parents=True)
    artifact.register(at.home, at.root / "base", Made(kind="model", role="risk"), NOW + timedelta(days=9999))
    assert left.exists(), "it may still be at work, whatever the caller's clock says"
    os.utime(left, (time.time() - 90_000, time.time() - 90_000))
    artifact.register(at.home, at.root / "base", Made(kind="model", role="risk"), NOW)
    assert not left.exists()


def test_the_ledger_takes_nothing_back(at: Trained) -> None:
    at.adapter("a")
    connection = sqlite3.connect(path(at.home))
    for statement in (
        "UPDATE events SET role = 'analyst'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT number, at, kind, 'x', digest, name, said, pointer, data FROM events",
        "INSERT INTO events SELECT -1, at, kind, role, digest, name, said, pointer, data FROM events",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="events stay"):
            connection.execute(statement)
    connection.close()
    assert kinds(at) == ["registered"]


@pytest.mark.parametrize("damage", ["bytes", "kind", "pointer", "data"])
def test_a_damaged_ledger_is_one_line(at: Trained, damage: str) -> None:
    at.adapter("a")
    with sqlite3.connect(path(at.home)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        if damage != "bytes":
            connection.execute("DROP TRIGGER unchanged")
            value = "'{' WHERE 1" if damage != "kind" else "'stolen'"
            connection.execute(f"UPDATE events SET {damage} = {value}")
    connection.close()
    if damage == "bytes":
        content = path(at.home).read_bytes()
        path(at.home).write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(DataError, match="ledger") as error, reading(at.home) as ledger:
        assert ledger
        list(ledger.events())
        ledger.pointers()
    assert "\n" not in str(error.value)


def test_a_ledger_that_was_only_begun_is_empty(at: Trained) -> None:
    path(at.home).parent.mkdir(parents=True)
    path(at.home).touch()
    with reading(at.home) as ledger:
        assert ledger is None
    at.adapter("a")
    assert kinds(at) == ["registered"]


def _never(_: object, __: int) -> bool:
    return False


def test_a_copy_that_may_only_be_read_is_read(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    one = at.adapter("a")
    monkeypatch.setattr(os, "access", _never)  # the tests may run as one whom no mode keeps out
    before = sorted(p.name for p in path(at.home).parent.iterdir())
    assert [(each.name, each.state) for each in standings(at.home)] == [(one.name, "registered")]
    assert sorted(p.name for p in path(at.home).parent.iterdir()) == before == ["ledger.sqlite"]


def test_half_a_transaction_is_none(at: Trained) -> None:
    with pytest.raises(ZeroDivisionError), writing(at.home) as ledger:
        ledger.add(NOW, Kind.REGISTERED, "risk", "d", "n")
        _ = 1 / 0
    assert kinds(at) == []


def _registers(root: Path, number: int) -> None:
    at = Trained(root, {})
    at.adapter("same")
    at.adapter(f"own-{number}")


def test_processes_that_register_at_once_lose_nothing(at: Trained) -> None:
    at.source("same")
    there = multiprocessing.get_context("fork")
    workers = [there.Process(target=_registers, args=(at.root, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(artifact.listing(at.home)) == 4
    with reading(at.home) as ledger:
        assert ledger
        assert [event.number for event in ledger.events()] == [1, 2, 3, 4]


def test_a_registered_model_is_no_pulled_one(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama, "USUAL", "http://127.0.0.1:9")  # one that runs here has models of its own
    one = at.adapter("a")
    shutil.copytree(at.root / "base", pull.folder(at.home) / "pulled")
    (pull.folder(at.home) / ".pulled.part").mkdir()
    from openoutcry.core.sync import run_sync
    from openoutcry.serving.listing import models
    from openoutcry.serving.transport import Transport

    rows = {row.name: row for row in run_sync(models(at.stack, at.home, Transport(())))}
    assert list(rows) == ["house", "nano", "spare", one.name, "pulled"]
    assert (rows[one.name].state, rows[one.name].purpose) == ("registered", "adapter of nano")
    assert (rows[one.name].size, rows[one.name].digest) == (17, one.digest[:12])
