"""What is wrong with a file of scenarios: every fault of it, each with its line and its reason."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import UsageError
from openoutcry.eval import figure_names, places
from openoutcry.eval.casting import SPEAKERS
from openoutcry.eval.scenario import NAME, TICKER, Expect, Scenario, Seat
from openoutcry.eval.worlds.case import made
from openoutcry.tools import catalogue

Loc = tuple[str | int, ...]
PATTERNS = {
    TICKER: "expected a ticker of capital letters, such as KALO, at most 12 (digits, dots and dashes after the first)",
    NAME: "expected a name of at most 96 letters, digits, dots, dashes and underscores, without a space",
}
"""What the patterns of the format ask for, in words."""
SHARE = "; of a share, such as 5 %, the unit is fraction and the value 0.05"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where. `line` counts from 1."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(slots=True)
class Faults:
    """The faults found in a file so far. The lines of its keys are looked for once something is wrong."""

    file: Path
    text: str
    found: list[Fault] = field(default_factory=list[Fault])
    _places: Mapping[Loc, int] | None = None

    def add(self, loc: Loc, reason: str) -> None:
        """A fault of what stands at *loc*, said once."""
        if self._places is None:
            self._places = places.toml(self.text) if self.file.suffix == ".toml" else places.yaml_places(self.text)
        fault = Fault(self.file, places.line_of(self._places, loc), reason)
        if fault not in self.found:
            self.found.append(fault)

    def invalid(self, error: ValidationError, model: type[BaseModel], at: Loc = ()) -> None:
        """Each fault that pydantic found in a value of *model* that stands at *at*, in the words of the format."""
        for loc, reasons in _by_place(error, model).items():
            named = ".".join(str(part) for part in _known(model, loc))
            said = "; or ".join(dict.fromkeys(reasons))
            self.add((*at, *loc), f"{named}: {said}" if named else said)


def _by_place(error: ValidationError, model: type[BaseModel]) -> dict[Loc, list[str]]:
    """The reasons by the place of the value, the branches of a union told together."""
    found: dict[Loc, list[str]] = {}
    for one in error.errors(include_url=False):
        said = one["msg"].removeprefix("Value error, ")
        loc = one["loc"]
        if one["type"] == "extra_forbidden":
            said = unknown(str(loc[-1]), keys(model, loc[:-1]))
        elif one["type"] == "missing":
            said = "is missing"
        else:
            loc = _known(model, loc)
            came = _came(one["input"])
            said = PATTERNS.get(one.get("ctx", {}).get("pattern", ""), said)
            said = f"{said[:1].lower()}{said[1:]}{'' if said.endswith(came) else came}"
            said += SHARE if one["type"] == "enum" and loc[-1:] == ("unit",) else ""
        found.setdefault(loc, []).append(said)
    return found


def _came(value: Any) -> str:
    """What was there instead, where that is short."""
    return f", got {value!r}" if isinstance(value, str | int | float | bool) and len(repr(value)) <= 60 else ""


def unknown(name: str, there: Sequence[str]) -> str:
    """That there is no such name, and the one that may have been meant, else all that there are."""
    near = difflib.get_close_matches(name, there, 1)
    return f"there is no {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(there)}")


def keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that the format knows at *loc*."""
    at = _walk(model, loc)
    return [field.alias or name for name, field in at.model_fields.items()] if at else []


def _known(model: type[BaseModel], loc: Loc) -> Loc:
    """*loc* without what pydantic adds at its end: the branch of a union that a value was tried as."""
    at: Any = model
    for n, part in enumerate(loc):
        at = _step(at, part)
        if at is None:
            return loc[:n]
    return loc


