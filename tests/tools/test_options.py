"""Options against the tables of Hull, Haug and the papers, and against what must hold of every price."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import measured
from openoutcry.tools.formulas.contract import Kind, Option
from openoutcry.tools.formulas.pricing import american_value
from openoutcry.tools.formulas.trees import tree
from openoutcry.tools.options import implied_volatility as implied_volatility_tool
from openoutcry.tools.options import option as option_tool

option: Any = option_tool
implied_volatility: Any = implied_volatility_tool
"""As the command line calls them: with text that the tool reads."""
KINDS: tuple[Kind, Kind] = ("call", "put")
HULL = "Hull, Options, Futures, and Other Derivatives"


def asked(words: str, **more: Any) -> Evidence:
    """`call 42 40 0.1 0.2 0.5`: kind, spot, strike, rate, volatility, time; further arguments by name."""
    kind, spot, strike, rate, volatility, time = words.split()
    return option(
        spot=float(spot), strike=float(strike), rate=float(rate), volatility=float(volatility), kind=kind,
        time=time, **more,
    )  # fmt: skip


EUROPEAN: list[tuple[str, str, dict[str, Any], float, float]] = [
    (f"{HULL}, example 15.6", "call 42 40 0.1 0.2 0.5", {}, 4.76, 0.005),
    (f"{HULL}, example 15.6", "put 42 40 0.1 0.2 0.5", {}, 0.81, 0.005),
    (f"{HULL}, example 17.1, index", "call 930 900 0.08 0.2 2/12", {"dividend_yield": 0.03}, 51.83, 0.005),
    (f"{HULL}, chapter 18, crude oil future", "put 60 60 0.09 0.25 4/12", {"underlying": "future"}, 3.35, 0.005),
    (f"{HULL}, example 15.9", "call 40 40 0.09 0.3 0.5", {"dividends": {"2/12": 0.5, "5/12": 0.5}}, 3.67, 0.005),
    (f"{HULL}, chapter 19, the hedger's call", "call 49 50 0.05 0.2 20/52", {}, 2.40, 0.005),
    ("Haug 1998, p. 3", "call 60 65 0.08 0.3 0.25", {}, 2.1334, 1e-4),
    ("Haug 1998, p. 4", "put 100 95 0.1 0.2 0.5", {"dividend_yield": 0.05}, 2.4648, 1e-4),
    ("Haug 1998, p. 5, Black 76", "put 19 19 0.1 0.28 0.75", {"underlying": "future"}, 1.7011, 1e-4),
    ("Haug 1998, p. 5, Black 76", "call 19 19 0.1 0.28 0.75", {"underlying": "future"}, 1.7011, 1e-4),
    ("Haug 1998, p. 6, Garman and Kohlhagen", "call 1.56 1.6 0.06 0.12 0.5", {"dividend_yield": 0.08}, 0.0291, 1e-4),
    ("Haug 1998, p. 8, generalised", "put 75 70 0.1 0.35 0.5", {"dividend_yield": 0.05}, 4.0870, 1e-4),
    ("Haug 1998, p. 27", "call 42 40 0.04 0.35 0.75", {"dividend_yield": 0.08}, 5.0975, 1e-4),
]  # fmt: skip


@pytest.mark.parametrize(("source", "words", "more", "published", "within"), EUROPEAN)
def test_european_prices(source: str, words: str, more: dict[str, Any], published: float, within: float) -> None:
    assert asked(words, **more).value("price") == pytest.approx(published, abs=within), source


# Haug 1998, p. 24: Black 76 and Barone-Adesi and Whaley side by side; strike 100, rate 10 %.
# kind, futures price, time, volatility, European, American by the quadratic approximation
PAGE_24 = """
call  90 0.1 0.15  0.0205  0.0206 | call 100 0.1 0.15  1.8734  1.8771 | call 110 0.1 0.15  9.9413 10.0089
call  90 0.1 0.25  0.3150  0.3159 | call 100 0.1 0.25  3.1217  3.1280 | call 110 0.1 0.25 10.3556 10.3919
call  90 0.1 0.35  0.9474  0.9495 | call 100 0.1 0.35  4.3693  4.3777 | call 110 0.1 0.35 11.1381 11.1679
call  90 0.5 0.15  0.8069  0.8208 | call 100 0.5 0.15  4.0232  4.0842 | call 110 0.5 0.15 10.5769 10.8087
call  90 0.5 0.25  2.7026  2.7437 | call 100 0.5 0.25  6.6997  6.8015 | call 110 0.5 0.25 12.7857 13.0170
call  90 0.5 0.35  4.9329  5.0063 | call 100 0.5 0.35  9.3679  9.5106 | call 110 0.5 0.35 15.3086 15.5689
put   90 0.1 0.15  9.9210 10.0000 | put  100 0.1 0.15  1.8734  1.8770 | put  110 0.1 0.15  0.0408  0.0410
put   90 0.1 0.25 10.2155 10.2533 | put  100 0.1 0.25  3.1217  3.1277 | put  110 0.1 0.25  0.4551  0.4562
put   90 0.1 0.35 10.8479 10.8787 | put  100 0.1 0.35  4.3693  4.3777 | put  110 0.1 0.35  1.2376  1.2402
put   90 0.5 0.15 10.3192 10.5595 | put  100 0.5 0.15  4.0232  4.0842 | put  110 0.5 0.15  1.0646  1.0822
put   90 0.5 0.25 12.2149 12.4419 | put  100 0.5 0.25  6.6997  6.8014 | put  110 0.5 0.25  3.2734  3.3226
put   90 0.5 0.35 14.4452 14.6945 | put  100 0.5 0.35  9.3679  9.5104 | put  110 0.5 0.35  5.7963  5.8823
"""


@pytest.mark.parametrize("row", [r for r in PAGE_24.replace("\n", "|").split("|") if r.strip()])
def test_black_76_and_barone_adesi_whaley(row: str) -> None:
    kind, spot, time, volatility, european, american = row.split()
    words = f"{kind} {spot} 100 0.1 {volatility} {time}"
    assert asked(words, underlying="future").value("price") == pytest.approx(float(european), abs=1e-4)
    approximate = asked(words, underlying="future", exercise="american", method="barone_adesi_whaley")
    assert approximate.value("price") == pytest.approx(float(american), abs=3e-3)
    exact = asked(words, underlying="future", exercise="american")
    assert exact.value("price") == pytest.approx(float(american), abs=0.04)
    assert exact.value("early_exercise_premium") > 0


GREEKS: list[tuple[str, str, dict[str, Any], dict[str, tuple[float, float]]]] = [
    (f"{HULL}, chapter 19, the hedger's call", "call 49 50 0.05 0.2 20/52", {}, {
        "delta": (0.522, 5e-4), "gamma": (0.066, 5e-4), "vega": (12.1, 0.05), "theta": (-4.31, 0.005),
        "theta_per_day": (-0.0118, 5e-5), "theta_per_trading_day": (-0.0171, 5e-5), "rho": (8.91, 0.005),
        "vega_per_point": (0.121, 5e-4), "rho_per_point": (0.0891, 5e-5),
    }),
    (f"{HULL}, example 15.6", "call 42 40 0.1 0.2 0.5", {}, {
        "d1": (0.7693, 5e-5), "d2": (0.6278, 5e-5), "n_d1": (0.7791, 5e-5), "probability_in_the_money": (0.7349, 5e-5),
    }),
    (f"{HULL}, example 19.9, portfolio insurance", "put 90 87 0.09 0.25 0.5", {"dividend_yield": 0.03}, {
        "d1": (0.4499, 5e-5), "delta": (-0.3215, 5e-5),
    }),
    ("Haug 1998, p. 12", "call 105 100 0.1 0.36 0.5", {"underlying": "future"}, {"delta": (0.5946, 1e-4)}),
    ("Haug 1998, p. 12", "put 105 100 0.1 0.36 0.5", {"underlying": "future"}, {"delta": (-0.3566, 1e-4)}),
    ("Haug 1998, p. 12", "put 105 100 0.1 0.36 0.5", {"underlying": "future"}, {"elasticity": (-4.8775, 1e-4)}),
    ("Haug 1998, p. 13", "put 55 60 0.1 0.3 0.75", {}, {"gamma": (0.0278, 1e-4), "vega": (18.9358, 1e-4)}),
    ("Haug 1998, p. 14", "put 430 405 0.07 0.2 1/12", {"dividend_yield": 0.05}, {
        "theta": (-31.1924, 1e-4), "theta_per_day": (-0.0855, 1e-4),
    }),
    ("Haug 1998, p. 15", "call 72 75 0.09 0.19 1", {}, {"rho": (38.7325, 1e-4)}),
    ("Haug 1998, p. 16", "put 500 490 0.08 0.15 0.25", {"dividend_yield": 0.05}, {"dividend_rho": (42.2254, 1e-4)}),
    ("Haug 2007, DdeltaDvol", "call 90 80 0.05 0.2 0.25", {}, {"vanna": (-1.0008, 1e-4)}),
    ("Haug 2007, DvegaDvol", "call 90 130 0.05 0.28 0.75", {"underlying": "future"}, {"volga": (92.3444, 1e-4)}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "words", "more", "published"), GREEKS)
def test_greeks(source: str, words: str, more: dict[str, Any], published: Mapping[str, tuple[float, float]]) -> None:
    evidence = asked(words, **more)
    for name, (value, within) in published.items():
        assert evidence.value(name) == pytest.approx(value, abs=within), (source, name)


TREES: list[tuple[str, str, dict[str, Any], int, float, float]] = [
    (f"{HULL}, 21.1, American put", "put 50 50 0.1 0.4 5/12", {"exercise": "american"}, 5, 4.49, 0.005),
    (f"{HULL}, 21.1, European put", "put 50 50 0.1 0.4 5/12", {}, 5, 4.32, 0.005),
    (f"{HULL}, 21.1, 30 steps", "put 50 50 0.1 0.4 5/12", {"exercise": "american"}, 30, 4.263, 5e-4),
    (f"{HULL}, 21.1, 50 steps", "put 50 50 0.1 0.4 5/12", {"exercise": "american"}, 50, 4.272, 5e-4),
    (f"{HULL}, 21.1, 100 steps", "put 50 50 0.1 0.4 5/12", {"exercise": "american"}, 100, 4.278, 5e-4),
    (f"{HULL}, 21.1, 500 steps", "put 50 50 0.1 0.4 5/12", {"exercise": "american"}, 500, 4.283, 5e-4),
    (f"{HULL}, 21.3, dollar dividend", "put 52 50 0.1 0.4 5/12",
     {"exercise": "american", "dividends": {"3.5/12": 2.06}}, 5, 4.44, 0.005),
    (f"{HULL}, example 21.1, index future", "call 300 300 0.08 0.3 4/12",
     {"exercise": "american", "underlying": "future"}, 4, 19.16, 0.005),
    (f"{HULL}, example 21.2, sterling", "put 1.61 1.60 0.08 0.12 1",
     {"exercise": "american", "dividend_yield": 0.09}, 4, 0.0710, 5e-5),
    (f"{HULL}, figure 13.11, index", "call 810 800 0.05 0.2 0.5", {"dividend_yield": 0.02}, 2, 53.39, 0.005),
    (f"{HULL}, figure 13.12, currency", "call 0.61 0.60 0.05 0.12 0.25",
     {"exercise": "american", "dividend_yield": 0.07}, 3, 0.019, 5e-4),
    (f"{HULL}, figure 13.13, future", "put 31 30 0.05 0.3 0.75",
     {"exercise": "american", "underlying": "future"}, 3, 2.84, 0.005),
]  # fmt: skip


@pytest.mark.parametrize(("source", "words", "more", "steps", "published", "within"), TREES)
def test_trees(source: str, words: str, more: dict[str, Any], steps: int, published: float, within: float) -> None:
    made = asked(words, method="binomial", steps=steps, **more)
    assert made.value("price") == pytest.approx(published, abs=within), source


def test_a_tree_as_drawn_in_hull() -> None:
    """Hull 21.1: u 1.1224, d 0.8909, p 0.5073; delta -0.41, gamma 0.03, theta -4.3; control variate 4.25."""
    made = asked("put 50 50 0.1 0.4 5/12", exercise="american", method="binomial", steps=5)
    for name, value, within in (
        ("up", 1.1224, 5e-5),
        ("down", 0.8909, 5e-5),
        ("probability_up", 0.5073, 5e-5),
        ("delta", -0.41, 0.005),
        ("gamma", 0.03, 0.005),
        ("theta", -4.3, 0.05),
        ("theta_per_day", -0.012, 5e-4),
        ("control_variate_price", 4.25, 0.006),
    ):
        assert made.value(name) == pytest.approx(value, abs=within), name


@pytest.mark.parametrize(
    ("words", "exercise", "steps", "up", "down", "published"),
    [
        ("call 20 21 0.12 0 0.25", "european", 1, 1.1, 0.9, 0.633),
        ("call 20 21 0.12 0 0.5", "european", 2, 1.1, 0.9, 1.2823),
        ("put 50 52 0.05 0 2", "european", 2, 1.2, 0.8, 4.1923),
        ("put 50 52 0.05 0 2", "american", 2, 1.2, 0.8, 5.0894),
    ],
)
def test_trees_of_given_moves(words: str, exercise: str, steps: int, up: float, down: float, published: float) -> None:
    """Hull, chapter 13 (9th edition), figures 13.1, 13.4, 13.7 and 13.8."""
    made = asked(words, exercise=exercise, method="binomial", steps=steps, up=up, down=down)
    assert made.value("price") == pytest.approx(published, abs=5e-4)
    assert "vega" not in made.figures


def test_cox_ross_rubinstein_three_periods() -> None:
    """Their example: 80, strike 80, up 1.5, down 0.5, interest 10 % a period: 45.36 / 1.331, printed as 34.065."""
    made = asked("call 80 80 0.1 0 3", compounding="annual", method="binomial", steps=3, up=1.5, down=0.5)
    assert made.value("price") == pytest.approx(45.36 / 1.331, rel=1e-12)
    assert made.value("probability_up") == pytest.approx(0.6, rel=1e-12)


# Longstaff and Schwartz 2001, table 1: American put, strike 40, rate 6 %; by finite differences with 50 exercise
# times a year, so that the true American price lies a little above.
LSM = """36 .2 1 4.478 | 36 .2 2 4.840 | 36 .4 1 7.101 | 36 .4 2 8.508 | 38 .2 1 3.250 | 38 .2 2 3.745 | 38 .4 1 6.148
| 38 .4 2 7.670 | 40 .2 1 2.314 | 40 .2 2 2.885 | 40 .4 1 5.312 | 40 .4 2 6.920 | 42 .2 1 1.617 | 42 .2 2 2.212
| 42 .4 1 4.582 | 42 .4 2 6.248 | 44 .2 1 1.110 | 44 .2 2 1.690 | 44 .4 1 3.948 | 44 .4 2 5.647"""


@pytest.mark.parametrize("row", LSM.split("|"))
def test_american_puts_of_longstaff_and_schwartz(row: str) -> None:
    spot, volatility, time, published = row.split()
    made = asked(f"put {spot} 40 0.06 {volatility} {time}", exercise="american").value("price")
    assert -0.002 < made - float(published) < 0.012
    fast = american_value(float(spot), 40, 0.06, float(volatility), float(time), "put")
    assert fast == pytest.approx(made, abs=1e-4)


def test_early_exercise_premium_of_andersen_lake_offengenden() -> None:
    """Their table 2: rate and yield 5 %, volatility 25 %, one year, spot and strike 100: 0.106952702747."""
    made = asked("put 100 100 0.05 0.25 1", exercise="american", dividend_yield=0.05)
    assert made.value("early_exercise_premium") == pytest.approx(0.106952702747, abs=1e-9)


@pytest.mark.parametrize(
    ("words", "pays", "published"),
    [
        ("call 42 40 0.04 0.35 0.75", 0.08, 5.2704),
        ("put 36 40 0.06 0.2 1", 0.0, 4.4531),
        ("call 100 100 0.05 0.0021 1", 0.05, 0.08032314),
        ("call 110 100 0.05 0.0001 1", 0.05, 10.0),
        ("put 100 110 0.05 0.0001 1", 0.05, 10.0),
    ],
)
def test_bjerksund_stensland_1993(words: str, pays: float, published: float) -> None:
    """Haug 1998, p. 27 and his code; QuantLib's test suite, americanoption.cpp."""
    made = asked(words, dividend_yield=pays, exercise="american", method="bjerksund_stensland")
    assert made.value("price") == pytest.approx(published, abs=5e-5)


