"""Fine-tunes what does not write: the reader's tone classifier and the embedder, by sentence-transformers' trainers."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.serving.asking.tones import TONES, labels, strange
from openoutcry.training.tuning.arguments import arguments
from openoutcry.training.tuning.recipe import Recipe

Row = dict[str, Any]
COLUMNS = {"tone": ("text", "label"), "pairs": ("anchor", "positive")}
"""What a row of each kind holds that is learnt from."""


def fitting(tokenizer: Any, kind: str, rows: Iterable[Row], max_length: int) -> tuple[list[Row], Counter[str], int]:
    """Rows that have their columns and fit, how many were left out by why, and the tokens of those that stay.

    None is cut.
    """
    kept, left, tokens = list[Row](), Counter[str](), 0
    most = min(max_length, tokenizer.model_max_length)
    for row in rows:
        texts = [str(row.get(name, "")) for name in COLUMNS[kind]]
        counts = [len(ids) for ids in tokenizer(texts if kind == "pairs" else texts[:1])["input_ids"]]
        if not all(texts):
            left["an empty column"] += 1
        elif max(counts) > most:
            left[f"longer than {most:,} tokens"] += 1
        else:
            kept.append(dict(zip(COLUMNS[kind], texts, strict=True)))
            tokens += sum(counts)
    return kept, left, tokens


def classes(base: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """The labels of the classifier to be: those that the base has where they suffice, else the data's, in order."""
    have, need = labels(base), {row["label"] for row in rows}
    if need <= set(have) and not strange(have):
        return have
    return tuple(tone for tone in TONES if tone in need | {"negative", "neutral", "positive"})


def classifier(
    base: Path, rows: Sequence[Row], valid: Sequence[Row], recipe: Recipe, folder: Path, callbacks: Sequence[Any] = ()
) -> Any:
    """A trainer of a sequence classifier over tones. A base without these labels gets a new head."""
    import torch
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from transformers import set_seed

    names = classes(base, rows)
    set_seed(recipe.seed)  # the new head is drawn at random
    words = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    model: Any = CrossEncoder(
        str(base),
        num_labels=len(names),
        device=None if recipe.precision == "bfloat16" else "cpu",
        local_files_only=True,
        model_kwargs={"dtype": torch.float32, "ignore_mismatched_sizes": True},
        config_kwargs=words,
    )

    class Tones(torch.nn.Module):
        """Cross-entropy over the tones of single texts: the library's own loss takes pairs alone."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: Any, labels: Any, prompt: str | None = None, task: str | None = None) -> Any:
            framed: Any = model.preprocess(list(inputs[0]))
            framed = {k: v.to(model.device) if hasattr(v, "to") else v for k, v in framed.items()}
            return torch.nn.functional.cross_entropy(model(framed)["scores"].float(), labels.view(-1))

    def table(some: Sequence[Row]) -> dict[str, list[Any]]:
        return {"text": [row["text"] for row in some], "label": [names.index(row["label"]) for row in some]}

    kind = (CrossEncoderTrainer, CrossEncoderTrainingArguments)
    return _trainer(kind, model, Tones(), table(rows), table(valid), recipe, folder, callbacks)


def embedder(
    base: Path, rows: Sequence[Row], valid: Sequence[Row], recipe: Recipe, folder: Path, callbacks: Sequence[Any] = ()
) -> Any:
    """A trainer that moves the texts of a pair together and those of other pairs apart."""
    import torch
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    if not (base / "modules.json").is_file():
        raise UsageError(f"expected the folder of a sentence-transformers model, found no modules.json in {base}")
    model: Any = SentenceTransformer(
        str(base),
        device=None if recipe.precision == "bfloat16" else "cpu",
        local_files_only=True,
        model_kwargs={"dtype": torch.float32},
    )

    def table(some: Sequence[Row]) -> dict[str, list[Any]]:
        return {name: [row[name] for row in some] for name in COLUMNS["pairs"]}

    kind = (SentenceTransformerTrainer, SentenceTransformerTrainingArguments)
    loss: Any = MultipleNegativesRankingLoss(model)
    # The same text twice in a batch would be told to be apart from itself.
    more = {"batch_sampler": "no_duplicates"}
    return _trainer(kind, model, loss, table(rows), table(valid), recipe, folder, callbacks, more)


def _trainer(
    kind: tuple[Any, Any],
    model: Any,
    loss: Any,
    rows: dict[str, list[Any]],
    valid: dict[str, list[Any]],
    recipe: Recipe,
    folder: Path,
    callbacks: Sequence[Any],
    more: dict[str, Any] | None = None,
) -> Any:
    datasets, transformers = (import_module(name) for name in ("datasets", "transformers"))
    model.model_card_data.widget = [{"text": ""}]  # else examples for a card that is not kept are drawn, with a bar
    checked = bool(next(iter(valid.values())))
    made: Any = kind[0](
        model=model,
        args=kind[1](**arguments(recipe, folder, checked), **(more or {})),
        train_dataset=datasets.Dataset.from_dict(rows),
        eval_dataset=datasets.Dataset.from_dict(valid) if checked else None,
        loss=loss,
        callbacks=list(callbacks),
    )
    made.remove_callback(transformers.PrinterCallback)
    return made


def save_classifier(made: Any, out: Path) -> None:
    """Write it as any Hugging Face sequence classifier, which is what a server of tones loads."""
    model: Any = made.model
    if made.args.should_save:
        model[0].auto_model.save_pretrained(out)
        model.tokenizer.save_pretrained(out)
        told: dict[str, Any] = json.loads((out / "config.json").read_bytes())
        told.pop("sentence_transformers", None)
        told["problem_type"] = "single_label_classification"
        (out / "config.json").write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def save_embedder(made: Any, out: Path) -> None:
    """Write it as sentence-transformers does, which is what the desk's memory and a server load."""
    if made.args.should_save:
        made.model.save_pretrained(str(out), create_model_card=False)
