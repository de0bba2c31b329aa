"""One file of scenarios: what it holds, written out or as templates, and all that is wrong with it."""

import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.eval import places
from openoutcry.eval.faults import Fault, Faults, Loc, doubtful
from openoutcry.eval.scenario import Bank, Fixture, Scenario
from openoutcry.eval.templates import TRUTH, Templates, expand, filled
from openoutcry.eval.worlds.case import made

_DATE = re.compile(r"(?<![\w'\"-])\d{4}-\d{2}-\d{2}(?!\d)")
MOST = 500_000
"""Values that a file may hold: well past a thousand cases, and far below what anchors of anchors can ask for."""


def scenarios(faults: Faults, name: str, bank: Bank, rotation: str) -> Iterator[tuple[Loc, Scenario]]:
    """What the file holds, each with its place; what is wrong is told to *faults*."""
    values = _values(faults)
    if values is None:
        return
    if "situation" in values:
        yield from (((), scenario) for scenario in _expanded(values, faults, name, bank, rotation))
        return
    several: Any = values.get("scenario")
    if several is not None and (not isinstance(several, list) or len(values) > 1):
        odd = ", ".join(sorted(values.keys() - {"scenario"}))
        faults.add(("scenario",), f"expected [[scenario]] and nothing beside it{f', got {odd}' if odd else ''}")
        return
    listed = cast("list[Any]", several) if isinstance(several, list) else [values]
    for i, one in enumerate(listed):
        loc = ("scenario", i) if isinstance(several, list) else ()
        if (values := _with_truths(one, faults, loc)) is None:
            continue
        try:
            scenario = Scenario.model_validate(values)
        except ValidationError as error:
            faults.invalid(error, Scenario, loc)
            continue
        for place, reason in doubtful(scenario, faults.file.parent):
            faults.add((*loc, *place), reason)
        yield loc, scenario


def _with_truths(one: Any, faults: Faults, loc: Loc) -> Any:
    """*one* with each `$name` in what it expects filled in: a truth of its first made-up company; None for no such."""
    if not isinstance(one, dict):
        return one
    values = cast("dict[str, Any]", one)
    asked = {key: values[key] for key in ("expect", "turns", "as_of", "limits") if key in values}
    named = list(_named(asked))
    try:
        companies = Fixture.model_validate(values.get("fixture", {"sample": True})).made
        case = made(companies[0]) if named and companies else None
    except (ValidationError, UsageError):  # told where the whole scenario is read
        return values
    wrong = False
    for place, name in named:
        try:
            if case is None:
                raise UsageError(f"{name}: only a scenario with `made` companies knows truths by name")
            filled(name, case, f"situation {companies[0].situation}")
        except UsageError as error:
            wrong = True
            faults.add((*loc, *place), str(error))
    if wrong:
        return None
    return values if case is None else values | {key: filled(value, case, "") for key, value in asked.items()}


def _named(value: Any, at: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Each text in *value* that stands for a truth, with its place."""
    if isinstance(value, str):
        yield from [(at, value)] if TRUTH.fullmatch(value) else []
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            yield from _named(part, (*at, key))
    elif isinstance(value, list):
        for i, part in enumerate(cast("list[Any]", value)):
            yield from _named(part, (*at, i))


def _expanded(values: dict[str, Any], faults: Faults, name: str, bank: Bank, rotation: str) -> list[Scenario]:
    try:
        templates = Templates.model_validate(values)
    except ValidationError as error:
        faults.invalid(error, Templates)
        return []
    try:
        found = list(expand(name, templates, bank, rotation))
    except (UsageError, ValidationError, AttributeError, ArithmeticError):
        _one_by_one(templates, faults, name, bank, rotation)
        return []
    for scenario in found:
        for _, reason in doubtful(scenario.model_copy(update={"fixture": Fixture(sample=True)}), Path()):
            faults.add((), f"{scenario.source}: {reason}")
    return found


def _one_by_one(templates: Templates, faults: Faults, name: str, bank: Bank, rotation: str) -> None:
    """Which templates cannot be expanded, and why: each by itself."""
    for i, situated in enumerate(templates.situation):
        for j, template in enumerate(situated.template):
            alone = situated.model_copy(update={"template": (template,)})
            loc = ("situation", i, "template", j)
            try:
                list(expand(name, templates.model_copy(update={"situation": (alone,)}), bank, rotation))
            except UsageError as error:
                faults.add(loc, str(error))
            except (AttributeError, ArithmeticError) as error:  # {name.x} in a question; an empty list under each
                faults.add(loc, f"cannot be filled in: {error}")
            except ValidationError as error:
                faults.invalid(error, Scenario, loc)


def _values(faults: Faults) -> dict[str, Any] | None:
    """The keys of the file, or None where it cannot be read as TOML or YAML."""
    file = faults.file
    try:
        if file.suffix == ".toml":
            values: Any = tomllib.loads(faults.text)
        else:
            if not places.within(faults.text, MOST):
                faults.found.append(Fault(file, 1, f"expected at most {MOST:,} values, its anchors written out"))
                return None
            values = yaml.safe_load(faults.text)
            for path, line in places.twice(faults.text):
                faults.found.append(Fault(file, line, f"{path[-1]!r} stands here a second time"))
    except RecursionError:
        faults.found.append(Fault(file, 1, "expected a file of scenarios, but its values lie too deep in one another"))
        return None
    except tomllib.TOMLDecodeError as error:
        faults.found.append(Fault(file, *_unreadable(str(error), faults.text)))
        return None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        faults.found.append(Fault(file, mark.line + 1 if mark else 1, f"not readable as YAML: {said}"))
        return None
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # a value of YAML that is none of its kind
        odd = list(places.unreadable(faults.text)) if file.suffix != ".toml" else []
        faults.found += [Fault(file, *one) for one in odd or [(1, f"cannot be read: {error}")]]
        return None
    if not isinstance(values, dict):
        found = "none" if values is None else type(values).__name__
        faults.found.append(Fault(file, 1, f"expected the keys of a scenario, found {found}"))
        return None
    if not values:
        faults.found.append(Fault(file, 1, "expected the keys of a scenario, found none"))
        return None
    return cast("dict[str, Any]", values)


def _unreadable(said: str, text: str) -> tuple[int, str]:
    """The line that tomllib names in its words, and the rest of them, or the date in it that there is none of."""
    reason, _, place = said.rpartition(" (at ")
    number = place.removeprefix("line ").partition(",")[0]
    lines = text.splitlines() or [""]
    line = int(number) if number.isdigit() else text.count("\n") + 1
    for found in _DATE.findall(lines[min(line, len(lines)) - 1]):
        try:
            date.fromisoformat(found)
        except ValueError as error:
            return line, f"{found} is no date that there is: {error}"
    return line, f"not readable as TOML: {reason or said}"
