"""Forgetting: what stems from a source, and whatever was derived from that, leaves the memory and the disk."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openoutcry.core.errors import DataError
from openoutcry.memory import indices
from openoutcry.memory.arrow import Rows, arrow
from openoutcry.memory.folder import Folder, replace
from openoutcry.memory.record import Kind
from openoutcry.memory.table import SCHEMA, Name, dimension_of, schema
from openoutcry.memory.wanted import one_of

_CHUNK, _ROWS = 500, 16_384
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The ids of the memories removed, in order, and how many there were of each kind."""

    ids: tuple[str, ...]
    kinds: Mapping[str, int]


def forget(folder: Folder, source: str, progress: Callable[[str], None]) -> Forgotten:
    """Remove all that stems from *source*: a publisher, `run:<id>` or a run's id, a document's id, or a memory's id.

    What is to go is noted first, so that a killed forget is finished at the next open. Raises DataError where nothing
    stems from it.
    """
    finish(folder, progress)
    with folder.writing():
        table = folder.current()
        gone = descended(table, source) if table is not None else {}
        if not gone:
            raise DataError(
                f"nothing in the memory stems from {source!r}: name a publisher, a run (`run:<id>`), a document's id "
                "(`doc-...`) or a memory's id (`mem-...`)"
            )
        replace(folder.forgetting, json.dumps(sorted(gone)))
        _delete(table, gone)
    finish(folder, progress)
    return Forgotten(tuple(sorted(gone)), dict(sorted(Counter(gone.values()).items())))


def finish(folder: Folder, progress: Callable[[str], None]) -> None:
    """Do what a forget noted and has not done yet; nothing where there is no note.

    The lock of the next table is held too, until the indices stand: whatever else writes files lets go first.
    """
    if not folder.forgetting.exists():
        return
    with folder.locked("next.lock", _PATIENCE, _PATIENCE):
        if not folder.forgetting.exists():
            return
        with folder.writing():
            _purge(folder, json.loads(folder.forgetting.read_text(encoding="utf-8")))
        folder.reading(lambda table: indices.build(table, progress) if indices.large(table) else None, None)


def descended(table: Any, source: str) -> dict[str, str]:
    """The kinds, by id, of the memories that stem from *source*, directly or by what they were made from.

    A publisher stands for the documents of its digests too: what a role made of those does not name the publisher.
    """
    run = source.removeprefix("run:")
    rows: Rows = table.search().select(["id", "kind", "run", "source", "parents"]).to_arrow()
    kinds: dict[str, str] = {}
    children: dict[str, list[str]] = {}
    begun: list[str] = [source, f"run:{run}"]
    for batch in rows.to_batches():
        for row in batch.to_pylist():
            kinds[row["id"]] = row["kind"]
            for parent in row["parents"]:
                children.setdefault(parent, []).append(row["id"])
            if row["source"] in (source, f"run:{run}") or row["run"] == run:
                begun += [row["id"], *(p for p in row["parents"] if row["kind"] == Kind.DIGEST)]
    return {name: kinds[name] for name in closure(begun, children) if name in kinds}


def closure(begun: Iterable[str], children: Mapping[str, list[str]]) -> set[str]:
    """All that can be reached from *begun* by *children*, and those themselves."""
    seen: set[str] = set()
    waiting = list(begun)
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting.extend(children.get(name, ()))
    return seen


def _delete(table: Any, ids: Iterable[str]) -> None:
    listed = list(ids)
    for start in range(0, len(listed), _CHUNK):
        table.delete(one_of("id", listed[start : start + _CHUNK]))


def _purge(folder: Folder, ids: Iterable[str]) -> None:
    """Delete the rows, then write the table anew without them, and remove every other table, with all its files.

    A table's files keep what was deleted from it, in old versions, in its indices and beside the rows that stay, so
    only new files are free of it.
    """
    name, table = folder.name(), folder.current()
    if name is not None and table is not None:
        _delete(table, ids)
        for other in folder.names():
            if other != name:
                folder.drop(other)
        target = Name(SCHEMA, name.space, name.turn + 1)
        indices.words(_copied(folder, table, target))
        folder.point(target)
        folder.drop(name)
    folder.forgetting.unlink()


def _copied(folder: Folder, table: Any, target: Name) -> Any:
    columns = schema(dimension_of(table))
    copy = folder.create(target, columns)
    batches = table.search().select(columns.names).to_batches(_ROWS)
    copy.add(arrow().RecordBatchReader.from_batches(columns, (b.cast(columns) for b in batches)))
    return copy
