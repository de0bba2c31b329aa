"""A model asked alone, outside the desk, as public test sets and probes ask it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from openoutcry.agents.calls import OUTPUT, Call, Failed, Recording, why
from openoutcry.agents.house.model import NAME as HOUSE
from openoutcry.core.errors import ModelError, ModelGarbled
from openoutcry.eval.arithmetic import LONGEST, worked_out
from openoutcry.eval.outcome import Played
from openoutcry.eval.scenario import Bare

SEAT = "model"
"""The role under which its requests are kept."""


class Worked(BaseModel):
    """An answer that is to be worked out: the arithmetic, and what its value is counted in."""

    model_config = ConfigDict(extra="forbid")
    expression: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="arithmetic over numbers of the text, such as (118.5 - 110) / 110, not its result; + - * / ** ( ) "
        "and 5% for 0.05 are known, names and functions are not",
    )
    unit: Literal["number", "percent"] = Field(
        description="percent where the value is in points of a hundred, so that 7.7 means 7.7 %; else number"
    )

    @property
    def value(self) -> float:
        """Its value; a percentage as a fraction. Raises ValueError for what is no arithmetic."""
        return worked_out(self.expression) / (100 if self.unit == "percent" else 1)


async def play(asked: Bare, model: Model) -> Played:
    """Ask once; the calls it makes, the text it says, or the value of the expression that it answers.

    What is not in the form asked for is a `failure` that begins with schema, and a model that gives no answer one that
    begins with model or timeout; the request is kept either way. House rules answer for a role alone, and fail here.
    """
    if model.model_name == HOUSE:
        return Played(
            question=asked.prompt, failure="model: house rules speak for a role only; name a model to be asked"
        )
    calls: list[Call] = []
    recorded, parameters = Recording(model, SEAT, calls), _parameters(asked, model)
    try:
        played = _read(asked, await model_request(recorded, _messages(asked), model_request_parameters=parameters))
    except (ModelError, AgentRunError, Failed, TimeoutError) as error:
        played = Played(question=asked.prompt, failure=f"{_kind(error)}: {why(error)}")
    except ValueError as error:
        played = Played(question=asked.prompt, failure=f"schema: {_line(error)}")
    return played.model_copy(update={"calls": tuple(call.model_dump(mode="json") for call in calls)})


def _messages(asked: Bare) -> list[ModelMessage]:
    return [ModelRequest(parts=[UserPromptPart(asked.prompt)], instructions=asked.instructions or None)]


def _parameters(asked: Bare, model: Model) -> ModelRequestParameters:
    """What the model is offered: tools, or the form of a typed answer in the way that it is held to one."""
    if asked.answer == "calls":
        return ModelRequestParameters(function_tools=[_tool(tool) for tool in asked.tools])
    if asked.answer == "text":
        return ModelRequestParameters()
    schema, about = Worked.model_json_schema(), str(Worked.__doc__)
    if model.profile.get("default_structured_output_mode") == "native":
        form = OutputObjectDefinition(json_schema=schema, name="worked", description=about)
        return ModelRequestParameters(output_mode="native", output_object=form)
    tool = ToolDefinition(name=OUTPUT, parameters_json_schema=schema, description=about, kind="output")
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)


def _tool(given: dict[str, Any]) -> ToolDefinition:
    schema: dict[str, Any] = given.get("parameters") or {"type": "object", "properties": {}}
    return ToolDefinition(name=given["name"], parameters_json_schema=schema, description=given.get("description", ""))


def _read(asked: Bare, response: ModelResponse) -> Played:
    """The answer. Raises ValueError for one that is not in the form asked for."""
    text = (response.text or "").strip()
    if asked.answer == "worked":
        answer = Worked.model_validate_json(_typed(response) or text)
        return Played(question=asked.prompt, text=f"{answer.expression} ({answer.unit})", value=answer.value)
    made = tuple((call.tool_name, _arguments(call)) for call in response.tool_calls)
    offered = {str(tool["name"]) for tool in asked.tools} if asked.answer == "calls" else set[str]()
    if odd := sorted({name for name, _ in made} - offered):
        there = ", ".join(sorted(offered)) or "none"
        raise ValueError(f"expected calls of tools that were offered ({there}), got {', '.join(odd)}")
    if not text and not made:
        raise ValueError("expected text or a call, got neither")
    return Played(question=asked.prompt, text=text, made=tuple({"name": n, "arguments": a} for n, a in made))


def _arguments(call: ToolCallPart) -> dict[str, Any]:
    try:
        return call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        raise ValueError(f"{call.tool_name}: expected a JSON object as arguments, got {call.args!r:.80}") from None


def _typed(response: ModelResponse) -> str:
    return next((call.args_as_json_str() for call in response.tool_calls if call.tool_name == OUTPUT), "")


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return "schema" if isinstance(error, ModelGarbled) else "model"


def _line(error: ValueError) -> str:
    """The fault in one line; of a form with several, the first."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}"
    return " ".join(str(error).split())[:300]
