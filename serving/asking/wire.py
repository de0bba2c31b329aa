"""OpenAI's chat protocol, the way out: a conversation of pydantic-ai as a server is sent it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters

from openoutcry.core.errors import UsageError

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a typed answer, and its JSON schema. `as_call`: pydantic-ai wants it as a call of that name."""

    name: str
    schema: dict[str, Any]
    as_call: bool

    def fits(self, text: str) -> bool:
        """Whether *text* is a JSON object with the keys that the schema asks for. Its values are not looked at."""
        try:
            value: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        known: dict[str, Any] = self.schema.get("properties", {})
        closed = self.schema.get("additionalProperties") is False
        return (
            isinstance(value, dict)
            and all(key in value for key in self.schema.get("required", ()))
            and not (closed and any(key not in known for key in cast("dict[str, Any]", value)))
        )

    @property
    def response_format(self) -> dict[str, Any]:
        """What has the server answer in this form and no other."""
        return {"type": "json_schema", "json_schema": {"name": self.name, "schema": self.schema, "strict": True}}


def form_of(parameters: ModelRequestParameters) -> Form | None:
    """The form that an answer is to have, or None where it is plain text."""
    if parameters.output_tools:
        tool = parameters.output_tools[0]
        return Form(tool.name, tool.parameters_json_schema, as_call=True)
    if parameters.output_object:
        return Form(parameters.output_object.name or "answer", parameters.output_object.json_schema, as_call=False)
    return None


def tools_of(parameters: ModelRequestParameters) -> list[dict[str, Any]]:
    """The tools on offer, in their order, which is the same each time."""
    return [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.description or "", "parameters": t.parameters_json_schema},
        }
        for t in parameters.function_tools
    ]


def messages_of(history: Sequence[ModelMessage], form: Form | None) -> list[Message]:
    """A conversation, instructions first. Raises UsageError for content that is not text.

    Call ids are numbered as they come, so that the same conversation is the same bytes. An earlier answer in *form* is
    shown as the text that it was, and what was said against it as the user's word: no tool of that name is on offer.
    """
    sent: list[Message] = []
    told = next((m.instructions for m in reversed(history) if isinstance(m, ModelRequest) and m.instructions), None)
    if told:
        sent.append({"role": "system", "content": told})
    ids: dict[str, str] = {}
    name = form.name if form and form.as_call else ""
    for message in history:
        if isinstance(message, ModelResponse):
            sent += _said(message, name, ids)
        else:
            sent += [mapped for part in message.parts if (mapped := _heard(part, name, ids))]
    return sent


def _said(message: ModelResponse, answer: str, ids: dict[str, str]) -> list[Message]:
    texts, calls = list[str](), list[dict[str, Any]]()
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ToolCallPart) and part.tool_name == answer:
            texts.append(part.args_as_json_str())
        elif isinstance(part, ToolCallPart):
            # Nine letters and digits: Mistral's templates refuse any other id.
            id_ = ids.setdefault(part.tool_call_id, f"call{len(ids) + 1:05}")
            function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
            calls.append({"id": id_, "type": "function", "function": function})
    if not texts and not calls:
        return []
    said: Message = {"role": "assistant", "content": "\n".join(texts)}
    return [said | {"tool_calls": calls}] if calls else [said]


def _heard(part: ModelRequestPart, answer: str, ids: dict[str, str]) -> Message | None:
    if isinstance(part, UserPromptPart):
        return {"role": "user", "content": _text(part)}
    if isinstance(part, SystemPromptPart):
        return {"role": "user", "content": part.content}
    if isinstance(part, ToolReturnPart):
        if part.tool_name != answer:
            known = ids.get(part.tool_call_id, part.tool_call_id)
            return {"role": "tool", "tool_call_id": known, "content": part.model_response_str()}
        return _returned(part.model_response_str(wrap_if_error=False)) if part.outcome == "retried" else None
    raise UsageError(f"expected text for the model, got a {part.part_kind}; leave it out")


def _returned(why: str) -> Message:
    return {"role": "user", "content": f"Your answer was returned: {why}\nAnswer again, in the same form."}


def _text(part: UserPromptPart) -> str:
    content = [part.content] if isinstance(part.content, str) else part.content
    if odd := [type(c).__name__ for c in content if not isinstance(c, str)]:
        raise UsageError(f"expected text for the model, got {', '.join(odd)}; leave it out")
    return "\n".join(str(c) for c in content)
