"""The commands `outcry models` over what was trained: register, promote, roll back, archive, compare."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.lineups import models
from openoutcry.interfaces.models_text import said, size
from openoutcry.interfaces.registry_text import aspects, differences
from openoutcry.interfaces.stacked import standing
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.interfaces.stacked import Standing
    from openoutcry.serving.registry.artifact import Registered as Kept
    from openoutcry.serving.registry.moves import Moves
    from openoutcry.serving.registry.pointer import Pointer
    from openoutcry.serving.registry.standings import Standing as Registered
    from openoutcry.serving.stack import Served

ROLES = ("analyst", "sentiment", "risk", "coordinator", "reader", "embedder")
KINDS = ("adapter", "model", "classifier", "embedder")
PURPOSES = {"adapter": "chat", "model": "chat", "classifier": "classify", "embedder": "embed"}
_ROLE = click.option("--role", type=click.Choice(ROLES), required=True, help="The seat that it is made for.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.command(short_help="Take a trained model into the registry.")
@click.argument("path", type=click.Path(path_type=Path))
@_ROLE
@click.option("--kind", type=click.Choice(KINDS), help="What it is, where its files do not tell.")
@click.option("--base", default="", help="The model of the stack it was made from (default: the only one that fits).")
@click.pass_context
def register(ctx: click.Context, path: Path, role: str, kind: str | None, base: str) -> None:
    """Take the adapter or model in the folder PATH into the registry: copied, under its digest, never changed again.

    It takes no seat by that: the gate decides.
    """
    from openoutcry.serving import pull
    from openoutcry.serving.digest import digest
    from openoutcry.serving.registry.artifact import Made
    from openoutcry.serving.registry.artifact import register as take

    at, source = standing(ctx), pull.source_in(path)
    if fault := pull.lacking(source):
        raise UsageError(f"expected a whole adapter or model in {source}, but {fault}")
    kind = kind or _kind(source)
    served = _base(at, kind, base)
    weights = at.bare.path(served.weights) if served.weights else None
    here = weights if weights and weights.exists() else None
    made = Made(
        kind=cast("Literal['adapter', 'model', 'classifier', 'embedder']", kind),
        role=role,
        base=digest(here) if here else "",
        base_name=served.name,
    )
    there = take(at.home, source, made, datetime.now(UTC), here, _progress)
    count, whole = len(there.artifact.files), sum(f.stat().st_size for f in there.files.rglob("*") if f.is_file())
    what = f"{'an adapter' if kind == 'adapter' else f'a {kind}'} made from {served.name}"
    click.echo(f"{there.name}  {what}, {count} files, {size(whole)}, in {there.folder}")
    click.echo(
        f"next: `outcry certify {there.name} --role {role}`, then `outcry eval gate {there.name} --role {role}`",
        err=True,
    )


def _kind(source: Path) -> str:
    """What the files of a folder are."""
    if (source / "adapter_config.json").exists():
        return "adapter"
    if (source / "modules.json").exists():
        return "embedder"
    try:
        config: dict[str, object] = json.loads((source / "config.json").read_bytes())
        return "classifier" if "SequenceClassification" in str(config.get("architectures")) else "model"
    except (OSError, ValueError, AttributeError):
        return "model"


def _base(at: "Standing", kind: str, given: str) -> "Served":
    """The model of the stack that it is made from, and that it is served as."""
    fit = [model for model in at.bare.models.values() if model.purpose == PURPOSES[kind]]
    found = [model for model in fit if model.name == given] if given else fit
    if len(found) == 1:
        return found[0]
    names = ", ".join(model.name for model in fit) or "none"
    raise UsageError(
        f"expected --base with the model of the stack that this {kind} was made from, got {given or 'no name'}; "
        f"for {PURPOSES[kind]} there are {names}"
    )


def _progress(name: str, done: int, whole: int) -> None:
    click.echo(f"  {name}  {size(done)} of {size(whole)}", err=True)


@click.command(short_help="Let a registered model into a seat.")
@click.argument("name")
@_ROLE
@click.option("--record", type=click.IntRange(min=1), help="Rely on this record of the gate, unusual terms or not.")
@click.option(
    "--share",
    type=click.Choice(["0", "5", "25", "100"]),
    default="0",
    show_default=True,
    help="Percent of the runs that it answers from now on: 0 in the shadow, 100 as the champion.",
)
@click.option("--force", is_flag=True, help="Move it though it cannot be asked now.")
@click.pass_context
def promote(ctx: click.Context, name: str, role: str, record: int | None, share: str, force: bool) -> None:
    """Let the registered model NAME challenge the seat of ROLE, or take it; needs the gate's signed record.

    By itself it goes from the shadow over 5 % and 25 % of the runs into the seat, and out again where it does worse.
    """
    at = standing(ctx)
    there = _kept(at, name, f"`outcry models switch {role} {name}` seats it")
    if not at.bare.models:
        raise UsageError(
            f"expected a stack with {there.artifact.base_name or 'the base'} of {there.name}, found house rules alone: "
            "`outcry stack init PROFILE` writes a stack.toml, and `stack` in desk.toml may name one"
        )
    with models(ctx) as (seated, _):

        def sitting(role: str, name: str) -> str:
            _, candidate = seated.seated(role, name)
            return candidate.digest or candidate.name

        moves = _moves(at, sitting)
        if not force and _might(at, there, role, moves):
            _ready(at, there.name)
        if share == "100":
            moved = moves.promote(role, there.name, record=record or 0)
        elif share == "0":
            moved = moves.shadow(role, there.name, record=record or 0)
        else:
            moved = moves.canary(role, there.name, int(share), record=record or 0)
    for line in _told(role, moved):
        click.echo(line)


def _moves(at: "Standing", sitting: Callable[[str, str], str]) -> "Moves":
    from openoutcry.eval.gate.usual import unusual
    from openoutcry.serving.registry.moves import Moves

    return Moves(at.stack, at.home, datetime.now(UTC), sitting, unusual)


def _might(at: "Standing", there: "Kept", role: str, moves: "Moves") -> bool:
    """Whether it is worth to wait for a model: what lacks a record of the gate, or may not sit, is refused at once."""
    from openoutcry.serving.registry import vouched

    if role != there.artifact.role or moves.shut(there.name):
        return False
    return bool(vouched.looks(at.home, there) or vouched.records(at.home, there))


def _ready(at: "Standing", name: str) -> None:
    """Wait until what is to be asked can be. Raises UsageError where that does not come."""
    from openoutcry.serving.running.adapters import await_loaded

    if any(name in model.names for model in at.stack.models.values()):
        reason = await_loaded(at.stack, at.home, name, watch=lambda line: click.echo(f"  {line}", err=True))
        if reason:
            raise UsageError(f"{reason}; --force moves it all the same, and whoever is behind it answers meanwhile")


def _told(role: str, moved: "Pointer") -> list[str]:
    """How the seat stands after a promotion, and what comes next."""
    if not moved.challenger:
        until = f"; watched until {moved.until:%Y-%m-%d %H:%M} UTC" if moved.until else ""
        back = (
            f"next: `outcry models watch {role}` shows how it does; `outcry models rollback {role}` takes it out again"
        )
        return [f"{role}: {moved.champion}, was {moved.previous}{until}", back]
    how = f"answers {moved.share} % of the runs beside" if moved.share else "runs in the shadow of"
    return [
        f"{role}: {moved.challenger} {how} {moved.champion}",
        f"next: it moves on by itself as it does well; `outcry models watch {role}` shows how far it is",
        f"or: `outcry models promote {moved.challenger} --role {role} --share 100` seats it at once",
    ]


@click.command(short_help="Take a model out of its seat.")
@click.argument("role", type=click.Choice(ROLES), metavar="ROLE")
@click.option("--reason", default="by a person", show_default=True, help="Why, for the ledger.")
@click.pass_context
def rollback(ctx: click.Context, role: str, reason: str) -> None:
    """Take the challenger of ROLE, or else its champion, out of the seat; who sat there before answers again.

    ROLE is one of analyst, sentiment, risk, coordinator, reader, embedder. A registered model goes into quarantine,
    and sits nowhere any more.
    """
    from openoutcry.serving.registry import seats
    from openoutcry.serving.registry.artifact import is_name
    from openoutcry.serving.registry.pointer import Seats

    at = standing(ctx)
    before = seats.held(at.stack, seats.named(role), Seats(at.home).of(role))
    gone = before.challenger or before.champion
    moved = _moves(at, lambda _, __: "").rollback(role, reason, expected=gone)
    if gone in moved.names:
        raise UsageError(f"the seat of the {role} was moved meanwhile, and {gone} stays in it; look again")
    click.echo(f"{role}: {moved.champion}, without {gone}{' (in quarantine now)' if is_name(gone) else ''}")


@click.command(short_help="Offer a registered model no more.")
@click.argument("name")
@click.option("--reason", default="", help="Why, for the ledger.")
@click.pass_context
def archive(ctx: click.Context, name: str, reason: str) -> None:
    """Offer the registered model NAME no more; its files stay where they are. One that is in a seat is refused."""
    at = standing(ctx)
    there = _kept(at, name, "take it out of the stack file")
    _moves(at, lambda _, __: "").archive(there.digest, reason)
    click.echo(f"{there.name} is archived; its files stay in {there.folder}")


@click.command(short_help="Say what two models differ in.")
@click.argument("first")
@click.argument("second")
@_JSON
@click.pass_context
def diff(ctx: click.Context, first: str, second: str, as_json: bool) -> None:
    """Say what two registered models differ in: base, data, recipe, files, records of the gate, cards."""
    at = standing(ctx)
    one, two = (_found(at, given) for given in (first, second))
    found = differences(*(aspects(at.home, each, _cards(at, each.name)) for each in (one, two)))
    if as_json:
        click.echo(json.dumps({key: {one.name: a, two.name: b} for key, (a, b) in found.items()}, indent=2))
        return
    click.echo(f"{one.name} -> {two.name}")
    for key, (before, after) in found.items():
        click.echo(harmless(f"  {key:<22} {before} -> {after}"))
    if not found:
        click.echo("  nothing differs")


def _kept(at: "Standing", given: str, instead: str) -> "Kept":
    """What is registered by that name; of a model that only the stack names, what there is to do *instead*."""
    from openoutcry.serving.registry.artifact import find

    if any(given in model.names for model in at.bare.models.values()):
        raise UsageError(f"expected what is registered, but {given} is a model of the stack file alone; {instead}")
    return find(at.home, given)


def _found(at: "Standing", given: str) -> "Registered":
    from openoutcry.serving.registry.standings import standings

    there = _kept(at, given, f"`outcry models show {given}` shows it")
    return next(one for one in standings(at.home) if one.digest == there.digest)


def _cards(at: "Standing", name: str) -> dict[str, str]:
    """What a model's cards come to, by role."""
    from openoutcry.serving import cards

    if not any(name in served.names for served in at.stack.models.values()):
        return {}
    key = cards.key(at.stack, name)
    return {role: said(card) for role in ROLES if (card := cards.read(at.home, key, role))}


COMMANDS: tuple[click.Command, ...] = (register, promote, rollback, archive, diff)
