"""The commands `outcry settle` and `outcry scoreboard`."""

import json
import sys
import time
from pathlib import Path

import click

from openoutcry.interfaces.opened import desk

PATIENCE = 2.0
_AS_OF = click.option("--as-of", help="What was known then: 2022-06-30 or 2022-06-30T10:00 (New York).")


class Progress:
    """How far the work is, on stderr, once it has lasted longer than a moment."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + PATIENCE

    def __call__(self, done: int, of: int) -> None:
        """Tell that *done* of *of* are done, though not at every one."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + (0.2 if self._terminal else 10.0)
        line = f"  {self._what}: {done:,} of {of:,}"
        print(f"\r{line:<60}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the terminal's line clean."""
        if self._terminal:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)


@click.command()
@_AS_OF
@click.option("--all", "every", is_flag=True, help="Tell each lesson, not the first few alone.")
@click.option("--json", "as_json", is_flag=True, help="Print the settlement as JSON.")
@click.pass_context
def settle(ctx: click.Context, as_of: str | None, every: bool, as_json: bool) -> None:
    """Score every remembered view whose horizon has passed by what happened; each becomes a lesson."""
    from openoutcry.interfaces import standing_text

    with desk(ctx) as opened:
        progress = Progress("looked at")
        done = opened.settle(as_of, progress)
        progress.end()
    if as_json:
        click.echo(json.dumps(done.model_dump(mode="json"), indent=2))
        return
    for line in standing_text.settled(done, every=every):
        click.echo(line)


@click.command()
@_AS_OF
@click.option("--json", "as_json", is_flag=True, help="Print standings, weights and settled views as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a self-contained page too.")
@click.pass_context
def scoreboard(ctx: click.Context, as_of: str | None, as_json: bool, html: Path | None) -> None:
    """Show how the views of each role came true, and what its word weighs for it."""
    from openoutcry.interfaces import standing_text

    with desk(ctx) as opened:
        board, models = opened.scoreboard(as_of), opened.models
    weighed = standing_text.weights(board, models)
    if as_json:
        click.echo(json.dumps(standing_text.as_data(board, weighed), indent=2))
    else:
        for line in standing_text.standing(board, weighed):
            click.echo(line)
    if html:
        from openoutcry.interfaces import scoreboard_page

        html.write_text(scoreboard_page.page(board, weighed), encoding="utf-8")
        click.echo(f"  page written to {html}", err=True)
