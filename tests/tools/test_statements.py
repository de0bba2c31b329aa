"""Growth, margins and valuation by hand, and the traps where an honest number is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import NotComputed, UnknownTicker, UsageError
from openoutcry.tools.data.view import View
from openoutcry.tools.statements import compound_growth, growth, margins, valuation

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]

QUARTERS = [
    # period, end, filed, revenue, gross, operating, net, eps, shares
    ("2020Q1", "2020-03-31", "2020-05-01", 100.0, 40.0, 20.0, 10.0, 0.10, 100.0),
    ("2020Q2", "2020-06-30", "2020-08-01", 110.0, 44.0, 22.0, 11.0, 0.11, 100.0),
    ("2020Q3", "2020-09-30", "2020-11-01", 120.0, 48.0, 24.0, 12.0, 0.12, 100.0),
    ("2020Q4", "2020-12-31", "2021-02-01", 130.0, 52.0, 26.0, 13.0, 0.13, 100.0),
    ("2021Q1", "2021-03-31", "2021-05-01", 150.0, 75.0, 33.0, 18.0, 0.18, 100.0),
]
NAMES = (
    *("fiscal_period", "period_end", "filed", "revenue", "gross_profit", "operating_income"),
    *("net_income", "eps_diluted", "shares_diluted"),
)


def filed(changes: dict[str, dict[str, Any]] | None = None, ticker: str = "AAA") -> list[Row]:
    """Five quarters in the wide form, with *changes* by fiscal period."""
    rows = [{"ticker": ticker, **dict(zip(NAMES, q, strict=True))} for q in QUARTERS]
    return [row | (changes or {}).get(str(row["fiscal_period"]), {}) for row in rows]


@pytest.fixture(scope="session")
def view(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> Callable[..., View]:
    """A view at 2021-05-28 over prices of 20 dollars since 2020-12-01 and what was filed."""

    def make(changes: dict[str, dict[str, Any]] | None = None, **prices: Any) -> View:
        closes = prices.pop("values", [20.0] * 129)
        rows = [row | prices for row in price_rows("AAA", closes, start="2020-12-01")]
        return view_of(make_home(prices=rows, fundamentals=filed(changes)), "2021-05-28")

    return make


def test_growth_by_hand(view: Callable[..., View]) -> None:
    evidence = growth(view(), "AAA")
    assert evidence.value("revenue_growth") == pytest.approx(0.5)
    assert evidence.value("net_income_growth") == pytest.approx(0.8)
    assert (evidence.value("revenue"), evidence.value("net_income")) == (150, 18)
    shown = {name: evidence.figures[name].value for name in ("period", "year_ago", "period_end", "filed")}
    assert shown == {"period": "2021Q1", "year_ago": "2020Q1", "period_end": "2021-03-31", "filed": "2021-05-01"}
    assert evidence.missing == ()


@pytest.mark.parametrize("change", [{"2021Q1": {"net_income": -1}}, {"2020Q1": {"net_income": -1}}])
def test_growth_of_a_loss_is_no_number(view: Callable[..., View], change: dict[str, Any]) -> None:
    evidence = growth(view(change), "AAA")
    assert "net_income_growth" not in evidence.figures
    assert evidence.missing == ("AAA net_income growth: a loss in 2021Q1 or 2020Q1",)


def test_growth_says_which_item_is_missing(view: Callable[..., View]) -> None:
    evidence = growth(view({"2020Q1": {"net_income": ""}}), "AAA")
    assert evidence.missing == ("AAA net_income of 2021Q1 or 2020Q1: not in the data",)
    with pytest.raises(NotComputed, match="needs revenue of 2021Q1 and 2020Q1 of AAA"):
        growth(view({"2020Q1": {"revenue": 0}}), "AAA")
    with pytest.raises(NotComputed, match="needs the quarter a year before 2021Q1; AAA has 5 quarters"):
        growth(view({"2020Q1": {"period_end": "2019-12-31", "filed": "2020-02-01"}}), "AAA")


def test_margins_by_hand(view: Callable[..., View]) -> None:
    evidence = margins(view(), "AAA")
    expected = {"gross": 0.5, "operating": 0.22, "net": 0.12, "net_change": 0.02}
    assert {name: evidence.value(name) for name in expected} == pytest.approx(expected)
    assert evidence.missing == ()


def test_margins_say_what_is_missing(view: Callable[..., View]) -> None:
    evidence = margins(view({"2021Q1": {"gross_profit": "", "net_income": ""}}), "AAA")
    assert {"operating"} == {"gross", "operating", "net", "net_change"} & evidence.figures.keys()
    assert evidence.missing == (
        "AAA gross_profit of 2021Q1: not in the data",
        "AAA net_income of 2021Q1: not in the data",
    )
    with pytest.raises(NotComputed, match="needs positive revenue of 2021Q1 of AAA"):
        margins(view({"2021Q1": {"revenue": ""}}), "AAA")


def test_no_margin_a_year_ago_without_revenue_then(view: Callable[..., View]) -> None:
    assert "net_change" not in margins(view({"2020Q1": {"revenue": 0}}), "AAA").figures


def test_valuation_by_hand(view: Callable[..., View]) -> None:
    """EPS 0.11 + 0.12 + 0.13 + 0.18 = 0.54 at 20 dollars; sales 510 over 100 shares."""
    evidence = valuation(view(), "AAA")
    expected = {
        "eps": 0.54,
        "pe": 20 / 0.54,
        "earnings_yield": 0.027,
        "market_value": 2000.0,
        "price_to_sales": 2000 / 510,
        "close": 20.0,
    }
    assert {name: evidence.value(name) for name in expected} == pytest.approx(expected)
    assert evidence.missing == ()
    assert evidence.conventions["price"] == "close as traded"


def test_a_loss_has_no_price_to_earnings_and_says_so(view: Callable[..., View]) -> None:
    evidence = valuation(view({"2020Q4": {"eps_diluted": -2.0, "net_income": -200.0}}), "AAA")
    assert "pe" not in evidence.figures
    assert evidence.value("earnings_yield") == pytest.approx((0.41 - 2) / 20)
    assert evidence.missing == ("AAA price to earnings: the last four quarters made a loss",)


@pytest.mark.parametrize("item", ["shares_diluted", "revenue"])
def test_no_price_to_sales_without_shares_or_sales(view: Callable[..., View], item: str) -> None:
    evidence = valuation(view({"2021Q1": {item: ""}}), "AAA")
    assert "price_to_sales" not in evidence.figures
    assert "pe" in evidence.figures
    assert evidence.missing == ("AAA price to sales: diluted shares or revenue of a quarter not in the data",)


def test_sales_that_sum_to_nothing_give_no_ratio(view: Callable[..., View]) -> None:
    changes = {"2021Q1": {"revenue": -360.0}}
    assert "price_to_sales" not in valuation(view(changes), "AAA").figures


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"2021Q1": {"eps_diluted": ""}}, "AAA has 3"),
        ({"2020Q3": {"eps_diluted": ""}}, "AAA has 3"),
        ({"2020Q3": {"period_end": "2020-08-15", "filed": "2020-10-01"}}, "AAA has 2"),
    ],
)
def test_four_consecutive_quarters_or_nothing(view: Callable[..., View], changes: Any, shown: str) -> None:
    with pytest.raises(NotComputed, match=f"needs diluted EPS of four consecutive quarters; {shown}"):
        valuation(view(changes), "AAA")


@pytest.mark.parametrize(
    "changes",
    [
        # As filed: shares double with the split, in the latest quarter and in the middle of the year.
        {"2021Q1": {"shares_diluted": 200.0, "eps_diluted": 0.09}},
        {p: {"shares_diluted": 200.0} for p in ("2020Q4", "2021Q1")},
        # A reverse split.
        {"2021Q1": {"shares_diluted": 10.0, "eps_diluted": 1.8}},
        # Shares not filed: net income over EPS implies them.
        {q[0]: {"shares_diluted": "", "eps_diluted": q[7] / (2 if q[0] > "2020Q3" else 1)} for q in QUARTERS},
    ],
)
def test_a_split_between_the_quarters_is_refused(view: Callable[..., View], changes: Any) -> None:
    with pytest.raises(NotComputed, match=r"needs four quarters on one share count; AAA's jumps within 2020Q2"):
        valuation(view(changes), "AAA")


def test_buybacks_are_no_split(view: Callable[..., View]) -> None:
    shares = {q[0]: {"shares_diluted": 100.0 * 0.8**i} for i, q in enumerate(QUARTERS)}
    assert "pe" in valuation(view(shares), "AAA").figures


@pytest.mark.parametrize("factor", [4.0, 1 / 8])
@pytest.mark.parametrize("after", ["2021-04-01", "2021-05-03", "2021-05-28"])
def test_a_split_after_the_last_quarter_is_refused(
    view: Callable[..., View], price_rows: Rows, factor: float, after: str
) -> None:
    days = [row["date"].isoformat() for row in price_rows("AAA", [1.0] * 129, start="2020-12-01")]
    closes = [20.0 if d < after else 20.0 / factor for d in days]
    with pytest.raises(NotComputed, match=r"needs one share count; the close of AAA jumps on 2021"):
        valuation(view(values=closes), "AAA")


def test_a_split_before_the_last_quarter_ended_is_told_by_the_shares_alone(
    view: Callable[..., View], price_rows: Rows
) -> None:
    days = [row["date"].isoformat() for row in price_rows("AAA", [1.0] * 129, start="2020-12-01")]
    closes = [80.0 if d < "2021-01-15" else 20.0 for d in days]
    assert valuation(view(values=closes), "AAA").value("pe") == pytest.approx(20 / 0.54)


@pytest.mark.parametrize(
    ("through", "fine"),
    [("2022-05-29", True), ("2022-05-30", False), ("2021-05-28", True), ("", False)],
)
def test_closes_adjusted_for_the_far_future_are_refused(view: Callable[..., View], through: str, fine: bool) -> None:
    """The last session is 2021-05-28: 366 days on is 2022-05-29."""
    adjusted = view(close="", adj_close=10.0, adjusted_through=through)
    if fine:
        evidence = valuation(adjusted, "AAA")
        assert evidence.value("pe") == pytest.approx(10 / 0.54)
        note = f"AAA close as traded: taken from the close adjusted for dividends and splits up to {through}"
        assert note in evidence.missing
    else:
        told = f"up to {through or 'an unknown date'}: ingest prices with both"
        with pytest.raises(NotComputed, match=f"needs the close as traded; the closes of AAA .* 2021-05-28, {told}"):
            valuation(adjusted, "AAA")


def test_the_close_as_traded_goes_before_the_adjusted_one(view: Callable[..., View]) -> None:
    evidence = valuation(view(adj_close=5.0, adjusted_through="2030-01-01"), "AAA")
    assert evidence.value("close") == 20


def test_filings_are_known_when_filed_and_not_when_the_period_ended(
    make_home: MakeHome, price_rows: Rows, view_of: ViewOf
) -> None:
    home = make_home(prices=price_rows("AAA", [20.0] * 400), fundamentals=filed())
    seen = {
        "2020-04-15": None,
        "2020-04-30": None,
        "2020-05-01T23:59:58": None,
        "2020-05-01": "2020Q1",
        "2021-04-30": "2020Q4",
        "2021-05-01": "2021Q1",
    }
    for as_of, period in seen.items():
        if period is None:
            with pytest.raises(NotComputed, match="none of AAA is known by"):
                margins(view_of(home, as_of), "AAA")
        else:
            evidence = margins(view_of(home, as_of), "AAA")
            assert evidence.figures["period"].value == period


def test_a_restatement_counts_from_the_day_it_was_filed(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    restated = {"ticker": "AAA", "fiscal_period": "2020Q1", "period_end": "2020-03-31", "filed": "2020-06-15"}
    rows = [*filed()[:2], restated | {"net_income": 5.0}]
    home = make_home(prices=price_rows("AAA", [20.0] * 400), fundamentals=rows)
    before, after = (margins(view_of(home, d), "AAA") for d in ("2020-06-14", "2020-06-15"))
    assert (before.value("net"), before.figures["filed"].value) == (0.10, "2020-05-01")
    assert (after.value("net"), after.figures["filed"].value) == (0.05, "2020-06-15")
    assert after.value("gross") == 0.40


def test_the_label_of_a_quarter_may_be_restated(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    """Two rows of one item and end under two names: the later known counts, with its name."""
    renamed = {"ticker": "AAA", "fiscal_period": "2021Q2", "period_end": "2020-03-31", "filed": "2020-06-15"}
    home = make_home(prices=price_rows("AAA", [20.0] * 400), fundamentals=[filed()[0], renamed | {"net_income": 5.0}])
    for as_of, net, period in (("2020-06-14", 0.10, "2020Q1"), ("2020-06-15", 0.05, "2021Q2")):
        evidence = margins(view_of(home, as_of), "AAA")
        assert (evidence.value("net"), evidence.figures["period"].value) == (net, period)


YEARS = [
    {"ticker": "AAA", "fiscal_period": p, "period_end": end, "filed": known, "revenue": r, "net_income": n}
    for p, end, known, r, n in (
        ("2019FY", "2019-12-31", "2020-02-01", 400.0, 30.0),
        ("2020FY", "2020-12-31", "2021-02-01", 460.0, 46.0),
    )
]


def test_annual_rows_change_no_quarterly_figure(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    """A fiscal year ends on the day of its fourth quarter, and is filed with it."""
    prices = price_rows("AAA", [20.0] * 129, start="2020-12-01")
    apart, mixed = (make_home(prices=prices, fundamentals=[*rows, *filed()]) for rows in ([], YEARS))
    for as_of in ("2021-02-10", "2021-05-28"):
        for tool in (margins, growth, valuation):
            said: list[Any] = []
            for home in (apart, mixed):
                try:
                    said.append(tool(view_of(home, as_of), "AAA"))
                except NotComputed as error:
                    said.append(str(error))
            assert said[0] == said[1]


def test_growth_and_margins_of_a_year(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    home = make_home(prices=price_rows("AAA", [20.0] * 129, start="2020-12-01"), fundamentals=[*filed(), *YEARS])
    view = view_of(home, "2021-05-28")
    evidence = growth(view, "AAA", basis="year")
    shown = {name: evidence.figures[name].value for name in ("period", "year_ago", "period_end", "filed")}
    assert shown == {"period": "2020FY", "year_ago": "2019FY", "period_end": "2020-12-31", "filed": "2021-02-01"}
    assert (evidence.value("revenue_growth"), evidence.value("net_income_growth")) == pytest.approx((0.15, 46 / 30 - 1))
    evidence = margins(view, "AAA", basis="year")
    # The annual row has no gross profit and no operating income: its four quarters have 184 and 92.
    figures = {name: evidence.value(name) for name in ("gross", "operating", "net", "net_change")}
    assert figures == pytest.approx({"gross": 0.4, "operating": 0.2, "net": 0.1, "net_change": 0.025})
    assert evidence.conventions["basis"].startswith("one fiscal year, as filed")


def test_without_annual_rows_a_year_is_the_last_four_quarters(view: Callable[..., View]) -> None:
    evidence = margins(view(), "AAA", basis="year")
    assert evidence.figures["period"].value == "four quarters to 2021Q1"
    assert evidence.value("net") == pytest.approx((11 + 12 + 13 + 18) / (110 + 120 + 130 + 150))
    with pytest.raises(NotComputed, match="needs revenue of four quarters to 2021Q1 and four quarters to 2020Q1"):
        growth(view(), "AAA", basis="year")
    with pytest.raises(NotComputed, match=r"needs the year before four quarters to 2021Q1; AAA has 1 year"):
        growth(view({"2020Q1": {"period_end": "2019-12-31", "filed": "2020-02-01"}}), "AAA", basis="year")
    with pytest.raises(NotComputed, match="needs annual or quarterly figures; none of BBB is known"):
        margins(view(), "BBB", basis="year")


@pytest.mark.parametrize(
    ("begin", "end", "periods", "rate"),
    [
        # Investopedia, "CAGR": 10,000 growing to 19,000 in three years is 23.86 %.
        (10_000, 19_000, 3, 0.2386),
        # Microsoft, RRI function: RRI(96, 10000, 11000) is 0.0009933.
        (10_000, 11_000, 96, 0.0009933),
        (100, 50, 1, -0.5),
        (7, 7, 12, 0.0),
        (1, 4, 0.5, 15.0),
    ],
)
def test_compound_growth(begin: float, end: float, periods: float, rate: float) -> None:
    evidence = compound_growth(begin=begin, end=end, periods=periods)
    assert evidence.value("growth") == pytest.approx(rate, abs=5e-5 if rate > 0.01 else 5e-8)
    assert evidence.value("total_growth") == pytest.approx(end / begin - 1)


def test_growth_that_no_number_holds() -> None:
    for begin, end, periods in ((1e-300, 1e300, 1), (1, 1e10, 1e-3)):
        with pytest.raises(NotComputed, match="needs values that a rate can link"):
            compound_growth(begin=begin, end=end, periods=periods)
    with pytest.raises(UsageError, match="compound_growth: begin"):
        compound_growth(begin=-1, end=2, periods=3)


def test_no_price_or_no_filing(view: Callable[..., View]) -> None:
    with pytest.raises(NotComputed, match=r"none of BBB is known by 2021-05-28: ingest fundamentals"):
        valuation(view(), "BBB")


def test_filings_without_a_price(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> None:
    home = make_home(prices=price_rows("BBB", [20.0] * 400), fundamentals=filed())
    with pytest.raises(UnknownTicker):
        valuation(view_of(home, "2021-05-28"), "AAA")
