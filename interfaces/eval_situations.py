"""`outcry eval situations`: what data can be made up, what may be chosen of it, and what is then true of it by name."""

import click

from openoutcry.core.errors import UsageError


@click.command(short_help="List situations of made-up data, or show one.")
@click.argument("name", required=False)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Whose values are shown.")
def situations(name: str | None, seed: int) -> None:
    """List the situations of made-up data; of one, by NAME, show what it makes, its options and its truths.

    A scenario names a truth after a dollar sign, as in value = "$var_1d", and is filled in when it is read.
    """
    from openoutcry.eval.worlds import case

    every = case.situations()
    if name is None:
        width = max(map(len, every))
        for one, make in sorted(every.items()):
            click.echo(f"{one:<{width}}  {(make.__doc__ or '').strip().splitlines()[0]}")
        click.echo("\nOne of them: outcry eval situations NAME")
        return
    for line in _shown(name, seed):
        click.echo(line)


def _shown(name: str, seed: int) -> list[str]:
    from pydantic import ValidationError

    from openoutcry.eval.scenario import Made
    from openoutcry.eval.worlds.case import described

    try:
        found = described(Made(situation=name, seed=seed))
    except ValidationError:
        raise UsageError(
            f"expected the name of a situation, got {name!r}; `outcry eval situations` lists them"
        ) from None
    rows = ", ".join(f"{len(rows):,} of {dataset}" for dataset, rows in found.case.rows.items() if rows)
    lines = [found.about, "", f"Rows: {rows}; to be asked at {found.case.as_of}.", "", "Options, under with = { ... }:"]
    lines += [
        f"  {o.name}: {o.bounds}; {'by chance, here' if o.name in found.chance else 'else'} {o.default!r}"
        for o in found.options
    ] or ["  none"]
    lines += ["", f'Truths with seed {seed}, written as value = "$name":']
    width = max(map(len, found.case.truths), default=0)
    return lines + [f"  ${key:<{width}}  {value}" for key, value in found.case.truths.items()]
