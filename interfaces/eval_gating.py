"""The commands `outcry eval` about the gate: a look, its records, and what guards both."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from openoutcry.core.errors import BrokenRun, DataError, UsageError
from openoutcry.interfaces import eval_options as options
from openoutcry.interfaces.eval_running import judge_of
from openoutcry.interfaces.lineups import models
from openoutcry.interfaces.stacked import folder
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.gate.judge import Agreement
    from openoutcry.eval.gate.planning import Planned
    from openoutcry.eval.gate.record import Record
    from openoutcry.eval.scenario import Bank

GATE_FAILED = 1
ROLES = ("analyst", "sentiment", "risk", "coordinator", "reader")


@click.command(short_help="Decide whether a model may take a seat.")
@click.argument("challenger")
@click.option("--role", type=click.Choice(ROLES), help="The seat it is to take; needed.")
@click.option("--champion", default="", help="Who holds the seat; by default the model seated there now.")
@click.option("--anchor", default="", help="The frozen model that nobody may fall behind; by default the pinned one.")
@click.option("--repin", is_flag=True, help="Pin --anchor as the frozen model from now on.")
@click.option(
    "--set",
    "bank",
    type=click.Choice(["gate", "sealed"]),
    default="gate",
    show_default=True,
    help="gate: new each month, one look per challenger; sealed: new each quarter, one look in all.",
)
@click.option("--suite", default="", help="A suite in place of the role's own: a name, a folder or a file.")
@click.option("--safety", default="safety", show_default=True, help="The safety suite.")
@click.option("--judge", "judged_by", default="", help="The model that judges rubrics; see `outcry eval judge`.")
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="How many cases to play at once."
)
@click.option("--plan", "only_plan", is_flag=True, help="Only say what the look would be, and whether it may begin.")
@options.PAGE
@options.JSON
@click.pass_context
def gate(
    ctx: click.Context,
    challenger: str,
    role: str | None,
    champion: str,
    anchor: str,
    repin: bool,
    bank: str,
    suite: str,
    safety: str,
    judged_by: str,
    concurrency: int,
    only_plan: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """May CHALLENGER take a seat? PROMOTE, REJECT or INCONCLUSIVE, and why; exit code 1 unless PROMOTE.

    First comes the plan with the smallest gain that the look can see; a look that could not see one that matters does
    not begin. A look that was stopped goes on when the command is given again.
    """
    from openoutcry.core.sync import run_sync
    from openoutcry.eval.gate.session import Gate
    from openoutcry.interfaces import eval_gate_text
    from openoutcry.interfaces.eval_watch import Watch

    if role is None:
        raise UsageError(f"expected --role with the seat that {challenger} is to take: {', '.join(ROLES)}")
    if only_plan and html is not None:
        raise UsageError("--html writes the page of a verdict, and --plan comes to none; give one of the two")
    with models(ctx) as (there, home):
        held = Gate(home, there, datetime.now(UTC))
        planned = held.plan(
            role,
            challenger,
            champion=champion,
            anchor=anchor,
            bank=cast("Bank", bank),
            suite=suite,
            safety=safety,
            repin=repin,
        )
        pace = _pace(home, planned.suite)
        if only_plan:
            _planned(planned, as_json, pace / concurrency)
            return
        for line in eval_gate_text.plan(planned.model_copy(update={"refused": ""}), pace / concurrency):
            click.echo(line, err=True)
        judge = judge_of(judged_by, there) if judged_by else None
        try:
            with Watch(f"{challenger} for {role}", (planned.suite, planned.safety), home) as watch:
                record = run_sync(held.run(planned, concurrency=concurrency, watch=watch, judge=judge))
        except UsageError:
            if html is not None:
                click.echo(f"  no page is written to {html}: the look does not begin", err=True)
            raise
        _kept(record, home)
    _told(record, home, html, as_json)
    if record.verdict.decision != "PROMOTE":
        sys.exit(GATE_FAILED)


def _kept(record: "Record", home: Path) -> None:
    """Keep a copy of the record with the registered model that it is of, and an event of it in the registry."""
    from openoutcry.serving.registry.artifact import is_name
    from openoutcry.serving.registry.moves import evaluated

    if is_name(record.challenger):
        evaluated(home, record.challenger, record.number, datetime.now(UTC))


def _pace(home: Path, suite: str) -> float:
    """Seconds that a case of the suite took in the run played last; 0 where none tells."""
    from openoutcry.eval.runner import listing, stored

    for name in reversed(listing(home)):
        try:
            run = stored(home, name)
        except BrokenRun:
            continue  # another may tell
        if run.plan.suite == suite and run.outcomes:
            return sum(o.seconds for o in run.outcomes) / len(run.outcomes)
    return 0.0


def _planned(planned: "Planned", as_json: bool, pace: float) -> None:
    """The plan alone; the exit code is that of a fault in use where the look may not begin."""
    from openoutcry.interfaces import eval_gate_text

    if as_json:
        options.printed(planned.model_dump())
    else:
        for line in eval_gate_text.plan(planned, pace):
            click.echo(line)
    if planned.refused:
        sys.exit(UsageError.exit_code)


def _told(record: "Record", home: Path, html: Path | None, as_json: bool) -> None:
    from openoutcry.interfaces import eval_gate_text, eval_page

    if as_json:
        options.printed(record.model_dump())
    else:
        for line in eval_gate_text.record(record):
            click.echo(line)
    options.written(html, lambda: eval_page.gate(record, home))


@click.command(short_help="List or show the gate's records.")
@click.argument("number", required=False, type=click.IntRange(min=1))
@options.PAGE
@options.JSON
@click.pass_context
def records(ctx: click.Context, number: int | None, html: Path | None, as_json: bool) -> None:
    """List the gate's records, oldest first, or show the one of NUMBER again."""
    from openoutcry.eval.gate import chain
    from openoutcry.interfaces import eval_gate_text

    home = folder(ctx)
    found = chain.records(home)
    if number is not None:
        one = next((record for record in found if record.number == number), None)
        if one is None:
            raise UsageError(f"expected the number of a record, got {number}; there are {len(found)}")
        _told(one, home, html, as_json)
        return
    if html is not None:
        raise UsageError("expected the NUMBER of the record that the page is of; `outcry eval records` lists them")
    if as_json:
        options.printed([record.model_dump(exclude={"sides"}) for record in found])
        return
    for line in eval_gate_text.records(found):
        click.echo(line)


