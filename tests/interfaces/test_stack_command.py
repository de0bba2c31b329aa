"""The commands `outcry stack` as a person types them, with doubles of vLLM as real processes."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import ModelUnreachable, UsageError
from openoutcry.interfaces.doctor_command import doctor
from openoutcry.interfaces.models_command import models
from openoutcry.interfaces.stack_command import stack
from openoutcry.serving import roster
from openoutcry.serving.running import control, processes


@pytest.fixture
def outcry(rig: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `outcry stack` in the rig's folder; it is taken down at the end."""
    monkeypatch.chdir(rig.root)

    def run(*words: str) -> Result:
        return CliRunner().invoke(stack, words, obj=(None, Path("home")))

    yield run
    run("down")


def test_up_status_logs_down(rig: Any, outcry: Any) -> None:
    rig.stack()
    up = outcry("up")
    assert up.stdout == "1 of 1 replicas ready\n", up.output
    assert "m-0 ready at http://127.0.0.1:" in up.stderr
    head, line = outcry("status").stdout.splitlines()
    assert head.split() == ["model", "state", "url", "pid", "for", "restarts"]
    assert line.split()[:2] == ["m-0", "ready"]
    told = json.loads(outcry("status", "--json").stdout)
    (replica,) = told["replicas"]
    assert (replica["state"], replica["url"]) == ("ready", line.split()[2])
    assert {m.pid for m in processes.marked(rig.home)} > {replica["pid"], told["supervisor"]}
    assert "[api_server.py:1] serving" in outcry("logs", "m", "-n", "1").stdout
    down = outcry("down")
    assert down.stdout == "stopped: 3 processes\n"
    assert "m-0 draining" in down.stderr
    assert outcry("down").stdout == "nothing was running\n"


def test_up_says_which_failed_and_why(rig: Any, outcry: Any) -> None:
    rig.stack()
    rig.mood("crash")
    assert outcry("up", "--no-wait").stdout == "0 of 1 replicas ready\n"
    found = outcry("up", "--wait", "0.5")
    assert isinstance(found.exception, ModelUnreachable)
    assert str(found.exception).startswith("expected 1 replicas ready, got 0 in time")
    found = outcry("up", "--wait", "600")
    assert str(found.exception).startswith(
        "expected every replica to come up, but m-0 ended again and again: ValueError: the weights are torn; "
    )
    assert "  ValueError: the weights are torn" in outcry("status").stdout.splitlines()


@pytest.mark.parametrize("command", ["up", "status"])
def test_house_needs_nothing(outcry: Any, command: str) -> None:
    assert outcry(command).stdout == "house rules answer in every role: nothing needs to run\n"


def test_status_of_a_stack_that_never_ran_and_logs_of_nothing(rig: Any, outcry: Any) -> None:
    rig.stack()
    assert outcry("status").stdout.splitlines()[1:] == [
        "m-0    stopped  -    -    -    0",
        "  `outcry stack up` starts it",
    ]
    assert isinstance(outcry("logs", "m").exception, UsageError)


def test_the_group_holds_every_command() -> None:
    assert {"up", "down", "status", "logs", "plan", "measure", "render", "autoscale", "init", "doctor"} <= set(
        stack.commands
    )


def test_a_stack_that_does_not_fit_is_begun_only_by_force(rig: Any, outcry: Any) -> None:
    rig.stack()
    file = rig.root / "stack.toml"
    file.write_text(file.read_text().replace("[models.m]", "[models.m]\ncores = 4096", 1))
    refused = outcry("up")
    assert isinstance(refused.exception, UsageError)
    assert "this stack does not fit this box" in str(refused.exception)
    assert "m needs 4096 cores" in str(refused.exception)
    assert not processes.marked(rig.home)
    assert outcry("up", "--force").stdout == "1 of 1 replicas ready\n"


def test_a_stack_file_that_is_broken_keeps_nobody_from_stopping_what_runs(rig: Any, outcry: Any) -> None:
    file = rig.stack()
    outcry("up")
    file.write_text("[models")
    assert "serving" in outcry("logs", "m").stdout
    assert outcry("down").stdout == "stopped: 3 processes\n"


def test_up_that_is_taken_down_meanwhile_does_not_say_that_all_is_well(rig: Any, outcry: Any) -> None:
    rig.stack()
    rig.mood("slow")

    def down() -> None:
        deadline = time.monotonic() + 60
        while not roster.read(rig.home).replicas and time.monotonic() < deadline:
            time.sleep(0.05)
        control.down(rig.home, lambda _: None)

    below = threading.Thread(target=down)
    below.start()
    found = outcry("up")
    below.join()
    assert isinstance(found.exception, ModelUnreachable), found.output
    assert str(found.exception).startswith("expected replicas of m, but they were stopped meanwhile")


def test_what_died_is_nowhere_called_ready(rig: Any, outcry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.stack()
    outcry("up")
    processes.stop([one.process for one in processes.marked(rig.home)], 0)
    obj = (None, Path("home"))
    told = CliRunner().invoke(doctor, obj=obj).stdout
    assert "m not ready: `outcry stack up`" in told
    (line,) = [line for line in CliRunner().invoke(models, ["list"], obj=obj).stdout.splitlines() if line[:2] == "m "]
    assert "not running" in line
    assert str(outcry("measure").exception).startswith("expected a replica that is ready, found none")