# Ju and Zhong 1999, exhibit 3 (spot 40, rate 4.88 %, put: strike, time, volatility) and exhibit 6 (three-year call,
# strike 100: spot, yield, rate, volatility).
SHORT = """35 0.0833 0.2 0.006 | 35 0.3333 0.2 0.201 | 40 0.0833 0.2 0.851 | 40 0.3333 0.2 1.576 | 45 0.0833 0.2 5.000
| 45 0.5833 0.2 5.260 | 35 0.5833 0.3 1.218 | 40 0.5833 0.3 3.161 | 45 0.3333 0.3 5.699 | 35 0.3333 0.4 1.344
| 40 0.3333 0.4 3.381 | 45 0.5833 0.4 7.367"""
LONG = """80 0.07 0.03 0.2 2.605 | 100 0.07 0.03 0.2 9.065 | 120 0.07 0.03 0.2 21.398 | 90 0.07 0.03 0.4 15.711
| 100 0.07 0.00001 0.3 13.158 | 110 0.03 0.07 0.3 30.028"""


@pytest.mark.parametrize("row", SHORT.split("|"))
def test_ju_quadratic_short_puts(row: str) -> None:
    strike, time, volatility, published = row.split()
    words = f"put 40 {strike} 0.0488 {volatility} {time}"
    made = asked(words, exercise="american", method="ju_quadratic")
    assert made.value("price") == pytest.approx(float(published), abs=1e-3)
    assert asked(words, exercise="american").value("price") == pytest.approx(float(published), abs=0.02)