def _walk(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    at: Any = model
    for part in loc:
        at = _step(at, part)
    return at if isinstance(at, type) and issubclass(at, BaseModel) else None


def _step(at: Any, part: str | int) -> Any:
    """The type of what stands under *part* in a value of the type *at*; None where there can be nothing."""
    if isinstance(at, type) and issubclass(at, BaseModel):
        named = {f.alias or n: f.annotation for n, f in at.model_fields.items()}
        return _bare(named.get(str(part)))
    if get_origin(at) in (tuple, list):
        return _bare(get_args(at)[0]) if isinstance(part, int) else None
    if get_origin(at) is dict:
        return _bare(get_args(at)[1])
    return at if at is Any else None


def _bare(annotation: Any) -> Any:
    """The type without the None that may stand beside it."""
    if get_origin(annotation) in (Union, UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def doubtful(scenario: Scenario, beside: Path) -> Iterator[tuple[Loc, str]]:
    """What is wrong with a scenario though each value is of its type, by its place: names that there are not."""
    begins = list[str]()
    for i, one in enumerate(scenario.fixture.made):
        try:
            begins += [str(row["date"]) for row in made(one).rows.get("prices", [])[:1]]
        except UsageError as error:
            yield ("fixture", "made", i), str(error)
    silent = any(turn.expect.abstain or turn.expect.not_computed for turn in scenario.asked)
    if begins and scenario.as_of and not silent and str(AsOf.parse(scenario.as_of).date) < min(begins):
        yield ("as_of",), f"{scenario.as_of} lies before the data, which begins on {min(begins)}"
    for i, name in enumerate(scenario.fixture.files):
        if not (beside / name).is_file():
            yield ("fixture", "files", i), f"expected a file of data at {beside / name}, found none"
    if scenario.cast and scenario.seat not in (Seat.DESK, Seat.COORDINATOR):
        yield ("cast",), f"only the desk and the coordinator hear other roles; seat {scenario.seat} is asked alone"
    for role in scenario.cast:
        if role not in SPEAKERS:
            yield ("cast", role), unknown(role, SPEAKERS)
    for i, turn in enumerate(scenario.asked):
        at = ("turns", i, "expect") if scenario.turns else ("expect",)
        own = {str(tool.get("name", "")) for tool in scenario.bare.tools} if scenario.bare else set[str]()
        for loc, reason in _expected(turn.expect, own):
            yield (*at, *loc), reason
        for loc, reason in () if scenario.bare else _misspelt(turn.expect):
            yield (*at, *loc), reason


def _misspelt(expect: Expect) -> Iterator[tuple[Loc, str]]:
    """Figures that no tool gives, but one of nearly that name."""
    named: list[tuple[Loc, str]] = [(("not_cited", i), name) for i, name in enumerate(expect.not_cited)]
    named += [(("figures", i, "name"), f.name) for i, f in enumerate(expect.figures) if f.tool not in figure_names.FREE]
    for loc, name in named:
        if near := figure_names.misspelt(name):
            yield loc, f"no tool gives a figure {name!r}; did you mean {near!r}?"


def _expected(expect: Expect, own: Set[str]) -> Iterator[tuple[Loc, str]]:
    for name in ("contains", "not_contains"):
        for i, pattern in enumerate(cast("tuple[str, ...]", getattr(expect, name))):
            try:
                re.compile(pattern)
            except re.error as error:
                yield (name, i), f"{pattern!r} is no regular expression: {error}"
    named: list[tuple[Loc, Iterable[str]]] = [
        (("tools", "required"), expect.tools.required),
        (("tools", "forbidden"), expect.tools.forbidden),
        (("not_computed",), expect.not_computed),
    ]
    for loc, names in named:
        for i, tool in enumerate(names):
            if tool not in tools() | own:
                yield (*loc, i), _no_tool(tool)
    for i, figure in enumerate(expect.figures):
        if figure.tool and figure.tool not in tools():
            yield ("figures", i, "tool"), _no_tool(figure.tool)


def tools() -> set[str]:
    """The names of all tools, those of the flow among them."""
    return {name for topic in catalogue.by_topic().values() for name in topic} | {"combine_views", "check_limits"}


def _no_tool(name: str) -> str:
    near = difflib.get_close_matches(name, tools(), 1)
    return f"there is no tool {name!r}; " + (f"did you mean {near[0]!r}?" if near else "`outcry tool` lists them")
