"""The command as a person runs it, in a folder of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from openoutcry.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTCRY_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str, home: Path | None = None, stdin: str = "") -> Done:
        given = ["--home", str(home)] if home else []
        result = CliRunner().invoke(main, [*given, *arguments], input=stdin)
        return Done(result.exit_code, result.stdout, result.stderr)

    return run
