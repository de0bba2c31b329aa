"""The commands of `outcry stack` that plan: what fits, how far the plan was off, how many replicas, for other boxes."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.stacked import standing

if TYPE_CHECKING:
    from openoutcry.interfaces.stacked import Standing
    from openoutcry.serving.planning.autoscale import Decision
    from openoutcry.serving.planning.planned import Plan

_STACK = click.option("--stack", "given", default="", help="A stack file or a profile, in place of the one in force.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
HOUSE = "house rules answer in every role: no model is to run, and nothing is needed"


@click.command(short_help="Say what fits on this box.")
@_STACK
@_JSON
@click.pass_context
def plan(ctx: click.Context, given: str, as_json: bool) -> None:
    """Say what each model takes of this box, how many sequences it carries, and whether all of them fit."""
    from openoutcry.interfaces import planning_text
    from openoutcry.serving.planning.plan import refuse
    from openoutcry.serving.running import addresses

    now = standing(ctx, given)
    planned = _planned(now)
    if as_json:
        _print({"fits": planned.fits, **planned.model_dump(mode="json")})
    elif not planned.models:
        click.echo(HOUSE)
    else:
        for line in planning_text.plan(planned):
            click.echo(line)
    refuse(planned)
    addresses.refuse(now.bare, now.home)


@click.command(short_help="Compare what runs with the plan.")
@_STACK
@_JSON
@click.pass_context
def measure(ctx: click.Context, given: str, as_json: bool) -> None:
    """Compare what running replicas take and hold with what the plan said, and print its error."""
    from openoutcry.interfaces import planning_text
    from openoutcry.serving.running import control
    from openoutcry.serving.running.measuring import measure as measured
    from openoutcry.serving.transport import Transport

    now = standing(ctx, given)
    figures = measured(_planned(now), control.standing(now.home), Transport(now.bare.allow))
    if not figures:
        raise UsageError("expected a replica that is ready, found none; `outcry stack up` starts the stack")
    if as_json:
        _print([{**figure.model_dump(), "error_percent": figure.error} for figure in figures])
        return
    for line in planning_text.measures(figures):
        click.echo(line)


@click.command(short_help="Print what the autoscaler decides.")
@click.option("--dry-run", is_flag=True, help="Look at what runs and print decisions; nothing is changed.")
@click.option("--replay", type=click.Path(path_type=Path), help="Decide over a recorded day: at, model, looks a line.")
@click.option("--every", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Seconds between looks.")
@click.option("--looks", type=click.IntRange(0), default=0, help="Stop after so many; 0: when you stop it.")
@_STACK
@_JSON
@click.pass_context
def autoscale(ctx: click.Context, given: str, as_json: bool, dry_run: bool, replay: Path | None, **looked: Any) -> None:
    """Print what the autoscaler decides, live or over a recorded day. The running stack scales by itself."""
    now = standing(ctx, given)
    if dry_run == (replay is not None):
        raise UsageError("expected either --dry-run or --replay FILE; a stack that is up scales by itself")
    if replay is not None:
        _replay(now, replay, as_json)
        return
    import asyncio

    try:
        asyncio.run(_live(now, as_json, **looked))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _replay(now: "Standing", file: Path, as_json: bool) -> None:
    """Decide over a recorded day, for each model that it names."""
    from openoutcry.serving.planning.autoscale import moments, replay
    from openoutcry.serving.planning.plan import fits

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a recorded day in {file}, could not read it: {error}") from None
    planned = _planned(now)
    for name in dict.fromkeys(moment.model for moment in moments(lines)):
        served = now.bare.serving(name)
        day = list(moments(lines, name))
        decided = replay(served, day, lambda replicas, name=name: fits(planned, name, replicas))
        before = max(served.replicas.min, 1)
        for moment, decision in zip(day, decided, strict=True):
            _tell(_clock(moment.at), name, before, decision, as_json)
            before = decision.replicas


async def _live(now: "Standing", as_json: bool, every: float, looks: int) -> None:
    from openoutcry.serving.running.rehearsal import decisions
    from openoutcry.serving.transport import Transport

    seen = False
    async for name, replicas, decision in decisions(
        now.bare, now.home, _planned(now), Transport(now.bare.allow), every, looks
    ):
        seen = True
        _tell(_clock(time.time()), name, replicas, decision, as_json)
    if not seen:
        raise UsageError("expected running replicas to look at, found none; `outcry stack up` starts the stack")


def _tell(at: str, name: str, before: int, decision: "Decision", as_json: bool) -> None:
    """One decision, on one line."""
    after, load = decision.replicas, decision.load
    if as_json:
        said = {"at": at, "model": name, "replicas": before, "decided": after, "load": load, "reason": decision.reason}
        click.echo(json.dumps(said))
        return
    mark = f"{before} -> {after}" if after != before else f"{before}"
    click.echo(f"{at:>8}  {name}  {mark:<6}  {decision.reason}")


def _clock(at: float) -> str:
    """The time of day of a moment in seconds since 1970; a smaller number counts from midnight."""
    moment = time.localtime(at) if at > 1e6 else time.gmtime(at)
    return time.strftime("%H:%M:%S", moment)


@click.command(short_help="Write the stack for many boxes.")
@click.argument("target", type=click.Choice(["ray", "kubernetes"]))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
@click.option("--accelerator", default="", help="Ray's name of the GPU to ask for, such as H100.")
@click.option("--adapters", default="", help="Where Ray finds adapters, such as s3://bucket/adapters.")
@_STACK
@click.pass_context
def render(ctx: click.Context, target: Any, out: Path | None, accelerator: str, adapters: str, given: str) -> None:
    """Write the stack for many boxes: a Ray Serve LLM config, or values of vLLM's production stack."""
    from openoutcry.serving.planning.render import render as rendered

    text = rendered(standing(ctx, given).bare, target, accelerator, adapters)
    if out is None:
        click.echo(text, nl=False)
        return
    _write(out, text)
    click.echo(f"written to {out}", err=True)


@click.command(short_help="Begin a stack of your own.")
@click.argument("profile")
@click.option("--force", is_flag=True, help="Write over a stack.toml that is there.")
@click.pass_context
def init(ctx: click.Context, profile: str, force: bool) -> None:
    """Begin a stack of your own: copy the shipped PROFILE to stack.toml beside desk.toml, or in the current folder."""
    from openoutcry.serving.stack import shipped

    desk: Path | None = ctx.obj[0]
    source, file = shipped(profile), (desk.parent if desk else Path()) / "stack.toml"
    if file.exists() and not force:
        raise UsageError(f"expected no {file}, found one; --force writes over it")
    _write(file, source.read_text(encoding="utf-8"))
    click.echo(f"written to {file}; `outcry stack plan` says whether it fits this box")


def _planned(now: "Standing") -> "Plan":
    from openoutcry.serving.planning.box import box
    from openoutcry.serving.planning.plan import plan as planned

    return planned(now.bare, box())


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"expected to write {file}, could not: {error.strerror}") from None


def _print(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))
