"""The command `outcry cost`: what the desk's own tokens cost here, and would have cost elsewhere."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces import eval_options as options

if TYPE_CHECKING:
    from openoutcry.core.settings import Settings
    from openoutcry.eval.cost.prices import Prices

SECONDS = 2.0
"""Seconds after which, and between which, it is told how far the count is."""


@click.command(short_help="What it cost here, and would have cost elsewhere.")
@click.option("--since", metavar="DATE", help="Count what began on DATE (2026-11-01, UTC) or later; default: all.")
@click.option(
    "--like",
    multiple=True,
    metavar="MODEL",
    help="Whose prices to compare with, as NAME or PROVIDER:NAME; repeat it for more.",
)
@options.JSON
@click.pass_context
def cost(ctx: click.Context, since: str | None, like: tuple[str, ...], as_json: bool) -> None:
    """Count the tokens of stored runs and evaluations, and say what they cost here and would have cost elsewhere.

    What electricity and the machine cost is set under [cost] in desk.toml; what is not set is told as not set. Prices
    of models come from prices.toml beside it, else from the table that is shipped.
    """
    from openoutcry.eval.cost import machine, stored
    from openoutcry.eval.cost.account import LIKE, account
    from openoutcry.interfaces import cost_text

    now = datetime.now(UTC)
    home, settings = settled(ctx)
    begin, prices = _since(since), table(settings, now)
    records = {
        "runs": stored.runs(home, begin, _progress("runs")),
        "evaluations": stored.evaluations(home, begin, _progress("evaluations")),
    }
    power = machine.drawn(settings.cost)
    found = account(records, prices, like or LIKE, settings.cost, power, now, begin)
    if as_json:
        options.printed(found.model_dump(mode="json"))
        return
    for line in cost_text.account(found, asked=bool(like)):
        click.echo(line)


def settled(ctx: click.Context) -> "tuple[Path, Settings]":
    """The data folder and the settings in force. Raises UsageError."""
    from openoutcry.core.settings import load

    path, home = ctx.obj
    settings = load(path)
    return home or settings.home, settings


def table(settings: "Settings", now: datetime) -> "Prices":
    """The prices in force at *now*, a person's own first. Raises UsageError."""
    from openoutcry.eval.cost.prices import Prices

    return Prices(now, Path(settings.cost.prices) if settings.cost.prices else None)


def _since(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError(f"expected --since with a date such as 2026-11-01, got {given!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _progress(what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], Any]:
    told = clock()

    def watch(done: int, total: int) -> None:
        nonlocal told
        if clock() - told >= SECONDS:
            told = clock()
            click.echo(f"  {what}: {done:,} of {total:,} read", err=True)

    return watch
