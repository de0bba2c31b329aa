"""The command `outcry certify`: tries a model in a role on the person's own endpoint, and keeps the card."""

import json
import sys
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from openoutcry.interfaces.lineups import models
from openoutcry.interfaces.stack_doctor import MARKS, SHAPES, Shapes
from openoutcry.interfaces.stacked import standing
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.serving.cards import Card, Probe

FAILED = 1
"""The exit code where a probe failed."""
LONGEST = 240
"""Characters of what a probe saw that are shown; the card holds all."""


@click.command(short_help="Examine a model for a role.")
@click.argument("model")
@click.option("--role", required=True, help="The seat it is to take: analyst, sentiment, risk, ...")
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON instead of text.")
@click.pass_context
def certify(ctx: click.Context, model: str, role: str, as_json: bool) -> None:
    """Try MODEL in a role while its server runs, and keep what was seen as a card.

    The probes are tools, schema, long prompts, figures, honest refusals, planted orders and repeats. The card is kept
    in the data folder, under stack/cards, and a desk seats no model without one unless told to. Exit code 1 if a probe
    failed; `?` marks what cannot be told from outside.
    """
    from openoutcry.core.sync import run_sync
    from openoutcry.eval.certifying.examination import Examination
    from openoutcry.serving import cards

    at = standing(ctx)
    shapes: Shapes = ctx.meta.get(SHAPES, dict)
    with models(ctx) as (given, home):
        examination = Examination(at.stack, home, model, role, given, shapes(), deadline=at.settings.deadline)
        card = run_sync(examination.card(datetime.now(UTC), _told))
    cards.write(home, card)
    if as_json:
        click.echo(json.dumps({**card.model_dump(mode="json"), "ok": card.ok}, indent=2))
    else:
        for line in shown(card):
            click.echo(line)
    if not card.ok:
        sys.exit(FAILED)


def _told(probe: "Probe") -> None:
    """A line a probe on stderr, as it ends."""
    click.echo(f"  {MARKS[probe.ok]:<6} {probe.name}", err=True)


def shown(card: "Card") -> list[str]:
    """The card: what each probe saw, how to mend what failed, and what it comes to."""
    lines = [f"{card.model} as {card.role}  {card.digest}  {card.engine}, openoutcry {card.code}, {card.made}"]
    for probe in card.probes:
        lines.append(f"  {MARKS[probe.ok]:<6} {probe.name:<18} {_cut(probe.seen)}")
        if probe.ok is False and probe.mend:
            lines.append(f"  {'':<6} {'':<18} mend: {harmless(probe.mend)}")
    if card.ok:
        return [*lines, f"certified for {card.role}: it may sit there"]
    told = f"`outcry models switch {card.role} {card.model} --uncertified` seats it all the same"
    return [*lines, f"not certified for {card.role}: {len(card.failed)} of {len(card.probes)} probes failed; {told}"]


def _cut(seen: str) -> str:
    return textwrap.shorten(harmless(seen), LONGEST, placeholder=" ...", break_on_hyphens=False)
