"""A zero curve from the prices of bonds and deposits, at times in years."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.compounding import Compounding, continuous
from openoutcry.tools.formulas.times import in_years

Interpolation = Literal["linear_zero", "log_linear_discount"]


@dataclass(frozen=True, slots=True)
class Quote:
    """An instrument of 100 at its time: *coupon* a year paid *frequency* times, worth *price* in cash.

    A price of None is par, 100, of an instrument that starts today: a first period shorter than the others pays
    its part. With a price, every coupon ahead is whole and the price is that with accrued interest.
    """

    years: float
    coupon: float
    price: float | None
    frequency: int

    @property
    def flows(self) -> tuple[list[float], list[float]]:
        """When it pays, and how much."""
        step = 1 / self.frequency
        count = max(1, math.ceil(self.years / step - 1e-9)) if self.coupon else 1
        times = [self.years - k * step for k in range(count - 1, -1, -1)] if self.coupon else [self.years]
        amounts = [100 * self.coupon * step] * count
        if self.price is None:
            amounts[0] = 100 * self.coupon * times[0]
        amounts[-1] += 100
        return times, amounts

    @property
    def cost(self) -> float:
        """What it costs now."""
        return 100.0 if self.price is None else self.price


@dataclass(frozen=True, slots=True)
class Curve:
    """Zero rates, continuously compounded, at knots in years; flat zero rates before the first and after the last."""

    knots: tuple[float, ...]
    zeros: tuple[float, ...]
    interpolation: Interpolation

    def zero(self, years: float) -> float:
        """The continuously compounded zero rate to *years*."""
        if years <= self.knots[0]:
            return self.zeros[0]
        if years >= self.knots[-1]:
            return self.zeros[-1]
        k = next(i for i, t in enumerate(self.knots) if t >= years)
        (t0, t1), (z0, z1) = self.knots[k - 1 : k + 1], self.zeros[k - 1 : k + 1]
        share = (years - t0) / (t1 - t0)
        if self.interpolation == "linear_zero":
            return z0 + share * (z1 - z0)
        return (z0 * t0 + share * (z1 * t1 - z0 * t0)) / years

    def discount(self, years: float) -> float:
        """What 1 at *years* is worth now."""
        return math.exp(-self.zero(years) * years)

    def worth(self, quote: Quote) -> float:
        """The present value of what *quote* pays."""
        return math.fsum(a * self.discount(t) for t, a in zip(*quote.flows, strict=True))

    def forward(self, start: float, end: float) -> float:
        """The continuously compounded forward rate between two times."""
        return (self.zero(end) * end - self.zero(start) * start) / (end - start)

    def par(self, years: float, frequency: int) -> float:
        """The coupon a year at which a bond that starts today is worth par."""
        times, parts = Quote(years, 1.0, None, frequency).flows
        parts[-1] -= 100
        annuity = math.fsum(a * self.discount(t) for t, a in zip(times, parts, strict=True))
        return 100 * (1 - self.discount(years)) / annuity


def bootstrap(quotes: Sequence[Quote], interpolation: Interpolation) -> Curve:
    """The curve that reprices each quote, one knot at its last payment, nearest first (Hull, section 4.7).

    Raises NotComputed for times that do not rise, a price that is not positive, or one that no rate gives.
    """
    optimize: Any = import_module("scipy.optimize")
    ordered = sorted(quotes, key=lambda q: q.years)
    made = Curve((), (), interpolation)
    for quote in ordered:
        if quote.cost <= 0 or quote.years <= 0:
            raise NotComputed(f"needs prices and maturities above zero; got {quote.cost:g} at {quote.years:g} years")
        if made.knots and quote.years - made.knots[-1] < 1e-9:
            raise NotComputed(f"needs each maturity once; got {quote.years:g} twice")

        def with_rate(rate: float, before: Curve = made, quote: Quote = quote) -> Curve:
            return Curve((*before.knots, quote.years), (*before.zeros, rate), interpolation)

        def miss(rate: float, quote: Quote = quote) -> float:
            return with_rate(rate).worth(quote) - quote.cost

        if not miss(-1.0) > 0 > miss(10.0):
            raise NotComputed(
                f"needs a price that a zero rate of -100 % to 1000 % gives; got {quote.cost:g} at {quote.years:g} years"
            )
        made = with_rate(float(optimize.brentq(miss, -1.0, 10.0, xtol=1e-15, rtol=1e-14)))
    return made


def curve_of(
    zeros: Mapping[str, float] | None, way: Compounding, interpolation: Interpolation = "linear_zero"
) -> Curve | None:
    """The curve of zero rates by years. Raises NotComputed for a time that is not a number above zero."""
    if not zeros:
        return None
    found: list[tuple[float, float]] = []
    for key, rate in zeros.items():
        at = in_years(key)
        if not 0 < at < math.inf:
            raise NotComputed(f"needs zero rates by years above zero, such as 0.5=0.05; got {key}")
        found.append((at, continuous(rate, at, way)))
    knots, rates = zip(*sorted(found), strict=True)
    return Curve(knots, rates, interpolation)
