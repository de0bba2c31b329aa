"""Where a figure comes from, and what made two runs differ."""

from collections.abc import Iterator
from typing import Any, Protocol

from openoutcry.agents.bundle import Bundle
from openoutcry.agents.remembered import RECALL
from openoutcry.core.claims import references, render
from openoutcry.core.errors import BrokenRun, UsageError
from openoutcry.core.evidence import Evidence, Figure, Query, show
from openoutcry.core.report import Finding, NotDone
from openoutcry.interfaces.text import called, wrap


class Archive(Protocol):
    """Where runs are stored, and statements can run again: the desk."""

    def load(self, run: str) -> Bundle:
        """The stored run."""
        ...

    def again(self, snapshot: str, as_of: str, query: Query) -> str:
        """What came of running the statement once more."""
        ...


def explain(bundle: Bundle, reference: str, archive: Archive) -> Iterator[str]:
    """Lines on `E3.var`, or on all of `E3`; a memory, `M2.var`, is followed to the run that made it.

    Raises UsageError where the run has no such evidence or figure.
    """
    eid, _, name = reference.strip("{}[]").partition(".")
    evidence = _evidence(bundle, eid)
    if name and name not in evidence.figures:
        raise UsageError(f"{eid} has no figure {name!r}; it has {', '.join(evidence.figures)}")
    for figure in [name] if name else evidence.figures:
        yield _line(eid, figure, evidence.figures[figure])
    yield ""
    yield from _remembered(evidence) if evidence.tool == RECALL else _measured(bundle, evidence)
    for query in evidence.queries:
        yield ""
        yield wrap(query.sql, "sql         ", " " * 12)
        yield f"rows        {query.rows:,}, SHA-256 {query.sha256}"
        yield f"run again   {archive.again(*_stood_on(bundle, evidence), query)}"
    yield from _used(bundle, eid, name)
    if evidence.tool == RECALL:
        yield from _followed(evidence, name, archive)


def _measured(bundle: Bundle, evidence: Evidence) -> Iterator[str]:
    record: dict[str, dict[str, Any]] = evidence.arguments.get("record") or {}
    plain = {name: value for name, value in evidence.arguments.items() if name != "record"}
    yield wrap(f"tool        {called(evidence.model_copy(update={'arguments': plain}))}", "", " " * 12)
    for role, s in sorted(record.items()):
        line = f"{role} ({s['model']}): {s['settled']} views settled by then, {s['separate']} separate, gain"
        yield wrap(f"record      {line} {s['gain']:+.4f}", "", " " * 12)
    if record:
        yield f"            view by view: outcry scoreboard --as-of {evidence.as_of} --json"
    for argument, source in evidence.sources.items():
        yield f"put in      {argument} = {source}"
    known = f"{evidence.known_at:%Y-%m-%d %H:%M} UTC" if evidence.known_at else "not recorded"
    yield f"as of       {evidence.as_of}; newest row used became known {known}"
    yield f"data        snapshot {bundle.manifest.snapshot}"
    for key, value in evidence.conventions.items():
        yield wrap(f"{key}: {value}", "convention  ", " " * 12)
    for missing in evidence.missing:
        yield wrap(missing, "missing     ", " " * 12)


def _remembered(evidence: Evidence) -> Iterator[str]:
    """What a memory is, and what it says."""
    yield f"memory      {evidence.arguments['memory']}, a {evidence.conventions['memory']}"
    yield wrap(f"says        {evidence.conventions['said']}", "", " " * 12)
    yield f"made in     run {evidence.arguments['run']}"
    yield f"known       {evidence.known_at:%Y-%m-%d %H:%M:%S} UTC; this run is as of {evidence.as_of}"
    if settled := evidence.arguments.get("settled"):
        yield f"settled     as of {settled['as_of']}, snapshot {settled['snapshot']}, by what the statements below gave"


def _stood_on(bundle: Bundle, evidence: Evidence) -> tuple[str, str]:
    """The snapshot and as-of under which the evidence's statements ran."""
    settled = evidence.arguments.get("settled") if evidence.tool == RECALL else None
    return (settled["snapshot"], settled["as_of"]) if settled else (bundle.manifest.snapshot, bundle.report.as_of)


def _followed(evidence: Evidence, name: str, archive: Archive) -> Iterator[str]:
    """Where the figures of a memory came from, in the run that made it."""
    origins = {n: o for n, o in evidence.sources.items() if name in ("", n)}
    if not origins:
        return
    run = str(evidence.arguments["run"])
    yield ""
    try:
        source = archive.load(run)
    except (UsageError, BrokenRun) as error:
        yield wrap(f"cannot be followed: {error}", "came from   ", " " * 12)
        return
    references = [origins[name]] if name else sorted({o.partition(".")[0] for o in origins.values()})
    for origin in references:
        yield f"came from   {origin} of run {run}:"
        yield from (f"    {line}" if line else "" for line in explain(source, origin, archive))


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
        ("memory", _reminded(a), _reminded(b)),
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
    if (one := _reminded(a)) != (other := _reminded(b)):
        yield f"memory: {_counted(one)}, then {_counted(other)}"
    for kind, one, other in (("prompt", x.prompts, y.prompts), ("model", x.models, y.models)):
        for role in sorted(one.keys() | other.keys()):
            if one.get(role) != other.get(role):
                yield f"{kind} of {role}: {one.get(role, 'none')}, then {other.get(role, 'none')}"
    if x.code != y.code:
        yield f"code: {x.version} {x.code}, then {y.version} {y.code}"


def _reminded(bundle: Bundle) -> tuple[object, ...]:
    """What the run was reminded of: memories by their ids in the store, and each role's record."""
    return (bundle.remembered.ids, sorted(bundle.remembered.record.items()))


def _counted(reminded: tuple[Any, ...]) -> str:
    ids, record = reminded
    return f"{len(ids)} memories and the record of {', '.join(r for r, _ in record) or 'no role'}"


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
