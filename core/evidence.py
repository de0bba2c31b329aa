"""Evidence: what a tool computed, from which rows, under which conventions."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat


class Frozen(BaseModel):
    """A value object: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(StrEnum):
    """What a figure is measured in, which decides how its digits are shown."""

    FRACTION = "fraction"
    PROBABILITY = "probability"
    USD = "usd"
    USD_PER_SHARE = "usd_per_share"
    MULTIPLE = "multiple"
    COUNT = "count"
    SESSIONS = "sessions"
    PERIODS = "periods"
    YEARS = "years"
    SCORE = "score"
    DATE = "date"
    TEXT = "text"
    NUMBER = "number"


class Figure(Frozen):
    """One value: never NaN or infinite. A fraction of 0.08 is shown as 8.00 %; a date is an ISO string."""

    value: int | FiniteFloat | str
    unit: Unit

    def __str__(self) -> str:
        return show(self)


class Query(Frozen):
    """A statement as it ran, and the SHA-256 of its rows; `sandboxed` if a model wrote it."""

    sql: str
    rows: int
    sha256: str
    sandboxed: bool = False


class Series(Frozen):
    """Points behind a picture; never sent to a model."""

    dates: tuple[date, ...] = ()
    values: tuple[float, ...] = ()


class Quote(Frozen):
    """A span of an untrusted document, shown to the person and never to another model."""

    document: str
    published: str
    kind: str
    tone: str
    text: str


class Evidence(Frozen):
    """What one tool call returned.

    `id` (`E3`) is given by the run, and `asked` is the call as it was made, in one canonical line; `sources`
    names, by argument, the figures of earlier evidence that were put in;
    `known_at` (UTC) is the newest moment at which any row used became known; `items` are opaque ids that a
    later call may name; `conventions` states sign, quantile rule, annualisation and the like; `missing`
    says what was asked for and could not be had; `quotes` are for the person alone.
    """

    id: str = ""
    tool: str
    arguments: Mapping[str, Any]
    asked: str = ""
    sources: Mapping[str, str] = {}
    as_of: str
    known_at: datetime | None = None
    figures: Mapping[str, Figure]
    items: tuple[str, ...] = ()
    conventions: Mapping[str, str] = {}
    queries: tuple[Query, ...] = ()
    missing: tuple[str, ...] = ()
    series: Mapping[str, Series] = {}
    quotes: tuple[Quote, ...] = ()

    def value(self, name: str) -> float:
        """The figure *name* as a number. Raises KeyError, or ValueError for a date or text."""
        return float(self.figures[name].value)


def _money(value: float) -> str:
    sign, size = "-" if value < 0 else "", round(abs(value), 2)
    for scale, suffix in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if size >= scale:
            return f"{sign}${size / scale:,.2f}{suffix}"
    return f"{sign}${size:,.2f}"


def _plain(value: float) -> str:
    """Six significant digits, or all before the point; no exponent between a millionth and a quadrillion."""
    if value and not 1e-6 <= abs(value) < 1e15:
        return f"{value:.5e}"
    decimals = max(0, 6 - len(f"{abs(value):.0f}")) if abs(value) >= 1 else 6
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show(figure: Figure) -> str:
    """Write the figure the one way this house writes it."""
    value, unit = figure.value, figure.unit
    if isinstance(value, str):
        return value
    match unit:
        case Unit.FRACTION:
            return f"{value * 100:.2f} %"
        case Unit.PROBABILITY:
            return f"{value * 100:.2f}".rstrip("0").rstrip(".") + " %"
        case Unit.USD:
            return _money(value)
        case Unit.USD_PER_SHARE:
            return f"{'-' if value < 0 else ''}${abs(value):,.2f}"
        case Unit.MULTIPLE:
            return f"{value:.2f}x"
        case Unit.SESSIONS:
            return f"{value:,.0f} trading day{'' if value == 1 else 's'}"
        case Unit.PERIODS:
            return f"{value:,.0f} period{'' if value == 1 else 's'}"
        case Unit.YEARS:
            return f"{_plain(value)} years"
        case Unit.COUNT:
            return f"{value:,.0f}"
        case Unit.SCORE:
            return f"{value:+.2f}"
        case _:
            return _plain(value)
