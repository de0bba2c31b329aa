"""Prices, tweets and published statistics that nobody here wrote, read where they lie."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.ingest import Intake, ingest
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import fetch
from openoutcry.tools.drawdowns import drawdown
from openoutcry.tools.query import sql
from openoutcry.tools.risk import value_at_risk, volatility
from openoutcry.tools.tone import capped, without_copies

Row = dict[str, Any]
Rows = Callable[..., list[Row]]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PRICES, TWEETS = DATA / "market" / "stocknet_prices.csv", DATA / "market" / "stocknet_tweets.jsonl"
RETURNS, EXPECTED = DATA / "numeric" / "managers_monthly_returns.csv", DATA / "numeric" / "expected_managers.jsonl"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not on this machine")

BAC = "2015-06-30"


@pytest.fixture(scope="module")
def stocknet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Intake]]:
    home = tmp_path_factory.mktemp("stocknet") / "home"
    return home, ingest(home, [PRICES, TWEETS], progress=lambda said: None)


@pytest.fixture
def view(stocknet: tuple[Path, list[Intake]], view_of: ViewOf) -> View:
    return view_of(stocknet[0], BAC)


def bac(column: str = "adj_close") -> list[float]:
    """BAC's column up to the as-of, straight from the file."""
    with PRICES.open(newline="") as file:
        return [float(r[column]) for r in csv.DictReader(file) if r["ticker"] == "BAC" and r["date"] <= BAC]


def test_every_row_is_taken(stocknet: tuple[Path, list[Intake]]) -> None:
    prices, tweets = stocknet[1]
    assert (prices.dataset, prices.taken, prices.refused) == ("prices", 10_064, [])
    assert (tweets.dataset, tweets.refused) == ("documents", [])
    with TWEETS.open() as file:
        rows = [json.loads(line) for line in file]
    distinct = {(r["ticker"], r["created_at"], " ".join(str(r["text"]).split())) for r in rows}
    assert len(distinct) <= tweets.taken <= len(rows)
    assert tweets.taken + tweets.unchanged == len(rows) == 10_382


def test_every_tool_answers_or_says_why_not(
    view: View, answers: Callable[[View, str, str], dict[str, Evidence | str]]
) -> None:
    said = answers(view, "BAC", "KO")
    silent = {name.removesuffix(" 0"): answer for name, answer in said.items() if isinstance(answer, str)}
    # There are neither filings nor a book among these data.
    assert silent.keys() == {
        *("growth", "margins", "valuation", "position", "stress_test", "check_limits"),
        *("portfolio_value_at_risk", "portfolio_var_backtest"),
        *("dupont", "altman_z", "piotroski_f", "beneish_m"),
        *("query 1", "query 3"),
    }
    assert all(answer.startswith("NotComputed: ") and "\n" not in answer for answer in silent.values())
    for answer in said.values():
        if isinstance(answer, Evidence):
            assert answer.known_at is not None
            assert answer.known_at <= view.as_of.moment.replace(tzinfo=None)
    assert sql(view, "SELECT count(*) FROM prices WHERE ticker = 'BAC'").value("c1_1") == len(bac())


def test_the_numbers_of_bac_are_those_of_its_file(view: View) -> None:
    closes = np.array(bac())
    spans = closes[10:][-991:] / closes[:-10][-991:] - 1
    assert view.prices("BAC").basis == "adj_close"
    assert view.prices("BAC").values.tolist() == closes.tolist()
    assert view.prices("BAC").traded is not None
    evidence = value_at_risk(view, "BAC")
    assert evidence.value("observations") == len(spans)
    assert evidence.value("var") == pytest.approx(-float(np.percentile(spans, 1)), abs=1e-12)
    daily = np.diff(closes) / closes[:-1]
    expected = float(np.sqrt(np.var(daily[-252:], ddof=1) * 252))
    assert volatility(view, "BAC").value("volatility") == pytest.approx(expected)


def test_tweets_are_those_of_the_company_and_known_by_then(view: View) -> None:
    rows = view.query("SELECT id FROM documents WHERE ticker = 'BAC' ORDER BY known_at DESC, id LIMIT 200")
    found, _ = fetch(view, rows.cells("id"))
    assert len(found) == 200
    assert {d.ticker for d in found} == {"BAC"}
    assert max(d.published for d in found).isoformat() <= BAC
    distinct = without_copies(found)
    assert 0 < len(distinct) < len(found)  # retweets collapse
    assert len(capped(distinct)) == 5  # tweets name no publisher: all are one


def expected(row: str, call: str = "") -> list[Any]:
    """What R printed, where a second computation agreed, by column of the returns."""
    if not EXPECTED.is_file():
        return []
    cases = [json.loads(line) for line in EXPECTED.read_text().splitlines()]
    return [
        pytest.param(c["column"], c["expected"], id=c["id"])
        for c in cases
        if c["recomputed"] == "agrees" and (c["row"] == row if row else c["function"] == call)
    ]


@pytest.fixture(scope="module")
def managers(make_home: MakeHome) -> Path:
    """The monthly returns as prices, a ticker a column, from a close of 100 a month before the first."""
    with RETURNS.open(newline="") as file:
        table = list(csv.DictReader(file))
    rows: list[Row] = []
    for column in list(table[0])[1:]:
        months = [(r["date"], float(r[column])) for r in table if r[column]]
        level = 100.0
        rows.append({"ticker": ticker(column), "date": "1995-12-29", "close": repr(level)})
        for day, change in months:
            level *= 1 + change
            rows.append({"ticker": ticker(column), "date": day, "close": repr(level)})
    return make_home(prices=rows)


def ticker(column: str) -> str:
    """A ticker for a column such as `EDHEC LS EQ`."""
    return column.replace(" ", "").upper()


@pytest.mark.parametrize(("column", "value"), expected("", "maxDrawdown"))
def test_drawdown_as_performanceanalytics_prints_it(managers: Path, view_of: ViewOf, column: str, value: float) -> None:
    assert drawdown(view_of(managers), ticker(column)).value("max") == pytest.approx(value, abs=2e-4)


@pytest.mark.parametrize(("column", "value"), expected("Annualized Std Dev"))
def test_volatility_as_performanceanalytics_prints_it(
    managers: Path, view_of: ViewOf, column: str, value: float
) -> None:
    """R annualises months by the square root of 12, we sessions by that of 252."""
    measured = volatility(view_of(managers), ticker(column)).value("volatility") * math.sqrt(12 / 252)
    assert measured == pytest.approx(value, abs=2e-4)


@pytest.mark.parametrize(("column", "value"), expected("monthly Std Dev"))
def test_the_gaussian_var_carries_the_printed_deviation(
    managers: Path, view_of: ViewOf, column: str, value: float
) -> None:
    """Two quantiles of one normal curve differ by its deviation times 1.6449 - 1.2816 (NIST 1.3.6.7.1)."""
    view = view_of(managers)
    low, high = (value_at_risk(view, ticker(column), 1, c, "gaussian").value("var") for c in (0.90, 0.95))
    assert (high - low) / (1.6449 - 1.2816) == pytest.approx(value, abs=2e-4)


def test_cases_were_found() -> None:
    assert len(expected("", "maxDrawdown")) == 10
    assert len(expected("Annualized Std Dev")) == 16
    assert len(expected("monthly Std Dev")) == 8
