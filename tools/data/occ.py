"""Listed options by their OCC symbol: AAPL220916P00130000 is a put on AAPL at 130 that ends on 2022-09-16."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal, Self

SHARES = 100
_TICKER = r"[A-Z][A-Z0-9.\-]{0,11}"
_OCC = re.compile(r"([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})")


@dataclass(frozen=True, slots=True)
class Contract:
    """One listed option on SHARES shares; `strike` in USD a share."""

    underlying: str
    expiry: date
    kind: Literal["call", "put"]
    strike: float

    @classmethod
    def parse(cls, symbol: str) -> Self | None:
        """Read an OCC symbol, padded with spaces or not; None where it is not one.

        Raises ValueError for a day that there is not.
        """
        match = _OCC.fullmatch("".join(symbol.upper().split()))
        if match is None:
            return None
        root, year, month, day, side, strike = match.groups()
        expiry = date(2000 + int(year), int(month), int(day))
        return cls(root, expiry, "call" if side == "C" else "put", int(strike) / 1000)

    @property
    def symbol(self) -> str:
        """The symbol without padding."""
        return f"{self.underlying}{self.expiry:%y%m%d}{self.kind[0].upper()}{round(self.strike * 1000):08d}"


def instrument(value: object) -> object:
    """A ticker in capitals, or an option's symbol without its padding. Raises ValueError for neither."""
    if not isinstance(value, str):
        return value
    try:
        contract = Contract.parse(value)
    except ValueError as error:
        raise ValueError(f"expected an OCC symbol with a day that there is, as AAPL220916P00130000: {error}") from None
    found = contract.symbol if contract else value.strip().upper()
    if not contract and not re.fullmatch(_TICKER, found):
        raise ValueError("expected a ticker, or an option's OCC symbol as AAPL220916P00130000")
    return found
