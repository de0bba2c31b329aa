"""The types of tool arguments, with the bounds and the words that a model, a person and a schema see.

A person may type any number. A model may not: where an argument is measured and not chosen (a price, a
yield, a volatility), a model names a figure of earlier evidence, such as `E3.close`. `Measured` marks those.
"""

import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, cast, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic.fields import FieldInfo

MAX_HORIZON = 252
_SYMBOL = r"^[A-Z][A-Z0-9.\-]{0,11}$"


@dataclass(frozen=True, slots=True)
class ForPerson:
    """Marks an argument that no model is shown, such as one that lowers a floor; its default stands for a model."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Marks an argument whose numbers come from data: `shown` is its type in a model's schema."""

    shown: Any


def _symbol(value: str, info: ValidationInfo) -> str:
    """A ticker in capitals; over a person's own file, where *names* are given, a column as it stands."""
    context = cast("dict[str, Sequence[str] | None]", info.context or {})
    if (names := context.get("names")) is not None:
        fits = [n for n in names if n.casefold() == value.casefold()]
        return fits[0] if len(fits) == 1 else value
    if not re.match(_SYMBOL, upper := value.strip().upper()):
        raise ValueError("expected a ticker such as AAPL")
    return upper


def _listed(value: object) -> object:
    """`1,2,3` or a JSON list, as a command line gives it, into a list."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("expected a list such as 1,2,3 or one in JSON") from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _mapped(value: object) -> object:
    """`A=1,B=2` or a JSON object, as a command line gives it, into a mapping."""
    parts = _listed(value)
    if not isinstance(parts, list):
        return parts
    pairs = [str(part).rpartition("=") for part in cast("list[object]", parts)]
    if any(not name or not mark for name, mark, _ in pairs):
        raise ValueError("expected pairs such as AAPL=0.6,MSFT=0.4")
    names = [name.strip() for name, _, _ in pairs]
    folded = [name.casefold() for name in names]
    if twice := next((n for n in names if folded.count(n.casefold()) > 1), None):
        raise ValueError(f"expected each name once, found {twice} twice")
    return dict(zip(names, (number.strip() for _, _, number in pairs), strict=True))


def _digit(value: object) -> object:
    """A digit as a command line gives it into a number, for a choice among numbers."""
    return int(value) if isinstance(value, str) and value.strip().isdigit() else value


LISTED, MAPPED = BeforeValidator(_listed), BeforeValidator(_mapped)
Reference = Annotated[str, Field(pattern=r"^\{?E\d+\.[a-z][a-z0-9_]*\}?$")]
_KNOWN = WithJsonSchema({"type": "string", "pattern": _SYMBOL, "description": "ticker symbol, e.g. AAPL"})
Ticker = Annotated[str, AfterValidator(_symbol), _KNOWN]
Tickers = Annotated[list[Ticker], LISTED, Field(max_length=1000, description="tickers, e.g. AAPL,MSFT")]
Horizon = Annotated[int, Field(ge=1, le=MAX_HORIZON, description="horizon in trading days (periods of a file)")]
Confidence = Annotated[float, Field(gt=0.5, lt=1, description="confidence level, e.g. 0.99")]
LONGEST = 100_000
Window = Annotated[
    int, Field(ge=20, le=LONGEST, description="how many of the latest trading days to use; of a file all, if not given")
]
Number = Annotated[FiniteFloat, Measured(Reference)]
Lookback = Annotated[
    int | None, Field(ge=2, le=LONGEST, description="how many of the latest returns to use; all if not given")
]
MaybeNumber = Annotated[FiniteFloat | None, Measured(Reference | None)]
Positive = Annotated[FiniteFloat, Field(gt=0), Measured(Reference)]
MaybePositive = Annotated[FiniteFloat | None, Field(gt=0), Measured(Reference | None)]
Numbers = Annotated[list[FiniteFloat], LISTED, Measured(list[Reference])]
NumberOf = Annotated[dict[str, FiniteFloat], MAPPED, Measured(dict[str, Reference])]
Weights = Annotated[dict[Ticker, FiniteFloat], MAPPED, Field(description="weight by ticker, e.g. AAPL=0.6,MSFT=0.4")]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="seed of the random numbers")]
Periods = Annotated[
    float | None,
    Field(gt=0, le=366, description="periods a year; if not given 252 for sessions, or as a file's dates tell"),
]
Ddof = Annotated[Literal[0, 1], BeforeValidator(_digit), Field(description="divisor of a variance: n - ddof")]
MaybeDdof = Annotated[
    Literal[0, 1] | None,
    BeforeValidator(_digit),
    Field(description="divisor n - ddof; if not given 0 for cornish_fisher, else 1"),
]
RiskFree = Annotated[FiniteFloat, Measured(Reference), Field(description="risk-free rate a year, e.g. 0.02")]
Day = Annotated[date, Field(description="a day, e.g. 2022-06-30")]


@cache
def model_of(function: Callable[..., Any], *, for_model: bool = False) -> type[BaseModel]:
    """A model of the tool's arguments, made from its signature; the first parameter is given by the run.

    *for_model* shows measured arguments as references, as a language model must give them, and leaves out those
    that are for a person alone.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in _parameters(function):
        hint = hints[parameter.name]
        if for_model and any(isinstance(m, ForPerson) for m in getattr(hint, "__metadata__", ())):
            continue
        fields[parameter.name] = (
            _shown(hint) if for_model else hint,
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
    return create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def measured(function: Callable[..., Any]) -> frozenset[str]:
    """The names of the arguments whose numbers come from data."""
    hints = get_type_hints(function, include_extras=True)
    return frozenset(p.name for p in _parameters(function) if _mark(hints[p.name]))


def _parameters(function: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    return tuple(inspect.signature(function).parameters.values())[1:]


def _mark(hint: Any) -> Measured | None:
    return next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Measured)), None)


def _shown(hint: Any) -> Any:
    """The type as a model is shown it: a measured number as a reference, with the same words."""
    mark = _mark(hint)
    if mark is None:
        return hint
    words = [m.description for m in hint.__metadata__ if isinstance(m, FieldInfo) and m.description]
    told = "a figure of earlier evidence, such as E3.close" + "".join(f": {w}" for w in words[-1:])
    return Annotated[mark.shown, Field(description=told)]


def purpose(function: Callable[..., Any]) -> str:
    """The first paragraph of the tool's docstring: what a model is told of it."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
