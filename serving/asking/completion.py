"""OpenAI's chat protocol, the way back: what a server answered, held against what it was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from pydantic import BaseModel, Field, ValidationError

from openoutcry.core.errors import ModelBusy, ModelCutShort, ModelError, ModelGarbled, ModelOverflow, ModelRefused
from openoutcry.core.evidence import Frozen
from openoutcry.serving.asking.wire import Form
from openoutcry.serving.transport import Refused, Reply

MARKS = ("<tool_call>", "<function=", "<|python_tag|>", "[TOOL_CALLS]")
"""What a tool call begins with: in a text, one that the server's parser gave up on."""
TOO_LONG = ("context length", "maximum model length", "max_model_len", "context window", "context size")
"""What servers call a prompt that does not fit."""
DOCTOR = "`outcry stack doctor` tries each kind of request"


class Exhausted(ModelCutShort):
    """It took all tokens that an answer may take, and would again."""


class Call(Frozen):
    """A tool that the model wants called; `arguments` is a JSON object. Its server's id of it is of no use here."""

    name: str
    arguments: str


class Completion(Frozen):
    """An answer that is whole: text, or tool calls. Tokens are as the server counted them.

    `compacted` names what had to be left out of the prompt, and `url` the replica that answered.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    prompt: int = 0
    answer: int = 0
    cached: int = 0
    compacted: tuple[str, ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer may be: calls of *tools*, text, or where it is *held* to it, text in *form* alone."""

    tools: frozenset[str]
    form: Form | None
    held: bool


class _Function(BaseModel):
    name: str = ""
    arguments: str = ""


class _ToolCall(BaseModel):
    index: int = 0
    function: _Function | None = None


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class Body(BaseModel):
    """A completion, or one event of it, as far as it is read here. Thinking is not."""

    choices: list[_Choice] = Field(default_factory=list[_Choice])
    usage: _Usage | None = None
    error: Any = None


def opened(data: bytes) -> Body:
    """What a server sent. Raises ModelGarbled for what is not in the protocol, ModelRefused for an error in it."""
    try:
        body = Body.model_validate_json(data)
    except ValidationError as error:
        seen, where = " ".join(data[:80].decode(errors="replace").split()), error.errors()[0]["msg"]
        raise ModelGarbled(f"expected a completion from its server, got {seen!r} ({where}); {DOCTOR}") from None
    if body.error:
        raise ModelRefused(f"expected an answer, got an error: {said(data)}; its server's log says more")
    return body


def joined(events: Sequence[Body]) -> Body:
    """The completion that streamed *events* make up, as it would have come whole."""
    message = _Message(content="", tool_calls=[])
    calls: dict[int, _ToolCall] = {}
    reason, usage = None, None
    for event in events:
        usage = event.usage or usage
        for choice in event.choices:
            delta = choice.delta or _Message()
            message.content = f"{message.content or ''}{delta.content or ''}"
            reason = choice.finish_reason or reason
            for piece in delta.tool_calls or ():
                _add(calls.setdefault(piece.index, _ToolCall(function=_Function())), piece)
    message.tool_calls = [calls[i] for i in sorted(calls)]
    came = any(event.choices for event in events)
    return Body(choices=[_Choice(message=message, finish_reason=reason)] if came else [], usage=usage)


def _add(call: _ToolCall, piece: _ToolCall) -> None:
    assert call.function
    if piece.function:
        call.function.name = call.function.name or piece.function.name
        call.function.arguments += piece.function.arguments


def spent(body: Body, expected: Expected) -> Completion:
    """The answer, by `read`; an error says how many tokens went into what could not be used."""
    try:
        return read(body, expected)
    except ModelError as error:
        usage = body.usage or _Usage()
        error.answered = usage.completion_tokens or 0
        error.tokens = usage.prompt_tokens + error.answered
        raise


def read(body: Body, expected: Expected) -> Completion:
    """The answer.

    Raises ModelGarbled for one that says nothing, calls what was not on offer, or is not in the form asked for;
    ModelCutShort for one that ended before it was done.
    """
    choice = body.choices[0] if body.choices else None
    if choice is None or choice.message is None:
        raise ModelGarbled("expected an answer with a message, got one without; its server's log says why")
    reason, message = choice.finish_reason, choice.message
    ended = f"expected a whole answer, got one that ended with finish reason {reason!r}"
    if reason == "length":
        raise Exhausted(
            f"{ended}: it reached `max_tokens`; raise that in stack.toml, or `max_model_len` where a long prompt "
            "leaves an answer fewer"
        )
    if reason not in ("stop", "tool_calls"):
        raise ModelCutShort(f"{ended}: its server's log says why")
    form, text = expected.form, message.content or ""
    calls = tuple(_call(call, expected) for call in message.tool_calls or ())
    if len(calls) == 1 and form and calls[0].name == form.name:
        calls, text = (), calls[0].arguments
    if not calls:
        _check(text, expected)
    usage = body.usage or _Usage()
    cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
    prompt, answer = usage.prompt_tokens, usage.completion_tokens or 0
    return Completion(text=text, calls=calls, prompt=prompt, answer=answer, cached=cached)


def _call(call: _ToolCall, expected: Expected) -> Call:
    function = call.function or _Function()
    form = expected.form if expected.form and expected.form.name == function.name else None
    if form is None and function.name not in expected.tools:
        there = ", ".join(sorted(expected.tools)) or "none"
        raise ModelGarbled(f"expected a call of a tool that it was offered, got {function.name!r}; there are {there}")
    arguments = function.arguments or "{}"
    if not (form.fits(arguments) if form else _is_object(arguments)):
        raise ModelGarbled(f"expected a JSON object as arguments of {function.name}, got {arguments[:80]!r}; {DOCTOR}")
    return Call(name=function.name, arguments=arguments)


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _check(text: str, expected: Expected) -> None:
    form = expected.form
    if not text.strip():
        raise ModelGarbled(f"expected text or a tool call, got neither; {DOCTOR}")
    if form is not None and form.fits(text):
        return
    if expected.held and form is not None:
        keys = ", ".join(form.schema.get("required", ()))
        raise ModelGarbled(
            f"expected a JSON object with {keys}, got {text[:80]!r}; its server does not hold answers to a schema"
        )
    if expected.tools and any(mark in text for mark in MARKS):
        raise ModelGarbled(
            f"expected a tool call, got one that its server could not read: {text[:80]!r}; "
            "`tool_parser` in stack.toml names its parser"
        )


def said(data: bytes) -> str:
    """What a server gave as its reason, in at most 200 characters on one line."""
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = data.decode(errors="replace")
    for key in ("error", "message", "detail"):
        value = cast("dict[str, Any]", value).get(key, value) if isinstance(value, dict) else value
    return " ".join(str(value).split())[:200] or "no reason"


def refusal(reply: Reply) -> ModelError:
    """The error that a status other than 200 stands for."""
    why = said(reply.body)
    if reply.status in (429, 503):
        return ModelBusy(f"expected an answer, but its server is busy (status {reply.status}: {why}); ask less at once")
    if 400 <= reply.status < 500 and any(words in why.lower() for words in TOO_LONG):
        return ModelOverflow(
            f"expected the prompt to fit, but its server says: {why}; lower `max_tokens` in stack.toml"
        )
    return Refused(f"expected an answer, got status {reply.status}: {why}; {DOCTOR}", reply)
