"""The reader's seat on a classifier: its tone in the fallback's reading, in batches, and never a silent cut."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.agents.house import reader as house
from openoutcry.agents.house.model import HouseModel
from openoutcry.agents.team import ROLES, Team
from openoutcry.core import egress
from openoutcry.core.errors import (
    ModelBusy,
    ModelError,
    ModelGarbled,
    ModelRefused,
    ModelTooSlow,
    ModelUnreachable,
    UsageError,
)
from openoutcry.serving.asking import tones
from openoutcry.serving.asking.classifier import MOST, Classifier
from openoutcry.serving.asking.guard import IN_A_ROW, Guard
from openoutcry.serving.asking.replicas import Pool
from openoutcry.serving.meter import Asked
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport
from openoutcry.tools.documents import Document
from tests.serving.faulty import Faulty

Double = Callable[..., str]
GONE = "http://127.0.0.1:9"
THREE = ["negative", "neutral", "positive"]
FIVE = ["very_negative", "negative", "neutral", "positive", "very_positive"]


def classifier(
    *urls: str, asked: list[Asked] | None = None, guard: Guard | None = None, pool: Pool | None = None, **more: Any
) -> Classifier:
    """Its clocks stand still: a replica that is left out, or a model that is left alone, stays so."""
    values = {"name": "m", "weights": "w", "purpose": "classify", "max_model_len": 64, "seconds": 60, **more}
    served = Served.model_validate(values)
    meter = (asked if asked is not None else []).append
    pool, rules = pool or frozen(*urls), HouseModel(house.rules)
    return Classifier("m", served, pool, Transport(), guard or Guard(served, lambda: 0.0), rules, meter, THREE)


def frozen(*urls: str) -> Pool:
    """A pool whose clock stands still."""
    return Pool("m", lambda: urls, now=lambda: 0.0)


def told(text: str) -> str:
    return json.dumps({"company": "AAPL", "filed_under": "AAPL", "kind": "news", "text": text})


def prompt(text: str) -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart(told(text))])]


async def answered(model: Classifier, text: str) -> tuple[dict[str, Any], ModelResponse]:
    response = await model.request(prompt(text), None, ModelRequestParameters())
    part = response.parts[0]
    assert isinstance(part, TextPart)
    return json.loads(part.content), response


def calls(url: str, path: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/calls") as answer:
        return [call for call in json.load(answer) if call["path"] == path]


async def test_the_tone_is_the_classifiers_and_the_rest_the_fallbacks(double: Double) -> None:
    """House rules call this positive and quote it; the double calls what was fined the most negative it knows."""
    text = "Profit growth was strong. The company was fined."
    asked: list[Asked] = []
    url = double("model_double", labels=FIVE)
    reading, response = await answered(classifier(url, asked=asked), text)
    own = house.rules(told(text), [])
    assert reading == {**own.model_dump(mode="json"), "tone": "very_negative"}
    assert own.tone != "very_negative"
    assert own.quotes
    assert response.model_name == "m"
    details = response.provider_details or {}
    assert (details["url"], details["source"], details["probability"]) == (url, "model", 0.7)
    assert "read" not in details, "all of it was read"
    assert [(a.role, a.model, a.url, a.outcome, a.prompt, a.retried) for a in asked] == [
        ("reader", "m", url, "ok", 9, False)
    ]


async def test_requests_that_arrive_together_go_out_together(double: Double) -> None:
    url = double("model_double", labels=THREE)
    model = classifier(url)
    texts = ["The company was fined.", "Profits rose.", "Nothing."] * 14
    readings = await asyncio.gather(*(answered(model, text) for text in texts))
    assert [r["tone"] for r, _ in readings] == ["negative", "positive", "neutral"] * 14
    assert sorted(len(c["texts"]) for c in calls(url, "/classify")) == [len(texts) - MOST, MOST]


async def test_one_who_gives_up_takes_nothing_from_the_others(double: Double) -> None:
    model = classifier(double("model_double", labels=THREE))
    tasks = [asyncio.create_task(answered(model, "Profits rose.")) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    readings = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(readings[0], asyncio.CancelledError)
    assert [r[0]["tone"] for r in readings if isinstance(r, tuple)] == ["positive", "positive"]


def test_several_loops_one_after_the_other_and_at_once(double: Double) -> None:
    model = classifier(double("model_double", labels=THREE))

    async def many() -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.to_thread(asyncio.run, answered(model, "Profits rose."))) for _ in "ab"]
        return [task.result()[0]["tone"] for task in tasks]

    for _ in range(2):
        assert asyncio.run(many()) == ["positive", "positive"]


async def test_a_cut_is_said(double: Double) -> None:
    """A token of the double is a word: 100 of them, and the model reads 64."""
    url = double("model_double", labels=THREE)
    _, response = await answered(classifier(url), "rose " * 100)
    details = response.provider_details or {}
    assert (details["tokens"], details["read"]) == (100, 64)
    _, response = await answered(classifier(url), "considerably " * 20)
    assert "tokens" not in (response.provider_details or {}), "long in bytes, and short enough in tokens"
    assert len(calls(url, "/tokenize")) == 2


async def test_one_failure_is_asked_again_elsewhere_two_are_an_error(double: Double) -> None:
    asked: list[Asked] = []
    url = double("model_double", labels=THREE)
    reading, _ = await answered(classifier(GONE, url, asked=asked), "Profits rose.")
    assert reading["tone"] == "positive"
    assert [(a.outcome, a.retried) for a in asked][-1] == ("ok", len(asked) == 2)
    asked.clear()
    reading, _ = await answered(classifier(double("model_double", labels=THREE, faults=["once"]), asked=asked), "Fine.")
    assert [(a.outcome, a.retried) for a in asked] == [("ModelRefused", False), ("ok", True)]
    failures: list[tuple[Classifier, type[ModelError]]] = [
        (classifier(double("model_double", labels=THREE, fails_after=0)), ModelRefused),
        (classifier(GONE), ModelUnreachable),
        (classifier(), ModelUnreachable),
        (classifier(double("model_double", labels=["LABEL_0", "LABEL_1"])), ModelGarbled),
    ]
    for model, kind in failures:
        with pytest.raises(kind):
            await answered(model, "Profits rose.")


async def test_a_server_that_hangs_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ModelTooSlow):
            await answered(classifier(f"http://127.0.0.1:{port}", seconds=0.2), "Profits rose.")


async def test_one_that_hangs_is_left_alone_after_a_while() -> None:
    """A desk of many documents would wait for each of them in turn."""
    asked: list[Asked] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        model = classifier(f"http://127.0.0.1:{port}", asked=asked, seconds=0.1)
        for _ in range(IN_A_ROW):
            with pytest.raises(ModelTooSlow):
                await answered(model, "Profits rose.")
        with pytest.raises(ModelBusy, match="m failed 5 times in a row"):
            await answered(model, "Profits rose.")
    assert {a.outcome for a in asked} == {"ModelTooSlow"}


async def test_a_replica_that_hangs_is_left_out_where_there_is_another(double: Double) -> None:
    url = double("model_double", labels=THREE)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pool = frozen(f"http://127.0.0.1:{silent.getsockname()[1]}", url)
        with pytest.raises(ModelTooSlow):
            await answered(classifier(pool=pool, seconds=0.5), "Profits rose.")
        for _ in range(2):
            _, response = await answered(classifier(pool=pool), "Profits rose.")
            assert (response.provider_details or {})["url"] == url


async def test_a_call_waits_for_its_place() -> None:
    guard = Guard(Served(name="m", weights="w", concurrency=1))
    with Faulty() as server:
        async with guard.entered(asyncio.get_running_loop().time() + 60):
            with pytest.raises(ModelTooSlow, match="expected a place in the queue of m before the deadline"):
                await answered(classifier(server.url, guard=guard, seconds=0.1), "Profits rose.")
        assert not server.paths


async def test_each_run_is_told_the_bytes_of_its_own_texts(double: Double) -> None:
    """In one batch, too: whoever opened it did not send what the others brought."""
    model = classifier(double("model_double", labels=THREE), max_model_len=8192)

    async def run(*texts: str) -> int:
        with egress.counted() as ledger:
            await asyncio.gather(*(answered(model, text) for text in texts))
        return sum(ledger.sent.values())

    few, many = await asyncio.gather(run("a" * 100, "b" * 100), run("c" * 600))
    assert 200 < few < 600 < many < 1200


async def test_a_server_of_the_persons_own_is_asked_by_the_name_it_knows() -> None:
    with Faulty("unknown model") as server:
        model = classifier(server.url, engine="endpoint", url=server.url, weights="org/finbert")
        with pytest.raises(ModelRefused):
            await answered(model, "Profits rose.")
    assert {body["model"] for body in server.asked} == {"org/finbert"}


async def test_a_whole_reading_through_the_team(double: Double) -> None:
    """As the flow asks it: an agent with an output tool, over a real document."""
    models = {name: HouseModel(house.rules) for name in ROLES}
    team = Team({**models, "reader": classifier(double("model_double", labels=THREE))}, 60)
    document = Document(
        id="d1",
        ticker="AAPL",
        kind="news",
        publisher="p",
        title="Fine",
        body="The company was fined after a strong year.",
        known_at=datetime(2022, 1, 1, tzinfo=UTC),
    )
    reading = await team.read("AAPL", document, [])
    assert reading is not None
    assert (reading.tone, reading.relevance) == ("negative", "subject")


async def test_an_answer_that_comes_as_a_call_is_toned_too(double: Double) -> None:
    def respond(_: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse([ToolCallPart("final", {"tone": "neutral", "quotes": []}, tool_call_id="x")])

    served = Served.model_validate({"name": "m", "weights": "w", "purpose": "classify"})
    pool = Pool("m", lambda: [url])
    url = double("model_double", labels=THREE)
    model = Classifier("m", served, pool, Transport(), Guard(served), FunctionModel(respond))
    response = await model.request(prompt("Profits rose."), None, ModelRequestParameters())
    part = response.parts[0]
    assert isinstance(part, ToolCallPart)
    assert (part.tool_call_id, part.args) == ("x", {"tone": "positive", "quotes": []})


def test_labels_that_are_no_tones_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"id2label": {"0": "LABEL_0", "1": "Very Positive"}}')
    found = tones.labels(tmp_path)
    assert found == ("LABEL_0", "Very Positive")
    served = Served.model_validate({"name": "m", "weights": "w", "purpose": "classify"})
    with pytest.raises(UsageError, match="got LABEL_0: name them so in its config"):
        Classifier("m", served, Pool("m", list), Transport(), Guard(served), HouseModel(house.rules), labels=found)
    assert tones.labels(tmp_path / "none") == tones.labels(None) == ()


@pytest.mark.parametrize(
    ("label", "tone"),
    [("positive", "positive"), ("Very Negative", "very_negative"), ("NEUTRAL", "neutral"), ("bullish", None)],
)
def test_what_a_label_means(label: str, tone: str | None) -> None:
    assert tones.tone(label) == tone
