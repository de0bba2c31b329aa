"""`outcry stack plan`, `measure`, `autoscale`, `render` and `init` as a person calls them."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from openoutcry.core.errors import OutcryError
from openoutcry.interfaces import stack_planning
from openoutcry.interfaces.planning_text import table
from openoutcry.serving import roster
from openoutcry.serving.planning import box
from openoutcry.serving.planning.box import Box
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running.scaling import Scaler
from openoutcry.serving.stack import load
from openoutcry.serving.transport import Transport
from tests.serving.metrics_double import page, replica

FITS = """
[models.small]
weights = "someone/something"
device = "cpu"
kv_cache = "1GB"
max_model_len = 4096
concurrency = 16
replicas = { min = 1, max = 2 }
shape = { parameters = 1e8, layers = 12, hidden = 768, heads = 12, kv_heads = 12, head_dim = 64 }
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, without settings, and no hub's cache; a look waits as long as it takes."""
    monkeypatch.setattr("openoutcry.serving.looks.look.__defaults__", (60.0,))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def call(home: Path, *words: str) -> Result:
    @click.group()
    @click.pass_context
    def stack(ctx: click.Context) -> None:
        ctx.obj = (None, home)

    for name in ("plan", "measure", "autoscale", "render", "init"):
        stack.add_command(getattr(stack_planning, name))
    return CliRunner().invoke(stack, words)


