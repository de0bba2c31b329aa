"""What the memory holds, and how it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openoutcry.memory import indices
from openoutcry.memory.arrow import Rows, compute
from openoutcry.memory.folder import Folder, size
from openoutcry.memory.record import Trust
from openoutcry.memory.table import Name, dimension_of, name_of


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of memories, by kind and by trust, and the state of the table that holds them.

    `oldest` and `newest` are of `known_at`, UTC without zone, None where nothing is remembered; `size` is bytes on
    disk; `space` names the vector space, of `dimension` numbers; `indexed` counts the rows that the vector index
    covers, `unembedded` those without a vector; `reembedding` is (done, total) while a next table is filled.
    """

    memories: int = 0
    kinds: Mapping[str, int] | None = None
    trust: Mapping[str, int] | None = None
    tickers: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    size: int = 0
    schema: int = 0
    space: str = ""
    dimension: int = 0
    indexed: int = 0
    unembedded: int = 0
    fragments: int = 0
    reembedding: tuple[int, int] | None = None
    compact_due: bool = False

    @property
    def unindexed(self) -> int:
        """Rows that the vector index does not cover."""
        return self.memories - self.indexed


def stats(folder: Folder) -> Stats:
    """The stats of the table in force; all zero where nothing was remembered yet."""
    return folder.reading(lambda table: _of(folder, table), Stats())


def _of(folder: Folder, table: Any) -> Stats:
    name = name_of(table)
    rows: Rows = table.search().select(["kind", "trust", "ticker", "known_at"]).to_arrow()
    span = compute().min_max(rows["known_at"]).as_py()
    trust = {Trust(int(level)).name.lower(): count for level, count in _counted(rows["trust"]).items()}
    return Stats(
        memories=len(rows),
        kinds=_counted(rows["kind"]),
        trust=trust,
        tickers=len(rows["ticker"].unique()),
        oldest=span["min"],
        newest=span["max"],
        size=size(folder.path),
        schema=name.schema,
        space=name.space,
        dimension=dimension_of(table),
        indexed=indices.indexed(table),
        unembedded=table.count_rows("vector IS NULL"),
        fragments=indices.fragments(table),
        reembedding=_carried(folder, name, len(rows)),
        compact_due=indices.due(table),
    )


def _counted(column: Rows) -> dict[str, int]:
    pairs = column.value_counts().to_pylist()
    return dict(sorted((str(pair["values"]), int(pair["counts"])) for pair in pairs))


def _carried(folder: Folder, name: Name, total: int) -> tuple[int, int] | None:
    for other in folder.names():
        if other.space != name.space and other.turn > name.turn:
            try:
                return folder.connect().open_table(str(other)).count_rows(), total
            except (RuntimeError, ValueError, OSError):
                continue
    return None
