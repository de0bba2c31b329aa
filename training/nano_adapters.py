"""Trains a LoRA adapter a role on the nano model: `python -m openoutcry.training.nano_adapters --base B --out FOLDER`.

An adapter's role says one sentence more than the base model, so that a test sees which of them answered.
"""

import argparse
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from openoutcry.training import nano, nano_data
from openoutcry.training.nano_start import Model, Tensor
from openoutcry.training.nano_tokenizer import Tokenizer

RANK, ALPHA, PEAK_RATE = 8, 16, 1e-2
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EXTRA = {
    "risk": ("value_at_risk", "portfolio_value_at_risk"),
    "analyst": ("price_summary", "valuation", "relative_return"),
    "sentiment": ("read_documents",),
}
"""By role, the tools of which its adapter says one sentence more."""
Factors = dict[str, tuple[Tensor, Tensor]]


def grow(model: Model) -> Factors:
    """Freeze the model and add a product of two thin factors to each target; the factors by module name.

    A is (rank, inputs) and random, B is (outputs, rank) and zero, so that training begins at the base model.
    """
    import torch
    from torch.nn.utils import parametrize

    class Added(torch.nn.Module):
        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.randn(RANK, weight.shape[1]) / weight.shape[1] ** 0.5)
            self.b = torch.nn.Parameter(torch.zeros(weight.shape[0], RANK))

        def forward(self, weight: Tensor) -> Tensor:
            return weight + ALPHA / RANK * self.b @ self.a

    model.requires_grad_(False)
    factors: Factors = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] in TARGETS:
            added = Added(module.weight)
            parametrize.register_parametrization(module, "weight", added)
            factors[name] = (added.a, added.b)
    return factors


def write(factors: Factors, folder: Path) -> None:
    """The two files of PEFT's format, weights in half precision."""
    torch: Any = import_module("torch")
    save_file: Any = import_module("safetensors.torch").save_file
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"base_model.model.{name}.lora_{side}.weight": factor.detach().to(torch.bfloat16).contiguous()
        for name, pair in factors.items()
        for side, factor in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    shape = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "nano",
        "r": RANK,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(TARGETS),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(shape, indent=2) + "\n")


def train(
    base: Path, role: str, minutes: float, seed: int, tell: Callable[[str], None]
) -> tuple[Factors, Model, Tokenizer]:
    """The factors of one role, and the model with them in place."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, tokenizer = nano.load(base)
    factors = grow(model)
    drawn = nano.draw(Random(seed), lambda r: nano_data.dialogue(r, role, extra=EXTRA[role]), tokenizer)
    nano.fit(model, lambda _: next(drawn), nano.heavy_slots(tokenizer), 60 * minutes, tell, peak=PEAK_RATE)
    return factors, model.eval(), tokenizer


def main() -> None:
    """Train, score and write the adapter of each role."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the trained base model")
    parser.add_argument("--minutes", type=float, default=1, help="minutes of one core, a role")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="folder for a folder a role")
    options = parser.parse_args()
    for role in EXTRA:
        factors, model, tokenizer = train(
            options.base, role, options.minutes, options.seed, lambda line: print(line, file=sys.stderr, flush=True)
        )
        write(factors, options.out / role)
        calls, answers = nano.exact(model, tokenizer, role, extra=EXTRA[role])
        print(f"{role}: right first calls {calls:.1%}, right answers {answers:.1%}")


if __name__ == "__main__":
    main()
