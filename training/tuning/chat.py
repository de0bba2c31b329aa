"""Fine-tunes a language model on chat rows with TRL: LoRA factors in PEFT's format, or all of its weights."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from openoutcry.training.tuning.arguments import arguments
from openoutcry.training.tuning.recipe import Recipe
from openoutcry.training.tuning.rows import Line, Tokenizer


def trainer(
    base: Path,
    tokenizer: Tokenizer,
    lines: Sequence[Line],
    valid: Sequence[Line],
    recipe: Recipe,
    folder: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """A TRL trainer, ready to train. Rows come as tokens with labels, so nothing is rendered or cut in it."""
    torch, transformers, trl = (import_module(name) for name in ("torch", "transformers", "trl"))
    # All weights stay in single precision, which bfloat16 then computes from; frozen ones may be half as wide.
    half = recipe.precision == "bfloat16" and recipe.method == "lora"
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.bfloat16 if half else torch.float32, local_files_only=True, trust_remote_code=False
    )
    shape: dict[str, Any] = arguments(recipe, folder, bool(valid))
    made: Any = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(**shape, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=_table(lines),
        eval_dataset=_table(valid) if valid else None,
        processing_class=tokenizer,
        callbacks=list(callbacks),
        peft_config=_lora(recipe) if recipe.method == "lora" else None,
    )
    made.remove_callback(transformers.PrinterCallback)
    return made


def _table(lines: Sequence[Line]) -> Any:
    datasets: Any = import_module("datasets")
    return datasets.Dataset.from_dict({"input_ids": [n.ids for n in lines], "labels": [n.labels for n in lines]})


def _lora(recipe: Recipe) -> Any:
    peft: Any = import_module("peft")
    return peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets) or "all-linear",
        bias="none",
    )


def save(made: Any, base: Path, name: str, tokenizer: Tokenizer, out: Path) -> None:
    """Write what was learnt: an adapter that names its base *name*, or a model as wide as its base's files."""
    unwrapped: Any = made.accelerator.unwrap_model(made.model)
    state: Any = made.accelerator.get_state_dict(made.model)
    if not made.args.should_save:
        return
    if hasattr(unwrapped, "peft_config"):
        unwrapped.peft_config["default"].base_model_name_or_path = name
        unwrapped.save_pretrained(out, state_dict=state, save_embedding_layers=False)
        (out / "README.md").unlink(missing_ok=True)
        return
    unwrapped.config.dtype = width = _width(base)
    unwrapped.save_pretrained(out, state_dict=narrowed(state, width))
    tokenizer.save_pretrained(out)


def _width(base: Path) -> Any:
    """The type of number that a base's files hold."""
    torch, transformers = (import_module(name) for name in ("torch", "transformers"))
    stored: Any = transformers.AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    return stored.dtype or torch.float32


def narrowed(state: Mapping[str, Any], width: Any) -> dict[str, Any]:
    """Weights as *width*; two names of one tensor stay that, so that tied weights are written once."""
    made: dict[int, Any] = {}
    for value in state.values():
        if value.is_floating_point():
            made.setdefault(value.data_ptr(), value.to(width))
    return {key: made[value.data_ptr()] if value.is_floating_point() else value for key, value in state.items()}
