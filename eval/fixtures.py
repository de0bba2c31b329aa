"""The data that scenarios stand on, each kept as a data folder of its own, by its content."""

import csv
import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from openoutcry.core.errors import BadFile, DataError, OutcryError, UsageError
from openoutcry.eval import worlds
from openoutcry.eval.scenario import Fixture
from openoutcry.eval.worlds.case import Case, Row, made
from openoutcry.eval.worlds.sentences import FOLDER
from openoutcry.tools.data import files, ingest
from openoutcry.tools.data.view import Warehouse

KEPT = 24
"""Warehouses that stay open while nobody uses them, the ones used last."""
MAKING = ((Path(worlds.__file__).parent, "*.py"), (ingest.SAMPLE.parent, "*.py"), (FOLDER, "*.toml"))
"""What makes data out of a situation, banks of sentences among it: where any of it changes, the data is made again."""


@dataclass(slots=True)
class _Lent:
    """An open warehouse, and how many cases use it now."""

    warehouse: Warehouse
    users: int = 0


class Fixtures:
    """Opens the data of a fixture, made once and kept under *folder*. Safe to share between threads.

    *beside* is the folder that the paths of files are relative to.
    """

    def __init__(self, folder: Path, beside: Path = Path()) -> None:
        self._folder, self._beside = folder, beside
        self._open: dict[str, _Lent] = {}
        self._digests: dict[str, str] = {}
        self._lock, self._closed = threading.Lock(), False

    def warehouse(self, fixture: Fixture) -> Warehouse:
        """Its data, open until `release` is called as often.

        Raises UsageError or BadFile where the fixture is at fault, and DataError or OSError where the machine is, or
        where all was closed meanwhile.
        """
        name = self.digest(fixture)
        try:
            home = self._home(name, fixture)  # not under the lock, which `release` takes on the event loop
            with self._lock:
                if self._closed:
                    raise DataError(f"expected the data of scenarios in {self._folder} to be open, but it was closed")
                lent = self._open.pop(name, None) or _Lent(Warehouse.open(home))
                lent.users += 1
                self._open[name] = lent
        except (OutcryError, OSError):
            raise
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise DataError(f"the data of a scenario cannot be kept in {self._folder / name}: {why}") from error
        return lent.warehouse

    def release(self, fixture: Fixture) -> None:
        """Say that one who took its data is done with it."""
        with self._lock:
            self._open[self.digest(fixture)].users -= 1
            idle = [name for name, lent in self._open.items() if not lent.users]
            for name in idle[: max(len(self._open) - KEPT, 0)]:
                self._open.pop(name).warehouse.close()

    def digest(self, fixture: Fixture) -> str:
        """What the data is known by: by how it is made, and by the bytes of files. Files are read once."""
        asked = fixture.model_dump_json(by_alias=True)
        if asked not in self._digests:
            hasher = hashlib.sha256((asked + _making()).encode())
            for path in [*self._files(fixture), *(_sample() if fixture.sample else ())]:
                hasher.update(hashlib.sha256(path.read_bytes()).digest())
            self._digests[asked] = hasher.hexdigest()[:16]
        return self._digests[asked]

    def close(self) -> None:
        """Release all of it; whoever still waits for data, as one that was told to stop, gets none."""
        with self._lock:
            self._closed = True
            for lent in self._open.values():
                lent.warehouse.close()
            self._open.clear()

    def _files(self, fixture: Fixture) -> list[Path]:
        paths = [self._beside / name for name in fixture.files]
        for path in paths:
            if not path.is_file():
                raise UsageError(f"expected a file of data at {path}, found none")
        return paths

    def _home(self, name: str, fixture: Fixture) -> Path:
        home = self._folder / name
        current = home / "warehouse" / "CURRENT"
        if not current.is_file():
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(home / "lock"):
                if not current.is_file():
                    self._make(home, fixture)
        return home

    def _make(self, home: Path, fixture: Fixture) -> None:
        with TemporaryDirectory(dir=home) as scratch:
            paths = self._files(fixture) or write([made(one) for one in fixture.made], Path(scratch))
            intakes = ingest.ingest(home, paths, sample=fixture.sample, progress=lambda _: None)
        if refused := [r for intake in intakes for r in intake.refused]:
            raise BadFile(f"the data of a scenario: {len(refused)} rows were refused, the first: {refused[0].reason}")


@cache
def _making() -> str:
    """SHA-256 of what makes data."""
    hasher = hashlib.sha256()
    for path in sorted(path for folder, names in MAKING for path in folder.glob(names)):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _sample() -> list[Path]:
    return [files.sample_prices(), *sorted(path for path in ingest.SAMPLE.iterdir() if path.is_file())]


def write(cases: Sequence[Case], folder: Path) -> list[Path]:
    """The rows of *cases* as files that ingest reads, a data set each; companies are told apart by their tickers."""
    joined: dict[str, list[Row]] = {}
    for case in cases:
        for dataset, rows in case.rows.items():
            joined.setdefault(dataset, []).extend(rows)
    return [_write(folder, dataset, rows) for dataset, rows in sorted(joined.items()) if rows]


def _write(folder: Path, dataset: str, rows: Sequence[Row]) -> Path:
    if dataset == "documents":
        path = folder / "documents.jsonl"
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
        return path
    path, names = folder / f"{dataset}.csv", list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path
