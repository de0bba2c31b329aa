"""Limits that a book must keep, as set by a person, and the verdict on each."""

from typing import Annotated, Literal

from pydantic import Field

from openoutcry.core.evidence import Frozen

Usd = Annotated[float | None, Field(gt=0)]
Share = Annotated[float | None, Field(gt=0, le=1)]


class Limits(Frozen):
    """At most so much; None where no limit is set. Shares are of the book's gross value, 0.05 is 5 %.

    `gross_value` and `net_value` in USD; `single_position` the largest ticker's share; `value_at_risk` and
    `expected_shortfall` over ten trading days at 99 %, historical; `stress_loss` the worst scenario's.
    """

    gross_value: Usd = Field(default=None, description="USD, sum of absolute market values")
    net_value: Usd = Field(default=None, description="USD, absolute sum of market values")
    single_position: Share = Field(default=None, description="share of gross value in one ticker")
    value_at_risk: Share = Field(default=None, description="share of gross value, 10 days at 99 %, historical")
    expected_shortfall: Share = Field(default=None, description="share of gross value, 10 days at 99 %, historical")
    stress_loss: Share = Field(default=None, description="share of gross value lost in the worst scenario")

    @property
    def set_ones(self) -> dict[str, float]:
        """The limits that are set."""
        return {k: v for k, v in self.model_dump().items() if v is not None}


NO_LIMITS = Limits()


class Verdict(Frozen):
    """Whether one limit is kept. `value`, `bound` and `excess` refer to figures, as `E62.gross_value`.

    `excess` is value less bound: positive by how much the limit is broken, negative by how much it is kept. A
    limit that could not be measured is `unmeasured`, never passed.
    """

    limit: str
    status: Literal["pass", "breach", "unmeasured"]
    value: str = ""
    bound: str = ""
    excess: str = ""
    reason: str = ""
