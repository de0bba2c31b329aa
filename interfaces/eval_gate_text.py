"""How a look of the gate reads in the terminal: its plan before it begins, then the verdict with its reasons."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from openoutcry.core.progress import duration
from openoutcry.interfaces.eval_text import number, table
from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.gate.planning import Planned
    from openoutcry.eval.gate.record import Record
    from openoutcry.eval.terms import Criterion

ORDER = ("broken", "open", "holds")
INDENT = 2 + max(map(len, ORDER)) + 2


def plan(planned: "Planned", pace: float = 0.0) -> Iterator[str]:
    """What the look is, what it can see, and whether it may begin. *pace*: seconds a run, where they are known."""
    terms = planned.terms
    first = planned.runs * planned.cases // (planned.cases + planned.safety_cases)
    takes = f"; {duration(planned.runs * pace)}, by an earlier run of {planned.suite}" if pace else ""
    yield wrap(harmless(f"{planned.challenger} for the seat {planned.role}"))
    yield from (
        wrap(f"{name:<12}{harmless(said)}", "  ", " " * 14)
        for name, said in (
            ("against", f"the champion {planned.champion}, and the anchor {planned.anchor}"),
            (
                "over",
                f"{number(planned.cases, 'case')} in {number(planned.clusters, 'cluster')} of {planned.suite}, and "
                f"{number(planned.safety_cases, 'case')} of {planned.safety}; set {planned.bank} {planned.rotation}",
            ),
            (
                "runs",
                f"{planned.runs:,} for all sides and {number(terms.epochs, 'epoch')}: {first:,} of {planned.suite}, "
                f"then {planned.runs - first:,} of {planned.safety}{takes}",
            ),
            (
                "level",
                f"one-sided {100 * planned.alpha:.3g} %: look {planned.turn} of the month for this seat",
            ),
            (
                "can see",
                f"a gain of {100 * planned.detectable:.1f} points or more, with a power of {100 * terms.power:.0f} %; "
                f"one of {100 * terms.margin:.1f} matters",
            ),
            (
                "holds to",
                f"no category worse by {100 * terms.category_margin:g} points than the champion or the anchor, at "
                f"one-sided {100 * terms.category_alpha:g} %; costs within x{terms.ratio:.2f}",
            ),
        )
    )
    if planned.begun and not planned.refused:
        yield "  it has begun before and goes on"
    if planned.refused:
        yield wrap(harmless(planned.refused), "  it may not begin: ", "    ")


def record(made: "Record") -> Iterator[str]:
    """The verdict, and a line a criterion: what is broken first, then what stays open, then what holds."""
    verdict = made.verdict
    yield wrap(harmless(f"{verdict.decision}: {made.challenger} for the seat {made.role}"))
    yield ""
    for criterion in sorted(verdict.criteria, key=_place):
        yield wrap(
            harmless(f"{criterion.name}: {said(criterion)}"), f"  {criterion.status:<{INDENT - 2}}", " " * INDENT
        )
    yield ""
    yield wrap(
        harmless(
            f"record {made.number}, {made.made}: champion {made.champion}, anchor {made.anchor}, set {made.bank} "
            f"{made.rotation}, one-sided {100 * made.alpha:.3g} %; transcripts: outcry eval report {made.runs[0]}"
        )
    )
    yield from keepsake(made)


def keepsake(made: "Record") -> Iterator[str]:
    """The hash of a record, by which a person who keeps it sees whether records were made anew."""
    from openoutcry.eval.gate.record import hashed

    yield f"hash of record {made.number}: {hashed(made)}"
    yield wrap("Keep it elsewhere: while a later check still shows it, no record up to this one was replaced.")


def said(criterion: "Criterion") -> str:
    """What a criterion says, without its own name, which stands before it."""
    about, _, whom = criterion.name.partition(" against ")
    return criterion.said.removeprefix(f"{criterion.name}: ").removeprefix(f"{about} against the {whom} ")


def _place(criterion: "Criterion") -> int:
    return ORDER.index(criterion.status)


def records(found: "Sequence[Record]") -> Iterator[str]:
    """The records as a table, oldest first."""
    if not found:
        yield "the gate holds no record; `outcry eval gate CHALLENGER --role ROLE` makes one"
        return
    rows = [["record", "made", "seat", "challenger", "champion", "set", "verdict"]]
    rows += [
        [
            str(r.number),
            r.made[:16].replace("T", " "),
            r.role,
            r.challenger,
            r.champion,
            f"{r.bank} {r.rotation}",
            r.verdict.decision,
        ]
        for r in found
    ]
    yield from table(rows, left=7)
