"""Scores of annual accounts, by the formulas as their authors published them."""

Year = dict[str, float]


def altman(year: Year, market_value: float) -> float:
    """Z of 1968: working capital, retained earnings, EBIT and sales over assets, market value over liabilities."""
    assets = year["total_assets"]
    return (
        1.2 * (year["current_assets"] - year["current_liabilities"]) / assets
        + 1.4 * year["retained_earnings"] / assets
        + 3.3 * year["operating_income"] / assets
        + 0.6 * market_value / year["total_liabilities"]
        + 0.999 * year["revenue"] / assets
    )


def piotroski(first: Year, before: Year, now: Year) -> int:
    """F of 2000 for *now*: nine signals, with assets at each year's beginning and, under debt, the year's average."""
    old, new = first["total_assets"], before["total_assets"]
    debt = [y["long_term_debt"] / ((a + y["total_assets"]) / 2) for y, a in ((before, old), (now, new))]
    signals = (
        now["net_income"] > 0,
        now["operating_cash_flow"] > 0,
        now["net_income"] / new > before["net_income"] / old,
        now["operating_cash_flow"] > now["net_income"],
        debt[1] < debt[0],
        _current(now) > _current(before),
        now["shares_outstanding"] <= before["shares_outstanding"],
        now["gross_profit"] / now["revenue"] > before["gross_profit"] / before["revenue"],
        now["revenue"] / new > before["revenue"] / old,
    )
    return sum(signals)


def beneish(before: Year, now: Year) -> float:
    """M of 1999 with eight variables, accruals from the cash flow."""

    def change(top: str, bottom: str) -> float:
        return (now[top] / now[bottom]) / (before[top] / before[bottom])

    def soft(year: Year) -> float:
        return 1 - (year["current_assets"] + year["property_plant_equipment"]) / year["total_assets"]

    def worn(year: Year) -> float:
        return year["depreciation"] / (year["depreciation"] + year["property_plant_equipment"])

    def owed(year: Year) -> float:
        return (year["long_term_debt"] + year["current_liabilities"]) / year["total_assets"]

    return (
        -4.84
        + 0.920 * change("receivables", "revenue")
        + 0.528 / change("gross_profit", "revenue")
        + 0.404 * soft(now) / soft(before)
        + 0.892 * now["revenue"] / before["revenue"]
        + 0.115 * worn(before) / worn(now)
        - 0.172 * change("selling_general_admin", "revenue")
        + 4.679 * (now["net_income"] - now["operating_cash_flow"]) / now["total_assets"]
        - 0.327 * owed(now) / owed(before)
    )


def _current(year: Year) -> float:
    return year["current_assets"] / year["current_liabilities"]
