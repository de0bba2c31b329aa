"""Peaks over a threshold against Hull's example, a known Pareto tail, and scipy."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.extremes import extreme_value, extreme_value_tail

HULL: dict[str, Any] = {"threshold": 160, "xi": 0.436, "beta": 32.532, "observations": 500, "exceedances": 22}


def tail(**more: Any) -> Evidence:
    asked: dict[str, Any] = HULL | more
    return extreme_value_tail(**asked)


def test_hull_extreme_value_theory() -> None:
    """Hull, RMFI, extreme value theory: VaR 227.8 and ES 337.9 (thousand) at 99 %; over 300 with 0.0039."""
    made = tail(confidence=0.99, loss=300)
    assert made.value("var") == pytest.approx(227.8, abs=0.1)
    assert made.value("es") == pytest.approx(337.9, abs=0.2)
    assert made.value("probability_of_loss") == pytest.approx(0.0039, abs=5e-5)


@given(xi=st.floats(-0.4, 0.9), beta=st.floats(0.1, 50), confidence=st.floats(0.96, 0.9999))
def test_the_var_is_passed_with_the_chance_asked(xi: float, beta: float, confidence: float) -> None:
    held: dict[str, Any] = {"xi": xi, "beta": beta, "confidence": confidence}
    made = tail(**held)
    again = tail(**held, loss=made.value("var"))
    assert again.value("probability_of_loss") == pytest.approx(1 - confidence, rel=1e-6)
    assert made.value("es") >= made.value("var")
    flat, nearly = (tail(**(held | {"xi": v})).value("var") for v in (0.0, 1e-7))
    assert nearly == pytest.approx(flat, rel=1e-5)


@settings(max_examples=5)
@given(seed=st.integers(0, 99))
def test_a_known_tail_is_found(seed: int) -> None:
    """A t with 4 degrees of freedom has the shape 1/4."""
    t: Any = import_module("scipy.stats").t
    returns = np.random.default_rng(seed).standard_t(4, 50_000) * 0.01
    view = Given.of({"A": returns}, "returns")
    made = extreme_value(view, "A", 0.999, 50_000, tail=0.02)
    assert made.value("xi") == pytest.approx(0.25, abs=0.15)
    assert made.value("var") == pytest.approx(0.01 * float(t.ppf(0.999, 4)), rel=0.12)
    scaled = extreme_value(Given.of({"A": returns * 100}, "returns"), "A", 0.999, 50_000, tail=0.02)
    assert scaled.value("var") == pytest.approx(100 * made.value("var"), rel=1e-3)
    assert made.value("exceedances") == 1000


def test_what_a_tail_needs() -> None:
    view = Given.of({"A": np.random.default_rng(1).normal(0, 0.01, 300), "B": [0.01] * 300}, "returns")
    with pytest.raises(NotComputed, match=r"needs at least 20 losses above 0\.05; A has 0"):
        extreme_value(view, "A", threshold=0.05)
    with pytest.raises(NotComputed, match="those of B are all alike"):
        extreme_value(view, "B")
    with pytest.raises(
        NotComputed, match=r"needs a confidence of at least 0\.9[0-9]*, where the tail begins; got 0\.9"
    ):
        extreme_value(view, "A", 0.9, tail=0.08)
    with pytest.raises(NotComputed, match="needs xi below 1"):
        tail(xi=1.2)
    with pytest.raises(NotComputed, match="needs at most 500 exceedances"):
        tail(exceedances=501)
    with pytest.raises(NotComputed, match="needs a loss of at least the threshold 160"):
        tail(loss=100)
