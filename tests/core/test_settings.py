"""Settings: the file, the environment over it, and clear words for what is wrong."""

from pathlib import Path

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.core.settings import load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTCRY_HOME", raising=False)


def test_defaults() -> None:
    settings = load()
    assert (settings.home, settings.concurrency) == (Path(".outcry"), 8)


def test_a_file_here_is_found_and_home_is_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "desk.toml").write_text('home = "data"\ndeadline = 5\n')
    assert load(Path("sub/desk.toml")).home == Path("sub/data")
    (tmp_path / "desk.toml").write_text("concurrency = 3\n")
    assert load().concurrency == 3


def test_the_environment_stands_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "desk.toml").write_text('home = "data"\n')
    monkeypatch.setenv("OUTCRY_HOME", "/elsewhere")
    assert load().home == Path("/elsewhere")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("concurrency = 0\n", "concurrency"),
        ("colour = 'red'\n", "colour"),
        ("home = \n", "not readable TOML"),
        ("deadline = 'soon'\n", "deadline"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "desk.toml").write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(UsageError, match=r"expected a settings file, found nothing at nowhere\.toml"):
        load(Path("nowhere.toml"))
