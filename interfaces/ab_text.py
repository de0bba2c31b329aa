"""How an A/B reads in the terminal: quality first, then time, tokens and money."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from openoutcry.interfaces.cost_text import NOT_SET, UNKNOWN, tariff
from openoutcry.interfaces.eval_text import number, percent, points, reasons, table, worst
from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.ab.played import Match
    from openoutcry.eval.ab.result import Priced, Result, Standing
    from openoutcry.eval.comparison import Difference
    from openoutcry.eval.cost.machine import Machine

TOLD = {
    "recorded": "its recorded answers",
    "evidence": "told the desk's evidence, in one call",
    "question": "told the question alone",
}


def result(found: "Result", match: "Match", most: int) -> Iterator[str]:
    """The whole report."""
    yield wrap(harmless(verdict(found)))
    yield ""
    yield from table(_quality(found))
    yield from _not_answered(found)
    yield ""
    yield from table(_spent(found))
    yield ""
    yield from _money(found)
    yield ""
    yield from _wrong(match, most)
    yield from (wrap(harmless(note)) for note in notes(found))


def verdict(found: "Result") -> str:
    """Who did better, in one sentence: a difference counts where its 95 % interval leaves zero out."""
    whole, name = found.comparison.overall, found.other.name
    asked = number(whole.cases, "question")
    scores = f"{percent(whole.first)} right against {percent(whole.second)} of {name}, on {asked}"
    if found.told == "question" and found.invented == found.cases:
        return f"No fair comparison, as {name} cannot know these companies: the desk has {scores}."
    if whole.high < 0:
        return f"The desk does better: {scores}."
    if whole.low > 0:
        return f"{name} does better: the desk has {scores}."
    return f"Too close to tell: the desk has {scores}."


def _quality(found: "Result") -> list[list[str]]:
    both = found.comparison
    heading = ["category", "questions", "the desk", found.other.name, "difference", "95 % interval"]
    every = [both.overall, *(both.categories if len(both.categories) > 1 else ())]
    return [heading, *(_difference(one) for one in every)]


def _difference(one: "Difference") -> list[str]:
    interval = f"{points(one.low)} to {points(one.high)}"
    return [one.name, f"{one.cases:,}", percent(one.first), percent(one.second), points(one.difference), interval]


def _not_answered(found: "Result") -> Iterator[str]:
    both = found.comparison
    yield wrap(
        f"Right on one side alone: the desk {both.worse}, {harmless(found.other.name)} {both.better} "
        f"(exact McNemar p = {both.mcnemar:.3g}). The interval is drawn by clusters of questions."
    )
    for side in (found.desk, found.other):
        if side.unanswered:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in side.unanswered.items())
            yield harmless(f"Not answered by {side.name}: {kinds}")


def _spent(found: "Result") -> list[list[str]]:
    heading = ["side", "median s", "p95 s", "requests", "tokens in", "tokens out"]
    return [heading, *(_side(side) for side in (found.desk, found.other))]


def _side(side: "Standing") -> list[str]:
    rows, unknown = side.rows, "not recorded"
    counts = [sum(r.input for r in rows), sum(r.output for r in rows)]
    return [
        side.name,
        *(unknown if seconds is None else f"{seconds:.2f}" for seconds in (side.p50, side.p95)),
        f"{sum(r.requests for r in rows):,}",
        *(f"{count:,}" if side.counted else unknown for count in counts),
    ]


def _money(found: "Result") -> Iterator[str]:
    heading = ["price of", found.other.name, "the desk's tokens there"]
    both = zip(found.theirs, found.same, strict=True)
    rows = [[theirs.model, _cost(theirs, found.other.counted), _cost(ours, True)] for theirs, ours in both]
    yield from table([heading, *rows])
    for one in found.theirs:
        yield wrap(harmless(f"{one.model}: {tariff(one.tariff)}"), "  ", "    ")
    yield wrap(_here(found.machine), "", "  ")


def _here(here: "Machine") -> str:
    energy, power = f"price of electricity {NOT_SET}", f"watts {NOT_SET}"
    if here.energy:
        energy = f"{here.energy} of electricity"
    if here.kwh is not None and here.power:
        power = f"{here.kwh:.3g} kWh at {here.power.watts:f} W, by {here.power.source}"
    worn = f"{here.worn_busy} of its wear" if here.worn_busy else f"machine price {NOT_SET}"
    return f"The desk on this machine, {here.busy:,.2f} busy seconds: {energy} ({power}); {worn}"


def _cost(one: "Priced", counted: bool) -> str:
    if not counted:
        return "tokens not recorded"
    return str(one.cost) if one.cost else UNKNOWN


def _wrong(match: "Match", most: int) -> Iterator[str]:
    for side in (match.desk, match.other):
        missed = worst(side.outcomes)
        if not missed or not most:
            continue
        yield harmless(f"{number(len(missed), 'question')} not right of {side.name}:")
        for group in missed[:most]:
            yield f"  {group[0].scenario}"
            yield from (wrap(harmless(line), "    ", "      ") for line in reasons(group))
        if len(missed) > most:
            yield f"  and {len(missed) - most:,} more: --worst {len(missed)} tells each"
        yield ""


def notes(found: "Result") -> Sequence[str]:
    """What a reader must know before trusting the figures."""
    told = [
        f"{found.other.name}: {TOLD[found.told]}. Both sides are read alike, by the figures and words a person would "
        f"see; by reference, as its own scorers read it, the desk has {percent(found.own)}."
    ]
    if found.told == "question" and found.invented:
        told.append(
            f"{found.invented:,} of {found.cases:,} questions are about made-up companies, which {found.other.name} "
            "cannot know: that difference says nothing. Use --evidence, or questions on real data."
        )
    if found.left_out:
        told.append(f"{number(found.left_out, 'case')} of the suite cannot be judged by prose and were left out.")
    if found.at_once > 1:
        told.append(f"Times were taken with {found.at_once} questions at once.")
    return told
