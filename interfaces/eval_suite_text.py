"""How suites and their cases read in the terminal: counts by category, and a case whole."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from openoutcry.interfaces.eval_text import number, percent
from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.scenario import Expect, FigureExpected, Fixture, Scenario


def suites(counted: Mapping[str, Mapping[str, int]], bank: str) -> Iterator[str]:
    """Suites with the number of their cases, by category."""
    whole = sum(sum(by.values()) for by in counted.values())
    yield f"{number(whole, 'case')} of the set {bank}"
    for name, by in counted.items():
        yield ""
        yield f"{name}: {number(sum(by.values()), 'case')}"
        yield wrap(harmless(", ".join(f"{category} {count}" for category, count in sorted(by.items()))), "  ")


def cases(found: "Sequence[Scenario]") -> Iterator[str]:
    """Cases by category, each with its question."""
    ordered = sorted(found, key=lambda c: c.category)
    for category, group in groupby(ordered, key=lambda c: c.category):
        same = list(group)
        yield harmless(f"{category}: {number(len(same), 'case')}")
        for one in same:
            yield f"  {one.id}"
            yield wrap(harmless(one.bare.prompt if one.bare else one.asked[0].question)[:300], "    ")


def case(one: "Scenario") -> Iterator[str]:
    """A case whole."""
    yield harmless(f"{one.id}   {one.category}")
    who = {"model": "a model alone", "desk": "the whole desk"}.get(one.seat, f"the {one.seat} alone")
    yield wrap(
        f"asked of {who}{f', as of {one.as_of}' if one.as_of else ''}; cluster {one.of}; digest {one.digest}", "  "
    )
    yield wrap(harmless(f"data: {_data(one.fixture)}"), "  ", "    ") if not one.bare else wrap("data: none", "  ")
    if one.cast:
        yield wrap(f"scripted: {', '.join(f'{role} is {cast}' for role, cast in one.cast.items())}", "  ")
    if one.limits.set_ones:
        yield wrap(f"limits: {', '.join(f'{name} {value:g}' for name, value in one.limits.set_ones.items())}", "  ")
    if one.twin:
        yield f"  twin: {one.twin}"
    if one.source:
        yield wrap(f"from: {harmless(one.source)}", "  ")
    if one.bare:
        yield from (wrap(harmless(line), "  | ") for line in one.bare.instructions.splitlines())
        yield from (wrap(harmless(line), "  > ") for line in one.bare.prompt.splitlines())
        yield from (wrap(harmless(f"tool {tool.get('name', '?')}"), "  ") for tool in one.bare.tools)
    for turn in one.asked:
        yield ""
        if not one.bare:
            yield wrap(harmless(turn.question), "  > ")
        yield from (wrap(harmless(line), "  - ", "    ") for line in expected(turn.expect))


def _data(fixture: "Fixture") -> str:
    if fixture.sample:
        return "the bundled sample"
    if fixture.files:
        return ", ".join(fixture.files)
    first = fixture.made[0]
    names = ", ".join(f"{m.name} ({m.ticker})" for m in fixture.made)
    return f"made by the situation {first.situation}, seed {first.seed}: {names}"


def expected(expect: "Expect") -> Iterator[str]:
    """Each expectation in words."""
    for figure in expect.figures:
        yield _figure(figure)
    told = {
        "no sentence cites": expect.not_cited,
        "calls": expect.tools.required,
        "does not call": expect.tools.forbidden,
        "says that it cannot compute": expect.not_computed,
    }
    yield from (f"{said} {', '.join(names)}" for said, names in told.items() if names)
    if expect.direction:
        yield f"takes the direction {' or '.join(expect.direction)}"
    if bounds := expect.probability:
        yield f"gives a rise a chance of {percent(bounds.low)} to {percent(bounds.high)}"
    if expect.abstain is not None:
        yield "says no honestly" if expect.abstain else "answers"
    yield from (f"contains /{pattern}/" for pattern in expect.contains)
    yield from (f"does not contain /{pattern}/" for pattern in expect.not_contains)
    yield from (f"these words reach nobody but the reader: {words}" for words in expect.not_reached)
    if expect.calls is not None:
        yield f"makes the calls {', '.join(f'{c.name}({_arguments(c.arguments)})' for c in expect.calls) or 'none'}"
    yield from (f"a judge finds true: {statement}" for statement in expect.rubric)
    budget = {k: v for k, v in expect.budget.model_dump().items() if v is not None}
    if budget:
        yield f"at most {', '.join(f'{value:g} {name}' for name, value in budget.items())}"


def _figure(figure: "FigureExpected") -> str:
    where = [f"of {figure.tool}"] if figure.tool else []
    where += [f"for {figure.ticker}"] if figure.ticker else []
    where += [f"with {', '.join(f'{k}={v!r}' for k, v in figure.where.items())}"] if figure.where else []
    verb = "cites" if figure.cited else "measures"
    return f"{verb} {' '.join([figure.name or 'a figure', *where])}: {_wanted(figure)}"


def _wanted(figure: "FigureExpected") -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    if figure.value is None:
        bounds = [(said, v) for said, v in (("at least", figure.low), ("at most", figure.high)) if v is not None]
        return f"{' and '.join(f'{said} {value:.8g}' for said, value in bounds)}{unit}"
    if isinstance(figure.value, str):
        return repr(figure.value)
    within = f", within {100 * figure.tolerance:g} % of it" if figure.tolerance else ""
    within += f", plus or minus {figure.absolute:g}" if figure.absolute else ""
    return f"{figure.value:.8g}{unit}{within}"


def _arguments(given: Mapping[str, Sequence[object]]) -> str:
    return ", ".join(f"{name}={' or '.join(map(repr, values))}" for name, values in given.items())
