"""What a model takes of memory, in bytes: weights, KV cache, activations, adapters, and the engine itself.

Where something was measured, it was vLLM 0.32 on a CPU; what a GPU adds is taken from vLLM's documentation.
"""

import json
from pathlib import Path
from typing import Any, cast

from openoutcry.core.evidence import Frozen
from openoutcry.serving.planning.anatomy import WIDTHS, Anatomy
from openoutcry.serving.stack import Purpose, Served, Stack

GROUPED = 4 + 16 / 128 + 4 / 128
"""Bits of a 4-bit weight with its share of a group of 128: a 16-bit scale and a 4-bit zero point."""
BITS = {
    "awq": GROUPED,
    "awq_marlin": GROUPED,
    "gptq": GROUPED,
    "gptq_marlin": GROUPED,
    "bitsandbytes": 4 + 32 / 64,
    "fp8": 8.0,
    "compressed-tensors": 8.0,
}
"""Bits of a weight inside the layers by quantisation; bitsandbytes keeps a 32-bit scale for a block of 64.

What is not listed counts as unquantised, and compressed-tensors as 8 bits: it may hold less.
"""
ENGINE = 1_650_000_000
"""Bytes of main memory that one engine takes before its model: API server, core and one worker. Measured 1.57e9 to
1.67e9 beside the smallest model, as proportional set size (pages that its processes share count once)."""
WORKER = 600_000_000
"""Bytes of main memory that each further worker of a tensor-parallel engine adds, as each process measured."""
GPU_ENGINE = 1_600_000_000
"""Bytes of a GPU for its context, communication buffers and CUDA graphs. vLLM's documentation says 1 to 3 GiB for the
graphs of large models; not measured here."""
LARGE = 70 << 30
"""Bytes of a GPU from which vLLM takes larger batches."""
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks of LoRA adapters that vLLM makes room for."""


class Batch(Frozen):
    """How much the engine computes at once: tokens, and sequences."""

    tokens: int
    sequences: int


def engine(model: Served) -> int:
    """Bytes of main memory of the engine that serves *model*, without the model."""
    return ENGINE + (model.tensor_parallel_size - 1) * WORKER


def option(model: Served, name: str) -> str:
    """The value of an option among the model's own `flags`; empty where it is not there."""
    for index, flag in enumerate(model.flags):
        head, equals, tail = flag.partition("=")
        if head == name:
            return tail if equals else "".join(model.flags[index + 1 : index + 2])
    return ""


def batch(model: Served, gpu: int) -> Batch:
    """The engine's batch on a GPU of *gpu* bytes (0: a CPU). Source: the defaults in vLLM's engine/arg_utils.py."""
    split = model.tensor_parallel_size
    tokens, sequences = (2048 * split, 128 * split) if not gpu else (8192, 1024) if gpu >= LARGE else (2048, 256)
    chosen = option(model, "--max-num-batched-tokens"), option(model, "--max-num-seqs")
    given = [int(text) if text.isdecimal() else 0 for text in chosen]
    return Batch(tokens=given[0] or tokens, sequences=given[1] or sequences)


def width(model: Served) -> int:
    """Bytes of a number in the engine. `auto` is 16 bits: vLLM takes float32 files down to that by itself."""
    return WIDTHS.get(model.dtype, 2)


def weights(a: Anatomy, model: Served) -> int:
    """Bytes of the weights, over all GPUs that share them.

    Files count as they are where they are here and stay as they are. Else parameters x bits, where embeddings, first
    and last, stay at 16 bits under any quantisation; a model that ties them takes up to vocabulary x hidden x 2 less.
    """
    if a.stored and (a.quantised or not model.quantisation):
        return a.stored if a.quantised else round(a.stored * width(model) / a.width)
    bits = BITS.get(model.quantisation)
    if bits is None:
        return round(a.parameters * width(model))
    embeddings = 2 * a.vocabulary * a.hidden
    return round(max(a.parameters - embeddings, 0) * bits / 8) + 2 * embeddings


def kv_token(a: Anatomy, model: Served) -> int:
    """Bytes of KV cache that one token takes in all layers: key and value x layers x KV heads x head_dim x bytes.

    KV heads are copied where more GPUs share a model than it has. A model that does not write has no KV cache.
    """
    return a.layers * _kv_layer(a, model)


def kv_sequence(a: Anatomy, model: Served, tokens: int, at_once: int) -> int:
    """Bytes of KV cache that a sequence of *tokens* holds, with *at_once* tokens in a batch.

    A sliding layer keeps its window and the batch in flight. Source: vLLM's SlidingWindowSpec.
    """
    seen = min(tokens, a.window - 1 + at_once)
    return ((a.layers - a.sliding) * tokens + a.sliding * seen) * _kv_layer(a, model)


def _kv_layer(a: Anatomy, model: Served) -> int:
    if model.purpose is not Purpose.CHAT:
        return 0
    number = 1 if option(model, "--kv-cache-dtype").startswith("fp8") else width(model)
    return 2 * max(a.kv_heads, model.tensor_parallel_size) * a.head_dim * number


def activations(a: Anatomy, model: Served, of: Batch) -> int:
    """Bytes at the peak of a step, over all GPUs that share a model.

    A batch's tokens hold two vectors of hidden (residual, input), and three of the MLP's width (gate, up, product);
    each sequence has logits of 32 bits and the sampler's copy. Source: vLLM's profile run, a dummy batch of the most
    tokens through the layers, then the sampler over the most sequences.
    """
    split = model.tensor_parallel_size
    layers = of.tokens * (2 * a.hidden * split + 3 * a.intermediate) * width(model)
    logits = of.sequences * a.vocabulary * 8 if model.purpose is Purpose.CHAT else 0
    return layers + logits * split


def adapters(stack: Stack, a: Anatomy, model: Served, on_gpu: bool = True) -> int:
    """Bytes that LoRA adapters take: vLLM keeps room for each at the largest rank, beside every matrix of a layer.

    The spare places count as well: the engine makes their room when it starts.
    """
    return model.places(on_gpu) * _adapter(stack, a, model)


def copies(stack: Stack, a: Anatomy, model: Served) -> int:
    """Bytes of main memory for the adapters that the engine keeps at hand to put in those places."""
    return max(model.places(on_gpu=False), model.slots + model.spare) * _adapter(stack, a, model)


def _adapter(stack: Stack, a: Anatomy, model: Served) -> int:
    if not model.slots:
        return 0
    room = room_for_rank(stack, model)
    query, key = a.heads * a.head_dim, a.kv_heads * a.head_dim
    sides = 2 * (a.hidden + query) + 2 * (a.hidden + key) + 3 * (a.hidden + a.intermediate)
    return a.layers * sides * room * width(model)


def room_for_rank(stack: Stack, model: Served) -> int:
    """The rank that the engine makes room for: the least of its own that holds every adapter of *model*, and each that
    comes while it runs."""
    most = max((rank(stack.path(given)) for given in model.adapters.values()), default=0)
    most = max(most, model.spare_rank if model.spare else 0)
    return next((able for able in RANKS if able >= most), RANKS[-1])


def rank(folder: Path | None) -> int:
    """The rank that an adapter says it has, and 64 where it is not here to be read."""
    try:
        config = cast("dict[str, Any]", json.loads(((folder or Path()) / "adapter_config.json").read_bytes()))
        return int(config["r"])
    except (OSError, ValueError, KeyError, TypeError):
        return 64
