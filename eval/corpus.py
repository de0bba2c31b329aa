"""Texts to be compared, such as training data: the files that they come in, and what cannot be read of them."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from openoutcry.core.errors import BadFile

Given = tuple[str, str]
"""Where a text comes from, such as a file and line, and the text."""


TELLING = 3
"""Words from which on a key is no mere name: the shortest question of a case has so many."""


def texts(path: Path) -> Iterator[Given]:
    """The texts of a file: a row each of JSONL (all its strings) and CSV, the whole of a text file or of JSON.

    Keys and the first row of CSV are texts where they are long enough to be more than names.

    Raises BadFile for what cannot be read, is empty, or is of another kind.
    """
    if path.suffix not in _READ:
        raise BadFile(f"expected texts as {', '.join(_READ)}, got {path}; convert it, it is not taken for clean")
    try:
        found = list(_READ[path.suffix](path))
    except (OSError, ValueError, csv.Error) as error:
        raise BadFile(f"expected texts in {path}, found what cannot be read: {error}") from None
    if not found:
        raise BadFile(f"expected texts in {path}, found none")
    yield from found


def _rows(path: Path) -> Iterator[Given]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path} line {number}", "\n".join(_strings(json.loads(line)))


def _cells(path: Path) -> Iterator[Given]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, strict=True)):
            if row and (number or any(map(_telling, row))):
                yield f"{path} row {number}", "\n".join(row)


def _whole(path: Path) -> Iterator[Given]:
    text = path.read_text(encoding="utf-8")
    if text.strip():
        yield str(path), "\n".join(_strings(json.loads(text))) if path.suffix == ".json" else text


def _strings(value: Any) -> Iterator[str]:
    """Every string in what JSON holds, and the keys that are no mere names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in cast("dict[str, Any]", value).items():
            if _telling(key):
                yield key
            yield from _strings(one)
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _strings(one)


def _telling(name: str) -> bool:
    return len(name.split()) >= TELLING


_READ = {".jsonl": _rows, ".csv": _cells, ".json": _whole, ".txt": _whole, ".md": _whole}
