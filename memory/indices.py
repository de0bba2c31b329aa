"""The indices of a table, and how far a search by meaning looks in them.

Below `INDEXED` rows a search by meaning compares every row, which is exact and quick. From there on it looks in an
inverted file of vectors at one bit a number (RaBitQ) and compares the best again in full. On a million rows a graph
(HNSW) was as quick without a condition, two to three times as slow with one, and ten times the size; 8-bit vectors
were as quick and eight times the size. The words are indexed from the first row on.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

INDEXED = 20_000
"""Rows from which a vector index is worth its while."""
EXACT = 3_000
"""Rows passing a condition up to which they are all compared."""
PARTITION, PROBES = 1_000, 30
"""Vectors in a part of the vector index, and how many parts are looked at where no condition narrows the search."""
REFINE = 2
"""How many times as many rows as are wanted are compared in full."""
TIDY_AT = 64
"""Fragments from which small ones are merged; unmerged, each costs every query its own opening."""
VERSIONS = 20_000
"""Commits after which a table is better written anew."""
SMALL = 10_000
"""Rows below which a fragment of a large table is merged with others."""
_SCALARS = {"id": "BTree", "ticker": "BTree", "known_at": "BTree", "run": "BTree", "source": "BTree"} | {
    name: "Bitmap" for name in ("month", "kind", "role", "trust")
}
_KEPT = timedelta(minutes=10)
"""For how long a replaced version stays for readers that are in the middle of it."""


def words(table: Any) -> None:
    """Build the index of the words: stems, without stop words; numbers and tickers are words too."""
    kinds = importlib.import_module("lancedb.index")
    table.create_index("text", config=kinds.FTS())


def build(table: Any, progress: Callable[[str], None]) -> None:
    """Build every index that the table's size asks for, in place of what it has. Minutes at a million rows."""
    kinds = importlib.import_module("lancedb.index")
    words(table)
    count: int = table.count_rows("vector IS NOT NULL")
    if not large(table):
        return
    progress(f"indexing {table.count_rows():,} memories")
    for column, kind in _SCALARS.items():
        table.create_index(column, config=getattr(kinds, kind)())
    if count >= INDEXED:
        config = kinds.IvfRq(
            distance_type="cosine", num_partitions=max(1, count // 1000), max_iterations=10, sample_rate=64
        )
        table.create_index("vector", config=config)


def large(table: Any) -> bool:
    """Whether the table is of a size at which a vector index is worth its while."""
    return bool(table.count_rows() >= INDEXED)


def due(table: Any) -> bool:
    """Whether to compact: a tenth of a large table lies outside its vector index, or old files weigh on it."""
    count: int = table.count_rows()
    outside = count >= INDEXED and count - indexed(table) > count // 10
    return outside or fragments(table) > 2 * TIDY_AT or table.version > VERSIONS


def fragments(table: Any) -> int:
    """How many fragments the table's rows lie in."""
    return int(table.stats()["fragment_stats"]["num_fragments"])


def indexed(table: Any) -> int:
    """Rows that the vector index covers."""
    found = [i.num_indexed_rows for i in table.list_indices() if list(i.columns) == ["vector"]]
    return int(found[0] or 0) if found else 0


def tidy(table: Any, least: int = 0) -> int:
    """Merge small fragments once there are `TIDY_AT` more than the *least* that merging left; returns that number.

    Call it with the write lock held: files of no version are then the leftovers of a crash, and go too. LanceDB's own
    `optimize` also drops old versions, but it would write anew a large table, and train its index, for a handful of
    rows; there the small fragments alone are merged, in one commit.
    """
    if fragments(table) < least + TIDY_AT:
        return least
    if large(table):
        fold(table)
    else:
        table.optimize(cleanup_older_than=_KEPT, delete_unverified=True)
    return fragments(table)


def merge(table: Any) -> None:
    """Merge the fragments of a table that is not in force yet: nobody reads it, and it has no vector index to train."""
    if large(table):
        table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)


def fold(table: Any) -> None:
    """Write the rows of small fragments anew, as one fragment, in one commit."""
    found = table.search().select(["id"]).with_row_id(True).to_arrow()["_rowid"].to_numpy()
    fragment, count = np.unique(found >> 32, return_counts=True)
    small = found[np.isin(found >> 32, fragment[count < SMALL])]
    if len(small):
        rows = table.take_row_ids(small.tolist()).to_arrow().select(table.schema.names)
        table.merge_insert("id").when_matched_update_all().execute(rows, on_bad_vectors="null")


@dataclass(frozen=True, slots=True)
class Reach:
    """How a table is searched under a condition: the condition, and how many parts of the vector index are looked at.

    No parts means that every row that passes is compared, which is exact.
    """

    condition: str
    parts: int | None

    def by_meaning(self, search: Any) -> Any:
        """A search by vector, looking that far."""
        search = self.narrowed(search)
        return search.bypass_vector_index() if self.parts is None else search.nprobes(self.parts).refine_factor(REFINE)

    def narrowed(self, search: Any) -> Any:
        """A search of the rows that pass. A condition of nothing is left out: LanceDB would try it on every row."""
        return search.where(self.condition) if self.condition else search


def reach(table: Any, condition: str) -> Reach:
    """How far to look, by how many rows pass the condition; one that all rows pass is dropped.

    Few are compared one by one. Else more parts are looked at as the share that passes falls, since the nearest of the
    few lie farther apart.
    """
    total: int = table.count_rows()
    if total < INDEXED:
        return Reach(condition, None)
    passing: int = table.count_rows(condition) if condition else total
    if passing <= EXACT:
        return Reach(condition, None)
    parts = min(total // PARTITION + 1, round(PROBES * (total / passing) ** 0.45))
    return Reach("" if passing == total else condition, parts)
