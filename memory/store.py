"""The store of memories: one folder in which a desk's memories are added, found, recalled and forgotten."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import UsageError
from openoutcry.memory.background import Background, next_space
from openoutcry.memory.folder import Folder
from openoutcry.memory.forget import Forgotten, descended, finish, forget
from openoutcry.memory.rebuild import Rebuild, migrate
from openoutcry.memory.recall import Hit, newest, recall
from openoutcry.memory.record import Kind, Memory
from openoutcry.memory.stats import Stats, stats
from openoutcry.memory.table import FIELDS, NO_SPACE, SCHEMA, Name, memories, name_of, quoted
from openoutcry.memory.vectors import Vectors
from openoutcry.memory.wanted import Wanted, both, known_by, one_of
from openoutcry.memory.writer import Writer

if TYPE_CHECKING:
    from openoutcry.memory.embedder import Embedder

_NOBODY: Mapping[tuple[str, str], float] = {}


class Store:
    """The memories of one folder. Many threads and processes may use it at once."""

    def __init__(
        self, folder: Path, embedder: "Callable[[], Embedder] | None", progress: Callable[[str], None]
    ) -> None:
        self._folder, self._vectors, self._progress = Folder(folder), Vectors(embedder), progress
        self._writer = Writer(self._folder, self._vectors)
        self._background = Background(self._folder, self._vectors, progress)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="recall")

    @classmethod
    def open(cls, folder: Path, embedder: "Callable[[], Embedder] | None", progress: Callable[[str], None]) -> "Store":
        """Open the memory at *folder*, which need not exist yet; the embedder is made when a text first needs it.

        What a killed forget left to do is done first, and a table of an older schema is brought to the present one.
        Raises DataError where the folder cannot be read, or a newer release wrote it.
        """
        store = cls(folder, embedder, progress)
        finish(store._folder, progress)
        migrate(store._folder, progress)
        store._folder.sweep()
        return store

    def add(self, memories: Sequence[Memory]) -> int:
        """Write the memories; they are on disk when this returns. One whose id is there is left as it is.

        Returns how many were new. Raises DataError where the folder cannot be written, or another process writes
        to it for a minute.
        """
        new = self._writer.add(memories)
        self._background.begin()
        return new

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Vectors of *texts*, shape (n, dimension), each of length 1; None where there is no embedder."""
        return self._vectors.of(texts)

    def recall(self, wanted: Wanted, skill: Mapping[tuple[str, str], float] = _NOBODY) -> list[Hit]:
        """The memories known by the as-of that fit best, best first; *skill* weighs (role, model), 1 where absent."""
        if wanted.limit < 1:
            raise UsageError(f"expected a limit of at least 1 memory, got {wanted.limit}")
        name = self._folder.name()
        if name is None:
            return []
        vector = self._direction(wanted) if name.space == self._space(wanted) else None
        self._background.begin()

        def best(table: Any) -> list[Hit]:
            fits = name_of(table).space == name.space  # another may be in force by now
            return recall(table, wanted, vector if fits else None, skill, self._pool)

        return self._folder.reading(best, list[Hit]())

    def _space(self, wanted: Wanted) -> str:
        return self._vectors.space if wanted.mode != "text" and wanted.text.strip() else ""

    def _direction(self, wanted: Wanted) -> NDArray[np.float32] | None:
        vectors = self._vectors.of([wanted.text])
        return vectors[0] if vectors is not None and np.linalg.norm(vectors[0]) > 0 else None

    def find(
        self,
        *,
        as_of: datetime | None = None,
        kinds: Sequence[Kind] = (),
        tickers: Sequence[str] = (),
        roles: Sequence[str] = (),
        run: str = "",
        ids: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Memory]:
        """The memories of these kinds, tickers, roles, run and ids, newest first; empty is any. *as_of* as `Wanted`."""
        named = both(one_of("kind", kinds), one_of("ticker", tickers), one_of("role", roles))
        condition = both(
            known_by(as_of) if as_of else "", named, one_of("run", [run] if run else []), one_of("id", ids)
        )
        return self._folder.reading(lambda table: _listed(table, condition, limit), list[Memory]())

    def ids(self, as_of: datetime, kind: Kind) -> list[str]:
        """The ids of the memories of *kind* known by *as_of*, oldest first."""
        condition = both(known_by(as_of), one_of("kind", [kind])) or "true"

        def listed(table: Any) -> list[str]:
            rows = table.search().where(condition).select(["id", "known_at"]).to_arrow()
            return rows.sort_by([("known_at", "ascending"), ("id", "ascending")])["id"].to_pylist()

        return self._folder.reading(listed, list[str]())

    def get(self, id_or_prefix: str) -> Memory:
        """The one memory whose id begins so. Raises UsageError where none or several do."""
        stem = id_or_prefix if id_or_prefix.startswith("mem-") else f"mem-{id_or_prefix}"
        condition = f"starts_with(id, {quoted([stem])})"
        found = self._folder.reading(lambda table: _listed(table, condition, 9), list[Memory]())
        exact = [memory for memory in found if memory.id == stem] or found
        if len(exact) == 1:
            return exact[0]
        said = f"{len(found)} begin so: " + ", ".join(m.id for m in found) if found else "none begins so"
        raise UsageError(f"expected the id of one memory, or how it begins, got {id_or_prefix!r}; {said}")

    def descended(self, source: str) -> dict[str, str]:
        """The kinds, by id, of what `forget` would remove."""
        return self._folder.reading(lambda table: dict(sorted(descended(table, source).items())), dict[str, str]())

    def forget(self, source: str) -> Forgotten:
        """Remove what stems from *source*, a publisher, run, document id or memory id, and all derived from it.

        The bytes leave the disk before this returns; a forget that is killed is finished at the next open. Raises
        DataError where nothing stems from it.
        """
        return forget(self._folder, source, self._progress)

    def stats(self) -> Stats:
        """What the memory holds, and how it is kept."""
        return stats(self._folder)

    def compact(self, progress: Callable[[str], None]) -> None:
        """Write the memory anew, embedded by the model at hand, with fresh indices and nothing left over.

        Minutes at a million memories; memories are added and recalled meanwhile. Raises DataError where another
        process is at it.
        """
        self._background.end()
        space = self._vectors.space
        work = Rebuild(self._folder, progress, self._vectors)
        work.into(lambda name: Name(SCHEMA, name.space if space == NO_SPACE else space, name.turn + 1))

    def reembed(self, progress: Callable[[str], None]) -> None:
        """Embed by the model at hand what it has not embedded yet; nothing where there is none. Raises as `compact`."""
        self._background.end()
        Rebuild(self._folder, progress, self._vectors).into(next_space(self._vectors))
        lacking = self._folder.reading(lambda table: int(table.count_rows("vector IS NULL AND text != ''")), 0)
        if lacking and self._vectors.space != NO_SPACE:
            self.compact(progress)

    def close(self) -> None:
        """Stop what runs in the background; what it did stays, and is gone on from."""
        self._background.end()
        self._pool.shutdown(wait=True)


def _listed(table: Any, condition: str, limit: int | None) -> list[Memory]:
    if limit == 0:
        return []
    places = {row: place for place, row in enumerate(newest(table, condition, limit).rows)}
    rows = table.take_row_ids(list(places)).select(list(FIELDS)).with_row_id().to_arrow()
    found = zip(rows["_rowid"].to_pylist(), memories(rows), strict=True)
    return [memory for _, memory in sorted(found, key=lambda pair: places[pair[0]])]