@pytest.mark.parametrize("row", LONG.split("|"))
def test_ju_quadratic_long_calls(row: str) -> None:
    spot, pays, rate, volatility, published = row.split()
    words = f"call {spot} 100 {rate} {volatility} 3"
    made = asked(words, exercise="american", dividend_yield=pays, method="ju_quadratic")
    assert made.value("price") == pytest.approx(float(published), abs=1e-3)


def test_american_call_with_one_dividend() -> None:
    """Haug 1998, p. 21: Roll, Geske and Whaley 4.3860."""
    made = asked("call 80 82 0.06 0.3 0.3333", exercise="american", dividends="0.25=4")
    assert made.value("price") == pytest.approx(4.3860, abs=5e-4)


def test_black_approximation() -> None:
    """Hull, example 15.10: the greater of 3.67 (to expiry) and 3.52 (to the last ex-dividend day)."""
    made = asked("call 40 40 0.09 0.3 0.5", exercise="american", dividends={2 / 12: 0.5, 5 / 12: 0.5})
    assert made.value("black_approximation") == pytest.approx(3.67, abs=0.005)
    early = asked("call 40 40 0.09 0.3 5/12", dividends={2 / 12: 0.5})
    assert early.value("price") == pytest.approx(3.52, abs=0.005)
    assert made.value("price") > 3.67


