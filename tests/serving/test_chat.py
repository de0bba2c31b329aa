"""A chat model over real sockets: what it asks, what it takes for an answer, and what it keeps."""

import asyncio
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from openoutcry.core import egress
from openoutcry.core.errors import (
    ModelCutShort,
    ModelOverflow,
)
from openoutcry.serving.asking.cache import Answers, store_of
from openoutcry.serving.stack import CacheSettings
from tests.serving.bench import ANSWER, MEASURE, Said, agent_of, bench
from tests.serving.faulty import Faulty, answers, says, waits


@contextmanager
def kept(home: Path) -> Generator[Answers]:
    answers = Answers(store_of(CacheSettings(), home), 60)
    yield answers
    answers.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_are_called_first_and_the_answer_is_held_to_its_schema(stream: bool) -> None:
    with Faulty(MEASURE, says("It may fall, I think."), says(ANSWER)) as server:
        desk = bench(server, stream=stream)
        result = await agent_of(desk.model()).run("How risky is AAPL?")
    assert result.output == Said(claims=["it may fall {E1.var}"], lean="down")
    first, second, third = server.asked
    assert [a.get("tool_choice") for a in server.asked] == ["auto", "auto", "none"]
    assert ["response_format" in a for a in server.asked] == [False, False, True]
    assert third["response_format"]["json_schema"]["schema"]["required"] == ["claims", "lean"]
    assert first["tools"] == second["tools"] == third["tools"]
    assert third["messages"] == second["messages"]
    assert second["messages"][:2] == first["messages"]
    assert (first["model"], first["temperature"], first["seed"], first["max_tokens"]) == ("m", 0.0, 0, 1024)
    assert desk.outcomes == ["ok"] * 3
    assert (desk.asked[0].prompt, desk.asked[0].answer, desk.asked[0].cached) == (30, 7, 16)
    assert all((a.first > 0) is stream and a.seconds > a.first for a in desk.asked)


async def test_text_that_is_the_answer_already_is_not_asked_for_again() -> None:
    with Faulty(MEASURE, says(ANSWER)) as server:
        desk = bench(server)
        result = await agent_of(desk.model()).run("How risky is AAPL?")
    assert result.output.lean == "down"
    assert len(server.asked) == 2


async def test_what_is_said_beside_a_call_is_shown_to_the_model_again() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "measure", "arguments": '{"ticker": "AAPL"}'}}
    with Faulty(answers({"content": "I look.", "tool_calls": [call]}, "tool_calls"), says(ANSWER)) as server:
        await agent_of(bench(server).model()).run("How risky is AAPL?")
    said = server.asked[1]["messages"][2]
    assert (said["content"], len(said["tool_calls"])) == ("I look.", 1)


async def test_without_tools_the_first_request_is_held_to_the_schema() -> None:
    with Faulty(says(ANSWER)) as server:
        response = await bench(server).ask()
    (asked,) = server.asked
    assert "tools" not in asked and "tool_choice" not in asked
    assert asked["response_format"]["type"] == "json_schema"
    assert (response.model_name, response.finish_reason) == ("m", "stop")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.cache_read_tokens) == (30, 7, 16)
    details = response.provider_details or {}
    assert (details["url"], details["source"]) == (server.url, "model")
    assert 0 < details["seconds"] < 60


async def test_plain_text_is_given_as_it_came() -> None:
    with Faulty(says("hello there")) as server:
        result = await Agent(bench(server).model()).run("hi")
    assert result.output == "hello there"
    assert "response_format" not in server.asked[0]


async def test_other_engines_know_a_model_by_its_weights_and_an_adapter_by_its_name() -> None:
    with Faulty(says(ANSWER)) as server:
        desk = bench(server, engine="ollama", url=server.url, weights="qwen3:8b", adapters={"tuned": "w2"})
        await desk.ask()
        await desk.ask(name="tuned")
    assert [a["model"] for a in server.asked] == ["qwen3:8b", "tuned"]


