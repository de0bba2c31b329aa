"""The digest of a model's files: the same for the same content, another for any change that can be."""

import hashlib
from pathlib import Path

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.serving.digest import END, WHOLE, digest


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


def test_nothing_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(UsageError, match="expected a model's file or folder, found nothing at"):
            digest(path)
