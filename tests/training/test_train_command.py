"""The commands `outcry train`: what a person sees of a plan, a run, the list, one run, its picture and its launch."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import UsageError
from openoutcry.serving.planning import box
from openoutcry.serving.registry import artifact
from openoutcry.training.commands.train import train
from openoutcry.training.tuning import picture, run, runs
from openoutcry.training.tuning.losses import Loss
from tests.training.tunings import BOX, NANO, chats, stored

BASE = str(NANO / "base")
TOML = "steps = 12\nbatch = 4\nrate = 0.008\nthreads = 1\n"


@pytest.fixture(scope="module", autouse=True)
def roomy() -> Iterator[None]:
    """How much of this box is free depends on who else is at work."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(box, "box", lambda: BOX)
        patched.setattr(run, "this_box", lambda: BOX)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("home")
    stored(there, "chat", "risk", chats(48), chats(8, 9))
    (there / "recipe.toml").write_text(TOML)
    return there


def outcry(home: Path, *words: str) -> Result:
    return CliRunner().invoke(train, list(words), obj=(None, home), catch_exceptions=False)


@pytest.fixture(scope="module")
def ran(home: Path) -> Result:
    return outcry(home, "run", BASE, "--recipe", str(home / "recipe.toml"), "--register")


def test_a_plan_tells_memory_and_time_and_trains_nothing(home: Path) -> None:
    told = outcry(home, "plan", BASE, "--recipe", str(home / "recipe.toml"))
    assert told.exit_code == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == [
        "base",
        "data",
        "learns",
        "steps",
        "memory",
        "time",
    ]
    assert "48 sequences to learn from, 8 to check with" in told.stdout
    made: Any = json.loads(outcry(home, "plan", BASE, "--json").stdout)
    assert made["bytes"] == sum(made["parts"].values())


def test_a_run_says_how_it_went_and_registers_what_was_made(home: Path, ran: Result) -> None:
    assert ran.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in ran.stdout.splitlines())
    (there,) = artifact.listing(home)
    artifact.check(there)
    assert there.name in lines["registered"]
    assert (there.artifact.kind, there.artifact.role, there.artifact.base_name) == ("adapter", "risk", "base")
    assert there.artifact.tokenizer
    assert "at the peak; planned" in lines["memory"]
    assert "memory" in ran.stderr
    assert f"next: `outcry certify {there.name} --role risk`, then `outcry eval gate {there.name}" in ran.stderr


def test_the_list_and_one_run_are_shown(home: Path, ran: Result) -> None:
    (run,) = runs.listing(home)
    assert f"{run.name}  risk" in outcry(home, "list").stdout
    assert outcry(home, "list").stdout.rstrip().endswith("done")
    shown = outcry(home, "show", run.name[:5]).stdout
    assert shown == "".join(line for line in ran.stdout.splitlines(keepends=True) if not line.startswith("registered"))
    assert json.loads(outcry(home, "show", "last", "--json").stdout)["step"] == 12
    with pytest.raises(UsageError, match=f"0 fit 'zz'; there are {run.name}"):
        outcry(home, "show", "zz")


def test_a_run_that_is_not_registered_says_how_it_would_be(home: Path, ran: Result) -> None:
    again = outcry(home, "run", BASE, "--recipe", str(home / "recipe.toml"))
    assert "counting the tokens of 56 rows" in again.stderr
    assert "next: the same command with --register" in again.stderr and "registered" not in again.stdout


def test_a_run_that_was_stopped_is_listed_with_how_far_it_is(home: Path, ran: Result, tmp_path: Path) -> None:
    (run,) = runs.listing(home)
    runs.begin(tmp_path, run.begun)
    assert "0 of 12 kept; the same command goes on" in outcry(tmp_path, "list").stdout
    assert "0 of 12 kept" in outcry(tmp_path, "show", "last").stdout


def test_ctrl_c_says_that_the_same_command_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "tune", interrupted)
    told = outcry(home, "run", BASE)
    assert told.exit_code != 0
    assert "stopped; the same command goes on from its last checkpoint" in told.stderr


def test_the_picture_shows_both_curves(home: Path, ran: Result) -> None:
    page = home / "losses.html"
    assert outcry(home, "show", "last", "--picture", str(page)).exit_code == 0
    text = page.read_text()
    assert text.count("<polyline") == 2
    assert "updates</text>" in text
    assert "loss</text>" in text
    assert "http" not in text


def test_a_picture_of_little_or_of_hostile_words_is_sound() -> None:
    assert "No loss was written yet" in picture.page("t", [], [])
    assert "<polyline" in picture.page("t", [], [Loss(step=1, train=0.0)])
    told = picture.page("<script>", [("<b>", "&")], [Loss(step=1, train=2.0), Loss(step=2, train=1.0, valid=1.5)])
    assert "<script>" not in told
    assert "&lt;b&gt;" in told


def test_the_launch_is_rendered_for_several_gpus(home: Path) -> None:
    told = outcry(home, "render", "fsdp", BASE, "--gpus", "4").stdout
    assert "num_processes: 4" in told
    assert "--role risk --base-name base" in told


def test_what_names_no_base_is_refused(home: Path) -> None:
    with pytest.raises(UsageError, match="expected a model's folder, or a model of the stack"):
        outcry(home, "plan", "nothing")
    with pytest.raises(UsageError, match="no model stands here; `outcry stack init PROFILE`"):
        outcry(home, "plan", "nothing", "--stack", "house")
    with pytest.raises(UsageError, match="got --gpus 64: plan on the box"):
        outcry(home, "plan", BASE, "--gpus", "64")
    with pytest.raises(UsageError, match="nano-risk, which is an adapter of nano; a new one is made from nano"):
        outcry(home, "plan", "nano-risk", "--stack", "cpu-nano")
    nano = outcry(home, "plan", "nano", "--stack", "cpu-nano")
    assert nano.exit_code == 0


def test_what_does_not_fit_is_refused_with_the_numbers_and_exit_code_1(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = BOX.model_copy(update={"ram_free": 1_000_000})
    monkeypatch.setattr(box, "box", lambda: small)
    told = outcry(home, "plan", BASE)
    assert told.exit_code == 1
    assert "it does not fit: it needs" in told.stderr
    assert "there are 1 MB free here" in told.stderr
