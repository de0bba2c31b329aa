"""Altman's Z-score: how near a company's balance sheet is to those that went bankrupt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.accounts import (
    EBIT,
    MARKET_VALUE,
    WORKING_CAPITAL,
    Accounts,
    Books,
    Company,
    EbitFrom,
    FiscalYear,
    Items,
    Ratios,
    books,
    lacking,
    one_of,
    require,
    stated_ratios,
)
from openoutcry.tools.arguments import MaybePositive
from openoutcry.tools.data.items import Item
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import count, day, number, per_share, text, usd
from openoutcry.tools.prices import stale
from openoutcry.tools.statements import price_on
from openoutcry.tools.tool import tool


@dataclass(frozen=True, slots=True)
class ZModel:
    """A version of the Z-score: weights of x1 to x4 or x5, a constant, and the edges of its grey zone."""

    weights: tuple[float, ...]
    distress: float
    safe: float
    source: str
    constant: float = 0.0


_DOUBLE_PRIME = (6.56, 3.26, 6.72, 1.05)
Z_MODELS: dict[str, ZModel] = {
    "original": ZModel((1.2, 1.4, 3.3, 0.6, 0.999), 1.81, 2.99, "Altman 1968, public manufacturers"),
    "private": ZModel((0.717, 0.847, 3.107, 0.420, 0.998), 1.23, 2.90, "Altman 1983, Z' for private manufacturers"),
    "non_manufacturing": ZModel(_DOUBLE_PRIME, 1.10, 2.60, "Altman 1995, Z'' for non-manufacturers"),
    "emerging": ZModel(_DOUBLE_PRIME, 4.35, 5.85, "Altman 1995, Z'' for emerging markets, Z'' + 3.25", 3.25),
}
ZVariant = Annotated[
    Literal["original", "private", "non_manufacturing", "emerging"],
    Field(description="original: Z 1968; private: Z' 1983; non_manufacturing: Z''; emerging: Z'' + 3.25"),
]


@tool
def altman_z(
    view: View = NO_DATA,
    *,
    ticker: Company = None,
    items: Items = None,
    ratios: Annotated[
        Ratios, Field(description="x1=..,x2=..,x3=..,x4=..,x5=.. as fractions, in place of items")
    ] = None,
    variant: ZVariant = "original",
    market_value: Annotated[
        MaybePositive, Field(description="market value of equity; if not given, close times shares outstanding")
    ] = None,
    sales_weight: Annotated[
        FiniteFloat | None, Field(description="weight of x5; 0.999 (private 0.998) as published, 1.0 in many books")
    ] = None,
    ebit: EbitFrom = "operating_income",
    fiscal_year: FiscalYear = None,
) -> Evidence:
    """Altman Z-score of bankruptcy risk: five (Z'' four) balance and income ratios, their score and its zone.

    Of a ticker's fiscal year as filed with the newest close, of stated items (working_capital or current_assets
    and current_liabilities, retained_earnings, ebit, market_value or total_equity, total_liabilities, revenue,
    total_assets), or of the ratios themselves.

    x1 working capital / total assets, x2 retained earnings / total assets, x3 EBIT / total assets, x4 equity /
    total liabilities (market value in `original`, book value in the others), x5 sales / total assets.
    original Z = 1.2 x1 + 1.4 x2 + 3.3 x3 + 0.6 x4 + 0.999 x5; distress under 1.81, safe over 2.99.
    private Z' = 0.717 x1 + 0.847 x2 + 3.107 x3 + 0.420 x4 + 0.998 x5; 1.23 and 2.90. non_manufacturing Z'' =
    6.56 x1 + 3.26 x2 + 6.72 x3 + 1.05 x4; 1.10 and 2.60. emerging: 3.25 more, so are its edges.
    Raises NotComputed for a missing item, or where total assets or liabilities are not above zero, and, for the
    market value, as `valuation` does. Source: Altman (2000), Predicting Financial Distress of Companies.
    """
    one_of(ticker=ticker, items=items, ratios=ratios)
    model, weights = Z_MODELS[variant], _weights(variant, sales_weight)
    names = [f"x{i}" for i in range(1, len(weights) + 1)]
    conventions = {"model": model.source, "weights": ", ".join(f"{w:g}" for w in weights)}
    if ratios is not None:
        x = stated_ratios(ratios, names)
        return view.evidence(_scored(model, weights, x), conventions=conventions)
    found = books(view, ticker, items, None, fiscal_year, ebit)
    public = variant == "original"
    if market_value is not None and not public:
        raise NotComputed(f"needs the original model beside market_value; {variant} takes the book value of equity")
    value, figures, rows, notes = _market_value(view, ticker, found, market_value) if public else (None, {}, [], [])
    x = _ratios(found.latest, value, len(weights))
    conventions["x4"] = f"{'market' if public else 'book'} value of equity / total liabilities"
    used = (EBIT, WORKING_CAPITAL, *_BOTTOMS, *([] if public else [Item.TOTAL_EQUITY]))
    return view.evidence(
        {**found.heading, **_scored(model, weights, x), **figures},
        [*found.rows, *rows],
        conventions={**conventions, **found.derived(*used)},
        missing=[*found.missing, *notes],
    )


def _weights(variant: ZVariant, sales_weight: float | None) -> tuple[float, ...]:
    weights = Z_MODELS[variant].weights
    if sales_weight is None:
        return weights
    if len(weights) < 5:
        raise NotComputed(f"needs original or private beside sales_weight; {variant} has no x5")
    return (*weights[:4], sales_weight)


_TOPS = (WORKING_CAPITAL, Item.RETAINED_EARNINGS, EBIT, Item.REVENUE)
_BOTTOMS = (Item.TOTAL_ASSETS, Item.TOTAL_LIABILITIES)


def _ratios(accounts: Accounts, market_value: float | None, many: int) -> dict[str, float]:
    """The ratios x1 to x4 or x5. Raises NotComputed for what is missing."""
    tops = _TOPS[: many - 1]
    require((accounts, [*tops, *_BOTTOMS, *([Item.TOTAL_EQUITY] if market_value is None else [])]))
    accounts.above_zero(*_BOTTOMS)
    over_assets = [accounts[top] / accounts[Item.TOTAL_ASSETS] for top in tops]
    equity = accounts[Item.TOTAL_EQUITY] if market_value is None else market_value
    x4 = equity / accounts[Item.TOTAL_LIABILITIES]
    return {f"x{i}": v for i, v in enumerate([*over_assets[:3], x4, *over_assets[3:]], 1)}


def _scored(model: ZModel, weights: tuple[float, ...], x: Mapping[str, float]) -> dict[str, Figure]:
    z = model.constant + sum(w * v for w, v in zip(weights, x.values(), strict=True))
    zone = "distress" if z < model.distress else "safe" if z > model.safe else "grey"
    return {
        "z": number(z),
        "zone": text(zone),
        **{name: number(v) for name, v in x.items()},
        "distress_below": number(model.distress),
        "safe_above": number(model.safe),
    }


def _market_value(
    view: View, ticker: str | None, found: Books, given: float | None
) -> tuple[float, dict[str, Figure], list[Rows], list[str]]:
    """Market value of equity as given, stated, or of the newest close, with its figures, rows and notes."""
    stated = found.latest.items.get(MARKET_VALUE)
    if given is not None and stated is not None:
        raise NotComputed("needs market_value once; got it as an argument and among the items")
    if value := stated if given is None else given:
        found.latest.above_zero(*([] if stated is None else [MARKET_VALUE]))
        return value, {MARKET_VALUE: usd(value)} if ticker else {}, [], []
    if ticker is None or found.period is None:
        raise lacking((found.latest, [*_TOPS, *_BOTTOMS, MARKET_VALUE]))
    require((found.latest, [*_TOPS, *_BOTTOMS, Item.SHARES_OUTSTANDING]))
    prices, shares = view.prices(ticker), found.latest[Item.SHARES_OUTSTANDING]
    price, notes = price_on(prices, found.period)
    figures = {
        MARKET_VALUE: usd(price * shares),
        "shares": count(shares),
        "close": per_share(price),
        "price_date": day(prices.last_date()),
    }
    return price * shares, figures, [prices.rows], [*stale(view, prices), *notes]
