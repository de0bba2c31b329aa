"""The next table: filled beside the one in force, in batches that resume, then put in its place.

One mechanism serves a new embedding model, a new schema and a compaction. The rows that the next table lacks are
copied, embedded where the spaces differ, until few are left; then, with the lock held, the rest is added and the
pointer moved. A killed process leaves a part that the next one goes on from. A forget takes its turn between two
batches and removes the part, so that nothing forgotten comes back by it.
"""

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from openoutcry.core.errors import DataError
from openoutcry.memory import indices
from openoutcry.memory.arrow import Rows, arrow, compute
from openoutcry.memory.folder import PATIENCE, Folder
from openoutcry.memory.forget import finish
from openoutcry.memory.table import SCHEMA, Name, dimension_of, fixed, schema
from openoutcry.memory.vectors import Vectors
from openoutcry.memory.writer import append

COPIED, EMBEDDED = 65_536, 1_024
"""Rows in a batch that is copied, and in one that is embedded."""
MIGRATIONS: Mapping[int, Callable[[Rows], Rows]] = {}
"""By schema version, the step from its rows to those of the next version. A step keeps `id` and `vector`."""


class Stopped(Exception):
    """The work was asked to stop; what is done stays, and is gone on from."""


class _Changed(Exception):
    """The table in force, or the part, was replaced meanwhile."""


@dataclass(slots=True)
class Rebuild:
    """Fill the next table of *folder* from the one in force, and put it in force.

    `vectors` is the embedder at hand, if any. `stop` ends the work between two batches, `pause` is what it rests there,
    in seconds, and `patience` how long it waits while another process does the same.
    """

    folder: Folder
    progress: Callable[[str], None]
    vectors: Vectors | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.0
    patience: float = PATIENCE
    migrations: Mapping[int, Callable[[Rows], Rows]] = field(default_factory=lambda: MIGRATIONS)

    def into(self, target: Callable[[Name], Name | None]) -> None:
        """Put in force what *target* names, given the table in force; nothing is done where it names none.

        Raises Stopped where `stop` is set, DataError where another process does this or writes for too long.
        """
        while True:
            finish(self.folder, self.progress)
            with self.folder.locked("next.lock", self.patience, self.patience):
                if (source := self.folder.name()) is None or (aim := target(source)) is None:
                    return
                with contextlib.suppress(_Changed):
                    return self._carry(source, aim)

    def _carry(self, source: Name, target: Name) -> None:
        table = self._begun(source, target)
        size = COPIED if source.space == target.space else EMBEDDED
        self._fill(source, target, table, size)
        indices.merge(table)
        indices.build(table, self.progress)
        while not self._last(source, target, table, size):
            self._fill(source, target, table, size)

    @contextlib.contextmanager
    def _unchanged(self, source: Name, target: Name | None = None) -> Generator[None]:
        """Hold the lock. Raises _Changed where the source is no longer in force, or a forget waits for its turn."""
        with self.folder.writing():
            gone = target is not None and target not in self.folder.names()
            if self.folder.name() != source or self.folder.forgetting.exists() or gone:
                raise _Changed
            yield

    def _begun(self, source: Name, target: Name) -> Any:
        """The part that a killed process left, or a new one."""
        with self._unchanged(source):
            if target in self.folder.names():
                with contextlib.suppress(RuntimeError, ValueError, OSError):
                    return self.folder.connect().open_table(str(target))
            self.folder.drop(target)
            table = self.folder.create(target, schema(self._dimension(source, target)))
            indices.words(table)
            return table

    def _dimension(self, source: Name, target: Name) -> int:
        if source.space != target.space and self.vectors:
            return self.vectors.dimension
        return dimension_of(self.folder.open(source))

    def _fill(self, source: Name, target: Name, table: Any, size: int) -> None:
        """Carry over what is missing, batch by batch, until no more than one batch came in meanwhile."""
        found = self._missing(source, table)
        while found.rows:
            total: int = found.pinned.count_rows()
            for start in range(0, len(found.rows), size):
                if self.stop.wait(self.pause):
                    raise Stopped
                batch = self._made(source, target, found, start, size)
                with self._unchanged(source, target):
                    append(self.folder, target, table, batch)
                done = total - len(found.rows) + start + len(batch)
                self.progress(f"{done:,} of {total:,} memories carried over")
            found = self._missing(source, table)
            if len(found.rows) <= size:
                return

    def _last(self, source: Name, target: Name, table: Any, size: int) -> bool:
        """With the lock held, add what is left and move the pointer; False where too much is left for that."""
        with self._unchanged(source, target):
            found = self._missing(source, table)
            if len(found.rows) > size:
                return False
            if found.rows:
                append(self.folder, target, table, self._made(source, target, found, 0, size))
            self.folder.point(target)
            for name in self.folder.names():
                if name != target:
                    self.folder.drop(name)
            return True

    def _missing(self, source: Name, table: Any) -> "_Missing":
        pinned = self.folder.connect().open_table(str(source))
        pinned.checkout(pinned.version)
        have = table.search().select(["id"]).to_arrow()["id"].combine_chunks()
        rows = pinned.search().select(["id"]).with_row_id(True).to_arrow()
        lacking = rows.filter(compute().invert(compute().is_in(rows["id"], value_set=have)))
        return _Missing(pinned, np.sort(lacking["_rowid"].to_numpy()).tolist())

    def _made(self, source: Name, target: Name, found: "_Missing", start: int, size: int) -> Rows:
        """A batch of rows as the next table has them; a row without a vector is embedded where that can be."""
        rows: Rows = found.pinned.take_row_ids(found.rows[start : start + size]).to_arrow()
        for version in range(source.schema, SCHEMA):
            rows = self.migrations[version](rows)
        dimension = self._dimension(source, target)
        if self.vectors and self.vectors.met and target.space == self.vectors.space:
            rows = _embedded(rows, self.vectors, dimension, anew=source.space != target.space)
        return rows.select(schema(dimension).names).cast(schema(dimension))


