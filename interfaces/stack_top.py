"""The command `outcry stack top`: how busy every replica is, and the desk, live in the terminal."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from openoutcry.interfaces.stacked import Standing, standing

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from openoutcry.serving.running.watching import Seen, Watcher

COLUMNS = ("model", "state", "url", "run", "wait", "KV", "prefix", "tok/s", "memory", "cores")
LEFT = 3
"""Columns of words; those of figures follow."""
UNKNOWN = "-"


@click.command(short_help="Show how busy each replica is.")
@click.option("--stack", "given", default="", help="A stack file or a profile, in place of the one in force.")
@click.option("--every", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once, and print it.")
@click.pass_context
def top(ctx: click.Context, given: str, every: float, once: bool) -> None:
    """Show how busy each replica is, and the desk. End it with Ctrl-C.

    Run and wait are requests, KV is the used share of its cache, prefix the share of prompts that it had seen before.
    Tokens a second and busy cores are counted from one look to the next, so that the first does not have them.
    """
    now = standing(ctx, given)
    try:
        asyncio.run(_watch(now, every, once))
    except KeyboardInterrupt:
        return


async def _watch(now: Standing, every: float, once: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    from openoutcry.serving.running.watching import Watcher
    from openoutcry.serving.transport import Transport

    console, transport = Console(), Transport(now.stack.allow)
    watcher = Watcher(now.stack, now.home, transport)
    async with transport.opened():
        if once or not console.is_terminal:
            console.print(await _view(watcher, now.settings.metrics))
            return
        with Live(await _view(watcher, now.settings.metrics), console=console, screen=True, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(every)
                live.update(await _view(watcher, now.settings.metrics), refresh=True)


async def _view(watcher: "Watcher", port: int) -> "RenderableType":
    from rich.console import Group

    seen = await watcher.seen()
    desk = await watcher.desk(port) if port else None
    parts: list[RenderableType] = [table(seen) if seen else "house rules answer in every role: nothing runs"]
    if port:
        parts += ["", f"desk: {told(desk)}" if desk else f"desk: no desk serves its metrics on port {port} now"]
    return Group(*parts)


def table(seen: "Sequence[Seen]") -> "Table":
    """A line a replica."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for i, name in enumerate(COLUMNS):
        made.add_column(name, justify="left" if i < LEFT else "right", overflow="fold")
    for one in seen:
        made.add_row(*_row(one))
    return made


def _row(one: "Seen") -> list[str]:
    replica, look = one.replica, one.look
    figures = [UNKNOWN] * 4
    if look:
        hits = f"{look.prefix_hits / look.prefix_queries:.0%}" if look.prefix_queries else UNKNOWN
        figures = [str(look.running), str(look.waiting), f"{look.kv:.0%}", hits]
    return [
        f"{replica.model}-{replica.index}",
        str(replica.state),
        replica.url.removeprefix("http://") or UNKNOWN,
        *figures,
        UNKNOWN if one.speed is None else f"{one.speed:,.0f}",
        UNKNOWN if one.memory is None else _size(one.memory),
        UNKNOWN if one.cpu is None else f"{one.cpu:.1f}",
    ]


def _size(count: float) -> str:
    """Bytes: 640 MB, 1.2 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def told(desk: Mapping[str, float]) -> str:
    """What the desk says of itself, in one line."""
    runs, degraded = desk.get("outcry_runs_total", 0.0), desk.get("outcry_runs_total:yes", 0.0)
    parts = [f"{desk.get('outcry_runs_in_flight', 0.0):.0f} runs under way", f"{runs:,.0f} done"]
    if runs:
        parts.append(f"somebody stood in for {degraded / runs:.0%}")
    parts.append(f"{desk.get('outcry_requests_total', 0.0):,.0f} requests")
    if lookups := desk.get("outcry_cache_lookups_total", 0.0):
        kept = desk.get("outcry_cache_lookups_total:hit", 0.0) + desk.get("outcry_cache_lookups_total:shared", 0.0)
        parts.append(f"{kept / lookups:.0%} from the cache")
    parts.append(_size(desk.get("outcry_process_resident_memory_bytes", 0.0)))
    return ", ".join(parts)
