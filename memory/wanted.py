"""What a recall asks for, and the one SQL condition that rows must meet."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from openoutcry.core.evidence import Frozen
from openoutcry.memory.record import Kind, Trust
from openoutcry.memory.table import month, quoted

_FIRST, _LAST = datetime.fromisoformat("1700-01-01"), datetime.fromisoformat("2262-01-01")
"""Bounds between which a time may be written in SQL: LanceDB reads it in nanoseconds."""


class Wanted(Frozen):
    """What to look for, and as of when.

    `text` is a question in plain words; where it is empty the newest come first. `as_of` is UTC without zone: nothing
    known later is found. `tickers`, `roles` and `kinds` name what may be found, exactly as stored, and empty means any;
    `trust` is the least. `limit` counts memories, at least 1. `mode` says which ranking is used.
    """

    text: str
    as_of: datetime
    tickers: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    trust: Trust = Trust.UNTRUSTED
    limit: int = 5
    mode: Literal["hybrid", "vector", "text"] = "hybrid"

    @property
    def names(self) -> str:
        """The condition on everything but the clock; empty where anything goes."""
        return both(
            one_of("ticker", self.tickers), one_of("role", self.roles), one_of("kind", self.kinds), self._trusted
        )

    @property
    def _trusted(self) -> str:
        return f"trust >= {int(self.trust)}" if self.trust else ""

    @property
    def condition(self) -> str:
        """The whole condition: known by the as-of, and named."""
        return both(known_by(self.as_of), self.names)


def known_by(as_of: datetime) -> str:
    """`known_at <= as_of`, told by whole months and the days of the last one: a bitmap and a short range."""
    if as_of >= _LAST:
        return ""
    as_of = max(as_of, _FIRST)
    start = as_of.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    late = f"known_at >= timestamp '{start}' AND known_at <= timestamp '{as_of}'"
    return f"(month < {month(as_of)} OR ({late}))"


def one_of(column: str, values: Iterable[str]) -> str:
    """`column` is one of *values*; empty where there are none. Every value is quoted, so none can be read as SQL."""
    listed = quoted(values)
    return f"{column} IN ({listed})" if listed else ""


def both(*conditions: str) -> str:
    """All of the conditions that are not empty."""
    return " AND ".join(condition for condition in conditions if condition)
