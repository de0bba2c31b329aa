"""A registered model for Ollama: the Modelfile that a person would write, and the same through Ollama's API.

No real Ollama could be had where this was written: it is tried against a double made from the published API alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openoutcry.core import durable
from openoutcry.core.errors import ModelGarbled, ModelRefused, UsageError
from openoutcry.serving.registry import artifact
from openoutcry.serving.stack import Served

if TYPE_CHECKING:
    from openoutcry.serving.registry.artifact import Registered
    from openoutcry.serving.transport import Transport

MOST = 512 * 1024 * 1024
"""Bytes of a file that is sent through the API; it is held in memory as a whole."""
SECONDS = 600.0
KINDS = (".safetensors", ".json", ".model")
"""What files of weights, and those that describe them, end in."""


def parameters(served: Served) -> dict[str, Any]:
    """What Ollama is to keep of a prompt, and write at most, as the stack says it."""
    return {"num_ctx": served.max_model_len, "num_predict": served.max_tokens, "temperature": served.temperature}


def rendered(served: Served, one: "Registered") -> str:
    """The Modelfile of a registered adapter over the tag that *served* names, or of a whole model."""
    if one.artifact.kind == "adapter":
        lines = [f"FROM {served.weights}", f"ADAPTER {_single(one)}"]
    else:
        lines = [f"FROM {_single(one)}"]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters(served).items()]
    return "\n".join([*lines, ""])


async def create(transport: "Transport", served: Served, one: "Registered") -> None:
    """Have the Ollama at `url` hold it under its own name. Raises DataError where a byte of it is not as registered.

    The Modelfile is left beside it. Raises UsageError where a file is too long to be sent, ModelError where Ollama does
    not take it.
    """
    artifact.check(one)
    durable.put(one.folder / "Modelfile", rendered(served, one).encode())
    files = _files(one)
    if long := [name for name in files if (one.files / name).stat().st_size > MOST]:
        raise UsageError(
            f"expected files of at most {MOST >> 20} MiB to send to Ollama, but {long[0]} of {one.name} is longer: "
            f"run `ollama create {one.name} -f {one.folder / 'Modelfile'}`"
        )
    for name, digest in files.items():
        path = f"/api/blobs/sha256:{digest}"
        reply = await transport.post(served.url, path, (one.files / name).read_bytes(), SECONDS)
        if reply.status not in (200, 201):
            raise ModelRefused(f"expected Ollama at {served.url} to take {name}, got status {reply.status}")
    sent = {name: f"sha256:{digest}" for name, digest in files.items()}
    whole = {"files": sent} if one.artifact.kind != "adapter" else {"from": served.weights, "adapters": sent}
    await _created(transport, served.url, {"model": one.name, "parameters": parameters(served), **whole})


async def _created(transport: "Transport", url: str, asked: Mapping[str, Any]) -> None:
    reply = await transport.post(url, "/api/create", json.dumps({**asked, "stream": False}).encode(), SECONDS)
    try:
        said: Any = json.loads(reply.body)
        status, error = str(said.get("status", "")), str(said.get("error", ""))
    except (ValueError, AttributeError):
        raise ModelGarbled(f"expected what Ollama's API says of a new model from {url}, got something else") from None
    if reply.status != 200 or status != "success":
        raise ModelRefused(f"expected Ollama to create {asked['model']}, got {error or status or reply.status}")


def _files(one: "Registered") -> dict[str, str]:
    """What is sent: the GGUF file alone where there is one, else the weights and what describes them."""
    every = one.artifact.files
    gguf = {name: digest for name, digest in every.items() if name.endswith(".gguf")}
    return gguf or {name: digest for name, digest in every.items() if name.endswith(KINDS)}


def _single(one: "Registered") -> Path:
    gguf = [name for name in one.artifact.files if name.endswith(".gguf")]
    return (one.files / gguf[0] if gguf else one.files).absolute()
