"""The data sets of the warehouse: one model a table says what a good row is.

Every row carries `known_at`, the moment at which it could be known, stored in UTC. Rows are never
changed: a restatement is a new row with a later `known_at`, and a view takes the newest it may see.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    field_validator,
    model_validator,
)

from openoutcry.core.clock import CLOSE, NEW_YORK, AsOf, new_york_date
from openoutcry.core.errors import UsageError
from openoutcry.tools.data.items import Item
from openoutcry.tools.data.occ import instrument


def _moment(value: object) -> object:
    """Read a moment; a bare date is the end of its day in New York. Stored without zone, in UTC.

    So is midnight without a zone, as which Parquet files and data frames hold a date.
    """
    if not isinstance(value, str | date):
        raise ValueError("expected a date or time in ISO form, as 2022-06-30")
    try:
        found = datetime.fromisoformat(value.strip() if isinstance(value, str) else value.isoformat())
        bare = found.tzinfo is None and found.time() == time.min
        return AsOf.parse(found.date() if bare else found).moment.replace(tzinfo=None)
    except OverflowError:
        raise ValueError("expected a date or time between the years 1 and 9999 in UTC") from None
    except (UsageError, ValueError):
        raise ValueError("expected a date or time in ISO form, as 2022-06-30") from None


def _day(value: object) -> object:
    """Accept a timestamp at midnight where a date is meant, as Parquet files often hold one.

    Anything but ISO text is refused: a number would be read as seconds since 1970.
    """
    if not isinstance(value, str | date):
        raise ValueError("expected a date in ISO form, as 2022-06-30")
    try:
        found = datetime.fromisoformat(value.strip() if isinstance(value, str) else value.isoformat())
    except ValueError:
        raise ValueError("expected a date in ISO form, as 2022-06-30") from None
    if found.time() != time.min:
        raise ValueError("expected a date, found a time of day")
    return found.date()


def _number(value: object) -> object:
    """Refuse truth values, which would pass as 0 and 1."""
    if isinstance(value, bool):
        raise ValueError("expected a number, found a truth value")
    return value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


Ticker = Annotated[str, BeforeValidator(_upper), Field(pattern=r"^[A-Z][A-Z0-9.\-]{0,11}$")]
Instrument = Annotated[str, BeforeValidator(instrument)]
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
_DAY = TypeAdapter[date](Day)
Number = Annotated[FiniteFloat, BeforeValidator(_number)]
Price = Annotated[Number, Field(gt=0)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,31}$")]


class DocumentKind(StrEnum):
    """What sort of text a document is."""

    NEWS = "news"
    FILING = "filing"
    RELEASE = "release"
    MACRO = "macro"


class Row(BaseModel):
    """What all rows share. `key` names a fact; two rows of one key differ in `known_at`."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True, populate_by_name=True)
    key: ClassVar[tuple[str, ...]]
    private: ClassVar[tuple[str, ...]] = ()
    known_at: Moment

    @model_validator(mode="before")
    @classmethod
    def _blank_is_missing(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in values.items() if v is not None and v != ""}


def _closed(day: date) -> datetime:
    return datetime.combine(day, CLOSE, NEW_YORK).astimezone(UTC).replace(tzinfo=None)


class PriceRow(Row):
    """A session's prices. `adj_close` is adjusted for splits and dividends up to `adjusted_through`."""

    key = ("ticker", "date")
    ticker: Ticker
    date: Day
    open: Price | None = None
    high: Price | None = None
    low: Price | None = None
    close: Price | None = None
    adj_close: Price | None = None
    volume: Annotated[Number, Field(ge=0)] | None = None
    adjusted_through: Day | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_at_the_close(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("known_at") or not values.get("date"):
            return values
        try:
            closed = _closed(_DAY.validate_python(values["date"]))
        except (ValueError, OverflowError):
            return values | {"known_at": "9999-01-01"}  # the date's own fault is reported
        return values | {"known_at": closed.replace(tzinfo=UTC)}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.close is None and self.adj_close is None:
            raise ValueError("expected close or adj_close, found neither")
        if self.high is not None and self.low is not None and self.high < self.low:
            raise ValueError(f"high {self.high} is under low {self.low}")
        if self.known_at < _closed(self.date):
            raise ValueError(f"known_at {self.known_at} is before the close of {self.date}")
        return self


class FundamentalRow(Row):
    """One item of one quarter (2021Q4) or one fiscal year (2021FY), which may end on the same day, as filed."""

    key = ("ticker", "fiscal_period", "period_end", "item")
    ticker: Ticker
    fiscal_period: Annotated[str, Field(pattern=r"^\d{4}(Q[1-4]|FY)$")]
    period_end: Day
    item: Item
    value: Number
    form: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9\-/]{0,9}$")] = "10-Q"
    known_at: Moment = Field(validation_alias=AliasChoices("known_at", "filed", "filing_date"))

    @model_validator(mode="before")
    @classmethod
    def _years_are_in_10_ks(cls, values: dict[str, Any]) -> dict[str, Any]:
        yearly = str(values.get("fiscal_period")).strip().endswith("FY")
        return values if values.get("form") or not yearly else values | {"form": "10-K"}

    @model_validator(mode="after")
    def _filed_after(self) -> Self:
        filed = new_york_date(self.known_at)
        if filed <= self.period_end:
            raise ValueError(f"filed {filed}, before the period ended on {self.period_end}")
        return self


