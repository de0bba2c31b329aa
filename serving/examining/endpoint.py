"""An endpoint of a model as the doctor asks it: the same protocol, sampling and names as the desk's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from openoutcry.core.errors import ModelGarbled, ModelRefused
from openoutcry.serving.stack import Served

if TYPE_CHECKING:
    from openoutcry.serving.transport import Reply, Transport

Body = Mapping[str, Any]
"""A request as OpenAI's protocol has it; of a role's, `messages` and `tools` are used."""
CHAT = "/v1/chat/completions"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "volatility",
        "description": "Annualised volatility of a ticker's daily returns.",
        "parameters": {
            "type": "object",
            "properties": {"ticker": {"type": "string"}},
            "required": ["ticker"],
            "additionalProperties": False,
        },
    },
}
ASKED: Body = {
    "messages": [
        {"role": "system", "content": "You are the analyst of a trading desk. Measure with your tools first."},
        {"role": "user", "content": "How volatile is AAPL? Call the tool volatility."},
    ],
    "tools": [TOOL],
}
"""What is sent where no role's own request is at hand."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe saw; `ok` is None where it cannot tell. `mend` says what to do where something fails."""

    ok: bool | None
    seen: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A role's request, and the name of the model or adapter that it goes to. `role` is empty for a made one."""

    role: str
    name: str
    body: Body

    @property
    def tools(self) -> list[Any]:
        """The tools that it offers."""
        return list(self.body.get("tools") or ())


@dataclass(frozen=True, slots=True)
class Server:
    """One endpoint of a model. Each request has *seconds*."""

    model: Served
    url: str
    transport: "Transport"
    seconds: float

    def named(self, name: str) -> str:
        """What the server calls a model or adapter."""
        return self.model.wire_name(name)

    async def get(self, path: str) -> Any:
        """What a GET answers, as JSON; None where it has no body. Raises ModelError."""
        return _json(path, await self.transport.get(self.url, path, self.seconds))

    async def post(self, path: str, body: Body) -> Any:
        """What a POST answers, as JSON. Raises ModelRefused with the server's words, or another ModelError."""
        return _json(path, await self.transport.post(self.url, path, json.dumps(body).encode(), self.seconds))

    async def chat(self, name: str, **more: Any) -> Any:
        """The completion of a request, with the sampling that the desk uses."""
        return await self.post(CHAT, self.body(name, **more))

    def body(self, name: str, **more: Any) -> dict[str, Any]:
        """A request to the model or adapter *name*."""
        most = min(self.model.max_tokens, 256)
        return {"model": self.named(name), "temperature": 0, "seed": 0, "max_tokens": most, **more}


def _json(path: str, reply: "Reply") -> Any:
    text = reply.body.decode(errors="replace")
    if reply.status != 200:
        raise ModelRefused(f"{path} answered status {reply.status}: {' '.join(text.split())[:200]}")
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise ModelGarbled(f"{path} answered what is not JSON: {text[:80]!r}") from None


def message(told: Any) -> tuple[str, list[Any], str]:
    """The text, the tool calls and the finish reason of a completion. Raises ModelGarbled where it is none."""
    try:
        choice = told["choices"][0]
        said = choice["message"]
        return said.get("content") or "", said.get("tool_calls") or [], choice.get("finish_reason") or ""
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ModelGarbled(f"expected a completion with a message, got {str(told)[:80]!r}") from None


async def tokenized(server: Server, name: str, body: Body) -> list[int]:
    """The tokens of a request as the server counts them. Raises ModelError, such as where it has no such route."""
    asked = {"model": server.named(name), "messages": body["messages"], "add_generation_prompt": True}
    if body.get("tools"):
        asked["tools"] = body["tools"]
    told = await server.post("/tokenize", asked)
    if not isinstance(told, dict) or not isinstance(cast("dict[str, Any]", told).get("tokens"), list):
        raise ModelGarbled(f"/tokenize answered {str(cast('object', told))[:80]!r}")
    return cast("list[int]", told["tokens"])


def choice(key: str, choices: list[str]) -> dict[str, Any]:
    """A response format that leaves only *choices* for the field *key*."""
    shape = {
        "type": "object",
        "properties": {key: {"type": "string", "enum": choices}},
        "required": [key],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": key, "strict": True, "schema": shape}}


def chosen(text: str, key: str) -> str:
    """What the JSON *text* says in the field *key*; empty where it is none."""
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        return ""


def prompt_tokens(told: Any) -> int:
    """The tokens of the prompt as the server counted them; 0 where it did not say."""
    usage: Any = cast("dict[str, Any]", told).get("usage") or {} if isinstance(told, dict) else {}
    return int(usage.get("prompt_tokens") or 0)