@click.command(short_help="Check the chain of the gate's records.")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The public key (PEM) that you keep; by default the one beside the records, which only shows accidents.",
)
@options.JSON
@click.pass_context
def verify(ctx: click.Context, key: Path | None, as_json: bool) -> None:
    """Check that every record of the gate is as it was written, none is missing, and its outcomes give its verdict.

    Exit code 3 where that is not so.
    """
    from openoutcry.eval.gate import chain
    from openoutcry.interfaces import eval_gate_text

    home = folder(ctx)
    found = chain.verify(home, key)
    if as_json:
        options.printed([one.model_dump() for one in found])
    else:
        for one in sorted(found, key=lambda one: one.ok):
            where = f"record {one.number}" if one.number else "the chain"
            click.echo(harmless(f"{'ok' if one.ok else 'FAULT':<6} {where}: {one.said}"))
    bad = sum(not one.ok for one in found)
    there = [] if bad or as_json else chain.records(home)
    if there:
        for line in eval_gate_text.keepsake(there[-1]):
            click.echo(line)
    if bad:
        raise DataError(f"the gate's records are not as they were written: {bad} fault{'' if bad == 1 else 's'}")


@click.command(short_help="Find training data that is in the gate's sets.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", "named", multiple=True, help="Only this suite, shipped or your own; repeat it for more.")
@options.JSON
def scan(files: tuple[Path, ...], named: tuple[str, ...], as_json: bool) -> None:
    """Find texts of FILES, such as training data, that are in the gate's or the sealed set now; exit code 1 if any.

    JSONL and CSV are read row by row, text and Markdown whole. What cannot be read is an error and never clean.
    """
    from openoutcry.eval import corpus, near
    from openoutcry.eval.gate.alpha import rotation
    from openoutcry.eval.suite import load, shipped
    from openoutcry.interfaces.eval_text import number

    now = datetime.now(UTC)
    banks: tuple[Bank, ...] = ("gate", "sealed")
    suites = [load(name, bank, rotation(bank, now)) for name in named or shipped() for bank in banks]
    texts = [text for file in _files(files) for text in corpus.texts(file)]
    found = near.overlaps(texts, suites)
    if as_json:
        options.printed([one.model_dump() for one in found])
    else:
        for one in found:
            share = f"{100 * one.contained:.0f} % of the {one.part} of {one.scenario} ({one.suite})"
            click.echo(harmless(f"{one.source}: {share} is there"))
        hit, looked = len({one.source for one in found}), number(len(texts), "text")
        click.echo(f"{hit:,} of {looked} overlap" if found else f"{looked}, none overlaps")
    if found:
        sys.exit(GATE_FAILED)


def _files(given: tuple[Path, ...]) -> list[Path]:
    """The files, and those in the folders, among *given*.

    Raises UsageError for what is not there, and for a link to a folder in a folder, which is not followed.
    """
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise UsageError(f"expected a file or folder, found nothing at {path}")
        every = sorted(path.rglob("*")) if path.is_dir() else [path]
        if odd := [p for p in every if p.is_symlink() and not p.is_file()]:
            raise UsageError(f"expected files in {path}, found the link {odd[0]}; name what it leads to by itself")
        found += [p for p in every if not p.is_dir()]
    return found


@click.command(short_help="Measure how far a judge agrees with people.")
@click.argument("model")
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Answers that people judged, as JSONL: question, answer, statement, label (true or false); 50 at least.",
)
@options.JSON
@click.pass_context
def judge(ctx: click.Context, model: str, labels: Path, as_json: bool) -> None:
    """Measure how far MODEL as a judge agrees with people; without that the gate relies on no judge."""
    from openoutcry.core.sync import run_sync
    from openoutcry.eval.gate import judge as judging

    rows = judging.labelled(labels)
    with models(ctx) as (there, home):
        asked = judge_of(model, there)

        async def measured() -> "Agreement":
            async with there.opened():
                return await judging.agreement(asked, rows, datetime.now(UTC))

        found = run_sync(measured())
        judging.store(home, found)
    if as_json:
        options.printed(found.model_dump())
        return
    enough = "the gate may rely on it" if found.low >= judging.NEEDED else "the gate does not rely on it"
    click.echo(
        f"{found.judge} agrees with {found.count} labels of people: kappa {found.kappa:.2f} (95 % interval "
        f"{found.low:.2f} to {found.high:.2f}, {judging.NEEDED:g} needed at least): {enough}"
    )
