"""The commands `outcry eval` about suites: write a scenario, check files, list cases, show one."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from openoutcry.core.errors import UsageError
from openoutcry.interfaces import eval_gating as gating
from openoutcry.interfaces import eval_running as running
from openoutcry.interfaces import eval_stored as stored
from openoutcry.interfaces.eval_situations import situations

if TYPE_CHECKING:
    from openoutcry.eval.scenario import Bank

SEATS = ("analyst", "sentiment", "risk", "coordinator", "desk", "model")
_SET = click.option(
    "--set",
    "bank",
    type=click.Choice(["dev", "gate", "sealed"]),
    default="dev",
    show_default=True,
    help="The set of cases.",
)


@click.group(name="eval", short_help="Try models on scenarios, and gate them.")
def evaluate() -> None:
    """Try models on scenarios, and decide by a gate whether one may take a seat."""


@evaluate.command(short_help="Write an example of a scenario.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seat", type=click.Choice(SEATS), default="risk", show_default=True, help="Who is asked.")
def new(file: Path | None, seat: str) -> None:
    """Write an example of a scenario, with comments, to FILE or to the screen; it can be run at once.

    A file is TOML or YAML: keys and meaning are the same.
    """
    from openoutcry.eval.writing import example

    text = example(seat)
    if file is None:
        click.echo(text, nl=False)
        return
    if file.suffix != ".toml":
        raise UsageError(f"expected a FILE that ends in .toml, got {str(file)!r}; the example is TOML")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise UsageError(f"expected a new FILE, but {file} is there already; choose another name") from None
    click.echo(f"written to {file}; next: outcry eval check {file}, then outcry eval run {file}")


@evaluate.command(short_help="Say all that is wrong with files of scenarios.")
@click.argument("paths", nargs=-1, required=True)
def check(paths: tuple[str, ...]) -> None:
    """Say all that is wrong with files, folders or suites of scenarios, each fault with its file, line and reason."""
    from openoutcry.eval import suite
    from openoutcry.interfaces.eval_text import number
    from openoutcry.interfaces.words import harmless

    count, faults = 0, list[suite.Fault]()
    for path in paths:
        found, wrong = suite.check(path)
        count, faults = count + found, [*faults, *wrong]
    for fault in faults:
        click.echo(harmless(str(fault)))
    if faults:
        raise UsageError(f"{number(len(faults), 'fault')} in {number(len({f.file for f in faults}), 'file')}")
    click.echo(f"{count:,} scenario{'' if count == 1 else 's'}, all in order")


@evaluate.command(name="list", short_help="List suites, or the cases of one.")
@click.argument("suite", required=False)
@_SET
@click.option("--category", default="", help="Only cases of this category.")
@click.option("--rotation", default="", help="The month of the gate set (2026-11), or the quarter of the sealed one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def listed(suite: str | None, bank: str, category: str, rotation: str, as_json: bool) -> None:
    """List the shipped suites with their categories; of one SUITE (its name, a folder or a file) its cases."""
    from openoutcry.eval.suite import load, shipped
    from openoutcry.interfaces import eval_suite_text as text

    names = [suite] if suite else shipped()
    suites = [load(name, cast("Bank", bank), rotation) for name in names]
    cases = {s.name: [c for c in s.scenarios if category in ("", c.category)] for s in suites}
    if category and not any(cases.values()):
        there = sorted({c.category for s in suites for c in s.scenarios})
        raise UsageError(f"expected a category among {', '.join(there)}; got {category!r}")
    if as_json:
        rows = {
            name: [{"id": c.id, "category": c.category, "cluster": c.of, "digest": c.digest} for c in found]
            for name, found in cases.items()
        }
        click.echo(json.dumps(rows, indent=2))
        return
    if suite:
        lines = text.cases(cases[suites[0].name])
    else:
        lines = text.suites({name: Counter(c.category for c in found) for name, found in cases.items()}, bank)
    for line in lines:
        click.echo(line)


@evaluate.command(short_help="Show one case whole.")
@click.argument("case")
@click.option("--suite", default="", help="The suite to look in; by default every shipped one.")
@_SET
@click.option("--rotation", default="", help="The month of the gate set (2026-11), or the quarter of the sealed one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def show(case: str, suite: str, bank: str, rotation: str, as_json: bool) -> None:
    """Show one CASE whole, by its id or a beginning of it: what is asked, over which data, and what must be true."""
    from openoutcry.eval.suite import load, shipped
    from openoutcry.interfaces import eval_suite_text as text

    names = [suite] if suite else shipped()
    every = [c for name in names for c in load(name, cast("Bank", bank), rotation).scenarios]
    found = [c for c in every if c.id == case] or [c for c in every if c.id.startswith(case)]
    if not found:
        raise UsageError(
            f"expected the id of a case of {', '.join(names)}, got {case!r}; `outcry eval list` names them"
        )
    if len({c.id for c in found}) > 1:
        some = ", ".join(c.id for c in found[:3])
        raise UsageError(f"expected the beginning of one id, but {case!r} begins {len(found)}, such as {some}")
    if as_json:
        click.echo(found[0].model_dump_json(by_alias=True, exclude_defaults=True, indent=2))
        return
    for line in text.case(found[0]):
        click.echo(line)


@evaluate.command(short_help="Print the JSON Schema of scenario files.")
def schema() -> None:
    """Print the JSON Schema of scenario files, by which an editor completes and checks them.

    Keep it beside your files: outcry eval schema > outcry-scenario.schema.json

    \b
    First line of a TOML file, for editors with Taplo, such as Even Better TOML:
      #:schema ./outcry-scenario.schema.json
    First line of a YAML file:
      # yaml-language-server: $schema=./outcry-scenario.schema.json
    """
    from openoutcry.eval.writing import schema as made

    click.echo(json.dumps(made(), indent=2))


for _command in (
    running.run,
    stored.runs,
    stored.report,
    stored.compare,
    running.ablate,
    gating.gate,
    gating.verify,
    gating.records,
    gating.scan,
    gating.judge,
    situations,
):
    evaluate.add_command(_command)
