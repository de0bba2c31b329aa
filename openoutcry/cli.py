"""The command `outcry`. Results go to stdout, progress to stderr; the exit code says how it ended."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry import __version__
from openoutcry.core.errors import DataError, OutcryError, UsageError
from openoutcry.interfaces.ab_command import ab
from openoutcry.interfaces.certify_command import certify
from openoutcry.interfaces.command import tool
from openoutcry.interfaces.cost_command import cost
from openoutcry.interfaces.doctor_command import doctor
from openoutcry.interfaces.eval_command import evaluate
from openoutcry.interfaces.lineups import TRIAL
from openoutcry.interfaces.memory_command import memory
from openoutcry.interfaces.models_command import models
from openoutcry.interfaces.opened import OPENER
from openoutcry.interfaces.settlement import scoreboard, settle
from openoutcry.interfaces.stack_command import stack
from openoutcry.interfaces.stack_doctor import SHAPES
from openoutcry.training.commands.night import night
from openoutcry.training.commands.train import train

if TYPE_CHECKING:
    from openoutcry.agents.flow import Step
    from openoutcry.core.settings import Settings
    from openoutcry.desk import Desk
    from openoutcry.interfaces.chat import Chat
    from openoutcry.trial import Trial

EXIT_CODES = "Exit codes: 0 ok, 1 a check says no, 2 usage, 3 data, 4 model."
Command = Callable[..., Any]


def _fail(message: str, code: int) -> None:
    click.echo(f"outcry: {message}", err=True)
    sys.exit(code)


class _Group(click.Group):
    """Turns every error of ours into one line and its exit code."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run; a fault of the command line's own words is one line too."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            sys.exit(super().main(*args, standalone_mode=False, **extra) or 0)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(error.exit_code)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "outcry"
            said = " ".join(error.format_message().split()).rstrip(".")
            _fail(f"{said}; `{where} --help` tells what there is", error.exit_code)
        except click.Abort:
            _fail("interrupted", 130)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OutcryError as error:
            _fail(str(error), error.exit_code)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(0)
        except OSError as error:
            _fail(f"{error.filename or 'a file'}: {error.strerror or error}", DataError.exit_code)


@click.group(cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="outcry")
@click.option("--desk", "path", type=click.Path(path_type=Path), help="Settings file (default: desk.toml here).")
@click.option("--home", type=click.Path(path_type=Path), help="Data folder (default: .outcry here).")
@click.pass_context
def main(ctx: click.Context, path: Path | None, home: Path | None) -> None:
    """Ask local financial agents; every number leads back to the query that made it."""
    ctx.obj = (path, home)
    ctx.meta[OPENER] = _desk
    ctx.meta[SHAPES] = _shapes
    ctx.meta[TRIAL] = _trial


for command in (tool, memory, settle, scoreboard, stack, models, evaluate, certify, doctor, ab, cost, train, night):
    main.add_command(command)


def _shapes() -> Mapping[str, Mapping[str, Any]]:
    from openoutcry.shapes import shapes

    return shapes()


def _trial(settings: "Settings") -> "Trial":
    from openoutcry.trial import Trial

    return Trial(settings)


@contextmanager
def _desk(ctx: click.Context, backend: str = "stack") -> Generator["Desk"]:
    from openoutcry.desk import Desk

    path, home = ctx.obj
    with Desk.open(path, home=home, backend=backend) as desk:
        yield desk


def _progress(step: "Step") -> None:
    """A line a role on stderr."""
    if step.state == "ended":
        found = step.result.status.replace("_", " ") if step.result else "synthesis"
        click.echo(f"  {step.role:<12} {found:<10} {step.figures:>2} evidence  {step.seconds:6.2f} s", err=True)


_AS_OF = click.option("--as-of", help="What was known then: 2022-06-30 or 2022-06-30T10:00 (New York).")

_BACKEND = click.option(
    "--backend",
    type=click.Choice(["stack", "house"]),
    default="stack",
    help="Who answers: the models of the stack, or house rules whatever the stack says.",
)


@main.command(short_help="Answer a question.")
@click.argument("question", nargs=-1, required=True)
@_AS_OF
@click.option("--ticker", multiple=True, help="Ticker, if the question does not name it; twice to compare.")
@click.option("--horizon", type=int, help="Trading days, if the question does not name it (default 10).")
@click.option("--json", "as_json", is_flag=True, help="Print the typed report as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a self-contained page too.")
@_BACKEND
@click.pass_context
def ask(
    ctx: click.Context,
    question: tuple[str, ...],
    as_of: str | None,
    ticker: tuple[str, ...],
    horizon: int | None,
    as_json: bool,
    html: Path | None,
    backend: str,
) -> None:
    """Answer QUESTION, e.g. "How risky is AAPL over the next 10 days?"."""
    from openoutcry.core.sync import run_sync
    from openoutcry.interfaces import page, text

    with _desk(ctx, backend) as desk:
        work = desk.ask(" ".join(question), as_of, tickers=ticker, horizon=horizon, watch=_progress)
        report = run_sync(work)
        sent = desk.load(report.run).manifest
    if sent.sent:
        here = sum(sent.sent.values()) - sent.left
        click.echo(f"  {sent.left:,} bytes left this machine; {here:,} went to models on it", err=True)
    click.echo(report.model_dump_json(indent=2) if as_json else text.report(report))
    if html:
        html.write_text(page.page(report), encoding="utf-8")
        click.echo(f"  page written to {html}", err=True)
    if report.declined:
        sys.exit(UsageError.exit_code)
    if all(finding.status == "no_finding" for finding in report.findings):
        sys.exit(DataError.exit_code)


