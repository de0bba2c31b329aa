"""The scenario format: what is asked, of whom, over which data, and what must be true of the answer."""

import hashlib
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen, Unit
from openoutcry.core.limits import NO_LIMITS, Limits
from openoutcry.core.report import Lean

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
TICKER = r"^[A-Z][A-Z0-9.\-]{0,11}$"
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Bank = Literal["dev", "gate", "sealed"]
"""The three sets: dev is open to all, gate is looked at once a candidate, sealed once a quarter."""


def _as_of(value: object) -> str:
    """A moment as `AsOf` writes it; TOML and YAML may give a date. Raises ValueError."""
    try:
        return str(AsOf.parse(value))  # pyright: ignore[reportArgumentType] parse refuses what is no moment
    except UsageError as error:
        raise ValueError(str(error)) from None


Moment = Annotated[str, BeforeValidator(_as_of)]


class Seat(StrEnum):
    """Who is asked: one role by itself, the coordinator over what others found, the whole desk, or a model alone."""

    ANALYST = "analyst"
    SENTIMENT = "sentiment"
    RISK = "risk"
    COORDINATOR = "coordinator"
    DESK = "desk"
    MODEL = "model"


class Made(Frozen):
    """Data made up by a situation of `eval/worlds`, whose figures are known by construction."""

    situation: Name
    seed: int = Field(ge=0, le=2**63 - 1)
    ticker: str = Field(default="KALO", pattern=TICKER)
    name: str = Field(default="Kalo", max_length=60)
    words: Bank = Field(default="dev", description="the bank of sentences that documents are made of")
    options: dict[str, Any] = Field(default={}, alias="with", description="what the situation lets one choose")


