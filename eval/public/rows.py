"""Rows of a public set's files; what does not fit is kept with its reason, to be told."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.eval.scenario import Scenario


class Row(BaseModel):
    """A row as its set has it, as far as it is read here."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


R = TypeVar("R", bound=Row)


class Rows:
    """The files of a set under *folder*, and in `left`, a line each, the rows that became no case."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.left: list[str] = []

    def each(self, file: str, row: type[R]) -> Iterator[tuple[int, R]]:
        """The rows of a JSONL file with their line numbers. Raises UsageError where there is no such file."""
        with self._path(file).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        found = row.model_validate_json(line)
                    except ValidationError as error:
                        self._leave(file, number, error)
                    else:
                        yield number, found

    def cases(self, file: str, row: type[R], make: Callable[[R], Iterable[Scenario]]) -> Iterator[Scenario]:
        """The cases that *make* makes of each row; a row that it refuses with a ValueError is left, whole."""
        for number, found in self.each(file, row):
            try:
                made = list(make(found))
            except ValueError as error:
                self._leave(file, number, error)
            else:
                yield from made

    def _leave(self, file: str, number: int, error: ValueError) -> None:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        why = f"{'.'.join(map(str, first['loc'])) or 'row'}: {first['msg']}" if first else str(error)
        self.left.append(f"{file}:{number}: {' '.join(why.split())[:200]}")

    def _path(self, file: str) -> Path:
        """Where a file lies: in its own folder, or with all others in one."""
        for path in (self._folder / file, self._folder / Path(file).name):
            if path.is_file():
                return path
        raise UsageError(f"expected {file} in {self._folder}, found none; `--data` names the folder of public sets")


def named(*parts: str) -> str:
    """A scenario's id: what may not stand in one becomes an underscore, and a long one ends in a digest."""
    whole = "-".join(parts)
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", whole)
    return plain if len(plain) <= 80 else f"{plain[:67]}-{short(whole)}"


def short(text: str) -> str:
    """A digest of *text*, 12 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
