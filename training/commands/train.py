"""The commands `outcry train`: plan a fine-tune, run it, list and show the runs; the group `data` hangs below it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import UsageError
from openoutcry.core.progress import Progress
from openoutcry.training.commands.data import ROLES, data

if TYPE_CHECKING:
    from openoutcry.serving.registry.artifact import Registered
    from openoutcry.training.examples.dataset import Dataset
    from openoutcry.training.tuning.planned import Plan
    from openoutcry.training.tuning.run import Tuned
    from openoutcry.training.tuning.watching import Step

NO_STACK = "`outcry stack init PROFILE` writes a stack.toml"
_DATA = click.option("--data", "given", default="last", show_default=True, help="Digest of a data set, or `last`.")
_RECIPE = click.option(
    "--recipe", type=click.Path(path_type=Path, dir_okay=False), help="TOML file; what it leaves open is chosen."
)
_STACK = click.option("--stack", default="", help="Stack file or profile (default: the one in force).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group(short_help="Make examples, and fine-tune on them.")
def train() -> None:
    """Make examples, fine-tune on them, and see how it went."""


train.add_command(data)


@train.command(short_help="Say what a fine-tune would take of this box.")
@click.argument("base")
@_DATA
@_RECIPE
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs that share the model.")
@_STACK
@_JSON
@click.pass_context
def plan(ctx: click.Context, base: str, given: str, recipe: Path | None, gpus: int, stack: str, as_json: bool) -> None:
    """Say what a fine-tune of BASE would take of this box: memory by part, time, and whether it fits.

    BASE is the folder of a Hugging Face model, or the name of a model of the stack. Exit code 1: it does not fit.
    """
    from openoutcry.serving.planning.box import box
    from openoutcry.training.examples.dataset import load
    from openoutcry.training.tuning.plan import plan as planned
    from openoutcry.training.tuning.recipe import read

    home, (folder, _), here = _home(ctx), _base(ctx, base, stack), box()
    if gpus > max(len(here.gpus), 1):
        raise UsageError(
            f"expected at most the {len(here.gpus)} GPUs of this box, got --gpus {gpus}: plan on the box that has them"
        )
    dataset = load(home, given)
    _reading(dataset)
    made = planned(home, folder, dataset, read(recipe), here, gpus)
    if as_json:
        click.echo(json.dumps(made.model_dump(mode="json") | {"bytes": made.bytes}, indent=2))
    else:
        _lines(made)
    if made.refused:
        click.echo(f"it does not fit: {made.refused}", err=True)
        ctx.exit(1)


def _reading(dataset: "Dataset") -> None:
    """Say what takes a while, if only for the libraries that it loads."""
    click.echo(f"  counting the tokens of {sum(dataset.manifest.rows.values()):,} rows", err=True)


def _lines(made: "Plan", *, err: bool = False) -> None:
    from openoutcry.training.tuning.plan_text import listed

    for name, value in listed(made):
        click.echo(f"{name:<8} {value}", err=err)


@train.command(short_help="Fine-tune a model; what was stopped goes on.")
@click.argument("base")
@_DATA
@_RECIPE
@click.option("--role", type=click.Choice(ROLES), help="The seat that it is made for (default: the data's).")
@click.option("--register", is_flag=True, help="Register what was made, so that the gate can examine it.")
@_STACK
@_JSON
@click.pass_context
def run(
    ctx: click.Context,
    base: str,
    given: str,
    recipe: Path | None,
    role: str | None,
    register: bool,
    stack: str,
    as_json: bool,
) -> None:
    """Fine-tune BASE. What was stopped goes on from its last checkpoint by the same command.

    BASE is the folder of a Hugging Face model, or the name of a model of the stack. It is planned first, and refused
    where this box cannot hold it.
    """
    from openoutcry.serving.registry.artifact import register as registered
    from openoutcry.training.examples.dataset import load
    from openoutcry.training.tuning.recipe import read
    from openoutcry.training.tuning.run import tune

    home, (folder, name) = _home(ctx), _base(ctx, base, stack)
    dataset, told = load(home, given), read(recipe)
    _reading(dataset)
    try:
        with Progress() as progress:
            tuned = tune(
                home,
                folder,
                dataset,
                told,
                watch=lambda step: _tell(progress, step),
                base_name=name,
                role=role or "",
                says=lambda made: _lines(made, err=True),
            )
    except KeyboardInterrupt:
        click.echo("  stopped; the same command goes on from its last checkpoint", err=True)
        raise
    there = registered(home, tuned.folder, tuned.made, datetime.now(UTC), folder) if register else None
    if as_json:
        more: dict[str, Any] = {"registered": there.name, "digest": there.digest} if there else {}
        click.echo(json.dumps(_told(tuned) | more, indent=2))
        return
    from openoutcry.training.tuning.run_text import listed

    for key, value in listed(tuned.run, tuned.losses):
        click.echo(f"{key:<10} {value}")
    if there:
        click.echo(f"{'registered':<10} {there.name}; `outcry models show {there.name}` shows it")
    click.echo(_next(there, tuned), err=True)


def _next(there: "Registered | None", tuned: "Tuned") -> str:
    """What there is to do with a model that was made."""
    if there is None:
        return "next: the same command with --register registers it, so that the gate can examine it"
    name, role = there.name, tuned.made.role
    if role == "embedder":
        return f"next: `outcry models switch {role} {name}` seats it on your word; the gate looks at no {role}"
    return f"next: `outcry certify {name} --role {role}`, then `outcry eval gate {name} --role {role}`"


def _tell(progress: Progress, step: "Step") -> None:
    """How far it is; a run that goes on says so once."""
    from openoutcry.core.progress import duration

    if step.train is None and step.valid is None and step.step:
        click.echo(f"  goes on from update {step.step:,} of {step.of:,}", err=True)
    if step.train is not None:
        left = f", {duration(step.left)} left" if step.left else ""
        progress(f"loss {step.train:.3f}, {step.tokens:,.0f} tokens/s{left}; updates", step.step, step.of)


def _told(tuned: "Tuned") -> dict[str, Any]:
    run = tuned.run.model_dump(mode="json")
    return run | {"output": str(tuned.folder), "losses": [loss.model_dump() for loss in tuned.losses]}


@train.command("list")
@_JSON
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List the fine-tunes, the newest last, with how far each is."""
    from openoutcry.training.tuning import runs

    found = runs.listing(_home(ctx))
    if as_json:
        click.echo(json.dumps([run.model_dump(mode="json") | {"step": run.step} for run in found], indent=2))
        return
    for one in found:
        b = one.begun
        state = "done" if one.done else f"{one.step:,} of {b.recipe.steps:,} kept; the same command goes on"
        click.echo(f"{one.name}  {b.role:<11} {b.recipe.method:<4} of {b.base_name} on data {b.data[:12]}  {state}")
    if not found:
        click.echo("no fine-tune yet; `outcry train run BASE` makes one", err=True)