async def test_a_prompt_is_compacted_and_the_response_says_so() -> None:
    memories = [{"id": f"M{i}", "claim": "it fell " * 20} for i in range(20)]
    prompt = json.dumps({"question": "How risky is AAPL?", "memories": memories})
    with Faulty(says(ANSWER), length=1100) as server:
        response = await bench(server).ask(prompt)
        assert (response.provider_details or {})["compacted"] == ["memories"]
        assert json.loads(server.asked[0]["messages"][1]["content"])["memories"] == []
        with pytest.raises(ModelOverflow, match=r"^m: expected a prompt and an answer of 256 tokens to fit into 1100"):
            await bench(server).ask("x" * 8000)
    assert len(server.asked) == 1


async def test_an_answer_is_kept_and_given_again(tmp_path: Path) -> None:
    with Faulty(MEASURE, says(ANSWER)) as server, kept(tmp_path) as answers:
        desk = bench(server)
        desk.answers = answers
        first = await agent_of(desk.model()).run("How risky is AAPL?")
        again = await agent_of(desk.model(role="analyst")).run("How risky is AAPL?")
        assert again.output == first.output
        assert len(server.asked) == 2
        last = again.all_messages()[-1]
        assert isinstance(last, ModelResponse)
        assert (last.provider_details or {})["source"] == "cache"
        await agent_of(desk.model(digest="other weights")).run("How risky is AAPL?")
    assert [(a.source, a.role) for a in desk.asked] == [
        *[("model", "risk")] * 2,
        *[("cache", "analyst")] * 2,
        ("model", "risk"),
    ]
    assert [a.prompt for a in desk.asked] == [30] * 5


async def test_a_faulty_answer_is_not_kept(tmp_path: Path) -> None:
    with Faulty("wrong schema", "length", says(ANSWER)) as server, kept(tmp_path) as answers:
        desk = bench(server)
        desk.answers = answers
        with pytest.raises(ModelCutShort):
            await desk.ask()
        await desk.ask()
    assert len(server.asked) == 3


async def test_identical_requests_in_the_air_are_one() -> None:
    with Faulty(waits(0.3, says(ANSWER))) as server:
        desk = bench(server)
        found = await asyncio.gather(*(desk.ask() for _ in range(5)))
    assert len(server.asked) == 1
    assert sorted(str((f.provider_details or {})["source"]) for f in found) == ["model", *["shared"] * 4]
    assert sorted(a.source for a in desk.asked) == ["model", *["shared"] * 4]


@pytest.mark.parametrize(("sampled", "requests"), [(False, 2), (True, 1)])
async def test_answers_that_were_drawn_are_kept_only_where_it_is_said(
    tmp_path: Path, sampled: bool, requests: int
) -> None:
    with Faulty(says(ANSWER)) as server, kept(tmp_path) as answers:
        desk = bench(server, temperature=0.7)
        desk.answers = answers
        await desk.ask(sampled=sampled)
        await desk.ask(sampled=sampled)
    assert len(server.asked) == requests
    assert server.asked[0]["temperature"] == 0.7


async def test_threads_with_event_loops_of_their_own_share_a_model() -> None:
    with Faulty(waits(0.01, says(ANSWER))) as server:
        desk, found = bench(server, concurrency=2), list[ModelResponse]()

        def ask(number: int) -> None:
            for i in range(3):
                found.append(asyncio.run(desk.ask(f"question {number} {i}")))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert len(found) == len(server.asked) == 18
    assert desk.pool.outstanding == {server.url: 0}


async def test_no_byte_leaves_this_machine() -> None:
    with Faulty(says(ANSWER)) as server, egress.counted() as ledger:
        await bench(server).ask()
    assert list(ledger.sent) == [server.url.removeprefix("http://")]
    assert sum(ledger.sent.values()) > len(json.dumps(server.asked[0]["messages"]))
    assert ledger.left == 0


async def test_a_request_by_itself_needs_no_agent() -> None:
    with Faulty(says("hello")) as server:
        model = bench(server).model()
        response = await model.request(
            [ModelRequest([UserPromptPart("hi")])], {"temperature": 0.5, "max_tokens": 9}, ModelRequestParameters()
        )
    assert response.text == "hello"
    assert (server.asked[0]["temperature"], server.asked[0]["max_tokens"]) == (0.5, 9)
    assert (model.model_name, model.system) == ("m", "vllm")
