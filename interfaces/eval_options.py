"""What the commands `outcry eval` share: their options, and how they give out JSON and files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from openoutcry.core.errors import UsageError


def _place(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Refuse, before anything is played, a file that could not be written. Raises UsageError."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"expected a file in a folder that is there, got {path}; make the folder first")
    return path


FILE = click.Path(path_type=Path, dir_okay=False, writable=True)
PAGE = click.option("--html", type=FILE, callback=_place, help="Also write the report as a web page, in one file.")
JSONL = click.option(
    "--jsonl", type=FILE, callback=_place, help="Also write the outcomes as JSON lines (turn 0 is the first)."
)
JUNIT = click.option("--junit", type=FILE, callback=_place, help="Also write JUnit XML, for CI.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
WORST = click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many of the cases that went wrong to show.",
)
SEATED = click.option(
    "--model",
    "seated",
    multiple=True,
    metavar="ROLE=MODEL",
    help="Who sits where: risk=NAME, a model of the stack, or risk=house. Repeat it for more seats; house rules take "
    "those not named. Without it, the models seated now are tried.",
)
EPOCHS = click.option(
    "--epochs", type=click.IntRange(min=1), default=1, show_default=True, help="How many times to play each case."
)
CONCURRENCY = click.option(
    "--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="How many cases to play at once."
)
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Sets the order of play.")


def printed(value: Any) -> None:
    """JSON on stdout, in plain ASCII, so that a terminal obeys nothing in it."""
    click.echo(json.dumps(value, indent=2, default=str))


def written(path: Path | None, make: Callable[[], str]) -> None:
    """Write what *make* gives, where a path is given."""
    if path is not None:
        path.write_text(make(), encoding="utf-8")
        click.echo(f"  written to {path}", err=True)
