"""Recall: what is known by a moment and fits a question, found by meaning and by words together."""

import contextlib
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.memory.arrow import Rows
from openoutcry.memory.indices import Reach, reach
from openoutcry.memory.ranking import Candidate, Found, Row, Skill, candidates, rank, says_the_same
from openoutcry.memory.record import Memory
from openoutcry.memory.table import FIELDS, memory
from openoutcry.memory.wanted import Wanted, one_of

_TERMS, _WORD = 64, re.compile(r"\w+(?:[.,]\w+)*")


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory found. `score` is higher for better; a rank counts from 1 in its own list, None where it is in none.

    `alike` are the ids of memories that say the same: of these, the newest stands where the best ranked came.
    """

    memory: Memory
    score: float
    vector_rank: int | None = None
    text_rank: int | None = None
    alike: tuple[str, ...] = ()


def recall(table: Any, wanted: Wanted, vector: NDArray[np.float32] | None, skill: Skill, pool: Executor) -> list[Hit]:
    """The best of *table* for what is wanted; *vector*, of length 1, stands for its text, None where it has none."""
    words = " ".join(dict.fromkeys(_WORD.findall(wanted.text)[:_TERMS]))
    depth = max(50, 10 * wanted.limit)
    asked = bool(wanted.text.strip())
    far = reach(table, wanted.condition)
    searches: dict[str, Callable[[], Found]] = {}
    if not asked:
        searches["newest"] = lambda: newest(table, far.condition, depth)
    elif vector is not None and wanted.mode != "text":
        searches["vector"] = lambda: by_meaning(table, far, vector, depth)
    if words and (wanted.mode != "vector" or vector is None):
        searches["text"] = lambda: by_words(table, far, words, depth)
    columns = ["id", "known_at", *(["role", "model"] if skill else [])]
    found, about = _found(table, searches, pool, columns)
    ranked = rank(candidates(found, about, wanted.as_of), wanted.as_of, skill, not asked or wanted.mode != "hybrid")
    return settle(table, ranked, wanted.limit)


def _found(
    table: Any, searches: Mapping[str, Callable[[], Found]], pool: Executor, columns: list[str], again: bool = True
) -> tuple[dict[str, Found], Rows]:
    """The lists, and the columns of all rows in them. They are searched again if a commit moved rows in between."""
    found = _side_by_side(searches, pool)
    rows = list(dict.fromkeys(row for listed in found.values() for row in listed.rows))
    about: Rows = table.take_row_ids(rows).select(columns).with_row_id().to_arrow()
    if len(about) < len(rows) and again:
        return _found(table, searches, pool, columns, again=False)
    return found, about


def _side_by_side(searches: Mapping[str, Callable[[], Found]], pool: Executor) -> dict[str, Found]:
    if len(searches) < 2:
        return {name: search() for name, search in searches.items()}
    waiting = {name: pool.submit(search) for name, search in searches.items()}
    return {name: future.result() for name, future in waiting.items()}


def by_meaning(table: Any, far: Reach, vector: NDArray[np.float32], depth: int) -> Found:
    """The nearest rows by cosine, of those that meet the condition and have a vector."""
    search = far.by_meaning(table.search(vector, vector_column_name="vector").distance_type("cosine"))
    found = search.select(["_distance"]).limit(depth).with_row_id(True).to_arrow()
    return Found(found["_rowid"].to_pylist(), [-value for value in found["_distance"].to_pylist()])


def by_words(table: Any, far: Reach, words: str, depth: int) -> Found:
    """The best rows by BM25. The words are plain: no character of theirs is an operator."""
    search = far.narrowed(table.search(words, query_type="fts", fts_columns="text"))
    found = search.select(["_score"]).limit(depth).with_row_id(True).to_arrow()
    return Found(found["_rowid"].to_pylist(), found["_score"].to_pylist())


def newest(table: Any, condition: str, depth: int | None) -> Found:
    """The rows that became known last, all of them where *depth* is None, newest first and then by id."""
    ordering = importlib.import_module("lancedb.query").ColumnOrdering
    order = [("known_at", False), ("id", True)]
    by = [ordering(column_name=name, ascending=rising, nulls_first=False) for name, rising in order]
    search = Reach(condition, None).narrowed(table.search()).select(["id", "known_at"]).order_by(by)
    found: list[int] = search.limit(depth).with_row_id(True).to_arrow()["_rowid"].to_pylist()
    return Found(found, [-float(place) for place in range(len(found))])


@dataclass(slots=True)
class _Kept:
    """What says the same: who of it ranks best, the newest of it, and the ids of the others."""

    best: Candidate
    newest: Row
    alike: list[str]

    def take(self, row: Row) -> None:
        """Add one more, ranked behind; of equally new ones the better ranked stays."""
        if row.values["known_at"] > self.newest.values["known_at"]:
            row, self.newest = self.newest, row
        self.alike.append(row.values["id"])


def settle(table: Any, ranked: Sequence[Candidate], limit: int) -> list[Hit]:
    """Collapse what says the same into one, until *limit* memories stand: at the best rank of it, the newest of it."""
    kept: list[_Kept] = []
    size = 4 * limit
    for start in range(0, len(ranked), size):
        rows = whole(table, ranked[start : start + size])
        for one in ranked[start : start + size]:
            if (row := rows.get(one.id)) is None:
                continue
            same = next((k for k in kept if says_the_same(k.newest, row)), None)
            if same is not None:
                same.take(row)
            elif len(kept) < limit:
                kept.append(_Kept(one, row, []))
        if len(kept) == limit:
            break
    return [
        Hit(memory(k.newest.values), k.best.score, k.best.ranks.get("vector"), k.best.ranks.get("text"), tuple(k.alike))
        for k in kept
    ]


def whole(table: Any, part: Sequence[Candidate]) -> dict[str, Row]:
    """The rows of the candidates, by id; one that was forgotten meanwhile is not there."""
    found = _taken(table, part)
    vectors = found["vector"].combine_chunks()
    flat = vectors.values.to_numpy(zero_copy_only=False).reshape(-1, vectors.type.list_size)
    there: list[bool] = vectors.is_valid().to_pylist()
    values = found.drop_columns(["vector"]).to_pylist()
    return {row["id"]: Row(row, flat[i] if there[i] else None) for i, row in enumerate(values)}


def _taken(table: Any, part: Sequence[Candidate]) -> Rows:
    """The candidates' rows by their place, or by id where a commit moved them since they were found."""
    columns, ids = [*FIELDS, "vector"], [one.id for one in part]
    with contextlib.suppress(RuntimeError, ValueError):
        found: Rows = table.take_row_ids([one.row for one in part]).select(columns).to_arrow()
        if set(found["id"].to_pylist()) == set(ids):
            return found
    return table.search().where(one_of("id", ids)).select(columns).limit(len(ids)).to_arrow()
