"""Piotroski's F-score: nine signs that a company's finances got better within a year."""

from typing import Annotated, Literal

from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.accounts import (
    BEGINNING_ASSETS,
    Accounts,
    Books,
    Company,
    FiscalYear,
    Items,
    Prior,
    books,
    require,
)
from openoutcry.tools.data.closes import SPLIT_JUMP
from openoutcry.tools.data.items import Item
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, fraction, multiple
from openoutcry.tools.tool import tool

AssetsAt = Annotated[
    Literal["beginning", "average", "end"],
    Field(
        description="the total assets under income, cash flow and sales; with end also under debt, else debt is over "
        "the year's average; all but end need those of the year before, for prior beginning_assets"
    ),
]
UNITS = {
    **dict.fromkeys(("roa", "cfo", "leverage", "gross_margin"), fraction),
    **dict.fromkeys(("current_ratio", "asset_turnover"), multiple),
}
_NEEDED = (
    *(Item.NET_INCOME, Item.TOTAL_ASSETS, Item.LONG_TERM_DEBT, Item.CURRENT_ASSETS, Item.CURRENT_LIABILITIES),
    *(Item.SHARES_OUTSTANDING, Item.GROSS_PROFIT, Item.REVENUE),
)


@tool
def piotroski_f(
    view: View = NO_DATA,
    *,
    ticker: Company = None,
    items: Items = None,
    prior: Prior = None,
    assets: AssetsAt = "beginning",
    fiscal_year: FiscalYear = None,
) -> Evidence:
    """Piotroski F-score (0 to 9): nine signals of profit, debt, liquidity and efficiency against the year before.

    Of a ticker's fiscal year as filed, or of stated items and prior items: net_income, operating_cash_flow (of the
    year alone), total_assets, long_term_debt, current_assets, current_liabilities, shares_outstanding, revenue,
    and gross_profit or cost_of_revenue; in prior also beginning_assets, unless assets is end.

    Signals, each 1 or 0: f_roa, ROA (net income before extraordinary items / assets) above 0; f_cfo, operating
    cash flow above 0; f_delta_roa, ROA rose; f_accrual, cash flow above net income; f_delta_leverage, long-term
    debt / assets fell; f_delta_liquidity, current ratio rose; f_equity_offer, no more shares than a year before;
    f_delta_margin, gross margin rose; f_delta_turnover, revenue / assets rose. What stays the same did not rise.
    Assets are those at the beginning of each year, and under debt the year's average, as in Piotroski (2000),
    Value Investing, Journal of Accounting Research 38. Raises NotComputed for a missing item, for revenue, assets
    or current liabilities not above zero, or where a ticker's share count jumps as in a split.
    """
    found = books(view, ticker, items, prior, fiscal_year)
    _checked(found, assets)
    now, before = found.latest, found.before
    ratios, old = _ratios(now, assets), _ratios(before, assets)
    signals = {
        "f_roa": now[Item.NET_INCOME] > 0,
        "f_cfo": now[Item.OPERATING_CASH_FLOW] > 0,
        "f_delta_roa": ratios["roa"] > old["roa"],
        "f_accrual": now[Item.OPERATING_CASH_FLOW] > now[Item.NET_INCOME],
        "f_delta_leverage": ratios["leverage"] < old["leverage"],
        "f_delta_liquidity": ratios["current_ratio"] > old["current_ratio"],
        "f_equity_offer": now[Item.SHARES_OUTSTANDING] <= before[Item.SHARES_OUTSTANDING],
        "f_delta_margin": ratios["gross_margin"] > old["gross_margin"],
        "f_delta_turnover": ratios["asset_turnover"] > old["asset_turnover"],
    }
    figures = {name: UNITS[name](v) for name, v in ratios.items()}
    figures |= {f"prior_{name}": UNITS[name](v) for name, v in old.items()}
    figures["cfo"] = fraction(now[Item.OPERATING_CASH_FLOW] / _base(now, assets))
    return view.evidence(
        {
            **found.heading,
            "f_score": count(sum(signals.values())),
            **{name: count(sign) for name, sign in signals.items()},
            **figures,
        },
        found.rows,
        conventions={
            "assets": f"of the year's {assets}; under debt {'of its end' if assets == 'end' else 'the average'}",
            "shares": "shares outstanding as filed, not as bought or sold",
            **found.derived(Item.GROSS_PROFIT),
        },
        missing=found.missing,
    )


def _checked(found: Books, assets: AssetsAt) -> None:
    """Raise NotComputed where an item is missing or unfit, or the shares of a ticker are on two counts."""
    begun = [] if assets == "end" else [BEGINNING_ASSETS]
    now, before = found.latest, found.before
    require((now, [*_NEEDED, Item.OPERATING_CASH_FLOW, *begun]), (before, [*_NEEDED, *begun]))
    for accounts in (now, before):
        accounts.above_zero(Item.TOTAL_ASSETS, Item.CURRENT_LIABILITIES, Item.REVENUE, Item.SHARES_OUTSTANDING, *begun)
    few, many = sorted(a[Item.SHARES_OUTSTANDING] for a in (now, before))
    if found.period is not None and many / few > SPLIT_JUMP:
        raise NotComputed(
            f"needs one share count; that of {now.of} is {now[Item.SHARES_OUTSTANDING]:g} after "
            f"{before[Item.SHARES_OUTSTANDING]:g}, as in a split"
        )


def _base(accounts: Accounts, assets: AssetsAt) -> float:
    begun, end = accounts.items.get(BEGINNING_ASSETS, 0.0), accounts[Item.TOTAL_ASSETS]
    return {"beginning": begun, "average": (begun + end) / 2, "end": end}[assets]


def _ratios(accounts: Accounts, assets: AssetsAt) -> dict[str, float]:
    """The six ratios of a year of which the signals compare two."""
    base, under_debt = _base(accounts, assets), _base(accounts, "end" if assets == "end" else "average")
    return {
        "roa": accounts[Item.NET_INCOME] / base,
        "leverage": accounts[Item.LONG_TERM_DEBT] / under_debt,
        "current_ratio": accounts[Item.CURRENT_ASSETS] / accounts[Item.CURRENT_LIABILITIES],
        "gross_margin": accounts[Item.GROSS_PROFIT] / accounts[Item.REVENUE],
        "asset_turnover": accounts[Item.REVENUE] / base,
    }
