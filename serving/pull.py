"""A model's files taken into the data folder from another folder of this machine: linked or copied, and found whole.

<home>/models/<name>/          a model; whole, or not there
<home>/models/.<name>.part/    one that is being taken; what is there is not copied again
"""

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

from openoutcry.core.errors import DataError, UsageError
from openoutcry.serving.digest import digest, files

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
WEIGHTS = (".safetensors", ".bin", ".gguf")
STEP = 64 * 1024 * 1024
"""Bytes copied between two words of progress."""
Progress = Callable[[str, int, int], None]
"""Told a file's name, the bytes of it that are there, and its size."""


def unwatched(_: str, __: int, ___: int) -> None:
    """Nobody watches."""


def folder(home: Path) -> Path:
    """Where a desk keeps models that were taken."""
    return home / "models"


def source_in(given: Path) -> Path:
    """The model's folder in *given*: itself, or the snapshot in force where it is an entry of a hub's cache.

    Raises UsageError where it is no folder.
    """
    if not given.is_dir():
        raise UsageError(f"expected the folder of a model on this machine, found none at {given}")
    snapshots = given / "snapshots"
    if not snapshots.is_dir():
        return given
    pointer = given / "refs" / "main"
    named = snapshots / pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else None
    there = sorted((s for s in snapshots.iterdir() if s.is_dir()), key=lambda s: s.stat().st_mtime)
    if named is not None and named.is_dir():
        return named
    if not there:
        raise UsageError(f"expected a snapshot of a model in {snapshots}, found none")
    return there[-1]


def pull(home: Path, given: Path, name: str = "", progress: Progress = unwatched) -> Path:
    """Take the model at *given* into the data folder as *name* (default: its folder's), and give where it is now.

    Files are linked where both lie on one disk, else copied; a pull that was broken off goes on where it stopped.
    Nothing comes from a network. Raises UsageError where *given* is no whole model, or another has that name;
    DataError where there is no room.
    """
    source = source_in(given)
    called = name or given.resolve().name
    if not called or called.startswith(".") or "/" in called:
        raise UsageError(f"expected a name for the model without '/' or a dot at its start, got {called!r}: give --as")
    if fault := lacking(source):
        raise UsageError(f"expected a whole model in {source}, but {fault}")
    to, part = folder(home) / called, folder(home) / f".{called}.part"
    if to.exists():
        if digest(to) == digest(source):
            return to
        raise UsageError(f"expected a free name, but {to} holds another model: give another with --as, or delete it")
    try:
        _take(files(source), part, progress)
    except OSError as error:
        raise DataError(
            f"expected to write {part}, got {error.strerror}: make room, and pull again to go on from here"
        ) from None
    if digest(part) != digest(source):
        raise DataError(f"expected a copy of {source}, got something else: delete {part} and pull again")
    part.rename(to)
    return to


def _take(found: Iterable[tuple[str, Path]], part: Path, progress: Progress) -> None:
    names = {name: file for name, file in found}
    part.mkdir(parents=True, exist_ok=True)
    for name, file in names.items():
        to = part / name
        to.parent.mkdir(parents=True, exist_ok=True)
        size = file.stat().st_size
        there = to.exists() and to.stat().st_size == size
        if not there and to.exists() and to.stat().st_nlink > 1:
            to.unlink()  # a link to what lay in the source at an earlier try, which may be somebody's still
        if not there and not _linked(file.resolve(), to):
            _copied(file, to, partial(_in_file, progress, name, size))
        progress(name, size, size)
    for name, left in files(part):
        if name not in names:
            left.unlink()


def _in_file(progress: Progress, name: str, size: int, done: int) -> None:
    progress(name, done, size)


def _linked(file: Path, to: Path) -> bool:
    """Make *to* another name of the file, where that can be; weights are large, and nobody writes into them."""
    if to.exists():
        return False
    try:
        os.link(file, to)
    except OSError:
        return False
    return True


def _copied(file: Path, to: Path, done: Callable[[int], None]) -> None:
    """Copy, from where an earlier copy stopped."""
    begun = to.stat().st_size if to.exists() else 0
    begun = begun if begun < file.stat().st_size else 0
    with file.open("rb") as source, to.open("r+b" if begun else "wb") as target:
        source.seek(begun)
        target.seek(begun)
        while chunk := source.read(STEP):
            target.write(chunk)
            done(target.tell())
    shutil.copystat(file, to)


def lacking(model: Path) -> str:
    """What a model's folder lacks to be whole; empty where it lacks nothing. An adapter needs no more than its own."""
    names = {file.name for file in model.iterdir()} if model.is_dir() else set[str]()
    if "adapter_config.json" in names:
        there = any(n.startswith("adapter_model.") for n in names)
        return _cut(model) if there else "there is no adapter_model.safetensors"
    if not _json(model / "config.json"):
        return "there is no readable config.json"
    if not names & {*TOKENIZERS}:
        return f"there is no tokenizer: none of {', '.join(TOKENIZERS)}"
    for index in sorted(n for n in names if n.endswith(".index.json")):
        table = _json(model / index).get("weight_map")
        if not isinstance(table, dict):
            return f"{index} is not readable: it maps no weights to files"
        if lost := sorted({*map(str, cast("dict[str, Any]", table).values())} - names):
            return f"{index} names {lost[0]}, which is not there" + (f", and {len(lost) - 1} more" if lost[1:] else "")
    if not any(n.endswith(WEIGHTS) for n in names):
        return "there are no weights"
    return _cut(model)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _cut(model: Path) -> str:
    """Which weights end before their own table of contents says."""
    for file in sorted(model.glob("*.safetensors")):
        if file.stat().st_size != _said(file):
            return f"{file.name} is cut short or damaged"
    return ""


def _said(file: Path) -> int:
    """The size that a safetensors file should have by its header; -1 where it has none."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > file.stat().st_size:
                return -1
            table: dict[str, Any] = json.loads(opened.read(length))
        ends = [t["data_offsets"][1] for name, t in table.items() if name != "__metadata__"]
        return 8 + int(length) + max(ends, default=0)
    except (OSError, ValueError, struct.error, KeyError, TypeError):
        return -1
