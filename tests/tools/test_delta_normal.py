"""Parametric VaR of stated positions against Hull's and Jorion's examples, and what its parts must add to."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.delta_normal import normal_value_at_risk


@pytest.mark.parametrize(
    ("given_", "var"),
    # Hull, Risk Management and Financial Institutions (and Options, Futures), the model-building approach: $10m of
    # Microsoft at 2 % a day and $5m of AT&T at 1 %, correlation 0.3, 99 %.
    [
        ({"values": [10e6], "volatilities": [0.02]}, 465_300),
        ({"values": [10e6], "volatilities": [0.02], "horizon": 10}, 1_471_300),
        ({"values": [5e6], "volatilities": [0.01]}, 116_300),
        ({"values": [5e6], "volatilities": [0.01], "horizon": 10}, 367_800),
        ({"values": [10e6, 5e6], "volatilities": [0.02, 0.01], "correlation": 0.3, "horizon": 10}, 1_620_100),
        # Earlier editions take 2.33, and the fourth a correlation of 0.7.
        ({"values": [10e6], "volatilities": [0.02], "z": 2.33}, 466_000),
        ({"values": [10e6], "volatilities": [0.02], "horizon": 10, "z": 2.33}, 1_473_621),
        ({"values": [5e6], "volatilities": [0.01], "horizon": 10, "z": 2.33}, 368_405),
        (
            {
                "values": [10e6, 5e6],
                "volatilities": [0.02, 0.01],
                "correlations": [[1, 0.7], [0.7, 1]],
                "horizon": 10,
                "z": 2.33,
            },
            1_751_379,
        ),
    ],
)
def test_hull_microsoft_and_att(given_: dict[str, Any], var: float) -> None:
    near = 51 if var % 100 == 0 else 1
    assert normal_value_at_risk(**given_).value("var") == pytest.approx(var, abs=near)


def test_hull_benefit_of_diversification() -> None:
    made = normal_value_at_risk(values=[10e6, 5e6], volatilities=[0.02, 0.01], correlation=0.3, horizon=10)
    assert made.value("diversification_benefit") == pytest.approx(219_000, abs=51)
    assert made.value("undiversified_var") == pytest.approx(1_471_300 + 367_800, abs=101)


def test_jorion_two_currencies() -> None:
    """Jorion, Value at Risk, chapter 7: $2m of Canadian dollars at 5 %, $1m of euros at 12 %, no correlation, 1.65."""
    made = normal_value_at_risk(values=[2e6, 1e6], volatilities=[0.05, 0.12], confidence=0.95, z=1.65)
    published = {
        "var": 257_738,
        "standard_deviation": 156_205,
        "undiversified_var": 363_000,
        "individual_1": 165_000,
        "individual_2": 198_000,
        "component_1": 105_630,
        "component_2": 152_108,
    }
    for name, value in published.items():
        assert made.value(name) == pytest.approx(value, abs=1)
    assert made.value("marginal_1") == pytest.approx(0.0528, abs=5e-5)
    assert made.value("marginal_2") == pytest.approx(0.1521, abs=5e-5)
    assert made.value("beta_1") == pytest.approx(0.615, abs=5e-4)
    assert made.value("beta_2") == pytest.approx(1.770, abs=5e-4)


@pytest.mark.parametrize(
    ("confidence", "normal", "t"),
    # McNeil, Frey and Embrechts (2005): 10,000 at 20 % a year of 250 days, normal and t with 4 degrees of freedom.
    [(0.90, 162.1, 137.1), (0.95, 208.1, 190.7), (0.975, 247.9, 248.3), (0.99, 294.3, 335.1), (0.995, 325.8, 411.8)],
)
def test_a_year_of_volatility(confidence: float, normal: float, t: float) -> None:
    held: dict[str, Any] = {"values": [10_000], "volatilities": [0.2], "periods_a_year": 250, "confidence": confidence}
    assert normal_value_at_risk(**held).value("var") == pytest.approx(normal, abs=0.06)
    assert normal_value_at_risk(**held, distribution="t").value("var") == pytest.approx(t, abs=0.06)


def test_a_line_written_as_text_is_read() -> None:
    """As the command line gives it."""
    asked: Any = {"values": "10e6,5e6", "volatilities": "0.02,0.01", "correlations": "1,0.3;0.3,1"}
    other: Any = {"values": "10e6,5e6", "covariances": "[[0.0004, 0.00006], [0.00006, 0.0001]]"}
    assert normal_value_at_risk(**asked).value("var") == pytest.approx(512_324, abs=1)
    assert normal_value_at_risk(**other).value("var") == pytest.approx(512_324, abs=1)


sizes = st.lists(st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1), min_size=2, max_size=5)


@given(values=sizes, seed=st.integers(0, 999), confidence=st.floats(0.6, 0.999), horizon=st.integers(1, 30))
def test_parts_sum_to_the_whole(values: list[float], seed: int, confidence: float, horizon: int) -> None:
    n, chance = len(values), np.random.default_rng(seed)
    root = chance.normal(0, 0.02, (n, n + 2))
    held: dict[str, Any] = {
        "covariances": (root @ root.T).tolist(),
        "means": chance.normal(0, 0.001, n).tolist(),
        "confidence": confidence,
        "horizon": horizon,
    }
    made = normal_value_at_risk(values=values, **held)
    close = 1e-9 * sum(map(abs, values))
    for whole, part in (("var", "component"), ("es", "component_es"), ("undiversified_var", "individual")):
        total = math.fsum(made.value(f"{part}_{i}") for i in range(1, n + 1))
        assert total == pytest.approx(made.value(whole), rel=1e-9, abs=close)
    assert made.value("es") >= made.value("var")
    assert made.value("diversification_benefit") >= -close
    rest: dict[str, Any] = {
        **held,
        "covariances": [row[1:] for row in held["covariances"][1:]],
        "means": held["means"][1:],
    }
    without = normal_value_at_risk(values=values[1:], **rest)
    assert made.value("incremental_1") == pytest.approx(made.value("var") - without.value("var"), abs=close)
    twice = normal_value_at_risk(values=[2 * v for v in values], **held)
    assert twice.value("var") == pytest.approx(2 * made.value("var"), rel=1e-9, abs=close)
    step = 1e-4 * abs(values[0])
    more = normal_value_at_risk(values=[values[0] + step, *values[1:]], **held)
    less = normal_value_at_risk(values=[values[0] - step, *values[1:]], **held)
    slope = (more.value("var") - less.value("var")) / (2 * step)
    assert made.value("marginal_1") == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"values": [1.0]}, "needs either volatilities or covariances"),
        ({"values": [1.0, 2.0], "volatilities": [0.1]}, "needs 2 volatilities, one a position; got 1"),
        ({"values": [1.0], "volatilities": [-0.1]}, "needs volatilities of at least 0"),
        ({"values": [1.0, 1.0], "volatilities": [0.1, 0.1], "correlation": -1}, "variance is above zero"),
        ({"values": [1.0, 1.0], "volatilities": [0.1, 0.1], "correlations": [[1, 0.5], [0.4, 1]]}, "symmetric"),
        ({"values": [1.0, 1.0], "volatilities": [0.1, 0.1], "correlations": [[1, 1.5], [1.5, 1]]}, "semi-definite"),
        ({"values": [1.0, 1.0], "volatilities": [0.1, 0.1], "correlations": [[2, 0], [0, 1]]}, "1 on the diagonal"),
        ({"values": [1.0, 1.0], "volatilities": [0.1, 0.1], "correlations": [[1, 0]]}, "of 2 rows by 2"),
        ({"values": [1.0], "covariances": [[0.1]], "correlation": 0.1}, "needs covariances alone"),
    ],
)
def test_what_it_needs(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(NotComputed, match=said):
        normal_value_at_risk(**asked)
