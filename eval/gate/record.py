"""The record of a look: all that its verdict rests on, as bytes that have one form only."""

import hashlib
import json
from typing import Any, Self

from pydantic import Field, ValidationError

from openoutcry.core import seals
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.gate.judge import Agreement, admitted
from openoutcry.eval.gate.verdict import decide
from openoutcry.eval.scenario import Bank
from openoutcry.eval.terms import Side, Terms, Verdict

FIRST = "0" * 64
"""What the first record names as the hash of the one before."""


class Record(Frozen):
    """One look of the gate. `previous` is the SHA-256 of the record before; times are ISO 8601, UTC.

    The sides are champion, challenger and anchor, with the outcome of every case and epoch.
    """

    number: int = Field(ge=1)
    look: str
    """What the look is known by: the digest of all that was fixed before it began."""
    begun: str
    made: str
    role: str
    challenger: str
    champion: str
    anchor: str
    suite: str
    safety: str
    bank: Bank
    rotation: str
    month: str
    turn: int = Field(ge=1)
    """Which look of the month it was, for its role."""
    alpha: float
    terms: Terms
    detectable: float
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """The names of the stored runs, in which the transcripts lie."""
    environment: dict[str, Any]
    sides: tuple[Side, Side, Side]
    judged: int = 0
    """How many cases had a rubric."""
    judge: Agreement | None = None
    verdict: Verdict
    previous: str

    def settled(self) -> Verdict:
        """The verdict that follows from what the record holds."""
        return settle(self.role, self.terms, self.sides, self.alpha, (self.judged, self.judge))


class Sealed(Frozen):
    """A record as it lies on disk: its hash, and the signature over the hash."""

    hash: str
    record: Record
    signature: str

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Raises DataError where *content* is not, to the byte, the one form of what it holds."""
        try:
            found = cls.model_validate(json.loads(content))
            same = canonical(found) == content
        except (ValidationError, ValueError, RecursionError) as error:
            kind = "not of this version" if isinstance(error, ValidationError) else "not JSON"
            raise DataError(f"it cannot be read as a record: {kind}") from None
        if not same:
            raise DataError("its bytes are not the canonical form of what they say")
        return found


def settle(
    role: str, terms: Terms, sides: tuple[Side, Side, Side], alpha: float, judging: tuple[int, Agreement | None]
) -> Verdict:
    """The verdict over *sides*, and over the judge where cases were judged: *judging* says how many, and by whom."""
    judged, judge = judging
    rivals = {side.models[role]: side.name for side in sides[:2]}
    return decide(terms, *sides, alpha, extra=[admitted(judge, rivals)] if judged else ())


def canonical(value: Frozen) -> bytes:
    """The one form of a value, as `core.seals` has it. Raises ValueError for NaN."""
    return seals.canonical(value.model_dump(mode="json"))


def hashed(record: Record) -> str:
    """SHA-256 of a record's canonical form, 64 hex digits."""
    return hashlib.sha256(canonical(record)).hexdigest()
