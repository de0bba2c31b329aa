"""Where a figure comes from, and what made two runs differ."""

from collections.abc import Callable, Iterator

from openoutcry.agents.bundle import Bundle
from openoutcry.core.claims import references, render
from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Evidence, Figure, Query, show
from openoutcry.core.report import Finding, NotDone
from openoutcry.interfaces.text import called, wrap

Again = Callable[[Query], str]


def explain(bundle: Bundle, reference: str, again: Again) -> Iterator[str]:
    """Lines on `E3.var`, or on all of `E3`. *again* runs a statement once more and says what came of it.

    Raises UsageError where the run has no such evidence or figure.
    """
    eid, _, name = reference.strip("{}[]").partition(".")
    evidence = _evidence(bundle, eid)
    if name and name not in evidence.figures:
        raise UsageError(f"{eid} has no figure {name!r}; it has {', '.join(evidence.figures)}")
    for figure in [name] if name else evidence.figures:
        yield _line(eid, figure, evidence.figures[figure])
    yield ""
    yield wrap(f"tool        {called(evidence)}", "", " " * 12)
    for name, source in evidence.sources.items():
        yield f"put in      {name} = {source}"
    known = f"{evidence.known_at:%Y-%m-%d %H:%M} UTC" if evidence.known_at else "not recorded"
    yield f"as of       {evidence.as_of}; newest row used became known {known}"
    yield f"data        snapshot {bundle.manifest.snapshot}"
    for key, value in evidence.conventions.items():
        yield wrap(f"{key}: {value}", "convention  ", " " * 12)
    for missing in evidence.missing:
        yield wrap(missing, "missing     ", " " * 12)
    for query in evidence.queries:
        yield ""
        yield wrap(query.sql, "sql         ", " " * 12)
        yield f"rows        {query.rows:,}, SHA-256 {query.sha256}"
        yield f"run again   {again(query)}"
    yield from _used(bundle, eid, name)


def _evidence(bundle: Bundle, eid: str) -> Evidence:
    found = bundle.results.get(eid)
    if isinstance(found, NotDone):
        raise UsageError(f"{eid} is {found.tool}, which was not computed: {found.reason}")
    if found is None:
        ids = ", ".join(k for k, r in bundle.results.items() if isinstance(r, Evidence))
        raise UsageError(f"run {bundle.manifest.run} has no evidence {eid!r}; it has {ids or 'none'}")
    return found


def _line(eid: str, name: str, figure: Figure) -> str:
    exact = f"   (exactly {figure.value!r})" if not isinstance(figure.value, str) else ""
    return f"{eid}.{name} = {show(figure)}{exact}"


def _used(bundle: Bundle, eid: str, name: str) -> Iterator[str]:
    report = bundle.report
    said = [("answer", report.headline), *(("answer", c) for c in report.claims)]
    said += [(f.role, c) for f in report.findings if isinstance(f, Finding) for c in f.claims]
    uses = [(r, c) for r, c in said if any(e == eid and name in ("", n) for e, n in references(c))]
    if uses:
        yield ""
        yield "used in"
        for role, text in dict.fromkeys(uses):
            yield wrap(f"{role}: {render(text, report.by_id)}", "  - ", "    ")


def diff(a: Bundle, b: Bundle) -> Iterator[str]:
    """What stands behind the difference of two runs, then the figures that changed, each with its cause."""
    causes = list(_causes(a, b))
    yield f"{a.manifest.run} and {b.manifest.run}"
    yield f"differ in: {', '.join(causes) or 'nothing they stood on'}"
    for line in _details(a, b):
        yield wrap(line, "  - ", "    ")
    changed = list(_figures(a, b))
    yield ""
    yield f"figures that differ: {len(changed)}" if changed else "every figure is the same"
    for line in changed:
        yield wrap(line, "  - ", "    ")


def _causes(a: Bundle, b: Bundle) -> Iterator[str]:
    x, y = a.manifest, b.manifest
    for name, one, other in (
        ("question", x.question, y.question),
        ("as-of", x.as_of, y.as_of),
        ("data", x.snapshot, y.snapshot),
        ("limits", x.limits, y.limits),
        ("prompt", x.prompts, y.prompts),
        ("model", x.models, y.models),
        ("code", x.code, y.code),
    ):
        if one != other:
            yield name


def _details(a: Bundle, b: Bundle) -> Iterator[str]:
    x, y = a.manifest, b.manifest
    if x.question != y.question:
        yield f"question: {x.question!r}, then {y.question!r}"
    if x.as_of != y.as_of:
        yield f"as-of: {x.as_of}, then {y.as_of}"
    if x.snapshot != y.snapshot:
        same = all(_rows(r) == _rows(b.results.get(i)) for i, r in a.results.items())
        used = "but every row that both used is the same" if same else "and rows that they used differ"
        yield f"data: snapshot {x.snapshot}, then {y.snapshot}, {used}"
    if x.limits != y.limits:
        yield f"limits: {x.limits.set_ones or 'none'}, then {y.limits.set_ones or 'none'}"
    for kind, one, other in (("prompt", x.prompts, y.prompts), ("model", x.models, y.models)):
        for role in sorted(one.keys() | other.keys()):
            if one.get(role) != other.get(role):
                yield f"{kind} of {role}: {one.get(role, 'none')}, then {other.get(role, 'none')}"
    if x.code != y.code:
        yield f"code: {x.version} {x.code}, then {y.version} {y.code}"


def _rows(result: Evidence | NotDone | None) -> list[str] | None:
    return [q.sha256 for q in result.queries] if isinstance(result, Evidence) else None


def _figures(a: Bundle, b: Bundle) -> Iterator[str]:
    """Figures of calls made in both runs, matched by tool and arguments, whose values differ."""
    other = {(r.tool, r.asked): r for r in b.results.values() if isinstance(r, Evidence)}
    for eid, mine in a.results.items():
        theirs = other.pop((mine.tool, mine.asked), None)
        if not isinstance(mine, Evidence):
            continue
        if theirs is None:
            yield f"{eid} {mine.tool}({mine.asked}): only in the first"
            continue
        cause = "the rows" if _rows(mine) != _rows(theirs) else "the code"
        for name in mine.figures.keys() | theirs.figures.keys():
            one, two = mine.figures.get(name), theirs.figures.get(name)
            if one != two:
                shown = [show(f) if f else "none" for f in (one, two)]
                yield f"{eid}.{name}: {shown[0]}, then {shown[1]}; {cause} changed"
    yield from (f"{r.id} {r.tool}({r.asked}): only in the second" for r in other.values())
