"""An option contract in exact years and continuous rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from openoutcry.core.errors import NotComputed

Kind = Literal["call", "put"]
Exercise = Literal["european", "american"]
BarrierType = Literal["down_in", "down_out", "up_in", "up_out"]


@dataclass(frozen=True, slots=True)
class Barrier:
    """A level watched at all times; the rebate of an out is paid on touch, of an in at expiry (QuantLib, Haug)."""

    type: BarrierType
    level: float
    rebate: float = 0.0

    def breached(self, spot: float) -> bool:
        """Whether the spot stands on or beyond the level."""
        return spot <= self.level if self.type.startswith("down") else spot >= self.level


@dataclass(frozen=True, slots=True)
class Option:
    """One option. Rate and dividend yield a year, continuously compounded; dividends are (years, cash)."""

    spot: float
    strike: float
    rate: float
    volatility: float
    years: float
    kind: Kind
    exercise: Exercise = "european"
    dividend_yield: float = 0.0
    dividends: tuple[tuple[float, float], ...] = ()
    barrier: Barrier | None = None

    @property
    def sign(self) -> int:
        """1 for a call, -1 for a put."""
        return 1 if self.kind == "call" else -1

    @property
    def intrinsic(self) -> float:
        """What exercise at once would pay."""
        return max(0.0, self.sign * (self.spot - self.strike))

    @property
    def paid(self) -> float:
        """The present value of the cash dividends until expiry."""
        return math.fsum(cash * math.exp(-self.rate * t) for t, cash in self.dividends)

    @property
    def forward(self) -> float:
        """The forward price of the underlying at expiry."""
        return (self.spot - self.paid) * math.exp((self.rate - self.dividend_yield) * self.years)

    def later(self, step: float) -> "Option":
        """The same contract when *step* years have passed, all else as it is."""
        return replace(
            self,
            years=self.years - step,
            dividends=tuple((t - step, cash) for t, cash in self.dividends),
        )


Pricer = Callable[[Option], float]


def checked(option: Option) -> Option:
    """The option itself. Raises NotComputed for a price, strike, time or volatility that makes no sense."""
    for name, value in (("spot", option.spot), ("strike", option.strike)):
        if value <= 0:
            raise NotComputed(f"needs a {name} above zero; got {value:g}")
    if option.years <= 0:
        raise NotComputed(f"needs an option that has not expired; {option.years:g} years are left")
    if option.volatility < 0:
        raise NotComputed(f"needs a volatility of zero or more; got {option.volatility:g}")
    if option.volatility * math.sqrt(option.years) > 50 or max(abs(option.rate), abs(option.dividend_yield)) > 10:
        raise NotComputed("needs rates and volatility as fractions a year, 0.05 for 5 %; got numbers far beyond")
    if option.paid >= option.spot:
        raise NotComputed(f"needs dividends worth less than the spot; got {option.paid:g} of {option.spot:g}")
    if option.barrier and option.barrier.level <= 0:
        raise NotComputed(f"needs a barrier above zero; got {option.barrier.level:g}")
    return option
