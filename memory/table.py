"""A table of memories: its columns, its name, and the way from a Memory to a row and back.

`memories_s<schema>_<space>` names the table of one schema and one vector space, with `_<n>` after it where it was
written anew. `month` counts the months of `known_at` since year 0: a bitmap over it answers an as-of in one or two
milliseconds where the times themselves take twenty.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.evidence import Figure
from openoutcry.memory.arrow import Rows, arrow
from openoutcry.memory.record import Kind, Memory, Trust

SCHEMA = 1
NO_SPACE = "none"
_NAME = re.compile(r"memories_s([0-9]+)_([0-9a-z]+)(?:_([0-9]+))?")
_WORDS = ("id", "kind", "ticker", "role", "model", "run", "source", "claim", "text")
_LISTS = ("evidence", "parents")
_TIMES = ("as_of", "known_at")
FIELDS = (*_WORDS, *_LISTS, *_TIMES, "trust", "figures", "details")
"""The columns that make a memory: all but `month` and `vector`."""


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """The parts of a table's name: schema version, space of its vectors, and how often it was written anew."""

    schema: int
    space: str
    turn: int = 0

    @classmethod
    def parse(cls, text: str) -> "Name | None":
        """Read a table's name; None where it is no table of memories."""
        found = _NAME.fullmatch(text)
        return cls(int(found[1]), found[2], int(found[3] or 0)) if found else None

    def __str__(self) -> str:
        return f"memories_s{self.schema}_{self.space}" + (f"_{self.turn}" if self.turn else "")


def schema(dimension: int) -> Rows:
    """The columns of the present version; a vector is null where a text was not embedded in the table's space."""
    strings = [arrow().field(name, arrow().string()) for name in _WORDS]
    lists = [arrow().field(name, arrow().list_(arrow().string())) for name in _LISTS]
    times = [arrow().field(name, arrow().timestamp("us")) for name in _TIMES]
    rest = [
        arrow().field("trust", arrow().int8()),
        arrow().field("figures", arrow().string()),
        arrow().field("details", arrow().string()),
        arrow().field("month", arrow().int32()),
        arrow().field("vector", arrow().list_(arrow().float32(), dimension)),
    ]
    return arrow().schema([*strings, *lists, *times, *rest])


def month(moment: datetime) -> int:
    """Months since year 0."""
    return moment.year * 12 + moment.month - 1


def rows(memories: Sequence[Memory], vectors: NDArray[np.float32] | None, dimension: int) -> Rows:
    """The memories as rows; *vectors* has shape (n, dimension), or is None where the text was not embedded."""
    columns: dict[str, Any] = {name: [getattr(m, name) for m in memories] for name in (*_WORDS, *_TIMES)}
    columns |= {name: [list(getattr(m, name)) for m in memories] for name in _LISTS}
    columns["trust"] = [int(m.trust) for m in memories]
    columns["figures"] = [_compact({n: [f.value, f.unit] for n, f in m.figures.items()}) for m in memories]
    columns["details"] = [_compact(dict(m.details)) for m in memories]
    columns["month"] = [month(m.known_at) for m in memories]
    columns["vector"] = fixed(vectors, len(memories), dimension)
    return arrow().table(columns, schema=schema(dimension))


def fixed(vectors: NDArray[np.float32] | None, count: int, dimension: int) -> Rows:
    """Vectors as a column; a vector that is not finite, or of length 0, has no direction and becomes null."""
    kind = arrow().list_(arrow().float32(), dimension)
    if vectors is None:
        return arrow().nulls(count, kind)
    values = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(values, axis=1)
    fit = np.isfinite(lengths) & (lengths > 0)
    column = arrow().FixedSizeListArray.from_arrays(arrow().array(values.reshape(-1)), dimension)
    return column if fit.all() else arrow().array([v if ok else None for v, ok in zip(values, fit, strict=True)], kind)


def memories(table: Rows) -> list[Memory]:
    """The rows as memories, in their order; other columns are left out."""
    return [memory(row) for row in table.select(list(FIELDS)).to_pylist()]


def memory(row: Mapping[str, Any]) -> Memory:
    """One row as the memory that it was made of."""
    values = {name: row[name] for name in (*_WORDS, *_TIMES)} | {name: tuple(row[name]) for name in _LISTS}
    figures = {name: Figure(value=value, unit=unit) for name, (value, unit) in json.loads(row["figures"]).items()}
    more = {"kind": Kind(row["kind"]), "trust": Trust(row["trust"]), "details": json.loads(row["details"])}
    return Memory.model_validate(values | more | {"figures": figures})


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def quoted(values: Iterable[str]) -> str:
    """The values as SQL literals, each inert whatever it holds, parted by commas."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def name_of(table: Any) -> Name:
    """The name of an open table. Raises ValueError where it is none of memories."""
    name = Name.parse(table.name)
    if name is None:
        raise ValueError(f"expected a table of memories, got {table.name!r}")
    return name


def dimension_of(table: Any) -> int:
    """How many numbers a vector of the table has."""
    return int(table.schema.field("vector").type.list_size)
