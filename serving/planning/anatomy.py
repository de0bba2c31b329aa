"""What a model is made of: its dimensions, read from its folder, or from the stack file where it is not here."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from openoutcry.serving.stack import Served, Shape, Stack

WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number by its type."""
PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}
"""Every how many layers one sees all, by the kind of model, where its file says neither that nor which."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A model's dimensions. `window` is how many tokens a sliding layer sees, `sliding` how many layers are such.

    `stored` is bytes of its weight files (0: they are not here), `width` bytes of one unquantised weight in them.
    """

    parameters: float
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    window: int = 0
    sliding: int = 0
    stored: int = 0
    width: int = 2
    quantised: bool = False


def anatomy(stack: Stack, model: Served) -> Anatomy | None:
    """The dimensions of *model*, or None where neither its folder nor a `shape` says them."""
    at = where(stack, model.weights)
    if at is not None:
        try:
            return read(at)
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            pass
    return of(model.shape) if model.shape else None


def where(stack: Stack, given: str) -> Path | None:
    """The folder of weights that *given* names: its own, or the copy of a repository id that the hub's cache holds."""
    path = stack.path(given)
    if path is not None:
        return path if path.is_dir() else None
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{given.replace('/', '--')}"
    try:
        found = cache / "snapshots" / (cache / "refs/main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return found if found.is_dir() else None


def of(shape: Shape) -> Anatomy:
    """The dimensions that a `shape` gives. The width of the MLP follows from the parameters that attention leaves.

    A layer has hidden x heads x head_dim twice (query, output), hidden x kv_heads x head_dim twice (key, value), and
    three matrices of hidden x intermediate (gate, up, down); embeddings stand before and after the layers.
    """
    layer = (shape.parameters - 2 * shape.vocabulary * shape.hidden) / shape.layers
    attention = 2 * shape.hidden * shape.head_dim * (shape.heads + shape.kv_heads)
    intermediate = max(round((layer - attention) / (3 * shape.hidden)), 2 * shape.hidden)
    dimensions = shape.model_dump()
    return Anatomy(**dimensions, intermediate=intermediate)


def read(folder: Path) -> Anatomy:
    """The dimensions that a folder's config.json gives. Raises OSError, ValueError, KeyError or TypeError."""
    loaded: object = json.loads((folder / "config.json").read_bytes())
    if not isinstance(loaded, dict):
        raise TypeError("expected a mapping")
    whole = cast("dict[str, Any]", loaded)
    config = cast("dict[str, Any]", whole.get("text_config") or whole)
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    stored = sum(file.stat().st_size for file in _weights(folder))
    width = WIDTHS.get(str(config.get("dtype") or config.get("torch_dtype") or whole.get("torch_dtype")), 2)
    layers = int(config["num_hidden_layers"])
    window, sliding = _sliding(config, layers)
    return Anatomy(
        parameters=stored / width,
        layers=layers,
        hidden=hidden,
        intermediate=int(config.get("intermediate_size") or 4 * hidden),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        vocabulary=int(config["vocab_size"]),
        window=window,
        sliding=sliding,
        stored=stored,
        width=width,
        quantised="quantization_config" in whole or "quantization_config" in config,
    )


def _sliding(config: dict[str, Any], layers: int) -> tuple[int, int]:
    """The window, and how many layers have it; Qwen's files name a window that is off unless they say it is used.

    Where the layers are not listed, Gemma's every second or so sees all, and so do Qwen's before `max_window_layers`.
    """
    window = int(config.get("sliding_window") or 0)
    if not window or config.get("use_sliding_window") is False:
        return 0, 0
    if kinds := cast("list[str]", config.get("layer_types") or []):
        return window, kinds.count("sliding_attention")
    if every := int(config.get("sliding_window_pattern") or PATTERNS.get(str(config.get("model_type")), 0)):
        return window, layers - layers // every
    full = int(config.get("max_window_layers") or 0) if "use_sliding_window" in config else 0
    return window, layers - min(full, layers)


def _weights(folder: Path) -> Iterable[Path]:
    """The files that the engine loads: safetensors where there are any, without a second copy in one piece."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = cast("dict[str, str]", json.loads(index.read_bytes())["weight_map"])
        return [folder / name for name in sorted(set(named.values()))]
    found = list(folder.glob("*.safetensors")) or list(folder.glob("*.bin"))
    return [file for file in found if len(found) == 1 or not file.name.startswith("consolidated")]
