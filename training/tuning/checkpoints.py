"""Checkpoints that are whole or do not count: a mark written last, with the size of every file, says so.

<run>/checkpoints/checkpoint-<step>/whole.json
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from openoutcry.core import durable

MARK = "whole.json"
KEPT = 2
"""How many are kept: the library deletes the oldest before the newest has its mark."""
_STEP = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path) -> None:
    """Put the files of a checkpoint on the disk, and then its mark."""
    sizes: dict[str, int] = {}
    for file in _files(checkpoint):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        sizes[file.relative_to(checkpoint).as_posix()] = file.stat().st_size
    durable.put(checkpoint / MARK, json.dumps(sizes, sort_keys=True).encode())


def whole(checkpoint: Path) -> bool:
    """Whether every file is there at the size that the mark says."""
    try:
        told: Any = json.loads((checkpoint / MARK).read_bytes())
        return bool(told) and all((checkpoint / name).stat().st_size == size for name, size in told.items())
    except (OSError, ValueError, AttributeError):
        return False


def newest(folder: Path, steps: int) -> Path | None:
    """The newest whole checkpoint to go on from towards *steps* updates.

    One that was kept after the last of them does not count: the library would train an update more.
    """
    found = [(number, checkpoint) for number, checkpoint in _steps(folder) if number < steps and whole(checkpoint)]
    return max(found)[1] if found else None


def sweep(folder: Path) -> None:
    """Delete what is not whole, so that no library takes it for a checkpoint."""
    for _, checkpoint in _steps(folder):
        if not whole(checkpoint):
            shutil.rmtree(checkpoint, ignore_errors=True)


def step(checkpoint: Path | None) -> int:
    """The update that a checkpoint was kept after; 0 for none."""
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


def _steps(folder: Path) -> list[tuple[int, Path]]:
    inside = list(folder.iterdir()) if folder.is_dir() else []
    return [(int(m[1]), path) for path in inside if (m := _STEP.fullmatch(path.name)) and path.is_dir()]


def _files(checkpoint: Path) -> list[Path]:
    return [f for f in checkpoint.rglob("*") if f.is_file() and f.name != MARK and not f.name.startswith(".")]
