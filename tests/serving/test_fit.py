"""Prompts against a context: counted by a server, compacted with care for evidence, or refused with the numbers."""

import asyncio
import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.agents.workbench import summary
from openoutcry.core.errors import ModelOverflow
from openoutcry.desk import Desk
from openoutcry.serving.asking.fit import FLOOR, Context, Fitted, shorter
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport
from tests.serving.faulty import Faulty, count

Message = dict[str, Any]


def result(number: int, items: int = 12, padding: int = 40) -> dict[str, Any]:
    figures = {"var": [0.1, "fraction"], "last_date": ["2020-01-01", "date"]}
    seen = [f"E{number}.i{i} " + "x" * padding for i in range(items)]
    return {"id": f"E{number}", "tool": "measure", "figures": figures, "items": seen, "missing": ["a day"]}


def conversation(results: int = 3, memories: int = 3) -> list[Message]:
    kept = [{"id": f"M{i}", "claim": "it fell {M.var} " + "y" * 60} for i in range(memories)]
    prompt = {"question": {"text": "How risky is A?"}, "memories": kept}
    told = [{"role": "tool", "tool_call_id": f"c{i}", "content": json.dumps(result(i))} for i in range(results)]
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": json.dumps(prompt)}, *told]


def body(messages: list[Message], max_tokens: int = 1024) -> dict[str, Any]:
    return {"model": "m", "messages": messages, "max_tokens": max_tokens}


async def fitted(server: Faulty, asked: dict[str, Any], length: int = 1 << 20, **more: Any) -> tuple[Fitted, Any]:
    model = Served.model_validate({"name": "m", "weights": "w", "max_model_len": length, **more})
    found = await Context(model, Transport()).fit(server.url, asked, asyncio.get_running_loop().time() + 60)
    return found, json.loads(found.body)


async def test_what_fits_by_its_bytes_alone_is_sent_as_it_is_and_not_counted() -> None:
    with Faulty(length=1 << 20) as server:
        found, sent = await fitted(server, body(conversation()))
    assert sent == body(conversation())
    assert found.compacted == ()
    assert server.paths == ["/v1/models"]


async def test_the_count_is_the_servers_own_over_messages_and_tools() -> None:
    messages = conversation()
    asked = body(messages) | {"tools": [{"type": "function"}], "temperature": 0}
    tokens = count(messages)
    with Faulty(length=tokens + 1024) as server:
        found, sent = await fitted(server, asked)
    assert sent == asked
    assert found.compacted == ()
    assert server.counted == [{key: asked[key] for key in ("model", "messages", "tools")}]


@pytest.mark.parametrize(("stack", "server_"), [(1 << 20, 0), (0, 1 << 20)])
async def test_the_smaller_context_counts_and_the_answer_gets_the_room_there_is(stack: int, server_: int) -> None:
    asked = body(conversation())
    tokens = count(asked["messages"])
    with Faulty(length=server_ or tokens + 300) as server:
        found, sent = await fitted(server, asked, stack or tokens + 300)
    assert sent["max_tokens"] == 300
    assert (sent["messages"], found.compacted) == (asked["messages"], ())


async def test_memories_go_first() -> None:
    asked = body(conversation())
    with Faulty(length=count(asked["messages"]) + FLOOR - 1) as server:
        found, sent = await fitted(server, asked)
    assert found.compacted == ("memories",)
    assert json.loads(sent["messages"][1]["content"]) == {"question": {"text": "How risky is A?"}, "memories": []}
    assert sent["messages"][2:] == asked["messages"][2:]
    assert FLOOR <= sent["max_tokens"] == server.length - count(sent["messages"])  # type: ignore[operator]  # it has one


async def test_then_items_are_cut_to_five_and_it_is_said_how_many_are_left_out() -> None:
    asked = body(conversation(memories=0))
    with Faulty(length=count(asked["messages"]) + FLOOR - 1) as server:
        found, sent = await fitted(server, asked)
    assert found.compacted == ("items",)
    assert json.loads(sent["messages"][2]["content"]) == {
        **result(0),
        "items": result(0)["items"][:5],
        "items_left_out": 7,
    }


