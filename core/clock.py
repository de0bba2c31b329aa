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

        Midnight without an offset is a bare date: data frames and `datetime(2022, 6, 30)` write one so. The
        text of an as-of in the hour that autumn repeats carries its offset. Raises UsageError otherwise.
        """
        if isinstance(text, AsOf):
            return text
        try:
            given = text if isinstance(text, str) else text.isoformat()
            moment = datetime.fromisoformat(given)
            if moment.tzinfo is None and moment.time() == time.min:
                moment = datetime.combine(moment, _LAST)
            return cls((moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)).astimezone(UTC))
        except (ValueError, OverflowError, AttributeError):
            raise UsageError(f"expected an as-of like 2022-06-30 or 2022-06-30T10:00, got {text!r}") from None

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
        plain = local.strftime("%Y-%m-%dT%H:%M:%S")
        bare = local.time() == time.min or AsOf.parse(plain) != self
        return local.isoformat(timespec="seconds") if bare else plain
