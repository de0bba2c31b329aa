"""What every trainer here is told: the recipe in its library's words, and that nothing is to leave or to be printed."""

import contextlib
import os
import warnings
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

from openoutcry.core import egress
from openoutcry.training.tuning.checkpoints import KEPT
from openoutcry.training.tuning.recipe import Recipe

OFTEN = 10
"""Updates between checks on the valid rows, at least."""
POINTS = 100
"""How many points a curve of losses has at most."""


def arguments(recipe: Recipe, folder: Path, valid: bool) -> dict[str, Any]:
    """Keyword arguments of transformers' TrainingArguments and those derived from it, for a settled recipe."""
    often = max(OFTEN, recipe.steps // 10)
    return {
        "output_dir": str(folder),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.rate,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": round(recipe.warmup * recipe.steps),
        "weight_decay": recipe.decay,
        "max_grad_norm": recipe.clip,
        "gradient_checkpointing": recipe.checkpointing == "on",
        "bf16": recipe.precision == "bfloat16",
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "logging_strategy": "steps",
        "logging_steps": max(1, recipe.steps // POINTS),
        "eval_strategy": "steps" if valid else "no",
        "eval_steps": often,
        "save_strategy": "steps",
        "save_steps": recipe.keep_every,
        "save_total_limit": KEPT,
        "report_to": "none",
        "push_to_hub": False,
        "disable_tqdm": True,
        "log_level": "error",
        "use_cpu": not on_gpu(),
        "dataloader_pin_memory": on_gpu(),
    }


def on_gpu() -> bool:
    """Whether torch finds a GPU."""
    import torch

    return torch.cuda.is_available()


def processes() -> int:
    """How many processes a launcher started for this run; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def hushed(recipe: Recipe) -> Generator[None]:
    """Libraries offline, without bars and chatter, on the recipe's threads; on one GPU where no launcher gave more."""
    egress.quiet()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if processes() == 1:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    names = ("datasets", "torch", "transformers.utils.logging")
    datasets, torch, logging = (import_module(name) for name in names)
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads)
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
