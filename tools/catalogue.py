"""All tools by name and topic. Importing them is light: a heavy library loads when its tool runs."""

import difflib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.tool import is_tool

TOPICS: dict[str, tuple[str, ...]] = {
    "prices": ("prices", "technical"),
    "risk": ("risk", "garch", "backtest"),
    "performance": ("performance", "sharpe"),
    "portfolio": ("portfolio",),
    "factors and events": ("factors", "events"),
    "options": ("options",),
    "rates": ("rates",),
    "statements": ("statements", "scores"),
    "calendar": ("sessions",),
    "data": ("book", "documents", "query"),
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


def named(name: str) -> Function:
    """The tool of this name. Raises UsageError with the nearest name where there is none."""
    every = {n: f for tools in by_topic().values() for n, f in tools.items()}
    wanted = name.replace("-", "_")
    if wanted not in every:
        close = difflib.get_close_matches(wanted, every, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"no tool {name!r}; {hint}`outcry tool` lists them")
    return every[wanted]
