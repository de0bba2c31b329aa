"""What a company's returns were to be expected to be around an event, and how far they were off."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.closes import Prices, together
from openoutcry.tools.formulas.abnormal import Convention, Study
from openoutcry.tools.prices import alike

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]
Model = Literal["market", "market_adjusted", "mean"]
LEAST = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the windows lie, by dates where given, else by sessions about day 0; and what is expected."""

    pre: int
    post: int
    length: int
    gap: int
    event: tuple[date | None, date | None]
    estimation: tuple[date | None, date | None]
    model: Model
    logs: bool
    convention: Convention


@dataclass(frozen=True, slots=True)
class Windows:
    """The days of the two windows, and how far each event day is from day 0."""

    estimation: Days
    event: Days
    offsets: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Each event day as part of a figure's name: m1, 0, p1."""
        return tuple(f"{'m' if o < 0 else 'p' if o > 0 else ''}{abs(o)}" for o in self.offsets)


@dataclass(frozen=True, slots=True)
class Company:
    """One company's abnormal returns (NaN on estimation days without one) and what its forecast errors come from.

    `spread` is the residual deviation, `known` the estimation returns, `spent` the parameters; `share` is 1 / known
    and `apart` how far the market of each event day is from its mean, squared, over their sum, where those count.
    """

    name: str
    windows: Windows
    estimation: Array
    event: Array
    alpha: float
    beta: float
    spread: float
    known: int
    spent: int
    share: float
    apart: Array
    apart_in_all: float

    @property
    def standardised(self) -> Array:
        """Abnormal returns over their forecast errors; 0 where there is no residual."""
        errors = self.spread * np.sqrt(1 + self.share + self.apart)
        return self.event / errors if self.spread > 0 else np.zeros(len(self.event))

    @property
    def cumulative_error(self) -> float:
        """The standard error of the cumulative abnormal return: Campbell, Lo and MacKinlay (1997), 4.4.2."""
        days = len(self.event)
        return self.spread * math.sqrt(days + days**2 * self.share + self.apart_in_all)


def company(prices: Prices, market: Prices | None, day_zero: date | None, plan: Plan) -> Company:
    """Fit the model over the estimation window. Raises NotComputed where a window cannot be had."""
    ours, theirs = (prices, None) if market is None else together([prices, market])
    days, returns = dated_returns(ours, plan.logs)
    calendar, whole = (days, returns) if market is None else dated_returns(market, plan.logs)
    windows = _windows(calendar, day_zero, plan)
    theirs_returns = None if theirs is None else dated_returns(theirs, plan.logs)[1]
    if lacking := set(windows.event.tolist()) - set(days.tolist()):
        raise NotComputed(f"needs returns of {prices.ticker} on all event days; it has none on {min(lacking)}")
    estimated, happened = np.isin(days, windows.estimation), np.isin(days, windows.event)
    if (known := int(estimated.sum())) < LEAST:
        raise NotComputed(f"needs at least {LEAST} estimation returns of {prices.ticker}; got {known}")
    x = np.zeros(len(returns)) if theirs_returns is None else theirs_returns
    seen = whole[np.isin(calendar, windows.estimation)] if plan.convention == "estudy2" else x[estimated]
    alpha, beta = _line(x[estimated], returns[estimated], plan.model)
    abnormal = returns - alpha - beta * x
    spent = 2 if plan.model == "market" else 1
    apart, in_all = _apart(seen, x[happened]) if plan.model == "market" else (np.zeros(int(happened.sum())), 0.0)
    rest = abnormal[estimated]
    divisor = known - (1 if plan.convention == "estudy2" else spent)
    placed = np.full(len(windows.estimation), np.nan)
    placed[np.isin(windows.estimation, days)] = rest
    spread = math.sqrt(float(((rest - rest.mean()) ** 2).sum()) / divisor)
    return Company(
        *(prices.ticker, windows, placed, abnormal[happened], alpha, beta),
        *(spread, known, spent, 0.0 if plan.model == "market_adjusted" else 1 / known, apart, in_all),
    )


