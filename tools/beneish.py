"""Beneish's M-score: how much a year's accounts look like those of companies that managed their earnings."""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.accounts import (
    Accounts,
    Company,
    FiscalYear,
    Items,
    Prior,
    Ratios,
    books,
    one_of,
    over,
    require,
    stated_ratios,
)
from openoutcry.tools.data.items import Item
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, number, probability
from openoutcry.tools.tool import tool

EIGHT = {
    "dsri": 0.920,
    "gmi": 0.528,
    "aqi": 0.404,
    "sgi": 0.892,
    "depi": 0.115,
    "sgai": -0.172,
    "lvgi": -0.327,
    "tata": 4.679,
}
FIVE = {"dsri": 0.823, "gmi": 0.906, "aqi": 0.593, "sgi": 0.717, "depi": 0.107}
MODELS = {"eight": (-4.84, EIGHT, -1.78), "five": (-6.065, FIVE, -2.22)}
MAY_BE_ONE = ("aqi", "depi", "sgai")
Model = Annotated[
    Literal["eight", "five"], Field(description="eight variables (1999) or five, without SGAI, LVGI and TATA")
]
Accruals = Annotated[
    Literal["cash_flow", "balance_sheet"],
    Field(
        description="TATA from net income less operating cash flow, or (Beneish 1999) from changes in working capital: "
        "items cash, current_long_term_debt, income_tax_payable, depreciation"
    ),
]


@tool
def beneish_m(
    view: View = NO_DATA,
    *,
    ticker: Company = None,
    items: Items = None,
    prior: Prior = None,
    ratios: Annotated[Ratios, Field(description="the indices dsri=..,gmi=..,aqi=.. and so on, themselves")] = None,
    model: Model = "eight",
    accruals: Accruals = "cash_flow",
    securities: Annotated[
        bool, Field(description="count long_term_investments among the hard assets of AQI, as some later texts do")
    ] = False,
    neutral: Annotated[
        bool, Field(description="take AQI, DEPI or SGAI as 1 where their items are missing, as Beneish allows")
    ] = False,
    threshold: Annotated[
        FiniteFloat | None, Field(description="an M above it is flagged; -1.78 for eight variables, -2.22 for five")
    ] = None,
    fiscal_year: FiscalYear = None,
) -> Evidence:
    """Beneish M-score of earnings manipulation: eight indices of a year against the year before, and their score.

    Of a ticker's fiscal year as filed, of stated items and prior items (receivables, revenue, gross_profit or
    cost_of_revenue, current_assets, property_plant_equipment, total_assets, depreciation, selling_general_admin,
    long_term_debt, current_liabilities; net_income and operating_cash_flow), or of the indices themselves.

    dsri receivables / revenue; gmi gross margin of the year before / this year's; aqi 1 - (current assets +
    property) / total assets; sgi revenue; depi depreciation / (depreciation + property) of the year before / this
    year's; sgai selling, general and administrative expense / revenue; lvgi (long-term debt + current
    liabilities) / total assets; each this year's over the year before's where not said otherwise; tata (net income
    - operating cash flow) / total assets. M = -4.84 + 0.920 dsri + 0.528 gmi + 0.404 aqi + 0.892 sgi + 0.115 depi
    - 0.172 sgai + 4.679 tata - 0.327 lvgi; five: -6.065 + 0.823 dsri + 0.906 gmi + 0.593 aqi + 0.717 sgi + 0.107
    depi. `probability` is the standard normal distribution at M (the model is a probit); `manipulator` is 1 above
    the threshold. Raises NotComputed for a missing item, or an index that would divide by zero. Source: Beneish
    (1999), The Detection of Earnings Manipulation, Financial Analysts Journal 55(5).
    """
    one_of(ticker=ticker, items=items, ratios=ratios)
    constant, weights, usual = MODELS[model]
    limit = usual if threshold is None else threshold
    conventions = {"threshold": f"flagged above {limit:g}", "probability": "normal distribution at M"}
    if ratios is not None:
        found = stated_ratios(ratios, list(weights))
        return view.evidence(_scored(constant, weights, found, limit), conventions=conventions)
    both = books(view, ticker, items, prior, fiscal_year)
    wanted = {name: _items(name, accruals, securities=securities) for name in weights}
    ones = [n for n in MAY_BE_ONE if n in weights and neutral and not _known(wanted[n], both.latest, both.before)]
    need = [i for name, parts in wanted.items() if name not in ones for i in parts]
    flows = _FLOWS[accruals] if "tata" in weights else ()
    require((both.latest, [*need, *flows]), (both.before, need))
    hard = [*_HARD, *([Item.LONG_TERM_INVESTMENTS] if securities else [])]
    found = {n: 1.0 if n in ones else _index(n, both.latest, both.before, hard) for n in weights if n != "tata"}
    if "tata" in weights:
        found["tata"] = (_cash_accruals if accruals == "cash_flow" else _sheet_accruals)(both.latest, both.before)
        conventions["tata"] = "from cash flow" if accruals == "cash_flow" else "from the balance sheet"
    return view.evidence(
        {**both.heading, **_scored(constant, weights, found, limit)},
        both.rows,
        conventions={**conventions, **both.derived(*need)},
        missing=[*both.missing, *(f"{n}: taken as 1, its items are not known" for n in ones)],
    )


