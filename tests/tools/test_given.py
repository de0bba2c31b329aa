"""A person's own series: what a file may look like, what is cut at the as-of, and what is refused."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import BadFile, NotComputed, UnknownTicker, UsageError
from openoutcry.tools.backtest import var_backtest
from openoutcry.tools.data.given import Given
from openoutcry.tools.prices import returns
from openoutcry.tools.risk import value_at_risk, volatility


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def monthly(path: Path, rows: int = 70) -> Path:
    days = [f"{2000 + (i // 12)}-{i % 12 + 1:02d}-28" for i in range(rows)]
    cells = [f"{0.01 * math.sin(i):.6f},{0.02 * math.cos(i):.6f}" for i in range(rows)]
    return written(path, "date,Fund A,B.v1", *(f"{d},{c}" for d, c in zip(days, cells, strict=True)))


def test_columns_are_series_by_their_own_names(tmp_path: Path) -> None:
    view = Given.read([monthly(tmp_path / "f.csv")], "returns")
    assert view.tickers == ("Fund A", "B.v1")
    made = volatility(view, "fund a")
    assert made.figures["ticker"].value == "Fund A"
    expected = np.std([0.01 * math.sin(i) for i in range(70)], ddof=1) * math.sqrt(12)
    assert made.value("volatility") == pytest.approx(expected, rel=1e-4)
    assert (made.as_of, made.figures["last_date"].value) == ("2005-10-28", "2005-10-28")
    assert str(made.figures["window"]) == "70 periods"


def test_a_dated_file_is_cut_at_the_as_of(tmp_path: Path) -> None:
    path = monthly(tmp_path / "f.csv")
    whole = Given.read([path], "returns", "2005-06-27")
    assert len(whole.prices("Fund A").returns(1000)) == 65
    assert volatility(whole, "Fund A").as_of == "2005-06-27"
    with pytest.raises(NotComputed, match="column Fund A holds none by 1999-01-01"):
        Given.read([path], "returns", "1999-01-01").prices("Fund A")


def test_returns_are_taken_as_given(tmp_path: Path) -> None:
    cells = [0.1, -1.8, 2.5, 0.3] * 20
    path = written(tmp_path / "percent.csv", "value", *(repr(c) for c in cells))
    view = Given.read([path], "returns")
    made = value_at_risk(view, "value", horizon=1, confidence=0.9)
    assert made.value("var") == pytest.approx(1.8)
    assert made.as_of == ""
    assert "last_date" not in made.figures
    with pytest.raises(NotComputed, match=r"needs returns above -100 %; value holds -1\.8.*scale as 0\.01"):
        returns(view, "value")
    scaled = Given.read([path], "returns", scale=0.01)
    assert value_at_risk(scaled, "value", horizon=1, confidence=0.9).value("var") == pytest.approx(0.018)


def test_a_file_with_a_ticker_a_row(tmp_path: Path) -> None:
    lines = [f"2020-01-{i + 1:02d},{t},{10 + i},{p}" for i in range(28) for t, p in (("AAA", 1 + i), ("BBB", 50 - i))]
    view = Given.read([written(tmp_path / "long.csv", "date,ticker,high,close", *lines)], "prices")
    assert view.prices("AAA").values.tolist() == [1.0 + i for i in range(28)]
    assert view.prices("bbb").values.tolist() == [50.0 - i for i in range(28)]
    bars = view.bars("AAA")
    assert bars.high is not None
    assert bars.high.tolist() == [10.0 + i for i in range(28)]
    assert bars.low is None


def test_bars_without_a_ticker_and_without_dates(tmp_path: Path) -> None:
    lines = [f"{i},{i + 2},{i - 1},{i + 1}" for i in range(2, 40)]
    view = Given.read([written(tmp_path / "bars.csv", "Open,High,Low,Close", *lines)], "prices")
    bars = view.bars("close")
    assert bars.closes.values.tolist() == [i + 1 for i in range(2, 40)]
    assert bars.low is not None
    assert bars.low.tolist() == [i - 1 for i in range(2, 40)]
    assert view.pace is None


def test_blank_ends_are_left_out_and_told_and_a_gap_is_refused(tmp_path: Path) -> None:
    cells = ["", "NA", *(repr(0.01 * (-1) ** i) for i in range(60)), ""]
    days = [f"2020-{i // 28 + 1:02d}-{i % 28 + 1:02d}" for i in range(len(cells))]
    path = written(tmp_path / "a.csv", "date,x", *(f"{d},{c}" for d, c in zip(days, cells, strict=True)))
    made = volatility(Given.read([path], "returns"), "x")
    assert made.missing == ("x: 3 blank rows before or after its numbers, left out",)
    assert made.value("window") == 60
    cells[30] = "nan"
    path = written(tmp_path / "b.csv", "date,x", *(f"{d},{c}" for d, c in zip(days, cells, strict=True)))
    with pytest.raises(NotComputed, match=f"needs a series without gaps; x has 1 blank .* the first at {days[30]}"):
        volatility(Given.read([path], "returns"), "x")


def test_two_files_are_joined_by_date(tmp_path: Path) -> None:
    one = monthly(tmp_path / "one.csv")
    with one.open() as file:
        rows = list(csv.reader(file))
    two = written(tmp_path / "two.csv", "date,index", *(f"{r[0]},{float(r[1]) / 2:.6f}" for r in rows[1:]))
    view = Given.read([one, two], "returns")
    assert view.tickers == ("Fund A", "B.v1", "index")
    with pytest.raises(UsageError, match=r"expected each column once, found B\.v1, Fund A twice"):
        Given.read([one, one], "returns")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("date,x", "2020-01-01,1", "2020-01-01,2"), "expected each date once, found 2020-01-01 twice"),
        (("date,x", "2020-01-01,1", "2020-01-02,abc", "2020-01-03,2"), "line 3: expected a number in x, got 'abc'"),
        (("date,x",), "expected rows under a header, found none"),
        (("name,word", "a,b", "c,d"), "expected at least one column of numbers, found name, word"),
        (("ticker,word", "a,b"), "expected a column adj_close"),
        (("date,x", "2020-01-01,1,5"), "line 2: expected 2 cells, found 3"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, lines: Sequence[str], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        Given.read([written(tmp_path / "f.csv", *lines)], "returns")


def test_what_is_not_there(tmp_path: Path) -> None:
    view = Given.read([monthly(tmp_path / "f.csv")], "returns")
    with pytest.raises(UnknownTicker, match=r"no column 'Fund'; the file has Fund A, B\.v1"):
        volatility(view, "Fund")
    with pytest.raises(NotComputed, match="needs the warehouse"):
        view.query("SELECT 1 FROM positions")
    with pytest.raises(BadFile, match="no such file"):
        Given.read([tmp_path / "none.csv"], "returns")
    prices = Given.read([written(tmp_path / "p.csv", "x", "1", "-2", "3")], "prices")
    with pytest.raises(NotComputed, match="needs prices above zero; x holds -2"):
        prices.prices("x")


@pytest.mark.parametrize("form", ["2020-06", "20200630", "2020-06-30", "2020-06-30 00:00:00"])
def test_dates_as_files_write_them(tmp_path: Path, form: str) -> None:
    other = {"2020-06": "2020-07", "20200630": "20200731"}.get(form, form.replace("06-30", "07-31"))
    view = Given.read([written(tmp_path / "f.csv", "when,x", f"{form},0.1", f"{other},0.2")], "returns")
    assert view.prices("x").dates[1:].astype(str).tolist() == ["2020-06-30", "2020-07-31"]


@given(st.lists(st.floats(-0.9, 3), min_size=60, max_size=90))
def test_arrays_are_series_too(values: list[float]) -> None:
    view = Given.of({"A": values}, "returns")
    prices = view.prices("A")
    assert prices.returns(1000).tolist() == values
    assert prices.values[-1] == pytest.approx(math.prod(1 + v for v in values), rel=1e-9)
    assert prices.values[0] == 1


def test_dates_beside_arrays(tmp_path: Path) -> None:
    view = Given.of({"A": [1.0, 2.0, 3.0]}, "prices", ["2020-01-01", "2020-01-08", "2020-01-15"], "2020-01-10")
    assert view.prices("A").values.tolist() == [1.0, 2.0]
    assert view.pace == 52
    with pytest.raises(UsageError, match="expected 2 values of A, one a date, got 3"):
        Given.of({"A": [1.0, 2.0, 3.0]}, "prices", ["2020-01-01", "2020-01-08"])


def test_of_a_file_all_is_used_where_no_window_is_given(tmp_path: Path) -> None:
    """A backtest's window is how much each forecast knows, and stays as it is."""
    changes = np.random.default_rng(1).normal(size=1500) * 0.01
    view = Given.of({"A": changes}, "returns")
    assert value_at_risk(view, "A", horizon=1).value("observations") == 1500
    assert value_at_risk(view, "A", horizon=1, window=700).value("observations") == 700
    assert volatility(view, "A").value("volatility") == pytest.approx(changes.std(ddof=1) * math.sqrt(252))
    assert var_backtest(view, "A").value("window") == 500


def test_prices_given_as_returns_are_told() -> None:
    view = Given.of({"A": np.linspace(90, 110, 300)}, "returns")
    assert "A: every value is above 100 %; if these are prices, give them as prices" in volatility(view, "A").missing
