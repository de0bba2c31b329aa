"""A whole desk whose every seat is a chat model, against a server that plays all roles, and dies."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models.wrapper import WrapperModel

from openoutcry.agents import bundle
from openoutcry.agents.team import ROLES
from openoutcry.core.errors import UsageError
from openoutcry.core.report import Finding, Report
from openoutcry.desk import Desk
from openoutcry.serving import roster
from openoutcry.serving.seat import Seat
from openoutcry.serving.seating import Seating
from openoutcry.serving.stack import Stack
from openoutcry.serving.transport import Transport
from openoutcry.wiring import house_models
from tests.serving.bench import ANSWER, Said, bench
from tests.serving.faulty import FAULTS, Answer, Faulty, calls, says

Ask = Callable[[dict[str, Any]], Awaitable[Report]]


def plays(body: dict[str, Any]) -> Answer:
    """What a model that knows its trade would answer to a role's request."""
    told = [json.loads(m["content"]) for m in body["messages"] if m["role"] == "tool"]
    offered = {t["function"]["name"] for t in body.get("tools", ())}
    shape = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    if "tone" in shape:
        return says('{"tone": "neutral", "relevance": "subject", "quotes": []}')
    if "headline" in shape:
        evidence = json.loads(body["messages"][1]["content"])["evidence"]
        said = f"the desk looked at {{{evidence[0]['id']}.{next(iter(evidence[0]['figures']))}}}"
        return says(json.dumps({"headline": said, "claims": []}))
    if not told:
        ticker = json.loads(body["messages"][1]["content"])["question"]["tickers"][0]
        wanted = next(t for t in ("value_at_risk", "price_summary", "document_search") if t in offered)
        return calls((wanted, {"ticker": ticker}))
    if not shape:
        return says("I have seen enough.")
    figures = [(t["id"], name) for t in told for name in t.get("figures", {})]
    said = [f"it measured {{{figures[0][0]}.{figures[0][1]}}}"] if figures else []
    return says(json.dumps({"claims": said, "lean": "none"}))


@pytest.fixture
def ask_desk(sample_home: Path, tmp_path: Path) -> Ask:
    """Ask a desk with these models about the sample; the report."""

    async def ask(models: dict[str, Any]) -> Report:
        home = tmp_path / "home"
        home.mkdir()
        (home / "warehouse").symlink_to(sample_home / "warehouse")
        desk = Desk.open(home=home, models=models)
        try:
            return await desk.ask("How risky is AAPL?", "2022-06-30")
        finally:
            desk.close()

    return ask


async def test_a_whole_desk_is_answered_by_the_model(ask_desk: Ask) -> None:
    with Faulty(brain=plays) as server:
        desk = bench(server)
        report = await ask_desk({role: desk.model(role) for role in ROLES})
    assert {type(f) for f in report.findings} == {Finding}
    assert {f.model for f in report.findings} == {"m"}
    assert "the desk looked at" in report.headline
    assert {a.role for a in desk.asked} >= {f.role for f in report.findings} | {"coordinator"}
    assert set(desk.outcomes) == {"ok"}


async def test_a_desk_whose_server_dies_is_answered_by_house_rules(ask_desk: Ask) -> None:
    with Faulty(brain=plays) as server:
        desk = bench(server)

        def dies(body: dict[str, Any]) -> Answer:
            return FAULTS["hangs"] if len(server.asked) > 2 else plays(body)

        server.brain = dies
        killer = asyncio.create_task(_killed_after(server, 3))
        rules = house_models()
        report = await ask_desk({role: Seat(role, _line(desk.model(role), rules[role])) for role in ROLES})
        await killer
    assert {type(f) for f in report.findings} == {Finding}
    assert "ModelUnreachable" in desk.outcomes
    assert {s.answered for s in report.stood_in} == {"house"}
    assert all(s.reason.startswith("m") for s in report.stood_in)


def _line(*models: Model) -> Callable[[], Sequence[Model]]:
    return lambda: models


async def _killed_after(server: Faulty, requests: int) -> None:
    while len(server.asked) < requests:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.kill)


