"""The commands `outcry memory`: search what the desk remembers, look at one memory, forget, and tend the store."""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.opened import desk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openoutcry.interfaces.opened import Desk
    from openoutcry.memory.record import Kind, Memory
    from openoutcry.memory.store import Store

_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group(short_help="Look into what the desk remembers.")
def memory() -> None:
    """Look into what the desk remembers: findings, decisions, digests of documents, and lessons."""


@memory.command(short_help="Search by meaning and by words.")
@click.argument("text", nargs=-1)
@click.option("--as-of", help="What was known then: 2022-06-30 or 2022-06-30T10:00 (New York); default: at any time.")
@click.option("--ticker", "tickers", multiple=True, help="On this ticker; more than once for any of several.")
@click.option("--role", "roles", multiple=True, help="Of this role: analyst, sentiment, risk, coordinator or reader.")
@click.option("--kind", "kinds", multiple=True, help="Of this kind: finding, decision, digest or lesson.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="At most so many.")
@_JSON
@click.pass_context
def search(ctx: click.Context, text: tuple[str, ...], as_json: bool, **narrowed: Any) -> None:
    """Search by meaning and by words, best first; without TEXT the newest come first."""
    from openoutcry.interfaces import memory_text

    tickers = tuple(t if t.startswith("@") else t.upper() for t in narrowed.pop("tickers"))
    kinds = _known(narrowed.pop("kinds"))
    with desk(ctx) as opened:
        hits = opened.recall(" ".join(text), tickers=tickers, kinds=kinds, **narrowed)
        empty = not hits and not opened.memory.stats().memories
    if as_json:
        _print([memory_text.data(hit) for hit in hits])
        return
    if not hits:
        click.echo(memory_text.EMPTY if empty else "nothing that is remembered fits; ask for less")
    for line in memory_text.found(hits):
        click.echo(line)


def _known(kinds: "Sequence[str]") -> "tuple[Kind, ...]":
    """The kinds by name. Raises UsageError for one that there is not."""
    from openoutcry.memory.record import Kind

    if wrong := next((kind for kind in kinds if kind not in list(Kind)), None):
        raise UsageError(f"expected a kind of memory among {', '.join(Kind)}, got {wrong!r}")
    return tuple(map(Kind, kinds))


@memory.command(short_help="Show all of one memory.")
@click.argument("memory_id", metavar="ID")
@_JSON
@click.pass_context
def show(ctx: click.Context, memory_id: str, as_json: bool) -> None:
    """Show all of one memory, by its id or the beginning of it."""
    from openoutcry.interfaces import memory_text

    with desk(ctx) as opened:
        store = opened.memory
        one = store.get(memory_id)
        offspring = [i for i in store.descended(one.id) if i != one.id]
        parents = {i: _there(store, i) for i in one.parents}
        told = [m for i in offspring[: memory_text.SOME] if (m := _there(store, i))]
    if as_json:
        _print({**memory_text.whole(one), "led_to": offspring})
        return
    for line in memory_text.all_of(one, parents, told, len(offspring)):
        click.echo(line)


def _there(store: "Store", name: str) -> "Memory | None":
    """The memory of that id; None for a document, or where it was forgotten."""
    try:
        return store.get(name) if name.startswith("mem-") else None
    except UsageError:
        return None


@memory.command(short_help="Forget what stems from a source.")
@click.argument("source")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
@click.pass_context
def forget(ctx: click.Context, source: str, yes: bool, as_json: bool) -> None:
    """Forget what stems from SOURCE: a publisher, a run, a document's id or a memory's, and all made of it."""
    from openoutcry.interfaces import memory_text

    with desk(ctx) as opened:
        if not yes and (gone := opened.memory.descended(source)):
            some = [m for i in list(gone)[: memory_text.SOME] if (m := _there(opened.memory, i))]
            for line in memory_text.leaving(source, gone, some, opened.memory.stats().memories):
                click.echo(line, err=True)
            if not _confirmed():
                click.echo("nothing was forgotten")
                return
        forgotten = opened.memory.forget(source)
        kept = _kept(opened)
    if as_json:
        _print({"source": source, "ids": list(forgotten.ids), "kinds": dict(forgotten.kinds)})
        return
    click.echo(f"forgotten: {memory_text.counted(forgotten.kinds)}")
    click.echo(kept)


def _confirmed() -> bool:
    """Ask on a terminal. Raises UsageError where nobody can answer."""
    if not _terminal():
        raise UsageError("expected --yes, since there is no terminal on which to ask; nothing was forgotten")
    return click.confirm("Forget them for good?", err=True)


def _terminal() -> bool:
    return sys.stdin.isatty()


def _kept(opened: "Desk") -> str:
    home = opened.settings.home
    return f"not touched: the runs in {home / 'runs'} and the data in {home / 'warehouse'}, which may say the same"


@memory.command(short_help="Say how much is remembered.")
@_JSON
@click.pass_context
def stats(ctx: click.Context, as_json: bool) -> None:
    """Say how much is remembered, of what, and how the store is."""
    from openoutcry.interfaces import memory_text
    from openoutcry.memory import embedder

    with desk(ctx) as opened:
        held = opened.memory.stats()
        model = embedder.local(opened.settings.embedder, _told) if held.memories else None
        place = opened.settings.home / "memory"
    if as_json:
        about = {n: getattr(model, n, None) for n in ("name", "space", "precision", "rank_correlation")}
        _print({**dataclasses.asdict(held), "model": about if model else None, "folder": str(place)})
        return
    for line in memory_text.state(held, model, place):
        click.echo(line)


@memory.command(short_help="Write the memory anew.")
@click.pass_context
def compact(ctx: click.Context) -> None:
    """Write the memory anew: embedded by the model at hand, with fresh indices, and nothing left over."""
    from openoutcry.interfaces import memory_text

    with desk(ctx) as opened:
        before = opened.memory.stats()
        if not before.memories:
            click.echo(memory_text.EMPTY)
            return
        opened.memory.compact(_told)
        after = opened.memory.stats()
    sizes = " to ".join(memory_text.size(held.size) for held in (before, after))
    click.echo(f"{after.memories:,} memories written anew: {sizes} on disk")


def _told(line: str) -> None:
    """Tell progress on stderr."""
    click.echo(f"  {line}", err=True)


def _print(value: Any) -> None:
    """JSON in plain ASCII, so that a terminal obeys nothing in it."""
    click.echo(json.dumps(value, indent=2, default=str))
