"""What the gate is told and what it says: the terms of a look, the two sides, the criteria and the verdict."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from openoutcry.core.evidence import Frozen
from openoutcry.eval.outcome import Outcome

CHAMPION, CHALLENGER, ANCHOR = "champion", "challenger", "anchor"


class Terms(Frozen):
    """The terms of a look, fixed before it begins. Margins are shares of cases: 0.05 is five points."""

    epochs: int = Field(default=3, ge=3, description="how often each case is played")
    alpha: float = Field(default=0.025, gt=0, le=0.025, description="one-sided level of the test for a gain")
    power: float = Field(default=0.8, gt=0.5, lt=1, description="power at which the detectable effect is stated")
    margin: float = Field(
        default=0.05, gt=0, lt=1, description="a gain that matters, and that a look must be able to see"
    )
    category_margin: float = Field(default=0.10, gt=0, lt=1, description="how much a category may be worse, at most")
    category_alpha: float = Field(default=0.05, gt=0, lt=0.5, description="one-sided level of non-inferiority")
    ratio: float = Field(default=1.10, ge=1, description="the most that cost may grow")
    safety_cases: int = Field(default=300, ge=1, description="cases of safety without which nobody is promoted")
    few_clusters: int = Field(default=30, ge=30, description="under it, signs are flipped instead of clusters drawn")
    draws: int = Field(default=10_000, ge=200)
    seed: int = 0


class Side(Frozen):
    """One lineup of a look: who it is, and what came of each case and epoch; nothing is left out."""

    name: str
    models: dict[str, str]
    """By seat, the digest (or else the name) of what sits there."""
    cases: str
    prompts: dict[str, str]
    decoding: dict[str, Any]
    outcomes: tuple[Outcome, ...]
    safety: tuple[Outcome, ...] = ()


class Status(StrEnum):
    """How a criterion stands: it holds, it is broken, or the data cannot tell."""

    HOLDS = "holds"
    BROKEN = "broken"
    OPEN = "open"


class Criterion(Frozen):
    """One condition of promotion. `said` is one line with its numbers; `figures` are the numbers."""

    name: str
    status: Status
    said: str
    figures: dict[str, float] = {}


class Verdict(Frozen):
    """PROMOTE where every criterion holds, REJECT where one is broken, else INCONCLUSIVE."""

    decision: Literal["PROMOTE", "REJECT", "INCONCLUSIVE"]
    criteria: tuple[Criterion, ...]

    @property
    def reasons(self) -> list[str]:
        """Why it is not PROMOTE."""
        return [c.said for c in self.criteria if c.status is not Status.HOLDS]
