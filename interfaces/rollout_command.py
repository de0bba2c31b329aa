"""The commands `outcry models watch` and `outcry models shadow`: how a new model's way into its seat stands."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.opened import desk

if TYPE_CHECKING:
    from openoutcry.serving.registry.observations import Observation
    from openoutcry.serving.registry.rollout import Standing

HEAD = ("seat", "model", "beside", "step", "runs", "failed", "evidence", "due")


@click.command(short_help="Show how new models do in their seats.")
@click.argument("role", required=False, default="")
@click.option(
    "--step", is_flag=True, help="Do what is due now, as the desk does after each run: the next share, or out."
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def watch(ctx: click.Context, role: str, step: bool, as_json: bool) -> None:
    """Show how new models do in their seats: shadow, 5, 25, 100 % of runs, and 24 hours of watch.

    A model that does worse than the one beside it goes out by itself, and is put in quarantine. EVIDENCE is what its
    runs say against it: 1 is nothing, at 200 it goes.
    """
    from openoutcry.serving.stack import SEATS

    if role and role not in SEATS:
        raise UsageError(f"expected a seat among {', '.join(SEATS)}, got {role!r}")
    with desk(ctx) as opened:
        rollouts, now = opened.rollouts, datetime.now(UTC)
        look = (rollouts.step if step else rollouts.standing) if rollouts else None
        found = [look(seat, now) for seat in ((role,) if role else SEATS)] if look else []
    shown = [one for one in found if role or one.model]
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in shown], indent=2))
        return
    for line in table(shown, role):
        click.echo(line)


@click.command(short_help="Ask a challenger what past runs asked.")
@click.argument("role")
@click.option("--runs", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many stored runs.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def shadow(ctx: click.Context, role: str, runs: int, as_json: bool) -> None:
    """Ask the challenger in the shadow of ROLE what the newest runs asked; its answers are discarded.

    The champion is asked beside it. What is seen counts for the way into the seat: `outcry models watch`.
    """
    with desk(ctx) as opened:
        done = opened.shadow(role, runs, lambda count, seen: click.echo(told(count, runs, seen), err=True))
    if as_json:
        click.echo(done.model_dump_json(indent=2))
        return
    if not done.runs:
        click.echo("no stored run was left to ask: each is asked once, and its data must still be here", err=True)
    for line in table([done.standing]):
        click.echo(line)


def told(count: int, runs: int, seen: "Observation") -> str:
    """A line of progress for a shadow run."""
    return f"  {count:>3} of {runs}  {seen.run}  {', '.join(seen.faults) or 'ok':<16} {seen.seconds:6.2f} s"


def table(found: "list[Standing]", role: str = "") -> list[str]:
    """The rollouts in columns; *role* is the only one that was looked at, if one was."""
    if role and not any(one.model for one in found):
        return [f"nothing is under way for the {role}: nobody challenges the champion, and it is not watched"]
    if not any(one.model for one in found):
        return ["nothing is under way: no seat has a challenger, and no champion is watched"]
    cells = [HEAD, *(_cells(one) for one in found)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cells(one: "Standing") -> tuple[str, ...]:
    at, record = one.pointer, one.record
    step = "watch" if one.model == at.champion else f"{at.share} %" if at.share else "shadow"
    due = one.due.said if one.due.move == "stay" else f"{_due(one)}: {one.due.said}"
    counts = str(one.runs), f"{record.failed} of {record.runs}", f"{record.suspicion:.3g}"
    return one.role, one.model or "-", one.other or "-", step, *counts, due


def _due(one: "Standing") -> str:
    if one.due.move != "advance":
        return one.due.move
    return f"to {one.due.share} %"
