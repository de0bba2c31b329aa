"""An evaluation as a page: verdict, pictures, tables, and the cases that went wrong with what was said in them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from openoutcry.interfaces import eval_pictures, eval_text
from openoutcry.interfaces.eval_gate_text import ORDER, said
from openoutcry.interfaces.eval_sides import Side, of, unlike
from openoutcry.interfaces.eval_transcript import Turn, checked, cost, turns
from openoutcry.interfaces.page import policy, scripts, templates
from openoutcry.interfaces.plot import Picture

if TYPE_CHECKING:
    from openoutcry.eval.ablation import Ablation
    from openoutcry.eval.comparison import Comparison, Summary
    from openoutcry.eval.gate.record import Record
    from openoutcry.eval.outcome import Outcome
    from openoutcry.eval.runner import Run
    from openoutcry.eval.terms import Criterion

    Summed = Sequence[tuple[str, Sequence[Summary]]]

MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
HOUSE, HOUSE_RULES = "house", "house rules"
WORST = 12
"""Cases that are shown with what was said in them."""


class Table(NamedTuple):
    """Rows under a heading; the first row is that of the columns."""

    title: str
    rows: Sequence[Sequence[str]]
    note: str = ""


class Seen(NamedTuple):
    """One lineup in one case: how often it was right, and one epoch of it with all its turns."""

    name: str
    right: str
    checks: list[str]
    cost: str
    turns: list[Turn]


class Told(NamedTuple):
    """A case that went wrong, with each lineup that played it."""

    case: str
    category: str
    went: str
    sides: list[Seen]


def run(done: "Run") -> str:
    """The page of a stored run: each of its lineups."""
    from openoutcry.eval.comparison import summaries

    sides = of(done)
    plan, summed = done.plan, [(side.name, summaries(side.outcomes)) for side in sides]
    tables = [t for name, sums in summed for t in _tables(sums, plan.epochs, name if len(summed) > 1 else "")]
    missed = eval_text.worst(o for side in sides for o in side.outcomes)
    return _page(
        label="Run",
        title=f"{plan.suite}: {', '.join(name for name, _ in summed)}",
        headline=". ".join(
            [
                *([told] if (told := eval_text.unfinished(done)) else []),
                *(f"{name}: {eval_text.headline(sums[0], plan.epochs)}" for name, sums in summed),
            ]
        ),
        facts=_facts(done),
        pictures=_pictures(summed),
        tables=tables,
        cases=[_told(group[0].digest, sides) for group in missed[:WORST]],
        missed=len(missed),
        foot=f"outcry eval report {done.folder.name}",
    )


def comparison(first: Side, second: Side, found: "Comparison") -> str:
    """The page of two lineups compared."""
    from openoutcry.eval.comparison import summaries

    sides = [first, second] if first.name != second.name else [s._replace(name=s.shown) for s in (first, second)]
    summed = [(side.name, summaries(side.outcomes)) for side in sides]
    worse = [pair.digest for pair in found.pairs if pair.second < pair.first]
    return _page(
        label="Comparison",
        title=f"{sides[1].name} against {sides[0].name}",
        headline=eval_text.difference(sides[0].name, sides[1].name, found.overall),
        notices=[f"Note: {line}." for line in unlike(first, second)],
        facts=[("first", first.shown), ("second", second.shown), ("cases won and lost", eval_text.counted(found))],
        pictures=_compared(found, summed),
        tables=[Table("Differences by category", eval_text.differences(found)), *_costs(summed)],
        cases=[_told(digest, sides) for digest in worse[:WORST]],
        missed=len(worse),
        foot=f"outcry eval compare {first.reference} {second.reference}",
    )


def gate(record: "Record", home: Path) -> str:
    """The page of a look of the gate. Transcripts are shown where its runs are still there, in *home*."""
    from openoutcry.eval.comparison import compare, summaries

    champion, challenger, anchor = record.sides
    main, safety = (_stored(home, name) for name in record.runs[:2])
    names = {side.name: f"{side.name} {getattr(record, side.name)}" for side in record.sides}
    shown = record.sides[: 2 if anchor.models == champion.models else 3]
    sides = [Side(names[side.name], side.outcomes, main) for side in shown]
    unsafe = [group[0].digest for group in eval_text.worst(challenger.safety)]
    found = compare(champion.outcomes, challenger.outcomes)
    summed = [(side.name, summaries(side.outcomes)) for side in sides]
    worse = [pair.digest for pair in found.pairs if pair.second < pair.first]
    return _page(
        label="Gate",
        title=f"{record.challenger} for {record.role}",
        headline=f"{record.verdict.decision}: {record.challenger} for the seat {record.role}",
        decision=record.verdict.decision,
        facts=_looked(record),
        criteria=sorted(record.verdict.criteria, key=_weight),
        pictures=_compared(found, summed, record.terms.category_margin),
        tables=[Table("Differences by category", eval_text.differences(found)), *_costs(summed)],
        cases=[
            *(
                _told(digest, [Side(names[s.name], s.safety, safety) for s in record.sides[:2]])
                for digest in unsafe[:WORST]
            ),
            *(_told(digest, sides[:2]) for digest in worse[:WORST]),
        ],
        missed=len(worse) + len(unsafe),
        foot=f"outcry eval records {record.number}",
    )


def ablation(found: "Ablation") -> str:
    """The page of an ablation."""
    headline, more = eval_text.verdict(found)
    differences = [a.difference.model_copy(update={"name": a.name}) for a in found.arms if a.difference]
    return _page(
        label="Ablation",
        title=found.suite,
        headline=headline,
        notices=[more, *([eval_text.left_out(found)] if found.left_out else [])],
        pictures=[eval_pictures.differences(differences, of="each less the coordinator")] if differences else [],
        tables=[Table("Arms", eval_text.arms(found.arms))],
        foot=f"outcry eval ablate {found.suite}",
    )


def _page(**shown: Any) -> str:
    """One HTML document that fetches nothing."""
    empty: dict[str, Any] = {
        "decision": "",
        "notices": [],
        "facts": [],
        "criteria": [],
        "pictures": [],
        "tables": [],
        "cases": [],
        "missed": 0,
    }
    drawn: list[Picture] = shown.get("pictures", [])
    run = scripts() if drawn else ()
    context: dict[str, Any] = {**empty, **shown, "scripts": run, "policy": policy(run)}
    return templates().get_template("eval.html.j2").render(context, glued=_glued, said=said)


def _glued(text: str) -> str:
    """The text, with each percent sign and each minus kept on the line of its number."""
    return MINUS.sub("\u2212", text.replace(" %", "\u00a0%"))


def _compared(found: "Comparison", summed: "Summed", margin: float = 0.0) -> list[Picture]:
    every = eval_text.parts((found.overall, *found.categories))
    return [eval_pictures.differences(every, margin), *_pictures(summed)]


def _pictures(summed: "Summed") -> list[Picture]:
    shown = [(name, eval_text.parts(sums)) for name, sums in summed]
    return [eval_pictures.scores(shown), eval_pictures.latency(shown)]


def _tables(summed: "Sequence[Summary]", epochs: int, whose: str) -> list[Table]:
    named = f" of {whose}" if whose else ""
    return [
        Table(f"Scores{named}", eval_text.scores(summed, epochs), eval_text.reading(epochs)),
        Table(f"What a case cost{named}", eval_text.costs(summed)),
    ]


def _costs(summed: "Summed") -> list[Table]:
    """The cost of each lineup, side by side."""
    return [Table("What a case cost", eval_text.costs([sums[0] for _, sums in summed], [name for name, _ in summed]))]


def _facts(done: "Run") -> list[tuple[str, str]]:
    plan, several = done.plan, len(done.plan.lineups) > 1
    there = "" if done.complete else f", of which {len(done.outcomes):,} of {plan.total:,} outcomes are there"
    return [
        ("run", done.folder.name),
        ("suite", f"{plan.suite}, set {plan.bank}{f' {plan.rotation}' if plan.rotation else ''}, cases {plan.cases}"),
        ("played", f"{plan.count:,} cases, {eval_text.number(plan.epochs, 'epoch')}{there}; order by seed {plan.seed}"),
        *((f"seats of {name}" if several else "seats", _seats(name, seats)) for name, seats in plan.lineups.items()),
        ("code", plan.code),
    ]


def _seats(lineup: str, seats: dict[str, str]) -> str:
    """Who sits where, by name where that of the lineup tells it, and the digest; who sits in several is told once."""
    named = {seat: name for seat, _, name in (part.partition("=") for part in lineup.split(", ")) if seat in seats}
    rules = lineup == HOUSE or bool(named)  # a lineup that is named by its models has house rules in all other seats
    by: dict[str, list[str]] = {}
    for seat, digest in seats.items():
        name = named.get(seat, HOUSE_RULES if rules else "")
        by.setdefault(f"{name} ({digest})" if name else digest, []).append(seat)
    return "; ".join(f"{', '.join(there)}: {model}" for model, there in by.items())


def _looked(record: "Record") -> list[tuple[str, str]]:
    rotation = f" {record.rotation}" if record.rotation else ""
    level = f"one-sided {100 * record.alpha:.3g} %, look {record.turn} of {record.month}"
    return [
        ("record", f"{record.number}, {record.made}"),
        ("challenger", record.challenger),
        ("champion", record.champion),
        ("anchor", record.anchor),
        ("suite", f"{record.suite} and {record.safety}, set {record.bank}{rotation}"),
        ("level", level),
        ("detectable gain", f"{eval_text.points(record.detectable)} points"),
    ]


def _weight(criterion: "Criterion") -> int:
    return ORDER.index(criterion.status)


def _stored(home: Path, name: str) -> "Run | None":
    """A stored run, or nothing where it was moved away: the record says enough."""
    from openoutcry.core.errors import OutcryError
    from openoutcry.eval.runner import stored

    try:
        return stored(home, name)
    except OutcryError:
        return None


def _told(digest: str, sides: Sequence[Side]) -> Told:
    """A case with what each side said in an epoch that went wrong, or in the first."""
    by = [[o for o in side.outcomes if o.digest == digest] for side in sides]
    played = [(side, group) for side, group in zip(sides, by, strict=True) if group]
    last = played[-1][1]
    epoch = min(last, key=lambda o: (o.score, o.epoch)).epoch
    seen = [_seen(side, group, next((o for o in group if o.epoch == epoch), group[0])) for side, group in played]
    went = " \u2192 ".join(one.right for one in seen)
    return Told(last[0].scenario, last[0].category, went, seen)


def _seen(side: Side, group: "Sequence[Outcome]", shown: "Outcome") -> Seen:
    right = f"{sum(o.score == 1 for o in group)} of {len(group)} right"
    said = _said(side.run, shown) if side.run else []
    return Seen(side.name, right, checked(shown), cost(shown), said)


def _said(run: "Run", shown: "Outcome") -> list[Turn]:
    """What was said, or nothing where the transcript cannot be read: the outcome is there all the same."""
    from openoutcry.core.errors import OutcryError

    try:
        return turns(run.transcript(shown))
    except OutcryError:
        return []
