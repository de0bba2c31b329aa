"""What a situation makes: rows for the warehouse, and what is true of them by construction.

A situation is a function of a generator of random numbers and of what is asked of it, registered by its name with
`@situation`. Its truths come from how the rows were made (a closed form) or from another library; never from a tool
of this house.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from inspect import cleandoc
from typing import Any

import numpy as np

from openoutcry.core.errors import UsageError
from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.options import Asked, Option

MODULES = (
    "prices",
    "paths",
    "books",
    "statements",
    "rivals",
    "written",
    "documents",
    "planted",
    "views",
    "talks",
    "quoted",
)
"""The modules of this folder that register situations."""
Row = dict[str, Any]
Truth = float | str
Situation = Callable[[np.random.Generator, Made], "Case"]
SITUATIONS: dict[str, Situation] = {}


@dataclass(frozen=True, slots=True)
class Case:
    """Rows by data set (prices, fundamentals, documents, positions, companies), in the columns that ingest reads.

    `truths` are what a scenario may expect, by the name that it writes after a dollar sign; `words` fill a question's
    braces; `as_of` is the moment at which it is to be asked.
    """

    rows: Mapping[str, list[Row]]
    truths: Mapping[str, Truth]
    as_of: str
    words: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Described:
    """A situation for a person: what it is about, its options, those of them that are drawn by chance, and a case."""

    about: str
    options: tuple[Option, ...]
    chance: frozenset[str]
    case: Case


def situation(make: Situation) -> Situation:
    """Register *make* under its own name."""
    SITUATIONS[make.__name__] = make
    return make


def made(one: Made) -> Case:
    """The case of *one*: the same, to the byte, whenever it is made.

    Raises UsageError for no such situation, and for options that it does not know or cannot be made with.
    """
    return _made(one)[0]


def described(one: Made, seeds: Sequence[int] = range(2, 6)) -> Described:
    """What the situation of *one* makes and lets one choose. Raises UsageError as `made` does.

    An option is by chance where other *seeds* have other defaults.
    """
    case, known = _made(one)
    others = [_made(one.model_copy(update={"seed": seed, "options": {}}))[1] for seed in seeds]
    chance = frozenset(name for name, o in known.items() if any(other[name].default != o.default for other in others))
    return Described(cleandoc(situations()[one.situation].__doc__ or ""), tuple(known.values()), chance, case)


def _made(one: Made) -> tuple[Case, dict[str, Option]]:
    every = situations()
    if one.situation not in every:
        near = get_close_matches(one.situation, every, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"expected a situation among {', '.join(sorted(every))}; got {one.situation!r}{hint}")
    asked = Asked(one.options)
    try:
        rng = np.random.default_rng([one.seed, _number(one.ticker)])
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            case = every[one.situation](rng, one.model_copy(update={"options": asked}))
        _possible(case)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise UsageError(f"situation {one.situation} cannot be made with {one.options}: {reason}") from None
    if odd := sorted(one.options.keys() - asked.known.keys()):
        known = ", ".join(sorted(asked.known)) or "none"
        raise UsageError(f"situation {one.situation}: there is no option {', '.join(odd)}; there are {known}")
    return replace(case, words={"ticker": one.ticker, "name": one.name, **case.words}), asked.known


def _possible(case: Case) -> None:
    """Raises ValueError where a close is none that a market could have."""
    lowest = min((float(row["close"]) for row in case.rows.get("prices", [])), default=1.0)
    if not lowest > 0:
        raise ValueError(f"its returns lead to a close of {lowest:g}; each must stay above -1")


def situations() -> Mapping[str, Situation]:
    """All situations by name."""
    for module in MODULES:
        import_module(f"openoutcry.eval.worlds.{module}")
    return SITUATIONS


def _number(ticker: str) -> int:
    return int.from_bytes(hashlib.sha256(ticker.encode()).digest()[:8], "big")
