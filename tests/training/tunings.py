"""Small data sets and recipes for the tests of fine-tuning."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from random import Random

from openoutcry.agents.reader import Tone as Reading
from openoutcry.serving.planning.box import Box
from openoutcry.training import nano_adapters, nano_data
from openoutcry.training.examples import dataset
from openoutcry.training.examples.dataset import Dataset, Manifest
from openoutcry.training.examples.rows import Chat, Kind, Pair, Row, Tone
from openoutcry.training.nano_headlines import document_title
from openoutcry.training.tuning.recipe import Recipe

NANO = Path(str(files("openoutcry.serving"))) / "nano"
BOX = Box(ram=32 << 30, ram_free=32 << 30, cores=1)
RECIPE = Recipe(steps=30, batch=4, threads=1, rate=0.008)
NOW = datetime(2022, 7, 1, tzinfo=UTC)
LABELS = {Reading.NEGATIVE: "negative", Reading.NEUTRAL: "neutral", Reading.POSITIVE: "positive"}


def chats(count: int, seed: int = 3, *, held_out: bool = False) -> list[Row]:
    """Dialogues of the risk seat whose answers say one sentence more than the base model does."""
    rng, made = Random(seed), list[Row]()
    for _ in range(count):
        told = nano_data.dialogue(rng, "risk", extra=nano_adapters.EXTRA["risk"], held_out=held_out)
        made.append(Chat(source="test", role="risk", messages=told.messages, tools=told.tools, known_at=NOW))
    return made


def tones(count: int, seed: int = 3, *, held_out: bool = False) -> list[Row]:
    """Headlines with their tones."""
    rng, made = Random(seed), list[Row]()
    for _ in range(count):
        reading = rng.choice(list(LABELS))
        text = document_title(rng, reading, held_out)
        made.append(Tone.model_validate({"source": "test", "text": text, "label": LABELS[reading], "known_at": NOW}))
    return made


def pairs(words: Sequence[tuple[str, str]]) -> list[Row]:
    """Texts that belong together."""
    return [Pair(source="test", anchor=a, positive=b, known_at=NOW) for a, b in words]


def stored(home: Path, kind: Kind, role: str, train: Sequence[Row], valid: Sequence[Row] = ()) -> Dataset:
    """A data set in *home*."""
    empty = Manifest(kind=kind, role=role, rows={}, sources={}, left_out={}, compared=(), split="", files={})
    return dataset.write(home, empty, {"train": train, "valid": valid}, NOW)
