"""The commands on stored runs: `outcry eval runs`, `outcry eval report` and `outcry eval compare`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openoutcry.core.errors import BrokenRun, UsageError
from openoutcry.interfaces import eval_options as options
from openoutcry.interfaces import eval_sides as sides
from openoutcry.interfaces.stacked import folder
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.runner import Run


@click.command(short_help="List the stored runs of suites.")
@options.JSON
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """List the stored runs of suites, the one played last at the end."""
    from openoutcry.eval.runner import Run, listing, stored
    from openoutcry.interfaces import eval_runs_text

    home, found = folder(ctx), list[Run]()
    for name in listing(home):
        try:
            found.append(stored(home, name))
        except BrokenRun as error:
            click.echo(f"  {harmless(str(error))}", err=True)  # the others are listed all the same
    if as_json:
        options.printed({run.folder.name: {**run.plan.model_dump(), **eval_runs_text.standing(run)} for run in found})
        return
    for line in eval_runs_text.runs(found):
        click.echo(line)


@click.command(short_help="Show a stored run or transcript again.")
@click.argument("name", metavar="RUN", default="last")
@click.option("--transcript", metavar="CASE", default="", help="Print everything said in the case of this id.")
@click.option(
    "--epoch", type=click.IntRange(min=0), default=0, show_default=True, help="Which epoch of the transcript, from 0."
)
@options.WORST
@options.PAGE
@options.JSONL
@options.JUNIT
@options.JSON
@click.pass_context
def report(
    ctx: click.Context,
    name: str,
    transcript: str,
    epoch: int,
    worst: int,
    html: Path | None,
    jsonl: Path | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Show a stored RUN again (its name, a beginning of it, or `last`), or one of its transcripts."""
    from openoutcry.eval.runner import stored
    from openoutcry.interfaces import eval_transcript

    done = stored(folder(ctx), name)
    if not transcript:
        told(done, worst, html, jsonl, junit, as_json)
        return
    found = [o for o in done.outcomes if o.scenario == transcript and o.epoch == epoch]
    if not found:
        there = ", ".join(sorted({o.scenario for o in done.outcomes})[:5])
        raise UsageError(f"run {done.folder.name} has no case {transcript!r} in epoch {epoch}; it has {there}, ...")
    for outcome in found:
        said = done.transcript(outcome)
        if as_json:
            click.echo(said.model_dump_json(indent=2))
            continue
        for line in eval_transcript.lines(said):
            click.echo(line)


@click.command(short_help="Compare two stored runs, case by case.")
@click.argument("first")
@click.argument("second")
@options.WORST
@options.PAGE
@options.JSON
@click.pass_context
def compare(ctx: click.Context, first: str, second: str, worst: int, html: Path | None, as_json: bool) -> None:
    """Compare two stored runs, case by case: by how much is SECOND better than FIRST, and how sure is that?

    RUN:LINEUP names one lineup of a run that has several.
    """
    from openoutcry.eval.comparison import compare as compared
    from openoutcry.interfaces import eval_page, eval_text

    home = folder(ctx)
    one, other = sides.named(home, first), sides.named(home, second)
    if one.shown == other.shown:
        raise UsageError(
            f"expected two runs, but {first} and {second} are one and the same; `outcry eval runs` lists them"
        )
    found = compared(one.outcomes, other.outcomes)
    for line in sides.unlike(one, other):
        click.echo(f"  note: {line}", err=True)
    if as_json:
        options.printed({"first": one.shown, "second": other.shown, **found.model_dump()})
    else:
        for line in eval_text.comparison(one.shown, other.shown, found, worst):
            click.echo(line)
    options.written(html, lambda: eval_page.comparison(one, other, found))


def told(done: "Run", worst: int, html: Path | None, jsonl: Path | None, junit: Path | None, as_json: bool) -> None:
    """The report of a run: on stdout, and in the files that were asked for."""
    from openoutcry.eval.comparison import summaries
    from openoutcry.interfaces import eval_page, eval_text

    found = sides.of(done)
    if as_json:
        summed = {side.name: [s.model_dump() for s in summaries(side.outcomes)] for side in found}
        options.printed(
            {"run": done.folder.name, "complete": done.complete, "plan": done.plan.model_dump(), "summaries": summed}
        )
    else:
        if told_first := eval_text.unfinished(done):
            click.echo(f"{told_first}; the command that began it goes on from there")
        lines = [line for side in found for line in (*eval_text.run(done, side, worst), "")]
        for line in lines[:-1]:
            click.echo(line)
    click.echo(f"  stored as {done.folder.name}; see it again: outcry eval report {done.folder.name}", err=True)
    options.written(html, lambda: eval_page.run(done))
    if jsonl or junit:
        from openoutcry.eval import exports

        options.written(jsonl, lambda: exports.jsonl(done.outcomes))
        options.written(junit, lambda: exports.junit(done.plan.suite, done.outcomes))
