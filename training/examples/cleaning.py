"""What may be learnt from: each row once, none that a case of the gate or sealed set asks or reads, parted by time."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from openoutcry.eval import near
from openoutcry.eval.corpus import Given
from openoutcry.eval.gate.alpha import rotation
from openoutcry.eval.scenario import Bank, Scenario
from openoutcry.eval.suite import Suite, load, shipped
from openoutcry.training.examples.dataset import Part
from openoutcry.training.examples.forbidden import STANDS, holds
from openoutcry.training.examples.rows import Chat, Gathered, Row, opening, sameness, texts

HELD_BACK: tuple[Bank, ...] = ("gate", "sealed")
AHEAD = timedelta(days=5)
"""How much later a challenger may be looked at than its data was made: a rotation that begins by then counts too."""
SHARE = 0.1
"""The share of rows that validate."""
MOST = 0.25
"""The largest share that may validate for the sake of rows that are known at one moment."""
TWICE, CORRECTED = "the same row twice", "a person's correction stands"
OVERLAPS, SHORT = "near-duplicate of a gate or sealed case", "too short to tell"


def held_back(now: datetime) -> list[Suite]:
    """Both sets of all shipped suites that nothing may be learnt from, in each rotation that a look may come in."""
    return _in_force(shipped(), now)


def own(given: Iterable[str], now: datetime) -> list[Suite]:
    """Suites of a person's own that the gate looks at, in the same rotations. Shipped ones are held back already.

    Cases that ask in too few words to be anybody's are passed over. Raises UsageError where there is no such suite.
    """
    known = shipped()
    suites = _in_force([name for name in dict.fromkeys(given) if name and name not in known], now)
    return [replace(one, scenarios=tuple(s for s in one.scenarios if _telling(s))) for one in suites]


def _in_force(names: Iterable[str], now: datetime) -> list[Suite]:
    turns = {bank: dict.fromkeys(rotation(bank, at) for at in (now, now + AHEAD)) for bank in HELD_BACK}
    return [load(name, bank, turn) for name in names for bank in HELD_BACK for turn in turns[bank]]


def _telling(case: Scenario) -> bool:
    asked = [case.bare.prompt] if case.bare else [turn.question for turn in case.asked]
    return _words(" ".join(asked)) >= near.LEAST


def named(name: str, bank: str, rotation: str) -> str:
    """A suite as a manifest names it."""
    return f"{name} {bank} {rotation}"


def cleaned(
    gathered: Iterable[Gathered], given: Gathered, suites: Sequence[Suite], forbidden: Sequence[str] = ()
) -> Gathered:
    """The rows that are left, in an order of their own; *given* are a person's, which stand where others differ.

    Whatever cannot be told from a case that is held back is left out, and so is what holds a text of *forbidden*.
    """
    sources = [*gathered, given]
    left = sum((one.left for one in sources), Counter[str]())
    theirs = {opening(row) for row in given.rows if isinstance(row, Chat)}
    mine = {id(row) for row in given.rows}
    unique: dict[str, Row] = {}
    for row in sorted((r for one in sources for r in one.rows), key=lambda r: (r.known_at, r.id, r.source)):
        if isinstance(row, Chat) and id(row) not in mine and opening(row) in theirs:
            left[CORRECTED] += 1
        elif holds(row, forbidden):
            left[STANDS] += 1
        elif (same := sameness(row)) in unique:
            left[TWICE] += 1
        else:
            unique[same] = row
    return _apart(list(unique.values()), suites, left)


def parted(rows: Sequence[Row]) -> tuple[dict[Part, Sequence[Row]], str]:
    """Rows to train by, rows to validate by, and the moment that parts them: no row to train by is known after it.

    Rows of one moment stay together where that leaves the share near to a tenth. Where it would be more than MOST, as
    among scenarios that are all asked on one day, a tenth is taken of the newest by digest; where all rows are of one
    moment, the moment is empty.
    """
    wanted = max(1, math.ceil(SHARE * len(rows)))
    ordered = sorted(rows, key=lambda row: (row.known_at, row.id))
    oldest, newest = ordered[0].known_at, ordered[-1].known_at
    counts = {at: sum(row.known_at >= at for row in ordered) for at in {row.known_at for row in ordered} - {oldest}}
    split = min(counts, key=lambda at: (abs(counts[at] - wanted), at), default=newest)
    share = counts.get(split, len(ordered))
    if share > max(1, MOST * len(ordered)):
        split, share = newest, wanted
    place = len(ordered) - share
    return {"train": ordered[:place], "valid": ordered[place:]}, split.isoformat() if oldest < newest else ""


def _apart(rows: Sequence[Row], suites: Sequence[Suite], left: Counter[str]) -> Gathered:
    """The rows that overlap no case of *suites*."""
    told = {row.id: list(_compared(row)) for row in rows}
    short = {i for i, found in told.items() if not found}
    every = [given for found in told.values() for given in found]
    near_ones = {overlap.source for overlap in near.overlaps(every, suites)} if every else set[str]()
    left[SHORT] += len(short)
    left[OVERLAPS] += len(near_ones)
    kept = [row for row in rows if row.id not in short | near_ones]
    return Gathered(kept, +left)


def _compared(row: Row) -> Iterator[Given]:
    """A row as a whole, in which a shorter case is found, and each longer text of it, which a case may be much like.

    Nothing where it is too short as a whole.
    """
    said = texts(row)
    if _words("\n".join(said)) >= near.RUN:
        yield row.id, "\n".join(said)
        yield from ((row.id, text) for text in dict.fromkeys(said) if _words(text) >= near.RUN)


def _words(text: str) -> int:
    """How many words there are at least, as `eval.near` counts them."""
    return sum(any(c.isalpha() for c in word) for word in text.split())
