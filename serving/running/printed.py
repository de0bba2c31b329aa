"""What the processes of a stack printed: <home>/stack/logs, a file a replica and one for the supervisor."""

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from openoutcry.core.errors import UsageError
from openoutcry.serving.roster import folder

SUPERVISOR = "supervisor"
LONGEST = 16 * 1024 * 1024
"""Bytes past which a log is set aside when its replica starts again."""
_NO_ERROR = re.compile(r"^(\(\S+ pid=\d+\) )?(DEBUG|INFO|WARNING)\b")
_BLAMES = re.compile(r"\b\w*(?:Error|Exception|error): \S")
_BLAMES_ANOTHER = re.compile(r"[Ss]ee root cause|Engine core init")
_PREFIX = re.compile(r"^(\(\S+ pid=\d+\) )?([A-Z]+ \d\d-\d\d [\d:]+ \[\S+\] )?")


def log_of(home: Path, name: str) -> Path:
    """The log of the supervisor, or of a replica by its model and index as `model-0`."""
    return folder(home) / "logs" / f"{quote(name, safe='')}.log"


def set_aside(log: Path) -> None:
    """Begin a long log anew; the former is kept beside it. A data folder that was deleted is not made again."""
    log.parent.mkdir(exist_ok=True)
    if log.exists() and log.stat().st_size > LONGEST:
        log.replace(log.with_name(f"{log.name}.old"))


def blame(log: Path, begins: int) -> str:
    """The line that says why a process ended, among what it printed from byte *begins* on; or nothing."""
    with suppress(OSError), log.open("rb") as printed:
        printed.seek(max(begins, log.stat().st_size - 65536))
        lines = printed.read().decode(errors="replace").splitlines()
        told = [_PREFIX.sub("", line).rstrip() for line in lines if not _NO_ERROR.match(line)]
        blamed = [i for i, line in enumerate(told) if _BLAMES.search(line)]
        if found := [i for i in blamed if not _BLAMES_ANOTHER.search(told[i])] or blamed:
            said = told[found[-1]].strip()
            more = told[found[-1] + 1 : found[-1] + 2] if "validation error" in said else []  # pydantic's says what
            return " ".join([said, *(line.strip() for line in more)])[:300]
    return ""


def tail(home: Path, model: str, lines: int, follow: bool) -> Iterator[str]:
    """The last *lines* that each replica of *model*, or `supervisor`, printed; with *follow* what comes too, forever.

    Where there are several, each line begins with the one it is of. Raises UsageError where there is no such log.
    """
    found = _logs(home, model)
    ends: dict[Path, int] = {}
    for path in found:
        with path.open("rb") as printed:
            last = deque(printed, maxlen=lines)
            ends[path] = printed.tell()
        yield from (_told(path, line, len(found)) for line in last)
    while follow:
        time.sleep(0.2)
        for path in found:
            yield from (_told(path, line, len(found)) for line in _more(path, ends))


def _logs(home: Path, model: str) -> list[Path]:
    every = sorted((folder(home) / "logs").glob("*.log"))
    name = re.compile(SUPERVISOR if model == SUPERVISOR else rf"{re.escape(quote(model, safe=''))}-\d+")
    if found := [path for path in every if name.fullmatch(path.stem)]:
        return found
    known = sorted({re.sub(r"-\d+$", "", path.stem) for path in every})
    there = f"there are logs of {', '.join(known)}" if known else "nothing was started yet; `outcry stack up` does"
    raise UsageError(f"expected a model with a log, got {model!r}; {there}")


def _more(path: Path, ends: dict[Path, int]) -> Iterator[bytes]:
    """Whole lines that came since; all of them where the log was begun anew."""
    try:
        printed = path.open("rb")
    except FileNotFoundError:  # it was just set aside
        return
    with printed:
        if os.fstat(printed.fileno()).st_size < ends[path]:
            ends[path] = 0
        printed.seek(ends[path])
        for line in printed:
            if line.endswith(b"\n"):
                ends[path] += len(line)
                yield line


def _told(path: Path, line: bytes, count: int) -> str:
    said = line.decode(errors="replace").rstrip("\n")
    return f"{path.stem} | {said}" if count > 1 else said
