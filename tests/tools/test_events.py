"""Event studies against what R's estudy2 prints, statistics written out, and events put into made returns."""

import math
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.data.given import Given
from openoutcry.tools.events import event_study

Array = NDArray[np.float64]
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "refdata"
RATES = [DATA / "estudy2_rates.csv", DATA / "estudy2_rates_indx.csv"]
with_rates = pytest.mark.skipif(not RATES[0].is_file(), reason="the shared data are not on this machine")
FIRMS = ["AMZN", "ZM", "UBER", "NFLX", "SHOP", "FB", "UPWK"]

# estudy2 0.10, vignette "Introduction to estudy2": the week after the pandemic was declared, day by day.
PRINTED: dict[str, tuple[float, ...]] = {
    "aar": (0.02329740, -0.03157867, -0.01617850, 0.07672027, 0.05840545),
    "brown_warner_1980": (2.486449, -3.370281, -1.726675, 8.188085, 6.233409),
    "brown_warner_1985": (1.858514, -2.519140, -1.290615, 6.120241, 4.659205),
    "t_test": (1.3941497, -1.2769075, -0.4023135, 1.7958275, 5.1233281),
    "patell": (2.5507399, -2.9495613, 0.3283654, 8.4216222, 6.3196352),
    "boehmer": (1.20471169, -1.17531339, 0.07606284, 2.16657728, 8.65212561),
    "lamb": (1.620049, -2.435456, -1.254626, 6.105794, 4.565195),
    "sign": (1.1338934, 0.3779645, 1.1338934, 1.8898224, 2.6457513),
    "generalized_sign": (1.1516761, 0.3957301, 1.1516761, 1.9076220, 2.6635680),
    "corrado_sign": (0.8636930, 0.2878977, 0.8636930, 1.4394883, 2.0152836),
    "rank": (0.7962064, -0.1857202, 1.0205417, 2.1127972, 2.9255529),
    "modified_rank": (0.8499246, -0.2283881, 0.9865178, 2.1665371, 2.9786668),
    "wilcoxon": (23, 10, 15, 27, 28),
}
# The stars it prints: *** below 0.01, ** below 0.05, * below 0.1.
STARS = {
    "brown_warner_1980": ("**", "***", "*", "***", "***"),
    "brown_warner_1985": ("*", "**", "", "***", "***"),
    "t_test": ("", "", "", "", "***"),
    "patell": ("**", "***", "", "***", "***"),
    "boehmer": ("", "", "", "*", "***"),
    "lamb": ("", "**", "", "***", "***"),
    "sign": ("", "", "", "*", "***"),
    "generalized_sign": ("", "", "", "*", "***"),
    "corrado_sign": ("", "", "", "", "**"),
    "rank": ("", "", "", "**", "***"),
    "modified_rank": ("", "", "", "**", "***"),
}
DAYS = ("0", "p1", "p2", "p3", "p4")


def pandemic(**more: Any) -> Evidence:
    asked: dict[str, Any] = {
        "event_start": "2020-03-16",
        "event_end": "2020-03-20",
        "estimation_start": "2019-04-01",
        "estimation_end": "2020-03-13",
        "convention": "estudy2",
    }
    return event_study(Given.read(RATES, "returns"), FIRMS, "^GSPC", **{**asked, **more})


@pytest.fixture(scope="module")
def week() -> Evidence:
    return pandemic()


@with_rates
@pytest.mark.parametrize(
    ("name", "value"), [(f"{n}_{d}", v) for n, vs in PRINTED.items() for d, v in zip(DAYS, vs, strict=True)]
)
def test_every_day_as_estudy2_prints_it(week: Evidence, name: str, value: float) -> None:
    assert week.value(name) == pytest.approx(value, abs=5.1e-7)


@with_rates
@pytest.mark.parametrize(
    ("name", "stars"), [(f"p_{n}_{d}", v) for n, vs in STARS.items() for d, v in zip(DAYS, vs, strict=True)]
)
def test_every_significance_as_estudy2_prints_it(week: Evidence, name: str, stars: str) -> None:
    chance = week.value(name)
    assert ("***" if chance < 0.01 else "**" if chance < 0.05 else "*" if chance < 0.1 else "") == stars