def studied(companies: list[Company], convention: Convention) -> Study:
    """The companies side by side, by event time."""
    longest = max(len(c.estimation) for c in companies)
    shares = np.asarray([c.known for c in companies], np.float64)
    share = 0.0 if companies[0].share == 0 else 1 / float(shares.mean())
    before = np.column_stack(
        [np.concatenate([np.full(longest - len(c.estimation), np.nan), c.estimation]) for c in companies]
    )
    return Study(
        estimation=before[~np.isnan(before).all(axis=1)],
        event=np.column_stack([c.event for c in companies]),
        standardised=np.column_stack([c.standardised for c in companies]),
        lengths=shares,
        spent=companies[0].spent,
        cumulative_errors=np.asarray([c.cumulative_error for c in companies]),
        forecast=np.sqrt(1 + share + np.mean([c.apart for c in companies], axis=0)),
        convention=convention,
    )


def dated_returns(prices: Prices, logs: bool) -> tuple[Days, Array]:
    """The returns and the day of each. Raises NotComputed where the data has no dates."""
    if not prices.dated:
        raise NotComputed(f"needs dated returns; {prices.ticker} has no dates: give the file a column of them")
    found = prices.returns(1_000_000, needed=LEAST + 1)
    if logs and (found <= -1).any():
        raise NotComputed(f"needs returns above -100 % for log_returns; {prices.ticker} holds {found.min():g}")
    return prices.dates[-len(found) :].astype("datetime64[D]"), np.log1p(found) if logs else found


def _windows(calendar: Days, day_zero: date | None, plan: Plan) -> Windows:
    """The sessions of both windows; where no day is given, of the latest event window.

    Raises NotComputed where they are not within the data.
    """
    start, end = plan.event
    latest = day_zero is None and start is None
    zero = len(calendar) - 1 - plan.post if latest else _since(calendar, day_zero or start)
    first = zero - plan.pre if start is None else _since(calendar, start)
    last = zero + plan.post if end is None else _until(calendar, end)
    late = end is not None and np.datetime64(end, "D") > calendar[-1]
    if first < 0 or last >= len(calendar) or first > last or zero >= len(calendar) or late:
        raise NotComputed(
            f"needs an event window within the data, which runs from {calendar[0]} to {calendar[-1]}; got sessions "
            f"{first + 1} to {last + 1} of {len(calendar)}"
        )
    start, end = plan.estimation
    until = first - 1 - plan.gap if end is None else _until(calendar, end)
    since = until - plan.length + 1 if start is None else _since(calendar, start)
    since = max(since, 0)
    if until >= first or until - since + 1 < LEAST:
        raise NotComputed(
            f"needs an estimation window of {LEAST} or more sessions before the event window; got "
            f"{max(until - since + 1, 0)} that end {'within it' if until >= first else 'before it'}"
        )
    return Windows(calendar[since : until + 1], calendar[first : last + 1], tuple(range(first - zero, last - zero + 1)))


def _since(calendar: Days, day: date | None) -> int:
    """The place of the first session on or after the day."""
    return int(np.searchsorted(calendar, np.datetime64(day, "D")))


def _until(calendar: Days, day: date) -> int:
    """The place of the last session on or before the day."""
    return int(np.searchsorted(calendar, np.datetime64(day, "D"), "right")) - 1


def _line(x: Array, y: Array, model: Model) -> tuple[float, float]:
    """Intercept and slope of what is expected."""
    if model == "market_adjusted":
        return 0.0, 1.0
    if model == "mean":
        return float(y.mean()), 0.0
    if alike(x):
        raise NotComputed("needs returns of the benchmark that differ in the estimation window")
    apart = x - x.mean()
    slope = float(apart @ (y - y.mean()) / (apart @ apart))
    return float(y.mean() - slope * x.mean()), slope


def _apart(seen: Array, event: Array) -> tuple[Array, float]:
    """How far the market of each event day, and of all together, is from its mean, in units of its variation."""
    squares = float(((seen - seen.mean()) ** 2).sum())
    apart = event - seen.mean()
    return apart**2 / squares, float(apart.sum()) ** 2 / squares
