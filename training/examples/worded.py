"""What a role was asked and answered in a run, word for word as a server is sent it."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from openoutcry.agents.calls import OUTPUT, Call, compacted, stood_in
from openoutcry.core.report import Kind
from openoutcry.training.examples.rows import Message

SAID = ("text", "tool-call", "thinking")
"""The parts that a model says; all others it is told."""


class Worded(NamedTuple):
    """A conversation with its answer at the end, the tools on offer, and the question in a person's words."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    question: str


class Unfit(Exception):
    """A conversation that is not to be learnt from, and why: a few words to be counted by."""


def worded(calls: Sequence[Call], role: str) -> Worded:
    """The conversation of *role* in the run of *calls*.

    Raises Unfit where the role was not asked, failed, was answered for by another model, saw less than what is kept or
    had an answer sent back: a mistake is not to be learnt, though it was mended.
    """
    from openoutcry.eval.failures import sent_back

    mine = [call for call in calls if call.role == role]
    if not mine:
        raise Unfit("the role was not asked")
    if any(call.failure or not call.response for call in mine):
        raise Unfit("its model failed")
    if stood_in(mine):
        raise Unfit("another model stood in")
    if compacted(mine):
        raise Unfit("its prompt was cut to fit")
    if any(sent_back(call.prompt) for call in mine):
        raise Unfit("an answer in it was sent back")
    messages = _messages(mine[-1])
    if messages[-1]["role"] != "assistant" or "tool_calls" in messages[-1]:
        raise Unfit("it ended without an answer")
    messages[-1]["content"] = _compact(messages[-1]["content"])
    kind, question = _asked(messages)
    return Worded(tuple(messages), tools(role, kind), question)


def tools(role: str, kind: Kind) -> tuple[dict[str, Any], ...]:
    """The tools that *role* is offered for questions of *kind*, as a server is sent them."""
    return tuple(json.loads(_tools(role, kind)))


@cache
def _tools(role: str, kind: Kind) -> str:
    from pydantic_ai.models import ModelRequestParameters

    from openoutcry.agents.team import ROLES
    from openoutcry.agents.toolbox import as_tool
    from openoutcry.serving.asking.wire import tools_of

    offered = [as_tool(function).tool_def for function in ROLES[role].tools_for(kind)]
    return json.dumps(tools_of(ModelRequestParameters(function_tools=offered)))


@cache
def prompts() -> Mapping[str, str]:
    """By role, a digest of what its prompts are made from now: a run under others is not to be learnt from."""
    from openoutcry.agents.house.model import HouseModel
    from openoutcry.agents.team import ROLES, Team

    models = {role: HouseModel(import_module(f"openoutcry.agents.house.{role}").rules) for role in ROLES}
    return Team(models, 1.0).digests()


def _messages(call: Call) -> list[Message]:
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    from openoutcry.serving.asking.wire import Form, messages_of

    history = ModelMessagesTypeAdapter.validate_python([*_history(call.prompt), call.response])
    return messages_of(history, Form(OUTPUT, {}, as_call=True))


def _history(prompt: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines of a kept prompt as the messages that they are of; each request begins with its instructions."""
    messages: list[dict[str, Any]] = []
    for line in prompt:
        if line["part"] == "instructions":
            messages.append({"kind": "request", "parts": [], "instructions": line["content"]})
            continue
        kind = "response" if line["part"] in SAID else "request"
        if not messages or messages[-1]["kind"] != kind:
            messages.append({"kind": kind, "parts": []})
        rest = {name: value for name, value in line.items() if name != "part"}
        messages[-1]["parts"].append({"part_kind": line["part"], **rest})
    return messages


def _asked(messages: Sequence[Message]) -> tuple[Kind, str]:
    """The kind of question and its words: a role's brief holds a typed question, the coordinator's its words."""
    brief: Any = json.loads(next(m["content"] for m in messages if m["role"] == "user"))
    question = brief["question"]
    if isinstance(question, str):
        return Kind(brief["kind"]), question
    return Kind(question["kind"]), question["text"]


def _compact(text: str) -> str:
    """A typed answer without blanks between its parts, as a server writes it that holds it to a schema."""
    try:
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return text