@dataclass(frozen=True, slots=True)
class _Missing:
    """The source at one version, and the row ids, in that version, that the next table lacks."""

    pinned: Any
    rows: list[int]


def _embedded(rows: Rows, vectors: Vectors, dimension: int, anew: bool) -> Rows:
    """The rows with the vectors of their texts: of all where *anew*, else of those that have none."""
    want = range(len(rows)) if anew else np.flatnonzero(rows["vector"].is_null().to_numpy()).tolist()
    made = vectors.of([rows["text"][i].as_py() for i in want]) if len(want) else None
    if made is None:
        return rows
    column = fixed(made, len(want), dimension)
    if not anew:
        held: list[Any] = rows["vector"].to_pylist()
        for i, vector in zip(want, column.to_pylist(), strict=True):
            held[i] = vector
        column = arrow().array(held, arrow().list_(arrow().float32(), dimension))
    return rows.set_column(rows.schema.get_field_index("vector"), "vector", column)


def migrate(
    folder: Folder,
    progress: Callable[[str], None],
    migrations: Mapping[int, Callable[[Rows], Rows]] | None = None,
) -> None:
    """Bring a table of an older schema to the present one, vectors and all; nothing where it is so.

    Raises DataError where a step is missing.
    """
    steps = MIGRATIONS if migrations is None else migrations

    def target(name: Name) -> Name | None:
        return Name(SCHEMA, name.space, name.turn + 1) if name.schema < SCHEMA else None

    name = folder.name()
    if name is None or target(name) is None:
        return
    if not set(range(name.schema, SCHEMA)) <= steps.keys():
        raise DataError(
            f"the memory at {folder.path} has schema {name.schema}, and this release knows no way from it to schema "
            f"{SCHEMA}: open it once with a release in between"
        )
    progress(f"bringing the memory from schema {name.schema} to {SCHEMA}")
    Rebuild(folder, progress, migrations=steps).into(target)
