"""All tools by name and topic. Importing them is light: a heavy library loads when its tool runs."""

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.core.limits import Limits
from openoutcry.tools.arguments import model_of
from openoutcry.tools.data.given import Source, given
from openoutcry.tools.data.view import NO_DATA, View, Warehouse
from openoutcry.tools.tool import is_tool, needs_data

TOPICS: dict[str, tuple[str, ...]] = {
    "prices": ("prices", "technical", "technical_bars", "spreads"),
    "risk": ("risk", "screen", "drawdowns", "delta_normal", "extremes", "garch", "backtest"),
    "performance": ("performance", "sharpe"),
    "book": ("book", "portfolio_risk", "stress", "limits"),
    "portfolio": ("portfolio", "rebalancing", "kelly"),
    "factors and events": ("factors", "betas", "events"),
    "options": ("options",),
    "rates": ("rates", "zero_rates", "money", "annuities"),
    "statements": ("statements", "dupont", "altman", "piotroski", "beneish"),
    "forecasts": ("forecasts", "outcomes"),
    "calendar": ("sessions",),
    "data": ("documents", "query"),
}
Function = Callable[..., Evidence]


@cache
def by_topic() -> dict[str, dict[str, Function]]:
    """Every tool under its topic, in the order in which it is written."""
    return {
        topic: {name: f for m in modules for name, f in _tools(f"openoutcry.tools.{m}")}
        for topic, modules in TOPICS.items()
    }


def _tools(module: str) -> list[tuple[str, Any]]:
    return [(n, f) for n, f in vars(import_module(module)).items() if is_tool(f) and f.__module__ == module]


def call(
    function: Function,
    arguments: Mapping[str, Any],
    *,
    warehouse: Callable[[], Warehouse],
    limits: Limits,
    as_of: str | None = None,
    returns: Source = None,
    prices: Source = None,
    scale: float = 1.0,
) -> Evidence:
    """Call a tool by itself: over given series, else over the *warehouse* where it reads data, else over nothing.

    A file of one column, or of open, high, low and close, needs no ticker; *limits* are those of the settings,
    for the tool that takes some.
    """
    filled = dict(arguments)
    takes = model_of(function).model_fields
    if returns is not None or prices is not None:
        view: View = (series := given(returns, prices, as_of, scale))
        if "ticker" in takes and takes["ticker"].is_required() and not filled.get("ticker"):
            if not series.main:
                raise UsageError(f"expected a ticker, one of the columns {', '.join(series.tickers)}; got none")
            filled["ticker"] = series.main
    elif needs_data(function) or "ticker" in filled or as_of:
        view = warehouse().view(AsOf.parse(as_of) if as_of else None)
    else:
        view = NO_DATA
    if "limits" in takes:
        filled.setdefault("limits", limits)
    return function(view, **filled)


def named(name: str) -> Function:
    """The tool of this name. Raises UsageError with the nearest name where there is none."""
    every = {n: f for tools in by_topic().values() for n, f in tools.items()}
    wanted = name.replace("-", "_")
    if wanted not in every:
        close = difflib.get_close_matches(wanted, every, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"no tool {name!r}; {hint}`outcry tool` lists them")
    return every[wanted]