async def test_then_the_oldest_results_keep_their_figures_alone() -> None:
    asked = body(conversation())
    *_, (_, second_last), (names, last) = shorter(asked["messages"])
    with Faulty(length=count(second_last) + FLOOR) as server:
        found, sent = await fitted(server, asked)
    assert found.compacted == names == ("memories", "items", "results")
    told = [json.loads(m["content"]) for m in sent["messages"][2:]]
    assert told[:2] == [{k: result(i)[k] for k in ("id", "tool", "figures")} for i in range(2)]
    assert told[2]["items"] == result(2)["items"][:5]
    assert count(last) < count(second_last)


async def test_what_does_not_fit_even_so_is_an_error_with_the_numbers() -> None:
    asked = body(conversation())
    *_, (_, last) = shorter(asked["messages"])
    tokens = count(last)
    with (
        Faulty(length=tokens + FLOOR - 1) as server,
        pytest.raises(
            ModelOverflow, match=f"of 256 tokens to fit into {tokens + 255}, but the prompt alone takes {tokens} "
        ),
    ):
        await fitted(server, asked)


async def test_an_answer_that_asks_for_fewer_tokens_than_the_floor_gets_those() -> None:
    asked = body(conversation(), max_tokens=16)
    with Faulty(length=count(asked["messages"]) + 16) as server:
        found, sent = await fitted(server, asked)
    assert (sent, found.compacted) == (asked, ())


async def test_where_the_server_does_not_count_a_token_is_two_bytes() -> None:
    asked = body(conversation(memories=0))
    tokens = math.ceil(len(json.dumps({k: asked[k] for k in ("model", "messages")}, separators=(",", ":"))) / 2.0)
    with Faulty(length=None) as server:
        server.counts = False
        exact, _ = await fitted(server, asked, tokens + FLOOR)
        less, _ = await fitted(server, asked, tokens + FLOOR - 1)
    assert (exact.compacted, less.compacted) == ((), ("items",))


PIECES = re.compile(r"[^\r\n\w]?[^\W\d_]+|\d| ?[^\s\w]+[\r\n]*|_|\s+")
"""What Qwen's tokenizer splits a text into before it looks for tokens: there are at least as many of these."""


async def test_the_estimate_is_above_the_count_of_a_tokenizer_that_has_a_token_for_each_digit(
    sample_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    with Desk.open(home=tmp_path, backend="house") as desk:
        report = await desk.ask("How risky is AAPL?", "2022-06-30")
    told = [json.dumps(summary(evidence)) for evidence in report.evidence if evidence.id.startswith("E")]
    asked = body([{"role": "tool", "tool_call_id": "c", "content": content} for content in told])
    pieces = sum(len(PIECES.findall(content)) for content in told)
    with Faulty(length=None) as server, suppress(ModelOverflow):
        server.counts = False
        found, _ = await fitted(server, asked, pieces + FLOOR - 1)
        assert found.compacted, "so many tokens leave an answer less room than it needs"


async def test_the_coordinators_evidence_is_compacted_in_its_prompt() -> None:
    prompt = {"question": "q", "view": "E61", "evidence": [result(1), result(2)], "memories": [{"id": "M1"}]}
    forms = list(shorter([{"role": "user", "content": json.dumps(prompt)}]))
    assert [names for names, _ in forms] == [(), ("memories",), ("memories", "items"), ("memories", "items", "results")]
    (last,) = forms[-1][1]
    assert json.loads(last["content"]) == {
        "question": "q",
        "view": "E61",
        "evidence": [{k: result(i)[k] for k in ("id", "tool", "figures")} for i in (1, 2)],
        "memories": [],
    }


@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.builds(json.dumps, st.builds(result, st.integers(1, 9), st.integers(0, 9))))
    ),
    st.integers(0, 2),
)
def test_figures_and_plain_words_are_never_left_out(contents: list[str], memories: int) -> None:
    told = [{"role": "tool", "tool_call_id": "c", "content": content} for content in contents]
    asked = [*conversation(0, memories), {"role": "assistant", "content": "words"}, *told]
    for _, messages in shorter(asked):
        assert [m["role"] for m in messages] == [m["role"] for m in asked]
        for before, after in zip(asked[2:], messages[2:], strict=True):
            try:
                whole = json.loads(before["content"])["figures"]
            except (ValueError, TypeError, KeyError):
                assert before == after
            else:
                assert json.loads(after["content"])["figures"] == whole
