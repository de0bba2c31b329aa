"""Where a replica listens: a free port of loopback, or a socket in the data folder that no other user reaches."""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import quote

from openoutcry.core.errors import UsageError
from openoutcry.serving.roster import folder
from openoutcry.serving.stack import Served, Stack

LONGEST = 107 if sys.platform == "linux" else 103
"""Bytes of a socket's path that the system takes."""


def fresh(home: Path, model: Served, index: int) -> str:
    """The URL of a replica that is to be started; a socket that an earlier one left there is removed.

    Raises UsageError where the socket's path would be too long.
    """
    if not model.socket:
        return f"http://127.0.0.1:{_free_port()}"
    path = _path(home, model, index)
    path.unlink(missing_ok=True)
    return f"unix://{quote(str(path))}"


def refuse(stack: Stack, home: Path) -> None:
    """Raise UsageError where the path of a socket that *stack* asks for would be too long."""
    for model in stack.models.values():
        if model.engine == "vllm" and model.socket:
            _path(home, model, model.replicas.max - 1)


def _path(home: Path, model: Served, index: int) -> Path:
    path = folder(home).absolute() / f"{quote(model.name, safe='')}-{index}.sock"
    if (size := len(os.fsencode(path))) > LONGEST:
        raise UsageError(
            f"expected a socket's path of at most {LONGEST} bytes, got {size}: {path}; set socket = false under "
            f"[models.{model.name}], or choose a data folder with a shorter path"
        )
    return path


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
