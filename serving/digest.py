"""What a model is, in 12 hex digits: a digest of its files, quick even for weights of many gigabytes."""

import hashlib
import os
import time
from functools import lru_cache
from pathlib import Path

from openoutcry.core.errors import UsageError

WHOLE = 64 * 1024 * 1024
"""Bytes up to which a file is read whole."""
END = 4 * 1024 * 1024
"""Bytes read at either end of a longer one."""
SETTLED = 2 * 10**9
"""Nanoseconds after which a file that changed again would have another time of change."""


def digest(path: Path) -> str:
    """12 hex digits over a file's content, or over the names and content of a folder's files.

    A file past 64 MiB counts by its size and its first and last 4 MiB: weights are not changed in the middle alone.
    Hidden files and folders do not count. What was read once is not read again while the file system says that it is
    the same file, unchanged: this tells models apart, and does not find damage to a disk. Raises UsageError where there
    is nothing at *path*, or it cannot be read.
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
    at = file.stat()
    read = _known if time.time_ns() - at.st_ctime_ns > SETTLED else _read
    return read(file, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_dev, at.st_ino)


def _read(file: Path, size: int, *_: int) -> str:
    with file.open("rb") as opened:
        if size <= WHOLE:
            return hashlib.file_digest(opened, "sha256").hexdigest()
        ends = hashlib.sha256(f"{size}\0".encode())
        ends.update(opened.read(END))
        opened.seek(-END, os.SEEK_END)
        ends.update(opened.read(END))
    return ends.hexdigest()


_known = lru_cache(4096)(_read)
