"""Files into the warehouse: each row is taken, found already there, or refused with its reason."""

import contextlib
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from openoutcry.core.errors import BadFile, UsageError
from openoutcry.tools import files, warehouse
from openoutcry.tools.files import RawRow
from openoutcry.tools.rows import DATASETS, Dataset

if TYPE_CHECKING:
    import duckdb

SAMPLE = Path(__file__).parent / "sample"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken."""

    line: int
    reason: str
    values: str


@dataclass(slots=True)
class Intake:
    """What became of one file."""

    file: str
    dataset: str
    taken: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list[Refused])
    rejects: Path | None = None

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason was given, without the values that came."""
        return Counter(r.reason.split(", got ")[0] for r in self.refused)


def ingest(
    home: Path, paths: Iterable[Path], *, dataset: str | None = None, sample: bool = False, progress: Progress
) -> list[Intake]:
    """Take all files in one transaction and publish one snapshot; a file that cannot be read stops all.

    Rows that fail their model are written to `rejects/` under *home*, a file each, with line and reason.
    Raises BadFile, UsageError, WarehouseLocked or DataError; then nothing was changed.
    """
    sources = list(_sources(paths, dataset, sample))
    if not sources:
        raise UsageError("expected files to ingest, got none; name them, or give --sample")
    with warehouse.writing(home) as connection:
        intakes = [_take(connection, name, kind, rows, progress) for name, kind, rows in sources]
    names = Counter[str]()
    for intake in intakes:
        names[intake.file] += 1
        _write_rejects(home, intake, names[intake.file])
    return intakes


Source = tuple[str, Dataset, Iterator[RawRow]]


def _sources(paths: Iterable[Path], dataset: str | None, sample: bool) -> Iterator[Source]:
    if sample:
        prices = files.sample_prices()
        yield f"skfolio/{prices.name}", DATASETS["prices"], files.read_sample_prices(prices)
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
    if name:
        return label, DATASETS[name], files.read(path)
    if sound is None:
        raise BadFile(f"{path}: expected rows, found none that can be read ({first.broken}): write it again")
    return label, files.recognise(path, frozenset(sound.values)), files.read(path)


def _take(
    connection: "duckdb.DuckDBPyConnection",
    name: str,
    dataset: Dataset,
    rows: Iterator[RawRow],
    progress: Progress,
) -> Intake:
    intake = Intake(name, dataset.name)
    good: list[tuple[int, dict[str, Any]]] = []
    for raw in (part for row in rows for part in files.long(dataset, row)):
        try:
            if raw.broken:
                raise ValueError(raw.broken)
            good.append((raw.line, dataset.row.model_validate(raw.values).model_dump(mode="python")))
        except ValueError as error:
            values = json.dumps(dict(raw.values), default=str, ensure_ascii=False)
            intake.refused.append(Refused(raw.line, _reason(error), values))
        if raw.line % 1000 == 0:
            progress(f"{name}: {len(good):,} rows read")
    _insert(connection, dataset, good, intake)
    progress(f"{name}: {intake.taken:,} taken")
    return intake


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    parts: list[str] = []
    for fault in error.errors():
        where = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if fault["type"] == "missing":
            parts.append(f"{where}: expected a value, found none")
        elif where:
            parts.append(f"{where}: {message}, got {str(fault['input'])[:80]!r}")
        else:
            parts.append(message)
    return "; ".join(dict.fromkeys(parts))


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


def _write_rejects(home: Path, intake: Intake, turn: int) -> None:
    """Write the refused rows, under the file's name and, where an earlier file has that name, its *turn*."""
    if not intake.refused:
        return
    folder = home / "rejects"
    folder.mkdir(parents=True, exist_ok=True)
    mark = f".{turn}" if turn > 1 else ""
    intake.rejects = folder / f"{intake.file.replace('/', '-')}{mark}.rejects.csv"
    with intake.rejects.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("line", "reason", "row"))
        writer.writerows((r.line, r.reason, r.values) for r in sorted(intake.refused, key=lambda r: r.line))
