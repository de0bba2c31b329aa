"""The commands `outcry stack`: start the local models of a stack, stop them, and see how they stand."""

import json
import time
from typing import TYPE_CHECKING

import click

from openoutcry.core.errors import ModelUnreachable
from openoutcry.interfaces import stack_planning as planning
from openoutcry.interfaces.stack_doctor import doctor
from openoutcry.interfaces.stack_top import top
from openoutcry.interfaces.stacked import folder, standing, uncertified

if TYPE_CHECKING:
    from openoutcry.interfaces.stacked import Standing
    from openoutcry.serving.roster import Replica, Roster

NOTHING = "house rules answer in every role: nothing needs to run"
_STACK = click.option("--stack", "given", default="", help="A stack file or a profile, in place of the one in force.")


@click.group(short_help="Run the local models of the roles.")
def stack() -> None:
    """Run the local models that answer for the roles: vLLM servers on this machine, started and kept here."""


@stack.command(short_help="Start what is not running.")
@_STACK
@click.option("--wait", type=click.FloatRange(min=0), default=1800.0, show_default=True, help="Seconds, at most.")
@click.option("--no-wait", is_flag=True, help="Come back as soon as they are being started.")
@click.option("--force", is_flag=True, help="Start it though by `outcry stack plan` it does not fit this box.")
@click.pass_context
def up(ctx: click.Context, given: str, wait: float, no_wait: bool, force: bool) -> None:
    """Start what the stack names and is not running, stop what it no longer names, and wait until all is ready.

    A stack that does not fit this box is not begun.
    """
    from openoutcry.serving.planning.box import box
    from openoutcry.serving.planning.plan import plan, refuse
    from openoutcry.serving.running import control, wanted

    now = standing(ctx, given)
    if not force:
        refuse(plan(now.bare, box()))
    found = control.up(now.bare, now.home, 0 if no_wait else wait, _tell)
    if not wanted.started(now.bare):
        click.echo(NOTHING if not now.bare.models else "every model of this stack stands already: nothing to start")
        _told_cards(now)
        return
    if not found.replicas and (lost := [m.name for m in wanted.started(now.bare).values() if m.replicas.min]):
        raise ModelUnreachable(
            f"expected replicas of {', '.join(lost)}, but they were stopped meanwhile, by `down` or another `up`; "
            "`outcry stack up` starts them"
        )
    _summed(found, no_wait)
    _told_cards(now)
    if given and given != (standing(ctx).given):
        click.echo(f"  the desk answers by this stack where desk.toml says stack = {json.dumps(given)}", err=True)


def _told_cards(now: "Standing") -> None:
    """Who may not sit yet, and the command that is the next step, on stderr."""
    for line in uncertified(now):
        click.echo(f"  {line}", err=True)


def _tell(replica: "Replica") -> None:
    """Progress on stderr."""
    where = f" at {replica.url}" if replica.state == "ready" else ""
    click.echo(f"  {_name(replica)} {replica.state}{where}{_because(replica)}", err=True)


def _summed(found: "Roster", no_wait: bool) -> None:
    """How many are ready. Raises ModelUnreachable where one failed, or is not ready in time."""
    by = {state: [r for r in found.replicas if r.state == state] for state in ("ready", "failed")}
    if failed := by["failed"]:
        first = failed[0]
        raise ModelUnreachable(
            f"expected every replica to come up, but {_name(first)} ended again and again{_because(first)}; "
            f"`outcry stack logs {first.model}` shows what it printed"
        )
    count, ready = len(found.replicas), len(by["ready"])
    if ready < count and not no_wait:
        raise ModelUnreachable(
            f"expected {count} replicas ready, got {ready} in time; they are still being started: "
            "`outcry stack status` shows how they stand"
        )
    click.echo(f"{ready} of {count} replicas ready")


@stack.command(short_help="Stop every process of the stack.")
@click.pass_context
def down(ctx: click.Context) -> None:
    """Let what is in the air end, then stop every process of this desk's stack."""
    from openoutcry.serving.running import control

    ended = control.down(folder(ctx), _tell)
    click.echo(f"stopped: {ended} processes" if ended else "nothing was running")


@stack.command(short_help="Show every replica.")
@_STACK
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def status(ctx: click.Context, given: str, as_json: bool) -> None:
    """Show every replica: its model, state, where it answers, its process, since when, restarts, and why."""
    from openoutcry.serving.running import control

    now = standing(ctx, given)
    found = control.status(now.stack, now.home)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json"), indent=2))
        return
    for line in [*(_table(found) if found.replicas else [NOTHING]), *uncertified(now)]:
        click.echo(line)


def _table(found: "Roster") -> list[str]:
    rows = [("model", "state", "url", "pid", "for", "restarts")]
    rows += [
        (_name(r), str(r.state), r.url or "-", str(r.pid or "-"), _ago(r.since), str(r.restarts))
        for r in found.replicas
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    told = [lines[0]]
    for line, replica in zip(lines[1:], found.replicas, strict=True):
        told += [line, *([f"  {replica.reason}"] if replica.reason else []), *_adapters(replica)]
    if any(replica.pid for replica in found.replicas) and not found.supervisor:
        told.append("no supervisor keeps them: `outcry stack up` starts one, which takes them over")
    return told


def _adapters(replica: "Replica") -> list[str]:
    """The adapters of the registry that it has loaded, and why it has not loaded others."""
    loaded = [f"  loaded: {', '.join(replica.adapters)}"] if replica.adapters else []
    return [*loaded, *(f"  {name} is not loaded: {reason}" for name, reason in sorted(replica.lacking.items()))]


def _ago(since: float) -> str:
    """How long since a moment: 45 s, 12 min, 5 h, 3 d."""
    if not since:
        return "-"
    seconds = max(0.0, time.time() - since)
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds)} s"


@stack.command(short_help="Show what servers printed last.")
@click.argument("model")
@click.option("-n", "lines", type=click.IntRange(min=0), default=50, show_default=True, help="So many lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.pass_context
def logs(ctx: click.Context, model: str, lines: int, follow: bool) -> None:
    """Show what the servers of MODEL printed last; `supervisor` is what keeps them."""
    from openoutcry.serving.running import printed

    for line in printed.tail(folder(ctx), model, lines, follow):
        click.echo(line)


def _name(replica: "Replica") -> str:
    return f"{replica.model}-{replica.index}"


def _because(replica: "Replica") -> str:
    return f": {replica.reason}" if replica.reason else ""


for _command in (planning.plan, planning.measure, planning.render, planning.autoscale, planning.init, doctor, top):
    stack.add_command(_command)