@with_rates
@pytest.mark.parametrize(
    ("name", "value"),
    # estudy2 0.10, the pages of car_brown_warner_1985 and car_rank_test.
    [("brown_warner_1985_car", 3.948093), ("mean_abnormal_return", 0.02213319), ("rank_car", 3.0537)],
)
def test_the_whole_week_as_estudy2_prints_it(week: Evidence, name: str, value: float) -> None:
    assert week.value(name) == pytest.approx(value, abs=5.1e-7)


@with_rates
def test_the_textbooks_divide_by_two_less_and_sum_what_traded(week: Evidence) -> None:
    """Residuals over T - 2; ranks summed over the companies of a day: differs on the days before two were listed."""
    plain = pandemic(convention="textbook")
    ratio = math.sqrt(238 / 239)
    assert plain.value("residual_sd_amzn") == pytest.approx(week.value("residual_sd_amzn") / ratio)
    for name in ("aar_0", "t_test_0", "sign_0", "brown_warner_1980_0", "wilcoxon_p3"):
        assert plain.value(name) == week.value(name)
    for name in ("patell_0", "rank_0", "modified_rank_0", "corrado_sign_0"):
        assert plain.value(name) == pytest.approx(week.value(name), rel=0.04)
        assert plain.value(name) != week.value(name)
    assert "ZM estimation window: 227 returns of 240 asked" in week.missing
    assert week.value("estimation_returns_uber") == 212


def days(length: int) -> list[str]:
    return [str(d) for d in np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + length)]


def market(seed: int, companies: int = 4, length: int = 90) -> tuple[dict[str, Array], Array]:
    chance = np.random.default_rng(seed)
    index = chance.normal(0.0005, 0.01, length)
    data = {f"C{i}": 0.0002 * i + (0.5 + 0.3 * i) * index + chance.normal(0, 0.01, length) for i in range(companies)}
    return {**data, "M": index}, index


def around(view: Given, names: Sequence[str], **more: Any) -> Evidence:
    """Day 0 is the 81st; estimation is days 10 to 69, a gap of 8, the event days 78 to 82."""
    asked: dict[str, Any] = {"event_date": days(90)[80], "pre": 2, "post": 2, "estimation": 60, "gap": 8}
    return event_study(view, list(names), "M", **{**asked, **more})


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_the_textbook_statistics_written_out(seed: int) -> None:
    """MacKinlay (1997); Campbell, Lo and MacKinlay (1997), 4.4; Patell (1976); Boehmer and others (1991)."""
    data, index = market(seed)
    names = [n for n in data if n != "M"]
    evidence = around(Given.of(data, "returns", dates=days(90)), names)
    before, event = slice(10, 70), slice(78, 83)
    m, x = index[event], index[before]
    scatter = ((x - x.mean()) ** 2).sum()
    ars, errors, sars = list[Array](), list[float](), list[Array]()
    for name in names:
        y = data[name][before]
        slope, start = np.polyfit(x, y, 1)
        rest = y - start - slope * x
        sigma = math.sqrt(rest @ rest / 58)
        ars.append(data[name][event] - start - slope * m)
        ones, design = np.ones((5, 1)), np.column_stack([np.ones(60), x])
        after = np.column_stack([np.ones(5), m])
        covariance = sigma**2 * (np.eye(5) + after @ np.linalg.inv(design.T @ design) @ after.T)
        errors.append(math.sqrt((ones.T @ covariance @ ones).item()))
        sars.append(ars[-1] / (sigma * np.sqrt(1 + 1 / 60 + (m - x.mean()) ** 2 / scatter)))
        low = name.lower()
        assert evidence.value(f"beta_{low}") == pytest.approx(slope)
        assert evidence.value(f"alpha_{low}") == pytest.approx(start)
        assert evidence.value(f"residual_sd_{low}") == pytest.approx(sigma)
        assert evidence.value(f"ar_{low}_m2") == pytest.approx(ars[-1][0])
        assert evidence.value(f"sar_{low}_p1") == pytest.approx(sars[-1][3])
        assert evidence.value(f"t_car_{low}") == pytest.approx(ars[-1].sum() / errors[-1])
        assert evidence.value(f"t_car_simple_{low}") == pytest.approx(ars[-1].sum() / (sigma * math.sqrt(5)))
    abnormal, standard = np.asarray(ars), np.asarray(sars)
    cars = abnormal.sum(axis=1)
    scars = cars / np.asarray(errors)
    assert evidence.value("aar_0") == pytest.approx(abnormal[:, 2].mean())
    assert evidence.value("caar_p1") == pytest.approx(abnormal[:, :4].sum() / 4)
    assert evidence.value("caar") == pytest.approx(cars.mean())
    assert evidence.value("j1") == pytest.approx(cars.sum() / math.sqrt((np.asarray(errors) ** 2).sum()))
    assert evidence.value("j2") == pytest.approx(math.sqrt(4 * 56 / 58) * scars.mean())
    assert evidence.value("patell_0") == pytest.approx(standard[:, 2].sum() / math.sqrt(4 * 58 / 56))
    assert evidence.value("patell_car") == pytest.approx(standard.sum() / math.sqrt(4 * 5 * 58 / 56))
    assert evidence.value("boehmer_0") == pytest.approx(standard[:, 2].mean() / standard[:, 2].std(ddof=1) * 2)
    assert evidence.value("boehmer_car") == pytest.approx(scars.mean() / scars.std(ddof=1) * 2)
    assert evidence.value("t_test_car") == pytest.approx(cars.mean() / cars.std(ddof=1) * 2)
    stats: Any = import_module("scipy.stats")
    assert evidence.value("p_t_test_0") == pytest.approx(stats.ttest_1samp(abnormal[:, 2], 0).pvalue)
    assert evidence.value("p_wilcoxon_0") == pytest.approx(stats.wilcoxon(abnormal[:, 2]).pvalue)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), slope=st.floats(-2, 3), start=st.floats(-0.01, 0.01), jump=st.floats(-0.2, 0.2))