async def test_a_run_with_a_reader_that_failed_replays_with_its_header(sample_home: Path, tmp_path: Path) -> None:
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    rules = house_models()
    with Faulty("broken") as server:
        models = {"reader": Seat("reader", _line(bench(server).model("reader"), rules["reader"]))}
        with Desk.open(home=tmp_path, models=models) as desk:
            report = await desk.ask("What is the news on AAPL?", "2022-06-30")
            again = await desk.replay("last")
    assert [s.role for s in report.stood_in] == ["reader"]
    assert (again.stood_in, again.notice) == (report.stood_in, report.notice)


class Pressed(WrapperModel):
    """A model that had to leave something out of each prompt."""

    async def request(self, *asked: Any, **more: Any) -> ModelResponse:
        response = await super().request(*asked, **more)
        return replace(response, provider_details={"compacted": ["memories", "items"]})


async def test_what_was_left_out_of_a_prompt_is_told(ask_desk: Ask) -> None:
    rules = house_models()
    report = await ask_desk({**rules, "risk": Pressed(rules["risk"])})
    told = "risk: memories, the ends of long lists; the whole prompt did not fit the context of house"
    assert [line for line in report.missing if "did not fit" in line] == [told]


async def test_half_a_character_in_a_question_costs_no_answer(sample_home: Path, tmp_path: Path) -> None:
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    with Desk.open(home=tmp_path) as desk:
        assert (await desk.ask("How risky is AAPL \udcff?", "2022-06-30")).findings


async def test_a_run_counts_all_that_it_sent_the_words_to_be_embedded_too(
    double: Callable[..., str], sample_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the question before the run begins, and those of its memories when it is stored already."""
    url = double("model_double", dimension=8)
    model = f'[models.m]\npurpose = "embed"\nengine = "endpoint"\nurl = "{url}"\n'
    (tmp_path / "stack.toml").write_text(f'{model}[roles]\nembedder = "m"\n')
    (tmp_path / "desk.toml").write_text('home = "home"\n')
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "warehouse").symlink_to(sample_home / "warehouse")
    made: list[int] = []

    def noted(report: Report, **stood: Any) -> bundle.Manifest:
        made.append(threading.get_ident())
        return manifest(report, **stood)

    manifest = bundle.manifest
    monkeypatch.setattr(bundle, "manifest", noted)
    with Desk.open(tmp_path / "desk.toml") as desk:
        report = await desk.ask("Would you put money into AAPL?", "2022-06-30")
        stored = desk.load(report.run).manifest
    posted = json.loads((await Transport().get(url, "/calls", 20)).body)
    words = [text for call in posted for text in call["texts"]]
    assert "Would you put money into the company?" in words and len(posted) > 2
    assert list(stored.sent) == [url.removeprefix("http://")]
    assert sum(len(word.encode()) for word in words) < stored.sent[url.removeprefix("http://")] < 20_000
    assert stored.left == 0
    assert made and threading.get_ident() not in made, "it may look names up, and others' runs go on meanwhile"


def test_a_backend_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected stack or house as the backend, got 'hosue'"):
        Desk.open(home=tmp_path, backend="hosue")


async def test_an_answer_is_not_that_of_other_weights_under_the_same_name(tmp_path: Path) -> None:
    with Faulty(says(ANSWER)) as server:
        replica = roster.Replica(model="m", index=0, url=server.url, state=roster.State.READY)
        roster.write(tmp_path, roster.Roster(replicas=(replica,)))
        (tmp_path / "base").mkdir()
        asked: list[int] = []
        local = str(tmp_path / "base")
        for weights, base in (("org/a", "1"), ("org/b", "1"), ("org/b", "1"), (local, "1"), (local, "2")):
            (tmp_path / "base" / "weights").write_text(base)
            (tmp_path / "adapter").write_text("the same")
            served = {"weights": weights, "max_model_len": 32768, "adapters": {"m-risk": str(tmp_path / "adapter")}}
            seats = Seating(
                Stack.model_validate({"models": {"m": served}, "roles": {"risk": "m-risk"}, "uncertified": True}),
                tmp_path,
                house_models(),
            )
            await Agent(seats.models["risk"], output_type=Said).run("How risky?")
            seats.close()
            asked.append(len(server.asked))
    assert asked == [1, 2, 2, 3, 4]
