"""Memories as text: what a search found, all of one, what a forget removes, and how the store is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openoutcry.core.clock import AsOf
from openoutcry.core.evidence import Evidence, Unit, show
from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless
from openoutcry.memory.record import Memory, Trust

if TYPE_CHECKING:
    from openoutcry.memory.embedder import Embedder
    from openoutcry.memory.recall import Hit
    from openoutcry.memory.stats import Stats

EMPTY = "the memory is empty; `outcry ask` fills it"
SOME = 5
TRUSTS = {
    Trust.DESK: "the desk's own: roles are shown the claim and the figures",
    Trust.READ: "a reader's closed answer: roles are shown the claim and the figures, never the text",
    Trust.UNTRUSTED: "words of others: roles are shown nothing of it",
}
_WHOSE = {"untrusted": "of others", "read": "of a reader's closed answer", "desk": "of the desk"}
_OUTCOME = "outcome"
_WHOLE = (Unit.TEXT, Unit.DATE, Unit.COUNT, Unit.SESSIONS, Unit.PERIODS)


def found(hits: "Sequence[Hit]") -> Iterator[str]:
    """Each hit numbered: what is remembered, and beneath it, dim, what it is, of when, from whom."""
    for place, hit in enumerate(hits, 1):
        mark = f"{place}. "
        yield wrap(harmless(hit.memory.said), mark)
        like = f"and {len(hit.alike):,} like it" if hit.alike else ""
        facts = [*_facts(hit.memory), like]
        yield _dim(" · ".join(fact for fact in facts if fact), " " * len(mark))


def data(hit: "Hit") -> dict[str, Any]:
    """A hit as JSON holds it: the memory, what it says with its digits, and how it was found."""
    ranks = {"score": hit.score, "vector_rank": hit.vector_rank, "text_rank": hit.text_rank, "alike": list(hit.alike)}
    return {**whole(hit.memory), **ranks}


def whole(memory: Memory) -> dict[str, Any]:
    """A memory as JSON holds it, with what it says."""
    return {**memory.model_dump(mode="json"), "said": memory.said}


def _facts(memory: Memory) -> Iterator[str]:
    yield memory.id
    yield f"{memory.kind} of {memory.role} ({memory.model})"
    yield f"as of {_as_of(memory.as_of)}"
    yield f"known {_moment(memory.known_at)}"
    yield memory.source


def _dim(line: str, indent: str) -> str:
    return click.style(wrap(harmless(line), indent), dim=True)


def _as_of(moment: datetime) -> str:
    return str(AsOf(moment.replace(tzinfo=UTC)))


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def all_of(
    memory: Memory, parents: Mapping[str, Memory | None], offspring: Sequence[Memory], made: int
) -> Iterator[str]:
    """Everything that the memory holds, where it comes from and what came of it.

    *parents* by id: None for a document, or a memory that is no longer there. *offspring* are some of the *made*
    memories that were made of it, directly or not.
    """
    yield wrap(harmless(memory.said))
    yield ""
    for name, value in _fields(memory):
        yield wrap(harmless(value), f"{name:<12}")
    yield from _figures(memory)
    yield from _settled(memory)
    yield from _family("made from", ((i, m.said if m else "") for i, m in parents.items()))
    yield from _family(f"led to {made:,}", ((m.id, m.said) for m in offspring))
    yield from _more(made - len(offspring))
    yield from _text(memory)


def _fields(memory: Memory) -> Iterator[tuple[str, str]]:
    yield "id", memory.id
    yield "kind", f"{memory.kind} of {memory.role} ({memory.model})"
    yield "ticker", memory.ticker
    yield "as of", _as_of(memory.as_of)
    yield "known at", f"{_moment(memory.known_at)}; no run sees it before"
    yield "source", memory.source
    yield "trust", TRUSTS[memory.trust]
    if memory.run:
        calls = ", ".join(f"outcry explain {memory.run} {eid}" for eid in memory.evidence)
        yield "run", f"{memory.run}{f': {calls}' if calls else ''}"
    for name, value in memory.details.items():
        if name not in memory.figures and name != _OUTCOME:
            yield "detail", f"{name}: {value}"


def _figures(memory: Memory) -> Iterator[str]:
    """Each figure with its digits, its unit, and the figure of its run that it was."""
    if not memory.figures:
        return
    origins = [memory.details[name] for name in memory.figures if name in memory.details]
    yield ""
    yield f"figures{f'; where one comes from: outcry explain {memory.run} {origins[0]}' if origins else ''}"
    width = max(map(len, memory.figures))
    for name, figure in memory.figures.items():
        exact = "" if figure.unit in _WHOLE else f"exactly {figure.value!r}"
        parts = (f"{name:<{width}}  {show(figure)}", exact, figure.unit, memory.details.get(name, ""))
        yield wrap(harmless("   ".join(part for part in parts if part)), "  ", "      ")


def _settled(memory: Memory) -> Iterator[str]:
    """The rows that settled a lesson."""
    if text := memory.details.get(_OUTCOME):
        outcome = Evidence.model_validate_json(text)
        yield ""
        yield f"settled by {outcome.tool}, as of {outcome.as_of}"
        yield from (wrap(f"{q.rows:,} rows, SHA-256 {q.sha256}", "  ", "    ") for q in outcome.queries)


def _family(title: str, members: Iterable[tuple[str, str]]) -> Iterator[str]:
    for place, (name, said) in enumerate(members):
        if not place:
            yield ""
            yield title
        yield wrap(harmless(f"{name}  {said}".strip()), "  ", "    ")


def _text(memory: Memory) -> Iterator[str]:
    """The text that is searched, each line marked, so that none can pass for a line of this command."""
    if memory.text in ("", memory.said):
        return
    others = f"words of {memory.source}, untrusted: not the desk's, and it does not vouch for them"
    yield ""
    yield wrap(harmless("text" if memory.trust is Trust.DESK else others))
    for line in harmless(memory.text).splitlines():
        yield wrap(line, "  | ", "  | ")


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"  and {number:,} more"


def leaving(source: str, gone: Mapping[str, str], some: Sequence[Memory], every: int) -> Iterator[str]:
    """What a forget would remove, *gone* being kinds by id, of *every* so many: counts by kind, and some of it."""
    made = "and all that was made by a role to which it was shown"
    share = f"{len(gone):,} of {every:,} memories"
    yield wrap(harmless(f"of {source}, {made}: {share}; {counted(Counter(gone.values()))}"))
    yield from (wrap(harmless(f"{m.id}  {m.said}"), "  - ", "    ") for m in some)
    yield from _more(len(gone) - len(some))


def counted(kinds: Mapping[str, int]) -> str:
    """How many of each kind, in words."""
    return ", ".join(f"{n:,} {kind}{'' if n == 1 else 's'}" for kind, n in sorted(kinds.items())) or "nothing"


def state(held: "Stats", model: "Embedder | None", place: Path) -> Iterator[str]:
    """What the memory holds and how it is kept, a line each; *model* is the one that embeds today."""
    if held.memories == 0 or model is None:
        yield EMPTY
        return
    span = " to ".join(_moment(end) for end in (held.oldest, held.newest) if end)
    for name, said in (
        ("memories", f"{held.memories:,}: {counted(held.kinds or {})}"),
        ("words of", ", ".join(f"{n:,} {_WHOSE[level]}" for level, n in (held.trust or {}).items())),
        ("tickers", f"{held.tickers:,}"),
        ("known", span),
        ("model", _model(model)),
        ("space", f"{held.space}, {held.dimension:,} numbers a vector{_elsewhere(held, model)}"),
        ("search", _search(held)),
        ("compact", "due: `outcry memory compact`" if held.compact_due else "not due"),
        ("on disk", f"{size(held.size)} in {place}, schema {held.schema}, fragments {held.fragments:,}"),
    ):
        yield wrap(harmless(said), f"{name:<12}")


def _model(model: "Embedder") -> str:
    precision, correlation = getattr(model, "precision", ""), getattr(model, "rank_correlation", None)
    told = f", rank correlation {correlation:.3f} with the model as it was trained" if correlation is not None else ""
    return f"{model.name}{f', {precision}' if precision else ''}{told}"


def _elsewhere(held: "Stats", model: "Embedder") -> str:
    """How far the way to the model of today is, where the vectors are another's."""
    if held.reembedding:
        done, of = held.reembedding
        return f"; {done:,} of {of:,} embedded anew for {model.space}, and `outcry memory compact` does the rest"
    return "" if held.space == model.space else f"; not yet {model.space}: `outcry memory compact` embeds them anew"


def _search(held: "Stats") -> str:
    bare = f"; {held.unembedded:,} have no vector and are found by their words alone" if held.unembedded else ""
    if not held.indexed:
        return f"by meaning every memory is compared, by words an index is used{bare}"
    return f"{held.indexed:,} of {held.memories:,} in the vector index, the rest compared one by one{bare}"


def size(count: int) -> str:
    """Bytes as a person counts them."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
