"""BFCL, the Berkeley function calling leaderboard: which functions to call with which arguments, or that none fits.

A dot in a function's name becomes an underscore, as servers ask for; types of Python become those of JSON Schema.
Words are compared as they stand, case and punctuation too, which is stricter than the leaderboard.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, cast

from pydantic import Field

from openoutcry.eval.public.rows import Row, Rows, named
from openoutcry.eval.scenario import Bare, Called, Expect, Scenario, Seat

FILE = "toolcall/bfcl.jsonl"
TYPES = {"dict": "object", "float": "number", "tuple": "array"}
CALL = """\
Call the functions that the request needs, once for each thing asked for, all in one answer. Where none of them fits,
call none and say so."""
LEFT_OUT = ""
"""What stands among the accepted values of an argument that may be left out."""
MOST = 64
"""Ways in which a value with alternatives inside it may be written, at most."""


class Function(Row):
    """A function on offer."""

    name: str
    description: str = ""
    parameters: dict[str, Any]


class Message(Row):
    """A message of a conversation."""

    role: str
    content: str


class Put(Row):
    """A row. `ground_truth` gives for each call the accepted values of each argument; None: no call is right."""

    id: str
    category: str
    question: tuple[tuple[Message, ...], ...] = Field(min_length=1, max_length=1)
    function: tuple[Function, ...] = Field(min_length=1)
    ground_truth: tuple[dict[str, dict[str, tuple[Any, ...]]], ...] | None


def bfcl(rows: Rows) -> Iterator[Scenario]:
    """A case a row."""
    return rows.cases(FILE, Put, lambda row: [_case(row)])


def _case(row: Put) -> Scenario:
    offered = {_plain(f.name): f for f in row.function}
    found = [_called(name, given) for call in row.ground_truth or () for name, given in call.items()]
    # Calls are matched one after the other, so the most particular come first.
    calls = tuple(sorted(found, key=lambda call: math.prod(map(len, call.arguments.values()))))
    if unknown := {call.name for call in calls} - offered.keys():
        raise ValueError(f"expected calls of functions on offer, got {', '.join(sorted(unknown))}")
    prompt = "\n\n".join(m.content for m in row.question[0] if m.role == "user")
    told = [m.content for m in row.question[0] if m.role == "system"]
    tools = tuple(
        {"name": name, "description": f.description, "parameters": schema(f.parameters)} for name, f in offered.items()
    )
    return Scenario(
        id=named("bfcl", row.id),
        category=row.category,
        cluster=calls[0].name if calls else next(iter(offered)),
        seat=Seat.MODEL,
        bare=Bare(instructions="\n\n".join((*told, CALL)), prompt=prompt, tools=tools, answer="calls"),
        expect=Expect(calls=calls),
        source=f"bfcl {row.id}, Apache-2.0",
    )


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _called(name: str, given: Mapping[str, tuple[Any, ...]]) -> Called:
    return Called(name=_plain(name), arguments={key: _accepted(values) for key, values in given.items()})


def _accepted(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(way for value in values for way in _ways(value))


def _ways(value: Any) -> list[Any]:
    """A value written out: of an object, each key has its accepted values too. Raises ValueError for too many."""
    if not isinstance(value, dict):
        return [value]
    inner = cast("dict[str, list[Any]]", value)
    choices = [[(key, way) for one in ones for way in _ways(one)] for key, ones in inner.items()]
    found = [{k: v for k, v in pairs if v != LEFT_OUT} for pairs in product(*choices)]
    if len(found) > MOST:
        raise ValueError(f"expected at most {MOST} ways to write an argument, got {len(found)}")
    return found


def schema(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in JSON Schema."""
    return cast("dict[str, Any]", _schema(given))


def _schema(given: Any) -> Any:
    if isinstance(given, Mapping):
        found = {key: _schema(value) for key, value in cast("Mapping[str, Any]", given).items()}
        kind = found.get("type")
        if kind == "any":
            del found["type"]
        elif isinstance(kind, str):
            found["type"] = TYPES.get(kind, kind)
        return found
    return [_schema(one) for one in cast("list[Any]", given)] if isinstance(given, list) else given
