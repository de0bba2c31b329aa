"""The digest of a model's files: the same for the same content, another for any change that can be."""

import hashlib
import os
import time
from functools import lru_cache
from pathlib import Path

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.serving import digest as module
from openoutcry.serving.digest import END, SETTLED, WHOLE, digest


def folder(at: Path, **content: str) -> Path:
    for name, text in content.items():
        file = at / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return at


def test_a_file_counts_by_its_content_alone(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"weights")
    (tmp_path / "b.bin").write_bytes(b"weights")
    expected = hashlib.sha256(b"weights").hexdigest()[:12]
    assert digest(tmp_path / "a.bin") == digest(tmp_path / "b.bin") == expected


def test_a_folder_counts_by_names_and_content_wherever_it_lies(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", config_json="{}", sub__weights_bin="w")
    other = folder(tmp_path / "other", sub__weights_bin="w", config_json="{}")
    assert digest(one) == digest(other)
    assert digest(folder(tmp_path / "renamed", config_json="{}", sub__weight_bin="w")) != digest(one)
    assert digest(folder(tmp_path / "changed", config_json="{ }", sub__weights_bin="w")) != digest(one)
    assert digest(folder(tmp_path / "moved", config_json="{}", weights_bin="w")) != digest(one)


def test_content_is_not_taken_for_another_files(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", a_bin="xy", b_bin="")
    assert digest(folder(tmp_path / "two", a_bin="x", b_bin="y")) != digest(one)


def test_hidden_files_do_not_count_and_links_are_followed(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", config_json="{}")
    before = digest(one)
    folder(one / ".cache", etag_txt="1")
    (one / ".lock").touch()
    assert digest(one) == before
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "config.json").symlink_to(one / "config.json")
    assert digest(linked) == before


def test_large_weights_count_by_size_and_ends(tmp_path: Path) -> None:
    """Files with holes: as large as they say, without the disk."""

    def large(name: str, size: int, **marks: int) -> str:
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
            for at in marks.values():
                file.seek(at)
                file.write(b"x")
        return digest(tmp_path / name)

    size = WHOLE + 1
    plain = large("plain", size)
    assert large("same", size) == plain
    assert large("longer", size + 1) != plain
    assert large("begun", size, at=END - 1) != plain
    assert large("ended", size, at=size - END) != plain
    assert large("whole", WHOLE, at=WHOLE // 2) != large("whole again", WHOLE)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose content is read, with a memory of its own."""
    found: list[Path] = []

    def reading(file: Path, *at: int) -> str:
        found.append(file)
        return hashlib.sha256(file.read_bytes()).hexdigest()

    monkeypatch.setattr(module, "_read", reading)
    monkeypatch.setattr(module, "_known", lru_cache(reading))
    return found


class Later:
    """The clock, when all files have settled."""

    @staticmethod
    def time_ns() -> int:
        return time.time_ns() + SETTLED + 1


def test_what_did_not_change_is_read_once(tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Later)
    one = folder(tmp_path / "one", a_bin="a", b_bin="b")
    first = digest(one)
    assert digest(one) == first
    assert read == [one / "a.bin", one / "b.bin"]
    (one / "new").write_text("c")
    (one / "new").replace(one / "b.bin")
    assert digest(one) != first
    assert read == [one / "a.bin", one / "b.bin", one / "b.bin"]


def test_a_file_that_changed_just_now_is_read_anew(tmp_path: Path, read: list[Path]) -> None:
    """Within a tick of the file system's clock, one that is written over looks the same."""
    file = tmp_path / "a"
    file.write_text("a")
    os.utime(file, (0, 0))
    assert digest(file) == digest(file)
    assert read == [file, file]


def test_nothing_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(UsageError, match="expected a model's file or folder, found nothing at"):
            digest(path)
