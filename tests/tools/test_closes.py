"""Closes as returns: what looks like a split is refused, and too few windows are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.view import View
from openoutcry.tools.drawdowns import drawdown
from openoutcry.tools.risk import value_at_risk

MakeHome = Callable[..., Path]
Rows = Callable[..., list[dict[str, Any]]]
ViewOf = Callable[..., View]
Tool = Callable[[View, str, str], Evidence]
SPLIT = [100.0 + i % 7 for i in range(200)] + [25.0 + i % 7 / 4 for i in range(200)]


@pytest.fixture
def raw(make_home: MakeHome, price_rows: Rows, view_of: ViewOf) -> View:
    """RAW has closes as traded alone, with a split in them; ADJ the same with adjusted closes."""
    rows = price_rows("RAW", SPLIT, adj_close="")
    adjusted = [r | {"adj_close": c / 4 if c > 50 else c} for r, c in zip(price_rows("ADJ", SPLIT), SPLIT, strict=True)]
    return view_of(make_home(prices=[*rows, *adjusted]))


def test_a_split_in_closes_as_traded_is_never_a_return(raw: View, tools: dict[str, Tool]) -> None:
    others = ("query", "document", "growth", "margins", "valuation", "position")
    # These tell of RAW and go on with ADJ, or need a book.
    others = (*others, "risk_screen", "stress_test", "check_limits", "portfolio", "view_outcome")
    scores = ("dupont", "altman_z", "piotroski_f", "beneish_m")
    names = [n for n in tools if not n.startswith((*others, *scores))]
    assert len(names) >= 8
    for name in names:
        with pytest.raises(NotComputed, match=r"needs adj_close; the close of RAW jumps on 2020-10-07, as in a split"):
            tools[name](raw, "RAW", "ADJ")


def test_windows_after_the_split_and_adjusted_closes_are_fine(raw: View) -> None:
    assert drawdown(raw, "ADJ").value("max") < 0.07
    assert value_at_risk(raw, "RAW", horizon=1, confidence=0.95, window=190).value("var") < 0.07


def test_few_windows_are_told(raw: View) -> None:
    (note,) = value_at_risk(raw, "ADJ", horizon=39, confidence=0.95).missing
    assert "only about 9 windows that do not overlap" in note
    assert value_at_risk(raw, "ADJ", horizon=5, confidence=0.95).missing == ()
