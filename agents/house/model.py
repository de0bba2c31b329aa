"""The house model: rules behind pydantic-ai's Model interface, in the same loop as a language model."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings

NAME = "house"
EITHER = ModelProfile(supports_json_schema_output=True)
"""It answers by a call of the output tool, or, where it stands in for a model that does, by text in the schema."""


@dataclass(frozen=True, slots=True)
class Step:
    """A tool call that the rules want made."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool call gave, as the model was shown it."""

    tool: str
    arguments: dict[str, Any]
    id: str
    figures: dict[str, list[Any]]
    items: list[str]

    def __contains__(self, name: str) -> bool:
        return name in self.figures

    def ref(self, name: str) -> str:
        """A reference to a figure, as a claim holds it."""
        return f"{{{self.id}.{name}}}"

    def value(self, name: str) -> float:
        """A figure as a number."""
        return float(self.figures[name][0])


Rules = Callable[[str, Sequence[Result]], "list[Step] | BaseModel"]


def remembered(memories: Sequence[dict[str, Any]], kind: str, tool: str = "memory") -> list[Result]:
    """The memories of a prompt that are of *kind*, in their order, as results whose figures can be referred to."""
    return [Result(tool, {"claim": m["claim"]}, m["id"], m["figures"], []) for m in memories if m["kind"] == kind]


class HouseModel(Model):
    """Answers by *rules*: given the prompt and the results so far, more steps or the final answer."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(profile=EITHER)
        self._rules = rules

    @property
    def model_name(self) -> str:
        """Shown in reports."""
        return NAME

    @property
    def system(self) -> str:
        """No provider: the rules are part of this package."""
        return "openoutcry"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Apply the rules once."""
        model_settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        prompt, results = _conversation(messages)
        answer = self._rules(prompt, results)
        if isinstance(answer, BaseModel):
            part = _final(answer, parameters)
            return ModelResponse(parts=[part], model_name=NAME, finish_reason="stop")
        calls = [
            ToolCallPart(step.tool, step.arguments, tool_call_id=f"call-{len(results) + i}")
            for i, step in enumerate(answer, 1)
        ]
        return ModelResponse(parts=calls, model_name=NAME, finish_reason="tool_call")


def _final(answer: BaseModel, parameters: ModelRequestParameters) -> ToolCallPart | TextPart:
    values = answer.model_dump(mode="json")
    if parameters.output_tools:
        return ToolCallPart(parameters.output_tools[0].name, values, tool_call_id="answer")
    return TextPart(json.dumps(values))


def _result(tool: str, arguments: dict[str, Any], seen: dict[str, Any]) -> Result:
    return Result(tool, arguments, str(seen["id"]), seen.get("figures", {}), seen.get("items", []))


def _conversation(messages: list[ModelMessage]) -> tuple[str, list[Result]]:
    """The prompt, and each tool result with the arguments of its call, in order."""
    prompt, arguments, results = "", dict[str, dict[str, Any]](), list[Result]()
    for message in messages:
        for part in message.parts:
            if isinstance(part, UserPromptPart):
                prompt = str(part.content)
            elif isinstance(part, ToolCallPart):
                arguments[part.tool_call_id] = part.args_as_dict()
            elif isinstance(part, ToolReturnPart) and part.tool_call_id in arguments:
                seen: Any = part.content
                if isinstance(seen, dict) and "id" in seen:
                    results.append(_result(part.tool_name, arguments[part.tool_call_id], cast("dict[str, Any]", seen)))
    return prompt, results
