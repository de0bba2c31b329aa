"""How far an evaluation is, on stderr: a bar where it is a terminal, now and then a line where it is none."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from openoutcry.core.errors import OutcryError
from openoutcry.core.progress import duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from openoutcry.eval.runner import Progress

TENTHS, SECONDS = 10, 10.0
"""A line comes at each tenth, and after so many seconds without one."""


class Watch:
    """Told of each outcome. It says when a run goes on from what is stored; `failed` counts cases not right.

    *parts* names the runs that come one after another, each with a count of its own. What an earlier process counted
    as not right is read from the run stored last in *home*. *clock* gives seconds.
    """

    def __init__(
        self,
        what: str,
        parts: Sequence[str] = (),
        home: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._home, self._clock = what, home, clock
        self._parts: Iterator[str] = iter([f"{what}, {p} ({i} of {len(parts)})" for i, p in enumerate(parts, 1)])
        self._bar: Bar | None = None
        self._told, self._said_at = -1, 0.0
        self._newest: Progress | None = None
        self._over = threading.Event()
        self._there, self._done, self._began = 0, 0, 0.0
        self.failed = 0

    def __call__(self, progress: "Progress") -> None:
        """Show it."""
        if progress.newest is None or progress.done <= self._done:
            self._begin(progress)
        self._done = progress.done
        self.failed += progress.newest is not None and progress.newest.score < 1
        self._newest, tenth = progress, TENTHS * progress.done // max(progress.total, 1)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.done, description=self._said)
        elif tenth > self._told:
            self._tell(progress, self._clock())
        else:
            self.again()
        self._told = max(tenth, self._told)

    def again(self) -> None:
        """Say how far it is once more, where nothing was said for a while: slow models are no silent ones."""
        now = self._clock()
        if self._newest and self._newest.done < self._newest.total and now - self._said_at >= SECONDS:
            self._tell(self._newest, now)

    @property
    def _said(self) -> str:
        return f"{self._what}{f', {self.failed:,} not right' if self.failed else ''}"

    def _tell(self, progress: "Progress", now: float) -> None:
        self._said_at = now
        click.echo(f"  {self._said}: {progress.done:,} of {progress.total:,}{self._left(progress, now)}", err=True)

    def _begin(self, progress: "Progress") -> None:
        """A run begins, the first or the next one."""
        self._what, self._told = next(self._parts, self._what), -1
        self._there, self._began = progress.done - (progress.newest is not None), self._clock()
        self.failed = self._earlier(progress) if self._there else 0
        if self._there >= progress.total:
            click.echo(f"  all {progress.total:,} were played before; shown as they are stored", err=True)
        elif self._there:
            click.echo(f"  goes on: {self._there:,} of {progress.total:,} were played before", err=True)
        if sys.stderr.isatty():
            self._bar = self._bar or _bar()
            if self._bar.task_ids:
                self._bar.reset(self._bar.task_ids[0], total=progress.total, completed=self._there)
            else:
                self._bar.add_task(self._what, total=progress.total, completed=self._there)
            self._bar.start()

    def _earlier(self, progress: "Progress") -> int:
        """How many of the outcomes that are there were not right; 0 where the run stored last is another."""
        from openoutcry.eval.runner import stored

        if self._home is None:
            return 0
        try:
            run = stored(self._home, "last")
        except OutcryError:
            return 0
        mine = (run.plan.total, len(run.outcomes)) == (progress.total, self._there)
        return sum(outcome.score < 1 for outcome in run.outcomes) if mine else 0

    def _left(self, progress: "Progress", now: float) -> str:
        """The time that is left at the pace so far; nothing before there is a pace, or after the end."""
        new, left = progress.done - self._there, progress.total - progress.done
        return f", {duration((now - self._began) / new * left)} left" if new and left else ""

    def __enter__(self) -> Self:
        if not sys.stderr.isatty():
            threading.Thread(target=self._beat, daemon=True).start()
        return self

    def _beat(self) -> None:
        while not self._over.wait(1.0):
            self.again()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._bar is not None:
            self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            click.echo("  stopped; the same command goes on from here", err=True)


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("  {task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
