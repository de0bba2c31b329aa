"""The types of tool arguments, with the bounds and the words that a model, a person and a schema see."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

MAX_HORIZON = 252
Ticker = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9.\-]{0,11}$", description="ticker symbol, e.g. AAPL")]
Horizon = Annotated[int, Field(ge=1, le=MAX_HORIZON, description="horizon in trading days")]
Confidence = Annotated[float, Field(gt=0.5, lt=1, description="confidence level, e.g. 0.99")]
Window = Annotated[int, Field(ge=20, le=10_000, description="how many of the latest trading days to use")]
Method = Literal["historical", "gaussian"]


def model_of(function: Callable[..., Any]) -> type[BaseModel]:
    """A model of the tool's arguments, made from its signature; the first parameter is given by the run."""
    hints = get_type_hints(function, include_extras=True)
    _, *parameters = inspect.signature(function).parameters.values()
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default) for p in parameters
    }
    return create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def purpose(function: Callable[..., Any]) -> str:
    """The first paragraph of the tool's docstring: what a model is told of it."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