@train.command()
@click.argument("name", metavar="RUN")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with the loss curves.")
@_JSON
@click.pass_context
def show(ctx: click.Context, name: str, picture: Path | None, as_json: bool) -> None:
    """Show how a fine-tune went, or how far it is. RUN is its name, a beginning of it, or `last`."""
    from openoutcry.core import durable
    from openoutcry.training.tuning import losses, runs
    from openoutcry.training.tuning.picture import page
    from openoutcry.training.tuning.run_text import listed

    one = runs.find(_home(ctx), name)
    curve = losses.read(one.folder)
    lines = list(listed(one, curve))
    if picture:
        title = f"Fine-tune {one.name}: {one.begun.base_name}, for the seat {one.begun.role}"
        durable.put(picture, page(title, lines, curve).encode())
        click.echo(f"  page written to {picture}", err=True)
    if as_json:
        told = one.model_dump(mode="json") | {"step": one.step, "losses": [loss.model_dump() for loss in curve]}
        click.echo(json.dumps(told, indent=2))
        return
    for key, value in lines:
        click.echo(f"{key:<10} {value}")


@train.command(short_help="Print a launch for several GPUs.")
@click.argument("target", type=click.Choice(["fsdp"]))
@click.argument("base")
@_DATA
@_RECIPE
@click.option("--role", type=click.Choice(ROLES), help="The seat that it is made for (default: the data's).")
@click.option("--gpus", type=click.IntRange(2), default=2, show_default=True, help="GPUs that share the model.")
@_STACK
@click.pass_context
def render(
    ctx: click.Context,
    target: str,
    base: str,
    given: str,
    recipe: Path | None,
    role: str | None,
    gpus: int,
    stack: str,
) -> None:
    """Print a config for accelerate with which several GPUs share a fine-tune, and the command that starts it."""
    from openoutcry.training.examples.dataset import load
    from openoutcry.training.tuning.fsdp import render as rendered
    from openoutcry.training.tuning.fsdp import words

    home, (folder, name) = _home(ctx), _base(ctx, base, stack)
    manifest = load(home, given).manifest
    told = words(folder, manifest.digest[:12], recipe, home, role or manifest.role, name)
    click.echo(rendered(gpus, told), nl=False)


def _home(ctx: click.Context) -> Path:
    from openoutcry.core.settings import load

    path, home = ctx.obj
    return home or load(path).home


def _base(ctx: click.Context, given: str, stack: str) -> tuple[Path, str]:
    """The folder of a model and what the stack calls it. Raises UsageError."""
    if Path(given).is_dir():
        return Path(given), Path(given).resolve().name
    from openoutcry.core.settings import load
    from openoutcry.serving.planning.anatomy import where
    from openoutcry.serving.stack import load as stacked

    named = stacked(stack or load(ctx.obj[0]).stack or "house")
    model = named.models.get(given)
    folder = where(named, model.weights) if model else None
    if of := next((m.name for m in named.models.values() if given in m.adapters), ""):
        raise UsageError(f"expected a model, got {given}, which is an adapter of {of}; a new one is made from {of}")
    if folder is None:
        known = f"the stack has {', '.join(named.models)}" if named.models else f"no model stands here; {NO_STACK}"
        raise UsageError(
            f"expected a model's folder, or a model of the stack whose weights are here, got {given!r}; {known}"
        )
    return folder, given
