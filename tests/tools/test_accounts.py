"""Scores read from filings: which year, known when, made of what, and refused where the data do not carry them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from openoutcry.cli import main
from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.altman import altman_z
from openoutcry.tools.beneish import beneish_m
from openoutcry.tools.data.items import FLOWS
from openoutcry.tools.data.view import View
from openoutcry.tools.dupont import dupont
from openoutcry.tools.piotroski import piotroski_f

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]


def values(evidence: Evidence, *names: str) -> list[Any]:
    return [evidence.figures[n].value for n in names]


GOOD = {
    **{"net_income": 10.0, "operating_cash_flow": 12.0, "total_assets": 100.0, "long_term_debt": 20.0},
    **{"current_assets": 40.0, "current_liabilities": 20.0, "shares_outstanding": 50.0, "revenue": 90.0},
    "gross_profit": 45.0,
}
BAD = {
    **{"net_income": 5.0, "total_assets": 100.0, "long_term_debt": 25.0, "current_assets": 30.0},
    **{"current_liabilities": 20.0, "shares_outstanding": 50.0, "revenue": 80.0, "gross_profit": 30.0},
    "beginning_assets": 100.0,
}


def items_of(view: View, ticker: str, period: str) -> dict[str, float]:
    rows = view.query(
        "SELECT item, value FROM fundamentals WHERE ticker = ? AND fiscal_period = ? ORDER BY item", [ticker, period]
    )
    return dict(zip(rows.cells("item"), rows.cells("value"), strict=True))


def test_scores_of_the_sample_are_those_of_the_items_stated(sample_home: Path, view_of: ViewOf) -> None:
    view = view_of(sample_home, "2022-06-30")
    now, old, older = (items_of(view, "AAPL", f"{y}FY") for y in (2021, 2020, 2019))
    old["beginning_assets"] = older["total_assets"]
    for evidence, stated in (
        (dupont(view, ticker="AAPL"), dupont(items=now)),
        (piotroski_f(view, ticker="AAPL"), piotroski_f(items=now, prior=old)),
        (beneish_m(view, ticker="AAPL"), beneish_m(items=now, prior=old)),
        (altman_z(view, ticker="AAPL", variant="private"), altman_z(items=now, variant="private")),
        (altman_z(view, ticker="AAPL", market_value=2.2e12), altman_z(items=now, market_value=2.2e12)),
    ):
        shown = values(evidence, "ticker", "period", "period_end", "filed")
        assert shown == ["AAPL", "2021FY", "2021-09-25", "2021-10-29"]
        for name, figure in stated.figures.items():
            found = evidence.figures[name].value
            assert found == (figure.value if isinstance(figure.value, str) else pytest.approx(figure.value)), name
        assert evidence.missing == ()
        assert len(evidence.queries) == 1


def test_microsoft_s_fiscal_2021_from_the_sample(sample_home: Path, view_of: ViewOf) -> None:
    """Microsoft's 10-K of fiscal 2021: return on equity 61,271 / 141,988, operating margin 69,916 / 168,088."""
    view = view_of(sample_home, "2022-06-30")
    evidence = dupont(view, ticker="MSFT", balances="average")
    assert evidence.value("roe") == pytest.approx(61_271 / 130_146)
    assert evidence.value("ebit_margin") == pytest.approx(69_916 / 168_088)
    assert dupont(view, ticker="MSFT", fiscal_year=2020).value("roe") == pytest.approx(44_281 / 118_304)
    assert piotroski_f(view, ticker="MSFT").value("f_score") == 8  # the current ratio alone fell
    with pytest.raises(NotComputed, match="needs fiscal year 2018 of MSFT; known are 2021FY, 2020FY, 2019FY"):
        dupont(view, ticker="MSFT", fiscal_year=2018)
    with pytest.raises(NotComputed, match=r"needs beginning_assets .* of 2019FY of MSFT"):
        piotroski_f(view, ticker="MSFT", fiscal_year=2020)


def filed(period: str, end: str, known: str, **items: float) -> Row:
    return {"ticker": "AAA", "fiscal_period": period, "period_end": end, "filed": known, **items}


OLD = {k: v for k, v in BAD.items() if k != "beginning_assets"} | {"total_equity": 40.0, "operating_cash_flow": 6.0}
NEW = GOOD | {"total_equity": 40.0, "total_liabilities": 60.0, "retained_earnings": 30.0, "operating_income": 15.0}
YEARS = [
    filed("2018FY", "2018-12-31", "2019-02-15", **OLD),
    filed("2019FY", "2019-12-31", "2020-02-15", **OLD),
    filed("2020FY", "2020-12-31", "2021-02-15", **NEW),
]
ENDS = ("03-31", "06-30", "09-30", "12-31")
LATE = ("05-01", "08-01", "11-01", "02-15")
QUARTERS = [
    filed(
        f"{y}Q{i + 1}",
        f"{y}-{ENDS[i]}",
        f"{y + (i == 3)}-{LATE[i]}",
        **{k: v / 4 if k in FLOWS else v - (3 - i) for k, v in (NEW if y == 2020 else OLD).items()},
    )
    for y in (2018, 2019, 2020)
    for i in range(4)
]


