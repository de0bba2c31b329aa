"""The commands `outcry ab`: the desk beside another set-up, on the same questions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces import eval_options as options
from openoutcry.interfaces.cost_command import settled, table
from openoutcry.interfaces.lineups import models

if TYPE_CHECKING:
    from openoutcry.eval.ab.asked import Other
    from openoutcry.eval.ab.played import Match
    from openoutcry.eval.lineup import Models
    from openoutcry.eval.suite import Suite

SUITE = click.option(
    "--suite",
    default="risk",
    show_default=True,
    help="The questions: a shipped suite's open set, or your own file or folder of questions with expected answers.",
)
EVIDENCE = click.option(
    "--evidence/--question-only",
    default=None,
    help="Whether NAME is told the desk's evidence. Default: where questions are about made-up companies.",
)
CONCURRENCY = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many questions at once, for both; times are fair at 1.",
)


@click.group(short_help="Compare the desk with another set-up.")
def ab() -> None:
    """The desk beside another set-up, on the same questions: quality, time and cost."""


@ab.command(short_help="Compare the desk with another set-up.")
@click.option("--against", default="", metavar="NAME", help="A model of the stack, such as an endpoint it allows.")
@click.option(
    "--recorded",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Answers of the other set-up as JSON lines, in place of NAME; nothing is sent.",
)
@SUITE
@EVIDENCE
@click.option("--price", default="", metavar="MODEL", help="Whose price the other side has; default: its model's.")
@options.SEATED
@options.EPOCHS
@CONCURRENCY
@options.SEED
@options.WORST
@options.JSON
@click.pass_context
def start(
    ctx: click.Context,
    against: str,
    recorded: Path | None,
    suite: str,
    evidence: bool | None,
    price: str,
    seated: tuple[str, ...],
    epochs: int,
    concurrency: int,
    seed: int,
    worst: int,
    as_json: bool,
) -> None:
    """Ask the desk and another set-up the same questions, and report quality, time and cost of both.

    Both are read alike: by the figures and words that a person would see. Stopped at any moment, the same command goes
    on from there. NAME must be in stack.toml, and its host under `allow` where it is not on this machine. A line of
    FILE is {"question": "...", "answer": "..."}, and may have as_of, seconds, tokens_in, tokens_out and model too.
    """
    from openoutcry.eval.ab.played import invented
    from openoutcry.eval.ab.recorded import Recorded
    from openoutcry.eval.ab.result import result
    from openoutcry.eval.cost import machine
    from openoutcry.interfaces import ab_text

    if bool(against) == (recorded is not None):
        raise UsageError("expected either --against NAME or --recorded FILE")
    _, settings = settled(ctx)
    prices, rows = table(settings, datetime.now(UTC)), Recorded(recorded) if recorded else None
    whole, picked = _questions(suite)
    informed = bool(invented(picked)) if evidence is None else evidence
    match = _played(ctx, picked, seated, rows or against, informed, (epochs, seed, concurrency))
    found = result(
        match,
        prices,
        settings.cost,
        machine.drawn(settings.cost),
        left_out=len(whole.scenarios) - len(picked.scenarios),
        invented=invented(picked),
        at_once=concurrency,
        told="recorded" if rows else "evidence" if informed else "question",
        recorded=rows,
        like=price,
        seed=seed,
    )
    if as_json:
        options.printed(found.model_dump(mode="json"))
        return
    for line in ab_text.result(found, match, worst):
        click.echo(line)


@ab.command(short_help="Keep another set-up's answers in a file.")
@click.argument("file", type=options.FILE)
@click.option("--against", required=True, metavar="NAME", help="A model of the stack, such as an endpoint it allows.")
@SUITE
@EVIDENCE
@options.SEATED
@options.EPOCHS
@CONCURRENCY
@options.SEED
@click.pass_context
def record(
    ctx: click.Context,
    file: Path,
    against: str,
    suite: str,
    evidence: bool | None,
    seated: tuple[str, ...],
    epochs: int,
    concurrency: int,
    seed: int,
) -> None:
    """Write the answers of NAME to FILE as JSON lines, so that `outcry ab start --recorded FILE` runs without it."""
    from openoutcry.eval.ab.played import invented, pairs
    from openoutcry.eval.ab.recorded import rows, write
    from openoutcry.eval.scenario import Seat
    from openoutcry.eval.scorers import shown

    _, picked = _questions(suite)
    informed = bool(invented(picked)) if evidence is None else evidence
    match = _played(ctx, picked, seated, against, informed, (epochs, seed, concurrency))
    cases = [(scenario, kept) for (scenario, _), kept in zip(pairs(picked, match.run), match.other.kept, strict=True)]
    texts = [[shown(turn, Seat.DESK) for turn in kept.turns] for _, kept in cases]
    written = rows(cases, texts)
    write(file, written)
    click.echo(f"{len(written):,} answers of {against} written to {file}")


def _questions(given: str) -> "tuple[Suite, Suite]":
    """A suite, and the cases of it that both sides can be judged by. Raises UsageError."""
    from openoutcry.eval.ab.played import fair
    from openoutcry.eval.suite import load

    whole = load(given)
    return whole, fair(whole)


def _played(
    ctx: click.Context,
    picked: "Suite",
    seated: tuple[str, ...],
    against: "Other | str",
    evidence: bool,
    how: tuple[int, int, int],
) -> "Match":
    """Both sides played, with what is stored of them used again."""
    from openoutcry.core.sync import run_sync
    from openoutcry.eval.ab.played import asked, play
    from openoutcry.interfaces.eval_watch import Watch

    epochs, seed, concurrency = how
    parts = (*("the desk",), *((against,) if isinstance(against, str) else ()))
    with models(ctx) as (there, home), Watch(picked.name, parts, home) as watch:
        who, known = _seats(seated, there), ""
        other = against if not isinstance(against, str) else None
        if isinstance(against, str):
            other, candidate = asked(there, against, evidence)
            known = (
                f"{candidate.digest or candidate.name} {candidate.decoding} {'evidence' if evidence else 'question'}"
            )
        assert other is not None

        async def go() -> "Match":
            async with there.opened():
                return await play(
                    picked,
                    there,
                    who,
                    other,
                    known,
                    home,
                    epochs=epochs,
                    seed=seed,
                    concurrency=concurrency,
                    watch=watch,
                )

        return run_sync(go())


def _seats(seated: tuple[str, ...], there: "Models") -> Mapping[str, str]:
    from openoutcry.eval.lineup import HOUSE, SEATS, chosen

    return chosen(seated) or {seat: name for seat in SEATS if (name := there.sitting(seat)) != HOUSE}
