"""Runs a model's SQL in a disposable process, so that no statement can harm this one."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from openoutcry.core.errors import SqlRefused

MAX_ROWS = 1_000
MAX_BYTES = 1_000_000
START = 60.0
SECONDS = 5.0
"""How long a process may take until it is ready, and a statement from then on."""
READY = b"+"
"""What a process says before it is given its statement, so that the statement cannot have said it."""

# Isolated Python leaves out the working folder, so the package's own place is handed over.
_START = "import sys; sys.path.append(sys.argv[1]); from openoutcry.tools.data.worker import main; main()"
_SIGNALS: dict[int, str] = {
    signal.SIGXCPU: "ran past its CPU time: read fewer rows",
    signal.SIGABRT: "ran out of memory: filter or aggregate earlier",
    signal.SIGKILL: "was killed by the system, most likely for memory: filter or aggregate earlier",
}


@dataclass(frozen=True, slots=True)
class SandboxRows:
    """A statement's rows: numbers, text, booleans and None; instants in ISO 8601, nested values as text.

    `truncated` says that there were more than MAX_ROWS. `sha256` is over the canonical JSON of the
    columns and the rows kept.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    truncated: bool
    sha256: str


class Sandbox:
    """Runs statements over one snapshot, each in a process of its own; for any number of threads.

    After the first statement one process more is kept started, so the next one need not wait for it.
    """

    def __init__(self, snapshot: Path) -> None:
        self._snapshot = snapshot.absolute()
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, sql: str, views: Mapping[str, str]) -> SandboxRows:
        """Run one SELECT over *views*, each a name and the trusted SELECT it stands for.

        Raises SqlRefused, in one line, for a statement that may not run, fails, or meets a bound.
        """
        request = {
            "snapshot": str(self._snapshot),
            "views": dict(views),
            "sql": sql,
            "max_rows": MAX_ROWS,
            "max_bytes": MAX_BYTES,
        }
        return _read(self._ask(json.dumps(request).encode()))

    def close(self) -> None:
        """End the process kept; a statement still running ends by its own bounds."""
        with self._lock:
            spare, self._spare, self._closed = self._spare, None, True
        if spare is not None:
            _end(spare)

    def _ask(self, request: bytes) -> bytes:
        worker = self._take()
        try:
            with _killed_after(worker, START) as slow:
                said = cast(IO[bytes], worker.stdout).read(len(READY))
            ready = said == READY and not slow.is_set()
            with _killed_after(worker, SECONDS) as late:
                output = _exchange(worker, request) if ready else b""
        finally:
            code = _end(worker)
        if not ready:
            met = f"was not ready within {START:g} s" if slow.is_set() else "ended before it was ready"
            raise SqlRefused(f"The statement was not run, for its process {met}: ask again.")
        if late.is_set():
            raise SqlRefused(f"The statement was stopped after {SECONDS:g} s: read fewer rows.")
        if len(output) > 2 * MAX_BYTES:
            raise SqlRefused(f"The statement's answer is over {MAX_BYTES:,} bytes: select less.")
        if not output:
            raise SqlRefused(f"The statement {_SIGNALS.get(-code, 'ended its process: simplify it')}.")
        return output

    def _take(self) -> subprocess.Popen[bytes]:
        """Return a started worker, and have the next one start meanwhile."""
        with self._lock:
            if self._closed:
                raise SqlRefused("Expected an open sandbox; this one is closed: make another.")
            worker, self._spare = self._spare, None
            if worker is not None and worker.poll() is not None:
                _end(worker)
                worker = None
            try:
                worker = worker or _spawn()
            except OSError as error:
                raise SqlRefused(f"No process could be started ({error.strerror}): free some.") from None
            with contextlib.suppress(OSError):
                self._spare = _spawn()
        return worker


def _spawn() -> subprocess.Popen[bytes]:
    """Start a worker with an empty environment, in a process group of its own.

    It waits on its standard input, which ends when this process does, so it cannot outlive it for long.
    """
    root = Path(next(iter(sys.modules["openoutcry"].__path__))).parent
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", _START, str(root.absolute())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        close_fds=True,
        start_new_session=True,
    )


def _exchange(worker: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Hand over the request and return what comes back, empty when the worker died."""
    stdin, stdout = cast(IO[bytes], worker.stdin), cast(IO[bytes], worker.stdout)
    with contextlib.suppress(BrokenPipeError):
        stdin.write(request)
    with contextlib.suppress(BrokenPipeError):
        stdin.close()
    return stdout.read(2 * MAX_BYTES + 1)


@contextlib.contextmanager
def _killed_after(worker: subprocess.Popen[bytes], seconds: float) -> Generator[threading.Event]:
    """Kill the worker where what is done meanwhile takes longer than *seconds*, which sets the event."""
    late = threading.Event()
    timer = threading.Timer(seconds, lambda: (late.set(), _kill(worker)))
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


def _kill(worker: subprocess.Popen[bytes]) -> None:
    """Kill the worker's group; once it was waited for, its number may belong to somebody else."""
    if worker.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)


def _end(worker: subprocess.Popen[bytes]) -> int:
    """Kill the worker and whatever it started, and return how it ended if it had already."""
    _kill(worker)
    for pipe in (worker.stdin, worker.stdout):
        with contextlib.suppress(BrokenPipeError):
            cast(IO[bytes], pipe).close()
    return worker.wait()


def _read(output: bytes) -> SandboxRows:
    """Return the worker's answer, which is trusted no more than the statement that it ran."""
    try:
        answer = cast(dict[str, object], json.loads(output))
        refused = answer.get("refused")
        columns = tuple(str(name) for name in cast(list[object], answer.get("columns", [])))
        rows = tuple(tuple(row) for row in cast(list[list[object]], answer.get("rows", [])))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise SqlRefused("Expected rows from the statement's process; came nonsense: simplify it.") from None
    if refused is not None:
        raise SqlRefused(" ".join(str(refused).split())[:500])
    canonical = json.dumps({"columns": columns, "rows": rows}, sort_keys=True, separators=(",", ":"))
    return SandboxRows(columns, rows, bool(answer.get("truncated")), hashlib.sha256(canonical.encode()).hexdigest())
