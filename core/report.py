"""The nouns of a run: a question, what each role found, and the report."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from openoutcry.core.evidence import Evidence, Frozen
from openoutcry.core.limits import Verdict


class Kind(StrEnum):
    """The kinds of question that the desk answers, and the one that it declines."""

    OVERVIEW = "overview"
    RISK = "risk"
    VALUATION = "valuation"
    NEWS = "news"
    COMPARE = "compare"
    BOOK = "book"
    UNKNOWN = "unknown"


class Question(Frozen):
    """What was asked, read into typed parts. `horizon` is in trading days; a question on the book has no ticker.

    `by` says how its kind was found: by its words, or by the nearest of known questions.
    """

    text: str
    kind: Kind
    tickers: tuple[str, ...] = ()
    horizon: int = 10
    confidence: float = 0.99
    by: Literal["words", "nearest"] = "words"


class Lean(StrEnum):
    """A role's direction over the horizon. Code, not the model, turns it into a probability."""

    STRONG_DOWN = "strong_down"
    DOWN = "down"
    NEUTRAL = "neutral"
    UP = "up"
    STRONG_UP = "strong_up"
    NONE = "none"


DEGRADED = "degraded"
"""Where a model's response says why the model of that seat did not give it."""


class StoodIn(Frozen):
    """Somebody else answered in a seat, in whole or in part, and why its own model did not."""

    role: str
    model: str
    answered: str
    reason: str


class Dropped(Frozen):
    """A claim that could not be grounded, and why it was left out."""

    role: str
    claim: str
    reason: str


class NotDone(Frozen):
    """A tool call that gave no number, and why."""

    id: str = ""
    role: str
    tool: str
    asked: str = ""
    ticker: str = ""
    reason: str


class Finding(Frozen):
    """What a role says: claims with references, and a lean."""

    status: Literal["finding"] = "finding"
    role: str
    model: str
    claims: tuple[str, ...]
    lean: Lean = Lean.NONE


class NoFinding(Frozen):
    """An honest no from a role: never a silent neutral."""

    status: Literal["no_finding"] = "no_finding"
    role: str
    model: str
    reason: str


RoleResult = Annotated[Finding | NoFinding, Field(discriminator="status")]


class Report(Frozen):
    """The answer, with everything needed to check it.

    `route` names the model in each seat that was asked; `stood_in` says where another one answered.
    `view` names the evidence that carries the probabilities; `verdicts` say of each limit that is set whether the
    book keeps it, by code and not by any model; `declined` is set when the desk does not
    answer such a question; `timings` are seconds and the only part that a replay may change.
    """

    run: str
    question: Question
    as_of: str
    snapshot: str
    headline: str = ""
    claims: tuple[str, ...] = ()
    findings: tuple[RoleResult, ...] = ()
    view: str = ""
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    not_computed: tuple[NotDone, ...] = ()
    missing: tuple[str, ...] = ()
    declined: str = ""
    notice: str = ""
    route: dict[str, str] = {}
    stood_in: tuple[StoodIn, ...] = ()
    timings: dict[str, float] = {}

    def same_as(self, other: "Report") -> bool:
        """Whether the other report says the same, timings aside."""
        mine, theirs = (r.model_copy(update={"timings": {}}).model_dump_json() for r in (self, other))
        return mine == theirs

    @property
    def silent(self) -> bool:
        """Whether no role said anything and no tool was even tried."""
        return not (self.declined or any(e.id[0] == "E" for e in self.evidence) or self.not_computed)

    @property
    def by_id(self) -> dict[str, Evidence]:
        """The evidence of the run by its id."""
        return {e.id: e for e in self.evidence}