@main.command(short_help="Talk with the desk.")
@_AS_OF
@_BACKEND
@click.pass_context
def chat(ctx: click.Context, as_of: str | None, backend: str) -> None:
    """Talk with the desk; follow-ups keep ticker and as-of."""
    import contextlib

    from openoutcry.core.clock import AsOf
    from openoutcry.interfaces.chat import HELP, Chat

    with contextlib.suppress(ImportError):
        import_module("readline")  # gives input() its line editing
    with _desk(ctx, backend) as desk:
        desk.warehouse().view(AsOf.parse(as_of) if as_of else None)
        talk = Chat(desk, click.echo, as_of)
        if sys.stdin.isatty():
            click.echo(HELP, err=True)
        with contextlib.suppress(EOFError):
            while _turn(talk):
                pass


def _turn(talk: "Chat") -> bool:
    """One line of the conversation; Ctrl-C gives up the line, not the conversation."""
    try:
        return talk.turn(input("> " if sys.stdin.isatty() else ""))
    except KeyboardInterrupt:
        click.echo("", err=True)
        return sys.stdin.isatty()


@main.command(short_help="Load data files into the warehouse.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sample", is_flag=True, help="Load the bundled sample data.")
@click.option(
    "--as",
    "dataset",
    type=click.Choice(["prices", "fundamentals", "documents", "positions", "companies"]),
    help="What the files are, if their columns do not tell.",
)
@click.pass_context
def ingest(ctx: click.Context, paths: tuple[Path, ...], sample: bool, dataset: str | None) -> None:
    """Load CSV, Parquet or JSONL files, or folders of them, into the warehouse."""
    from openoutcry.core.logs import configure
    from openoutcry.core.settings import load
    from openoutcry.interfaces.intake import Ticker, table
    from openoutcry.tools.data import warehouse
    from openoutcry.tools.data.ingest import ingest as take

    path, given = ctx.obj
    settings = load(path)
    configure(settings.log_level)
    home = given or settings.home
    with Ticker() as ticker:
        now = datetime.now(UTC)
        intakes = take(home, paths, dataset=dataset, sample=sample, progress=ticker, now=now)
    click.echo(table(intakes))
    click.echo(f"data {warehouse.current(home).stem} in {home}")
    if not any(i.taken or i.unchanged for i in intakes):
        raise DataError("no row was taken; the rejects files say why, row by row")


@main.command(short_help="List the stored runs.")
@click.pass_context
def runs(ctx: click.Context) -> None:
    """List the stored runs, newest last."""
    from openoutcry.core.errors import BrokenRun

    with _desk(ctx) as desk:
        for name in desk.runs():
            try:
                manifest = desk.load(name).manifest
            except BrokenRun as error:
                click.echo(f"{name}  broken: {error}")
                continue
            click.echo(f"{name}  as of {manifest.as_of}  data {manifest.snapshot}  {manifest.question}")


@main.command(short_help="Show where a figure comes from.")
@click.argument("run")
@click.argument("reference")
@click.pass_context
def explain(ctx: click.Context, run: str, reference: str) -> None:
    """Show where a figure comes from: `outcry explain last E3.var`."""
    from openoutcry.interfaces.explain import explain as lines

    with _desk(ctx) as desk:
        bundle = desk.load(run)
        for line in lines(bundle, reference, desk):
            click.echo(line)


@main.command(short_help="Answer a stored run again, offline.")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print the replayed report as JSON.")
@click.pass_context
def replay(ctx: click.Context, run: str, as_json: bool) -> None:
    """Answer a stored run again from its own record, offline, and say whether the report is the same."""
    from openoutcry.core.errors import BrokenRun
    from openoutcry.core.sync import run_sync
    from openoutcry.interfaces import text

    with _desk(ctx) as desk:
        stored = desk.load(run).report
        report = run_sync(desk.replay(run))
    click.echo(report.model_dump_json(indent=2) if as_json else text.report(report))
    if not report.same_as(stored):
        raise BrokenRun(f"the replay of {stored.run} differs from its record: the code has changed since")
    click.echo(f"  replayed {stored.run}: the same report", err=True)


@main.command(short_help="Say what made two runs differ.")
@click.argument("first")
@click.argument("second")
@click.pass_context
def diff(ctx: click.Context, first: str, second: str) -> None:
    """Say what made two runs differ: question, as-of, data, limits, memory, prompt, model or code."""
    from openoutcry.interfaces.explain import diff as lines

    with _desk(ctx) as desk:
        for line in lines(desk.load(first), desk.load(second)):
            click.echo(line)


if __name__ == "__main__":
    main()
