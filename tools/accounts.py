"""A year's statement items and the year's before, for a score: from filings as known, or as a person states them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Figure
from openoutcry.tools.arguments import MAPPED, Measured, Reference, Ticker
from openoutcry.tools.data.items import Item
from openoutcry.tools.data.periods import YEAR, Period, apart, years
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.statements import heading

EBIT, WORKING_CAPITAL, MARKET_VALUE, BEGINNING_ASSETS = "ebit", "working_capital", "market_value", "beginning_assets"
STALE_DAYS = 550
SMALLEST, LARGEST = 1e-12, 1e18
NAMES = (*(str(i) for i in Item), EBIT, WORKING_CAPITAL, MARKET_VALUE, BEGINNING_ASSETS)
ALSO_CALLED: dict[str, str] = {
    **dict.fromkeys(("sales", "net_sales", "revenues"), Item.REVENUE),
    **dict.fromkeys(("cogs", "cost_of_goods_sold", "cost_of_sales"), Item.COST_OF_REVENUE),
    **dict.fromkeys(("sga", "sg_and_a", "sgna"), Item.SELLING_GENERAL_ADMIN),
    **dict.fromkeys(("depreciation_amortization", "depreciation_and_amortization"), Item.DEPRECIATION),
    **dict.fromkeys(("ebt", "pretax_earnings", "earnings_before_tax"), Item.PRETAX_INCOME),
    "interest": Item.INTEREST_EXPENSE,
    "tax": Item.INCOME_TAX,
    **dict.fromkeys(("cfo", "cash_flow_from_operations"), Item.OPERATING_CASH_FLOW),
    **dict.fromkeys(("ppe", "net_ppe"), Item.PROPERTY_PLANT_EQUIPMENT),
    "securities": Item.LONG_TERM_INVESTMENTS,
    **dict.fromkeys(("equity", "book_equity", "shareholders_equity", "book_value_of_equity"), Item.TOTAL_EQUITY),
    "assets": Item.TOTAL_ASSETS,
    "liabilities": Item.TOTAL_LIABILITIES,
    "shares": Item.SHARES_OUTSTANDING,
    **dict.fromkeys(("market_cap", "market_value_of_equity", "market_equity"), MARKET_VALUE),
}
"""Other words for an item, as textbooks have them."""
EbitFrom = Annotated[
    Literal["operating_income", "pretax_plus_interest"],
    Field(description="what EBIT is where no item `ebit` is stated: operating income, or pretax income + interest"),
]
_FOLLOWS: tuple[tuple[str, str, str, int], ...] = (
    (Item.GROSS_PROFIT, Item.REVENUE, Item.COST_OF_REVENUE, -1),
    (Item.TOTAL_LIABILITIES, Item.TOTAL_ASSETS, Item.TOTAL_EQUITY, -1),
    (Item.TOTAL_EQUITY, Item.TOTAL_ASSETS, Item.TOTAL_LIABILITIES, -1),
    (Item.TOTAL_ASSETS, Item.TOTAL_LIABILITIES, Item.TOTAL_EQUITY, 1),
    (WORKING_CAPITAL, Item.CURRENT_ASSETS, Item.CURRENT_LIABILITIES, -1),
    (Item.PRETAX_INCOME, Item.NET_INCOME, Item.INCOME_TAX, 1),
    (EBIT, Item.PRETAX_INCOME, Item.INTEREST_EXPENSE, 1),
    (Item.PRETAX_INCOME, EBIT, Item.INTEREST_EXPENSE, -1),
    (Item.NET_INCOME, Item.PRETAX_INCOME, Item.INCOME_TAX, -1),
)
"""What an item that is not known is made of: one plus or minus another."""


def _named(items: dict[str, float] | None) -> dict[str, float] | None:
    """Items under their own names. Raises ValueError for one that no statement has, or one given twice."""
    if items is None:
        return None
    found: dict[str, float] = {}
    for given, value in items.items():
        name = given.strip().lower().replace(" ", "_").replace("-", "_")
        name = str(ALSO_CALLED.get(name, name))
        if name not in NAMES:
            near = difflib.get_close_matches(name, (*NAMES, *ALSO_CALLED), n=1)
            hint = f"did you mean {near[0]}" if near else f"known are {', '.join(NAMES)}"
            raise ValueError(f"expected statement items, found {given}; {hint}")
        if name in found:
            raise ValueError(f"expected each item once, found {name} twice")
        found[name] = _sized(given, value)
    return found


def _lower(ratios: dict[str, float] | None) -> dict[str, float] | None:
    return None if ratios is None else {k.strip().lower(): _sized(k, v, 0) for k, v in ratios.items()}


def _sized(name: str, value: float, smallest: float = SMALLEST) -> float:
    """The number, if what is made of two such is one as well. Raises ValueError where it is not."""
    if value and not smallest <= abs(value) <= LARGEST:
        raise ValueError(f"expected numbers from {smallest:g} to {LARGEST:g} in size, or 0; {name} is {value:g}")
    return value


Company = Annotated[Ticker | None, Field(description="ticker whose filings are read, in place of items")]
_REFERENCES = Measured(dict[str, Reference] | None)
Items = Annotated[
    dict[str, FiniteFloat] | None,
    MAPPED,
    AfterValidator(_named),
    _REFERENCES,
    Field(description="statement items of the year, in any one currency, in place of a ticker"),
]
Prior = Annotated[
    dict[str, FiniteFloat] | None,
    MAPPED,
    AfterValidator(_named),
    _REFERENCES,
    Field(description="the same items of the year before, beside items"),
]
Ratios = Annotated[dict[str, FiniteFloat] | None, MAPPED, AfterValidator(_lower), _REFERENCES]
FiscalYear = Annotated[
    int | None, Field(ge=1900, le=2200, description="fiscal year of the ticker's filings (newest known)")
]


@dataclass(frozen=True, slots=True)
class Accounts:
    """A year's items with those that follow from them; `of` names the year, `notes` say how an item was made."""

    of: str
    items: Mapping[str, float]
    notes: Mapping[str, str]

    @classmethod
    def made(cls, of: str, items: Mapping[str, float], ebit: EbitFrom) -> Self:
        """Work out what follows: EBIT by *ebit*, gross profit, working capital and the like."""
        known, notes = dict(items), dict[str, str]()
        if EBIT not in known and ebit == "operating_income" and Item.OPERATING_INCOME in known:
            known[EBIT], notes[EBIT] = known[Item.OPERATING_INCOME], "ebit = operating_income"
        for name, a, b, sign in _FOLLOWS:
            if name not in known and a in known and b in known:
                known[name] = known[a] + sign * known[b]
                notes[name] = f"{name} = {a} {'+' if sign > 0 else '-'} {b}"
        return cls(of, known, notes)

    def __getitem__(self, name: str) -> float:
        return self.items[name]

    def __contains__(self, name: str) -> bool:
        return name in self.items

    def above_zero(self, *names: str) -> None:
        """Raise NotComputed where one of these items is not above zero."""
        for name in names:
            if self.items[name] <= 0:
                raise NotComputed(f"needs {name} above zero; that of {self.of} is {self.items[name]:g}")


