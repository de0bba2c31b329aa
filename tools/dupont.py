"""The DuPont identity: what a return on equity is made of."""

from collections.abc import Callable
from math import prod
from typing import Annotated, Literal

from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.accounts import (
    EBIT,
    Accounts,
    Books,
    Company,
    EbitFrom,
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
from openoutcry.tools.figures import fraction, multiple
from openoutcry.tools.tool import tool

THREE = ("net_margin", "asset_turnover", "equity_multiplier")
FIVE = ("tax_burden", "interest_burden", "ebit_margin", "asset_turnover", "equity_multiplier")
UNITS: dict[str, Callable[[float], Figure]] = {
    **dict.fromkeys(("roe", "roa", "net_margin", "ebit_margin"), fraction),
    **dict.fromkeys(("tax_burden", "interest_burden"), fraction),
    **dict.fromkeys(("asset_turnover", "equity_multiplier"), multiple),
}
Balances = Annotated[
    Literal["end", "average", "beginning"],
    Field(description="assets and equity at the year's end, its beginning, or the average of both"),
]


@tool
def dupont(
    view: View = NO_DATA,
    *,
    ticker: Company = None,
    items: Items = None,
    prior: Prior = None,
    ratios: Annotated[Ratios, Field(description=f"the factors themselves: {', '.join(THREE)}, or the five")] = None,
    balances: Balances = "end",
    ebit: EbitFrom = "operating_income",
    fiscal_year: FiscalYear = None,
) -> Evidence:
    """DuPont analysis: return on equity as margin, turnover and leverage (three steps), and as five factors.

    Of a ticker's fiscal year as filed, of stated items (net_income, revenue, total_assets, total_equity; for
    five steps also ebit or operating_income, pretax_income), or of the ratios themselves.

    ROE = net_margin * asset_turnover * equity_multiplier, with net_margin = tax_burden (net income / pretax
    income) * interest_burden (pretax income / EBIT) * ebit_margin (EBIT / revenue); ROA = net_margin *
    asset_turnover. `balances` average or beginning need the year before. Five steps are left out, and listed as
    missing, where their items are not known. Raises NotComputed for a missing item, or where revenue, assets or
    equity are not above zero. Source: Bodie, Kane and Marcus, Investments, chapter Financial Statement Analysis.
    """
    one_of(ticker=ticker, items=items, ratios=ratios)
    if ratios is not None:
        given = stated_ratios(ratios, FIVE if "tax_burden" in ratios or "ebit_margin" in ratios else THREE)
        return view.evidence({"roe": fraction(prod(given.values())), **_shown(given | _three(given))})
    found = books(view, ticker, items, prior, fiscal_year, ebit)
    _checked(found, balances)
    parts, missing = _parts(found, balances)
    return view.evidence(
        {**found.heading, **_shown(parts)},
        found.rows,
        conventions={"balances": balances, **found.derived(EBIT, Item.PRETAX_INCOME, Item.NET_INCOME)},
        missing=[*found.missing, *missing],
    )


def _shown(parts: dict[str, float]) -> dict[str, Figure]:
    return {name: UNITS[name](value) for name, value in parts.items()}


def _three(given: dict[str, float]) -> dict[str, float]:
    """Net margin and ROA, which follow from the factors given."""
    margin = given.get("net_margin", prod(given.get(n, 1.0) for n in FIVE[:3]))
    return {"net_margin": margin, "roa": margin * given["asset_turnover"]}


def _checked(found: Books, balances: Balances) -> None:
    """Raise NotComputed unless the three steps can be made."""
    both = (Item.TOTAL_ASSETS, Item.TOTAL_EQUITY)
    if balances == "end":
        require((found.latest, (Item.NET_INCOME, Item.REVENUE, *both)))
    else:
        require((found.latest, (Item.NET_INCOME, Item.REVENUE, *both)), (found.before, both))
    found.latest.above_zero(Item.REVENUE)
    for accounts in (found.latest,) if balances == "end" else (found.latest, found.before):
        accounts.above_zero(*both)


def _parts(found: Books, balances: Balances) -> tuple[dict[str, float], list[str]]:
    now = found.latest
    assets, equity = (_balance(now, found.before, i, balances) for i in (Item.TOTAL_ASSETS, Item.TOTAL_EQUITY))
    revenue, income = now[Item.REVENUE], now[Item.NET_INCOME]
    parts = {
        "roe": income / equity,
        "net_margin": income / revenue,
        "asset_turnover": revenue / assets,
        "equity_multiplier": assets / equity,
        "roa": income / assets,
    }
    try:
        require((now, (EBIT, Item.PRETAX_INCOME)))
        parts |= {
            "tax_burden": over(income, now[Item.PRETAX_INCOME], "pretax_income"),
            "interest_burden": over(now[Item.PRETAX_INCOME], now[EBIT], "ebit"),
            "ebit_margin": now[EBIT] / revenue,
        }
    except NotComputed as error:
        return parts, [f"five steps: {error}"]
    return parts, []


def _balance(now: Accounts, before: Accounts, item: str, balances: Balances) -> float:
    if balances == "end":
        return now[item]
    return before[item] if balances == "beginning" else (now[item] + before[item]) / 2
