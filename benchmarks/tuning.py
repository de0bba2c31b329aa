"""The fine-tuning part of `make bench`: tokens a second beside a bare TRL script on the same rows, turn about."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

from openoutcry.serving.planning.box import box
from openoutcry.training import nano_data
from openoutcry.training.examples import dataset
from openoutcry.training.examples.dataset import Dataset, Manifest
from openoutcry.training.examples.rows import Chat, Row
from openoutcry.training.tuning.arguments import hushed
from openoutcry.training.tuning.prepare import Prepared, prepare
from openoutcry.training.tuning.recipe import Recipe
from openoutcry.training.tuning.run import tune

BASE = Path(str(files("openoutcry.serving"))) / "nano/base"
ROUNDS, ROWS = 5, 320
RECIPE = Recipe(steps=40, batch=8, rate=5e-3, schedule="linear", warmup=0.0, threads=1)


def stored(home: Path) -> Dataset:
    """Dialogues of the risk seat, the same each time."""
    rng, made, now = Random(5), list[Row](), datetime(2022, 7, 1, tzinfo=UTC)
    for _ in range(ROWS):
        told = nano_data.dialogue(rng, "risk")
        made.append(Chat(source="bench", role="risk", messages=told.messages, tools=told.tools, known_at=now))
    empty = Manifest(kind="chat", role="risk", rows={}, sources={}, left_out={}, compared=(), split="", files={})
    return dataset.write(home, empty, {"train": made, "valid": []}, now)


def bare(data: Prepared, folder: Path) -> float:
    """Seconds of TRL's own trainer as its documentation uses it, on the same tokens."""
    datasets, peft, torch, transformers, trl = (
        import_module(name) for name in ("datasets", "peft", "torch", "transformers", "trl")
    )
    lines: Any = data.train
    rows = datasets.Dataset.from_dict({"input_ids": [x.ids for x in lines], "labels": [x.labels for x in lines]})
    model = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    settings = trl.SFTConfig(
        output_dir=str(folder),
        max_steps=RECIPE.steps,
        per_device_train_batch_size=RECIPE.batch,
        learning_rate=RECIPE.rate,
        gradient_checkpointing=False,
        bf16=False,
        max_length=None,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=RECIPE.seed,
        data_seed=RECIPE.seed,
        use_cpu=True,
    )
    trainer = trl.SFTTrainer(
        model=model,
        args=settings,
        train_dataset=rows,
        processing_class=data.tokenizer,
        peft_config=peft.LoraConfig(
            r=RECIPE.rank, lora_alpha=RECIPE.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    began = time.perf_counter()
    trainer.train()
    return time.perf_counter() - began


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, value and goal of each measurement; ours keeps a checkpoint, the bare script none."""
    ours, theirs = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        data = stored(home)
        seen = prepare(BASE, data, RECIPE.max_length)
        tokens = seen.tokens * RECIPE.steps * RECIPE.batch / ROWS
        for turn in range(ROUNDS):
            tuned = tune(home / f"{turn}", BASE, data, RECIPE, box=box())
            assert tuned.run.done
            ours.append(tokens / tuned.run.done.seconds)
            with hushed(RECIPE):
                theirs.append(tokens / bare(seen, home / f"bare{turn}"))
    mine, plain = statistics.median(ours), statistics.median(theirs)
    yield f"fine-tune the nano, LoRA, {RECIPE.steps} updates of {RECIPE.batch}", f"{mine:,.0f} tokens/s", ""
    yield "    plain TRL", f"{plain:,.0f} tokens/s", ""
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    yield "    ours against plain TRL", f"{ratio:.2f}x", "goal: at least 0.95x"


if __name__ == "__main__":
    for name, value, goal in rows():
        print(f"{name:<58} {value:>14}   {goal}", flush=True)
