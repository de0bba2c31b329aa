"""The commands `outcry models`: what could answer, what does, taking a model's files, and who sits in which seat."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces import registry_command, rollout_command
from openoutcry.interfaces.models_text import context, fact, said, size, table
from openoutcry.interfaces.registry_text import shown
from openoutcry.interfaces.stacked import standing
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.interfaces.stacked import Standing
    from openoutcry.serving.cards import Card
    from openoutcry.serving.listing import Row
    from openoutcry.serving.registry.standings import Standing as Registered

_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
_STACK = click.option("--stack", "given", default="", help="Stack file or profile (default: the one in force).")


@click.group(short_help="List models, and seat them.")
def models() -> None:
    """List the models that could answer, take one's files, register what was trained, and move who sits where."""


for command in (*registry_command.COMMANDS, rollout_command.watch, rollout_command.shadow):
    models.add_command(command)


@models.command("list", short_help="List the models that could answer.")
@_STACK
@_JSON
@click.pass_context
def list_(ctx: click.Context, given: str, as_json: bool) -> None:
    """List house rules, the models of the stack, registered ones, Ollama's and pulled ones.

    A seat in brackets is held in reserve, or challenged. A registered model's state is how it stands in its seat.
    """
    rows = _rows(standing(ctx, given))
    if as_json:
        _print([dataclasses.asdict(row) for row in rows])
        return
    for line in table(rows):
        click.echo(line)


def _rows(at: "Standing") -> "list[Row]":
    from openoutcry.core.sync import run_sync
    from openoutcry.serving.listing import models as listed
    from openoutcry.serving.transport import Transport

    return run_sync(listed(at.stack, at.home, Transport(at.stack.allow)))


@models.command(short_help="Show all that is known of one model.")
@click.argument("name")
@_STACK
@_JSON
@click.pass_context
def show(ctx: click.Context, name: str, given: str, as_json: bool) -> None:
    """Show all that is known of one model."""
    at = standing(ctx, given)
    rows = _rows(at)
    row = next((r for r in rows if r.name == name), None)
    if row is None:
        raise UsageError(f"expected a model among {', '.join(r.name for r in rows)}; got {name!r}")
    told = {**dataclasses.asdict(row), **_settings(at, name)}
    cards, registered = _cards(at, name), _registered(at, name)
    if as_json:
        more = registered.model_dump(mode="json", exclude={"name", "state", "seats"}) if registered else {}
        _print({**told, "cards": [{**card.model_dump(mode="json"), "ok": card.ok} for card in cards], **more})
        return
    lines = {**told, "size": size(row.size), "context": context(row), "seats": " ".join(row.seats)}
    for key, value in lines.items():
        if value not in ("", 0, None, "-", [], {}):
            click.echo(fact(key, value))
    for card in cards:
        click.echo(f"{'card for ' + card.role:<24} {said(card)}")
    for line in shown(at.home, registered) if registered else ():
        click.echo(harmless(line))


def _registered(at: "Standing", name: str) -> "Registered | None":
    from openoutcry.serving.registry.standings import standings

    return next((one for one in standings(at.home) if one.name == name), None)


def _cards(at: "Standing", name: str) -> "list[Card]":
    """The cards of a model of the stack, a role each."""
    from openoutcry.serving import cards
    from openoutcry.serving.stack import SEATS

    if not any(name in served.names for served in at.stack.models.values()):
        return []
    key = cards.key(at.stack, name)
    return [card for role in SEATS if (card := cards.read(at.home, key, role))]


def _settings(at: "Standing", name: str) -> dict[str, Any]:
    """What the stack says of the model, or of the model that the adapter belongs to."""
    from openoutcry.serving.stack import HOUSE

    named = {n: m for m in at.stack.models.values() for n in m.names}
    if name == HOUSE or name not in named:
        return {}
    hidden = {"name", "purpose", "engine"}
    return named[name].model_dump(mode="json", exclude=hidden, exclude_unset=True)


@models.command("pull-from", short_help="Take a model's files from a folder.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--as", "name", default="", help="What to call it (default: the folder's name).")
@_STACK
@click.pass_context
def pull_from(ctx: click.Context, path: Path, name: str, given: str) -> None:
    """Take a model's files from the folder PATH into the data folder: linked or copied, never from a network."""
    from openoutcry.serving.digest import digest
    from openoutcry.serving.pull import pull

    at = standing(ctx, given)
    to = pull(at.home, path, name, _progress)
    click.echo(f"{to.name}  {digest(to)}  whole, in {to}")
    click.echo(f'to serve it, name it in stack.toml: [models."{to.name}"] weights = "{to.resolve()}"', err=True)


def _progress(name: str, done: int, whole: int) -> None:
    click.echo(f"  {name}  {size(done)} of {size(whole)}", err=True)


@models.command(short_help="Seat a model for a role.")
@click.argument("role")
@click.argument("model")
@click.option("--force", is_flag=True, help="Seat it though it does not answer now.")
@click.option("--uncertified", is_flag=True, help="Seat it though `outcry certify` has not passed it for the role.")
@_STACK
@click.pass_context
def switch(ctx: click.Context, role: str, model: str, force: bool, uncertified: bool, given: str) -> None:
    """Seat MODEL, an adapter, or `house` for ROLE; who sat there answers where it fails.

    A model needs a card of `outcry certify` for the role, unless you say --uncertified.
    """
    from openoutcry.serving.registry import seats
    from openoutcry.serving.stack import HOUSE

    at = standing(ctx, given)
    answers = force or model == HOUSE or _answers(at, model)
    before = seats.seated(at.stack, at.home)
    pointer = seats.switch(at.stack, at.home, role, model, answers, uncertified, now=datetime.now(UTC))
    was = next((p.champion for seat, p in before.items() if seat == role), HOUSE)
    click.echo(f"{role}: {pointer.champion}{f', was {was}' if was != pointer.champion else ', as before'}")
    click.echo(f"answers now: {_order(pointer.champion, pointer.previous)}")
    if model in pointer.uncertified:
        click.echo(f"no card of it for this seat passed: `outcry certify {model} --role {role}`", err=True)
    if role == "embedder" and pointer.champion != was:
        click.echo("its vectors are of another space: what is remembered is embedded anew, in the background", err=True)


def _order(champion: str, previous: str) -> str:
    """Who answers, and who where that fails."""
    from openoutcry.serving.stack import HOUSE

    if champion == HOUSE:
        return "house rules"
    spare = [previous] if previous not in ("", HOUSE, champion) else []
    return "; where it fails ".join([champion, *spare, "house rules"])


def _answers(at: "Standing", name: str) -> bool:
    """Whether the model, or the one that the adapter belongs to, answers at one of its addresses."""
    from openoutcry.core.errors import ModelError
    from openoutcry.core.sync import run_sync
    from openoutcry.serving.registry.seats import where
    from openoutcry.serving.transport import Transport

    transport = Transport(at.stack.allow)
    for url in where(at.stack, at.home, at.stack.serving(name)):
        try:
            if run_sync(transport.get(url, "/v1/models", 5.0)).status == 200:
                return True
        except ModelError:
            continue
    return False


def _print(value: Any) -> None:
    """JSON in plain ASCII, so that a terminal obeys nothing in it."""
    click.echo(json.dumps(value, indent=2, default=str))
