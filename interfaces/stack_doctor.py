"""The command `outcry stack doctor`: what each endpoint of the stack does wrong for the desk, and how to mend it."""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.errors import ModelError
from openoutcry.interfaces.stacked import standing

if TYPE_CHECKING:
    from openoutcry.serving.examining.doctor import Check

SHAPES = f"{__name__}.shapes"
"""Where the context of the outermost command keeps what makes the desk's requests: bodies by `role`, or `role kind`."""
Shapes = Callable[[], Mapping[str, Mapping[str, Any]]]
MARKS = {True: "ok", False: "FAILS", None: "?"}


@click.command(short_help="Send the desk's own requests, and say what fails.")
@click.argument("model", default="")
@click.option("--stack", "given", default="", help="Stack file or profile (default: the one in force).")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.pass_context
def doctor(ctx: click.Context, model: str, given: str, as_json: bool) -> None:
    """Send the desk's own requests to each endpoint, or those of MODEL; say what fails, and how to mend it.

    Ends with exit code 4 where anything fails. `?` is what cannot be told from outside.
    """
    from openoutcry.core.sync import run_sync
    from openoutcry.serving.examining.doctor import examine, unwatched
    from openoutcry.serving.transport import Transport

    at = standing(ctx, given)
    shapes: Shapes = ctx.meta.get(SHAPES, dict)
    transport = Transport(at.stack.allow)
    watch = unwatched if as_json else _Told()
    checks = run_sync(examine(at.stack, at.home, transport, shapes(), model, watch))
    failed = [check for check in checks if check.ok is False]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    elif not checks:
        click.echo("nothing to examine: house rules sit in every seat, and need no server")
    else:
        click.echo(f"{len(checks)} checks, {len(failed)} failed")
    if failed:
        sys.exit(ModelError.exit_code)


class _Told:
    """Prints a line a check as it ends, under the endpoint that it is of, and the mend beneath it."""

    def __init__(self) -> None:
        self._at = ("", "")

    def __call__(self, check: "Check") -> None:
        """One check."""
        if (check.model, check.url) != self._at:
            self._at = (check.model, check.url)
            click.echo(f"{check.model}  {check.url or 'nowhere'}")
        click.echo(f"  {MARKS[check.ok]:<6} {check.name:<26} {check.seen}")
        if check.ok is False and check.mend:
            click.echo(f"  {'':<6} {'':<26} mend: {check.mend}")
