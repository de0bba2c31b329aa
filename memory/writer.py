"""The one writer: callers on many threads wait, one of them commits what all brought, and a lock parts processes."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.memory import indices
from openoutcry.memory.arrow import Rows, arrow, compute
from openoutcry.memory.folder import Folder, sync
from openoutcry.memory.record import Memory
from openoutcry.memory.table import SCHEMA, Name, dimension_of, rows, schema
from openoutcry.memory.vectors import Vectors
from openoutcry.memory.wanted import one_of

SLICE = 16_384
"""Memories in one commit at most."""
_FEW = 1_000


@dataclass(slots=True)
class _Brought:
    """What one caller brought, and what became of it; none of it was there in the version *seen*."""

    memories: Sequence[Memory]
    vectors: NDArray[np.float32] | None
    seen: str
    new: int = 0
    done: bool = False
    error: BaseException | None = None


class Writer:
    """Adds memories to the table in force of one folder."""

    def __init__(self, folder: Folder, vectors: Vectors) -> None:
        self._folder, self._vectors = folder, vectors
        self._least = 0
        self._waiting: list[_Brought] = []
        self._mutex, self._turn = threading.Lock(), threading.Lock()

    def add(self, memories: Iterable[Memory]) -> int:
        """Write those whose id is not there yet; they are on disk when this returns. Returns how many were new.

        Raises DataError where another process holds the lock too long, or the embedder's model cannot be had.
        """
        fresh = list({memory.id: memory for memory in memories}.values())
        return sum(self._bring(fresh[i : i + SLICE]) for i in range(0, len(fresh), SLICE))

    def _bring(self, memories: Sequence[Memory]) -> int:
        seen, here = self._folder.reading(lambda table: _seen(table, memories), ("", set[str]()))
        missing = [m for m in memories if m.id not in here]
        if not missing:
            return 0
        name = self._folder.name()
        fits = name is None or name.space == self._vectors.space
        brought = _Brought(missing, self._vectors.of([m.text for m in missing]) if fits else None, seen)
        with self._mutex:
            self._waiting.append(brought)
        with self._turn:
            while not brought.done:
                self._drain()
        if brought.error:
            raise brought.error
        return brought.new

    def _drain(self) -> None:
        """Commit what is waiting, up to one slice, for all who brought it."""
        batch = self._batch()
        try:
            with self._folder.writing():
                self._commit(batch)
        except BaseException as error:
            for brought in batch:
                brought.error = error
        for brought in batch:
            brought.done = True

    def _batch(self) -> list[_Brought]:
        with self._mutex:
            batch, size = list[_Brought](), 0
            while self._waiting and (not batch or size + len(self._waiting[0].memories) <= SLICE):
                batch.append(self._waiting.pop(0))
                size += len(batch[-1].memories)
            return batch

    def _commit(self, batch: Sequence[_Brought]) -> None:
        name, table = self._table()
        asked = [m.id for brought in batch if brought.seen != version(table) for m in brought.memories]
        here = present(table, asked) if asked else set[str]()
        parts: list[Rows] = []
        for brought in batch:
            kept = [i for i, m in enumerate(brought.memories) if m.id not in here]
            memories = [brought.memories[i] for i in kept]
            vectors = None if brought.vectors is None else brought.vectors[kept]
            if name.space != self._vectors.space:
                vectors = None
            elif vectors is None:
                vectors = self._vectors.of([m.text for m in memories])
            here |= {m.id for m in memories}
            brought.new = len(memories)
            if memories:
                parts.append(rows(memories, vectors, dimension_of(table)))
        if parts:
            append(self._folder, name, table, arrow().concat_tables(parts))
            self._least = indices.tidy(table, self._least)

    def _table(self) -> tuple[Name, Any]:
        """The table in force, made where there is none."""
        name, table = self._folder.name(), self._folder.current()
        if table is None or name is None:
            name = Name(SCHEMA, self._vectors.space)
            table = self._folder.create(name, schema(self._vectors.dimension))
            indices.words(table)
            self._folder.point(name)
        return name, table


def append(folder: Folder, name: Name, table: Any, new: Rows) -> None:
    """Add rows and bring them to disk. Call it with the lock held."""
    since = time.time_ns() - 50_000_000
    table.add(new)
    sync(folder.path / f"{name}.lance", since)


def version(table: Any) -> str:
    """What changes with every commit to a table."""
    return f"{table.name} {table.version}"


def _seen(table: Any, memories: Sequence[Memory]) -> tuple[str, set[str]]:
    return version(table), present(table, [m.id for m in memories])


def present(table: Any, ids: Sequence[str]) -> set[str]:
    """Which of the ids the table has."""
    if len(ids) > _FEW:
        column = table.search().select(["id"]).to_arrow()["id"]
        return set(column.filter(compute().is_in(column, value_set=arrow().array(ids))).to_pylist())
    found = table.search().where(one_of("id", ids)).select(["id"]).limit(len(ids)).to_arrow()
    return set(found["id"].to_pylist())
