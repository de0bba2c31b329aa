"""Sums of money: exact, of one currency, and rounded only where they are shown."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Self

from openoutcry.core.evidence import Frozen

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""Sums and products of prices and counts have fewer digits, so they are exact; a quotient has sixty of them."""
SMALL = 3
"""Significant digits of an amount below one."""


class Money(Frozen):
    """An amount of a currency, such as USD. It may be negative: a difference."""

    amount: Decimal
    currency: str

    def __add__(self, other: Self) -> Self:
        """The sum. Raises ValueError for two currencies: nothing here knows a rate of exchange."""
        return self._with(EXACT.add(self.amount, self._same(other)))

    def __sub__(self, other: Self) -> Self:
        """The difference. Raises ValueError for two currencies."""
        return self._with(EXACT.subtract(self.amount, self._same(other)))

    def times(self, factor: Decimal) -> Self:
        """The amount so many times."""
        return self._with(EXACT.multiply(self.amount, factor))

    def over(self, parts: Decimal) -> Self:
        """One of so many equal parts, to sixty digits. Raises ZeroDivisionError for none."""
        return self._with(EXACT.divide(self.amount, parts))

    def __str__(self) -> str:
        """With its currency: two decimals from one upwards, three significant digits below."""
        size = abs(self.amount)
        places = 2 if not size or size >= 1 else SMALL - 1 - size.adjusted()
        shown = self.amount.quantize(Decimal(1).scaleb(-max(places, 2)), rounding=ROUND_HALF_EVEN, context=EXACT)
        return f"{self.currency} {shown:,f}"

    def _same(self, other: Self) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"expected {self.currency}, got {other.currency}: amounts are never exchanged here")
        return other.amount

    def _with(self, amount: Decimal) -> Self:
        return self.model_copy(update={"amount": amount})


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum of amounts of *currency*; zero of none. Raises ValueError where one is of another."""
    found = Money(amount=Decimal(0), currency=currency)
    for amount in amounts:
        found += amount
    return found
