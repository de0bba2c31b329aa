"""The commands `outcry night`: keep the nightly schedule, run a stage by hand, say how the nights stand."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from openoutcry.core.settings import Settings
    from openoutcry.training.night.rooms import Rooms
    from openoutcry.training.night.schedule import Slot, Stage

TRIAL, SHAPES = "openoutcry.interfaces.lineups.trial", "openoutcry.interfaces.stack_doctor.shapes"
OPENER = "openoutcry.interfaces.opened.opener"
"""Where the context of the outermost command keeps what gives models, the desk's own requests, and a desk."""
STAGES = ("prepare", "tune", "validate", "deploy")
NOBODY = "name-of-a-model"
"""What stands for a model where the stack has none."""
CAUGHT_UP = timedelta(days=14)
"""How far back stages are looked for that were run now."""
FRESH = timedelta(seconds=90)
"""Since a look after which nobody keeps the night any more."""
INTERRUPTED = 130
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(line: str) -> None:
    from openoutcry.training.commands.night_text import plain, stamp

    click.echo(f"{stamp(_now())}  {plain(line)}", err=True)


@click.group(short_help="Train and promote by night.")
def night() -> None:
    """Train at night, on exchange days: 17:00 prepare, 22:00 tune, 02:00 validate, 06:00 deploy (New York)."""


@night.command(short_help="Write a night.toml to edit.")
@click.option(
    "--model", default="", help="The model that is fine-tuned for the risk role (default: the stack's first)."
)
@click.pass_context
def init(ctx: click.Context, model: str) -> None:
    """Write a commented night.toml beside the settings, to edit."""
    from openoutcry.core import durable
    from openoutcry.serving.stack import HOUSE, load
    from openoutcry.training.night.settings import EXAMPLE, file_beside

    path, _ = ctx.obj
    file = file_beside(path)
    if file.exists():
        raise UsageError(f"expected to write {file}, but it is there already; edit it, or move it away")
    known = load(_settings(ctx).stack or HOUSE).models
    name = model or next(iter(known), NOBODY)
    durable.put(file, EXAMPLE.format(model=name).encode())
    click.echo(f"{file} written; it tunes {name} for the risk role until you edit it")
    if name == NOBODY:
        click.echo("  no model stands here: `outcry stack init PROFILE` writes a stack.toml; name one of its", err=True)


@night.command(short_help="Keep the night.")
@click.option("--once", is_flag=True, help="Do what is due now, and end.")
@click.pass_context
def start(ctx: click.Context, once: bool) -> None:
    """Keep the night in the foreground: what is due is run, each stage at most once an exchange day.

    A stage runs in a process of its own. Ctrl-C or SIGTERM has it stop where it can go on later. With --once
    the exit code is 3 where a stage failed or ran into its deadline.
    """
    from openoutcry.training.commands.night_text import coming, failed, tried
    from openoutcry.training.night import schedule
    from openoutcry.training.night.ledger import Ledger
    from openoutcry.training.night.loop import Night
    from openoutcry.training.night.spawning import Spawner

    rooms, began = _rooms(ctx), _now()
    for own in rooms.night.roles.values():
        rooms.base(own.model)

    async def keep() -> bool:
        with Ledger(rooms.home) as ledger, _stopping() as stop:
            work = Spawner([sys.executable, "-m", "openoutcry.cli", *_arguments(ctx), "night", "run"], stop)
            kept = Night(ledger, rooms.night.untils, work, _now, _tell, lambda: _rolled(rooms))
            await (kept.once(stop) if once else kept.keep(stop))
            if once and not stop.is_set():
                await asyncio.to_thread(kept.beside)
            return stop.is_set()

    if not once:
        _tell(f"the night is kept by process {os.getpid()}; `outcry night status` shows how it stands")
    stopped = asyncio.run(keep())
    if not once:
        return
    entries, _ = _read(rooms.home, began.date() - CAUGHT_UP, began)
    if stopped or failed(entries, began):
        sys.exit(INTERRUPTED if stopped else DataError.exit_code)
    if not any(tried(entry, began) for entry in entries):
        _tell(f"nothing to do now; {coming(schedule.coming(began, rooms.night.untils), began)}")


@night.command(short_help="Run one stage now.")
@click.argument("stage", type=click.Choice(STAGES), metavar="STAGE")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The exchange day (default: of the newest night).")
@click.option("--again", is_flag=True, help="Even where it is done.")
@click.option("--scheduled", is_flag=True, hidden=True, help="Only between its time and its deadline.")
@click.pass_context
def run(ctx: click.Context, stage: str, day: datetime | None, again: bool, scheduled: bool) -> None:
    """Run STAGE now, before its time and after its deadline too; once for a night, unless --again.

    STAGE is prepare, tune, validate or deploy; the one before must be done.
    """
    from openoutcry.core.logs import configured
    from openoutcry.training.night.claim import NotNow
    from openoutcry.training.night.ledger import Ledger
    from openoutcry.training.night.schedule import Stage
    from openoutcry.training.night.stages import works
    from openoutcry.training.night.working import perform

    rooms = _rooms(ctx)
    slot = _slot(rooms, Stage(stage), day.date() if day else None)

    async def working() -> str:
        with Ledger(rooms.home) as ledger, _stopping() as stop:
            how = {"by_hand": not scheduled, "again": again}
            return await perform(ledger, slot, works(rooms)[slot.stage], now=_now, stop=stop, tell=_tell, **how)

    try:
        with configured(rooms.settings.log_level):
            ended = asyncio.run(working())
    except NotNow as error:
        if not scheduled:
            raise
        _tell(str(error))
        return
    if ended in ("failed", "given back"):
        sys.exit(DataError.exit_code if ended == "failed" else INTERRUPTED)


