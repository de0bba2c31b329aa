"""Situations of books: a few holdings whose joint losses, stress and limits are known."""

import math
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds import tails
from openoutcry.eval.worlds.case import Case, Row, Truth, situation
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import LEVELS, rows, weekdays

HORIZONS = {"1 day": 1, "a week": 5, "10 days": 10, "two weeks": 10}
FALLS = {"a tenth": 0.1, "a fifth": 0.2, "two fifths": 0.4}
SESSIONS = 800
LEARNT, TESTED = 500, 250
"""Sessions that a forecast of the book is made from, and on which it is tested."""
Values = NDArray[np.float64]


def beside(ticker: str, count: int) -> list[str]:
    """Tickers of other companies: those of `names.companies` with the letter that it puts on past all 700."""
    return [ticker + letter for letter in "ABCDEFGH"[:count]]


@situation
def book(rng: np.random.Generator, one: Made) -> Case:
    """A book of four tickers, one of them short, in which the company asked about is by far the largest risk."""
    tickers = [one.ticker, *beside(one.ticker, 3)]
    spread = np.array([float(rng.uniform(0.022, 0.03)), *rng.uniform(0.006, 0.012, 3)])
    market = rng.standard_t(6, SESSIONS)[:, None]
    returns: Values = 2e-4 + spread * (0.4 * market + 0.9 * rng.standard_normal((SESSIONS, 4)))
    made = [rows(t, returns[:, i], float(rng.uniform(20, 200))) for i, t in enumerate(tickers)]
    spots = np.array([float(r[-1]["close"]) for r in made])
    wanted = np.array([float(rng.uniform(4e5, 9e5)), *rng.uniform(1e5, 3e5, 2), -float(rng.uniform(5e4, 1.5e5))])
    shares = np.round(wanted / spots)
    values = shares * spots
    day = made[0][-1]["date"]
    return Case(
        rows={
            "prices": [row for part in made for row in part],
            "companies": [{"ticker": t, "name": t.capitalize()} for t in tickers],
            "positions": [
                {"book": "main", "date": day, "ticker": t, "quantity": repr(float(q))}
                for t, q in zip(tickers, shares, strict=True)
            ],
        },
        truths={
            **_losses(one, returns, values),
            **_kept(rng, returns, values),
            **_sized(one, returns),
            "exceptions": _exceptions(returns @ (values / np.abs(values).sum())),
            "screened": tails.annual(returns[:, 0], 252),
        },
        as_of=day,
        words=dict(zip(("horizon", "confidence", "fall"), _chosen(one), strict=True)),
    )


def _chosen(one: Made) -> tuple[str, str, str]:
    """Horizon, confidence and fall, as they are said."""
    draw = np.random.default_rng(one.seed)
    horizon = option(one, "horizon", str(draw.choice(list(HORIZONS))), among=HORIZONS)
    level = option(one, "percent", str(draw.choice(list(LEVELS))), among=LEVELS)
    return horizon, level, str(draw.choice(list(FALLS)))


def _losses(one: Made, returns: Values, values: Values) -> dict[str, Truth]:
    """Value at risk of the whole, the largest line's part of it, and what a fall of all shares costs."""
    horizon, level, fall = _chosen(one)
    days, confidence = HORIZONS[horizon], LEVELS[level]
    weights = values / np.abs(values).sum()
    over = np.column_stack([tails.spans(returns[:, i], days) for i in range(returns.shape[1])])
    whole = tails.empirical(over @ weights, confidence)
    special: Any = import_module("scipy.special")
    cov = np.cov(over, rowvar=False)
    parts = -weights * over.mean(axis=0) + float(special.ndtri(confidence)) * weights * (cov @ weights) / math.sqrt(
        weights @ cov @ weights
    )
    return {
        "days": float(days),
        "level": confidence,
        "var": whole.var,
        "es": whole.es,
        "normal_var": float(parts.sum()),
        "normal_part": float(parts[0]),
        "fall": -FALLS[fall],
        "profit": -FALLS[fall] * float(values.sum()),
    }


def _sized(one: Made, returns: Values) -> dict[str, Truth]:
    """The first line's share of the portfolio of least variance, short sales allowed, and its full Kelly stake.

    In closed form: V^-1 1 / (1'V^-1 1) (Markowitz), and V^-1 m (Merton 1969), with no rate of interest.
    """
    name = one.ticker.lower()
    cov: Values = np.asarray(np.cov(returns, rowvar=False), np.float64)
    least = np.linalg.solve(cov, np.ones(returns.shape[1]))
    stakes = np.linalg.solve(cov, np.asarray(returns.mean(axis=0), np.float64))
    return {
        "weight_name": f"weight_{name}",
        "weight": float(least[0] / least.sum()),
        "deviation": math.sqrt(252 / least.sum()),
        "kelly_name": f"kelly_{name}",
        "kelly": float(stakes[0]),
    }


def _exceptions(daily: Values) -> float:
    """On how many of the newest sessions the loss was above the quantile, at 99 %, of those just before it."""
    return float(
        sum(daily[i] < np.quantile(daily[i - LEARNT : i], 0.01) for i in range(len(daily) - TESTED, len(daily)))
    )


def _kept(rng: np.random.Generator, returns: Values, values: Values) -> dict[str, Truth]:
    """The limits of the book, some of them too tight for it, and how many it breaks."""
    share = float(abs(values[0]) / np.abs(values).sum())
    weights = values / np.abs(values).sum()
    risk = tails.empirical(
        np.column_stack([tails.spans(returns[:, i], 10) for i in range(returns.shape[1])]) @ weights, 0.99
    ).var
    over = rng.integers(0, 2, 2)
    return {
        "share": share,
        "risk": risk,
        "share_limit": share * (0.8 if over[0] else 1.2),
        "risk_limit": risk * (0.8 if over[1] else 1.2),
        "broken": float(over.sum()),
        "verdict": "breach" if over.any() else "pass",
    }


@situation
def hedged(rng: np.random.Generator, one: Made) -> Case:
    """Shares, and bought puts on them: worth what Black and Scholes say, as no rate is earned by exercising early."""
    special: Any = import_module("scipy.special")
    returns = rng.normal(2e-4, 0.015, 300)
    made = rows(one.ticker, returns, float(rng.uniform(40, 150)))
    day, spot = weekdays(301)[-1], float(made[-1]["close"])
    expiry = weekdays(301 + 64)[-1]
    strike, contracts, shares = float(round(spot * 0.95)), 10, 1000
    years = (expiry - day).days / 365
    spread = tails.annual(returns, 252) * math.sqrt(years)
    d1 = math.log(spot / strike) / spread + spread / 2
    price = strike * float(special.ndtr(spread - d1)) - spot * float(special.ndtr(-d1))
    symbol = f"{one.ticker}{expiry:%y%m%d}P{round(strike * 1000):08d}"
    held: list[Row] = [
        {"book": "main", "date": day.isoformat(), "ticker": t, "quantity": q}
        for t, q in ((one.ticker, shares), (symbol, contracts))
    ]
    return Case(
        rows={"prices": made, "companies": [{"ticker": one.ticker, "name": one.name}], "positions": held},
        truths={
            "contracts": float(contracts),
            "options_value": contracts * 100 * price,
            "delta_shares": contracts * 100 * (float(special.ndtr(d1)) - 1),
            "value": shares * spot,
        },
        as_of=day.isoformat(),
    )
