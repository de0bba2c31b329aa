"""Ollama's own list of models, by its published HTTP API: what it holds, how large, and how long its context is.

No real Ollama could be had where this was written: it is tried against a double made from the published API alone.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from openoutcry.core.errors import ModelGarbled, ModelRefused

if TYPE_CHECKING:
    from openoutcry.serving.transport import Transport

USUAL = "http://127.0.0.1:11434"
"""Where Ollama listens unless it is told otherwise."""
DEFAULT_CONTEXT = 4096
"""Tokens that Ollama keeps of a prompt where nothing says more; it cuts the rest, and does not say so."""
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A model that Ollama holds. Sizes are bytes, contexts tokens.

    `context` is what it keeps of a prompt: what the loaded model says, else `num_ctx` of its Modelfile, else the
    default. `longest` is what its weights allow, 0 where it is not told.
    """

    name: str
    size: int
    digest: str
    parameters: str
    quantisation: str
    context: int
    longest: int
    loaded: bool
    tools: bool

    @property
    def cut(self) -> bool:
        """Whether it keeps less of a prompt than its weights allow."""
        return self.context < self.longest

    def mend(self, tokens: int) -> str:
        """How a person gives the model a context of so many tokens."""
        return (
            f"write a Modelfile of two lines, `FROM {self.name}` and `PARAMETER num_ctx {tokens}`, and "
            f"`ollama create` from it; or start Ollama with OLLAMA_CONTEXT_LENGTH={tokens}"
        )


class _Details(BaseModel):
    parameter_size: str = ""
    quantization_level: str = ""


class _Held(BaseModel):
    """A model as /api/tags and /api/ps tell of it."""

    name: str
    size: int = 0
    digest: str = ""
    details: _Details = _Details()
    context_length: int = 0


class _Holding(BaseModel):
    models: list[_Held] | None = None


class _About(BaseModel):
    """A model as /api/show tells of it."""

    parameters: str = ""
    model_info: dict[str, Any] = {}
    capabilities: list[str] = []


class _Version(BaseModel):
    version: str


Told = TypeVar("Told", bound=BaseModel)


async def version(transport: "Transport", url: str) -> str:
    """The version of the Ollama at *url*. Raises ModelError."""
    return (await _told(_Version, transport, url, "/api/version")).version


async def models(transport: "Transport", url: str) -> list[Listed]:
    """All that the Ollama at *url* holds, by name; of one that it cannot show, only what its list says.

    Raises ModelError.
    """
    found, loaded = await _holding(transport, url)

    async def shown(held: _Held) -> Listed:
        try:
            about = await _about(transport, url, held.name)
        except ModelRefused:  # it was deleted meanwhile, or its files are torn
            about = _About()
        return _listed(held, about, loaded.get(held.name))

    return list(await asyncio.gather(*map(shown, found)))


async def show(transport: "Transport", url: str, name: str) -> Listed | None:
    """The model of that name, or of `name:latest`; None where Ollama does not hold it. Raises ModelError."""
    found, loaded = await _holding(transport, url)
    held = next((m for m in found if m.name in (name, f"{name}:latest")), None)
    return held and _listed(held, await _about(transport, url, held.name), loaded.get(held.name))


async def _holding(transport: "Transport", url: str) -> tuple[list[_Held], dict[str, int]]:
    """What it holds, by name, and the context of what it has loaded."""
    tags, running = await asyncio.gather(
        _told(_Holding, transport, url, "/api/tags"), _told(_Holding, transport, url, "/api/ps")
    )
    loaded = {m.name: m.context_length for m in running.models or []}
    return sorted(tags.models or [], key=lambda m: m.name), loaded


async def _about(transport: "Transport", url: str, name: str) -> _About:
    return await _told(_About, transport, url, "/api/show", {"model": name})


def _listed(held: _Held, about: _About, loaded: int | None) -> Listed:
    told = (v for k, v in about.model_info.items() if k.endswith(".context_length") and isinstance(v, int))
    longest = next(told, 0)
    asked = num_ctx(about.parameters) or min(DEFAULT_CONTEXT, longest or DEFAULT_CONTEXT)
    return Listed(
        name=held.name,
        size=held.size,
        digest=held.digest.removeprefix("sha256:")[:12],
        parameters=held.details.parameter_size,
        quantisation=held.details.quantization_level,
        context=loaded or asked,
        longest=longest,
        loaded=loaded is not None,
        tools="tools" in about.capabilities,
    )


def num_ctx(parameters: str) -> int:
    """The context that a Modelfile asks for, from the text of its parameters; 0 where it asks for none."""
    for line in parameters.splitlines():
        match line.split():
            case ["num_ctx", value] if value.isdigit():
                return int(value)
            case _:
                pass
    return 0


async def _told(
    kind: type[Told], transport: "Transport", url: str, path: str, asked: dict[str, str] | None = None
) -> Told:
    """What Ollama answers to a GET, or to a POST of *asked*."""
    if asked is None:
        reply = await transport.get(url, path, SECONDS)
    else:
        reply = await transport.post(url, path, json.dumps(asked).encode(), SECONDS)
    if reply.status != 200:
        raise ModelRefused(
            f"expected Ollama at {url} to answer {path}, got status {reply.status}: see whether it is Ollama"
        )
    try:
        return kind.model_validate_json(reply.body)
    except ValidationError:
        raise ModelGarbled(
            f"expected what Ollama's API says of {path} from {url}, got something else: see what listens there"
        ) from None
