"""Models on trial, without an engine: who may sit, what a model is known by, how it decodes, what its servers hold."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import pytest
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from openoutcry.core.errors import ModelUnreachable, UsageError
from openoutcry.core.settings import Settings
from openoutcry.eval.lineup import HOUSE, SEATS, Candidate, lineup
from openoutcry.serving import roster
from openoutcry.serving.digest import digest
from openoutcry.serving.registry.artifact import Made, register
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running import processes
from openoutcry.serving.running.processes import Tag
from openoutcry.trial import Trial

TEMPLATE = "{{ messages }}"
OWN = '[models.{}]\nengine = "endpoint"\nurl = "http://127.0.0.1:{}"\n'
STACK = """
[models.big]
weights = "./weights"
temperature = 0.7
max_tokens = 300
adapters = {{ big-risk = "./adapter" }}
{more}
[models.tone]
purpose = "classify"
weights = "./weights"
{others}
[roles]
risk = "big-risk"
"""
HELD = "held = bytearray(32 * 2**20)\nprint(flush=True)\ninput()"
"""A process that holds 32 MiB until its input ends."""


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Callable[..., Trial]]:
    """Models on trial of a stack, with *more* said of its model `big`, and *others* beside it."""
    for name in ("weights", "adapter"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(name)
    made: list[Trial] = []

    def make(more: str = "", others: str = "") -> Trial:
        (tmp_path / "stack.toml").write_text(STACK.format(more=more, others=others))
        made.append(Trial(settings(tmp_path, str(tmp_path / "stack.toml"))))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Start a process that counts as a replica of a model, and holds 32 MiB; gives its id."""
    started: list[subprocess.Popen[bytes]] = []

    def start(model: str) -> int:
        env = processes.marks(tmp_path / "home", Tag(model=model, index=0, url="http://127.0.0.1:9", identity="i"))
        one = subprocess.Popen([sys.executable, "-c", HELD], stdin=-1, stdout=-1, env=env)
        started.append(one)
        assert one.stdout
        assert one.stdout.readline()
        return one.pid

    yield start
    for one in started:
        one.kill()
        one.communicate()


def settings(root: Path, stack: str = "") -> Settings:
    return Settings.model_validate({"home": root / "home", "stack": stack})


def known(trial: Trial, name: str, role: str = "risk") -> str:
    return trial.seated(role, name)[1].digest


def test_without_a_stack_house_rules_alone_are_on_trial(tmp_path: Path) -> None:
    trial = Trial(settings(tmp_path))
    model, candidate = trial.seated("risk", HOUSE)
    assert model.model_name == HOUSE
    assert candidate == Candidate(name=HOUSE, digest=candidate.digest)
    assert len(candidate.digest) == 16
    assert {trial.sitting(role) for role in SEATS} == {HOUSE}
    assert trial.memory(HOUSE) == 0
    with pytest.raises(UsageError, match=r"expected a model of the stack, got 'big'; the stack in force has none"):
        trial.seated("risk", "big")
    trial.close()


async def test_connections_are_opened_with_a_stack_and_without(tmp_path: Path, trial: Callable[..., Trial]) -> None:
    for one in (Trial(settings(tmp_path)), trial()):
        async with one.opened():
            pass
        one.close()
        one.close()  # a command that failed half-way may do so twice


def test_who_is_not_there_or_does_not_fit_is_refused(trial: Callable[..., Trial]) -> None:
    one = trial()
    assert one.seated("reader", "tone")[1].name == "tone"
    with pytest.raises(UsageError, match="the risk needs a model for chat; tone is for classify"):
        one.seated("risk", "tone")
    with pytest.raises(UsageError, match="expected a model of this stack, got 'who'; there are house, big, big-risk"):
        one.seated("risk", "who")
    with pytest.raises(UsageError, match="got 'who'"):
        one.memory("who")


def test_who_sits_is_told(trial: Callable[..., Trial]) -> None:
    assert {role: trial().sitting(role) for role in ("risk", "analyst")} == {"risk": "big-risk", "analyst": HOUSE}


async def test_nobody_stands_in(trial: Callable[..., Trial]) -> None:
    """No card is asked for, and a model whose server does not run fails: house rules do not answer in its place."""
    model, _ = trial().seated("risk", "big")
    with pytest.raises(ModelUnreachable, match="big is not running"):
        await model.request([ModelRequest(parts=[UserPromptPart("Hello")])], None, ModelRequestParameters())


def test_nothing_is_played_with_a_model_that_does_not_run(tmp_path: Path, trial: Callable[..., Trial]) -> None:
    """Its cases would all fail, and stand when the stack is up; an endpoint of a person's own is asked."""
    one = trial(others=OWN.format("own", 9000))
    one.seated("analyst", "own")
    one.opened()
    one.seated("risk", "big-risk")
    with pytest.raises(ModelUnreachable, match="expected big-risk to run, so nothing was asked; `outcry stack up`"):
        one.opened()
    running = Replica(model="big", index=0, url="http://127.0.0.1:9", state=State.READY)
    roster.write(tmp_path / "home", Roster(replicas=(running,)))
    one.opened()


async def test_engines_are_told_by_model(
    tmp_path: Path, trial: Callable[..., Trial], double: Callable[..., str]
) -> None:
    """An adapter's is the one of its model; what does not answer has an engine, and no version."""
    one = trial(others=OWN.format("own", 9))
    assert await one.engines() == {}
    one.seated("risk", "big-risk")
    one.seated("analyst", "own")
    one.seated("sentiment", HOUSE)
    running = Replica(model="big", index=0, url=double("model_double"), state=State.READY)
    roster.write(tmp_path / "home", Roster(replicas=(running,)))
    assert await one.engines() == {"big-risk": "vllm 0.32.0", "own": "endpoint"}


