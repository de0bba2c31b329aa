"""What a model is, in 12 hex digits: a digest of its files, quick even for weights of many gigabytes."""

import hashlib
import os
from pathlib import Path

from openoutcry.core.errors import UsageError

WHOLE = 64 * 1024 * 1024
"""Bytes up to which a file is read whole."""
END = 4 * 1024 * 1024
"""Bytes read at either end of a longer one."""


def digest(path: Path) -> str:
    """12 hex digits over a file's content, or over the names and content of a folder's files.

    A file past 64 MiB counts by its size and its first and last 4 MiB: weights are not changed in the middle alone.
    Hidden files and folders do not count. Raises UsageError where there is nothing at *path*, or it cannot be read.
    """
    try:
        if path.is_file():
            return _content(path)[:12]
        whole = hashlib.sha256()
        for name, file in files(path):
            whole.update(f"{name}\0{_content(file)}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise UsageError(f"expected to read {error.filename or path}, got {error.strerror}: make it readable") from None
    return whole.hexdigest()[:12]


def files(folder: Path) -> list[tuple[str, Path]]:
    """A folder's files with their names within it, ordered by name; hidden ones left out.

    Raises UsageError where it holds none.
    """
    found: list[tuple[str, Path]] = []
    for at, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        paths = [Path(at) / name for name in names if not name.startswith(".")]
        found += [(path.relative_to(folder).as_posix(), path) for path in paths if path.is_file()]
    if not found:
        raise UsageError(f"expected a model's file or folder, found nothing at {folder}")
    return sorted(found)


def _content(file: Path) -> str:
    size = file.stat().st_size
    with file.open("rb") as opened:
        if size <= WHOLE:
            return hashlib.file_digest(opened, "sha256").hexdigest()
        ends = hashlib.sha256(f"{size}\0".encode())
        ends.update(opened.read(END))
        opened.seek(-END, os.SEEK_END)
        ends.update(opened.read(END))
    return ends.hexdigest()
