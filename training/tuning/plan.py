"""What a fine-tune will take of this box, in bytes and seconds, before it starts, and whether the box can hold it.

Bytes are counted from the model's dimensions; seconds are this box's own pace where it ran the like before, else an
estimate from floating-point operations, and marked as one.
"""

import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from openoutcry.serving.planning.box import Box
from openoutcry.training.examples.dataset import Dataset
from openoutcry.training.examples.rows import Kind
from openoutcry.training.tuning import runs, sizes
from openoutcry.training.tuning.plan_text import refusal
from openoutcry.training.tuning.planned import Plan
from openoutcry.training.tuning.prepare import Prepared, prepare
from openoutcry.training.tuning.recipe import Recipe, settled, steps_an_epoch
from openoutcry.training.tuning.sizes import Size

LIBRARIES = 850_000_000
"""Bytes of main memory of a process with torch, TRL and PEFT loaded and nothing else, measured on a CPU."""
CONTEXT = 800_000_000
"""Bytes of a GPU for its context and the workspaces of its kernels; not measured here."""
CHUNK = 32_768
"""Tokens whose logits TRL holds at once, and how often it holds them."""
COPIES = 3
UPDATE = 0.02
"""Seconds that one update takes whatever its size."""
REACHED = 0.1
"""Share of a core's speed at matrices that training reaches, measured with LoRA on the nano; a larger base reaches
more, so that the estimate is long rather than short."""
CARDS = {"H200": 4e14, "H100": 4e14, "A100": 1.25e14, "L40": 9e13, "4090": 7e13, "A10": 5e13, "L4": 4e13}
"""Operations a second that training reaches on a GPU, two fifths of what its maker says for bfloat16; others as T4."""
OTHER_CARD = 2.5e13


def plan(home: Path, base: Path, dataset: Dataset, recipe: Recipe, box: Box, over: int = 1) -> Plan:
    """Plan a fine-tune of *base* on *dataset*. Raises UsageError or DataError where it can never be."""
    return planned(home, sizes.read(base), prepare(base, dataset, recipe.max_length), recipe, box, over)


def planned(home: Path, size: Size, data: Prepared, recipe: Recipe, box: Box, over: int = 1) -> Plan:
    """Plan it, of data that is prepared, shared over that many devices."""
    cards = box.gpus if gpu_torch() else ()
    rows = -(-len(data.train) // over)
    recipe = settled(recipe, data.kind, size.parameters, rows, gpu=bool(cards), cores=box.cores)
    learnt = size.factors(recipe.rank, recipe.targets) if recipe.method == "lora" else size.parameters
    parts = memory(size, recipe, data.kind, data.longest, learnt, gpu=bool(cards), over=over)
    pace, measured = _pace(home, size, recipe, learnt, cards[0].name if cards else "", box, over)
    made = Plan(
        recipe=recipe,
        kind=data.kind,
        size=size,
        rows=len(data.train),
        valid=len(data.valid),
        left_out=dict(data.left_out),
        tokens=data.tokens,
        longest=data.longest,
        learnt=learnt,
        parts=parts,
        free=min(card.free or card.memory for card in cards[:over]) if cards else box.ram_free,
        total=cards[0].memory if cards else box.ram,
        gpu=cards[0].name if cards else "",
        seconds=recipe.steps * (data.tokens / steps_an_epoch(recipe, rows) / pace + (0 if measured else UPDATE)),
        measured=measured,
        refused="",
    )
    return made.model_copy(update={"refused": refusal(made)})


def gpu_torch() -> bool:
    """Whether the torch that is installed can use a GPU; told by its version, without loading it."""
    try:
        return "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False


def memory(
    size: Size, recipe: Recipe, kind: Kind, length: int, learnt: int, *, gpu: bool, over: int = 1
) -> dict[str, int]:
    """Bytes at the peak on each of *over* devices, by part, for batches of *length* tokens a sequence.

    What is learnt is in single precision and so are its gradients and AdamW's two numbers for each; bfloat16 halves
    what is frozen and what is computed. Activations a token and layer: 12 vectors of hidden, 4 of the keys' width, 5 of
    the MLP's; with checkpointing one of hidden, and twice those of a single layer. FSDP shares all but these.
    """
    half, frozen = recipe.precision == "bfloat16", recipe.method == "lora"
    width = 2 if half else 4
    tokens = recipe.batch * length * (2 if kind == "pairs" else 1)
    layer = tokens * (12 * size.hidden + 4 * size.keys + 5 * size.intermediate) * width
    again = tokens * size.hidden * width * size.layers + 2 * layer
    weights = size.parameters * (width if frozen else 6 if half else 4) + (4 * learnt if frozen else 0)
    return {
        "libraries": CONTEXT if gpu else LIBRARIES,
        "weights": weights // over,
        "gradients": learnt * 4 // over,
        "optimiser": learnt * 8 // over,
        "activations": again if recipe.checkpointing == "on" else layer * size.layers,
        "logits": min(tokens, CHUNK) * size.vocabulary * 4 * COPIES if kind == "chat" else 0,
    }


def _pace(home: Path, size: Size, recipe: Recipe, learnt: int, card: str, box: Box, over: int) -> tuple[float, str]:
    """Tokens a second over all devices, and the run that showed it.

    A token takes two operations a parameter on its way forward, and two on the way back for what it flows through and
    two more for what is learnt; checkpointing goes forward twice.
    """
    for run in reversed(runs.listing(home)):
        before = run.begun.recipe
        same = (before.method, before.batch, before.checkpointing, before.precision, before.threads)
        if run.done and run.done.tokens and run.done.parameters == size.parameters and same == _like(recipe):
            return run.done.tokens * over / run.done.processes, run.name
    work = 4 * size.parameters + 6 * learnt if recipe.method == "lora" else 6 * size.parameters
    work += 2 * size.parameters if recipe.checkpointing == "on" else 0
    return over * (_card(card) if card else REACHED * probe() * min(recipe.threads, box.cores)) / work, ""


def _like(recipe: Recipe) -> tuple[object, ...]:
    return recipe.method, recipe.batch, recipe.checkpointing, recipe.precision, recipe.threads


def _card(name: str) -> float:
    return next((speed for known, speed in CARDS.items() if known in name), OTHER_CARD)


def probe(rounds: int = 8, width: int = 384) -> float:
    """Floating-point operations a second of one core at matrices in single precision: the best of some rounds."""
    limits: Any = import_module("threadpoolctl").threadpool_limits
    a = np.ones((width, width), dtype=np.float32)
    best = float("inf")
    with limits(1):
        for _ in range(rounds):
            began = time.perf_counter()
            np.matmul(a, a)
            best = min(best, time.perf_counter() - began)
    return 2 * width**3 / max(best, 1e-6)