def test_nothing_is_played_with_an_adapter_that_is_not_loaded(tmp_path: Path, trial: Callable[..., Trial]) -> None:
    made = Made(kind="adapter", role="risk", base=digest(tmp_path / "weights"), base_name="big")
    name = register(tmp_path / "home", tmp_path / "adapter", made, datetime(2026, 11, 29, tzinfo=UTC)).name
    one = trial()
    one.seated("risk", name)
    running = Replica(model="big", index=0, url="http://127.0.0.1:9", state=State.READY)
    roster.write(tmp_path / "home", Roster(replicas=(running,)))
    with pytest.raises(ModelUnreachable, match=f"expected {name} to run, so nothing was asked"):
        one.opened()
    loaded = running.model_copy(update={"adapters": (name,)})
    roster.write(tmp_path / "home", Roster(replicas=(loaded,)))
    one.opened()


async def test_no_answer_is_kept(trial: Callable[..., Trial], double: Callable[..., str]) -> None:
    url = double("model_double", name="own", faults=["moody"])
    one = trial(others=f'[models.own]\nengine = "endpoint"\nurl = "{url}"\n')
    model, _ = one.seated("risk", "own")
    asked = [ModelRequest(parts=[UserPromptPart("Hello")])]
    said = {(await model.request([*asked], None, ModelRequestParameters())).text for _ in range(3)}
    assert len(said) == 3, "each time anew: a kept answer costs nothing, and would be measured as that"


def test_how_a_model_decodes_is_told_and_stands_beside_its_digest(trial: Callable[..., Trial]) -> None:
    first = trial().seated("risk", "big-risk")[1]
    assert first.decoding == {"temperature": 0.7, "max_tokens": 300}
    other = trial(others='[models.cold]\nweights = "./weights"\ntemperature = 0.0')
    assert other.seated("risk", "cold")[1].decoding == {"temperature": 0.0, "max_tokens": 1024}
    assert known(other, "cold") == known(other, "big"), "another name and temperature, and the same model"


def test_a_model_is_known_by_its_files(tmp_path: Path, trial: Callable[..., Trial]) -> None:
    one = trial()
    big, risk = known(one, "big"), known(one, "big-risk")
    assert big != risk
    (tmp_path / "adapter/model.safetensors").write_text("taught anew")
    assert known(trial(), "big") == big
    assert known(trial(), "big-risk") not in (big, risk)
    before = known(trial(), "big-risk")
    (tmp_path / "weights/model.safetensors").write_text("another base")
    assert known(trial(), "big") != big
    assert known(trial(), "big-risk") != before, "an adapter is what it is over its base"


def test_what_its_engine_makes_of_the_files_counts_and_where_it_runs_does_not(trial: Callable[..., Trial]) -> None:
    big = known(trial(), "big")
    assert known(trial('quantisation = "fp8"'), "big") != big
    assert known(trial("max_model_len = 2048"), "big") != big
    assert known(trial('replicas = { min = 2, max = 3 }\nmemory = "1GB"'), "big") == big


def test_an_endpoint_without_weights_here_is_known_by_name_and_address(
    tmp_path: Path, trial: Callable[..., Trial]
) -> None:
    tagged = '[models.tagged]\nengine = "endpoint"\nurl = "http://127.0.0.1:9001"\nweights = "some/tag"\n'
    one = trial(others=OWN.format("own", 9000) + tagged)
    assert known(one, "own") == "own@http://127.0.0.1:9000/"
    assert known(one, "tagged") == "tagged@http://127.0.0.1:9001/some/tag"
    assert one.memory("own") == 0
    (tmp_path / "chat.jinja").write_text(TEMPLATE)
    shared = 'chat_template = "./chat.jinja"\n'
    both = trial(others=OWN.format("own", 9000) + shared + OWN.format("other", 9001) + shared)
    assert known(both, "own") != known(both, "other"), "a template that they share does not make them one model"
    assert "@" not in known(both, "own")


def test_memory_is_that_of_the_server_under_an_adapter(
    trial: Callable[..., Trial], serving: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openoutcry.trial.LOOK", 3600.0)
    serving("big")
    one = trial()
    held = one.memory("big-risk")
    assert held == one.memory("big") == one.memory("big", "big-risk") > 32 * 2**20
    assert one.memory("tone") == one.memory(HOUSE) == 0
    serving("big")
    assert trial().memory("big") > 1.5 * held, "all its replicas count"


def test_memory_is_looked_at_now_and_then_and_only_the_first_look_is_waited_for(
    trial: Callable[..., Trial], serving: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trial()
    monkeypatch.setattr("openoutcry.trial.LOOK", 3600.0)
    assert one.memory("big") == 0
    serving("big")
    assert one.memory("big") == 0
    monkeypatch.setattr("openoutcry.trial.LOOK", 0.0)
    assert one.memory("big") == 0, "the second look goes on beside the work"
    assert any(one.memory("big") or sleep(0.01) for _ in range(12_000))
    assert one.memory("big") > 32 * 2**20


def test_a_lineup_holds_what_its_models_servers_hold(
    trial: Callable[..., Trial], serving: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openoutcry.trial.LOOK", 3600.0)
    serving("big")
    one = trial()
    assert lineup("tried", {"risk": "big-risk"}, one).memory() == one.memory("big")
    assert lineup("house", {}, one).memory() == 0
