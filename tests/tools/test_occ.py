"""Listed options by their symbol: read, written, and refused in one line."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from openoutcry.tools.data.occ import Contract
from openoutcry.tools.data.rows import PositionRow


def test_the_symbol_of_the_options_clearing_corporation() -> None:
    """The OCC's own example form: root padded to six, year, month, day, side, strike in thousandths."""
    padded = Contract.parse("SPX   141122P00019500")
    assert padded == Contract("SPX", date(2014, 11, 22), "put", 19.5)
    assert padded is not None
    assert padded.symbol == "SPX141122P00019500"
    assert Contract.parse("AAPL") is None


@given(
    root=st.from_regex(r"[A-Z]{1,6}", fullmatch=True),
    day=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    kind=st.sampled_from(["call", "put"]),
    strike=st.integers(1, 99_999_999),
)
def test_a_symbol_reads_back(root: str, day: date, kind: str, strike: int) -> None:
    contract = Contract(root, day, kind, strike / 1000)  # type: ignore[arg-type]  # one of the two kinds
    assert Contract.parse(contract.symbol) == contract


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("AAPL221316P00130000", "expected an OCC symbol with a day that there is, as AAPL220916P00130000: month must"),
        ("AAPL220916X00130000", "expected a ticker, or an option's OCC symbol as AAPL220916P00130000"),
        ("not one", "expected a ticker, or an option's OCC symbol"),
    ],
)
def test_a_position_that_is_neither(symbol: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PositionRow.model_validate({"date": "2022-06-30", "ticker": symbol, "quantity": 1})
    held = PositionRow.model_validate({"date": "2022-06-30", "ticker": " aapl  220916p00130000", "quantity": -2})
    assert held.ticker == "AAPL220916P00130000"
