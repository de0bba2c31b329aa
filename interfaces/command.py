"""The command `outcry tool`: a command for each tool, made when it is asked for, so that the others stay unread."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click


class _Tools(click.Group):
    """A command for each tool, with an option for each of its arguments."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The listing of `outcry tool` says more."""
        return []

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of one tool. Raises UsageError where there is none."""
        from openoutcry.interfaces import calculate
        from openoutcry.tools import catalogue
        from openoutcry.tools.tool import reads_data

        function = catalogue.named(cmd_name)
        extra = [
            click.Option(["--json", "as_json"], is_flag=True, help="Print the Evidence as JSON, every digit."),
            *(_DATA if reads_data(function) else []),
        ]

        @click.pass_context
        def run(ctx: click.Context, /, **values: Any) -> None:
            _run_tool(ctx, function, values)

        return click.Command(
            cmd_name, params=[*calculate.options(function), *extra], callback=run, help=calculate.help_of(function)
        )


_DATA = [
    click.Option(["--as-of", "_as_of"], help="What was known then: 2022-06-30 or 2022-06-30T10:00 (New York)."),
    click.Option(
        ["--returns", "_returns"],
        type=click.Path(path_type=Path),
        multiple=True,
        help="A file whose columns are return series, in place of the warehouse.",
    ),
    click.Option(
        ["--prices", "_prices"],
        type=click.Path(path_type=Path),
        multiple=True,
        help="A file whose columns are price series, or open, high, low, close.",
    ),
    click.Option(["--scale", "_scale"], type=float, default=1.0, help="Factor on given returns; 0.01 for percent."),
]


@click.group(
    cls=_Tools,
    invoke_without_command=True,
    subcommand_metavar="[NAME [OPTIONS]]",
    short_help="Call one numeric tool by itself.",
)
@click.pass_context
def tool(ctx: click.Context) -> None:
    """Call one numeric tool by itself; without a name, list them."""
    if ctx.invoked_subcommand is None:
        from openoutcry.interfaces import calculate

        for line in calculate.listing():
            click.echo(line)


def _run_tool(ctx: click.Context, function: Callable[..., Any], values: dict[str, Any]) -> None:
    """Call *function* over a file's series, the warehouse or nothing, and print its Evidence."""
    from openoutcry.core.logs import configure
    from openoutcry.core.settings import load
    from openoutcry.interfaces import calculate
    from openoutcry.tools import catalogue
    from openoutcry.tools.data.view import Warehouse

    path, home = ctx.obj
    settings = load(path)
    configure(settings.log_level)
    as_json, as_of, scale = values.pop("as_json"), values.pop("_as_of", None), values.pop("_scale", 1.0)
    returns, prices = (values.pop(n, None) or None for n in ("_returns", "_prices"))
    with ExitStack() as stack:
        made = catalogue.call(
            function,
            {name: value for name, value in values.items() if value is not None},
            warehouse=lambda: stack.enter_context(closing(Warehouse.open(home or settings.home))),
            limits=settings.limits,
            as_of=as_of,
            returns=returns,
            prices=prices,
            scale=scale,
        )
    if as_json:
        click.echo(made.model_dump_json(indent=2))
        return
    for line in calculate.evidence(made):
        click.echo(line)
