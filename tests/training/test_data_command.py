"""The commands `outcry train data`, as a person gives them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import UsageError
from openoutcry.desk import Desk
from openoutcry.training.commands.data import TRIAL, data
from openoutcry.training.commands.data_text import summary
from openoutcry.training.examples import cleaning
from openoutcry.training.examples.dataset import load
from openoutcry.training.examples.forbidden import STANDS
from openoutcry.trial import Trial

Run = Callable[..., Result]
RISKY = "How risky is AAPL over the next 10 days?"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder of its own; of what is held back, the smallest suite stands for all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTCRY_HOME", raising=False)
    monkeypatch.setattr(cleaning, "shipped", lambda: ["chat"])

    @click.group()
    @click.pass_context
    def outcry(ctx: click.Context) -> None:
        ctx.obj = (None, tmp_path / "home")
        ctx.meta[TRIAL] = Trial

    outcry.add_command(data)

    def given(*arguments: str) -> Result:
        return CliRunner().invoke(outcry, ["data", *arguments])

    return given


@pytest.fixture
def desk(sample_home: Path, tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/warehouse").symlink_to(sample_home / "warehouse")
    with Desk.open(home=tmp_path / "home") as opened:
        yield opened


def ended(result: Result) -> str:
    assert result.exception is None, result.exception
    return result.stdout


def refused(result: Result) -> str:
    assert isinstance(result.exception, UsageError)
    return str(result.exception)


def tones(tmp_path: Path, *texts: str) -> str:
    rows = [{"text": f"{text} of a bakery in a small town", "label": "neutral"} for text in texts]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "mine.jsonl")


def test_a_set_is_made_listed_and_shown(run: Run, tmp_path: Path) -> None:
    assert "holds no data set yet" in run("list").stderr
    assert "holds none" in refused(run("--show"))
    file = tones(tmp_path, "The opening", "The \x1b[31mclosing", "The selling")
    said = ended(run("make", "--role", "reader", "--from", file))
    assert "2 to train by, 1 to validate by" in said and "sources   file 3" in said
    assert "of chat" in said and "by digest: all are known at one moment" in said
    digest = json.loads(ended(run("show", "--json")))["digest"]
    assert ended(run("show", digest[:8])) == ended(run("--show")) == ended(run("show", "last"))
    assert "\\x1b[31mclosing" in ended(run("--show")) and "\x1b" not in ended(run("--show"))
    assert ended(run("list")).startswith(f"{digest[:12]}  reader ")
    assert ended(run("list")).endswith(" UTC\n")
    assert [one["digest"] for one in json.loads(ended(run("list", "--json")))] == [digest]
    assert len(ended(run("show", "--rows", "0")).splitlines()) == len(said.splitlines())


def test_a_bad_row_writes_nothing(run: Run, tmp_path: Path) -> None:
    file = tones(tmp_path, "The opening")
    Path(file).write_text(Path(file).read_text() + '{"text": "x", "label": "great"}\n')
    assert f"{file}:2: label:" in refused(run("make", "--role", "reader", "--from", file))
    assert not (tmp_path / "home/training/data").exists()


def test_a_suite_of_a_persons_own_and_texts_never_to_be_learnt_are_held_back_from_every_row(
    run: Run, tmp_path: Path
) -> None:
    done = run("make", "--role", "risk", "--from", "scenarios", "--limit", "6", "--json")
    row = (tmp_path / f"home/training/data/{json.loads(ended(done))['digest'][:12]}/train.jsonl").read_text()
    asked = json.loads(json.loads(row.splitlines()[0])["messages"][1]["content"])["question"]["text"]
    case = f'[[scenario]]\nid = "one"\nquestion = {json.dumps(asked)}\ncategory = "c"\nseat = "risk"\n'
    (tmp_path / "own.toml").write_text(case + "expect = { abstain = false }\n")
    (tmp_path / "set.txt").write_text(asked)
    made = ("make", "--role", "risk", "--from", "scenarios", "--limit", "6", "--json")
    held = json.loads(ended(run(*made, "--held", str(tmp_path / "own.toml"))))
    assert held["left_out"][cleaning.OVERLAPS] >= 1 and "own gate" in " ".join(held["compared"])
    never = json.loads(ended(run(*made, "--never", str(tmp_path / "set.txt"))))
    assert never["left_out"][STANDS] >= 1


def test_scenarios_are_played_by_the_teacher(run: Run, tmp_path: Path) -> None:
    done = run("make", "--role", "risk", "--from", "scenarios", "--limit", "6", "--json")
    manifest: dict[str, Any] = json.loads(ended(done))
    assert manifest["role"] == "risk" and manifest["sources"]["scenario"] == sum(manifest["rows"].values()) >= 2
    assert f"next: `outcry train plan BASE --data {manifest['digest'][:12]}`" in done.stderr
    shown = ended(run("show", "--rows", "1"))
    assert " UTC: rows to train by are known by then" in shown
    made = load(tmp_path / "home", "last")
    wide = made.manifest.model_copy(update={"compared": tuple(f"risk gate 2026-{n:02}" for n in range(1, 13))})
    lines = [line for line in summary(made.model_copy(update={"manifest": wide})) if "2026-" in line[12:]]
    assert len(lines) > 1 and all(len(line) <= 100 and line.startswith((" " * 12, "  compared")) for line in lines)
    assert " ".join(lines).count("2026-") == 12
    assert "tools      drawdown, volatility" in shown and "assistant " in shown


async def test_a_transcript_goes_out_and_comes_back_corrected(run: Run, desk: Desk, tmp_path: Path) -> None:
    for day in ("2022-03-14", "2022-05-31"):
        await desk.ask(RISKY, day)
    desk.settle("2022-06-30")
    manifest = json.loads(ended(run("make", "--role", "risk", "--from", "runs", "--json")))
    rows = (tmp_path / f"home/training/data/{manifest['digest'][:12]}/train.jsonl").read_text()
    taken = json.loads(rows)
    row = json.loads(ended(run("export", taken["source"].removeprefix("run:"), "--role", "risk")))
    answer = json.loads(row["messages"][-1]["content"])
    row["messages"][-1]["content"] = json.dumps({**answer, "claims": answer["claims"][:1]})
    (tmp_path / "mine.jsonl").write_text(json.dumps(row))
    again = json.loads(ended(run("make", "--role", "risk", "--from", "runs", "--from", "mine.jsonl", "--json")))
    assert (manifest["sources"], again["sources"]) == ({"run": 2}, {"file": 1, "run": 1})
    assert again["left_out"][cleaning.CORRECTED] == 1


def test_the_readers_runs_are_refused(run: Run) -> None:
    assert "not trusted" in refused(run("make", "--role", "reader", "--from", "runs"))
    assert "one of both" in refused(run("--show", "list"))
    assert "Examples to learn from" in ended(run())
