"""The numeric part of `make bench`: many tickers at once, the whole book by five methods, each tool cold and warm."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.clock import AsOf
from openoutcry.core.limits import Limits
from openoutcry.tools import catalogue
from openoutcry.tools.arguments import model_of
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import NO_DATA, View, Warehouse
from openoutcry.tools.portfolio_risk import portfolio_value_at_risk, portfolio_var_backtest
from openoutcry.tools.screen import risk_screen
from openoutcry.tools.tool import reads_data

Row = Callable[..., None]
pd: Any = import_module("pandas")  # it ships no types
TICKERS, DAYS, SPAN = 500, 2520, 60
METHODS = ("historical", "gaussian", "cornish_fisher", "garch", "monte_carlo")
SIX_MONTHS = {"spot": 42, "strike": 40, "rate": 0.1, "time": 0.5, "kind": "call"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "normal_value_at_risk": {"values": [10e6, 5e6], "volatilities": [0.02, 0.01], "correlation": 0.3},
    "extreme_value_tail": {"threshold": 0.02, "xi": 0.2, "beta": 0.01, "exceedances": 50, "observations": 1000},
    "garch_forecast": {"omega": 2e-6, "alpha": 0.13, "beta": 0.86, "volatility": 0.016, "last_return": 0.01},
    "exceptions_test": {"exceptions": 5, "observations": 250},
    "sharpe_significance": {"sharpe": 0.1, "observations": 1250},
    "weights_from_moments": {"volatilities": [0.12, 0.2], "correlation": 0.3},
    "kelly": {"win_probability": 0.53, "odds": 1},
    "cash_flows": {"amounts": [-100, 39, 59, 55, 20], "rate": 0.1},
    "bill": {"days": 90, "price": 98},
    "forecast_score": {"probabilities": [0.7, 0.2, 0.9], "outcomes": [1, 0, 1]},
    "view_outcome": {"tickers": "AAPL", "made": "2022-03-31", "horizon": 10},
    "bond": {"coupon": 0.1, "frequency": 2, "years_to_maturity": 3, "yield_to_maturity": 0.12},
    "zero_curve": {"maturities": [0.5, 1, 1.5, 2], "prices": [98, 95, 96, 101], "coupons": [0, 0, 0.04, 0.08]},
    "year_fraction": {"start": "2022-01-01", "end": "2022-07-01"},
    "annuity": {"rate": 0.01, "periods": 12, "present_value": 1000},
    "convert_rate": {"rate": 0.1, "from_compounding": "semiannual"},
    "option": {**SIX_MONTHS, "volatility": 0.2},
    "implied_volatility": {**SIX_MONTHS, "price": 4.76},
    "compound_growth": {"begin": 100, "end": 150, "periods": 3},
    "trading_calendar": {"day": "2022-06-30", "horizon": 10},
    "market_holidays": {"year": 2022},
    "event_study": {"tickers": "AAPL", "benchmark": "JPM", "event_date": "2021-10-29"},
    "ta_lib": {"function": "AROON"},
    "query": {"table": "prices", "columns": ["adj_close"], "limit": 5},
    "sql": {"statement": "SELECT ticker, avg(adj_close) FROM prices GROUP BY ticker"},
}
"""What a tool is asked that needs more than a ticker."""
AS_OF, LATER = "2022-06-30", "2022-10-28"
NEEDS_LATER = {"valuation", "altman_z"}  # the sample's closes are adjusted for more than a year after the former
NEEDS_BARS = {"atr", "stochastic", "adx", "cci", "obv", "ta_lib"}


def median_ms(work: Callable[[], object], rounds: int = 7) -> float:
    """Milliseconds, the median of several rounds."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def screen(row: Row) -> None:
    """VaR, 60-day volatility and drawdown of 500 tickers over 2,520 days: ours, numpy by hand, and pandas."""
    chance = np.random.default_rng(0)
    changes = np.clip(chance.standard_t(4, (DAYS, TICKERS)) * 0.01, -0.5, 0.5)
    prices: NDArray[Any] = 100 * np.vstack([np.ones(TICKERS), np.cumprod(1 + changes, axis=0)])
    names = [f"T{i}" for i in range(TICKERS)]
    view = Given.of({n: prices[:, i].copy() for i, n in enumerate(names)}, "prices")
    wide = pd.DataFrame(prices, columns=names)
    long = wide.melt(var_name="ticker", value_name="close")
    view.prices_of(names)
    works: dict[str, Callable[[], object]] = {
        "risk_screen of 500 tickers x 2,520 days": lambda: risk_screen(view, window=DAYS, recent=SPAN),
        "    numpy by hand": lambda: by_hand(prices),
        "    pandas, a column a ticker": lambda: pandas_wide(wide),
        "    pandas, a row a ticker and day (groupby)": lambda: pandas_long(long),
        "    pandas, a function a ticker (groupby.apply)": lambda: pandas_apply(long),
    }
    took = {name: median_ms(work) for name, work in works.items()}
    ours, hand, columns, rows, applied = took.values()
    for name, ms in took.items():
        row(name, f"{ms:.0f} ms")
    row("    ours against numpy by hand", f"{ours / hand:.2f}x", "goal: at most 1.3x")
    ratios = " / ".join(f"{ms / ours:.1f}x" for ms in (applied, rows, columns))
    row("    pandas against ours, apply / groupby / wide", ratios, "goal: at least 5x")