# Haug 1998, p. 72: spot 100, rate 8 %, yield 4 %, half a year, rebate 3.
# type, level, strike; call at volatility 25 % and 30 %, put at 25 % and 30 %
PAGE_72 = """
down_out  95  90  9.0246  8.8334  2.2798  2.4170 | down_out  95 100  6.7924  7.0285  2.2947  2.4258
down_out  95 110  4.8759  5.4137  2.6252  2.6246 | down_out 100  90  3.0000  3.0000  3.0000  3.0000
down_out 100 100  3.0000  3.0000  3.0000  3.0000 | down_out 100 110  3.0000  3.0000  3.0000  3.0000
up_out   105  90  2.6789  2.6341  3.7760  4.2293 | up_out   105 100  2.3580  2.4389  5.4932  5.8032
up_out   105 110  2.3453  2.4315  7.5187  7.5649 | down_in   95  90  7.7627  9.0093  2.9586  3.8769
down_in   95 100  4.0109  5.1370  6.5677  7.7989 | down_in   95 110  2.0576  2.8517 11.9752 13.3078
down_in  100  90 13.8333 14.8816  2.2845  3.3328 | down_in  100 100  7.8494  9.2045  5.9085  7.2636
down_in  100 110  3.9795  5.3043 11.6465 12.9713 | up_in    105  90 14.1112 15.2098  1.4653  2.0658
up_in    105 100  8.4482  9.7278  3.3721  4.4226 | up_in    105 110  4.5910  5.8350  7.0846  8.3686
"""


