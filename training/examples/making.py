"""A data set for a seat, made: rows from runs, from scenarios and from files, cleaned, parted and stored."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from openoutcry.core.errors import DataError, UsageError
from openoutcry.eval.lineup import HOUSE, Models
from openoutcry.memory.store import Store
from openoutcry.training.examples import cleaning, dataset, from_files, from_runs, from_scenarios, toned
from openoutcry.training.examples.dataset import PARTS, Dataset, Manifest
from openoutcry.training.examples.forbidden import forbidden
from openoutcry.training.examples.rows import KINDS, Gathered, Row

FEWEST = 2
"""Rows without which there is nothing to train by and to validate by."""
Watch = Callable[[str, int, int], None]
"""Told what is done, how many of it are, and how many there are to be."""


class TooFew(DataError):
    """There are not enough rows for a data set."""


class Sources(NamedTuple):
    """Where rows come from; *models* give the *teacher* that plays scenarios, of which *limit* are played at most.

    *held* are suites of a person's own that the gate looks at: nothing that is near a case of theirs is taken. *never*
    are files, or folders of them, whose texts no row may hold.
    """

    store: Store | None = None
    models: Models | None = None
    teacher: str = HOUSE
    limit: int | None = None
    files: Sequence[Path] = ()
    never: Sequence[Path] = ()
    held: Sequence[str] = ()


def unwatched(what: str, done: int, of: int) -> None:
    """Tell no one."""


def make(home: Path, role: str, sources: Sources, now: datetime, watch: Watch = unwatched) -> Dataset:
    """The data set for *role* from *sources*: the same bytes for the same sources. What is there already stays.

    Raises UsageError for a role or a file that is none, TooFew where too little is left, and whatever playing
    scenarios raises.
    """
    if role not in KINDS:
        raise UsageError(f"expected a role among {', '.join(KINDS)}, got {role!r}")
    never = forbidden(sources.never)
    given = from_files.examples(sources.files, role, now, never)
    gathered = [*_runs(home, role, sources, watch), *_scenarios(home, role, sources, watch)]
    watch("compare with what is held back", 0, 1)
    suites = [*cleaning.held_back(now), *cleaning.own(sources.held, now)]
    clean = cleaning.cleaned(gathered, given, suites, never)
    watch("compare with what is held back", 1, 1)
    if len(clean.rows) < FEWEST:
        why = "; ".join(f"{count} {reason}" for reason, count in clean.left.most_common()) or "there was none"
        raise TooFew(
            f"expected at least {FEWEST} rows for {role}, got {len(clean.rows)}; left out: {why}; "
            "`outcry settle` scores runs, scenarios and files give more"
        )
    parts, split = cleaning.parted(clean.rows)
    manifest = Manifest(
        kind=KINDS[role],
        role=role,
        rows={part: len(parts[part]) for part in PARTS},
        sources=_families(clean.rows),
        left_out=dict(sorted(clean.left.items())),
        compared=tuple(cleaning.named(one.name, one.bank, one.rotation) for one in suites),
        split=split,
        files={},
    )
    return dataset.write(home, manifest, parts, now)


def _runs(home: Path, role: str, sources: Sources, watch: Watch) -> list[Gathered]:
    """What was learnt of stored runs. Documents are untrusted text, so of the reader's nothing is."""
    if sources.store is None or KINDS[role] == "tone":
        return []

    def told(done: int, of: int) -> None:
        watch("lessons", done, of)

    if KINDS[role] == "pairs":
        return [from_runs.pairs(home, sources.store, told)]
    return [from_runs.conversations(home, sources.store, role, told)]


def _scenarios(home: Path, role: str, sources: Sources, watch: Watch) -> list[Gathered]:
    if sources.models is None:
        return []

    def told(done: int, of: int) -> None:
        watch("scenarios", done, of)

    if KINDS[role] == "tone":
        return [toned.documents(sources.limit)]
    if KINDS[role] == "pairs":
        return [from_scenarios.pairs(home, sources.models, sources.teacher, sources.limit, told)]
    return [from_scenarios.conversations(home, sources.models, role, sources.teacher, sources.limit, told)]


def _families(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows come from runs, scenarios and files."""
    return dict(sorted(Counter(row.source.partition(":")[0] for row in rows).items()))
