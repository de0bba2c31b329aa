"""Tools on the command line: an option an argument, and the Evidence of one call as text."""

import inspect
import re
import types
from collections.abc import Callable, Iterator
from datetime import date
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from openoutcry.core.evidence import Evidence, Unit, show
from openoutcry.interfaces.text import called, wrap
from openoutcry.tools import catalogue
from openoutcry.tools.arguments import model_of, purpose
from openoutcry.tools.tool import needs_data

MOST_QUERIES = 3
_SHOWN_WHOLE = (Unit.TEXT, Unit.DATE, Unit.COUNT, Unit.SESSIONS, Unit.PERIODS)


def options(function: Callable[..., Any]) -> list[click.Option]:
    """An option for each argument of the tool; values are read by the tool itself."""
    return [_option(name, field) for name, field in model_of(function).model_fields.items()]


def _option(name: str, field: FieldInfo) -> click.Option:
    flag, kinds = f"--{name.replace('_', '-')}", _kinds(field.annotation)
    if kinds == [bool]:
        return click.Option([f"{flag}/--no-{name.replace('_', '-')}"], default=None, help=_help(field, ""))
    choices = [str(c) for k in kinds if get_origin(k) is Literal for c in get_args(k)]
    choices += [str(c) for k in kinds if isinstance(k, type) and issubclass(k, StrEnum) for c in k]
    metavar = "|".join(choices) if choices else "/".join(dict.fromkeys(_kind(k) for k in kinds)).upper()
    return click.Option([flag], metavar=metavar, default=None, help=_help(field, name))


def _kinds(annotation: Any) -> list[Any]:
    """The alternatives of a type, None aside."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [k for a in get_args(annotation) if a is not type(None) for k in _kinds(a)]
    return _kinds(get_args(annotation)[0]) if hasattr(annotation, "__metadata__") else [annotation]


def _kind(kind: Any) -> str:
    return {int: "whole number", float: "number", date: "date", list: "a,b,c", dict: "k=v,k=v"}.get(
        get_origin(kind) or kind, "text"
    )


def _help(field: FieldInfo, name: str) -> str:
    """What the argument is, and what stands where it is not given."""
    said = field.description or {"ticker": "ticker, or column of the file", "other": "the other ticker"}.get(name, "")
    if field.is_required():
        return f"{said} (required)".strip()
    default = field.get_default()
    empty = default in (None, "", [], {}) or default == ()
    return said if empty else f"{said} (default {default})".strip()


def help_of(function: Callable[..., Any]) -> str:
    """The tool's docstring as click shows it: paragraphs refilled, arguments without their asterisks."""
    return _bare(inspect.getdoc(function) or "")


def _bare(text: str) -> str:
    return re.sub(r"\*(\w+)\*", r"\1", text)


def listing() -> Iterator[str]:
    """Every tool under its topic, a line each; a star marks those that need no data."""
    for topic, tools in catalogue.by_topic().items():
        yield ""
        yield topic
        for name, function in tools.items():
            mark = " " if needs_data(function) else "*"
            first = _bare(purpose(function).split(". ")[0].rstrip("."))
            yield wrap(first, f"  {name:<26}{mark} ", " " * 30)
    yield ""
    yield "* needs no data: every number is an argument.   outcry tool NAME --help tells its arguments."


def evidence(made: Evidence) -> Iterator[str]:
    """Figures, then the conventions under which they hold, then what to know of the data."""
    yield wrap(called(made), "", "  ")
    if made.as_of:
        yield f"as of {made.as_of}"
    yield ""
    width = max((len(n) for n in made.figures), default=0)
    for name, figure in made.figures.items():
        exact = "" if figure.unit in _SHOWN_WHOLE else f"   {figure.value!r}"
        yield f"{name:<{width}}  {show(figure)}{exact}"
    if made.conventions:
        yield ""
        yield from (wrap(f"{key}: {value}", "convention  ", " " * 12) for key, value in made.conventions.items())
    yield from (wrap(m, "note        ", " " * 12) for m in made.missing)
    if len(made.queries) > MOST_QUERIES:
        rows = sum(query.rows for query in made.queries)
        yield f"rows        {rows:,} of {len(made.queries)} queries; --json shows each with its SHA-256"
        return
    for query in made.queries:
        yield f"rows        {query.rows:,}, SHA-256 {query.sha256}"