def said(result: Result) -> str:
    """Standard output; raises what the command raised."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    assert isinstance(result.exception, OutcryError)
    assert result.exception.exit_code == 2
    return str(result.exception)


def test_house_needs_nothing_and_says_so_in_one_line(tmp_path: Path) -> None:
    assert said(call(tmp_path, "plan")).splitlines() == [stack_planning.HOUSE]


def test_a_plan_that_fits(tmp_path: Path) -> None:
    Path("mine.toml").write_text(FITS)
    lines = said(call(tmp_path, "plan", "--stack", "mine.toml")).splitlines()
    assert lines[0].startswith("this box: ")
    assert lines[2].split() == "model on weights KV cache rest a replica fit whole context of 4k".split()
    # 2 x 12 layers x 12 heads x 64 x 2 bytes = 36,864 a token: 1e9 hold 27,126, that is 6.6 sequences of 4,096.
    name, on, *_ = lines[3].split()
    assert (name, on) == ("small", "cpu")
    assert "6.6 x 4,096" in lines[3]
    assert max(map(len, lines)) <= 100


def test_a_plan_that_does_not_fit_is_shown_and_refused(tmp_path: Path) -> None:
    Path("mine.toml").write_text(FITS.replace('kv_cache = "1GB"', 'kv_cache = "90000GB"'))
    result = call(tmp_path, "plan", "--stack", "mine.toml")
    assert "90,000.0 GB" in result.stdout
    assert refused(result).startswith("this stack does not fit this box\nsmall needs 90,00")


def test_a_plan_for_programs(tmp_path: Path) -> None:
    Path("stack.toml").write_text(FITS)
    found = json.loads(said(call(tmp_path, "plan", "--json")))
    (model,) = found["models"]
    assert found["fits"] is True
    assert (model["name"], model["tokens"], model["per_token"]) == ("small", 27126, 36864)
    result = call(tmp_path, "plan", "--json", "--stack", "big-box")
    assert json.loads(result.stdout)["fits"] is False
    assert "analyst-72b needs 48.7 GB" in refused(result)


@pytest.mark.parametrize("profile", ["laptop", "one-gpu", "big-box", "cpu-nano"])
@pytest.mark.parametrize("columns", [80, 100])
def test_each_profile_prints_within_the_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = call(tmp_path, "plan", "--stack", profile).stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert all(model in "\n".join(lines) for model in load(profile).models)


def put(home: Path, *urls: str, pid: int = 0) -> None:
    """Ready replicas at these places."""
    ready = [Replica(model="small", index=i, url=url, state=State.READY, pid=pid) for i, url in enumerate(urls)]
    roster.write(home, Roster(replicas=tuple(ready)))


def test_measure_prints_the_error_of_the_plan(tmp_path: Path, stand_in: Callable[[Path], int]) -> None:
    Path("stack.toml").write_text(FITS)
    with replica(page()) as url:
        put(tmp_path, url, pid=stand_in(tmp_path))
        lines = said(call(tmp_path, "measure")).splitlines()
        found = json.loads(said(call(tmp_path, "measure", "--json")))
    assert lines[0].split() == ["replica", "what", "predicted", "measured", "error"]
    assert "small/0  KV tokens" in "\n".join(lines)
    assert "KV tokens 27,126 21,760 +24.7 %" in " ".join(" ".join(lines).split())
    assert [figure["what"] for figure in found] == ["RAM", "KV tokens", "sequences"]
    assert found[1]["error_percent"] == pytest.approx(24.66, abs=0.01)


def test_measure_needs_something_that_runs(tmp_path: Path) -> None:
    assert "`outcry stack up` starts the stack" in refused(call(tmp_path, "measure"))


def test_a_dry_run_prints_decisions_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "box", lambda: Box(ram=64 << 30, ram_free=64 << 30, cores=8))
    Path("stack.toml").write_text(FITS)
    with replica(page(running=8, waiting=3)) as url:
        put(tmp_path, url)
        before = (tmp_path / "stack/roster.json").read_bytes()
        lines = said(call(tmp_path, "autoscale", "--dry-run", "--every", "0.1", "--looks", "2", "--json")).splitlines()
    first, second = map(json.loads, lines)
    assert (first["model"], first["replicas"], first["decided"]) == ("small", 1, 1)
    assert first["load"] == pytest.approx(11 / 8)
    assert second["decided"] == 2
    assert (tmp_path / "stack/roster.json").read_bytes() == before


def test_a_replica_that_does_not_answer_is_no_reason_to_drain(tmp_path: Path) -> None:
    Path("stack.toml").write_text(FITS)
    with replica(page(), status=500) as url:
        put(tmp_path, url, url)
        lines = said(call(tmp_path, "autoscale", "--dry-run", "--every", "0.1", "--looks", "6")).splitlines()
    assert len(lines) == 6
    assert all("2       no replica could be looked at" in line for line in lines)


def test_a_recorded_day_is_replayed(tmp_path: Path) -> None:
    Path("stack.toml").write_text(FITS)
    day: list[dict[str, Any]] = [
        {"at": 30 * tick, "model": "small", "looks": [{"running": 1, "waiting": 0, "kv": 0.5}]} for tick in range(4)
    ]
    Path("day.jsonl").write_text("\n".join(map(json.dumps, day)))
    lines = said(call(tmp_path, "autoscale", "--replay", "day.jsonl")).splitlines()
    assert [line.split() for line in lines[:1]] == [["00:00:00", "small", "1", "load", "0.50:", "steady"]]
    assert len(lines) == 4


def test_what_the_supervisor_wrote_is_a_recorded_day(tmp_path: Path) -> None:
    Path("stack.toml").write_text(FITS)
    with replica(page(running=9)) as url:
        roster_now = Roster(replicas=(Replica(model="small", index=0, url=url, state=State.READY),))
        scaler = Scaler(tmp_path, Transport(), period=0)
        scaler.count(load("stack.toml").models["small"], 1)
        (tmp_path / "stack").mkdir()
        asyncio.run(scaler.look(load("stack.toml"), roster_now))
    (line,) = said(call(tmp_path, "autoscale", "--replay", str(tmp_path / "stack/scaling.jsonl"))).splitlines()
    assert re.match(r"\d\d:\d\d:\d\d  small  1       load 1.12: high for 1 of 2 looks", line)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["autoscale"], "expected either --dry-run or --replay FILE"),
        (["autoscale", "--dry-run", "--replay", "x"], "expected either --dry-run or --replay FILE"),
        (["autoscale", "--replay", "nowhere.jsonl"], "expected a recorded day in nowhere.jsonl"),
        (["autoscale", "--dry-run", "--looks", "1"], "`outcry stack up` starts the stack"),
        (["plan", "--stack", "nonsense"], "expected a stack file or one of the profiles"),
        (["render", "ray"], "has none; nothing to render"),
        (["init", "nonsense"], "expected a stack file or one of the profiles"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, words: list[str], why: str) -> None:
    assert why in refused(call(tmp_path, *words))


def test_a_day_of_an_unknown_model_is_said(tmp_path: Path) -> None:
    Path("day.jsonl").write_text('{"at": 0, "model": "other", "looks": []}')
    assert "expected a model of this stack, got 'other'" in refused(
        call(tmp_path, "autoscale", "--replay", "day.jsonl")
    )


@pytest.mark.parametrize(("target", "key"), [("ray", "applications"), ("kubernetes", "servingEngineSpec")])
def test_render_to_the_terminal_or_a_file(tmp_path: Path, target: str, key: str) -> None:
    text = said(call(tmp_path, "render", target, "--stack", "big-box"))
    assert key in yaml.safe_load(text)
    result = call(tmp_path, "render", target, "--stack", "big-box", "--out", "out.yaml")
    assert said(result) == ""
    assert result.stderr == "written to out.yaml\n"
    assert Path("out.yaml").read_text() == text


def test_render_to_where_nothing_can_be_written(tmp_path: Path) -> None:
    result = call(tmp_path, "render", "ray", "--stack", "big-box", "--out", "no/such/out.yaml")
    assert "expected to write no/such/out.yaml, could not: No such file" in refused(result)


def test_init_begins_a_stack_and_never_writes_over_one(tmp_path: Path) -> None:
    said(call(tmp_path, "init", "laptop"))
    assert load("stack.toml").roles == load("laptop").roles
    Path("stack.toml").write_text("# mine\n")
    assert "--force" in refused(call(tmp_path, "init", "big-box"))
    assert Path("stack.toml").read_text() == "# mine\n"
    said(call(tmp_path, "init", "big-box", "--force"))
    assert "analyst-72b" in load("stack.toml").models


def test_every_command_explains_itself(tmp_path: Path) -> None:
    for name in ("plan", "measure", "autoscale", "render", "init"):
        assert "Options:" in said(call(tmp_path, name, "--help"))


def test_columns_line_up() -> None:
    assert list(table([("a", "b", "c"), ("long", "x", "123")])) == ["a     b    c", "long  x  123"]


def test_a_dry_run_where_nothing_runs_says_so_at_once(tmp_path: Path) -> None:
    Path("stack.toml").write_text(FITS)
    told = refused(call(tmp_path, "autoscale", "--dry-run", "--stack", "stack.toml"))
    assert told.startswith("expected running replicas to look at, found none")
