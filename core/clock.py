"""The one clock: what was known when.

A bare date means the end of that day in New York, for an as-of and for a `known_at` alike, so
"as of 2022-06-30" sees what was published on 30 June 2022 and nothing later.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from openoutcry.core.errors import UsageError

NEW_YORK = ZoneInfo("America/New_York")
CLOSE = time(16, 0)
_LAST = time(23, 59, 59)


def new_york_date(moment: datetime) -> date:
    """The New York calendar date of a stored moment, which is UTC without zone."""
    return moment.replace(tzinfo=UTC).astimezone(NEW_YORK).date()


@dataclass(frozen=True, slots=True, order=True)
class AsOf:
    """A moment in UTC; a run sees only rows known at or before it."""

    moment: datetime

    @classmethod
    def parse(cls, text: "str | date | datetime | AsOf") -> "AsOf":
        """Read `2022-06-30`, `2022-06-30T10:00` (New York) or a time with its own offset.

        Raises UsageError for anything else.
        """
        if isinstance(text, AsOf):
            return text
        if not isinstance(text, str):
            text = text.isoformat()
        try:
            if len(text) == len("2022-06-30"):
                moment = datetime.combine(date.fromisoformat(text), _LAST, NEW_YORK)
            else:
                moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"expected an as-of like 2022-06-30 or 2022-06-30T10:00, got {text!r}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=NEW_YORK)
        return cls(moment.astimezone(UTC))

    @property
    def date(self) -> date:
        """The New York calendar date of the moment."""
        return self.moment.astimezone(NEW_YORK).date()

    @property
    def literal(self) -> str:
        """The moment as a DuckDB TIMESTAMP literal in UTC."""
        return f"TIMESTAMP '{self.moment:%Y-%m-%d %H:%M:%S}'"

    def __str__(self) -> str:
        """The shortest text that `parse` reads back as the same moment."""
        local = self.moment.astimezone(NEW_YORK)
        if local.time() == _LAST:
            return local.date().isoformat()
        return local.strftime("%Y-%m-%dT%H:%M:%S")
