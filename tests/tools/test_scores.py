"""DuPont, Altman, Piotroski and Beneish of stated items, against textbooks, papers and filings."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.accounts import ALSO_CALLED, NAMES
from openoutcry.tools.altman import altman_z
from openoutcry.tools.beneish import beneish_m
from openoutcry.tools.dupont import dupont
from openoutcry.tools.piotroski import piotroski_f

# Apple's 10-K of fiscal 2021, in millions of dollars, and its balance sheets of the two years before.
AAPL = {
    **{"revenue": 365_817, "cost_of_revenue": 212_981, "selling_general_admin": 21_973, "depreciation": 11_284},
    **{"operating_income": 108_949, "pretax_income": 109_207, "income_tax": 14_527, "net_income": 94_680},
    **{"operating_cash_flow": 104_038, "current_assets": 134_836, "receivables": 26_278, "total_assets": 351_002},
    **{"property_plant_equipment": 39_440, "current_liabilities": 125_481, "long_term_debt": 109_106},
    **{"total_liabilities": 287_912, "retained_earnings": 5_562, "total_equity": 63_090},
    "shares_outstanding": 16_426.786,
}
AAPL_2020 = {
    **{"revenue": 274_515, "cost_of_revenue": 169_559, "selling_general_admin": 19_916, "depreciation": 11_056},
    **{"operating_income": 66_288, "pretax_income": 67_091, "income_tax": 9_680, "net_income": 57_411},
    **{"operating_cash_flow": 80_674, "current_assets": 143_713, "receivables": 16_120, "total_assets": 323_888},
    **{"property_plant_equipment": 36_766, "current_liabilities": 105_392, "long_term_debt": 98_667},
    **{"total_liabilities": 258_549, "retained_earnings": 14_966, "total_equity": 65_339},
    **{"shares_outstanding": 16_976.763, "beginning_assets": 338_516},
}
MONEY = st.floats(1, 1e12)
OWED = st.just(0.0) | MONEY


def values(evidence: Evidence, *names: str) -> list[Any]:
    return [evidence.figures[n].value for n in names]


# DuPont -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ebit", "interest", "sales", "equity", "expected"),
    # Bodie, Kane and Marcus, Investments, "Ratio decomposition analysis for Nodett and Somdett": assets of 100
    # million, tax of 40 %, Somdett owes 40 million at 8 %. ROE, then the five factors as printed.
    [
        (5, 0, 80, 100, (0.030, 0.6, 1.000, 0.0625, 0.800, 1.000)),
        (5, 3.2, 80, 60, (0.018, 0.6, 0.360, 0.0625, 0.800, 1.667)),
        (10, 0, 100, 100, (0.060, 0.6, 1.000, 0.100, 1.000, 1.000)),
        (10, 3.2, 100, 60, (0.068, 0.6, 0.680, 0.100, 1.000, 1.667)),
        (15, 0, 120, 100, (0.090, 0.6, 1.000, 0.125, 1.200, 1.000)),
        (15, 3.2, 120, 60, (0.118, 0.6, 0.787, 0.125, 1.200, 1.667)),
    ],
)
def test_dupont_of_nodett_and_somdett(
    ebit: float, interest: float, sales: float, equity: float, expected: tuple[float, ...]
) -> None:
    income = 0.6 * (ebit - interest)
    items = {"ebit": ebit, "interest_expense": interest, "revenue": sales, "net_income": income}
    evidence = dupont(items=items | {"total_assets": 100, "total_equity": equity})
    names = ("roe", "tax_burden", "interest_burden", "ebit_margin", "asset_turnover", "equity_multiplier")
    assert values(evidence, *names) == pytest.approx(expected, abs=5.1e-4)
    assert evidence.missing == ()
    five: dict[str, float] = dict(zip(names[1:], values(evidence, *names[1:]), strict=True))
    assert dupont(ratios=five).value("roe") == pytest.approx(evidence.value("roe"))


@pytest.mark.parametrize(
    ("income", "revenue", "assets", "equity", "roe"),
    # Investopedia, "DuPont analysis", the example of SuperCo in two years.
    [(180_000, 300_000, 500_000, 900_000, 0.20), (170_000, 327_000, 545_000, 980_000, 0.17)],
)
def test_dupont_of_superco(income: float, revenue: float, assets: float, equity: float, roe: float) -> None:
    items = {"net_income": income, "sales": revenue, "assets": assets, "equity": equity}
    evidence = dupont(items=items)
    assert evidence.value("roe") == pytest.approx(roe, abs=0.005)
    assert evidence.missing == ("five steps: needs ebit (operating_income), pretax_income of the items stated",)


def test_dupont_of_apple_in_2021() -> None:
    """Fiscal 2021 from the 10-K: 94,680 over 63,090 of equity, or over the average of 65,339 and 63,090."""
    end = dupont(items=AAPL)
    assert values(end, "roe", "net_margin", "asset_turnover") == pytest.approx([1.50071, 0.258818, 1.042208], abs=1e-5)
    average = dupont(items=AAPL, prior=AAPL_2020, balances="average")
    assert values(average, "roe", "roa") == pytest.approx([94_680 / 64_214.5, 94_680 / 337_445])
    begun = dupont(items=AAPL, prior=AAPL_2020, balances="beginning")
    assert values(begun, "roe", "asset_turnover") == pytest.approx([94_680 / 65_339, 365_817 / 323_888])


def test_dupont_of_given_factors() -> None:
    evidence = dupont(ratios={"net_margin": 0.05, "asset_turnover": 1.5, "equity_multiplier": 2.0})
    assert values(evidence, "roe", "roa") == pytest.approx([0.15, 0.075])


@given(income=MONEY, revenue=MONEY, assets=MONEY, equity=MONEY, tax=OWED, interest=OWED)
def test_the_factors_multiply_to_the_return_on_equity(
    income: float, revenue: float, assets: float, equity: float, tax: float, interest: float
) -> None:
    items = {"net_income": income, "revenue": revenue, "total_assets": assets, "total_equity": equity}
    evidence = dupont(items=items | {"income_tax": tax, "interest_expense": interest}, ebit="pretax_plus_interest")
    three = ("net_margin", "asset_turnover", "equity_multiplier")
    five = ("tax_burden", "interest_burden", "ebit_margin", *three[1:])
    for factors in (three, five):
        assert math.prod(values(evidence, *factors)) == pytest.approx(income / equity)
    assert evidence.value("roe") == pytest.approx(income / equity)


# Altman -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "more", "z"),
    [
        # Saunders and Cornett, Financial Institutions Management, chapter on credit risk: Z = 1.64.
        ((0.2, 0, -0.20, 0.10, 2.0), {"sales_weight": 1.0}, 1.64),
        # An exercise printed with its solution, 2.70 (x5 weighted 1.0).
        ((0.34, 0.15, 0.00, 0.80, 1.6), {"sales_weight": 1.0}, 2.70),
        # Hull, Risk Management and Financial Institutions, example of the Z-score: 5.46.
        ((0.254, 0.448, 0.0896, 1.583, 3.284), {}, 5.46),
    ],
)
def test_z_of_published_ratios(x: tuple[float, ...], more: dict[str, Any], z: float) -> None:
    evidence = altman_z(ratios={f"X{i}": v for i, v in enumerate(x, 1)}, **more)
    assert evidence.value("z") == pytest.approx(z, abs=0.005)


def test_z_of_hull_s_company() -> None:
    """Hull: working capital 170,000 and so on give X1 to X5 as printed, and Z = 5.46: no danger of default."""
    items: dict[str, float] = {"working_capital": 170_000, "total_assets": 670_000, "ebit": 60_000}
    items |= {"sales": 2_200_000, "market_value": 380_000, "total_liabilities": 240_000, "retained_earnings": 300_000}
    evidence = altman_z(items=items)
    expected = [0.254, 0.448, 0.0896, 1.583, 3.284]
    assert values(evidence, "x1", "x2", "x3", "x4", "x5") == pytest.approx(expected, abs=5.1e-4)
    assert evidence.value("z") == pytest.approx(5.46, abs=0.005)
    assert values(evidence, "zone", "distress_below", "safe_above") == ["safe", 1.81, 2.99]
    less = {k: v for k, v in items.items() if k != "market_value"}
    assert altman_z(items=less, market_value=380_000).value("z") == evidence.value("z")


@pytest.mark.parametrize(
    ("variant", "weights", "constant", "edges"),
    # Altman (2000), Predicting Financial Distress of Companies: Z, Z' and Z''; Altman (2005), An emerging market
    # credit scoring system, Z'' + 3.25.
    [
        ("original", (1.2, 1.4, 3.3, 0.6, 0.999), 0, (1.81, 2.99)),
        ("private", (0.717, 0.847, 3.107, 0.420, 0.998), 0, (1.23, 2.90)),
        ("non_manufacturing", (6.56, 3.26, 6.72, 1.05), 0, (1.10, 2.60)),
        ("emerging", (6.56, 3.26, 6.72, 1.05), 3.25, (4.35, 5.85)),
    ],
)
def test_the_weights_and_zones_of_each_variant(
    variant: Any, weights: tuple[float, ...], constant: float, edges: tuple[float, float]
) -> None:
    none = {f"x{i}": 0.0 for i in range(1, len(weights) + 1)}
    assert altman_z(ratios=none, variant=variant).value("z") == constant
    for i, weight in enumerate(weights, 1):
        evidence = altman_z(ratios=none | {f"x{i}": 1.0}, variant=variant)
        assert evidence.value("z") == pytest.approx(constant + weight)
    for z, zone in zip((edges[0] - 1e-6, edges[0] + 1e-6, edges[1] - 1e-6, edges[1] + 1e-6), _ZONES, strict=True):
        evidence = altman_z(ratios=none | {"x1": (z - constant) / weights[0]}, variant=variant)
        assert evidence.figures["zone"].value == zone


_ZONES = ("distress", "grey", "grey", "safe")


def test_private_and_later_variants_take_the_book_value_of_equity() -> None:
    for variant, x4, z in (
        ("private", 63_090 / 287_912, None),
        # By hand: 6.56 * 0.026652 + 3.26 * 0.015846 + 6.72 * 0.310394 + 1.05 * 0.219129 = 2.542433.
        ("non_manufacturing", 63_090 / 287_912, 2.542433),
        ("emerging", 63_090 / 287_912, 5.792433),
    ):
        evidence = altman_z(items=AAPL, variant=variant)  # type: ignore[arg-type]  # one of its words
        assert evidence.value("x4") == pytest.approx(x4)
        assert ("x5" in evidence.figures) == (variant == "private")
        if z is not None:
            assert evidence.value("z") == pytest.approx(z, abs=2e-6)


def test_ebit_is_what_was_asked_for() -> None:
    items = AAPL | {"market_value": 2.4e6, "interest_expense": 2_645}
    assert altman_z(items=items).value("x3") == pytest.approx(108_949 / 351_002)
    assert altman_z(items=items, ebit="pretax_plus_interest").value("x3") == pytest.approx(111_852 / 351_002)
    assert altman_z(items=items | {"ebit": 1}, ebit="pretax_plus_interest").value("x3") == pytest.approx(1 / 351_002)
    without = {k: v for k, v in items.items() if k != "operating_income"}
    evidence = altman_z(items=without)
    assert evidence.value("x3") == pytest.approx(111_852 / 351_002)
    assert "ebit = pretax_income + interest_expense" in evidence.conventions["derived"]


# Piotroski --------------------------------------------------------------------------------------------


def test_f_of_apple_in_2021() -> None:
    """By hand from the 10-K: debt over average assets 32.3 % after 29.8 %, current ratio 1.07 after 1.36; else good."""
    evidence = piotroski_f(items=AAPL, prior=AAPL_2020)
    signs = [*("f_roa", "f_cfo", "f_delta_roa", "f_accrual", "f_delta_leverage", "f_delta_liquidity")]
    signs += ["f_equity_offer", "f_delta_margin", "f_delta_turnover"]
    assert values(evidence, *signs) == [1, 1, 1, 1, 0, 0, 1, 1, 1]
    assert evidence.value("f_score") == 7
    names = ("roa", "prior_roa", "cfo", "leverage", "prior_leverage", "current_ratio", "prior_current_ratio")
    expected = [94_680 / 323_888, 57_411 / 338_516, 104_038 / 323_888, 109_106 / 337_445, 98_667 / 331_202]
    assert values(evidence, *names) == pytest.approx([*expected, 134_836 / 125_481, 143_713 / 105_392])
    rest = ("gross_margin", "prior_gross_margin", "asset_turnover", "prior_asset_turnover")
    margins = [152_836 / 365_817, 104_956 / 274_515, 365_817 / 323_888, 274_515 / 338_516]
    assert values(evidence, *rest) == pytest.approx(margins)


def test_assets_may_be_those_of_the_end_or_the_average() -> None:
    end = piotroski_f(items=AAPL, prior={k: v for k, v in AAPL_2020.items() if k != "beginning_assets"}, assets="end")
    assert values(end, "roa", "leverage") == pytest.approx([94_680 / 351_002, 109_106 / 351_002])
    average = piotroski_f(items=AAPL, prior=AAPL_2020, assets="average")
    assert values(average, "roa", "prior_roa") == pytest.approx([94_680 / 337_445, 57_411 / 331_202])


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


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        ({}, set[str]()),
        ({"net_income": -1.0}, {"f_roa", "f_delta_roa"}),
        ({"operating_cash_flow": -1.0}, {"f_cfo", "f_accrual"}),
        ({"operating_cash_flow": 10.0}, {"f_accrual"}),
        ({"net_income": 5.0}, {"f_delta_roa"}),
        ({"long_term_debt": 25.0}, {"f_delta_leverage"}),
        ({"current_liabilities": 80 / 3}, {"f_delta_liquidity"}),
        ({"shares_outstanding": 50.1}, {"f_equity_offer"}),
        ({"gross_profit": 33.75}, {"f_delta_margin"}),
        ({"revenue": 80.0}, {"f_delta_turnover"}),
    ],
)
def test_each_signal_falls_to_what_it_watches(now: dict[str, float], lost: set[str]) -> None:
    """All nine hold of GOOD after BAD; a standstill is no improvement, but no new shares are none."""
    evidence = piotroski_f(items=GOOD | now, prior=BAD)
    signals = {n: f.value for n, f in evidence.figures.items() if n.startswith("f_") and n != "f_score"}
    assert {n for n, v in signals.items() if v == 0} == lost
    assert evidence.value("f_score") == 9 - len(lost) == sum(int(v) for v in signals.values())


# Beneish ----------------------------------------------------------------------------------------------

ONES: dict[str, float] = dict.fromkeys(("dsri", "gmi", "aqi", "sgi", "depi", "sgai", "lvgi"), 1.0)


def test_m_of_indices_that_stand_still() -> None:
    """With every index 1 and no accruals the eight weights sum to -2.48, the five to -2.919 (Beneish 1999)."""
    evidence = beneish_m(ratios=ONES | {"tata": 0.0})
    assert values(evidence, "m", "manipulator") == pytest.approx([-2.48, 0])
    five = {k: v for k, v in ONES.items() if k not in {"sgai", "lvgi"}}
    assert values(beneish_m(ratios=five, model="five"), "m", "threshold") == pytest.approx([-2.919, -2.22])


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        (
            "eight",
            {
                **{"dsri": 0.920, "gmi": 0.528, "aqi": 0.404, "sgi": 0.892},
                **{"depi": 0.115, "sgai": -0.172, "lvgi": -0.327, "tata": 4.679},
            },
        ),
        ("five", {"dsri": 0.823, "gmi": 0.906, "aqi": 0.593, "sgi": 0.717, "depi": 0.107}),
    ],
)
def test_the_weight_of_each_index(model: Any, weights: dict[str, float]) -> None:
    none = dict.fromkeys(weights, 0.0)
    base = beneish_m(ratios=none, model=model).value("m")
    assert base == {"eight": -4.84, "five": -6.065}[model]
    for name, weight in weights.items():
        assert beneish_m(ratios=none | {name: 1.0}, model=model).value("m") - base == pytest.approx(weight)


@pytest.mark.parametrize(
    ("indices", "m", "flagged"),
    # Beneish (1999), table 2: means of manipulators and of controls; M worked out by hand from the weights.
    [
        ((1.465, 1.193, 1.254, 1.607, 1.077, 1.041, 1.111, 0.031), -1.195681, 1),
        ((1.031, 1.014, 1.039, 1.134, 1.001, 1.054, 1.037, 0.018), -2.245854, 0),
    ],
)
def test_m_of_the_means_of_the_paper(indices: tuple[float, ...], m: float, flagged: int) -> None:
    names = [*ONES, "tata"]
    evidence = beneish_m(ratios=dict(zip(names, indices, strict=True)))
    assert values(evidence, "m", "manipulator") == [pytest.approx(m, abs=1e-6), flagged]
    assert evidence.value("probability") == pytest.approx(0.5 * math.erfc(-m / math.sqrt(2)))


@pytest.mark.parametrize(("limit", "flagged"), [(-1.49, 0), (-1.78, 0), (-1.89, 1), (-2.22, 1)])
def test_the_threshold_is_the_reader_s_choice(limit: float, flagged: int) -> None:
    """Beneish (1999) gives -1.49, -1.78 and -1.89 for relative costs of error of 40, 20 and 10 to 1."""
    evidence = beneish_m(ratios=ONES | {"tata": (2.48 - 1.80) / 4.679}, threshold=limit)
    assert values(evidence, "manipulator", "threshold") == [flagged, limit]


def test_m_of_apple_in_2021() -> None:
    """The eight indices by hand from two years of the 10-K."""
    evidence = beneish_m(items=AAPL, prior=AAPL_2020)
    hand = {
        "dsri": (26_278 / 365_817) / (16_120 / 274_515),
        "gmi": (104_956 / 274_515) / (152_836 / 365_817),
        "aqi": (1 - 174_276 / 351_002) / (1 - 180_479 / 323_888),
        "sgi": 365_817 / 274_515,
        "depi": (11_056 / 47_822) / (11_284 / 50_724),
        "sgai": (21_973 / 365_817) / (19_916 / 274_515),
        "lvgi": (234_587 / 351_002) / (204_059 / 323_888),
        "tata": (94_680 - 104_038) / 351_002,
    }
    assert values(evidence, *hand) == pytest.approx(list(hand.values()))
    assert evidence.value("m") == pytest.approx(beneish_m(ratios=hand).value("m"))
    five = beneish_m(items=AAPL, prior=AAPL_2020, model="five")
    assert "tata" not in five.figures
    weights = {"dsri": 0.823, "gmi": 0.906, "aqi": 0.593, "sgi": 0.717, "depi": 0.107}
    assert five.value("m") == pytest.approx(-6.065 + sum(w * hand[n] for n, w in weights.items()))


def test_accruals_of_the_balance_sheet_and_securities() -> None:
    """Beneish 1999: changes in current assets less cash, less those in debts but loans and tax, less depreciation."""
    now = {"cash": 34.0, "current_long_term_debt": 9.0, "income_tax_payable": 3.0, "long_term_investments": 50.0}
    old = {"cash": 38.0, "current_long_term_debt": 8.0, "income_tax_payable": 1.0, "long_term_investments": 40.0}
    items = {k: v / 1000 for k, v in AAPL.items()} | now
    prior = {k: v / 1000 for k, v in AAPL_2020.items()} | old
    evidence = beneish_m(items=items, prior=prior, accruals="balance_sheet", securities=True)
    change = (134.836 - 143.713) - (34 - 38) - ((125.481 - 105.392) - (9 - 8) - (3 - 1)) - 11.284
    assert evidence.value("tata") == pytest.approx(change / 351.002)
    assert evidence.value("aqi") == pytest.approx((1 - 224.276 / 351.002) / (1 - 220.479 / 323.888))


def test_an_index_without_its_items_is_one_where_that_is_asked_for() -> None:
    items = {k: v for k, v in AAPL.items() if k not in ("depreciation", "selling_general_admin")}
    evidence = beneish_m(items=items, prior=AAPL_2020, neutral=True)
    assert values(evidence, "depi", "sgai") == [1, 1]
    assert evidence.missing == (
        "depi: taken as 1, its items are not known",
        "sgai: taken as 1, its items are not known",
    )
    with pytest.raises(NotComputed, match="needs depreciation, selling_general_admin of the items stated"):
        beneish_m(items=items, prior=AAPL_2020)


# Of any currency --------------------------------------------------------------------------------------


@given(scale=st.floats(1e-3, 1e6))
def test_no_score_depends_on_the_currency(scale: float) -> None:
    def scaled(items: dict[str, float]) -> dict[str, float]:
        return {k: v if k == "shares_outstanding" else v * scale for k, v in items.items()}

    now, old = AAPL | {"market_value": 2.4e6}, AAPL_2020
    pairs = [
        (dupont(items=i, prior=p, balances="average"), altman_z(items=i), piotroski_f(items=i, prior=p),
         beneish_m(items=i, prior=p))
        for i, p in ((now, old), (scaled(now), scaled(old)))
    ]  # fmt: skip
    for first, second in zip(*pairs, strict=True):
        assert first.figures.keys() == second.figures.keys()
        for name, figure in first.figures.items():
            assert second.figures[name].value == (
                figure.value if isinstance(figure.value, str) else pytest.approx(figure.value, rel=1e-9)
            )


AMOUNTS = st.floats(1e-12, 1e18) | st.floats(-1e18, -1e-12) | st.just(0.0)


@given(items=st.dictionaries(st.sampled_from(NAMES), AMOUNTS, max_size=40), prior=st.booleans())
def test_whatever_is_stated_gives_a_number_or_says_what_it_needs(items: dict[str, float], prior: bool) -> None:
    before = {k: -v for k, v in items.items()} if prior else None
    for tool in (dupont, piotroski_f, beneish_m):
        try:
            evidence = tool(items=items, prior=before)
        except NotComputed as error:
            assert str(error).startswith("needs ")
        else:
            assert evidence.figures
    assume(items)
    try:
        altman_z(items=items)
    except NotComputed as error:
        assert re.match("needs ", str(error))


# Refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: dupont(), "needs one of ticker, items, ratios; got none"),
        (lambda: dupont(items=AAPL, ticker="AAPL"), "needs one of ticker, items, ratios; got ticker and items"),
        (lambda: piotroski_f(), "needs one of ticker, items; got none"),
        (lambda: piotroski_f(ticker="AAPL", prior=AAPL), "needs items beside prior; a ticker's year before"),
        (lambda: dupont(ticker="AAPL"), "needs a view of the warehouse to read AAPL; or state items"),
        (lambda: dupont(items=AAPL, fiscal_year=2021), "needs a ticker beside fiscal_year"),
        (lambda: dupont(items={"revenue": 1}), "needs net_income, total_assets, total_equity of the items stated"),
        (lambda: dupont(items=AAPL | {"total_equity": -5}), "needs total_equity above zero; that of the items"),
        (lambda: dupont(items=AAPL | {"revenue": 0}), "needs revenue above zero"),
        (
            lambda: dupont(items=AAPL, balances="average"),
            "needs total_assets, total_equity of the prior items stated",
        ),
        (lambda: dupont(ratios={"net_margin": 0.1}), "needs asset_turnover, equity_multiplier among the ratios; got"),
        (
            lambda: dupont(ratios={"net_margin": 1, "asset_turnover": 1, "equity_multiplier": 1, "roe": 1}),
            "needs ratios among net_margin, asset_turnover, equity_multiplier; got roe",
        ),
        (lambda: altman_z(ratios={"x1": 1}), "needs x2, x3, x4, x5 among the ratios; got x1"),
        (lambda: altman_z(items=AAPL), r"needs market_value \(not needed in a variant with book value"),
        (
            lambda: altman_z(items=AAPL | {"market_value": 1}, market_value=1),
            "needs market_value once; got it as an argument and among the items",
        ),
        (lambda: altman_z(items=AAPL | {"market_value": -1}), "needs market_value above zero"),
        (lambda: altman_z(items=AAPL, market_value=1, variant="private"), "needs the original model beside"),
        (
            lambda: altman_z(items=AAPL, sales_weight=1, variant="emerging"),
            "needs original or private beside sales_weight; emerging has no x5",
        ),
        (lambda: altman_z(items=AAPL | {"total_liabilities": 0}, variant="private"), "needs total_liabilities above"),
        (
            lambda: piotroski_f(items=AAPL, prior=AAPL),
            r"needs beginning_assets \(total_assets a year before; not needed where assets is end\) of the prior items",
        ),
        (
            lambda: piotroski_f(items=GOOD, prior=BAD | {"current_liabilities": 0}),
            "needs current_liabilities above zero; that of the prior items stated is 0",
        ),
        (lambda: beneish_m(items=AAPL), "needs receivables, revenue, gross_profit, current_assets"),
        (
            lambda: beneish_m(items=AAPL, prior=AAPL_2020 | {"receivables": 0}),
            "needs the receivables / revenue of the prior items stated other than zero",
        ),
        (lambda: beneish_m(items=AAPL, prior=AAPL_2020 | {"revenue": 0}), "needs revenue of the prior items stated"),
        (lambda: beneish_m(items=AAPL, prior=AAPL_2020, accruals="balance_sheet"), "needs cash, current_long_term"),
        (lambda: beneish_m(ratios=ONES), "needs tata among the ratios"),
    ],
)
def test_what_cannot_be_computed_is_said(call: Callable[[], Evidence], told: str) -> None:
    with pytest.raises(NotComputed, match=told):
        call()


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ({"workingcapital": 1}, "expected statement items, found workingcapital; did you mean working_capital"),
        ({"zzz": 1}, "expected statement items, found zzz; known are revenue"),
        ({"sales": 1, "Revenue": 2}, "expected each item once, found revenue twice"),
        ({"sales": "many"}, "items: "),
        ({"sales": math.nan}, "items: "),
        ({"sales": 1e19}, r"expected numbers from 1e-12 to 1e\+18 in size, or 0; sales is 1e\+19"),
        ({"sales": 5e-324}, "expected numbers from 1e-12"),
    ],
)
def test_items_that_no_statement_has(items: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        altman_z(items=items)


def test_items_as_a_command_line_gives_them() -> None:
    stated: Any = "Net Income=94680, sales=365817,total-assets=351002,equity=63090"
    assert dupont(items=stated).value("roe") == pytest.approx(1.50071, abs=1e-5)
    assert dupont(items=stated).arguments["items"]["revenue"] == 365_817
    assert set(ALSO_CALLED.values()) <= set(NAMES)
    assert not set(ALSO_CALLED) & set(NAMES)