class DocumentRow(Row):
    """A text. Its words are data, never instruction; models other than the reader never see them."""

    key = ("id",)
    private = ("title", "body", "publisher")
    id: str = ""
    ticker: Ticker | Annotated[str, Field(pattern=r"^\*$")] = "*"
    kind: DocumentKind = DocumentKind.NEWS
    publisher: str = Field("", validation_alias=AliasChoices("publisher", "source"), max_length=200)
    title: str = Field("", max_length=500)
    body: str = Field(validation_alias=AliasChoices("body", "text", "content"), min_length=1, max_length=2_000_000)
    known_at: Moment = Field(
        validation_alias=AliasChoices("known_at", "published", "created_at", "filing_date", "date")
    )

    @field_validator("id", mode="before")
    @classmethod
    def _own_id(cls, _: object) -> str:
        """A document's own id is untrusted text too: ours is made from its content."""
        return ""

    @model_validator(mode="after")
    def _name_by_content(self) -> Self:
        parts = "\x1f".join((self.ticker, self.known_at.isoformat(), self.publisher, self.title, self.body))
        self.id = "doc-" + hashlib.sha256(parts.encode()).hexdigest()[:12]
        return self


class PositionRow(Row):
    """A holding of a book at the end of a day: shares, or contracts of an option; short is negative.

    `ticker` may be the OCC symbol of a listed option, such as AAPL220916P00130000.
    """

    key = ("book", "date", "ticker")
    book: Label = "main"
    date: Day
    ticker: Instrument
    quantity: Number

    @model_validator(mode="before")
    @classmethod
    def _known_that_day(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"known_at": values.get("date"), **{k: v for k, v in values.items() if v not in (None, "")}}

    @model_validator(mode="after")
    def _held_by_then(self) -> Self:
        if new_york_date(self.known_at) < self.date:
            raise ValueError(f"known_at {self.known_at} is before the day of the holding, {self.date}")
        return self


class CompanyRow(Row):
    """A company's common name, taken as known from the start unless told."""

    key = ("ticker",)
    ticker: Ticker
    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z .,&'\-]{0,60}$")]
    known_at: Moment = datetime(1900, 1, 1)  # noqa: DTZ001  # stored moments carry no zone and are UTC


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table: its row model, and the columns by which a file of it is recognised."""

    name: str
    row: type[Row]
    signs: tuple[frozenset[str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold facts, in table order."""
        return tuple(self.row.model_fields)

    @property
    def accepted(self) -> frozenset[str]:
        """Every name under which a file may give a column, with those of wide fundamentals."""
        names = set(self.columns) | {"id"}
        for info in self.row.model_fields.values():
            if isinstance(info.validation_alias, AliasChoices):
                names.update(str(choice) for choice in info.validation_alias.choices)
        return frozenset(names | {str(item) for item in Item} if self.name == "fundamentals" else names)

    @property
    def public(self) -> tuple[str, ...]:
        """The columns that a model may read: no free text."""
        return tuple(c for c in self.columns if c not in self.row.private)


def _signs(*options: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(o.split()) for o in options)


DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        Dataset("prices", PriceRow, _signs("ticker date close", "ticker date adj_close")),
        Dataset(
            "fundamentals",
            FundamentalRow,
            _signs("ticker period_end item value", "ticker period_end revenue", "ticker period_end net_income"),
        ),
        Dataset("documents", DocumentRow, _signs("body", "text", "title content")),
        Dataset("positions", PositionRow, _signs("ticker quantity")),
        Dataset("companies", CompanyRow, _signs("ticker name")),
    )
}


def clocked(name: str, as_of: AsOf, columns: tuple[str, ...] | None = None) -> str:
    """The SELECT that shows table *name* as it was known at *as_of*: the one gate to the stored rows."""
    dataset = DATASETS[name]
    shown = ", ".join(columns or (*dataset.columns, "source"))
    return (
        f"SELECT {shown} FROM vault.{name} WHERE known_at <= {as_of.literal} "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(dataset.row.key)} ORDER BY known_at DESC) = 1"
    )
