"""`outcry models` as a person runs it, over a stack file, a roster and an Ollama of the test's own."""

import json
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.models_command import models
from openoutcry.serving import roster
from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.roster import Replica, Roster, State

Double = Callable[..., str]
Run = Callable[..., Result]


def weights(at: Path) -> Path:
    at.mkdir(parents=True)
    (at / "config.json").write_text('{"a":1}')
    (at / "tokenizer.json").write_text("{}")
    (at / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    return at


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTCRY_STACK", raising=False)

    @click.group()
    @click.pass_context
    def main(ctx: click.Context) -> None:
        ctx.obj = (None, tmp_path / "home")

    main.add_command(models)
    return lambda *words: CliRunner().invoke(main, ["models", *words])


@pytest.fixture
def stack(tmp_path: Path, double: Double, stand_in: Callable[[Path], int]) -> str:
    """A vLLM model with an adapter, of which one replica is ready, one of Ollama, and one that is away."""
    weights(tmp_path / "big")
    ollama = double("ollama_double", **{"qwen:8b": {"num_ctx": 8192, "loaded": True}, "spare:1b": {"tools": False}})
    vllm = double("model_double", name="big")
    (tmp_path / "stack.toml").write_text(f"""
uncertified = true
[models.big]
weights = "./big"
max_model_len = 4096
[models.big.adapters]
big-risk = "./adapter"
[models.tone]
purpose = "classify"
weights = "org/tone"
[models.talker]
engine = "ollama"
weights = "qwen:8b"
url = "{ollama}"
[models.far]
engine = "endpoint"
url = "http://127.0.0.1:9"
[models.abroad]
engine = "endpoint"
url = "http://192.0.2.7:8000"
[models.talker-abroad]
engine = "ollama"
weights = "qwen:8b"
url = "http://192.0.2.7:11434"
[roles]
analyst = "big"
risk = "big-risk"
sentiment = "talker"
[previous]
risk = "big"
""")
    pid = stand_in(tmp_path / "home")
    ready = Replica(model="big", index=0, url=vllm, state=State.READY, pid=pid)
    starting = Replica(model="big", index=1, url="http://127.0.0.1:9", state=State.STARTING, pid=pid)
    roster.write(tmp_path / "home", Roster(replicas=(ready, starting)))
    return ollama


def test_every_model_is_listed_with_its_seats(outcry: Run, stack: str, tmp_path: Path) -> None:
    weights(tmp_path / "home" / "models" / "kept")
    done = outcry("list", "--json")
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    stacked = ["big", "big-risk", "tone", "talker", "far", "abroad", "talker-abroad"]
    assert list(rows) == ["house", *stacked, "spare:1b", "kept"]
    assert rows["house"]["seats"] == ["coordinator", "reader", "embedder"]
    assert rows["big"]["seats"] == ["analyst", "(risk)"]
    assert rows["big-risk"]["seats"] == ["risk"]
    assert {name: row["state"] for name, row in rows.items()} == {
        "house": "ready",
        "big": "ready, starting",
        "big-risk": "ready, starting",
        "tone": "not running",
        "talker": "ready",
        "far": "away",
        "abroad": "not allowed",
        "talker-abroad": "away",
        "spare:1b": "not loaded",
        "kept": "pulled",
    }
    assert (rows["big"]["size"], len(rows["big"]["digest"])) == (7 + 2 + 10, 12)
    assert (rows["talker"]["context"], rows["talker"]["longest"]) == (8192, 32768)
    assert (rows["spare:1b"]["context"], rows["spare:1b"]["engine"]) == (4096, "ollama Q4_0")
    lines = outcry("list").stdout.splitlines()
    assert lines[0].split() == ["name", "purpose", "engine", "state", "size", "context", "digest", "seats"]
    assert "8,192 of 32,768" in lines[5]
    assert "5.14 GB" in lines[5]


def test_house_alone_needs_nothing(outcry: Run) -> None:
    lines = outcry("list").stdout.splitlines()
    assert lines[1].split()[:4] == ["house", "rules", "house", "ready"]
    assert lines[1].endswith("analyst sentiment risk coordinator reader embedder")


def test_one_model_is_shown_with_its_settings(outcry: Run, stack: str) -> None:
    shown = outcry("show", "big-risk").stdout
    assert "adapter of big" in shown
    assert "max_model_len            4096" in shown
    told = json.loads(outcry("show", "talker", "--json").stdout)
    assert (told["weights"], told["where"], told["engine"]) == ("qwen:8b", stack, "ollama Q4_0")
    error = outcry("show", "huge").exception
    assert isinstance(error, UsageError)
    assert "big, big-risk, tone" in str(error)


def test_switch_says_who_answers_now(outcry: Run, stack: str, tmp_path: Path) -> None:
    done = outcry("switch", "risk", "big")
    assert (
        done.stdout
        == "risk: big, was big-risk\nanswers now: big; where it fails big-risk; where it fails house rules\n"
    )
    assert pointer.read(tmp_path / "home") == {
        "risk": Pointer(champion="big", previous="big-risk", over="big-risk", number=1)
    }
    done = outcry("switch", "risk", "house")
    assert done.stdout == "risk: house, was big\nanswers now: house rules\n"
    assert outcry("switch", "coordinator", "talker").exit_code == 0
    assert pointer.read(tmp_path / "home")["coordinator"] == Pointer(
        champion="talker", previous="house", over="house", number=3
    )


@pytest.mark.parametrize(
    ("role", "model", "said"),
    [
        ("reader", "tone", "tone does not"),
        ("risk", "far", "far does not"),
        ("risk", "tone", "needs a model for chat"),
        ("risk", "huge", "expected a model of this stack"),
        ("cook", "big", "expected a seat among"),
    ],
)
def test_switch_refuses_what_cannot_answer(
    outcry: Run, stack: str, tmp_path: Path, role: str, model: str, said: str
) -> None:
    error = outcry("switch", role, model).exception
    assert isinstance(error, UsageError)
    assert said in str(error)
    assert pointer.read(tmp_path / "home") == {}


def test_force_seats_what_does_not_answer_but_not_what_does_not_fit(outcry: Run, stack: str) -> None:
    assert outcry("switch", "reader", "tone", "--force").stdout.startswith("reader: tone, was house\n")
    assert outcry("switch", "risk", "tone", "--force").exit_code != 0


def test_pull_from_a_folder(outcry: Run, tmp_path: Path) -> None:
    source = weights(tmp_path / "mirror" / "tiny")
    done = outcry("pull-from", str(source), "--as", "small")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("small  ")
    assert (tmp_path / "home" / "models" / "small" / "model.safetensors").is_file()
    assert '[models."small"] weights =' in done.stderr
    (source / "config.json").unlink()
    assert isinstance(outcry("pull-from", str(source)).exception, UsageError)


def test_an_empty_folder_does_not_hide_the_models(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "home/models/empty").mkdir(parents=True)
    assert [line.split()[0] for line in outcry("list").stdout.splitlines()] == ["name", "house", "empty"]


def test_what_is_to_be_written_into_the_stack_can_be_read_there(outcry: Run, tmp_path: Path) -> None:
    weights(tmp_path / "Qwen2.5-1.5B")
    line = outcry("pull-from", "Qwen2.5-1.5B").stderr.splitlines()[-1].partition(": ")[2]
    head, key, value = line.partition(" weights")
    assert list(tomllib.loads(f"{head}\n{key}{value}")["models"]) == ["Qwen2.5-1.5B"]
