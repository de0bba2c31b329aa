"""What the README shows is what a person sees: its transcripts, code and settings are run."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from openoutcry.cli import main
from openoutcry.core.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SAID = re.compile(r"```console\n\$ (outcry [^\n]*)\n(.*?)```", re.DOTALL)
PASSING = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}|[\d.]+ s$|risk-[0-9a-f]{12}|median s[\s\S]*?\n\n", re.MULTILINE)


@pytest.fixture
def home(sample_home: Path, tmp_path: Path) -> Path:
    (tmp_path / ".outcry").mkdir()
    (tmp_path / ".outcry" / "warehouse").symlink_to(sample_home / "warehouse")
    return tmp_path


def test_the_transcripts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUTCRY_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    shown = SAID.findall(README)
    assert [command.split()[1] for command, _ in shown] == ["ask", "explain", "settle", "memory", "tool", "eval"]
    for command, text in shown:
        run = [sys.executable, "-m", "openoutcry.cli", *shlex.split(command)[1:]]
        done = subprocess.run(run, cwd=home, capture_output=True, text=True, check=True)
        assert PASSING.sub("-", done.stdout).strip() == PASSING.sub("-", text).strip()


def test_the_python_example(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(home)
    desk, alone = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(desk, "README", "exec"), scope)  # noqa: S102  # our own page
    assert capsys.readouterr().out.startswith("0.155")
    assert len(scope["answers"]) == 2
    assert scope["var"].value("var") > 0
    exec(compile(alone, "README", "exec"), scope)  # noqa: S102  # as above
    price, var = capsys.readouterr().out.split()
    assert (float(price), float(var)) == (pytest.approx(4.7594, abs=1e-4), pytest.approx(0.02))


def test_the_settings_are_those_that_there_are() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(text).keys() == Settings.model_fields.keys()
    assert Settings.model_validate(tomllib.loads(text)) == Settings.model_validate({})


def test_the_table_of_commands_has_them_all() -> None:
    assert set(re.findall(r"^\| `outcry (\w+)", README, re.MULTILINE)) == set(main.commands)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
