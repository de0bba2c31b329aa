"""Short ways to make a figure, one a unit; each takes any real number and refuses NaN and infinity."""

import re
from datetime import date
from typing import SupportsFloat, SupportsInt

from openoutcry.core.evidence import Figure, Unit


def fraction(value: SupportsFloat) -> Figure:
    """A share or return; 0.08 is shown as 8.00 %."""
    return Figure(value=float(value), unit=Unit.FRACTION)


def probability(value: SupportsFloat) -> Figure:
    """A probability or confidence; 0.99 is shown as 99 %."""
    return Figure(value=float(value), unit=Unit.PROBABILITY)


def usd(value: SupportsFloat) -> Figure:
    """An amount of US dollars."""
    return Figure(value=float(value), unit=Unit.USD)


def per_share(value: SupportsFloat) -> Figure:
    """US dollars a share."""
    return Figure(value=float(value), unit=Unit.USD_PER_SHARE)


def multiple(value: SupportsFloat) -> Figure:
    """A ratio, shown as 24.10x."""
    return Figure(value=float(value), unit=Unit.MULTIPLE)


def score(value: SupportsFloat) -> Figure:
    """A signed score, shown as +0.25."""
    return Figure(value=float(value), unit=Unit.SCORE)


def number(value: SupportsFloat) -> Figure:
    """A number without a unit of its own."""
    return Figure(value=float(value), unit=Unit.NUMBER)


def count(value: SupportsInt) -> Figure:
    """How many."""
    return Figure(value=int(value), unit=Unit.COUNT)


def sessions(value: SupportsInt) -> Figure:
    """A number of trading days."""
    return Figure(value=int(value), unit=Unit.SESSIONS)


def periods(value: SupportsInt) -> Figure:
    """A number of periods of a person's own series, which need not be days."""
    return Figure(value=int(value), unit=Unit.PERIODS)


def years(value: SupportsFloat) -> Figure:
    """A time in years."""
    return Figure(value=float(value), unit=Unit.YEARS)


def slug(name: str) -> str:
    """The name of a ticker or column as part of a figure's name: BRK.B is brk_b."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def day(value: date) -> Figure:
    """A calendar date."""
    return Figure(value=value.isoformat(), unit=Unit.DATE)


def text(value: str) -> Figure:
    """A name from our own closed vocabularies, such as a ticker or a fiscal period."""
    return Figure(value=value, unit=Unit.TEXT)