class Fixture(Frozen):
    """The data that a scenario stands on: the sample, files beside the scenario, or made-up companies."""

    sample: bool = False
    files: tuple[str, ...] = ()
    made: tuple[Made, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum((self.sample, bool(self.files), bool(self.made))) != 1:
            raise ValueError("expected exactly one of `sample = true`, `files` and `made`")
        for name in self.files:
            if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise ValueError(f"expected files in the folder of the scenario or below it, got {name!r}")
        return self


class FigureExpected(Frozen):
    """A figure that the answer must give. Matched by unit and value among the figures that its sentences cite."""

    name: str = Field(default="", description="the figure's name in its tool, such as var; empty: any")
    tool: str = Field(default="", description="the tool that gave it; empty: any")
    ticker: str = Field(default="", description="the ticker that its tool was asked for; empty: any")
    where: dict[str, Any] = Field(default={}, description="arguments that its tool was called with")
    value: FiniteFloat | str | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    unit: Unit | None = None
    tolerance: float = Field(default=0.0, ge=0, lt=1, description="as a fraction of the value; neither: 1e-6")
    absolute: float = Field(default=0.0, ge=0, description="in the figure's own unit")
    cited: bool = Field(default=True, description="a sentence must cite it; else evidence will do")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        given = [v is not None for v in (self.value, self.low, self.high)]
        if not any(given) or (given[0] and any(given[1:])):
            raise ValueError("expected a `value`, or a `low`, a `high` or both")
        if not isinstance(self.value, float) and (self.tolerance or self.absolute):
            raise ValueError("a tolerance goes with a number as `value`")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class ToolsExpected(Frozen):
    """Tools that must have been called, and such as must not."""

    required: tuple[Name, ...] = ()
    forbidden: tuple[Name, ...] = ()


class Bounds(Frozen):
    """A closed interval of probabilities."""

    low: float = Field(default=0.0, ge=0, le=1)
    high: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Budget(Frozen):
    """The most that an answer may cost."""

    calls: int | None = Field(default=None, ge=0, description="calls of tools")
    tokens: int | None = Field(default=None, ge=0, description="tokens of prompts and answers together")
    seconds: float | None = Field(default=None, gt=0)


class Called(Frozen):
    """A call that a model alone must make: the tool, and for each argument the values that are right."""

    name: str
    arguments: dict[str, tuple[Any, ...]] = {}


class Expect(Frozen):
    """What must be true of an answer; all that is named must hold."""

    figures: tuple[FigureExpected, ...] = ()
    not_cited: tuple[str, ...] = Field(default=(), description="names of figures that no sentence may cite")
    tools: ToolsExpected = ToolsExpected()
    not_computed: tuple[Name, ...] = Field(default=(), description="tools that must have refused honestly")
    direction: tuple[Lean, ...] = Field(default=(), description="directions, one of which must be taken")
    probability: Bounds | None = Field(default=None, description="bounds of the desk's chance of a rise")
    abstain: bool | None = Field(default=None, description="true: it must say no honestly; false: answer")
    contains: tuple[Text, ...] = Field(default=(), description="regular expressions to be found in what is shown")
    not_contains: tuple[Text, ...] = Field(default=(), description="regular expressions that must not")
    not_reached: tuple[Text, ...] = Field(
        default=(), description="words of documents that must reach no prompt but the reader's, nor a sentence"
    )
    calls: tuple[Called, ...] | None = Field(
        default=None, description="of a model alone: the calls to make, in any order"
    )
    rubric: tuple[Text, ...] = Field(default=(), description="statements that a judge must find true of the answer")
    budget: Budget = Budget()


class Turn(Frozen):
    """One question of a conversation, and what must be true of its answer."""

    question: Text
    expect: Expect = Expect()


class Bare(Frozen):
    """A request to a model alone, outside the desk: as public test sets make them."""

    instructions: str = ""
    prompt: str
    tools: tuple[dict[str, Any], ...] = Field(default=(), description="name, description, parameters (JSON Schema)")
    answer: Literal["text", "calls", "worked"] = Field(
        default="text", description="worked: an expression whose value is the answer"
    )


class Cast(StrEnum):
    """How another role of the desk behaves, where a scenario scripts it."""

    SILENT = "silent"  # its model fails
    STRONG_UP = "strong_up"
    STRONG_DOWN = "strong_down"
    OVERCONFIDENT = "overconfident"  # speaks of certainty, without a figure


class Scenario(Frozen):
    """One case. `cluster` names what cases share their luck with: the issuer, or the document."""

    id: Name
    category: Annotated[str, Field(min_length=1, max_length=60)]
    cluster: str = ""
    seat: Seat = Seat.DESK
    as_of: Moment | None = None
    fixture: Fixture = Fixture(sample=True)
    turns: tuple[Turn, ...] = Field(default=(), max_length=12)
    question: str = Field(default="", description="short for one turn, with `expect`")
    expect: Expect = Expect()
    bare: Bare | None = None
    cast: dict[str, Cast] = {}
    limits: Limits = Field(default=NO_LIMITS, description="limits of the book, checked where the desk is asked")
    twin: str = Field(default="", description="id of the same case without what is planted in this one")
    source: str = Field(default="", description="where the case and its expected values come from")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.seat is Seat.MODEL) != (self.bare is not None):
            raise ValueError('seat = "model" and [bare] go together')
        if bool(self.question) + bool(self.turns) + (self.bare is not None) != 1:
            raise ValueError("expected one of `question`, `turns` and `bare`")
        if self.turns and self.expect != Expect():
            raise ValueError("with `turns`, each has its own `expect`")
        if not any(turn.expect != Expect() for turn in self.asked):
            raise ValueError("expects nothing: a case that cannot fail is none")
        return self

    @property
    def asked(self) -> tuple[Turn, ...]:
        """The conversation, turn by turn; of a model alone, its one request."""
        return self.turns or (Turn(question=self.question or "-", expect=self.expect),)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the case is, 16 hex digits."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()[:16]

    @property
    def of(self) -> str:
        """The cluster that it belongs to: by itself where none is named."""
        return self.cluster or self.id
