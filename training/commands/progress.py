"""How far long work is, on stderr, and where logs go meanwhile."""

import logging
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

PATIENCE = 2.0
"""Seconds that pass in silence."""
EVERY = 10.0
"""Seconds between two lines where stderr is no terminal."""


class Progress:
    """Tells a line at a time what is being done, once that has lasted longer than a moment."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)

    def __call__(self, what: str, done: int, of: int) -> None:
        """Tell that *done* of *of* are done, though not at every one."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + (0.2 if self._terminal else EVERY)
        line = f"  {what}" if of == 1 else f"  {what}: {done:,} of {of:,}"
        print(f"\r{line:<60}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()


@contextmanager
def logs(level: str) -> Generator[None]:
    """Send structlog to stderr at *level* and above, and leave it as it was."""
    import structlog

    before: dict[str, Any] = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