def test_a_pure_beta_series_has_no_abnormal_returns(seed: int, slope: float, start: float, jump: float) -> None:
    """And a jump put into it on day 0 is the abnormal return of day 0."""
    _, index = market(seed)
    pure = start + slope * index
    jumped = pure.copy()
    jumped[80] += jump
    evidence = around(Given.of({"P": pure, "J": jumped, "M": index}, "returns", dates=days(90)), ["P", "J"])
    for label in ("m2", "m1", "0", "p1", "p2"):
        assert evidence.value(f"ar_p_{label}") == pytest.approx(0, abs=1e-12)
        assert evidence.value(f"ar_j_{label}") == pytest.approx(jump if label == "0" else 0, abs=1e-12)
    assert evidence.value("caar") == pytest.approx(jump / 2, abs=1e-12)
    assert evidence.value("beta_p") == pytest.approx(slope, abs=1e-9)


def test_without_residuals_there_are_no_tests() -> None:
    _, index = market(1)
    evidence = around(Given.of({"P": 2 * index, "M": index}, "returns", dates=days(90)), ["P"])
    assert evidence.missing == ("tests: the residuals of P are all zero",)
    assert not [n for n in evidence.figures if n.startswith(("patell", "t_car", "j1"))]


@pytest.mark.parametrize("model", ["mean", "market_adjusted"])
def test_the_simpler_models(model: Any) -> None:
    data, index = market(8)
    evidence = around(Given.of(data, "returns", dates=days(90)), ["C1"], model=model)
    y, event = data["C1"][10:70], data["C1"][78:83]
    rest = y if model == "mean" else y - index[10:70]
    expected = event - y.mean() if model == "mean" else event - index[78:83]
    sigma = rest.std(ddof=1)
    factor = math.sqrt(61 / 60) if model == "mean" else 1.0
    assert [evidence.value(f"ar_c1_{d}") for d in ("m2", "m1", "0", "p1", "p2")] == pytest.approx(expected.tolist())
    assert evidence.value("residual_sd_c1") == pytest.approx(sigma)
    assert evidence.value("sar_c1_0") == pytest.approx(expected[2] / (sigma * factor))
    spread = sigma * math.sqrt(5 + 25 / 60) if model == "mean" else sigma * math.sqrt(5)
    assert evidence.value("t_car_c1") == pytest.approx(expected.sum() / spread)
    assert "beta_c1" not in evidence.figures


