"""Situations of statements: accounts that add up, as filed and as restated, whole and with gaps."""

from datetime import date, timedelta

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds import accounts
from openoutcry.eval.worlds.accounts import Year
from openoutcry.eval.worlds.case import Case, Row, Truth, situation
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import named, rows

YEARS = (2019, 2020, 2021)
ENDS = ((3, 31), (6, 30), (9, 30), (12, 31))
START, SESSIONS = date(2020, 12, 15), 340
"""The first session of the prices, and how many follow: the last is 5 April 2022, after the year's filing."""
BALANCES = ("current_assets", "receivables", "property_plant_equipment", "current_liabilities", "long_term_debt")


class Books:
    """A company's made-up accounts: quarters and years, oldest first, and what the market pays for it.

    With *loss* a burden of a third of revenue falls on each quarter of the newest year.
    """

    def __init__(self, rng: np.random.Generator, *, loss: bool = False) -> None:
        self.shares = float(rng.integers(80, 900)) * 1e6
        sales = _sales(rng)
        burdens = [0.35 if loss and place >= 8 else 0.0 for place in range(len(sales))]
        self.quarters = [self._quarter(rng, *pair) for pair in zip(sales, burdens, strict=True)]
        self.years = self._years(rng)
        self.returns = rng.normal(3e-4, 0.012, SESSIONS)
        eps = sum(q["eps_diluted"] for q in self.quarters[-4:])
        self.price = float(rng.uniform(9, 35)) * (abs(eps) or 1.0)

    def _quarter(self, rng: np.random.Generator, revenue: float, burden: float) -> Year:
        """What is kept of a quarter's revenue, line by line, in whole hundred thousands."""
        gross, running = _whole(revenue * rng.uniform(0.38, 0.46)), _whole(revenue * rng.uniform(0.16, 0.22))
        operating, interest = gross - running - _whole(burden * revenue), _whole(revenue * 0.012)
        tax = _whole((operating - interest) * 0.21)
        income = operating - interest - tax
        return {
            "revenue": revenue,
            "gross_profit": gross,
            "cost_of_revenue": revenue - gross,
            "selling_general_admin": running,
            "operating_income": operating,
            "interest_expense": interest,
            "pretax_income": operating - interest,
            "income_tax": tax,
            "net_income": income,
            "eps_diluted": round(income / self.shares, 2),
            "shares_diluted": self.shares,
            "depreciation": _whole(revenue * rng.uniform(0.03, 0.05)),
            "operating_cash_flow": _whole(income * rng.uniform(0.8, 1.4)),
        }

    def _years(self, rng: np.random.Generator) -> list[Year]:
        """Flows as the sum of the quarters, balances by themselves; profits are retained, shares issued or bought."""
        found: list[Year] = []
        retained, outstanding = _whole(self.quarters[0]["revenue"] * rng.uniform(0.4, 1.5)), self.shares
        for parts in (self.quarters[start : start + 4] for start in (0, 4, 8)):
            flows = {k: sum(p[k] for p in parts) for k in parts[0] if k not in ("eps_diluted", "shares_diluted")}
            retained += flows["net_income"]
            outstanding = float(round(outstanding * rng.choice([0.98, 1.0, 1.02])))
            own = {
                "eps_diluted": round(flows["net_income"] / self.shares, 2),
                "shares_diluted": self.shares,
                "retained_earnings": retained,
                "shares_outstanding": outstanding,
            }
            found.append({**flows, **_balances(rng, flows["revenue"]), **own})
        return found


def _sales(rng: np.random.Generator) -> list[float]:
    """Revenue of twelve quarters, which grows by the year and breathes with the season."""
    base, season = float(rng.uniform(4e8, 6e9)), 1 + np.array([-0.06, 0.0, -0.02, 0.08]) * rng.uniform(0.3, 1.5)
    years = np.cumprod([1.0, *(1 + rng.uniform(-0.08, 0.22, 2))])
    return [_whole(v) for v in (base * np.outer(years, season).ravel() * rng.uniform(0.98, 1.02, 12)).tolist()]


def _balances(rng: np.random.Generator, sales: float) -> Year:
    """A balance sheet beside a year's *sales*: liabilities and equity add up to the assets."""
    shares = rng.uniform((0.35, 0.1, 0.3, 0.16, 0.15), (0.6, 0.2, 0.6, 0.3, 0.4)).tolist()
    items = {name: _whole(sales * share) for name, share in zip(BALANCES, shares, strict=True)}
    assets = items["current_assets"] + items["property_plant_equipment"] + _whole(sales * 0.25)
    liabilities = items["current_liabilities"] + items["long_term_debt"] + _whole(sales * 0.05)
    return items | {
        "total_assets": assets,
        "total_liabilities": liabilities,
        "total_equity": assets - liabilities,
    }


def _whole(value: float) -> float:
    """In whole hundred thousands of dollars."""
    return float(round(value, -5))


