"""The commands `outcry settle` and `outcry scoreboard`."""

import json
from pathlib import Path

import click

from openoutcry.core.progress import Progress
from openoutcry.interfaces.opened import desk

_AS_OF = click.option("--as-of", help="What was known then: 2022-06-30 or 2022-06-30T10:00 (New York).")


@click.command(short_help="Score the views whose time has come.")
@_AS_OF
@click.option("--all", "every", is_flag=True, help="Tell each lesson, not the first few alone.")
@click.option("--json", "as_json", is_flag=True, help="Print the settlement as JSON.")
@click.pass_context
def settle(ctx: click.Context, as_of: str | None, every: bool, as_json: bool) -> None:
    """Score every remembered view whose horizon has passed by what happened; each becomes a lesson."""
    from openoutcry.interfaces import standing_text

    with desk(ctx) as opened, Progress() as progress:
        done = opened.settle(as_of, lambda done, of: progress("looked at", done, of))
    if as_json:
        click.echo(json.dumps(done.model_dump(mode="json"), indent=2))
        return
    for line in standing_text.settled(done, every=every):
        click.echo(line)


@click.command(short_help="Show how the views came true.")
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
