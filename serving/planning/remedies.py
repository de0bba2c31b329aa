"""Why one replica of a model does not fit by itself, in numbers, and which single change of the stack would mend it."""

import itertools
from collections.abc import Iterator

from openoutcry.serving.planning import weights
from openoutcry.serving.planning.anatomy import Anatomy
from openoutcry.serving.planning.box import Box
from openoutcry.serving.planning.planned import Need, gb
from openoutcry.serving.stack import KV_CACHE, Served, Stack

STEP = 1024
"""Tokens by which a shorter context is looked for, and the shortest that is worth naming."""


def gpu_memory(model: Served, box: Box) -> int:
    """Bytes of the GPU that *model* runs on, the smallest of the box; 0 where it runs on a CPU."""
    wanted = model.device == "cuda" or (model.device == "auto" and bool(box.gpus))
    return min((gpu.memory for gpu in box.gpus), default=0) if wanted else 0


def granted(model: Served, box: Box) -> int:
    """Bytes that a replica may take: its part of its GPUs, or its `memory` and at most the box's RAM."""
    if gpu := gpu_memory(model, box):
        return int(gpu * model.gpu_memory_utilization) * model.tensor_parallel_size
    return min(int(model.memory or box.ram), box.ram)


def need(stack: Stack, model: Served, a: Anatomy, box: Box) -> Need:
    """What a replica takes. On a GPU the KV cache gets what the rest leaves, on a CPU what the stack names."""
    gpu, split = gpu_memory(model, box), model.tensor_parallel_size
    found = Need(
        weights=weights.weights(a, model),
        kv=0,
        activations=weights.activations(a, model, weights.batch(model, gpu)),
        adapters=weights.adapters(stack, a, model, bool(gpu)) + (0 if gpu else weights.copies(stack, a, model)),
        engine=weights.GPU_ENGINE * split if gpu else weights.engine(model),
    )
    if not weights.kv_token(a, model):
        return found
    kv = max(granted(model, box) - found.fixed, 0) if gpu else int(model.kv_cache or KV_CACHE)
    return found.model_copy(update={"kv": kv})


def sequence(model: Served, a: Anatomy, box: Box, tokens: int) -> int:
    """Bytes of KV cache that one sequence of *tokens* holds, at most the model's context."""
    at_once = weights.batch(model, gpu_memory(model, box)).tokens
    return weights.kv_sequence(a, model, min(tokens, model.max_model_len), at_once)


def lacking(stack: Stack, model: Served, a: Anatomy, box: Box) -> int:
    """Bytes that one replica lacks to start and to hold one sequence of its whole context; 0 where it fits."""
    taken, one = need(stack, model, a, box), sequence(model, a, box, model.max_model_len)
    return max(one - taken.kv, taken.total - granted(model, box), 0)


def fault(stack: Stack, model: Served, a: Anatomy, box: Box) -> str | None:
    """Why one replica does not fit, and what to change; None where it does."""
    if not lacking(stack, model, a, box):
        return None
    taken, one = need(stack, model, a, box), sequence(model, a, box, model.max_model_len)
    kv, may = max(taken.kv, one), granted(model, box)
    # The larger of what is asked for and of what the whole context needs: both have to fit.
    cache = f"KV cache {gb(kv)}, " if kv else ""
    parts = f"weights {gb(taken.weights)}, {cache}the rest {gb(taken.fixed - taken.weights)}"
    if taken.fixed + kv <= may:
        said = (
            f"holds {taken.kv // max(weights.kv_token(a, model), 1):,} tokens in a KV cache of {gb(taken.kv)}, "
            f"fewer than its max_model_len of {model.max_model_len:,}"
        )
    else:
        said = f"needs {gb(taken.fixed + kv)} a replica ({parts}), and {_grant(model, box)} grants {gb(may)}"
    changes = list(_changes(stack, model, a, box))
    return f"{said}: {'set ' + ', or '.join(changes) if changes else 'take a smaller model'}"


def _grant(model: Served, box: Box) -> str:
    if gpu_memory(model, box):
        number = model.tensor_parallel_size
        gpus = "a GPU" if number == 1 else f"{number} GPUs"
        return f"gpu_memory_utilization {model.gpu_memory_utilization:g} of {gpus} with {gb(gpu_memory(model, box))}"
    return "its `memory`" if model.memory and model.memory <= box.ram else "the RAM of this box"


def _changes(stack: Stack, model: Served, a: Anatomy, box: Box) -> Iterator[str]:
    """Each single change that lets the replica fit, as a person would write it; the KV cache of a CPU may go along."""

    def does(**change: object) -> bool:
        return not lacking(stack, model.model_copy(update=change), a, box)

    def with_kv(said: str, kv: int, **change: object) -> Iterator[str]:
        if does(**change):
            yield said
        elif not on_gpu and does(**change, kv_cache=kv):
            yield f"{said} and kv_cache = {_size(kv)}"

    on_gpu, whole = bool(gpu_memory(model, box)), _up(sequence(model, a, box, model.max_model_len))
    if not on_gpu and does(kv_cache=whole):
        yield f"kv_cache = {_size(whole)}"
    shorter = range((model.max_model_len - 1) // STEP * STEP, 0, -STEP)
    plain = (f"max_model_len = {n}" for n in shorter if does(max_model_len=n))
    apart = (
        t for n in shorter for t in with_kv(f"max_model_len = {n}", _up(sequence(model, a, box, n)), max_model_len=n)
    )
    yield from itertools.islice(itertools.chain(plain, apart), 1)
    if not model.quantisation and not a.quantised:
        yield from with_kv('quantisation = "awq" (weights made for it)', whole, quantisation="awq")
    split = 2 * model.tensor_parallel_size
    if on_gpu and split <= len(box.gpus) and does(tensor_parallel_size=split):
        yield f"tensor_parallel_size = {split}"
    taken = need(stack, model, a, box)
    more = _up(taken.fixed + max(taken.kv, whole))
    if not on_gpu and model.memory and more > model.memory:
        yield from with_kv(f"memory = {_size(more)}", whole, memory=more)


def _up(size: int) -> int:
    """Bytes rounded up to a tenth of a GB."""
    return -(-size // 100_000_000) * 100_000_000


def _size(size: int) -> str:
    """Bytes as a stack file has them."""
    return f'"{size / 1e9:.1f}GB"'
