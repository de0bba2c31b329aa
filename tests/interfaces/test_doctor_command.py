"""`outcry doctor`: the install in a few lines, and the proof that nothing leaves, run where the system lets it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from openoutcry.core.egress import SWITCHES
from openoutcry.core.errors import UsageError
from openoutcry.interfaces import doctor_command
from openoutcry.interfaces.doctor_command import doctor

Run = Callable[..., Result]


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTCRY_STACK", raising=False)
    for name in SWITCHES:
        monkeypatch.setenv(name, "as it was")

    @click.group()
    @click.option("--home", type=Path, default=tmp_path / "home")
    @click.pass_context
    def main(ctx: click.Context, home: Path) -> None:
        ctx.obj = (None, home)

    main.add_command(doctor)

    def run(*words: str, home: Path = tmp_path / "home") -> Result:
        return CliRunner().invoke(main, ["--home", str(home), "doctor", *words])

    return run


@pytest.fixture
def caged() -> None:
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not allow a namespace of one's own")


def test_an_install_in_order(outcry: Run, sample_home: Path) -> None:
    done = outcry(home=sample_home)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["settings", "ok"], ["data", "ok"], ["memory", "ok"], ["stack", "ok"]]
    assert "house rules in every seat" in done.stdout


def test_what_is_missing_is_said_and_is_the_exit_code(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "stack.toml").write_text('[models.m]\nweights = "w"\n[roles]\nrisk = "m"\n')
    done = outcry()
    assert done.exit_code == 3, "the first fault: there is no data"
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["ok", "FAILS", "ok", "FAILS"]
    assert "m not ready: `outcry stack up`" in done.stdout


@pytest.mark.usefixtures("caged")
def test_nothing_leaves(outcry: Run, tmp_path: Path) -> None:
    """The whole proof, with the sample and a question; a model's endpoint on this machine is listed."""
    (tmp_path / "stack.toml").write_text('[models.m]\nengine = "endpoint"\nurl = "http://localhost:9"\n')
    done = outcry("--egress")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("switch")] == [f"{n}={v}" for n, v in SWITCHES.items()]
    (endpoint,) = (line for line in lines if line.startswith("endpoint"))
    assert "127.0.0.1" in endpoint
    assert [line.split()[1] for line in lines if line.startswith(("cage", "run"))] == ["ok"] * 3
    assert lines[-1].startswith("proven: with no network but loopback")
    assert "models of the stack are away in there" in lines[-1]
    assert not (tmp_path / "home").exists(), "it runs on a scratch folder"


@pytest.mark.usefixtures("caged")
def test_an_endpoint_elsewhere_is_not_proven_away(outcry: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_command, "JOB", ())
    (tmp_path / "stack.toml").write_text('[models.m]\nengine = "endpoint"\nurl = "http://192.0.2.7:80"\n')
    done = outcry("--egress")
    assert done.exit_code == 1
    assert "endpoint   FAILS  m http://192.0.2.7:80 is 192.0.2.7" in done.stdout
    assert "not proven" in done.stdout


@pytest.mark.usefixtures("caged")
def test_a_cage_that_does_not_hold_proves_nothing(outcry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job in this machine's own network: the way out is there, or at least not shut as a cage shuts it."""
    monkeypatch.setattr(doctor_command, "JOB", ())
    monkeypatch.setattr(doctor_command, "WAY_OUT", "pass")
    done = outcry("--egress")
    assert done.exit_code == 1
    assert "cage       FAILS" in done.stdout


@pytest.mark.usefixtures("caged")
def test_a_job_that_fails_in_the_cage_proves_nothing(outcry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_command, "JOB", (["ask", "How risky is AAPL?"],))
    done = outcry("--egress")
    assert done.exit_code == 1
    assert "run        FAILS" in done.stdout
    assert "outcry ingest --sample" in done.stderr, "its own words are shown"


def test_where_no_cage_can_be_made_it_says_so(outcry: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unshare that is refused, as in a container, and none at all."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    refusing = bin_ / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    (bin_ / "sh").symlink_to(str(shutil.which("sh")))
    monkeypatch.setenv("PATH", str(bin_))
    for _ in range(2):
        done = outcry("--egress")
        assert isinstance(done.exception, UsageError)
        assert done.exception.exit_code == 2
        assert "nothing was proven" in str(done.exception)
        refusing.unlink(missing_ok=True)
