"""What a server says that it can be asked for, under which names."""

import json
from collections.abc import Collection
from typing import Any

from openoutcry.core.errors import ModelGarbled, ModelRefused
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport


async def names(transport: Transport, url: str, seconds: float) -> list[str]:
    """The names that the server at *url* lists under /v1/models, in at most *seconds*.

    Raises ModelRefused with its status where that is not 200, ModelGarbled where it lists nothing, and as `get` does.
    """
    reply = await transport.get(url, "/v1/models", seconds)
    if reply.status != 200:
        raise ModelRefused(f"status {reply.status}")
    try:
        found: Any = json.loads(reply.body)
        return [str(one["id"]) for one in found["data"] or ()]
    except (ValueError, KeyError, TypeError):
        raise ModelGarbled(f"expected a list of models from {url}/v1/models, got something else") from None


def held(name: str, there: Collection[str]) -> bool:
    """Whether *name* is among those; Ollama lists it with a tag behind it."""
    return name in there or f"{name}:latest" in there


def elsewhere(model: Served) -> str:
    """How an adapter comes to a server that is not started here."""
    if model.engine == "ollama":
        return "Ollama does not have it yet: it is created there when it is given a seat"
    return f"its server is a person's own: have it load the adapter under this name at {model.url}"
