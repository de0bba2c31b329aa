"""A look at a replica: how busy its engine is, read from the metrics that it serves."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openoutcry.core.errors import ModelError, ModelGarbled, ModelRefused

if TYPE_CHECKING:
    from openoutcry.serving.transport import Transport

FIELDS = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
    "vllm:prefix_cache_queries_total": "prefix_queries",
    "vllm:prefix_cache_hits_total": "prefix_hits",
}
"""The part of a look by the name of vLLM's metric."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a replica's engine says of itself. `kv` is the used share of its KV cache, 0 to 1, of the fullest engine
    where there are several. Tokens and prefix counts (tokens looked up, tokens found) add up from its start.
    """

    running: int
    waiting: int
    kv: float = 0.0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0


async def look(transport: "Transport", url: str, seconds: float = 5.0) -> Look:
    """Look at the replica at *url*, in at most *seconds*.

    Raises ModelUnreachable, ModelTooSlow, ModelRefused for a status that is not 200, ModelGarbled for other metrics
    than vLLM's: what cannot be read is never taken for an idle engine.
    """
    reply = await transport.get(url, "/metrics", seconds)
    if reply.status != 200:
        raise ModelRefused(f"expected the metrics of {url}, got status {reply.status}; `outcry stack logs` says why")
    try:
        return read(reply.body.decode())
    except ValueError as error:
        raise ModelGarbled(f"expected vLLM's metrics at {url}/metrics, got {error}; is it another server?") from None


async def every(transport: "Transport", urls: Sequence[str]) -> list[Look | None]:
    """A look at each replica; None for one whose metrics cannot be had."""

    async def one(url: str) -> Look | None:
        try:
            return await look(transport, url)
        except ModelError:
            return None

    return list(await asyncio.gather(*map(one, urls)))


def read(text: str) -> Look:
    """The look that the text of a metrics page holds. Raises ValueError where a metric is missing or no number."""
    from prometheus_client.parser import text_string_to_metric_families

    lines = [line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in FIELDS]
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            found.setdefault(FIELDS[sample.name], []).append(sample.value)
    if missing := [name for name, part in FIELDS.items() if part not in found]:
        raise ValueError(f"none of {missing[0]}")
    if not all(math.isfinite(value) for values in found.values() for value in values):
        raise ValueError("a value that is no number")
    kv = max(found.pop("kv"))
    return Look(kv=kv, **{part: int(sum(values)) for part, values in found.items()})