@pytest.mark.parametrize("row", [r for r in PAGE_72.replace("\n", "|").split("|") if r.strip()])
def test_barriers(row: str) -> None:
    name, level, strike, *published = row.split()
    cases = [(k, v) for k in KINDS for v in ("0.25", "0.30")]
    for (kind, volatility), value in zip(cases, published, strict=True):
        made = asked(
            f"{kind} 100 {strike} 0.08 {volatility} 0.5",
            dividend_yield=0.04, barrier_type=name, barrier=level, rebate=3,
        )  # fmt: skip
        assert made.value("price") == pytest.approx(float(value), abs=1e-4), (kind, volatility)


def test_a_barrier_looked_at_now_and_then() -> None:
    """Broadie, Glasserman and Kou 1997, table 1: down-and-out call at 85: 6.308 watched always, 6.322 at 50 times."""
    for looks, published in ((None, 6.308), (50, 6.322)):
        made = asked("call 100 100 0.1 0.3 0.2", barrier_type="down_out", barrier=85, monitoring=looks)
        assert made.value("price") == pytest.approx(published, abs=5e-4)


def test_a_barrier_that_was_touched() -> None:
    plain = asked("call 100 100 0.05 0.2 1")
    touched = asked("call 100 100 0.05 0.2 1", barrier_type="up_in", barrier=90)
    for name in ("price", "delta", "vega", "theta"):
        assert touched.value(name) == plain.value(name)
    assert asked("call 100 100 0.05 0.2 1", barrier_type="up_out", barrier=90).value("price") == 0


