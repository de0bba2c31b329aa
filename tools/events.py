"""Event studies: what prices did beyond what was to be expected, around an event."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure, Series
from openoutcry.tools.arguments import Ticker, Tickers
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.view import View
from openoutcry.tools.expected import Company, Model, Plan, company, studied
from openoutcry.tools.figures import count, day, fraction, number, probability, text
from openoutcry.tools.formulas import abnormal
from openoutcry.tools.formulas.abnormal import Convention, Study
from openoutcry.tools.portfolio import slugs
from openoutcry.tools.prices import RETURNS, stale
from openoutcry.tools.tool import tool

FLAT = 1e-12


def _dated(value: object) -> object:
    """`2020-03-11`, or `AAPL=2020-03-11,KO=2020-04-01` as a command line gives it."""
    if not isinstance(value, str) or "=" not in value:
        return value
    return dict(part.strip().rsplit("=", 1) for part in value.split(","))


EventDate = Annotated[
    dict[str, date] | date | None,
    BeforeValidator(_dated),
    Field(
        description="day 0: one day, or one a ticker as AAPL=2020-03-11,KO=2020-04-01, or "
        "the session after it; if not given the latest that leaves post sessions, or event_start"
    ),
]
MaybeDay = Annotated[date | None, Field(description="a day, e.g. 2020-03-16")]


@tool
def event_study(
    view: View,
    tickers: Tickers,
    benchmark: Annotated[Ticker | None, Field(description="the market; not needed by the model mean")] = None,
    event_date: EventDate = None,
    model: Annotated[
        Model,
        Field(description="market: alpha + beta x market; market_adjusted: the market; mean: the constant mean return"),
    ] = "market",
    pre: Annotated[int, Field(ge=0, le=250, description="sessions of the event window before day 0")] = 1,
    post: Annotated[int, Field(ge=0, le=250, description="sessions of the event window after day 0")] = 1,
    estimation: Annotated[int, Field(ge=5, le=5000, description="returns in the estimation window")] = 250,
    gap: Annotated[int, Field(ge=0, le=1000, description="sessions between estimation and event window")] = 10,
    event_start: Annotated[MaybeDay, Field(description="first day of the event window, in place of pre")] = None,
    event_end: Annotated[MaybeDay, Field(description="last day of the event window, in place of post")] = None,
    estimation_start: Annotated[MaybeDay, Field(description="first day of the estimation window")] = None,
    estimation_end: Annotated[MaybeDay, Field(description="last day of the estimation window")] = None,
    convention: Annotated[
        Convention, Field(description="details of the tests: the textbooks', or those of R's package estudy2")
    ] = "textbook",
    log_returns: Annotated[bool, Field(description="take ln(1 + return) of the returns first")] = False,
) -> Evidence:
    """Abnormal returns of *tickers* around an event, cumulated, with parametric and nonparametric tests.

    Day labels are m1 (a session before day 0), 0, p1 ...: `ar_X_0` is X's abnormal return, `sar_X_0` that over its
    forecast error (the t of the day), `aar_0` the mean of the tickers, `caar_0` cumulated so far. `car_X` is X's
    cumulative abnormal return with `t_car_X` (with the model's forecast error) and `t_car_simple_X` (residual
    deviation times sqrt L), `caar` the mean of them.

    Tests of a day, with p-values `p_...`: brown_warner_1980, brown_warner_1985, patell, and with two or more tickers
    lamb, t_test (cross-sectional), boehmer (Boehmer, Musumeci and Poulsen), sign, generalized_sign (Cowan),
    corrado_sign, rank (Corrado), modified_rank (Corrado and Zivney), wilcoxon. Tests of the whole window end in
    `_car`; j1 and j2 are those of MacKinlay (1997) and Campbell, Lo and MacKinlay (1997, 4.4), kolari_pynnonen_car
    Boehmer's corrected for correlation.

    *convention* textbook: residual variance of the market model over T - 2, sums over the tickers that traded.
    estudy2: residual variance over T - 1, the market's mean over the whole estimation window, and sums as mean times
    all tickers: the values that R's estudy2 prints. Windows run over the sessions of the benchmark (of each ticker
    where there is none). A ticker that began to trade within the estimation window has a shorter one.

    Raises UnknownTicker, or NotComputed for undated data, a window beyond the data, or fewer than 5 estimation
    returns. Tests are left out where residuals are all zero.
    """
    plan = Plan(pre, post, estimation, gap, (event_start, event_end), (estimation_start, estimation_end), model,
                log_returns, convention)  # fmt: skip
    market = _market(view, benchmark, plan)
    if not tickers or len(set(tickers)) != len(tickers):
        raise NotComputed(f"needs one or more tickers, each once; got {', '.join(tickers) or 'none'}")
    series = view.prices_of(tickers)
    dated = _events(event_date, tickers)
    companies = [company(p, market, dated[t], plan) for t, p in zip(tickers, series, strict=True)]
    study = studied(companies, convention)
    flat = [c.name for c in companies if c.spread < FLAT]
    tests = {} if flat else _tests(study, companies[0].windows.labels)
    return view.evidence(
        {
            **_days(companies, model),
            **_averages(study, companies[0].windows.labels),
            **{k: v for n, c in zip(slugs(tickers), companies, strict=True) for k, v in _told(n, c).items()},
            **tests,
        },
        [p.rows for p in [*series, *([market] if market else [])]],
        conventions={
            "returns": ("logarithms of 1 + " if log_returns else "") + RETURNS.format(basis=series[0].basis),
            "model": _MODELS[model].format(benchmark=benchmark),
            "tests": _TESTS[convention],
            "p_values": "two-sided; Student's t for brown_warner (mean T - 1), t_test and boehmer (n - 1), exact for "
            "wilcoxon without ties, else normal",
        },
        missing=[
            *(m for p in series for m in stale(view, p)),
            *_short(companies, plan),
            *([f"tests: the residuals of {', '.join(flat)} are all zero"] if flat else []),
        ],
        series={
            "caar": Series(
                dates=tuple(companies[0].windows.event.tolist()) if _same_days(companies) else (),
                values=tuple(np.cumsum(study.event.mean(axis=1)).tolist()),
            )
        },
    )


_MODELS = {
    "market": "alpha + beta x {benchmark}, least squares over the estimation window",
    "market_adjusted": "the return of {benchmark}",
    "mean": "the mean over the estimation window",
}
_TESTS: dict[Convention, str] = {
    "textbook": "residual variance divided by T less the model's parameters; sums over the tickers that traded",
    "estudy2": "as R's estudy2: residual variance divided by T - 1, sums as the mean times all tickers",
}


def _market(view: View, benchmark: str | None, plan: Plan) -> Prices | None:
    if benchmark is None:
        if plan.model != "mean":
            raise NotComputed(f"needs a benchmark for the model {plan.model}; got none")
        return None
    return view.prices(benchmark)


def _events(given: Mapping[str, date] | date | None, tickers: Sequence[str]) -> dict[str, date | None]:
    if not isinstance(given, Mapping):
        return dict.fromkeys(tickers, given)
    named = {k.casefold(): v for k, v in given.items()}
    if lacking := [t for t in tickers if t.casefold() not in named]:
        raise NotComputed(f"needs an event date of each ticker; got none of {', '.join(lacking)}")
    return {t: named[t.casefold()] for t in tickers}


def _same_days(companies: Sequence[Company]) -> bool:
    return all(np.array_equal(c.windows.event, companies[0].windows.event) for c in companies)


def _short(companies: Sequence[Company], plan: Plan) -> list[str]:
    """A note on companies whose estimation window is shorter than asked."""
    asked = plan.length if plan.estimation[0] is None else len(companies[0].windows.estimation)
    return [f"{c.name} estimation window: {c.known} returns of {asked} asked" for c in companies if c.known < asked]


def _days(companies: Sequence[Company], model: Model) -> dict[str, Figure]:
    """What was studied: how many companies, and the days where all have the same."""
    windows = companies[0].windows
    figures = {"model": text(model), "companies": count(len(companies)), "event_days": count(len(windows.event))}
    if _same_days(companies):
        figures |= {f"date_{n}": day(d) for n, d in zip(windows.labels, windows.event.tolist(), strict=True)}
        figures["estimation_first"] = day(windows.estimation[0].item())
        figures["estimation_last"] = day(windows.estimation[-1].item())
    return figures


def _averages(study: Study, labels: Sequence[str]) -> dict[str, Figure]:
    means = study.event.mean(axis=1)
    sums = np.cumsum(means)
    return {
        **{f"aar_{n}": fraction(v) for n, v in zip(labels, means, strict=True)},
        **{f"caar_{n}": fraction(v) for n, v in zip(labels, sums, strict=True)},
        "caar": fraction(sums[-1]),
        "mean_abnormal_return": fraction(means.mean()),
    }


def _told(name: str, one: Company) -> dict[str, Figure]:
    """One company's fit, its abnormal returns and their sum."""
    stats: Any = import_module("scipy.stats")
    total, labels = float(one.event.sum()), one.windows.labels
    line = {} if one.spent == 1 else {f"alpha_{name}": fraction(one.alpha), f"beta_{name}": number(one.beta)}
    figures = {
        **line,
        f"residual_sd_{name}": fraction(one.spread),
        f"estimation_returns_{name}": count(one.known),
        **{f"ar_{name}_{n}": fraction(v) for n, v in zip(labels, one.event, strict=True)},
        f"car_{name}": fraction(total),
    }
    if one.spread < FLAT:
        return figures
    with_error = total / one.cumulative_error
    return figures | {
        **{f"sar_{name}_{n}": number(v) for n, v in zip(labels, one.standardised, strict=True)},
        f"t_car_{name}": number(with_error),
        f"p_car_{name}": probability(2 * stats.t.sf(abs(with_error), one.known - one.spent)),
        f"t_car_simple_{name}": number(total / (one.spread * math.sqrt(len(one.event)))),
    }


def _tests(study: Study, labels: Sequence[str]) -> dict[str, Figure]:
    """Every test of each day, then of the whole window."""
    figures: dict[str, Figure] = {}
    for name, (values, chances) in abnormal.daily(study).items():
        for label, value, chance in zip(labels, values, chances, strict=True):
            figures |= {f"{name}_{label}": number(value), f"p_{name}_{label}": probability(chance)}
    for name, (values, chances) in abnormal.whole(study).items():
        figures |= {name: number(values[0]), f"p_{name}": probability(chances[0])}
    return figures
