"""The tones that a text may have, and which of them a classifier's labels mean."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TONES = ("very_negative", "negative", "neutral", "positive", "very_positive")
"""What a reader may say of a text; a classifier of three uses those in the middle."""


def tone(label: str) -> str | None:
    """The tone that a classifier's label means, or None where it means none."""
    plain = label.strip().lower().replace(" ", "_").replace("-", "_")
    return plain if plain in TONES else None


def labels(weights: Path | None) -> tuple[str, ...]:
    """The labels of a classifier, from its folder's config.json; none where they are not there to be read."""
    try:
        told: Any = json.loads((weights / "config.json").read_bytes()) if weights else {}
        return tuple(map(str, told.get("id2label", {}).values()))
    except (OSError, ValueError, AttributeError):
        return ()


def strange(given: Sequence[str]) -> str:
    """What is wrong with a classifier's label set; empty where every label is a tone."""
    odd = [label for label in given if tone(label) is None]
    told = "very_negative, negative, neutral, positive, very_positive, or the three in the middle"
    return f"expected labels among {told}; got {', '.join(odd)}: name them so in its config.json" if odd else ""