def test_each_ticker_may_have_its_own_day() -> None:
    """As one study of each; the order of tickers changes nothing."""
    data, _ = market(4, 2)
    view = Given.of(data, "returns", dates=days(90))
    dates: dict[str, Any] = {"C0": days(90)[80], "C1": days(90)[75]}
    written: Any = "C0=2020-03-21,C1=2020-03-16"
    both = event_study(view, ["C0", "C1"], "M", event_date=dates, estimation=50, gap=5)
    for name, day in dates.items():
        alone = event_study(view, [name], "M", event_date=day, estimation=50, gap=5)
        for figure in (f"ar_{name.lower()}_0", f"t_car_{name.lower()}", f"beta_{name.lower()}"):
            assert both.value(figure) == alone.value(figure)
    turned = event_study(view, ["C1", "C0"], "M", event_date=written, estimation=50, gap=5)
    assert turned.value("boehmer_0") == pytest.approx(both.value("boehmer_0"))
    assert "date_0" not in both.figures


def test_the_windows_lie_where_they_were_asked() -> None:
    data, _ = market(2)
    evidence = around(Given.of(data, "returns", dates=days(90)), ["C0", "C1"])
    assert evidence.figures["date_0"].value == days(90)[80]
    assert evidence.figures["date_m2"].value == days(90)[78]
    assert evidence.figures["estimation_first"].value == days(90)[10]
    assert evidence.figures["estimation_last"].value == days(90)[69]
    assert evidence.series["caar"].dates[0] == date.fromisoformat(days(90)[78])
    logs = around(Given.of(data, "returns", dates=days(90)), ["C0"], model="market_adjusted", log_returns=True)
    expected = math.log1p(data["C0"][80]) - math.log1p(data["M"][80])
    assert logs.value("ar_c0_0") == pytest.approx(expected)


def test_without_a_day_the_latest_window_is_studied() -> None:
    data, _ = market(2)
    view = Given.of(data, "returns", dates=days(90))
    latest = event_study(view, ["C0"], "M", post=3, estimation=50)
    assert latest.figures["date_p3"].value == days(90)[89]
    given = event_study(view, ["C0"], "M", event_date=date.fromisoformat(days(90)[86]), post=3, estimation=50)
    assert latest.figures == given.figures


def test_an_event_on_a_holiday_is_that_of_the_next_session() -> None:
    data, _ = market(2)
    kept = [i for i in range(90) if i != 80]
    part = {n: v[kept] for n, v in data.items()}
    evidence = around(Given.of(part, "returns", dates=[days(90)[i] for i in kept]), ["C0"])
    assert evidence.figures["date_0"].value == days(90)[81]


def test_companies_that_offset_each_other_have_no_mean() -> None:
    """A benchmark that is the mean of both: statistics of the mean are zero, none is a NaN."""
    data, _ = market(3, 2)
    data["M"] = (data["C0"] + data["C1"]) / 2
    evidence = around(Given.of(data, "returns", dates=days(90)), ["C0", "C1"], model="market_adjusted")
    assert evidence.value("brown_warner_1985_0") == pytest.approx(0, abs=1e-6)
    assert evidence.value("caar") == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_studied_is_refused() -> None:
    data, _ = market(2)
    view = Given.of(data, "returns", dates=days(90))
    late = Given.of({"C0": data["C0"][:82], "M": data["M"][:82]}, "returns", dates=days(82))
    day: Any = "2020-03-21"
    half: Any = {"C0": day}
    for message, call in (
        ("needs a benchmark for the model market; got none", lambda: event_study(view, ["C0"], event_date=day)),
        ("needs an event window within the data, which runs", lambda: around(view, ["C0"], event_date="2020-06-01")),
        ("needs an event window within the data", lambda: around(late, ["C0"])),
        ("needs an event window within the data", lambda: around(view, ["C0"], event_end="2020-06-01")),
        ("needs an estimation window of 5 or more sessions", lambda: around(view, ["C0"], event_date="2020-01-05")),
        ("that end within it", lambda: around(view, ["C0"], estimation_end="2020-03-20")),
        ("needs an event date of each ticker; got none of C1", lambda: around(view, ["C0", "C1"], event_date=half)),
        ("needs one or more tickers, each once", lambda: around(view, ["C0", "C0"])),
        ("needs dated returns; C0 has no dates", lambda: around(Given.of(data, "returns"), ["C0"])),
    ):
        with pytest.raises(NotComputed, match=message):
            call()
