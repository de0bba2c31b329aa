"""Files into raw rows: CSV, Parquet and JSONL, a line number beside each, broken lines told apart."""

import csv
import gzip
import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from openoutcry.core.errors import BadFile
from openoutcry.tools.data.rows import DATASETS, Dataset, Item

SUFFIXES = (".csv", ".parquet", ".jsonl")
DELIMITERS = (",", ";", "\t", "|")
LONGEST_CELL = 4_000_000
# When the sample's closes were last adjusted: its ratios to closes as traded hold AAPL's dividend of May 2023 and
# not that of August, so this is the latest day that it can be.
SAMPLE_ADJUSTED_THROUGH = "2023-08-10"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as found, or, with `broken`, a line that could not be read as a row."""

    line: int
    values: Mapping[str, Any]
    broken: str = ""


def read(path: Path, *, plain_names: bool = False) -> Generator[RawRow]:
    """Yield the rows of a file; with *plain_names*, columns keep the names that they have there.

    Raises BadFile where the file as a whole cannot be read.
    """
    named = str.strip if plain_names else _column
    try:
        match path.suffix.lower():
            case ".csv":
                yield from _csv(path, named)
            case ".jsonl":
                yield from _jsonl(path, named)
            case ".parquet":
                yield from _parquet(path, named)
            case other:
                raise BadFile(f"{path}: expected a file ending in {', '.join(SUFFIXES)}, got {other or 'none'}")
    except FileNotFoundError:
        raise BadFile(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> BadFile:
    if isinstance(error, UnicodeDecodeError):
        return BadFile(f"{path}: expected text in UTF-8, found another encoding: save it as UTF-8")
    said = " ".join(str(error).split())
    return BadFile(f"{path}: expected a readable {path.suffix[1:]} file, found a fault ({said}): write it again")


def _column(name: str) -> str:
    """A column's name as ours are written: "Adj Close" is adj_close, and symbol is ticker."""
    written = name.strip().lower().replace(" ", "_")
    return "ticker" if written == "symbol" else written


def _csv(path: Path, named: Callable[[str], str]) -> Iterator[RawRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(LONGEST_CELL)
        first = file.readline()
        file.seek(0)
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(file, strict=True, delimiter=delimiter)
        header = [named(name) for name in next(reader, list[str]())]
        if twice := [name for name, times in Counter(header).items() if times > 1]:
            raise BadFile(f"{path}: expected each column once, found {', '.join(twice)} again: remove one")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                yield RawRow(line, dict(zip(header, cells, strict=True)))
            elif cells:
                values = {f"column_{i}": cell for i, cell in enumerate(cells, 1)}
                yield RawRow(line, values, f"expected {len(header)} cells, found {len(cells)}")
            line = reader.line_num + 1


def _jsonl(path: Path, named: Callable[[str], str]) -> Iterator[RawRow]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            text = raw.decode("utf-8", "replace").strip()
            if not text:
                continue
            try:
                row: Any = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield RawRow(line, {"text": text[:1000]}, f"not JSON: {error}")
                continue
            if isinstance(row, dict):
                found = cast("dict[str, Any]", row)
                yield RawRow(line, {named(str(k)): v for k, v in found.items()})
            else:
                yield RawRow(line, {"text": text[:1000]}, "expected a JSON object")


def _parquet(path: Path, named: Callable[[str], str]) -> Iterator[RawRow]:
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    try:
        with pq.ParquetFile(path) as file:
            line = 1
            for batch in file.iter_batches():
                names = [named(str(name)) for name in batch.schema.names]
                for row in zip(*(_plain(column) for column in batch.columns), strict=True):
                    yield RawRow(line, dict(zip(names, row, strict=True)))
                    line += 1
    except (pa.ArrowException, ValueError) as error:
        raise _unreadable(path, error) from None


def _plain(column: Any) -> list[Any]:
    """Cells as a text file would hold them: dates and times in ISO form."""
    return [v.isoformat() if hasattr(v, "isoformat") else v for v in column.to_pylist()]


def recognise(path: Path, columns: frozenset[str]) -> Dataset:
    """The data set that a file with these columns is. Raises BadFile where none fits."""
    for dataset in DATASETS.values():
        if any(signs <= columns for signs in dataset.signs):
            return dataset
    kinds = "; ".join(f"{d.name}: {', '.join(sorted(d.signs[0]))}" for d in DATASETS.values())
    found = ", ".join(sorted(columns)) or "no columns"
    raise BadFile(f"{path}: expected the columns of one data set ({kinds}), found {found}: rename them")


def long(dataset: Dataset, row: RawRow) -> Iterator[RawRow]:
    """Turn a wide row of quarterly figures into one row an item; other rows pass as they are."""
    if dataset.name != "fundamentals" or row.broken or "item" in row.values:
        yield row
        return
    items = [str(item) for item in Item]
    shared = {k: v for k, v in row.values.items() if k not in items}
    filed = [item for item in items if row.values.get(item) not in ("", None)]
    if not filed:
        yield RawRow(row.line, row.values, f"expected a figure in one of {', '.join(items)}, found none")
    for item in filed:
        yield RawRow(row.line, {**shared, "item": item, "value": row.values[item]})


def sample_prices() -> Path:
    """The daily adjusted closes that the installed skfolio carries; skfolio itself is not imported."""
    spec = importlib.util.find_spec("skfolio")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "datasets" / "data" / "sp500_dataset.csv.gz"
        if path.is_file():
            return path
    raise BadFile("the sample prices come with the package skfolio, which is not installed: pip install skfolio")


def read_sample_prices(path: Path) -> Iterator[RawRow]:
    """Melt the wide file (a column a ticker) into rows of the prices table."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        table = list(csv.reader(file))
    tickers = table[0][1:]
    for line, (day, *cells) in enumerate(table[1:], 2):
        for ticker, cell in zip(tickers, cells, strict=True):
            if cell:
                values = {"ticker": ticker, "date": day, "adj_close": cell, "adjusted_through": SAMPLE_ADJUSTED_THROUGH}
                yield RawRow(line, values)