def require(*wanted: tuple[Accounts, Sequence[str]]) -> None:
    """Raise NotComputed that names every item that is not there, year by year."""
    if any(n not in accounts for accounts, names in wanted for n in names):
        raise lacking(*wanted)


def lacking(*wanted: tuple[Accounts, Sequence[str]]) -> NotComputed:
    """The refusal that names every item that is not there, year by year."""
    told = [
        f"{', '.join(map(_told, absent))} of {accounts.of}"
        for accounts, names in wanted
        if (absent := [str(n) for n in dict.fromkeys(names) if n not in accounts])
    ]
    return NotComputed(f"needs {' and '.join(told)}")


def _told(name: str) -> str:
    """An item's name, with what it could be made of where no filing has it as a line of its own."""
    if name == BEGINNING_ASSETS:
        return "beginning_assets (total_assets a year before; not needed where assets is end)"
    if name == WORKING_CAPITAL:
        return "working_capital (current_assets - current_liabilities)"
    if name == MARKET_VALUE:
        return "market_value (not needed in a variant with book value, such as private)"
    return "ebit (operating_income)" if name == EBIT else name


def over(top: float, bottom: float, what: str) -> float:
    """A ratio. Raises NotComputed where *what* is divided by is zero."""
    if bottom == 0:
        raise NotComputed(f"needs {what} other than zero")
    return top / bottom


