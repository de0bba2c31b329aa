"""What the server asks of a registered model in a seat: a record of the gate that is genuine, and of exactly this."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openoutcry.core import seals
from openoutcry.core.errors import DataError, UsageError
from openoutcry.desk import Desk
from openoutcry.serving import digest
from openoutcry.serving.registry import artifact, overlay, pointer, vouched
from openoutcry.serving.registry.pointer import Pointer
from tests.serving.trained import Trained, trained


@pytest.fixture
def at(tmp_path: Path) -> Trained:
    return trained(tmp_path)


def unvouched(at: Trained, name: str, record: str) -> str:
    return vouched.unvouched(at.stack, at.home, "risk", name, record)


def promoted(at: Trained) -> Pointer:
    name = at.adapter("a").name
    at.record(name)
    return at.moves().promote("risk", name)


def test_models_of_the_stack_file_need_no_record(at: Trained) -> None:
    for name in ("house", "nano", "spare"):
        assert not unvouched(at, name, "")


def test_only_the_record_that_the_seat_names_carries(at: Trained) -> None:
    moved = promoted(at)
    assert not unvouched(at, moved.champion, moved.records[moved.champion])
    for other in ("", "0" * 64):
        assert "has no record of the gate for the risk" in unvouched(at, moved.champion, other)
    assert "not PROMOTE for the analyst" in vouched.unvouched(
        at.stack, at.home, "analyst", moved.champion, moved.records[moved.champion]
    )
    assert "may not sit" in unvouched(at, "risk-0123456789ab", "0" * 64)


def test_a_flipped_byte_of_a_record_or_another_key_carries_nothing(at: Trained) -> None:
    moved = promoted(at)
    name, record = moved.champion, moved.records[moved.champion]
    copy = artifact.find(at.home, name).folder / "records" / "000001.json"
    content = copy.read_bytes()
    for place in range(0, len(content), 97):
        copy.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert "cannot be relied on" in unvouched(at, name, record)
    copy.write_bytes(content)
    assert not unvouched(at, name, record)
    told = json.loads(content)["record"]
    forged = at.write(7, told, Ed25519PrivateKey.generate())
    with pytest.raises(DataError, match="it is not as the gate's key signed it"):
        vouched.keep(at.home, artifact.find(at.home, name), 7)
    copy.write_bytes(forged.read_bytes())
    assert "cannot be relied on" in unvouched(at, name, record)
    (seals.folder(at.home) / seals.PUBLIC).unlink()
    assert "expected a public key" in unvouched(at, name, record)


@pytest.mark.parametrize("lost", [{"verdict": None}, {"sides": []}, {"sides": "many"}, {"verdict": {}}])
def test_a_record_of_another_version_is_said(at: Trained, lost: Any) -> None:
    name = at.adapter("a").name
    at.record(name, **lost)
    with pytest.raises((DataError, UsageError)) as error:
        at.moves().promote("risk", name)
    assert "\n" not in str(error.value)


def test_other_files_or_settings_than_the_gate_saw_carry_nothing(at: Trained) -> None:
    moved = promoted(at)
    name, record = moved.champion, moved.records[moved.champion]
    stack = at.stack
    weights = artifact.find(at.home, name).files / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"other")
    assert "its files, its base, or its settings" in vouched.unvouched(stack, at.home, "risk", name, record)


@pytest.mark.parametrize(("key", "value"), [("temperature", 0.7), ("max_tokens", 64)])
def test_another_decoding_than_the_gate_saw_carries_nothing(at: Trained, key: str, value: float) -> None:
    name = at.adapter("a").name
    sides: list[Any] = [{"models": {"risk": at.known(who)}} for who in ("house", name, "house")]
    sides[1]["decoding"] = {"temperature": 0.0, "max_tokens": 1024}
    at.record(name, sides=sides)
    moved = at.moves().promote("risk", name)
    assert not unvouched(at, name, moved.records[name])
    set_otherwise = Trained(at.root, {"models": {"nano": {"weights": "./base", key: value}}})
    said = unvouched(set_otherwise, name, moved.records[name])
    assert f"with another {key} than the stack file has now: set it back, or have the gate look again" in said


def test_an_older_record_under_a_newer_name_is_older(at: Trained) -> None:
    name = at.adapter("a").name
    at.record(name)
    at.record(name, verdict={"decision": "REJECT"})
    there = artifact.find(at.home, name)
    for number in (1, 2):
        vouched.keep(at.home, there, number)
    copies = there.folder / "records"
    shutil.copy(copies / "000001.json", copies / "000003.json")
    assert [one["number"] for one in vouched.records(at.home, there)] == [1, 1, 2]
    with pytest.raises(UsageError, match="record 2 of the gate says REJECT"):
        at.moves().promote("risk", name)
    assert vouched.turned_down(vouched.records(at.home, there), "risk", 1) == (
        f"record 2 of the gate says REJECT of {name} since"
    )
    assert not vouched.turned_down(vouched.records(at.home, there), "risk", 2)
    assert not vouched.turned_down(vouched.records(at.home, there), "analyst", 1)


def test_the_record_of_another_model_carries_nothing(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "WHOLE", 4)
    monkeypatch.setattr(digest, "END", 2)
    moved = promoted(at)
    source = at.source("twin")  # the quick digest is of the ends alone, and of how long it is
    (source / "adapter_model.safetensors").write_bytes(b"aaaabaaaa")
    twin, record = at.adapter("twin"), moved.records[moved.champion]
    assert at.known(twin.name) == at.known(moved.champion)
    shutil.copytree(artifact.find(at.home, moved.champion).folder / "records", twin.folder / "records")
    assert "has no record of the gate for the risk" in unvouched(at, twin.name, record)
    with pytest.raises(UsageError, match="expected a record of the gate for"):
        at.moves().promote("risk", twin.name)


@pytest.mark.parametrize("lost", ["damaged", "gone"])
def test_a_champions_record_that_is_lost_comes_back(at: Trained, lost: str) -> None:
    moved = promoted(at)
    name, there = moved.champion, artifact.find(at.home, moved.champion)
    if lost == "damaged":
        (there.folder / "records" / "000001.json").write_bytes(b"{")
        assert f"`outcry models promote {name} --role risk` copies it anew" in unvouched(at, name, moved.records[name])
    else:
        shutil.rmtree(there.folder)
        at.adapter("a")
    assert unvouched(at, name, moved.records[name])
    assert at.moves().promote("risk", name) == moved
    assert not unvouched(at, name, moved.records[name])


def test_a_base_is_read_once_for_all_its_adapters(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [at.adapter(what).name for what in "abc"]
    read: list[Path] = []

    def reads(path: Path) -> str:
        read.append(path)
        return digest.digest(path)

    monkeypatch.setattr(overlay, "digest", reads)
    assert sorted(at.stack.models["nano"].names) == sorted(["nano", *names])
    assert [path.name for path in read] == ["base", "spare"]


def test_an_adapter_goes_where_its_base_is_and_a_model_where_its_like_is(at: Trained) -> None:
    adapter = at.adapter("a")
    whole = at.adapter("m", kind="model")
    tone = at.adapter("t", kind="classifier")
    stack = at.stack
    assert stack.serving(adapter.name).name == "nano"
    assert stack.models["spare"].names == ("spare",)
    assert stack.serving(adapter.name).adapter(adapter.name) == str(adapter.files.absolute())
    assert stack.models[whole.name].weights == str(whole.files.absolute())
    assert tone.name not in stack.models, "there is no classifier that it could be served as"
    (at.root / "base" / "model.safetensors").write_bytes(b"trained anew")
    assert at.stack.models["nano"].names == ("nano",)


def test_what_is_shut_out_is_not_on_the_stack(at: Trained) -> None:
    one, two = promoted(at).champion, at.adapter("b").name
    at.moves().archive(two)
    assert [each.name for each in overlay.available(at.home)] == [one]
    at.moves().rollback("risk", "worse")
    assert overlay.available(at.home) == []
    assert at.stack == at.bare


@pytest.mark.parametrize("record", ["", "0" * 64])
async def test_a_seat_written_by_hand_is_answered_by_house_rules(
    sample_home: Path, tmp_path: Path, double: Any, record: str
) -> None:
    url = double("model_double", name="nano")
    at = trained(tmp_path, models={"nano": {"engine": "endpoint", "url": url, "weights": "nano"}})
    at.home.mkdir()
    (at.home / "warehouse").symlink_to(sample_home / "warehouse")
    text = f'uncertified = true\n[models.nano]\nengine = "endpoint"\nurl = "{url}"\nweights = "nano"\n'
    (tmp_path / "stack.toml").write_text(text)
    (tmp_path / "desk.toml").write_text(f"home = {json.dumps(str(at.home))}\nremember = false\n")
    name = at.adapter("a").name
    pointer.write(at.home, "risk", Pointer(champion=name, records={name: record} if record else {}))
    with Desk.open(tmp_path / "desk.toml") as desk:
        report = await desk.ask("How risky is AAPL?", "2022-06-30")
    assert f"house rules stood in for {name} (risk): {name} has no record of the gate for the risk" in report.notice
    from openoutcry.serving.transport import Transport

    assert json.loads((await Transport().get(url, "/calls", 60)).body) == []
