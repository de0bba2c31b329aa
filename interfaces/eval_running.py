"""The commands that play suites: `outcry eval run` and `outcry eval ablate`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces import eval_options as options
from openoutcry.interfaces.eval_stored import told
from openoutcry.interfaces.lineups import models

if TYPE_CHECKING:
    from openoutcry.eval.ablation import Ablation
    from openoutcry.eval.gate.judge import ModelJudge
    from openoutcry.eval.lineup import Lineup, Models
    from openoutcry.eval.runner import Run
    from openoutcry.eval.suite import Suite

PUBLIC = "public:"


@click.command(short_help="Play a suite and report.")
@click.argument("suite")
@options.SEATED
@options.EPOCHS
@options.CONCURRENCY
@options.SEED
@click.option("--category", default="", help="Only cases of this category.")
@click.option("--case", default="", help="Only the case of this id.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The folder with the files of public:NAME."
)
@click.option(
    "--set",
    "bank",
    type=click.Choice(["dev", "gate", "sealed"]),
    default="dev",
    help="Only dev, the open set, is played here; the other two are for `outcry eval gate`.",
)
@click.option("--judge", default="", help="The model that judges rubrics, if cases have any.")
@options.WORST
@options.PAGE
@options.JSONL
@options.JUNIT
@options.JSON
@click.pass_context
def run(
    ctx: click.Context,
    suite: str,
    seated: tuple[str, ...],
    epochs: int,
    concurrency: int,
    seed: int,
    category: str,
    case: str,
    data: Path | None,
    bank: str,
    judge: str,
    worst: int,
    html: Path | None,
    jsonl: Path | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Play SUITE: a shipped one by name, a folder, a file, or public:NAME with --data.

    What was played is kept at once: stopped at any moment, the same command goes on from there.
    """
    from openoutcry.core.sync import run_sync
    from openoutcry.eval import runner
    from openoutcry.interfaces.eval_watch import Watch

    if bank != "dev":
        raise UsageError(
            f"expected the set dev, got {bank}: a candidate is looked at with that set once, by `outcry eval gate`"
        )
    picked = _picked(_suite(suite, data), category, case)
    with models(ctx) as (there, home), Watch(picked.name, home=home) as watch:
        tried = _lineup(seated, there)

        async def play() -> "Run":
            async with there.opened():
                by = judge_of(judge, there) if judge else None
                return await runner.run(
                    picked, [tried], home, epochs=epochs, seed=seed, concurrency=concurrency, judge=by, watch=watch
                )

        done = run_sync(play())
    told(done, worst, html, jsonl, junit, as_json)


def _suite(given: str, data: Path | None) -> "Suite":
    """A suite of this house's format, or a public test set from the folder *data*. Raises UsageError."""
    if not given.startswith(PUBLIC):
        from openoutcry.eval.suite import load

        if data is not None:
            raise UsageError(f"--data goes with {PUBLIC}NAME; the suite {given} brings its own")
        return load(given)
    from openoutcry.eval import public

    if data is None:
        raise UsageError(
            f"expected --data FOLDER with the files of {given.removeprefix(PUBLIC)}: this house ships none"
        )
    return public.load(given.removeprefix(PUBLIC), data)


def _picked(suite: "Suite", category: str, case: str) -> "Suite":
    """The cases of a suite that were asked for. Raises UsageError where there are none."""

    found = [s for s in suite.scenarios if category in ("", s.category) and case in ("", s.id)]
    if not found:
        wanted = f"{f' {case!r}' if case else ''}{f' of the category {category!r}' if category else ''}"
        there = ", ".join(sorted({s.category for s in suite.scenarios}))
        raise UsageError(f"{suite.name} has no case{wanted}; its categories are {there}")
    return dataclasses.replace(suite, scenarios=tuple(found)) if len(found) < len(suite.scenarios) else suite


def _lineup(seated: tuple[str, ...], there: "Models") -> "Lineup":
    """The models to try, under a name that says who they are."""
    from openoutcry.eval.lineup import HOUSE, SEATS, chosen, lineup

    picked = chosen(seated) or {seat: name for seat in SEATS if (name := there.sitting(seat)) != HOUSE}
    name = ", ".join(f"{seat}={model}" for seat, model in picked.items() if model != HOUSE)
    return lineup(name or HOUSE, picked, there)


def judge_of(name: str, there: "Models") -> "ModelJudge":
    """The model *name* as a judge of rubrics."""
    from openoutcry.eval.gate.judge import ModelJudge

    return ModelJudge(*there.seated("coordinator", name))


@click.command(short_help="Compare the desk with simpler ways to answer.")
@click.argument("suite")
@options.SEATED
@options.EPOCHS
@options.CONCURRENCY
@options.SEED
@options.PAGE
@options.JSON
@click.pass_context
def ablate(
    ctx: click.Context,
    suite: str,
    seated: tuple[str, ...],
    epochs: int,
    concurrency: int,
    seed: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Is the whole desk worth its cost? Play SUITE with it, and see how simpler ways do on the same evidence.

    They are the best single role, one call to the coordinator's model, house rules, and buy-and-hold.
    """
    from openoutcry.core.sync import run_sync
    from openoutcry.eval import ablation
    from openoutcry.eval.lineup import HOUSE, SEATS, chosen
    from openoutcry.interfaces import eval_page, eval_text
    from openoutcry.interfaces.eval_watch import Watch

    picked = _suite(suite, None)
    parts = ("the desk", "one call")
    with models(ctx) as (there, home), Watch(picked.name, parts, home) as watch:
        who: Mapping[str, str] = chosen(seated) or {s: n for s in SEATS if (n := there.sitting(s)) != HOUSE}

        async def play() -> "Ablation":
            async with there.opened():
                return await ablation.ablate(
                    picked, there, who, home, epochs=epochs, seed=seed, concurrency=concurrency, watch=watch
                )

        found = run_sync(play())
    if as_json:
        options.printed(found.model_dump())
    else:
        for line in eval_text.ablation(found):
            click.echo(line)
    options.written(html, lambda: eval_page.ablation(found))
