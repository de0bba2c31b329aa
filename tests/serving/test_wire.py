"""What is sent, read by the stock client of OpenAI; and what comes back, word for word."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic_ai import Agent, BinaryContent, ModelRetry
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.output import OutputObjectDefinition

from openoutcry.core.errors import (
    ModelBusy,
    ModelCutShort,
    ModelError,
    ModelGarbled,
    ModelOverflow,
    ModelRefused,
    UsageError,
)
from openoutcry.serving.asking.completion import Completion, Expected, joined, opened, read, refusal, spent
from openoutcry.serving.asking.wire import Form, form_of, messages_of, tools_of
from openoutcry.serving.transport import Reply
from tests.serving.faulty import completion, events


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")
    claims: list[str]
    lean: str = "none"


FORM = Form("final_result", Said.model_json_schema(), as_call=True)
ANSWER = '{"claims":["it fell {E1.var}"],"lean":"down"}'


async def conversed() -> tuple[list[ModelMessage], ModelRequestParameters]:
    """A conversation as pydantic-ai has it: a bad call, two good ones at once, thoughts, two answers sent back."""
    seen: list[tuple[list[ModelMessage], ModelRequestParameters]] = []
    script: list[list[Any]] = [
        [ToolCallPart("measure", {"ticker": 1}, tool_call_id="x1")],
        [
            TextPart("I look."),
            ThinkingPart("hm"),
            ToolCallPart("measure", '{"ticker": "A"}', tool_call_id="x2"),
            ToolCallPart("measure", {"ticker": "B"}, tool_call_id="x3"),
        ],
        [TextPart("it fell")],
        [ToolCallPart("final_result", ANSWER, tool_call_id="x4")],
        [ToolCallPart("final_result", ANSWER, tool_call_id="x5")],
    ]

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append((list(messages), info.model_request_parameters))
        return ModelResponse(script[len(seen) - 1])

    agent = Agent(FunctionModel(respond), output_type=Said, instructions="Be brief.", retries=3)

    @agent.tool_plain
    def measure(ticker: str) -> dict[str, Any]:
        """Measure it."""
        return {"id": f"E{ticker}", "figures": {"var": [0.1, "fraction"]}}

    @agent.output_validator
    def validate(said: Said) -> Said:
        if len(seen) == 4:
            raise ModelRetry("not grounded")
        return said

    assert measure and validate
    await agent.run("How risky is A?")
    return seen[-1]


async def test_a_whole_conversation_is_what_the_protocol_says() -> None:
    history, parameters = await conversed()
    sent = messages_of(history, form_of(parameters))
    TypeAdapter(list[ChatCompletionMessageParam]).validate_python(sent, strict=True)
    assert [
        m["role"] for m in sent
    ] == "system user assistant tool assistant tool tool assistant user assistant user".split()
    assert sent[0]["content"] == "Be brief."
    assert sent[1]["content"] == "How risky is A?"
    assert [c["function"]["arguments"] for c in sent[4]["tool_calls"]] == ['{"ticker":"A"}', '{"ticker":"B"}']
    assert sent[4]["content"] == "I look."
    assert "valid string" in sent[3]["content"]
    assert json.loads(sent[6]["content"]) == {"id": "EB", "figures": {"var": [0.1, "fraction"]}}
    assert sent[7]["content"] == "it fell"
    assert "json_invalid" in sent[8]["content"]
    assert sent[9] == {"role": "assistant", "content": ANSWER}
    assert "not grounded" in sent[10]["content"]


async def test_call_ids_are_numbered_so_that_the_same_conversation_is_the_same_bytes() -> None:
    history, parameters = await conversed()
    sent = messages_of(history, form_of(parameters))
    made = [c["id"] for m in sent for c in m.get("tool_calls", ())]
    assert made == ["call00001", "call00002", "call00003"]
    assert [m["tool_call_id"] for m in sent if m["role"] == "tool"] == made
    assert all(len(name) == 9 and name.isalnum() for name in made)


async def test_a_conversation_only_ever_grows_at_its_end() -> None:
    history, parameters = await conversed()
    form = form_of(parameters)
    whole = messages_of(history, form)
    for length in range(1, len(history)):
        part = messages_of(history[:length], form)
        assert part == whole[: len(part)]


async def test_tools_and_the_form_are_what_the_protocol_says() -> None:
    _, parameters = await conversed()
    (tool,) = tools_of(parameters)
    TypeAdapter(ChatCompletionToolParam).validate_python(tool, strict=True)
    assert (tool["function"]["name"], tool["function"]["description"]) == ("measure", "Measure it.")
    form = form_of(parameters)
    assert form is not None
    held = form.response_format["json_schema"]
    assert (form.response_format["type"], held["name"], held["strict"]) == ("json_schema", "final_result", True)
    assert (held["schema"]["required"], held["schema"]["additionalProperties"]) == (["claims"], False)


def test_the_form_of_plain_text_and_of_an_output_object() -> None:
    assert form_of(ModelRequestParameters()) is None
    shape = OutputObjectDefinition(json_schema=Said.model_json_schema(), name="Said")
    form = form_of(ModelRequestParameters(output_mode="native", output_object=shape))
    assert form == Form("Said", Said.model_json_schema(), as_call=False)


def test_an_answer_that_was_taken_is_not_spoken_of() -> None:
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("a")]),
        ModelResponse([ToolCallPart("final_result", ANSWER, tool_call_id="1")]),
        ModelRequest([ToolReturnPart("final_result", "done", tool_call_id="1"), UserPromptPart(["b", "c"])]),
        ModelResponse([]),
    ]
    assert [m["content"] for m in messages_of(history, FORM)] == ["a", ANSWER, "b\nc"]


def test_only_text_is_sent() -> None:
    picture = BinaryContent(b"x", media_type="image/png")
    with pytest.raises(UsageError, match="expected text for the model, got BinaryContent"):
        messages_of([ModelRequest([UserPromptPart(["look", picture])])], None)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (ANSWER, True),
        ('{"claims": []}', True),
        (' \n{"claims": []}\n', True),
        ('{"lean": "up"}', False),
        ('{"claims": [], "more": 1}', False),
        ('["claims"]', False),
        ('{"claims": []', False),
        ("```json\n{}\n```", False),
        ("", False),
    ],
)
def test_whether_a_text_is_in_form(text: str, fits: bool) -> None:
    assert FORM.fits(text) is fits


OFFERED = Expected(frozenset({"measure"}), FORM, held=False)
HELD = Expected(frozenset(), FORM, held=True)


def whole(message: dict[str, Any], finish: str | None = "stop") -> bytes:
    return json.dumps(completion(message, finish)).encode()


def call(name: str = "measure", arguments: str = '{"ticker": "A"}') -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_an_answer_is_read_with_its_tokens() -> None:
    message = {"content": ANSWER, "reasoning_content": "secret thoughts", "reasoning": "more", "refusal": None}
    assert read(opened(whole(message)), HELD) == Completion(text=ANSWER, prompt=30, answer=7, cached=16)
    said = read(opened(whole({"content": "", "tool_calls": [call(), call(arguments="")]}, "tool_calls")), OFFERED)
    assert [(c.name, c.arguments) for c in said.calls] == [("measure", '{"ticker": "A"}'), ("measure", "{}")]
    bare = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
    assert read(opened(bare), Expected(frozenset(), None, held=False)) == Completion(text="hi")


def test_a_call_of_the_answer_itself_is_the_answer() -> None:
    said = read(opened(whole({"content": None, "tool_calls": [call("final_result", ANSWER)]}, "tool_calls")), OFFERED)
    assert (said.text, said.calls) == (ANSWER, ())


@pytest.mark.parametrize(
    "message", [{"content": "one two"}, {"content": None, "tool_calls": [call(), call("other", "{}")]}]
)
def test_a_stream_joined_is_the_completion_whole(message: dict[str, Any]) -> None:
    either = Expected(frozenset({"measure", "other"}), FORM, held=False)
    pieces = [opened(json.dumps(e).encode()) for e in events(message, "stop")]
    streamed, sent = read(joined(pieces), either), read(opened(whole(message)), either)
    assert streamed.model_copy(update={"text": streamed.text.strip()}) == sent


@pytest.mark.parametrize(
    ("data", "expected", "error", "says"),
    [
        (b"<html>", HELD, ModelGarbled, "got '<html>'"),
        (b"[]", HELD, ModelGarbled, "got '\\[\\]'"),
        (b'{"choices": 3}', HELD, ModelGarbled, "expected a completion"),
        (b'{"choices": []}', HELD, ModelGarbled, "one without"),
        (b'{"choices": [{"finish_reason": "stop"}]}', HELD, ModelGarbled, "one without"),
        (b'{"error": {"message": "the engine\\ndied"}}', HELD, ModelRefused, "an error: the engine died;"),
        (whole({"content": ANSWER}, "length"), HELD, ModelCutShort, "'length': it reached `max_tokens`"),
        (whole({"content": ANSWER}, None), HELD, ModelCutShort, "finish reason None"),
        (whole({"content": ANSWER}, "abort"), HELD, ModelCutShort, "'abort'"),
        (whole({"content": None}), OFFERED, ModelGarbled, "neither"),
        (whole({"content": " \n"}), HELD, ModelGarbled, "neither"),
        (whole({"content": '{"verdict": 1}'}), HELD, ModelGarbled, "a JSON object with claims, got"),
        (whole({"content": "<tool_call>\n{"}), OFFERED, ModelGarbled, "that its server could not read"),
        (whole({"content": None, "tool_calls": [call("sell")]}), OFFERED, ModelGarbled, "'sell'; there are measure"),
        (
            whole({"content": None, "tool_calls": [call(arguments='{"a"')]}),
            OFFERED,
            ModelGarbled,
            "arguments of measure",
        ),
        (
            whole({"content": None, "tool_calls": [call(arguments="[1]")]}),
            OFFERED,
            ModelGarbled,
            "arguments of measure",
        ),
        (whole({"content": None, "tool_calls": [call("final_result", "{}")]}), OFFERED, ModelGarbled, "final_result"),
        (whole({"content": None, "tool_calls": [call()]}), HELD, ModelGarbled, "'measure'; there are none"),
        (whole({"content": None, "tool_calls": [{"id": "c"}]}), OFFERED, ModelGarbled, "got ''"),
    ],
)
def test_a_faulty_answer_is_an_error_that_says_what_came(
    data: bytes, expected: Expected, error: type[ModelError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        read(opened(data), expected)
    assert "\n" not in str(raised.value)


def test_text_beside_tools_is_an_answer_that_may_not_be_in_form() -> None:
    assert read(opened(whole({"content": "I think it fell"})), OFFERED).text == "I think it fell"


LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000."


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, {"error": {"message": LONG}}, ModelOverflow, "maximum context length is 4096"),
        (400, {"error": {"message": "bad tool"}}, ModelRefused, "status 400: bad tool;"),
        (404, {"object": "error", "message": "no such model"}, ModelRefused, "status 404: no such model;"),
        (422, {"detail": [{"loc": ["body"]}]}, ModelRefused, "status 422"),
        (429, {"error": "slow down"}, ModelBusy, "busy"),
        (503, "loading", ModelBusy, "status 503: loading"),
        (500, {"error": {"message": LONG}}, ModelRefused, "status 500"),
        (500, "x" * 1000, ModelRefused, "status 500: x{200};"),
    ],
)
def test_an_error_of_the_server_is_told_in_short(status: int, body: Any, error: type[ModelError], says: str) -> None:
    data = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(error, match=says):
        raise refusal(Reply(status, data.encode()))


def test_an_answer_that_cannot_be_used_says_what_it_cost() -> None:
    choice = {"message": {"content": "on and on"}, "finish_reason": "length"}
    said = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 512}}
    with pytest.raises(ModelCutShort) as told:
        spent(opened(json.dumps(said).encode()), Expected(frozenset(), None, held=False))
    assert told.value.tokens == 612