@dataclass(frozen=True, slots=True)
class Books:
    """The year and the year before, with what goes into the evidence: whose they are and which rows they came from."""

    latest: Accounts
    before: Accounts
    heading: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    rows: Sequence[Rows] = ()
    missing: Sequence[str] = ()
    period: Period | None = None

    def derived(self, *names: str) -> dict[str, str]:
        """The convention that says which of these items were worked out from others."""
        notes = [a.notes[n] for n in dict.fromkeys(names) for a in (self.latest, self.before) if n in a.notes]
        return {"derived": "; ".join(dict.fromkeys(notes))} if notes else {}


def books(
    view: View,
    ticker: str | None,
    items: Mapping[str, float] | None,
    prior: Mapping[str, float] | None,
    fiscal_year: int | None = None,
    ebit: EbitFrom = "operating_income",
) -> Books:
    """The accounts of a ticker's fiscal year as known, or those stated. Raises NotComputed unless one is given."""
    one_of(ticker=ticker, items=items)
    if ticker is not None:
        if prior is not None:
            raise NotComputed("needs items beside prior; a ticker's year before is read from its filings")
        return _filed(view, ticker, fiscal_year, ebit)
    if fiscal_year is not None:
        raise NotComputed("needs a ticker beside fiscal_year; stated items are of one year")
    begun = {BEGINNING_ASSETS: prior[Item.TOTAL_ASSETS]} if prior and Item.TOTAL_ASSETS in prior else {}
    now = Accounts.made("the items stated", begun | dict(items or {}), ebit)
    return Books(now, Accounts.made("the prior items stated", prior or {}, ebit))


def one_of(**given: object) -> None:
    """Raise NotComputed unless exactly one of these is given."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise NotComputed(f"needs one of {', '.join(given)}; got {' and '.join(names) or 'none'}")


def _filed(view: View, ticker: str, fiscal_year: int | None, ebit: EbitFrom) -> Books:
    if view is NO_DATA:
        raise NotComputed(f"needs a view of the warehouse to read {ticker}; or state items")
    known, rows = years(view, ticker)
    chosen = known[0] if fiscal_year is None else _of_year(ticker, known, fiscal_year)
    run = [chosen]
    while len(run) < 3 and (before := apart(known, run[-1], YEAR)):
        run.append(before)
    now, before = (_accounts(ticker, run, i, ebit) for i in (0, 1))
    old = fiscal_year is None and (view.as_of.date - chosen.end).days > STALE_DAYS
    note = f"{ticker} fiscal year after {chosen.period}: no annual figures known by {view.as_of}"
    return Books(now, before, heading(ticker, chosen), rows, [note] if old else [], chosen)


def _of_year(ticker: str, known: Sequence[Period], year: int) -> Period:
    found = next((p for p in known if p.period.split()[-1] in (f"{year}FY", f"{year}Q4")), None)
    if found is None:
        raise NotComputed(f"needs fiscal year {year} of {ticker}; known are {', '.join(p.period for p in known)}")
    return found


def _accounts(ticker: str, run: Sequence[Period], place: int, ebit: EbitFrom) -> Accounts:
    """The year at *place* of a run back through the years, with the assets at its beginning."""
    if place >= len(run):
        return Accounts.made(f"the year before {run[-1].period} of {ticker}", {}, ebit)
    items: dict[str, float] = dict(run[place].items)
    if place + 1 < len(run) and Item.TOTAL_ASSETS in run[place + 1].items:
        items[BEGINNING_ASSETS] = run[place + 1].items[Item.TOTAL_ASSETS]
    return Accounts.made(f"{run[place].period} of {ticker}", items, ebit)


def stated_ratios(ratios: Mapping[str, float], wanted: Sequence[str]) -> dict[str, float]:
    """The *wanted* ratios of those stated. Raises NotComputed where one is missing or another is among them."""
    if absent := [n for n in wanted if n not in ratios]:
        raise NotComputed(f"needs {', '.join(absent)} among the ratios; got {', '.join(ratios) or 'none'}")
    if other := [n for n in ratios if n not in wanted]:
        raise NotComputed(f"needs ratios among {', '.join(wanted)}; got {', '.join(other)}")
    return {name: ratios[name] for name in wanted}
