"""Fiscal periods as filed and as known: quarters, and years from annual rows or else from four quarters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from openoutcry.core.clock import new_york_date
from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.items import A_SHARE, FLOWS
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View

Basis = Literal["quarter", "year"]
YEAR = (350, 380)
QUARTER = (70, 125)


@dataclass(frozen=True, slots=True)
class Period:
    """One fiscal period's items, as known; `filed` is when the newest of them became known."""

    period: str
    end: date
    filed: date
    items: dict[str, float]


def quarters(view: View, ticker: str) -> tuple[list[Period], Rows]:
    """Quarters known by now, newest first. Raises NotComputed where there are none."""
    found, rows = _periods(view, ticker, "____Q_")
    if not found:
        raise NotComputed(f"needs quarterly figures; none of {ticker} is known by {view.as_of}: ingest fundamentals")
    return found, rows


def years(view: View, ticker: str) -> tuple[list[Period], list[Rows]]:
    """Fiscal years known by now, newest first; where no annual row is known, runs of four quarters.

    What an annual row lacks is taken from its quarters: flows as their sum, balances from the last.
    Raises NotComputed where neither is known.
    """
    annual, filed = _periods(view, ticker, "____FY")
    parts, quarterly = _periods(view, ticker, "____Q_")
    if not annual and not parts:
        raise NotComputed(
            f"needs annual or quarterly figures; none of {ticker} is known by {view.as_of}: ingest fundamentals"
        )
    made = [_filled(year, parts) for year in annual] or list(_runs(parts))
    return made, [*([filed] if annual else []), *([quarterly] if made != annual else [])]


def periods(view: View, ticker: str, basis: Basis) -> tuple[list[Period], list[Rows]]:
    """Quarters or years, newest first. Raises NotComputed where there are none."""
    if basis == "year":
        return years(view, ticker)
    found, rows = quarters(view, ticker)
    return found, [rows]


def apart(known: Sequence[Period], latest: Period, span: tuple[int, int]) -> Period | None:
    """The period that ended *span* days before *latest*."""
    return next((p for p in known if span[0] <= (latest.end - p.end).days <= span[1]), None)


def four_to(latest: Period, known: Sequence[Period]) -> list[Period]:
    """The quarters of the year that ends with *latest*, newest first; fewer than four where one is not known."""
    run = [latest]
    while len(run) < 4 and (before := apart(known, run[-1], QUARTER)):
        run.append(before)
    return run


def _periods(view: View, ticker: str, pattern: str) -> tuple[list[Period], Rows]:
    """Periods whose name fits the SQL pattern, newest first; of two values of an item the later known counts."""
    rows = view.query(
        "SELECT period_end, fiscal_period, item, value, known_at FROM fundamentals WHERE ticker = ? AND "
        "fiscal_period LIKE ? ORDER BY period_end DESC, known_at, fiscal_period, item",
        [ticker, pattern],
    )
    found: dict[date, Period] = {}
    cells = zip(*(rows.cells(n) for n in ("fiscal_period", "item", "value")), strict=True)
    for end, moment, (period, item, value) in zip(
        rows.days("period_end"), rows.moments("known_at"), cells, strict=True
    ):
        items = found[end].items if end in found else {}
        found[end] = Period(period, end, new_york_date(moment), items | {item: value})
    return list(found.values()), rows


def _filled(year: Period, known: Sequence[Period]) -> Period:
    """The year with what its annual row lacks taken from its quarters."""
    last = next((q for q in known if q.end == year.end), None)
    made = None if last is None else _of_quarters(last, known)
    if made is None or not made.items.keys() - year.items.keys():
        return year
    return replace(year, items=made.items | year.items, filed=max(year.filed, made.filed))


def _runs(known: Sequence[Period]) -> Iterator[Period]:
    """The year of four quarters that ends with the newest, and those before it."""
    last = known[0] if known else None
    while last is not None:
        yield _of_quarters(last, known)
        last = apart(known, last, YEAR)


def _of_quarters(last: Period, known: Sequence[Period]) -> Period:
    """Flows as the sum of four quarters, where all four have them; balances as those of the last."""
    run = four_to(last, known)
    items = {k: v for k, v in last.items.items() if k not in FLOWS | A_SHARE}
    if len(run) == 4:
        items |= {f: sum(q.items[f] for q in run) for f in FLOWS if all(f in q.items for q in run)}
    return Period(f"four quarters to {last.period}", last.end, max(q.filed for q in run), items)
