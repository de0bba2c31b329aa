"""What makes a plain function a tool: its arguments are checked, and its Evidence says what was asked."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import LONGEST, Window, model_of
from openoutcry.tools.data.intake import reason_of
from openoutcry.tools.data.view import View

F = TypeVar("F", bound=Callable[..., Evidence])


def tool(function: F) -> F:
    """Check the arguments of *function* by its signature, and write them into the Evidence that it returns.

    The first parameter is the view. A function whose view has a default needs no data: a calculator. Over a
    person's own file a `window` that is not given is the whole series. The call raises UsageError for an
    argument that does not fit.
    """
    signature = inspect.signature(function)
    first = next(iter(signature.parameters))

    @wraps(function)
    def call(*given: Any, **named: Any) -> Evidence:
        bound = signature.bind_partial(*given, **named)
        asked = set(bound.arguments)
        bound.apply_defaults()
        if first not in bound.arguments:
            raise TypeError(f"{function.__name__}: expected the {first} first; Desk.tool and `outcry tool` give it")
        view = bound.arguments.pop(first)
        whole = view.names_given is not None and "window" not in asked and _takes_window(function)
        if whole:
            bound.arguments["window"] = LONGEST
        values = _checked(function, view, bound.arguments)
        made = function(view, **values)
        return stamped(made, function.__name__, {k: v for k, v in values.items() if not (whole and k == "window")})

    call.__dict__["is_tool"] = True
    return cast("F", call)


def is_tool(value: object) -> bool:
    """Whether *value* was made by `tool`."""
    return bool(getattr(value, "is_tool", False))


def _takes_window(function: Callable[..., Any]) -> bool:
    return get_type_hints(function, include_extras=True).get("window") == Window


def needs_data(function: Callable[..., Any]) -> bool:
    """Whether the tool cannot go without data."""
    return next(iter(inspect.signature(function).parameters.values())).default is inspect.Parameter.empty


def reads_data(function: Callable[..., Any]) -> bool:
    """Whether the tool reads data, always or where a ticker is named; else it is a calculator alone."""
    return needs_data(function) or "ticker" in inspect.signature(function).parameters


def stamped(evidence: Evidence, name: str, arguments: Mapping[str, Any]) -> Evidence:
    """The evidence with the tool that made it and what it was asked."""
    return evidence.model_copy(update={"tool": name, "arguments": {k: _plain(v) for k, v in arguments.items()}})


def _checked(function: Callable[..., Any], view: View, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parsed = model_of(function).model_validate(values, context={"names": view.names_given})
    except ValidationError as error:
        raise UsageError(f"{function.__name__}: {reason_of(error)}") from None
    return {name: getattr(parsed, name) for name in type(parsed).model_fields}


def _plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(v) for v in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in cast("dict[Any, Any]", value).items()}
    return value if value is None or isinstance(value, bool | int | float) else str(value)