@pytest.fixture(scope="session")
def filings(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> Callable[..., View]:
    """A view at 2021-05-28 over closes since 2020-06-01 and these fundamentals."""

    def make(rows: list[Row], as_of: str = "2021-05-28", **prices: Any) -> View:
        closes = price_rows("AAA", prices.pop("values", [20.0] * 260), start="2020-06-01")
        return view_of(make_home(prices=[c | prices for c in closes], fundamentals=rows), as_of)

    return make


def test_a_year_counts_from_the_day_it_was_filed_and_so_does_its_restatement(filings: Callable[..., View]) -> None:
    rows = [*YEARS, filed("2020FY", "2020-12-31", "2021-05-10", net_income=-2)]
    for as_of, period, known, income in (
        ("2021-02-14", "2019FY", "2020-02-15", 5),
        ("2021-02-15", "2020FY", "2021-02-15", 10),
        ("2021-05-09", "2020FY", "2021-02-15", 10),
        ("2021-05-10", "2020FY", "2021-05-10", -2),
    ):
        evidence = dupont(filings(rows, as_of), ticker="AAA")
        assert values(evidence, "period", "filed") == [period, known]
        assert evidence.value("roe") == pytest.approx(income / 40)
    evidence = piotroski_f(filings(rows, "2021-05-09"), ticker="AAA")
    assert (evidence.value("f_score"), evidence.value("prior_leverage")) == (9, 0.25)


def test_without_annual_rows_a_year_is_four_quarters(filings: Callable[..., View]) -> None:
    """Flows add up, balances are the last quarter's; the year before ends a year earlier."""
    view, yearly = filings(QUARTERS), filings(YEARS)
    for tool in (dupont, piotroski_f):
        ours, theirs = tool(view, ticker="AAA"), tool(yearly, ticker="AAA")
        assert values(ours, "period", "period_end") == ["four quarters to 2020Q4", "2020-12-31"]
        for name in theirs.figures.keys() - {"period", "filed"}:
            value = theirs.figures[name].value
            assert ours.figures[name].value == (value if isinstance(value, str) else pytest.approx(value)), name
    # A quarter later the four quarters end a quarter later too.
    more = filed("2021Q1", "2021-03-31", "2021-05-01", net_income=4.5, revenue=30.0, total_assets=99, total_equity=44)
    evidence = dupont(filings([*QUARTERS, more]), ticker="AAA")
    assert values(evidence, "period", "filed") == ["four quarters to 2021Q1", "2021-05-01"]
    assert evidence.value("roe") == pytest.approx((3 * 2.5 + 4.5) / 44)
    assert dupont(view, ticker="AAA", fiscal_year=2019).figures["period"].value == "four quarters to 2019Q4"
    with pytest.raises(NotComputed, match="needs net_income, revenue of four quarters to 2020Q4 of AAA"):
        dupont(filings(QUARTERS[-3:]), ticker="AAA")


def test_what_an_annual_row_lacks_is_taken_from_its_quarters(filings: Callable[..., View]) -> None:
    year = filed("2020FY", "2020-12-31", "2021-02-01", total_assets=200.0, total_equity=50.0)
    evidence = dupont(filings([year, *QUARTERS]), ticker="AAA")
    assert values(evidence, "period", "filed") == ["2020FY", "2021-02-15"]
    assert values(evidence, "roe", "equity_multiplier") == pytest.approx([10 / 50, 4])
    assert len(evidence.queries) == 2
    with pytest.raises(NotComputed, match="needs net_income, revenue of 2020FY of AAA"):
        dupont(filings([year, *QUARTERS[:-1]]), ticker="AAA")


def test_an_annual_row_and_the_fourth_quarter_keep_apart(filings: Callable[..., View]) -> None:
    view = filings([*QUARTERS, *YEARS])
    found = view.query("SELECT fiscal_period, value, form, known_at FROM fundamentals WHERE item = 'revenue' "
                       "AND period_end = '2020-12-31' ORDER BY fiscal_period")  # fmt: skip
    assert list(zip(found.cells("fiscal_period"), found.cells("value"), found.cells("form"), strict=True)) == [
        ("2020FY", 90.0, "10-K"),
        ("2020Q4", 22.5, "10-Q"),
    ]


def test_the_market_value_of_a_ticker(filings: Callable[..., View]) -> None:
    """50 shares at 20 dollars: x4 is 1000 / 60."""
    evidence = altman_z(filings(YEARS), ticker="AAA")
    assert values(evidence, "market_value", "shares", "close", "price_date") == [1000, 50, 20, "2021-05-28"]
    x = [0.2, 0.3, 0.15, 1000 / 60, 0.9]
    assert values(evidence, "x1", "x2", "x3", "x4", "x5") == pytest.approx(x)
    weights = (1.2, 1.4, 3.3, 0.6, 0.999)
    assert evidence.value("z") == pytest.approx(sum(w * v for w, v in zip(weights, x, strict=True)))
    assert len(evidence.queries) == 2
    adjusted = filings(YEARS, close="", adj_close=10.0, adjusted_through="2021-06-30")
    evidence = altman_z(adjusted, ticker="AAA")
    assert evidence.value("market_value") == 500
    assert evidence.missing == (
        "AAA close as traded: taken from the close adjusted for dividends and splits up to 2021-06-30",
    )


def test_no_market_value_where_the_price_does_not_fit_the_shares(filings: Callable[..., View]) -> None:
    split = filings(YEARS, values=[20.0] * 200 + [5.0] * 60)
    with pytest.raises(NotComputed, match="needs one share count; the close of AAA jumps on 2021-03-08"):
        altman_z(split, ticker="AAA")
    far = filings(YEARS, close="", adj_close=10.0, adjusted_through="2023-01-01")
    with pytest.raises(NotComputed, match="needs the close as traded; the closes of AAA are adjusted"):
        altman_z(far, ticker="AAA")
    assert altman_z(far, ticker="AAA", market_value=1000).value("x4") == pytest.approx(1000 / 60)
    less = [{k: v for k, v in row.items() if k != "shares_outstanding"} for row in YEARS]
    with pytest.raises(NotComputed, match="needs shares_outstanding of 2020FY of AAA"):
        altman_z(filings(less), ticker="AAA")


def test_a_split_between_the_years_gives_no_f(filings: Callable[..., View]) -> None:
    rows = [*YEARS[:2], YEARS[2] | {"shares_outstanding": 200.0}]
    with pytest.raises(NotComputed, match="needs one share count; that of 2020FY of AAA is 200 after 50, as in a spl"):
        piotroski_f(filings(rows), ticker="AAA")


def test_missing_years_and_items_are_named(filings: Callable[..., View]) -> None:
    with pytest.raises(NotComputed, match=r"needs annual or quarterly figures; none of AAA is known by 2021-05-28"):
        dupont(filings([row | {"ticker": "BBB"} for row in YEARS]), ticker="AAA")
    alone = filings(YEARS[2:])
    with pytest.raises(NotComputed, match=r"and net_income, .* of the year before 2020FY of AAA"):
        piotroski_f(alone, ticker="AAA")
    with pytest.raises(NotComputed, match="needs total_assets, total_equity of the year before 2020FY of AAA"):
        dupont(alone, ticker="AAA", balances="average")
    less = [{k: v for k, v in row.items() if k not in ("retained_earnings", "operating_income")} for row in YEARS]
    with pytest.raises(NotComputed, match=r"needs retained_earnings, ebit \(operating_income\) of 2020FY of AAA"):
        altman_z(filings(less), ticker="AAA")


def test_a_year_that_is_old_is_said_to_be(filings: Callable[..., View]) -> None:
    """A year and half a year after the end of the newest: a later one should be known."""
    old = dupont(filings(YEARS[:1]), ticker="AAA")
    assert "AAA fiscal year after 2018FY: no annual figures known by 2021-05-28" in old.missing
    assert not any("fiscal year" in note for note in dupont(filings(YEARS), ticker="AAA").missing)


def test_the_command_opens_the_warehouse_only_for_a_ticker(sample_home: Path, tmp_path: Path) -> None:
    def run(home: Path, *arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["--home", str(home), "tool", "dupont", *arguments])
        return done.exit_code, done.output

    stated = "net_income=94680,revenue=365817,total_assets=351002,total_equity=63090"
    code, said = run(tmp_path, "--items", stated)
    assert (code, "150.07 %" in said, "as of" in said) == (0, True, False)
    code, said = run(sample_home, "--ticker", "aapl", "--as-of", "2022-06-30")
    assert (code, "150.07 %" in said, "as of 2022-06-30" in said) == (0, True, True)
    for more in (("--ticker", "AAPL"), ("--items", stated, "--as-of", "2022-06-30")):
        code, said = run(tmp_path, *more)
        assert (code, "no data at" in said) == (3, True)
