"""Scenarios from templates: a situation is made up again and again, and each template asks about each company of it."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, cast

import numpy as np
from pydantic import Field

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.scenario import Bank, Fixture, Made, Name, Scenario, Seat, Text
from openoutcry.eval.worlds.case import Case, made
from openoutcry.eval.worlds.names import companies

BATCH = 10
"""Companies that share a data folder."""
TRUTH = re.compile(r"\$[a-z]\w*")
"""What stands for a truth of a case, by its name."""
MOST = 5000
"""Companies of a situation in a set: all have names of their own."""


class Asked(Frozen):
    """A turn of a template: wordings by set, and what is expected, in which `$name` stands for a truth of the case."""

    dev: tuple[Text, ...] = Field(min_length=1)
    gate: tuple[Text, ...] = Field(min_length=1)
    sealed: tuple[Text, ...] = Field(min_length=1)
    expect: dict[str, Any] = {}


class Template(Frozen):
    """One way of asking about a situation."""

    name: Name
    category: str
    seat: Seat | None = None
    as_of: str = Field(default="", description="empty: as the case has it; or a truth such as $before")
    cast: dict[str, str] = {}
    limits: dict[str, Any] = Field(default={}, description="limits of the book, as the settings name them")
    twin: str = Field(default="", description="the template that asks the same without what is planted in this one")
    turns: tuple[Asked, ...] = Field(min_length=1)


class Situated(Frozen):
    """A situation, how many companies of it each set holds, and what is asked about each."""

    name: Name
    dev: int = Field(ge=0, le=MOST)
    gate: int = Field(ge=0, le=MOST)
    sealed: int = Field(ge=0, le=MOST)
    batch: int = Field(default=BATCH, ge=1, le=100)
    options: dict[str, Any] = Field(default={}, alias="with")
    each: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        default={}, description="options whose values the companies take in turn"
    )
    stream: str = Field(default="", description="tells apart two entries of one situation; empty: its name")
    template: tuple[Template, ...] = Field(min_length=1)

    def count(self, bank: Bank) -> int:
        """Companies in a set."""
        return {"dev": self.dev, "gate": self.gate, "sealed": self.sealed}[bank]


class Templates(Frozen):
    """A file of templates."""

    about: str = ""
    seat: Seat = Seat.DESK
    situation: tuple[Situated, ...] = ()


def expand(name: str, templates: Templates, bank: Bank, rotation: str = "") -> Iterator[Scenario]:
    """The scenarios of a set, in a fixed order. Another *rotation* gives other companies, numbers and wordings.

    Raises UsageError for a truth or a word that the situation does not give.
    """
    counts = [situated.count(bank) for situated in templates.situation]
    names = iter(companies(sum(counts), _seed(f"{name}/{bank}/{rotation}")))
    for situated, count in zip(templates.situation, counts, strict=True):
        stream = f"{name}/{bank}/{rotation}/{situated.stream or situated.name}"
        ones = _ones(situated, bank, stream, list(islice(names, count)))
        cases = [made(one) for one in ones]
        for start in range(0, len(ones), situated.batch):
            batch = ones[start : start + situated.batch]
            fixture = Fixture(made=tuple(batch))
            for one, case in zip(batch, cases[start : start + situated.batch], strict=True):
                yield from _asked(name, templates, situated, (bank, stream), fixture, one, case)


def _ones(situated: Situated, bank: Bank, stream: str, names: Sequence[str]) -> list[Made]:
    """The companies of a situation, by names that no other of the set has, and seeds of their own."""
    return [
        Made.model_validate(
            {
                "situation": situated.name,
                "seed": _seed(f"{stream}/{i}"),
                "ticker": company.upper(),
                "name": company,
                "words": bank,
                "with": {**situated.options, **{k: v[i % len(v)] for k, v in situated.each.items()}},
            }
        )
        for i, company in enumerate(names)
    ]


def _asked(
    name: str,
    templates: Templates,
    situated: Situated,
    named: tuple[Bank, str],
    fixture: Fixture,
    one: Made,
    case: Case,
) -> Iterator[Scenario]:
    bank, stream = named
    place = f"{name}-{bank}-{situated.stream or situated.name}-{one.ticker.lower()}"
    for template in situated.template:
        rng = np.random.default_rng(_seed(f"{stream}/{one.ticker}/{template.name}"))
        where = f"template {template.name} of {name}"
        yield Scenario.model_validate(
            {
                "id": f"{place}-{template.name}",
                "category": template.category,
                "cluster": one.ticker,
                "seat": template.seat or templates.seat,
                "as_of": filled(template.as_of, case, where) or case.as_of,
                "fixture": fixture,
                "turns": [_turn(turn, bank, rng, one, case, where) for turn in template.turns],
                "cast": template.cast,
                "limits": filled(template.limits, case, where),
                "twin": f"{place}-{template.twin}" if template.twin else "",
                "source": f"template {template.name}, situation {situated.name}",
            }
        )


def _turn(turn: Asked, bank: Bank, rng: np.random.Generator, one: Made, case: Case, where: str) -> dict[str, Any]:
    wordings: Sequence[str] = getattr(turn, bank)
    words = {"ticker": one.ticker, "name": one.name, **case.words}
    chosen = wordings[int(rng.integers(len(wordings)))]
    try:
        question = chosen.format_map(words)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"{where}: {chosen!r} needs {error}; the situation gives {', '.join(sorted(words))}") from None
    return {"question": question, "expect": filled(turn.expect, case, where)}


def filled(value: Any, case: Case, where: str) -> Any:
    """*value* with each `$name` in it replaced by the truth or the word of that name. Raises UsageError for others."""
    if isinstance(value, str) and TRUTH.fullmatch(value):
        known: Mapping[str, Any] = {**case.words, **case.truths}
        if value[1:] not in known:
            raise UsageError(f"{where}: there is no truth {value}; there are {', '.join(sorted(known))}")
        return known[value[1:]]
    if isinstance(value, dict):
        return {k: filled(v, case, where) for k, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [filled(v, case, where) for v in cast("list[Any]", value)]
    return value


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
