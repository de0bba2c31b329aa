"""Whether a prompt fits a model's context, counted by its own server, and what is left out first where it does not.

Evidence comes last to go: memories first, then long lists of items, then everything of the oldest results but their
figures. A figure that a claim may refer to is never left out, and no text is ever cut: what does not fit even so is an
error.
"""

import asyncio
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from openoutcry.core.errors import ModelOverflow
from openoutcry.serving.asking.wire import Message
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport

FLOOR = 256
"""Tokens that an answer is to have room for, unless `max_tokens` asks for fewer."""
ITEMS = 5
"""Items of a result that stay where they are cut."""
BYTES = 2.0
"""Bytes a token where the server does not count. Prompts of figures have 2.6 where a digit is a token, and more
elsewhere: the estimate is high, for such a server may drop a prompt's start in silence."""

Change = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The body of a request that fits, and what was left out of its prompt for that."""

    body: bytes
    compacted: tuple[str, ...] = ()


class Context:
    """The context of *served*. Safe to share between threads and loops."""

    def __init__(self, served: Served, transport: Transport) -> None:
        self._names, self._most = {*served.names, served.weights}, served.max_model_len
        self._transport = transport
        self._told = False
        self._counts = True

    async def fit(self, url: str, body: dict[str, Any], deadline: float) -> Fitted:
        """*body* as it fits, whole where it does. *deadline* is in the event loop's time.

        Raises ModelOverflow where it does not, even compacted; and as Transport.post does.
        """
        if not self._told:
            await self._ask(url, deadline)
        raw = orjson.dumps(body)
        if len(raw) + body["max_tokens"] <= self._most:
            return Fitted(raw)
        floor, count = min(FLOOR, body["max_tokens"]), 0
        for compacted, messages in shorter(body["messages"]):
            count = await self._count(url, body | {"messages": messages}, deadline)
            room = self._most - count
            if room >= floor:
                tokens = min(body["max_tokens"], room)
                return Fitted(orjson.dumps(body | {"messages": messages, "max_tokens": tokens}), compacted)
        raise ModelOverflow(
            f"expected a prompt and an answer of {floor} tokens to fit into {self._most}, but the prompt alone takes "
            f"{count}{'' if self._counts else ' by its length, for its server does not count,'} with all left out that "
            "may be; raise `max_model_len` in stack.toml, or ask about less at once"
        )

    async def _ask(self, url: str, deadline: float) -> None:
        """Learn what context the server has; the smaller one counts."""
        reply = await self._transport.get(url, "/v1/models", _left(deadline))
        if reply.status == 200:
            models: Any = _object(reply.body).get("data")
            for model in cast("list[Any]", models) if isinstance(models, list) else []:
                if isinstance(model, dict) and cast("dict[str, Any]", model).get("id") in self._names:
                    most: Any = cast("dict[str, Any]", model).get("max_model_len")
                    self._most = min(self._most, most) if isinstance(most, int) else self._most
        self._told = reply.status < 500

    async def _count(self, url: str, body: dict[str, Any], deadline: float) -> int:
        """Tokens of the prompt: the server's count, or where it does not count, an estimate on the high side."""
        asked = orjson.dumps({key: body[key] for key in ("model", "messages", "tools") if key in body})
        if self._counts:
            reply = await self._transport.post(url, "/tokenize", asked, _left(deadline))
            count = _object(reply.body).get("count") if reply.status == 200 else None
            if isinstance(count, int):
                return count
            self._counts = reply.status not in (404, 405, 501)
        return math.ceil(len(asked) / BYTES)


def _left(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.001)


def _object(data: bytes | str) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def shorter(messages: Sequence[Message]) -> Generator[tuple[tuple[str, ...], list[Message]]]:
    """A conversation whole, then step by step shorter, each with the names of what is left out of it."""
    yield (), list(messages)
    asked = [_forget(message) for message in messages]
    names: tuple[str, ...] = ("memories",) if asked != messages else ()
    if names:
        yield names, asked
    cut = [_in_results(message, _few) for message in asked]
    if cut != asked:
        names = (*names, "items")
        yield names, cut
    for i, message in enumerate(cut):
        if (bare := _in_results(message, _figures)) != message:
            cut = [*cut[:i], bare, *cut[i + 1 :]]
            yield (*names, "results"), cut


def _forget(message: Message) -> Message:
    """A prompt without its memories."""
    content = _object(message["content"]) if message["role"] == "user" else {}
    if not content.get("memories"):
        return message
    return message | {"content": orjson.dumps(content | {"memories": []}).decode()}


def _in_results(message: Message, change: Change) -> Message:
    """A message with each tool result in it changed: its own, or those under `evidence` in a prompt."""
    if message["role"] not in ("tool", "user"):
        return message
    content = _object(message["content"])
    if message["role"] == "tool":
        made = change(content)
    else:
        made = content | {"evidence": [change(r) for r in content["evidence"]]} if content.get("evidence") else content
    return message | {"content": orjson.dumps(made).decode()} if made != content else message


def _few(result: dict[str, Any]) -> dict[str, Any]:
    """A result with its first items alone, and the number of those left out."""
    items: list[Any] = result.get("items") or []
    return result | {"items": items[:ITEMS], "items_left_out": len(items) - ITEMS} if len(items) > ITEMS else result


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """A result's figures alone."""
    if "figures" not in result:
        return result
    return {key: result[key] for key in ("id", "tool", "figures") if key in result}
