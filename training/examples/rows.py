"""A row to learn from: a conversation, a text with its tone, or two texts that belong together."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from openoutcry.core.evidence import Frozen

Message = dict[str, Any]
Kind = Literal["chat", "tone", "pairs"]
KINDS: dict[str, Kind] = {
    "analyst": "chat",
    "sentiment": "chat",
    "risk": "chat",
    "coordinator": "chat",
    "reader": "tone",
    "embedder": "pairs",
}
"""What the model of a seat learns from. The reader's seat learns as a classifier."""
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""When a row is taken to be known that does not say: before all others, so that it is never what validates."""
SPEAKERS = ("system", "user", "assistant", "tool")
Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class _Row(Frozen):
    """`known_at` is the moment from which it is known that the row is good, in UTC; `id` a digest of what is learnt."""

    id: str = ""
    source: str = Field(min_length=1)
    known_at: Moment = UNDATED

    @model_validator(mode="after")
    def _named(self) -> Self:
        content = self.model_dump(mode="json", exclude={"id", "source", "known_at"})
        object.__setattr__(self, "id", digest(content)[:16])
        return self


class Chat(_Row):
    """A conversation as a server is sent it (OpenAI's chat protocol), and the answer at its end.

    All that the assistant says is to be learnt, but for a message with `"weight": 0`.
    """

    role: Literal["analyst", "sentiment", "risk", "coordinator"]
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for place, message in enumerate(self.messages, 1):
            if why := _fault(message):
                raise ValueError(f"message {place}: {why}")
        if not self.messages or self.messages[-1]["role"] != "assistant":
            raise ValueError("expected the last message to be the assistant's")
        if self.messages[-1].get("weight", 1) == 0:
            raise ValueError("expected the last message to be learnt, found weight 0")
        return self


class Tone(_Row):
    """A text, as the classifier gets it, and how it reads."""

    text: str = Field(min_length=1)
    label: Literal["positive", "neutral", "negative"]


class Pair(_Row):
    """A question, and a sentence that answers it."""

    anchor: str = Field(min_length=1)
    positive: str = Field(min_length=1)


Row = Chat | Tone | Pair
TYPES: dict[Kind, type[Chat] | type[Tone] | type[Pair]] = {"chat": Chat, "tone": Tone, "pairs": Pair}


@dataclass(slots=True)
class Gathered:
    """Rows from one source, and how many were left out there, by the reason."""

    rows: list[Row] = field(default_factory=list[Row])
    left: Counter[str] = field(default_factory=Counter[str])


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of *value*."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def opening(row: Chat) -> str:
    """A digest of what is asked: all before the assistant's first word."""
    first = next(i for i, message in enumerate(row.messages) if message["role"] == "assistant")
    return digest([row.role, *row.messages[:first]])


def sameness(row: Row) -> str:
    """A digest that rows share which differ in blanks, capitals and ids of calls alone: they teach the same."""
    if isinstance(row, Chat):
        return digest([row.role, row.tools, *(_words(_taught(message)) for message in row.messages)])
    return digest([_words(value) for value in row.model_dump(exclude={"id", "source", "known_at"}).values()])


def _taught(message: Message) -> list[Any]:
    """What of a message a model hears or learns to say."""
    called = [call["function"] for call in message.get("tool_calls") or ()]
    return [message["role"], message.get("weight", 1), message.get("content"), called]


def _words(value: object) -> str:
    """The value as text without blanks and capitals."""
    return "".join(json.dumps(value, ensure_ascii=False).replace("\\n", " ").casefold().split())


def line(row: Row) -> bytes:
    """The row as a line of a file: the same bytes for the same row."""
    return row.model_dump_json().encode() + b"\n"


def _fault(message: Message) -> str:
    """What keeps a message from being one of the protocol; empty where nothing does."""
    if message.get("role") not in SPEAKERS:
        return f"expected a role among {', '.join(SPEAKERS)}, got {message.get('role')!r}"
    if message.get("weight", 1) not in (0, 1):
        return f"expected a weight of 0 or 1, got {message['weight']!r}"
    calls: Any = message.get("tool_calls", [])
    if message["role"] != "assistant":
        return "" if isinstance(message.get("content"), str) else "expected text as its content"
    if not isinstance(calls, list) or not all(map(_is_call, calls)):  # pyright: ignore[reportUnknownArgumentType] JSON
        return "expected tool_calls as [{id, type, function: {name, arguments: a JSON object as text}}]"
    if not calls and not (isinstance(message.get("content"), str) and message["content"].strip()):
        return "expected text or tool calls"
    return ""


def _is_call(call: Any) -> bool:
    try:
        return isinstance(call["function"]["name"], str) and isinstance(json.loads(call["function"]["arguments"]), dict)
    except (KeyError, TypeError, ValueError):
        return False


def texts(row: Row) -> list[str]:
    """The texts of a row by themselves, JSON in them taken apart: what was asked, said, read and found."""
    if isinstance(row, Tone):
        return [row.text]
    if isinstance(row, Pair):
        return [row.anchor, row.positive]
    found: list[str] = []
    for message in row.messages:
        found += _strings(message.get("content"))
        found += [s for call in message.get("tool_calls", ()) for s in _strings(call["function"]["arguments"])]
    return found


def _strings(value: Any) -> list[str]:
    """Every string in a value; a string that holds a JSON object counts as what it holds."""
    if isinstance(value, str):
        if value.lstrip()[:1] in ("{", "["):
            try:
                return _strings(json.loads(value))
            except ValueError:
                return [value]
        return [value]
    if isinstance(value, dict):
        return [s for one in value.values() for s in _strings(one)]  # pyright: ignore[reportUnknownVariableType] JSON
    if isinstance(value, Sequence):
        return [s for one in value for s in _strings(one)]  # pyright: ignore[reportUnknownVariableType] JSON
    return []
