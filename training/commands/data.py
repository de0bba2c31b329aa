"""The commands `outcry train data`: make a data set, look at one, list all, print a transcript to be corrected."""

import json
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import UsageError

if TYPE_CHECKING:
    from openoutcry.core.settings import Settings
    from openoutcry.eval.lineup import Models

TRIAL = "openoutcry.interfaces.lineups.trial"
"""Where the context of the outermost command keeps what gives models, by the settings."""
ROLES = ("analyst", "sentiment", "risk", "coordinator", "reader", "embedder")
RUNS, SCENARIOS = "runs", "scenarios"
_ROWS = click.option("--rows", type=click.IntRange(min=0), default=3, show_default=True, help="How many rows to show.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the manifest, or manifests, as JSON.")


@click.group(invoke_without_command=True, no_args_is_help=False, short_help="Examples to learn from.")
@click.option("--show", is_flag=True, help="Show the data set made last: the same as `outcry train data show`.")
@click.pass_context
def data(ctx: click.Context, show: bool) -> None:
    """Examples to learn from: out of runs that settled well, the open scenarios, and files."""
    if ctx.invoked_subcommand is not None:
        if show:
            raise UsageError(
                f"expected --show alone, got the command {ctx.invoked_subcommand} with it; give one of both"
            )
        return
    if show:
        ctx.invoke(shown)
        return
    click.echo(ctx.get_help())


@data.command(short_help="Make a data set for a role.")
@click.option("--role", type=click.Choice(ROLES), required=True, help="The seat whose model is to learn from it.")
@click.option(
    "--from",
    "sources",
    metavar="SOURCE",
    multiple=True,
    help=f"{RUNS}, {SCENARIOS}, or a JSONL file; again for another. Default: {RUNS} and {SCENARIOS}.",
)
@click.option("--teacher", default="house", show_default=True, help="Who plays the scenarios: house, or a model.")
@click.option("--limit", type=click.IntRange(min=1), help="Play at most so many scenarios.")
@click.option(
    "--never",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A folder of texts that must not be learnt from, such as a set for evaluation only.",
)
@click.option(
    "--held", metavar="SUITE", multiple=True, help="A suite of your own that the gate plays: nothing near it is taken."
)
@_JSON
@click.pass_context
def make(
    ctx: click.Context,
    role: str,
    sources: tuple[str, ...],
    teacher: str,
    limit: int | None,
    never: tuple[Path, ...],
    held: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a data set: gather rows, leave out what is held back for the gate, part them by time, store them.

    Of runs a row is taken where the view of the role came true when it was settled; of scenarios, from the dev set
    alone, where the teacher passed. The reader learns tones, as a classifier; the embedder which sentences answer which
    questions.
    """
    from openoutcry.core.progress import Progress
    from openoutcry.training.commands.data_text import summary
    from openoutcry.training.examples.making import Sources
    from openoutcry.training.examples.making import make as made

    files = tuple(Path(s) for s in sources if s not in (RUNS, SCENARIOS))
    wanted = set(sources or (RUNS, SCENARIOS)) & {RUNS, SCENARIOS}
    if role == "reader" and sources and wanted == {RUNS}:
        raise UsageError(
            "expected scenarios or a file for the reader, got runs: its calls hold documents, which are not trusted"
        )
    with (
        _home(ctx) as (settings, home),
        _store(home, wanted) as store,
        _models(ctx, settings, wanted) as models,
        Progress() as progress,
    ):
        given = Sources(store, models, teacher, limit, files, never, held)
        found = made(home, role, given, datetime.now(UTC), progress)
    click.echo(found.manifest.model_dump_json(indent=2) if as_json else "\n".join(summary(found)))
    command = f"outcry train plan BASE --data {found.manifest.digest[:12]}"
    click.echo(f"next: `{command}`, where BASE is a model of the stack, or the folder of one", err=True)


@data.command("show", short_help="Show a data set.")
@click.argument("digest", default="last")
@_ROWS
@_JSON
@click.pass_context
def shown(ctx: click.Context, digest: str = "last", rows: int = 3, as_json: bool = False) -> None:
    """Show the data set DIGEST (a beginning of it will do, or `last`): its manifest and some rows of each part."""
    from openoutcry.training.commands.data_text import sample, summary
    from openoutcry.training.examples.dataset import load

    with _home(ctx) as (_, home):
        found = load(home, digest)
    if as_json:
        click.echo(found.manifest.model_dump_json(indent=2))
        return
    for line in [*summary(found), *sample(found, rows)]:
        click.echo(line)


@data.command("list", short_help="List the data sets.")
@_JSON
@click.pass_context
def listed(ctx: click.Context, as_json: bool) -> None:
    """List the stored data sets, the one made last at the end."""
    from openoutcry.training.commands.data_text import row
    from openoutcry.training.examples.dataset import listing

    with _home(ctx) as (_, home):
        found = listing(home)
    if as_json:
        click.echo(json.dumps([one.model_dump() for one in found], indent=2))
        return
    for one in found:
        click.echo(row(one))
    if not found:
        click.echo(f"  {home} holds no data set yet; `outcry train data make` makes one", err=True)


@data.command(short_help="Print a run's transcript, to be corrected.")
@click.argument("run")
@click.option("--role", type=click.Choice(ROLES[:4]), required=True, help="Whose conversation.")
@click.pass_context
def export(ctx: click.Context, run: str, role: str) -> None:
    """Print what a role was asked and said in RUN as a row of JSONL.

    Correct its last message in an editor and give the file back: `outcry train data make --role ROLE --from FILE`. What
    is asked must stay as it is; a run that is taken by itself gives way to its correction.
    """
    from openoutcry.training.examples.from_runs import exported

    with _home(ctx) as (_, home):
        click.echo(exported(home, run, role, datetime.now(UTC)).model_dump_json())


@contextmanager
def _home(ctx: click.Context) -> Generator["tuple[Settings, Path]"]:
    """The settings in force and the data folder; logs go to stderr meanwhile. Raises UsageError."""
    from openoutcry.core.logs import configured
    from openoutcry.core.settings import load

    path, home = ctx.obj
    settings = load(path)
    settings = settings.model_copy(update={"home": home or settings.home})
    with configured(settings.log_level):
        yield settings, settings.home


@contextmanager
def _models(ctx: click.Context, settings: "Settings", wanted: set[str]) -> "Generator[Models | None]":
    """The models that may play scenarios, where those are wanted."""
    if SCENARIOS not in wanted:
        yield None
        return
    find: Callable[[Settings], Any] = ctx.meta[TRIAL]
    with closing(find(settings)) as trial:
        yield trial


@contextmanager
def _store(home: Path, wanted: set[str]) -> Generator[Any]:
    """What the desk remembers, where runs are wanted and it remembers anything. It is read by no embedder."""
    from openoutcry.memory.store import Store

    folder = home / "memory"
    if RUNS not in wanted or not folder.is_dir():
        yield None
        return
    with closing(Store.open(folder, None, lambda line: click.echo(f"  {line}", err=True))) as store:
        yield store
