"""How large a model is, read from the headers of its safetensors files without loading them."""

import json
import re
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.planning import anatomy

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
_LAYER = re.compile(r"\.\d+\.")


class Size(Frozen):
    """Parameters, bytes of the files that hold them, and the dimensions that activations go by.

    `linear` is (name, outputs, inputs) of each matrix in the layers.
    """

    parameters: int
    stored: int
    kind: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    keys: int
    """Numbers in the keys of one token in one layer."""
    vocabulary: int
    linear: tuple[tuple[str, int, int], ...]

    def factors(self, rank: int, targets: Sequence[str]) -> int:
        """Parameters of LoRA factors of that rank on the layers of these names; on every linear one without names."""
        chosen = [(o, i) for name, o, i in self.linear if not targets or name.rsplit(".", 1)[-1] in targets]
        return sum(rank * (o + i) for o, i in chosen)


def read(base: Path) -> Size:
    """The size of the model in *base*. Raises UsageError where there is none that can be fine-tuned."""
    try:
        shape = anatomy.read(base)
        kind = str(json.loads((base / "config.json").read_bytes()).get("model_type", "a model"))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise UsageError(
            f"expected a Hugging Face model's folder at {base}, got {type(error).__name__}: {error}"
        ) from None
    if shape.quantised:
        raise UsageError(
            f"expected weights as they were trained, but those in {base} are quantised: name the originals"
        )
    tensors = _tensors(base)
    return Size(
        parameters=sum(prod(dims) for _, dims, _ in tensors),
        stored=sum(prod(dims) * WIDTHS.get(kind, 4) for _, dims, kind in tensors),
        kind=kind,
        layers=shape.layers,
        hidden=shape.hidden,
        intermediate=shape.intermediate,
        heads=shape.heads,
        keys=shape.kv_heads * shape.head_dim,
        vocabulary=shape.vocabulary,
        linear=tuple(
            (name.removesuffix(".weight"), dims[0], dims[1])
            for name, dims, _ in tensors
            if len(dims) == 2 and name.endswith(".weight") and _LAYER.search(name)
        ),
    )


def _tensors(base: Path) -> list[tuple[str, list[int], str]]:
    """Name, dimensions and type of each tensor."""
    files = sorted(base.glob("*.safetensors"))
    files = [f for f in files if len(files) == 1 or not f.name.startswith("consolidated")]
    if not files:
        raise UsageError(f"expected weights as .safetensors in {base}, found none: convert them with save_pretrained")
    found: list[tuple[str, list[int], str]] = []
    for file in files:
        with file.open("rb") as opened:
            try:
                (length,) = struct.unpack("<Q", opened.read(8))
                header: dict[str, Any] = json.loads(opened.read(length))
            except (struct.error, ValueError, OverflowError, MemoryError):
                raise UsageError(
                    f"expected the header of a safetensors file in {file}, found none: fetch it again"
                ) from None
        found += [(name, told["shape"], told["dtype"]) for name, told in header.items() if name != "__metadata__"]
    return found
