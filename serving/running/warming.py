"""The first requests to a server that just came up, so that nobody else waits for grammars and kernels to be made."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from openoutcry.serving.stack import Purpose, Served
from openoutcry.serving.transport import Transport

TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look at a ticker.",
        "parameters": {"type": "object", "properties": {"ticker": {"type": "string"}}, "required": ["ticker"]},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"lean": {"type": "string", "enum": ["up", "down"]}},
    "required": ["lean"],
    "additionalProperties": False,
}
TOKENS = 8


async def warm(transport: Transport, url: str, model: Served, seconds: float) -> str:
    """Ask each kind of thing once; *seconds* bounds each. What the server refused in one line, or nothing.

    Raises ModelError where it does not answer at all.
    """
    refused = ""
    for path, body in _requests(model):
        reply = await transport.post(url, path, json.dumps(body).encode(), seconds)
        if reply.status != 200 and not refused:
            refused = f"refused its first request with status {reply.status}; `outcry stack doctor` says what is amiss"
    return refused


def _requests(model: Served) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if model.purpose is Purpose.CLASSIFY:
        yield "/classify", {"model": model.name, "input": ["warm"]}
    elif model.purpose is Purpose.EMBED:
        yield "/v1/embeddings", {"model": model.name, "input": ["warm"]}
    else:
        yield from _completions(model)


def _completions(model: Served) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """One with a schema, then one with a tool to the model and each adapter, as the desk asks."""
    said = {"messages": [{"role": "user", "content": "warm"}], "max_tokens": TOKENS, "temperature": 0}
    shape = {"type": "json_schema", "json_schema": {"name": "warm", "schema": SCHEMA, "strict": True}}
    yield "/v1/chat/completions", {"model": model.name, **said, "response_format": shape}
    offered = {"tools": [TOOL], "tool_choice": "auto"} if model.tool_parser else {}
    for name in model.names:
        yield "/v1/chat/completions", {"model": name, **said, **offered}
