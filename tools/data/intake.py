"""What became of a file that was ingested, and the file of its refused rows."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken."""

    line: int
    reason: str
    values: str


@dataclass(slots=True)
class Intake:
    """One file: rows taken, rows already there, rows refused, and columns that no row of its kind has."""

    file: str
    dataset: str
    unused: tuple[str, ...] = ()
    taken: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list[Refused])
    rejects: Path | None = None

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason was given, without the values that came."""
        return Counter(r.reason.split(", got ")[0] for r in self.refused)


def reason_of(error: ValueError) -> str:
    """Why a row did not fit, in one line: the column, what was expected, what came."""
    if not isinstance(error, ValidationError):
        return str(error)
    parts: list[str] = []
    for fault in error.errors():
        where = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if fault["type"] == "extra_forbidden":
            parts.append(f"{where}: there is no {fault['loc'][-1]}")
        elif fault["type"] == "missing":
            parts.append(f"{where}: expected a value, found none")
        elif where:
            parts.append(f"{where}: {message}, got {str(fault['input'])[:80]!r}")
        else:
            parts.append(message)
    return "; ".join(dict.fromkeys(parts))


def write_rejects(home: Path, intakes: list[Intake]) -> None:
    """Write each file's refused rows to `rejects/`, and take away what an earlier ingest of it left there.

    A second file of the same name gets its turn in the name.
    """
    names = Counter[str]()
    for intake in intakes:
        names[intake.file] += 1
        mark = f".{names[intake.file]}" if names[intake.file] > 1 else ""
        path = home / "rejects" / f"{intake.file.replace('/', '-')}{mark}.rejects.csv"
        if intake.refused:
            _write(path, intake.refused)
            intake.rejects = path
        else:
            path.unlink(missing_ok=True)


def _write(path: Path, refused: list[Refused]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("line", "reason", "row"))
        writer.writerows((r.line, r.reason, r.values) for r in sorted(refused, key=lambda r: r.line))
