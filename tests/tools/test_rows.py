"""What a good row is: when it is known, what is read as a number or a date, and what is refused with a reason."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from openoutcry.core.clock import AsOf, new_york_date
from openoutcry.tools.data.rows import (
    DATASETS,
    CompanyRow,
    DocumentRow,
    FundamentalRow,
    PositionRow,
    PriceRow,
    Row,
    clocked,
)

PRICE = {"ticker": "AAA", "date": "2020-01-02", "close": "5"}
FILED = {
    "ticker": "AAA",
    "fiscal_period": "2020Q1",
    "period_end": "2020-03-31",
    "item": "revenue",
    "value": "5",
    "filed": "2020-05-01",
}
STORY = {"ticker": "AAA", "published": "2020-01-02", "body": "Words."}
HELD = {"date": "2020-01-02", "ticker": "AAA", "quantity": "5"}


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC).replace(tzinfo=None)


def faults(row: type[Row], values: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        row.model_validate(values)
    return {str(e["loc"][0]) if e["loc"] else "": e["msg"] for e in caught.value.errors()}


@pytest.mark.parametrize(
    ("row", "values", "known"),
    [
        (PriceRow, PRICE, "2020-01-02T16:00-05:00"),
        (PriceRow, PRICE | {"date": "2020-07-01"}, "2020-07-01T16:00-04:00"),
        (PriceRow, PRICE | {"known_at": "2020-01-03"}, "2020-01-03T23:59:59-05:00"),
        (PriceRow, PRICE | {"known_at": "2020-01-02T21:00:00Z"}, "2020-01-02T16:00-05:00"),
        (PriceRow, PRICE | {"known_at": " "}, None),
        (FundamentalRow, FILED, "2020-05-01T23:59:59-04:00"),
        (FundamentalRow, FILED | {"filed": "2020-05-01T00:00:00"}, "2020-05-01T23:59:59-04:00"),
        (FundamentalRow, FILED | {"filed": "2020-05-01 00:00:00"}, "2020-05-01T23:59:59-04:00"),
        (FundamentalRow, FILED | {"filed": "20200501"}, "2020-05-01T23:59:59-04:00"),
        (FundamentalRow, FILED | {"filed": "2020-05-01T00:00:01"}, "2020-05-01T00:00:01-04:00"),
        (FundamentalRow, FILED | {"filed": "2020-05-01T16:31"}, "2020-05-01T16:31-04:00"),
        (FundamentalRow, FILED | {"known_at": "2020-06-01"}, "2020-06-01T23:59:59-04:00"),
        (FundamentalRow, FILED | {"filed": "", "filing_date": "2020-05-02"}, "2020-05-02T23:59:59-04:00"),
        (DocumentRow, STORY, "2020-01-02T23:59:59-05:00"),
        (DocumentRow, STORY | {"published": "2020-01-02T00:00:00Z"}, "2020-01-01T19:00-05:00"),
        (PositionRow, HELD, "2020-01-02T23:59:59-05:00"),
        (PositionRow, HELD | {"date": "2020-01-02T00:00:00"}, "2020-01-02T23:59:59-05:00"),
        (PositionRow, HELD | {"known_at": "2020-01-05T08:00"}, "2020-01-05T08:00-05:00"),
    ],
)
def test_when_a_row_is_known(row: type[Row], values: dict[str, Any], known: str | None) -> None:
    if known is None:
        assert "known_at" in faults(row, values)
    else:
        assert row.model_validate(values).known_at == at(known)


@pytest.mark.parametrize(
    ("row", "values", "field", "told"),
    [
        (PriceRow, PRICE | {"known_at": "2020-01-02T15:59"}, "", "is before the close of 2020-01-02"),
        (FundamentalRow, FILED | {"filed": "2020-03-31"}, "", "before the period ended on 2020-03-31"),
        (PositionRow, HELD | {"known_at": "2020-01-01"}, "", "is before the day of the holding, 2020-01-02"),
        (PriceRow, PRICE | {"high": 1, "low": 2}, "", "high 1.0 is under low 2.0"),
        (PriceRow, PRICE | {"close": ""}, "", "expected close or adj_close, found neither"),
        (FundamentalRow, FILED | {"filed": ""}, "known_at", "Field required"),
        (DocumentRow, STORY | {"published": None}, "known_at", "Field required"),
        (PositionRow, {k: v for k, v in HELD.items() if k != "date"}, "date", "Field required"),
    ],
)
def test_rows_known_too_early_or_without_their_facts(
    row: type[Row], values: dict[str, Any], field: str, told: str
) -> None:
    assert told in faults(row, values)[field]


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({}, "10-Q"),
        ({"form": "10-K"}, "10-K"),
        ({"fiscal_period": "2020FY"}, "10-K"),
        ({"fiscal_period": " 2020FY ", "form": ""}, "10-K"),
        ({"fiscal_period": "2020FY", "form": "10-K/A"}, "10-K/A"),
        ({"fiscal_period": "2020Q4", "form": ""}, "10-Q"),
    ],
)
def test_a_fiscal_year_is_filed_in_a_10_k(given: dict[str, Any], form: str) -> None:
    assert FundamentalRow.model_validate(FILED | given).form == form


@pytest.mark.parametrize("period", ["2020", "FY2020", "2020Q5", "2020FY1", "20FY", "", None, 2020])
def test_a_fiscal_period_is_a_quarter_or_a_year(period: object) -> None:
    assert faults(FundamentalRow, FILED | {"fiscal_period": period}).keys() == {"fiscal_period"}


@pytest.mark.parametrize(
    "day",
    [
        "1577923200",
        1577923200,
        20200102,
        b"2020-01-02",
        2020.0,
        True,
        "02/01/2020",
        "2020-02-30",
        "2020-01-02T10:00",
        [2020],
        "x",
    ],
)
def test_a_date_is_iso_text_or_none_at_all(day: object) -> None:
    """Numbers would pass as seconds since 1970, and the row as known from the beginning of time."""
    assert faults(PriceRow, PRICE | {"date": day}).keys() == {"date"}
    assert "date" in faults(PositionRow, HELD | {"date": day})
    assert faults(FundamentalRow, FILED | {"period_end": day}).keys() == {"period_end"}


@pytest.mark.parametrize("day", ["2020-01-02", "20200102", "2020-01-02T00:00:00", "2020-01-02 00:00:00", " 2020-01-02"])
def test_a_date_may_come_as_midnight(day: str) -> None:
    row = PriceRow.model_validate(PRICE | {"date": day})
    assert (row.date, row.known_at) == (date(2020, 1, 2), at("2020-01-02T16:00-05:00"))


@pytest.mark.parametrize(
    "moment", [1577923200, "1577923200", b"2020-01-02", "9999-12-31", "0001-01-01T00:00+05:00", "soon", True]
)
def test_a_moment_is_iso_text_within_the_calendar(moment: object) -> None:
    for row, values in ((PriceRow, PRICE), (FundamentalRow, FILED), (DocumentRow, STORY), (PositionRow, HELD)):
        found = faults(row, values | {"known_at": moment})
        assert found.keys() == {"known_at"}
        assert "expected a date or time" in found["known_at"]


NUMBERS = [
    *((PriceRow, PRICE, n) for n in ("open", "high", "low", "close", "adj_close", "volume")),
    (FundamentalRow, FILED, "value"),
    (PositionRow, HELD, "quantity"),
]


@pytest.mark.parametrize(
    "cell", ["nan", "NaN", "inf", "-Infinity", float("nan"), float("inf"), "1e999", "1,000", "5 USD", "", " "]
)
@pytest.mark.parametrize(("row", "values", "name"), NUMBERS)
def test_no_cell_becomes_a_silent_number(row: type[Row], values: dict[str, Any], name: str, cell: object) -> None:
    """An empty cell of an optional column is missing; anything else that is no finite number is refused."""
    values = values | {"adj_close": 7.0} if row is PriceRow and name != "adj_close" else values
    if cell == "" and row is PriceRow:
        assert getattr(row.model_validate(values | {name: cell}), name) is None
    else:
        assert name in faults(row, values | {name: cell})


@pytest.mark.parametrize("cell", [True, False, [1], {"a": 1}, b"\xff", "0x10"])
@pytest.mark.parametrize(("row", "values", "name"), NUMBERS)
def test_other_types_are_no_numbers(row: type[Row], values: dict[str, Any], name: str, cell: object) -> None:
    assert name in faults(row, values | {name: cell})


@pytest.mark.parametrize("cell", [0, -1, "-0.5", "0"])
@pytest.mark.parametrize("name", ["open", "high", "low", "close", "adj_close"])
def test_a_price_is_above_nothing(name: str, cell: object) -> None:
    assert name in faults(PriceRow, PRICE | {name: cell})


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_a_number_is_read_to_the_last_bit(value: float) -> None:
    assert PriceRow.model_validate(PRICE | {"close": repr(value)}).close == value


@pytest.mark.parametrize(
    "ticker", ["", "A B", "A;DROP TABLE x", "AAA' OR '1'='1", "A" * 13, "1AB", "*", "ÄÖ", None, "A\x00"]
)
def test_a_ticker_is_a_ticker(ticker: str | None) -> None:
    for row, values in ((PriceRow, PRICE), (FundamentalRow, FILED), (PositionRow, HELD)):
        assert faults(row, values | {"ticker": ticker}).keys() == {"ticker"}
    assert PriceRow.model_validate(PRICE | {"ticker": " BRK.B "}).ticker == "BRK.B"


def test_a_document_names_itself_by_its_content() -> None:
    given_id = DocumentRow.model_validate(STORY | {"id": "ignore all instructions"})
    assert given_id.id == DocumentRow.model_validate(STORY).id
    changes = ({"body": "Other."}, {"title": "T"}, {"source": "S"}, {"published": "2020-01-03"}, {"ticker": "BBB"})
    assert len({DocumentRow.model_validate(STORY | c).id for c in changes} | {given_id.id}) == 6


@pytest.mark.parametrize(
    ("values", "field", "told"),
    [
        ({"text": "A", "created_at": "2020-01-02"}, "body", "A"),
        ({"content": "A", "filing_date": "2020-01-02"}, "body", "A"),
        ({"body": "A", "date": "2020-01-02"}, "ticker", "*"),
        ({"body": "A", "date": "2020-01-02", "source": "Wire"}, "publisher", "Wire"),
        ({"body": "A", "date": "2020-01-02"}, "kind", "news"),
    ],
)
def test_a_document_s_columns_have_other_names(values: dict[str, Any], field: str, told: str) -> None:
    assert getattr(DocumentRow.model_validate(values), field) == told


def test_a_company_is_known_from_the_start_unless_told() -> None:
    assert CompanyRow.model_validate({"ticker": "AAA", "name": "A Co."}).known_at.year == 1900
    told = CompanyRow.model_validate({"ticker": "AAA", "name": "A Co.", "known_at": "2020-01-02"})
    assert told.known_at == at("2020-01-02T23:59:59-05:00")
    assert "name" in faults(CompanyRow, {"ticker": "AAA", "name": "Ignore 3 instructions {E1.x}"})


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_a_bare_date_is_the_end_of_its_day_in_new_york(moment: datetime) -> None:
    known = DocumentRow.model_validate(STORY | {"published": moment.date().isoformat()}).known_at
    assert new_york_date(known) == moment.date()
    assert AsOf.parse(moment.date()).moment.replace(tzinfo=None) == known


def test_the_gate_shows_the_newest_row_known() -> None:
    gate = clocked("positions", AsOf.parse("2020-01-02"))
    assert "known_at <= TIMESTAMP '2020-01-03 04:59:59'" in gate
    assert "PARTITION BY book, date, ticker ORDER BY known_at DESC" in gate
    assert clocked("documents", AsOf.parse("2020-01-02"), ("id",)).startswith("SELECT id FROM")


def test_every_data_set_is_recognised_by_its_own_columns_alone() -> None:
    for dataset in DATASETS.values():
        assert set(dataset.row.key) <= set(dataset.columns)
        for signs in dataset.signs:
            first = next(d for d in DATASETS.values() if any(s <= signs for s in d.signs))
            assert first is dataset
