"""What a person may choose about a fine-tune, and what is chosen where nothing is said."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.training.examples.rows import Kind

LARGE = 1_000_000_000
"""Parameters from which activations are computed again rather than kept."""
TENTH, SHORT, LONGEST = 10, 25, 4096


class Recipe(Frozen):
    """How to fine-tune. What is empty or 0 is chosen by the size of the base and the kind of data: see `settled`.

    The defaults suit a model of 7 billion parameters on one GPU; the learning rate grows as a base gets smaller.
    """

    method: Literal["", "lora", "full"] = Field(
        default="", description="empty: LoRA for chat, all weights for the others"
    )
    rank: int = Field(default=16, ge=1, le=512, description="rank of the LoRA factors")
    alpha: float = Field(default=32.0, gt=0, description="what the product of the factors is scaled by, over the rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of the inputs that LoRA leaves out at random")
    targets: tuple[str, ...] = Field(
        default=(), description="names of the layers that get factors; empty: every linear one"
    )
    epochs: float = Field(default=3.0, gt=0, description="how often each row is seen, where `steps` is 0")
    steps: int = Field(default=0, ge=0, description="updates of the weights; 0: by the epochs")
    batch: int = Field(default=8, ge=1, description="rows at once on one device")
    accumulate: int = Field(default=1, ge=1, description="batches to one update")
    rate: float = Field(default=0.0, ge=0, description="highest learning rate; 0: by the size of the base")
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(default=0.03, ge=0, lt=1, description="share of the updates in which the rate rises")
    decay: float = Field(default=0.0, ge=0, description="AdamW's weight decay")
    clip: float = Field(default=1.0, gt=0, description="largest norm of a gradient")
    max_length: int = Field(default=LONGEST, ge=8, description="tokens of the longest row; longer ones are left out")
    checkpointing: Literal["", "on", "off"] = Field(
        default="", description="compute activations again instead of keeping them; empty: from a billion parameters on"
    )
    precision: Literal["", "float32", "bfloat16"] = Field(
        default="", description="empty: bfloat16 on a GPU, float32 on a CPU"
    )
    keep_every: int = Field(default=0, ge=0, description="updates between checkpoints; 0: a tenth of all, 25 at least")
    seed: int = Field(default=7, ge=0, lt=2**32)
    threads: int = Field(default=0, ge=0, description="threads on a CPU; 0: as many as it has cores")


def read(path: Path | None) -> Recipe:
    """The recipe in a TOML file; the defaults without one. Raises UsageError for what no recipe may say."""
    if path is None:
        return Recipe()
    try:
        return Recipe(**tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise UsageError(f"{_told(error)} in {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a recipe in TOML, but {path} is none: {error}") from None
    except OSError as error:
        raise UsageError(f"expected a recipe at {path}, got {error.strerror}: name a TOML file") from None


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"a recipe has no {key!r}; it has {', '.join(Recipe.model_fields)}"
    return f"{key}: {first['msg'].lower()}, got {first['input']!r}"


def settled(recipe: Recipe, kind: Kind, parameters: int, rows: int, *, gpu: bool, cores: int) -> Recipe:
    """The recipe with nothing left open, so that the same recipe is the same run. Raises UsageError.

    The learning rate is 2e-4 (LoRA) or 2e-5 (all weights) at a billion parameters, 4e-5 at a hundred million for
    classifiers and embedders, and goes with one over the root of the size; it is kept under 5e-3, or 1e-3 for all.
    """
    if kind != "chat" and recipe.method == "lora":
        raise UsageError(f"expected the method `full` for data of kind {kind}, got `lora`: only chat takes LoRA")
    if rows < 1:
        raise UsageError("expected rows to learn from, found none that fit: raise max_length or make more data")
    method = recipe.method or ("lora" if kind == "chat" else "full")
    updates = recipe.steps or max(1, round(recipe.epochs * steps_an_epoch(recipe, rows)))
    told: dict[str, Any] = {
        "method": method,
        "steps": updates,
        "rate": recipe.rate or _rate(kind, method, parameters),
        "checkpointing": recipe.checkpointing or ("on" if parameters >= LARGE else "off"),
        "precision": recipe.precision or ("bfloat16" if gpu else "float32"),
        "keep_every": recipe.keep_every or max(SHORT, updates // TENTH),
        "threads": recipe.threads or cores,
    }
    return recipe.model_copy(update=told)


def steps_an_epoch(recipe: Recipe, rows: int) -> int:
    """Updates in which each of *rows* is seen once."""
    batches = -(-rows // recipe.batch)
    return -(-batches // recipe.accumulate)


def _rate(kind: Kind, method: str, parameters: int) -> float:
    at, most, of = (2e-4, 5e-3, 1e9) if method == "lora" else (2e-5, 1e-3, 1e9)
    if kind != "chat":
        at, of = 4e-5, 1e8
    return float(f"{min(at * (of / max(parameters, 1)) ** 0.5, most):.2g}")
