"""Taking a model's files from a folder: whole or not at all, linked or copied, and gone on with after a break."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.serving import pull as pulling
from openoutcry.serving.digest import digest
from openoutcry.serving.pull import lacking, pull


def safetensors(at: Path, numbers: int = 4, cut: int = 0) -> None:
    """A file of the format, written by hand: the header's length, the header, the numbers."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, numbers * 4]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + bytes(numbers * 4)
    at.write_bytes(whole[: len(whole) - cut])


def model(at: Path, shards: int = 0) -> Path:
    at.mkdir(parents=True)
    (at / "config.json").write_text('{"model_type": "qwen2"}')
    (at / "tokenizer.json").write_text("{}")
    names = [f"model-{i}.safetensors" for i in range(shards)] or ["model.safetensors"]
    for name in names:
        safetensors(at / name)
    if shards:
        index: dict[str, Any] = {"weight_map": {f"w{i}": name for i, name in enumerate(names)}}
        (at / "model.safetensors.index.json").write_text(json.dumps(index))
    return at


def test_a_model_is_linked_and_found_whole(tmp_path: Path) -> None:
    source = model(tmp_path / "mirror" / "tiny", shards=2)
    (source / ".cache").mkdir()
    (source / ".cache" / "etag").touch()
    to = pull(tmp_path / "home", source)
    assert to == tmp_path / "home" / "models" / "tiny"
    assert digest(to) == digest(source)
    assert (to / "model-0.safetensors").stat().st_ino == (source / "model-0.safetensors").stat().st_ino
    assert not (to / ".cache").exists()
    assert pull(tmp_path / "home", source) == to, "once more is nothing"
    assert [p.name for p in to.parent.iterdir()] == ["tiny"]


def test_another_model_of_that_name_is_not_replaced(tmp_path: Path) -> None:
    pull(tmp_path / "home", model(tmp_path / "a" / "tiny"))
    other = model(tmp_path / "b" / "tiny", shards=3)
    with pytest.raises(UsageError, match="holds another model: give another with --as"):
        pull(tmp_path / "home", other)
    assert pull(tmp_path / "home", other, "tiny-2").name == "tiny-2"
    with pytest.raises(UsageError, match="without '/' or a dot at its start"):
        pull(tmp_path / "home", other, "../x")


def test_a_broken_pull_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied, as between two disks. Whole files stay, half a file is gone on with, and what is no part of it goes."""
    source = model(tmp_path / "tiny", shards=3)
    big = source / "model-1.safetensors"
    safetensors(big, numbers=1000)
    part = tmp_path / "home" / "models" / ".tiny.part"
    part.mkdir(parents=True)
    (part / "model-0.safetensors").write_bytes((source / "model-0.safetensors").read_bytes())
    kept = (part / "model-0.safetensors").stat().st_ino
    (part / "model-1.safetensors").write_bytes(big.read_bytes()[:1500])
    (part / "left.txt").touch()

    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr(pulling, "STEP", 1000)
    told: list[tuple[str, int, int]] = []
    to = pull(tmp_path / "home", source, progress=lambda name, done, size: told.append((name, done, size)))
    assert digest(to) == digest(source)
    assert (to / "model-0.safetensors").stat().st_ino == kept
    size = big.stat().st_size
    assert [done for name, done, _ in told if name == big.name] == [2500, 3500, size, size]
    assert not (to / "left.txt").exists()
    assert not part.exists()


def test_an_entry_of_a_hubs_cache(tmp_path: Path) -> None:
    """Snapshots of links into blobs; the one that refs/main names."""
    entry = tmp_path / "models--org--tiny"
    blobs = model(entry / "blobs")
    for revision in ("aaa", "bbb"):
        (entry / "snapshots" / revision).mkdir(parents=True)
    for file in blobs.iterdir():
        (entry / "snapshots" / "aaa" / file.name).symlink_to(file)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("aaa")
    to = pull(tmp_path / "home", entry, "tiny")
    assert lacking(to) == ""
    assert not any(file.is_symlink() for file in to.iterdir())


def test_what_a_model_lacks_is_said(tmp_path: Path) -> None:
    assert lacking(model(tmp_path / "whole", shards=2)) == ""
    for name, left, said in [
        ("config", "config.json", "there is no readable config.json"),
        ("tokenizer", "tokenizer.json", "there is no tokenizer"),
        ("shard", "model-1.safetensors", "model.safetensors.index.json names model-1.safetensors, which is not there"),
    ]:
        at = model(tmp_path / name, shards=2)
        (at / left).unlink()
        assert said in lacking(at)
        with pytest.raises(UsageError, match="expected a whole model"):
            pull(tmp_path / "home", at)
    bare = model(tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    assert lacking(bare) == "there are no weights"
    safetensors(bare / "model.safetensors", cut=1)
    assert lacking(bare) == "model.safetensors is cut short or damaged"
    (bare / "model.safetensors").write_bytes(b"<!DOCTYPE html>")
    assert lacking(bare) == "model.safetensors is cut short or damaged"
    assert not (tmp_path / "home").exists()
    with pytest.raises(UsageError, match="found none at"):
        pull(tmp_path / "home", tmp_path / "nowhere")


def test_an_adapter_needs_no_more_than_its_own(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert lacking(tmp_path) == "there is no adapter_model.safetensors"
    safetensors(tmp_path / "adapter_model.safetensors")
    assert lacking(tmp_path) == ""


def test_a_pull_after_a_break_never_writes_into_what_it_had_linked(tmp_path: Path) -> None:
    """The source was replaced by another version meanwhile; the former file may still be somebody's."""
    source, kept = model(tmp_path / "tiny"), tmp_path / "kept"
    pull(tmp_path / "home", source).rename(tmp_path / "home/models/.tiny.part")
    (source / "model.safetensors").rename(kept)
    before = kept.read_bytes()
    safetensors(source / "model.safetensors", numbers=64)
    assert digest(pull(tmp_path / "home", source)) == digest(source)
    assert kept.read_bytes() == before


def test_an_index_that_is_no_table_is_a_model_that_is_not_whole(tmp_path: Path) -> None:
    source = model(tmp_path / "tiny", shards=1)
    (source / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(UsageError, match=r"model.safetensors.index.json is not readable"):
        pull(tmp_path / "home", source)
