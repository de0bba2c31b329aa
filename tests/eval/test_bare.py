"""A model asked alone: the calls, the words or the arithmetic that it answers, and what is not in that form."""

import asyncio
import contextlib
import json
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.profiles import ModelProfile

from openoutcry import wiring
from openoutcry.agents.calls import Call
from openoutcry.core.errors import ModelGarbled, ModelUnreachable
from openoutcry.eval import bare
from openoutcry.eval.arithmetic import DEEPEST, LONGEST, worked_out
from openoutcry.eval.outcome import Played
from openoutcry.eval.scenario import Bare

ADD = {
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
}
WORKED = Bare(instructions="Be exact.", prompt="What is half of three?", answer="worked")
CALLS = Bare(prompt="Add 1.", tools=(ADD,), answer="calls")
TEXT = Bare(prompt="Say yes.")
NATIVE = ModelProfile(supports_json_schema_output=True, default_structured_output_mode="native")
Said = Callable[[list[ModelMessage], AgentInfo], ModelResponse]


def double(*parts: Any, profile: ModelProfile | None = None, seen: list[AgentInfo] | None = None) -> Model:
    """A model that always answers *parts*, and keeps in *seen* what it was offered."""

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if seen is not None:
            seen.append(info)
        return ModelResponse(parts=list(parts))

    return FunctionModel(answer, profile=profile)


def failing(error: Exception) -> Model:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise error

    return FunctionModel(answer)


def play(asked: Bare, model: Model) -> Played:
    return asyncio.run(bare.play(asked, model))


def worked(expression: str, unit: str = "number") -> dict[str, str]:
    return {"expression": expression, "unit": unit}


def test_text_is_kept_with_the_request_that_got_it() -> None:
    played = play(TEXT, double(TextPart(" Yes. ")))
    assert (played.text, played.failure, played.made, played.value) == ("Yes.", "", (), None)
    (call,) = [Call.model_validate(call) for call in played.calls]
    assert call.role == bare.SEAT
    assert call.prompt == [{"part": "user-prompt", "content": "Say yes."}]
    assert call.response["parts"][0]["content"] == " Yes. "


def test_instructions_go_before_the_prompt() -> None:
    played = play(WORKED, double(ToolCallPart("final_result", worked("3 / 2"))))
    assert [line["content"] for line in played.calls[0]["prompt"]] == ["Be exact.", "What is half of three?"]


def test_calls_come_as_they_were_made() -> None:
    seen: list[AgentInfo] = []
    played = play(CALLS, double(ToolCallPart("add", {"a": 1}), ToolCallPart("add", '{"a": 2.5}'), seen=seen))
    assert played.made == ({"name": "add", "arguments": {"a": 1}}, {"name": "add", "arguments": {"a": 2.5}})
    (tool,) = seen[0].function_tools
    assert (tool.name, tool.description, tool.parameters_json_schema) == ("add", "Adds.", ADD["parameters"])


@pytest.mark.parametrize("profile", [None, NATIVE], ids=["as a call", "as text"])
def test_the_value_is_worked_out_here_and_not_by_the_model(profile: ModelProfile | None) -> None:
    seen: list[AgentInfo] = []
    answer = worked("100 * 3 / 2", "percent")
    part = TextPart(json.dumps(answer)) if profile else ToolCallPart("final_result", answer)
    played = play(WORKED, double(part, profile=profile, seen=seen))
    assert (played.value, played.text, played.failure) == (1.5, "100 * 3 / 2 (percent)", "")
    parameters = seen[0].model_request_parameters
    assert parameters.output_mode == ("native" if profile else "tool")
    schema = parameters.output_object.json_schema if parameters.output_object else None
    assert (schema or parameters.output_tools[0].parameters_json_schema)["required"] == ["expression", "unit"]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (WORKED, TextPart("about one and a half")),
        (WORKED, TextPart('{"expression": "1"}')),
        (WORKED, ToolCallPart("final_result", worked("3 / 2", "dollars"))),
        (WORKED, ToolCallPart("final_result", worked("half(3)"))),
        (WORKED, ToolCallPart("final_result", worked("3 / 0"))),
        (WORKED, ToolCallPart("final_result", worked("3") | {"why": "because"})),
        (CALLS, ToolCallPart("subtract", {"a": 1})),
        (CALLS, ToolCallPart("add", "[1]")),
        (CALLS, ToolCallPart("add", '{"a": ')),
        (CALLS, TextPart("  ")),
        (TEXT, TextPart("")),
        (TEXT, ToolCallPart("add", {"a": 1})),
    ],
)
def test_what_is_not_in_the_form_asked_for_is_a_failure_of_schema(asked: Bare, part: Any) -> None:
    played = play(asked, double(part))
    assert played.failure.startswith("schema: ")
    assert "\n" not in played.failure
    assert (played.text, played.made, played.value) == ("", (), None)
    assert len(played.calls) == 1


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ModelUnreachable("no server answers"), "model: no server answers"),
        (ModelGarbled("expected JSON"), "schema: expected JSON"),
        (TimeoutError(), "timeout: its deadline passed"),
    ],
)
def test_a_model_without_an_answer_says_why(error: Exception, failure: str) -> None:
    played = play(TEXT, failing(error))
    assert played.failure == failure
    assert played.calls[0]["failure"]


