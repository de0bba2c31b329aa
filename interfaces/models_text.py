"""The text of `outcry models`: the table of models, and the lines of one."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openoutcry.serving.cards import Card
    from openoutcry.serving.listing import Row

LONGEST = 150
"""Characters of a value that are shown; the JSON holds all."""
HEAD = ("name", "purpose", "engine", "state", "size", "context", "digest", "seats")


def table(rows: "list[Row]") -> list[str]:
    """The models in columns."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cells(row: "Row") -> tuple[str, ...]:
    return (
        row.name,
        row.purpose or "-",
        row.engine or "-",
        row.state,
        size(row.size),
        context(row),
        row.digest or "-",
        " ".join(row.seats) or "-",
    )


def size(count: int) -> str:
    """Bytes as a person reads them."""
    if not count:
        return "-"
    scaled, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled >= 1000:
            scaled, unit = scaled / 1000, larger
    return f"{scaled:.3g} {unit}"


def context(row: "Row") -> str:
    """Tokens, and what the weights would allow where that is more."""
    if not row.context:
        return "-"
    return f"{row.context:,} of {row.longest:,}" if row.longest > row.context else f"{row.context:,}"


def said(card: "Card") -> str:
    """What a card comes to, in one line."""
    found = f"failed in {', '.join(card.failed)}" if card.failed else f"certified, {len(card.probes)} probes"
    return f"{found}; {card.made}, version {card.code}"


def fact(key: str, value: Any) -> str:
    """What is known of a model under *key*, as one line that no long value runs away with."""
    told = worded(value)
    return f"{key:<24} {told if len(told) <= LONGEST else f'{told[: LONGEST - 4]} ...'}"


def worded(value: Any) -> str:
    """A setting, as one line."""
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