def by_hand(prices: NDArray[Any]) -> object:
    """The same figures as plain numpy."""
    returns = prices[1:] / prices[:-1] - 1
    away = returns - returns.mean(axis=0)
    total, squares = np.cumsum(away, axis=0), np.cumsum(away * away, axis=0)
    total[SPAN:] -= total[:-SPAN].copy()
    squares[SPAN:] -= squares[:-SPAN].copy()
    rolled = np.sqrt((squares[SPAN - 1 :] - total[SPAN - 1 :] ** 2 / SPAN) / (SPAN - 1) * 252)
    var = -np.quantile(returns, 0.05, axis=0)
    return rolled, returns.std(axis=0, ddof=1), var, (1 - prices / np.maximum.accumulate(prices, axis=0)).max(axis=0)


def pandas_wide(frame: Any) -> object:
    """The same figures in pandas, a column a ticker."""
    returns = frame.pct_change().iloc[1:]
    rolled = returns.rolling(SPAN).std() * np.sqrt(252)
    return rolled, returns.std(), -returns.quantile(0.05), (1 - frame / frame.cummax()).max()


def pandas_long(frame: Any) -> object:
    """The same figures in pandas, rows as a database gives them."""
    by_ticker = frame.groupby("ticker", sort=False)["close"]
    returns = by_ticker.pct_change()
    grouped = returns.groupby(frame["ticker"], sort=False)
    falls = 1 - frame["close"] / by_ticker.cummax()
    rolled = grouped.rolling(SPAN).std() * np.sqrt(252)
    return rolled, grouped.std(), -grouped.quantile(0.05), falls.groupby(frame["ticker"], sort=False).max()


def pandas_apply(frame: Any) -> object:
    """The same figures in pandas, a function a ticker."""

    def one(closes: Any) -> object:
        returns = closes.pct_change().iloc[1:]
        rolled = returns.rolling(SPAN).std() * np.sqrt(252)
        fall = (1 - closes / closes.cummax()).max()
        return pd.Series([rolled.iloc[-1], returns.std(), -returns.quantile(0.05), fall])

    return frame.groupby("ticker", sort=False)["close"].apply(one)


def book(row: Row) -> None:
    """Value at risk of 20 positions by five methods, each with its backtest."""
    chance = np.random.default_rng(1)
    market = chance.standard_t(5, 1300) * 0.008
    series = {f"T{i}": market * (0.5 + i / 20) + chance.normal(size=1300) * 0.01 for i in range(20)}
    view, weights = Given.of(series, "returns"), {f"T{i}": 0.05 for i in range(20)}

    def all_of_it() -> None:
        for method in METHODS:
            portfolio_value_at_risk(view, weights, method=method)
            portfolio_var_backtest(view, weights, method=method)

    all_of_it()
    row("book VaR of 20 positions, 5 methods, with backtests", f"{median_ms(all_of_it, 5):.0f} ms", "goal: under 1 s")


def each_tool(row: Row, home: Path) -> None:
    """Every tool in a process of its own, and again in a warm one."""
    warehouse = Warehouse.open(home)
    early, late = (warehouse.view(AsOf.parse(d)) for d in (AS_OF, LATER))
    bars = Given.of(_bars(), "prices")
    for topic, tools in catalogue.by_topic().items():
        for name, function in tools.items():
            asked = _asked(name, function)
            known = late if name in NEEDS_LATER else early
            over: View = bars if name in NEEDS_BARS else known if reads_data(function) else NO_DATA
            if name in NEEDS_BARS:
                asked["ticker"] = "close"
            cold = _cold(home, name, asked) if name not in NEEDS_BARS and name != "check_limits" else None
            warm = median_ms(lambda f=function, v=over, a=asked: f(v, **a), 3)
            shown = f"{cold:.2f} s" if cold else "-"
            row(f"tool {name} ({topic}), cold / warm", f"{shown} / {warm:.1f} ms")
    warehouse.close()


def _asked(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Arguments for one call."""
    asked = dict(EXAMPLES.get(name, {}))
    stands_for: dict[str, Any] = {
        "ticker": "AAPL",
        "other": "MSFT",
        "benchmark": "JPM",
        "tickers": "AAPL,MSFT,KO,JNJ",
        "factors": "JPM",
        "limits": Limits(gross_value=1e6, value_at_risk=0.1, stress_loss=0.2),
    }
    for argument, field in model_of(function).model_fields.items():
        if argument in stands_for and (field.is_required() or argument == "ticker") and name not in ("kelly",):
            asked.setdefault(argument, stands_for[argument])
    return asked


def _bars() -> dict[str, NDArray[Any]]:
    closes = 100 * np.cumprod(1 + np.random.default_rng(3).normal(size=600) * 0.01)
    return {
        "open": closes * 0.999,
        "high": closes * 1.01,
        "low": closes * 0.99,
        "close": closes,
        "volume": np.full(600, 1e6),
    }


def _cold(home: Path, name: str, asked: dict[str, Any]) -> float:
    options = [part for k, v in asked.items() for part in (f"--{k.replace('_', '-')}", _word(v))]
    command = [sys.executable, "-m", "openoutcry.cli", "--home", str(home), "tool", name, *options]
    if reads_data(catalogue.named(name)):
        command += ["--as-of", LATER if name in NEEDS_LATER else AS_OF]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr}")
    return time.perf_counter() - start


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