@pytest.mark.parametrize("asked", [TEXT, CALLS, WORKED])
def test_house_rules_fail_clearly_where_they_are_asked_alone(asked: Bare) -> None:
    for model in wiring.house_models().values():
        assert play(asked, model).failure.startswith("model: house rules")


Tree = tuple[str, float | None]
SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b,
}


def _joined(parts: tuple[Tree, str, Tree]) -> Tree:
    """An expression, and what Python makes of it: None where that is no number."""
    (left, a), sign, (right, b) = parts
    text = f"({left} {sign} {right})"
    return text, None if a is None or b is None or (sign == "/" and not b) else SIGNS[sign](a, b)


LEAVES: st.SearchStrategy[Tree] = st.floats(-1e6, 1e6).map(lambda n: (repr(n), n))
TREES = st.recursive(LEAVES, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(_joined), max_leaves=8)


@given(TREES)
def test_arithmetic_agrees_with_python(tree: Tree) -> None:
    text, value = tree
    assume(len(text) <= LONGEST)
    if value is None or not math.isfinite(value):
        with pytest.raises(ValueError, match="expected"):
            worked_out(text)
    else:
        assert worked_out(text) == value


@given(*[st.integers(-999, 999)] * 4)
def test_arithmetic_agrees_with_fractions(a: int, b: int, c: int, d: int) -> None:
    assume(d != 0)
    assert worked_out(f"{a} + {b} * {c} / {d} - {a}") == pytest.approx(float(Fraction(b) * c / d), abs=1e-9)
    assert worked_out(f"-{abs(a)} ** 2") == -(a**2)


@given(st.floats(-50, 50), st.integers(-6, 6))
def test_powers_agree_with_python(base: float, exponent: int) -> None:
    assume(base != 0 and abs(base) > 1e-3)
    assert worked_out(f"({base!r}) ** ({exponent})") == pytest.approx(base**exponent)


@given(st.integers(0, 10**12), st.integers(0, 99))
def test_thousands_and_percent_are_read_as_they_are_printed(whole: int, cents: int) -> None:
    assert worked_out(f"{whole:,}.{cents:02d}") == pytest.approx(float(f"{whole}.{cents:02d}"))
    assert worked_out(f"{whole:,}%") == pytest.approx(whole / 100)
    assert worked_out(f"2 * {cents} % + 1") == pytest.approx(2 * cents / 100 + 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x + 1",
        "pi",
        "__import__('os').system('true')",
        "(1).__class__",
        "[1, 2][0]",
        "(lambda: 1)()",
        "1 if 1 else 2",
        "True + 1",
        "'1' * 9",
        "1 // 2",
        "7 % 3",
        "1; 2",
        "a := 3",
        "1j * 1j",
        "1 << 40",
        "~1",
        "1,2",
        "9 ** 9 ** 9 ** 9",
        "10 ** 65",
        "2 ** 0.5 ** -99",
        "(-8) ** (1 / 3)",
        "0 ** -1",
        "1e308 * 10",
        "1e999",
        "1 / (2 - 2)",
        "(" * 300 + "1",
        "-" * (DEEPEST + 2) + "1",
        "1+" * 150 + "1",
        "1 + 1" + " " * LONGEST + "+ 1",
        "1\n+ 1",
        "\x00",
    ],
)
def test_whatever_else_is_written_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        worked_out(text)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=LONGEST))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(worked_out(text))


@given(st.text("0123456789eE.,%+-*/() ", max_size=60))
def test_no_jumble_of_its_own_characters_does_either(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(worked_out(text))