_HARD = (Item.CURRENT_ASSETS, Item.PROPERTY_PLANT_EQUIPMENT)
_ITEMS: dict[str, tuple[str, ...]] = {
    "dsri": (Item.RECEIVABLES, Item.REVENUE),
    "gmi": (Item.GROSS_PROFIT, Item.REVENUE),
    "aqi": (*_HARD, Item.TOTAL_ASSETS),
    "sgi": (Item.REVENUE,),
    "depi": (Item.DEPRECIATION, Item.PROPERTY_PLANT_EQUIPMENT),
    "sgai": (Item.SELLING_GENERAL_ADMIN, Item.REVENUE),
    "lvgi": (Item.LONG_TERM_DEBT, Item.CURRENT_LIABILITIES, Item.TOTAL_ASSETS),
}
_SHEET = (
    *(Item.CURRENT_ASSETS, Item.CASH, Item.CURRENT_LIABILITIES),
    *(Item.CURRENT_LONG_TERM_DEBT, Item.INCOME_TAX_PAYABLE),
)
_FLOWS = {"cash_flow": (Item.NET_INCOME, Item.OPERATING_CASH_FLOW), "balance_sheet": (Item.DEPRECIATION,)}


def _items(index: str, accruals: Accruals, *, securities: bool) -> Sequence[str]:
    """The items that an index needs of both years."""
    if index == "tata":
        return (Item.TOTAL_ASSETS, *(_SHEET if accruals == "balance_sheet" else ()))
    return (*_ITEMS[index], *([Item.LONG_TERM_INVESTMENTS] if index == "aqi" and securities else []))


def _known(items: Sequence[str], *years: Accounts) -> bool:
    return all(i in accounts for accounts in years for i in items)


def _scored(constant: float, weights: dict[str, float], found: dict[str, float], limit: float) -> dict[str, Figure]:
    m = constant + sum(w * found[n] for n, w in weights.items())
    return {
        "m": number(m),
        "manipulator": count(m > limit),
        "probability": probability(NormalDist().cdf(m)),
        "threshold": number(limit),
        "variables": count(len(weights)),
        **{name: number(found[name]) for name in weights},
    }


def _index(name: str, now: Accounts, before: Accounts, hard: Sequence[str]) -> float:
    """This year's ratio over the year before's; the other way round for the gross margin and the depreciation."""
    top, bottom = (before, now) if name in ("gmi", "depi") else (now, before)
    ratio = _RATIOS[name]
    return over(ratio(top, hard), ratio(bottom, hard), f"the {_WORDS[name]} of {bottom.of}")


def _soft(a: Accounts, hard: Sequence[str]) -> float:
    return 1 - over(sum(a[i] for i in hard), a[Item.TOTAL_ASSETS], f"total_assets of {a.of}")


def _share(a: Accounts, top: str, bottom: str) -> float:
    return over(a[top], a[bottom], f"{bottom} of {a.of}")


def _worn(a: Accounts) -> float:
    base = a[Item.DEPRECIATION] + a[Item.PROPERTY_PLANT_EQUIPMENT]
    return over(a[Item.DEPRECIATION], base, f"depreciation + property_plant_equipment of {a.of}")


def _owed(a: Accounts) -> float:
    return over(a[Item.LONG_TERM_DEBT] + a[Item.CURRENT_LIABILITIES], a[Item.TOTAL_ASSETS], f"total_assets of {a.of}")


_RATIOS: dict[str, Callable[[Accounts, Sequence[str]], float]] = {
    "dsri": lambda a, _: _share(a, Item.RECEIVABLES, Item.REVENUE),
    "gmi": lambda a, _: _share(a, Item.GROSS_PROFIT, Item.REVENUE),
    "aqi": _soft,
    "sgi": lambda a, _: a[Item.REVENUE],
    "depi": lambda a, _: _worn(a),
    "sgai": lambda a, _: _share(a, Item.SELLING_GENERAL_ADMIN, Item.REVENUE),
    "lvgi": lambda a, _: _owed(a),
}
_WORDS = {
    "dsri": "receivables / revenue",
    "gmi": "gross margin",
    "aqi": "share of soft assets",
    "sgi": "revenue",
    "depi": "rate of depreciation",
    "sgai": "selling_general_admin / revenue",
    "lvgi": "leverage",
}


def _cash_accruals(now: Accounts, _: Accounts) -> float:
    gap = now[Item.NET_INCOME] - now[Item.OPERATING_CASH_FLOW]
    return over(gap, now[Item.TOTAL_ASSETS], f"total_assets of {now.of}")


def _sheet_accruals(now: Accounts, before: Accounts) -> float:
    """Change in current assets less cash, less that in current liabilities less debt and tax due, less depreciation."""
    changes = [now[i] - before[i] for i in _SHEET]
    assets, cash, liabilities, debt, tax = changes
    accrued = (assets - cash) - (liabilities - debt - tax) - now[Item.DEPRECIATION]
    return over(accrued, now[Item.TOTAL_ASSETS], f"total_assets of {now.of}")