def test_implied_volatility_of_hull() -> None:
    """Hull, 15.11: a call of 1.875 on 21, strike 20, rate 10 %, three months: 0.235 (0.2345)."""
    made = implied_volatility(price=1.875, spot=21, strike=20, rate=0.1, time=0.25, kind="call")
    assert made.value("implied_volatility") == pytest.approx(0.2345, abs=5e-5)


def test_dates_in_place_of_time() -> None:
    same = option(
        spot=100, strike=95, rate=0.05, volatility=0.2, kind="put", valuation_date="2024-01-01", expiry="2024-12-31"
    )
    assert same.value("price") == asked("put 100 95 0.05 0.2 1").value("price")
    other = option(
        spot=100, strike=95, rate=0.05, volatility=0.2, kind="put", valuation_date="2024-01-01", expiry="2025-01-01",
        day_count="Actual/Actual ISDA", dividends={"2024-07-01": 1.0},
    )  # fmt: skip
    assert other.value("time") == pytest.approx(1)
    assert other.value("price") == pytest.approx(
        asked("put 100 95 0.05 0.2 1", dividends={"182/366": 1}).value("price"), rel=1e-9
    )


def test_compounding_of_the_rate() -> None:
    """10 % with semiannual compounding is 9.758 % continuously compounded (Hull, example 4.2)."""
    semiannual = asked("call 100 100 0.1 0.2 1", compounding="semiannual")
    assert semiannual.value("price") == pytest.approx(
        asked(f"call 100 100 {2 * math.log(1.05)} 0.2 1").value("price"), rel=1e-12
    )


def test_zero_volatility() -> None:
    made = asked("call 100 90 0.05 0 1")
    assert made.value("price") == pytest.approx(100 - 90 * math.exp(-0.05))
    assert "delta" not in made.figures
    assert made.missing == ("greeks: none at zero volatility",)
    assert asked("put 90 100 0.05 0 1", exercise="american").value("price") == 10
    waits = asked("call 100 90 0.1 0 1", exercise="american", dividend_yield=0.1).value("price")
    assert waits == pytest.approx(10)
    turn = math.log(0.02 * 100 / (0.01 * 100)) / (0.02 - 0.01)
    late = american_value(100, 100, 0.02, 0.0, 200, "call", 0.01)
    assert late == pytest.approx(100 * (math.exp(-0.01 * turn) - math.exp(-0.02 * turn)))


