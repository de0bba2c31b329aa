"""A data set as a base sees it: rows in tokens, what was left out and why, and how long the longest is."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openoutcry.training.examples.dataset import PARTS, Dataset
from openoutcry.training.examples.rows import Kind
from openoutcry.training.tuning import pooling, rows


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows to learn from and to check with: lines of tokens for chat, else rows of texts.

    `tokens` are those of all rows to learn from, `longest` those of the longest sequence.
    """

    kind: Kind
    tokenizer: Any
    train: Sequence[Any]
    valid: Sequence[Any]
    left_out: Counter[str]
    tokens: int
    longest: int


def prepare(base: Path, dataset: Dataset, max_length: int) -> Prepared:
    """Read and tokenize both files of the data set. Raises UsageError or DataError."""
    tokenizer = rows.tokenizer_of(base)
    most = min(max_length, _positions(base) or max_length)
    train, valid = ((row.model_dump(mode="json") for row in dataset.read(part)) for part in PARTS)
    kind = dataset.manifest.kind
    if kind == "chat":
        ends = rows.stops(base, tokenizer)
        learnt, checked = (rows.encode(tokenizer, ends, some, most) for some in (train, valid))
        left = learnt.left_out + checked.left_out
        return Prepared(kind, tokenizer, learnt.lines, checked.lines, left, learnt.tokens, learnt.longest)
    (kept, out, tokens), (other, more, _) = (pooling.fitting(tokenizer, kind, some, most) for some in (train, valid))
    longest = max((len(ids) for row in kept for ids in tokenizer(_texts(kind, row))["input_ids"]), default=0)
    return Prepared(kind, tokenizer, kept, other, out + more, tokens, longest)


def _texts(kind: Kind, row: dict[str, Any]) -> list[str]:
    return [row["text"]] if kind == "tone" else [row["anchor"], row["positive"]]


def _positions(base: Path) -> int:
    """Tokens that a base can place at most; 0 where it does not say."""
    try:
        told: Any = json.loads((base / "config.json").read_bytes())
        return int((told.get("text_config") or told).get("max_position_embeddings") or 0)
    except (OSError, ValueError, AttributeError):
        return 0
