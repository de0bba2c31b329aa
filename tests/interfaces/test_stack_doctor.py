"""`outcry stack doctor`: a line a check, the mend beneath what fails, and the exit code that says so."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.stack_doctor import SHAPES, doctor
from openoutcry.serving import roster
from openoutcry.serving.roster import Replica, Roster, State

Double = Callable[..., str]
Run = Callable[..., Result]
SHAPE: Mapping[str, Any] = {"messages": [{"role": "system", "content": "rules"}, {"role": "user", "content": "ask"}]}


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTCRY_STACK", raising=False)

    @click.group()
    @click.pass_context
    def main(ctx: click.Context) -> None:
        ctx.obj = (None, tmp_path / "home")
        ctx.meta[SHAPES] = lambda: {"risk": SHAPE}

    main.add_command(doctor)
    return lambda *words: CliRunner().invoke(main, ["doctor", *words])


def standing(tmp_path: Path, url: str) -> None:
    (tmp_path / "stack.toml").write_text('[models.m]\nweights = "w"\nmax_model_len = 2048\n[roles]\nrisk = "m"\n')
    roster.write(tmp_path / "home", Roster(replicas=(Replica(model="m", index=0, url=url, state=State.READY),)))


def test_a_sound_stack(outcry: Run, double: Double, tmp_path: Path) -> None:
    standing(tmp_path, url := double("model_double"))
    done = outcry()
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"m  {url}"
    assert lines[1].split() == ["ok", "reachable", "answers"]
    assert lines[-1] == "8 checks, 0 failed"
    assert any("schema (risk)" in line for line in lines), "the desk's own request was sent"
    assert "mend" not in done.stdout


def test_what_fails_stands_over_its_mend(outcry: Run, double: Double, tmp_path: Path) -> None:
    standing(tmp_path, double("model_double", faults=["no_schema"]))
    done = outcry("m")
    assert done.exit_code == 4
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  FAILS  schema (risk)"))
    assert lines[at + 1].strip().startswith("mend: vLLM constrains answers")


def test_json_for_a_program(outcry: Run, double: Double, tmp_path: Path) -> None:
    standing(tmp_path, "http://127.0.0.1:9")
    done = outcry("--json")
    assert done.exit_code == 4
    (check,) = json.loads(done.stdout)
    assert (check["model"], check["name"], check["ok"]) == ("m", "reachable", False)
    assert check["mend"]


def test_house_needs_no_doctor(outcry: Run) -> None:
    done = outcry()
    assert (done.exit_code, done.stdout) == (
        0,
        "nothing to examine: house rules sit in every seat, and need no server\n",
    )
    assert isinstance(outcry("m").exception, UsageError)