def test_two_exercise_boundaries_are_priced_on_a_grid() -> None:
    """A yield below a negative rate, where QD+ cannot go; checked against a tree."""
    made = asked("put 100 100 -0.01 0.25 1", exercise="american", dividend_yield=-0.02).value("price")
    drawn = tree(Option(100, 100, -0.01, 0.25, 1, "put", "american", -0.02), 2000).price
    assert made == pytest.approx(drawn, abs=4e-3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"time": 0}, "needs an option that has not expired; 0 years are left"),
    ({"time": -1}, "needs an option that has not expired; -1 years are left"),
    ({"time": None}, "needs time in years, or both valuation_date and expiry"),
    ({"expiry": "2024-01-01"}, "needs time in years, or both valuation_date and expiry"),
    ({"spot": 0}, "needs a spot above zero; got 0"),
    ({"strike": -5}, "needs a strike above zero; got -5"),
    ({"volatility": -0.2}, "needs a volatility of zero or more; got -0.2"),
    ({"volatility": None}, "needs a volatility, or up and down"),
    ({"volatility": 200}, "needs rates and volatility as fractions a year"),
    ({"up": 1.1}, "needs both up and down"),
    ({"up": 1.1, "down": 1.06, "method": "binomial", "steps": 1}, "needs moves with down < growth < up"),
    ({"barrier": 90}, "needs both barrier_type and barrier"),
    ({"barrier": -90, "barrier_type": "down_in"}, "needs a barrier above zero; got -90"),
    ({"barrier": 90, "barrier_type": "down_in", "exercise": "american"}, "needs exercise european for a barrier"),
    ({"barrier": 90, "barrier_type": "down_in", "method": "binomial"}, "needs method auto for a barrier option"),
    ({"barrier": 90, "barrier_type": "down_in", "dividends": "0.5=1"}, "no cash dividends for a barrier option"),
    ({"exercise": "american", "method": "black_scholes"}, "needs exercise european for black_scholes"),
    ({"method": "barone_adesi_whaley"}, "needs exercise american for barone_adesi_whaley"),
    ({"method": "leisen_reimer", "dividends": "0.5=1"}, "needs a method that takes cash dividends"),
    ({"dividends": "0.5=200"}, "needs dividends worth less than the spot"),
    ({"dividends": "soon=2"}, "needs dividends of zero or more at times after now"),
    ({"underlying": "future", "dividend_yield": 0.02}, "needs no dividend_yield for a future"),
    ({"volatility": 0, "dividends": "0.5=1", "exercise": "american"}, "needs a volatility above zero"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_refusals(more: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"spot": 100, "strike": 100, "rate": 0.05, "volatility": 0.2, "kind": "call", "time": 1}
    with pytest.raises(NotComputed, match=message):
        option(**(whole | more))


def test_prices_that_no_volatility_gives() -> None:
    terms: dict[str, Any] = {"spot": 100, "strike": 90, "rate": 0.05, "time": 1, "kind": "call"}
    for price in (14.0, 100.0, -1.0):
        with pytest.raises(NotComputed, match=r"needs a price above 14.3894 and below 100, the bounds of no arbitrage"):
            implied_volatility(price=price, **terms)
    with pytest.raises(NotComputed, match="needs a price above 10 and below 100"):
        implied_volatility(price=10, **(terms | {"spot": 90, "strike": 100, "kind": "put", "exercise": "american"}))
    with pytest.raises(UsageError, match="kind"):
        implied_volatility(price=10, **(terms | {"kind": "both"}))


def test_a_dividend_after_expiry_is_left_out() -> None:
    made = asked("call 100 100 0.05 0.2 1", dividends="2=5")
    assert made.missing == ("dividend of 5 at 2 years: after expiry, left out",)
    assert made.value("price") == asked("call 100 100 0.05 0.2 1").value("price")


def test_what_a_model_may_not_make_up() -> None:
    assert measured(option) == {"spot", "rate", "volatility", "dividend_yield", "dividends", "barrier"}
    assert "price" in measured(implied_volatility)


def test_other_ways_agree_with_the_best() -> None:
    words = "put 100 105 0.05 0.3 0.75"
    exact = asked(words, exercise="american", dividend_yield=0.02)
    for method, within in (
        ("binomial", 0.01),
        ("jarrow_rudd", 0.01),
        ("leisen_reimer", 0.002),
        ("finite_difference", 0.003),
        ("barone_adesi_whaley", 0.05),
    ):
        made = asked(words, exercise="american", dividend_yield=0.02, method=method)
        assert made.value("price") == pytest.approx(exact.value("price"), abs=within), method
        for greek, wide in (("delta", 5e-3), ("gamma", 1e-3), ("vega", 0.4), ("theta", 0.15), ("rho", 1.5)):
            assert made.value(greek) == pytest.approx(exact.value(greek), abs=wide), (method, greek)
