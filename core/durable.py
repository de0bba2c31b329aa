"""Files that are whole or not there, and that a power cut does not take back."""

import os
import tempfile
from pathlib import Path


def put(path: Path, content: bytes, mode: int = 0o644, make: bool = True) -> None:
    """Write beside, sync, rename, and sync the folder. No other user may read it before it has its *mode*.

    The folder is made where it is not there; without *make*, FileNotFoundError.
    """
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    settle(path.parent)


def settle(folder: Path) -> None:
    """Put the names in *folder* on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