def filings(ticker: str, books: Books) -> list[Row]:
    """A row a quarter and a row a year, each filed some weeks after its end."""
    found = [_row(ticker, f"{YEARS[i // 4]}Q{i % 4 + 1}", _end(i), q) for i, q in enumerate(books.quarters)]
    return [*found, *(_row(ticker, f"{y}FY", date(y, 12, 31), a) for y, a in zip(YEARS, books.years, strict=True))]


def _end(place: int) -> date:
    return date(YEARS[place // 4], *ENDS[place % 4])


def _row(ticker: str, period: str, end: date, items: dict[str, float], filed: date | None = None) -> Row:
    yearly = end.month == 12
    known = filed or end + timedelta(days=58 if yearly else 37)
    return {
        "ticker": ticker,
        "fiscal_period": period,
        "period_end": end.isoformat(),
        "filed": known.isoformat(),
        "form": ("10-K" if yearly else "10-Q") + ("/A" if filed else ""),
        **{name: repr(value) for name, value in items.items()},
    }


def truths(books: Books, close: float) -> dict[str, Truth]:
    """What the newest quarter and the newest year say, by the formulas as published."""
    now, then, year = books.quarters[-1], books.quarters[-5], books.years[-1]
    four = books.quarters[-4:]
    eps, sales = sum(q["eps_diluted"] for q in four), sum(q["revenue"] for q in four)
    return {
        "net_margin": now["net_income"] / now["revenue"],
        "gross_margin_year": year["gross_profit"] / year["revenue"],
        "growth": now["revenue"] / then["revenue"] - 1,
        "growth_year": year["revenue"] / books.years[-2]["revenue"] - 1,
        "income_growth": now["net_income"] / then["net_income"] - 1,
        "eps": eps,
        "pe": close / eps,
        "earnings_yield": eps / close,
        "price_to_sales": close * books.shares / sales,
        "roe": year["net_income"] / year["total_equity"],
        "leverage": year["total_assets"] / year["total_equity"],
        "z": accounts.altman(year, close * year["shares_outstanding"]),
        "f": float(accounts.piotroski(*books.years)),
        "m": accounts.beneish(books.years[-2], year),
        "filed": (date(2021, 12, 31) + timedelta(days=58)).isoformat(),
    }


def _prices(one: Made, books: Books) -> list[Row]:
    return rows(one.ticker, books.returns, books.price, START)


@situation
def filed(rng: np.random.Generator, one: Made) -> Case:
    """Three years of accounts as filed, and prices; with `loss` the newest year made a loss."""
    books = Books(rng, loss=option(one, "loss", default=False))
    made = _prices(one, books)
    return Case(
        rows=named(one, made, fundamentals=filings(one.ticker, books)),
        truths=truths(books, float(made[-1]["close"])),
        as_of=made[-1]["date"],
    )


@situation
def restated(rng: np.random.Generator, one: Made) -> Case:
    """Accounts whose newest quarter is filed again some weeks later, with less revenue and less income."""
    books = Books(rng)
    made, last = _prices(one, books), books.quarters[-1]
    less = float(rng.uniform(0.8, 0.93))
    again = {**last, **{k: _whole(last[k] * less) for k in ("revenue", "gross_profit", "cost_of_revenue")}}
    again["net_income"] = _whole(last["net_income"] * less * 0.9)
    first, second = date(2021, 12, 31) + timedelta(days=58), date(2022, 3, 21)
    new = _row(one.ticker, "2021Q4", date(2021, 12, 31), again, second)
    then = books.quarters[-5]["revenue"]
    return Case(
        rows=named(one, made, fundamentals=[*filings(one.ticker, books), new]),
        truths={
            "before": "2022-03-14",
            "growth_before": last["revenue"] / then - 1,
            "growth_after": again["revenue"] / then - 1,
            "margin_before": last["net_income"] / last["revenue"],
            "margin_after": again["net_income"] / again["revenue"],
            "filed_before": first.isoformat(),
            "filed_after": second.isoformat(),
        },
        as_of=made[-1]["date"],
    )


@situation
def gappy(rng: np.random.Generator, one: Made) -> Case:
    """Accounts in which a quarter of the newest year, the quarter a year before and all annual rows are lacking."""
    books = Books(rng)
    lost = {f"2021Q{int(rng.integers(1, 4))}", "2020Q4"}
    found = [r for r in filings(one.ticker, books) if r["fiscal_period"] not in lost and r["fiscal_period"][-2] == "Q"]
    made = _prices(one, books)
    return Case(
        rows=named(one, made, fundamentals=found),
        truths={"net_margin": truths(books, 1.0)["net_margin"]},
        as_of=made[-1]["date"],
    )


@situation
def unfiled(rng: np.random.Generator, one: Made) -> Case:
    """Prices of a company that has filed nothing."""
    made = _prices(one, Books(rng))
    return Case(rows=named(one, made), truths={"close": float(made[-1]["close"])}, as_of=made[-1]["date"])
