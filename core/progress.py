"""How far work is, for a person: one line on stderr that the next is written over, and lengths of time in words."""

import sys
import time
from types import TracebackType
from typing import Self

PATIENCE = 2.0
"""Seconds that pass in silence."""
SOON, SELDOM = 0.2, 10.0
"""Seconds between two lines on a terminal, and where there is none."""
_CLEAR = "\r\x1b[K"


class Line:
    """A line on stderr that each next one is written over, and that is gone at the end; lines one below the other where
    stderr is no terminal.
    """

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal:
            print(_CLEAR, end="", file=sys.stderr, flush=True)

    def show(self, line: str) -> None:
        """Show it."""
        before, end = (_CLEAR, "") if self.terminal else ("", "\n")
        print(f"{before}  {line}", end=end, file=sys.stderr, flush=True)


class Progress(Line):
    """Tells what is being done, once that has lasted longer than a moment."""

    def __init__(self) -> None:
        super().__init__()
        self._next = time.monotonic() + PATIENCE

    def __call__(self, what: str, done: int, of: int) -> None:
        """Tell that *done* of *of* are done, though not at every one."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + (SOON if self.terminal else SELDOM)
        self.show(what if of == 1 else f"{what}: {done:,} of {of:,}")


def duration(seconds: float) -> str:
    """About how long, in the unit that suits."""
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
