"""Many tickers at once: volatility, value at risk and drawdown of each, in one pass over matrices."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import LISTED, Confidence, Periods, Ticker, Window
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, probability, slug, text
from openoutcry.tools.formulas import tails
from openoutcry.tools.prices import stale
from openoutcry.tools.tool import tool

FEWEST = 60
Matrix = NDArray[np.float64]
Some = Annotated[
    list[Ticker], LISTED, Field(max_length=2000, description="tickers, e.g. AAPL,MSFT; empty for all that are known")
]


@tool
def risk_screen(
    view: View,
    tickers: Some = [],  # noqa: B006  # read only; a schema wants a list
    confidence: Confidence = 0.95,
    window: Window = 252,
    recent: Annotated[int, Field(ge=10, le=1000, description="periods of the recent volatility")] = 60,
    periods: Periods = None,
) -> Evidence:
    """Volatility, one-period historical value at risk and deepest drawdown of many tickers, side by side.

    Figures `volatility_`, `recent_`, `rank_`, `var_` and `drawdown_` with each ticker, and the riskiest by each.
    Volatility: divisor n - 1, a year by the square root of *periods*; over the window, over its last *recent*
    returns, and the rank of that among all spans of *recent* returns in the window, 1 where it is the highest.
    VaR: linear quantile (type 7), a loss is positive. Drawdown: from the running peak within the window, its
    first close among them. A ticker with fewer than 60 (or *recent*) returns, or with returns all alike, is left
    out and listed as missing. Raises UnknownTicker, or NotComputed where none is left.
    """
    wanted = tickers or list(view.tickers)
    pace, missing, figures = periods or view.pace or 252, list[str](), dict[str, Figure]()
    series = list(_usable(view.prices_of(wanted), window, max(FEWEST, recent), missing))
    if not series:
        raise NotComputed(
            f"needs {max(FEWEST, recent)} returns that differ of a ticker; {'; '.join(missing[:3]) or 'none is known'}"
        )
    measures = np.hstack(
        [_measured([p for _, p in same], window, recent, confidence, pace) for _, same in _alike(series)]
    )
    ordered = [p for _, same in _alike(series) for _, p in same]
    for place, name in enumerate(("volatility", "recent", "rank", "var", "drawdown")):
        row = measures[place]
        figures |= {f"highest_{name}": text(ordered[int(row.argmax())].ticker)}
        figures |= {f"{name}_{slug(p.ticker)}": fraction(v) for p, v in zip(ordered, row.tolist(), strict=True)}
    return view.evidence(
        {"tickers": count(len(ordered)), "confidence": probability(confidence)} | figures,
        [p.rows for p in ordered],
        conventions={
            "returns": "simple, close to close",
            "annualisation": f"square root of {pace:g}; ddof 1",
            "quantile": "linear interpolation (type 7)",
            "sign": "losses and falls are positive",
        },
        missing=[*missing, *(m for p in ordered for m in stale(view, p))],
    )


def _usable(series: Sequence[Prices], window: int, needed: int, missing: list[str]) -> Iterator[tuple[int, Prices]]:
    """How many returns of the window each series has; those that cannot carry a figure are told in *missing*."""
    for prices in series:
        try:
            daily = prices.returns(window, needed=needed)
            prices.levels(window + 1)
        except NotComputed as error:
            missing.append(f"{prices.ticker}: {error}")
            continue
        if daily.max() - daily.min() < 1e-12:
            missing.append(f"{prices.ticker}: its returns are all alike over {len(daily)} sessions")
        else:
            yield len(daily), prices


def _alike(series: Sequence[tuple[int, Prices]]) -> Iterator[tuple[int, list[tuple[int, Prices]]]]:
    """The series in groups of one length, so that each group is a matrix."""
    ordered = sorted(series, key=lambda pair: pair[0])
    return ((length, list(same)) for length, same in groupby(ordered, key=lambda pair: pair[0]))


def _measured(series: Sequence[Prices], window: int, recent: int, confidence: float, pace: float) -> Matrix:
    """A row for each measure, with a ticker a column."""
    daily = np.array([p.returns(window) for p in series])
    levels = np.array([p.levels(window + 1) for p in series])
    volatility = daily.std(axis=1, ddof=1) * np.sqrt(pace)
    falls = 1 - (levels / np.maximum.accumulate(levels, axis=1)).min(axis=1)
    rolled = _rolling_variance(daily, recent)
    latest = daily[:, -recent:].std(axis=1, ddof=1) * np.sqrt(pace)
    rank = (rolled <= rolled[:, -1:]).mean(axis=1)
    return np.array([volatility, latest, rank, tails.historical(daily.T, confidence).var, falls])


def _rolling_variance(daily: Matrix, span: int) -> Matrix:
    """The variance (n - 1) of every *span* returns in a row; the mean is taken off first, to lose no digits."""
    away = daily - daily.mean(axis=1, keepdims=True)
    total, squares = (np.cumsum(x, axis=1) for x in (away, away * away))
    total[:, span:] -= total[:, :-span].copy()
    squares[:, span:] -= squares[:, :-span].copy()
    return (squares[:, span - 1 :] - total[:, span - 1 :] ** 2 / span) / (span - 1)
