"""The items of company statements: what each is, and how four quarters of it make a year."""

from enum import StrEnum


class Item(StrEnum):
    """Statement items, in US dollars unless the name says otherwise, under US GAAP's words.

    Flows are those of the row's own period: one quarter (also of cash flows, which a 10-Q gives from the
    year's start) or, in an annual row, the year. Equity is that of the company's own shareholders, without
    minority interests. Depreciation holds amortization where the filing gives one sum, property is net of
    it, and long-term debt is without the part due within a year.
    """

    REVENUE = "revenue"
    GROSS_PROFIT = "gross_profit"
    OPERATING_INCOME = "operating_income"
    NET_INCOME = "net_income"
    EPS_DILUTED = "eps_diluted"
    SHARES_DILUTED = "shares_diluted"
    TOTAL_ASSETS = "total_assets"
    TOTAL_LIABILITIES = "total_liabilities"
    TOTAL_EQUITY = "total_equity"
    COST_OF_REVENUE = "cost_of_revenue"
    SELLING_GENERAL_ADMIN = "selling_general_admin"
    DEPRECIATION = "depreciation"
    INTEREST_EXPENSE = "interest_expense"
    PRETAX_INCOME = "pretax_income"
    INCOME_TAX = "income_tax"
    OPERATING_CASH_FLOW = "operating_cash_flow"
    CASH = "cash"
    CURRENT_ASSETS = "current_assets"
    RECEIVABLES = "receivables"
    INVENTORY = "inventory"
    PROPERTY_PLANT_EQUIPMENT = "property_plant_equipment"
    LONG_TERM_INVESTMENTS = "long_term_investments"
    CURRENT_LIABILITIES = "current_liabilities"
    CURRENT_LONG_TERM_DEBT = "current_long_term_debt"
    INCOME_TAX_PAYABLE = "income_tax_payable"
    LONG_TERM_DEBT = "long_term_debt"
    RETAINED_EARNINGS = "retained_earnings"
    SHARES_OUTSTANDING = "shares_outstanding"


FLOWS = frozenset(
    {
        *(Item.REVENUE, Item.COST_OF_REVENUE, Item.GROSS_PROFIT, Item.SELLING_GENERAL_ADMIN, Item.OPERATING_INCOME),
        *(Item.INTEREST_EXPENSE, Item.PRETAX_INCOME, Item.INCOME_TAX, Item.NET_INCOME),
        *(Item.DEPRECIATION, Item.OPERATING_CASH_FLOW),
    }
)
"""Items of which four quarters add up to a year."""
A_SHARE = frozenset({Item.EPS_DILUTED, Item.SHARES_DILUTED})
"""Items of which neither the sum nor the last quarter is the year's."""
