"""A memory: one sentence with figures, who made it from what, and when it became known."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Self

from pydantic import model_validator

from openoutcry.core.evidence import Figure, Frozen, show

FIGURE = re.compile(r"\{M\.([a-z][a-z0-9_]*)\}")
MARKET = "*"


class Kind(StrEnum):
    """What a memory is."""

    FINDING = "finding"
    DECISION = "decision"
    DIGEST = "digest"
    LESSON = "lesson"


class Trust(IntEnum):
    """Whose words the `text` of a memory are, and so what of it a role may be shown.

    Of `DESK` a role sees the claim and the figures; of `READ` too, since both were put together by this desk from a
    reader's closed answer, but never the text; of `UNTRUSTED` it sees nothing.
    """

    UNTRUSTED = 0
    READ = 1
    DESK = 2


class Memory(Frozen):
    """One thing that the desk remembers.

    `claim` is a sentence of the desk in which `{M.var}` stands for the figure `var`; `text` is what is searched and may
    hold a document's own words. `ticker` is one ticker, two of a comparison as `AAPL/MSFT`, `*` for the market, or
    `@book`. `as_of` and `known_at` are UTC without zone: the clock of the run that made it, and the moment from
    which a run may see it. `evidence` are ids within the run, `parents` the ids of the memories and documents that it
    was made from, `source` whom it stems from: a publisher, or `run:<id>`. `details` are the desk's own words by name,
    such as the model of each role.
    """

    id: str = ""
    kind: Kind
    ticker: str
    role: str
    model: str
    run: str
    evidence: tuple[str, ...] = ()
    as_of: datetime
    known_at: datetime
    source: str
    parents: tuple[str, ...] = ()
    trust: Trust
    claim: str
    text: str
    figures: Mapping[str, Figure] = {}
    details: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.id:
            object.__setattr__(self, "id", _identity(self))
        return self

    @property
    def said(self) -> str:
        """The claim with its digits."""
        return FIGURE.sub(lambda m: show(self.figures[m[1]]), self.claim)


def _identity(memory: Memory) -> str:
    """An id made of what is said, of what, by whom and as of when: the same view said twice is one memory.

    A lesson is named by its decision alone, so that no decision is ever scored twice.
    """
    if memory.kind is Kind.LESSON:
        return _hashed([memory.kind, list(memory.parents)])
    figures = {name: [figure.value, figure.unit] for name, figure in memory.figures.items()}
    told: list[object] = [
        memory.kind,
        memory.ticker,
        memory.role,
        memory.model,
        memory.as_of.isoformat(),
        memory.claim,
        figures,
    ]
    if memory.kind is Kind.DIGEST:
        told.append(list(memory.parents))
    return _hashed(told)


def _hashed(told: list[object]) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return f"mem-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
