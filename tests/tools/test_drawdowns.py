"""Drawdowns: the tables that PerformanceAnalytics prints, cases by hand, definitions and properties."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View
from openoutcry.tools.drawdowns import drawdown

REFERENCE = Path(__file__).parents[2].parent / "shared" / "data" / "refdata"
here = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the shared data are not here")
Row = tuple[str, str, str | None, float, int, int, int | None]


def levels(values: list[float]) -> Given:
    return Given.of({"A": values}, "prices")


def file(name: str) -> Given:
    return Given.read([REFERENCE / name], "returns")


# table.Drawdowns of PerformanceAnalytics: from, trough, to, depth, length, to trough and recovery, deepest first. Where
# there is no recovery yet it counts one period more than are known.
TABLES: dict[tuple[str, str], list[Row]] = {
    ("edhec.csv", "Convertible Arbitrage"): [
        ("2007-11-30", "2008-11-30", "2009-09-30", 0.2927, 23, 13, 10),
        ("2004-05-31", "2005-05-31", "2006-02-28", 0.0822, 22, 13, 9),
        ("1998-08-31", "1998-10-31", "1999-03-31", 0.0712, 8, 3, 5),
        ("2020-03-31", "2020-03-31", "2020-07-31", 0.0700, 5, 1, 4),
        ("2015-06-30", "2016-02-29", "2016-07-31", 0.0527, 14, 9, 5),
    ],
    ("edhec.csv", "Short Selling"): [
        ("2009-03-31", "2017-11-30", None, 0.7687, 147, 105, None),
        ("1998-09-30", "2000-08-31", "2002-09-30", 0.4956, 49, 24, 25),
        ("2002-10-31", "2007-05-31", "2009-02-28", 0.3630, 77, 56, 21),
        ("1997-04-30", "1997-09-30", "1998-03-31", 0.1502, 12, 6, 6),
        ("1997-01-31", "1997-01-31", "1997-02-28", 0.0166, 2, 1, 1),
    ],
    ("managers.csv", "SP500 TR"): [
        ("2000-09-30", "2002-09-30", "2006-10-31", 0.4473, 74, 25, 49),
        ("1998-07-31", "1998-08-31", "1998-11-30", 0.1537, 5, 2, 3),
        ("2000-01-31", "2000-02-29", "2000-03-31", 0.0682, 3, 2, 1),
        ("1999-07-31", "1999-09-30", "1999-11-30", 0.0624, 5, 3, 2),
        ("1997-08-31", "1997-08-31", "1997-11-30", 0.0560, 4, 1, 3),
    ],
    ("managers.csv", "HAM1"): [
        ("2002-02-28", "2003-02-28", "2003-07-31", 0.1518, 18, 13, 5),
        ("1998-05-31", "1998-08-31", "1999-03-31", 0.1239, 11, 4, 7),
    ],
}


@here
@pytest.mark.parametrize(("name", "column"), TABLES)
def test_the_tables_of_performanceanalytics(name: str, column: str) -> None:
    for rank, (start, trough, end, depth, length, down, up) in enumerate(TABLES[name, column], 1):
        found = drawdown(file(name), column, rank=rank)
        assert found.value("max") == pytest.approx(depth, abs=1e-4)
        assert [found.figures[n].value for n in ("from_date", "trough_date")] == [start, trough]
        assert (found.value("length"), found.value("to_trough")) == (length, down)
        assert found.figures["recovered"].value == ("no" if end is None else "yes")
        if end is None:
            assert "recovery_date" not in found.figures
        else:
            assert (found.figures["recovery_date"].value, found.value("recovery")) == (end, up)


@here
def test_the_drawdowns_found_in_funds_of_funds() -> None:
    """findDrawdowns of PerformanceAnalytics: of 23 the deepest is from month 131, lowest in 144 and over in 210."""
    found = drawdown(file("edhec.csv"), "Funds of Funds")
    assert [found.value(n) for n in ("drawdowns", "from_period", "trough_period", "recovery_period")] == [
        *(23, 131, 144, 210)
    ]
    assert found.value("max") == pytest.approx(0.20591447, abs=5e-9)
    assert drawdown(file("edhec.csv"), "Funds of Funds", rank=23).value("max") == pytest.approx(0.0004)


@here
@pytest.mark.parametrize(
    ("column", "printed"),
    # CDD(edhec) of PerformanceAnalytics, at 5 %.
    [
        ("Convertible Arbitrage", 0.0706),
        ("CTA Global", 0.0734),
        ("Distressed Securities", 0.1326),
        ("Emerging Markets", 0.1587),
        ("Equity Market Neutral", 0.0320),
        ("Event Driven", 0.1052),
        ("Fixed Income Arbitrage", 0.0362),
        ("Global Macro", 0.0375),
        ("Long/Short Equity", 0.1076),
        ("Merger Arbitrage", 0.0325),
        ("Relative Value", 0.0462),
        ("Short Selling", 0.6322),
        ("Funds of Funds", 0.0761),
    ],
)
def test_conditional_drawdown_of_performanceanalytics(column: str, printed: float) -> None:
    assert drawdown(file("edhec.csv"), column).value("episode_drawdown_at_risk") == pytest.approx(printed, abs=5e-5)


def test_by_hand() -> None:
    """100 to 90 and back in three periods; then 120 to 60, not yet back at 90."""
    found = drawdown(levels([100, 90, 95, 100, 120, 90, 60, 90]), "A")
    assert (found.value("max"), found.value("now")) == (pytest.approx(0.5), pytest.approx(0.25))
    assert [found.value(n) for n in ("length", "to_trough", "from_period", "trough_period")] == [3, 2, 5, 6]
    assert found.figures["recovered"].value == "no"
    assert "peak_date" not in found.figures  # the series has no dates
    second = drawdown(levels([100, 90, 95, 100, 120, 90, 60, 90]), "A", rank=2)
    assert [second.value(n) for n in ("length", "to_trough", "recovery", "recovery_period")] == [3, 1, 2, 3]
    assert second.value("max") == pytest.approx(0.1)
    for each in (found, second):
        assert each.value("drawdowns") == 2
        assert each.value("average") == pytest.approx(0.3)
        assert each.value("average_length") == 3
        assert each.value("average_recovery") == 2
        assert each.value("pain_index") == pytest.approx((0.1 + 0.05 + 0.25 + 0.5 + 0.25) / 7)
        assert each.value("ulcer_index") == pytest.approx(math.sqrt((0.01 + 0.0025 + 0.0625 + 0.25 + 0.0625) / 7))
    deepest = drawdown(levels([100, 90, 95, 100, 120, 90, 60, 90]), "A", confidence=5 / 7)
    assert deepest.value("conditional_drawdown") == pytest.approx((0.5 + 0.25) / 2)


def test_returns_added_and_not_compounded() -> None:
    """+50 %, -50 %: a half of what compounds, a third of 1.5 where they are added (geometric=FALSE in R)."""
    view = Given.of({"A": [0.5, -0.5, 0.1]}, "returns")
    assert drawdown(view, "A").value("max") == pytest.approx(0.5)
    assert drawdown(view, "A", compounded=False).value("max") == pytest.approx(0.5 / 1.5)
    with pytest.raises(NotComputed, match="needs returns that leave wealth when added up; those of A lose all"):
        drawdown(Given.of({"A": [-0.6, -0.6, 0.1]}, "returns"), "A", compounded=False)


def test_a_rise_has_none() -> None:
    found = drawdown(levels([1.0, 2.0, 3.0]), "A")
    assert (found.value("max"), found.value("now"), found.value("drawdowns")) == (0, 0, 0)
    assert found.figures["recovered"].value == "no drawdown"


def test_refusals() -> None:
    with pytest.raises(NotComputed, match="needs 2 drawdowns for that rank; A has 1 in 4 closes"):
        drawdown(levels([3.0, 2.0, 4.0, 5.0]), "A", rank=2)
    with pytest.raises(NotComputed, match="A has 1"):
        drawdown(levels([3.0, 2.0]), "A")
    with pytest.raises(NotComputed, match="needs returns above -100 %; A holds -2"):
        drawdown(Given.of({"A": [0.1, -2.0, 0.1]}, "returns"), "A")


def test_the_warehouse_says_the_dates(
    make_home: Callable[..., Path], price_rows: Callable[..., list[dict[str, Any]]], view_of: Callable[..., View]
) -> None:
    closes = [100.0] * 17 + [120.0, 60.0, 90.0, 130.0, 117.0, 65.0, 104.0]
    found = drawdown(view_of(make_home(prices=price_rows("AAA", closes))), "AAA")
    days = [row["date"].isoformat() for row in price_rows("AAA", closes)]
    names = ("peak_date", "from_date", "trough_date", "recovery_date")
    assert [found.figures[n].value for n in names] == [days[17], days[18], days[18], days[20]]
    assert found.series["close"].values == tuple(closes)


@given(seed=st.integers(0, 500), n=st.integers(3, 120), scale=st.floats(1e-3, 1e6))
def test_properties(seed: int, n: int, scale: float) -> None:
    """Within 0 and 1, in order of rank, as the slow definition has it, and the same for prices of any scale."""
    walk = np.cumprod(1 + np.clip(np.random.default_rng(seed).normal(0, 0.05, n), -0.5, 0.5))
    view = Given.of({"A": walk.tolist(), "B": (walk * scale).tolist()}, "prices")
    found = drawdown(view, "A")
    assert found.value("max") == pytest.approx(max(1 - b / a for i, a in enumerate(walk) for b in walk[i:]), abs=1e-12)
    assert 0 <= found.value("now") <= found.value("max") < 1
    assert found.value("pain_index") <= found.value("ulcer_index") <= found.value("max") + 1e-12
    assert found.value("drawdown_at_risk") <= found.value("conditional_drawdown") + 1e-12
    depths = [drawdown(view, "A", rank=k).value("max") for k in range(1, int(found.value("drawdowns")) + 1)]
    assert depths == sorted(depths, reverse=True)
    other = drawdown(view, "B")
    for name, value in numbers(found).items():
        assert other.value(name) == pytest.approx(value, rel=1e-6, abs=1e-9)


def numbers(evidence: Evidence) -> dict[str, float]:
    return {n: float(f.value) for n, f in evidence.figures.items() if not isinstance(f.value, str)}