@night.command(short_help="Show how the night stands.")
@_JSON
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the newest night, what is due next, and whether anybody keeps it."""
    from openoutcry.training.commands import night_text as text
    from openoutcry.training.night import schedule
    from openoutcry.training.night.settings import load

    now, day = _now(), schedule.newest(_now())
    untils, home = load(ctx.obj[0]).untils, _settings(ctx).home
    entries, keeper = _read(home, day, now)
    following = schedule.coming(now, untils)
    if as_json:
        told = {"night": str(day), "stages": [text.as_json(e) for e in entries], "keeper": keeper}
        coming = {"day": str(following.day), "stage": following.stage, "due": following.due.isoformat()}
        click.echo(json.dumps({**told, "next": coming}, indent=2))
        return
    living = {a.process for e in entries for a in e.attempts if _alive(a.process)}
    for line in text.night(day, entries, schedule.slots(day, untils), now, living):
        click.echo(line)
    click.echo(text.coming(following, now))
    nobody = "nobody keeps the night; `outcry night start` does, and `outcry night unit` has systemd do it"
    click.echo(f"kept by process {keeper}" if keeper else nobody)


@night.command(short_help="List past nights.")
@click.option("--days", type=click.IntRange(min=1), default=14, show_default=True, help="How far back.")
@_JSON
@click.pass_context
def history(ctx: click.Context, days: int, as_json: bool) -> None:
    """List the stages of past nights, newest last, with what each came to."""
    from openoutcry.training.commands import night_text as text

    entries, _ = _read(_settings(ctx).home, _now().date() - timedelta(days=days), _now())
    if as_json:
        click.echo(json.dumps([text.as_json(entry) for entry in entries], indent=2))
        return
    if not entries:
        click.echo(
            f"no night in {days} days; `outcry night start` keeps them, `outcry night run prepare` begins one", err=True
        )
        return
    for line in text.history(entries):
        click.echo(line)
    click.echo(f"  {text.counts(entries)}", err=True)


@night.command(short_help="Print a systemd unit.")
@click.pass_context
def unit(ctx: click.Context) -> None:
    """Print a systemd unit that keeps the night with this Python, in this folder."""
    from openoutcry.training.night.unit import NAME, render

    click.echo(render(sys.executable, Path.cwd(), _arguments(ctx)), nl=False)
    click.echo(
        f"  keep it as ~/.config/systemd/user/{NAME}; `systemctl --user enable --now {NAME}` starts it,", err=True
    )
    click.echo("  and `loginctl enable-linger` has it run while you are logged out", err=True)


def _settings(ctx: click.Context) -> "Settings":
    from openoutcry.core.settings import load

    path, home = ctx.obj
    settings = load(path)
    return settings.model_copy(update={"home": home or settings.home})


def _rooms(ctx: click.Context) -> "Rooms":
    from openoutcry.training.night.rooms import Rooms
    from openoutcry.training.night.settings import load

    shapes: Callable[[], Mapping[str, Mapping[str, Any]]] = ctx.meta.get(SHAPES, dict)
    return Rooms(_settings(ctx), load(ctx.obj[0]), ctx.meta[TRIAL], shapes, lambda: ctx.meta[OPENER](ctx))


def _rolled(rooms: "Rooms") -> None:
    """Have new models go on in their seats, or out; what goes wrong is told, and tried again with the next look."""
    from openoutcry.core.errors import OutcryError

    try:
        for one in rooms.rolled(_now()):
            where = f", to {one.due.share} % of the runs" if one.due.move == "advance" else ""
            _tell(f"{one.role}: {one.model}: {one.due.move}{where}: {one.due.said}")
    except OutcryError as error:
        _tell(f"the seats were not looked at: {error}")


def _arguments(ctx: click.Context) -> list[str]:
    """The options of `outcry` as they were given, for another process."""
    named = zip(("--desk", "--home"), ctx.obj, strict=True)
    return [word for name, value in named if value for word in (name, str(value.absolute()))]


def _slot(rooms: "Rooms", stage: "Stage", day: date | None) -> "Slot":
    from openoutcry.training.night import schedule

    chosen = day or schedule.newest(_now())
    if not schedule.is_session(chosen):
        raise UsageError(f"expected a day on which the exchange trades, got {chosen:%a %Y-%m-%d}")
    return next(slot for slot in schedule.slots(chosen, rooms.night.untils) if slot.stage is stage)


def _read(home: Path, since: date, now: datetime) -> tuple[list[Any], int]:
    """The stages since a day, and the process that keeps the night, or 0; nothing is made where there was no night."""
    from openoutcry.training.night.ledger import FILE, Ledger
    from openoutcry.training.night.loop import LOOKED

    if not (home / FILE).is_file():
        return [], 0
    with Ledger(home) as ledger:
        entries, looked = ledger.entries(since), ledger.marked(LOOKED)
    if looked is None or not _alive(looked[0]):
        return entries, 0
    at_work = any(entry.state == "running" for entry in entries)
    return entries, looked[0] if at_work or abs(now - looked[1]) < FRESH else 0


def _alive(process: int) -> bool:
    """Whether a process of that number is there."""
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


@contextmanager
def _stopping() -> Generator[asyncio.Event]:
    """What the first SIGTERM or Ctrl-C sets; the second ends the process as ever."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def told() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield stop
    finally:
        with suppress(ValueError):
            for number in numbers:
                loop.remove_signal_handler(number)
