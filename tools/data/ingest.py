"""Files into the warehouse: each row is taken, found already there, or refused with its reason."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openoutcry.core.errors import BadFile, UsageError
from openoutcry.tools.data import files, warehouse
from openoutcry.tools.data.files import RawRow
from openoutcry.tools.data.intake import Intake, Refused, reason_of, write_rejects
from openoutcry.tools.data.rows import DATASETS, Dataset

if TYPE_CHECKING:
    import duckdb

SAMPLE = Path(__file__).parent / "sample"
Progress = Callable[[str], None]


def ingest(
    home: Path,
    paths: Iterable[Path],
    *,
    dataset: str | None = None,
    sample: bool = False,
    progress: Progress,
    now: datetime | None = None,
) -> list[Intake]:
    """Take all files in one transaction and publish one snapshot; a file that cannot be read stops all.

    Rows that fail their model, or, where *now* is given, are known only a day or more after it, are
    written to `rejects/` under *home*, a file each, with line and reason. Raises BadFile, UsageError,
    WarehouseLocked or DataError; then nothing was changed.
    """
    latest = None if now is None else now.astimezone(UTC).replace(tzinfo=None) + timedelta(days=1)
    sources = list(_sources(paths, dataset, sample))
    if not sources:
        raise UsageError("expected files to ingest, got none; name them, or give --sample")
    with warehouse.writing(home) as connection:
        intakes = [_take(connection, source, latest, progress) for source in sources]
        write_rejects(home, intakes)
    return intakes


@dataclass(frozen=True, slots=True)
class Source:
    """A file to take: its name, what it is, the columns that it has, and its rows."""

    name: str
    dataset: Dataset
    columns: frozenset[str]
    rows: Iterator[RawRow]


def _sources(paths: Iterable[Path], dataset: str | None, sample: bool) -> Iterator[Source]:
    if sample:
        prices = files.sample_prices()
        yield Source(f"skfolio/{prices.name}", DATASETS["prices"], frozenset(), files.read_sample_prices(prices))
        for path in sorted(SAMPLE.glob("*.*")):
            if path.suffix in files.SUFFIXES:
                yield _source(path, None)
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in files.SUFFIXES)
            if not found:
                raise BadFile(f"{path}: expected a folder with {', '.join(files.SUFFIXES)} files, found none")
            yield from (_source(p, dataset) for p in found)
        else:
            yield _source(path, dataset)


def _source(path: Path, name: str | None) -> Source:
    label = path.name.encode("utf-8", "replace").decode()
    with contextlib.closing(files.read(path)) as rows:
        first = next(rows, None)
        if first is None:
            raise BadFile(f"{path}: expected rows, found none: check what wrote it")
        sound = next((row for row in chain([first], rows) if not row.broken), None)
    columns = frozenset(sound.values) if sound else frozenset[str]()
    if name is None and sound is None:
        raise BadFile(f"{path}: expected rows, found none that can be read ({first.broken}): write it again")
    dataset = DATASETS[name] if name else files.recognise(path, columns)
    return Source(label, dataset, columns, files.read(path))


def _take(
    connection: "duckdb.DuckDBPyConnection", source: Source, latest: datetime | None, progress: Progress
) -> Intake:
    name, dataset = source.name, source.dataset
    intake = Intake(name, dataset.name, tuple(sorted(source.columns - dataset.accepted)))
    good: list[tuple[int, dict[str, Any]]] = []
    for raw in (part for row in source.rows for part in files.long(dataset, row)):
        try:
            good.append((raw.line, _sound(dataset, raw, latest)))
        except ValueError as error:
            values = json.dumps(dict(raw.values), default=str, ensure_ascii=False)
            intake.refused.append(Refused(raw.line, reason_of(error), values))
        if raw.line % 1000 == 0:
            progress(f"{name}: {len(good):,} rows read")
    _insert(connection, dataset, good, intake)
    progress(f"{name}: {intake.taken:,} taken")
    return intake


def _sound(dataset: Dataset, raw: RawRow, latest: datetime | None) -> dict[str, Any]:
    """The row as its model has it. Raises ValueError with the reason where it does not fit."""
    if raw.broken:
        raise ValueError(raw.broken)
    row = dataset.row.model_validate(raw.values)
    if latest and row.known_at > latest:
        raise ValueError(f"known only on {row.known_at.date()}, which is still to come; check the date")
    return row.model_dump(mode="python")


def _insert(
    connection: "duckdb.DuckDBPyConnection",
    dataset: Dataset,
    good: list[tuple[int, dict[str, Any]]],
    intake: Intake,
) -> None:
    """Add the rows that are new; a row that contradicts what is stored for the same moment is refused."""
    if not good:
        return
    pa: Any = import_module("pyarrow")
    columns = {c: pa.array([_cell(row[c]) for _, row in good]) for c in dataset.columns}
    connection.register("arrived", pa.table({"line": pa.array([line for line, _ in good]), **columns}))
    types = {n: t for n, t, *_ in connection.execute(f"DESCRIBE vault.{dataset.name}").fetchall()}
    casts = ", ".join(f"{c}::{types[c]} AS {c}" for c in dataset.columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT line, {casts} FROM arrived")
    connection.unregister("arrived")
    key = (*dataset.row.key, "known_at")
    facts = [c for c in dataset.columns if c not in key]
    same = " AND ".join(f"a.{c} = b.{c}" for c in key)
    differ = " OR ".join(f"a.{c} IS DISTINCT FROM b.{c}" for c in facts) or "false"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE known AS FROM (SELECT * EXCLUDE (source), 0 AS line "
        f"FROM vault.{dataset.name} UNION ALL BY NAME FROM staged) "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY line) = 1"
    )
    clashes = connection.execute(
        f"SELECT a.line, to_json(a) FROM staged a JOIN known b ON {same} WHERE a.line <> b.line AND ({differ})"
    ).fetchall()
    reason = "differs from a row already known at the same moment; give a later known_at to restate it"
    intake.refused.extend(Refused(line, reason, str(values)) for line, values in clashes)
    source = intake.file.replace("'", "''")
    shown = ", ".join(dataset.columns)
    fresh = connection.execute(
        f"INSERT INTO vault.{dataset.name} ({shown}, source) "
        f"SELECT {shown}, '{source}:' || line FROM known WHERE line > 0 ORDER BY {', '.join(key)}"
    ).fetchone()
    intake.taken = int(fresh[0]) if fresh else 0
    intake.unchanged = len(good) - intake.taken - len(clashes)


def _cell(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value
