"""Suites: the shipped ones by name, and a person's own folders and files of scenarios."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from openoutcry.core.errors import UsageError
from openoutcry.eval.faults import Fault, Faults, Loc
from openoutcry.eval.reading import scenarios
from openoutcry.eval.scenario import Bank, Scenario
from openoutcry.eval.worlds.sentences import FOLDER

SHIPPED = FOLDER
TEMPLATES = "templates.toml"
SUFFIXES = (".toml", ".yaml", ".yml")


@dataclass(frozen=True)
class Suite:
    """Cases under one name. `beside` is the folder that their files of data are relative to."""

    name: str
    bank: Bank
    rotation: str
    scenarios: tuple[Scenario, ...]
    beside: Path = Path()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the digests of the cases, 16 hex digits."""
        return hashlib.sha256("\n".join(s.digest for s in self.scenarios).encode()).hexdigest()[:16]


def shipped() -> list[str]:
    """The names of the shipped suites."""
    return sorted(p.name for p in SHIPPED.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))


def load(given: str, bank: Bank = "dev", rotation: str = "") -> Suite:
    """The suite *given*: a shipped one by name, a folder, or a file; of a person's own all belongs to every set.

    *rotation* (a month for gate, a quarter for sealed) decides which of the made-up cases it holds. Raises UsageError
    with file, line and reason for the first thing that is wrong, ids that stand twice among them.
    """
    if given in shipped():
        name, files, folder = given, _set_of(SHIPPED / given, bank), SHIPPED / given
    else:
        name, files, folder = _own(given)
    found, faults = _read(files, name, bank, rotation)
    _raise(faults)
    if not found:
        raise UsageError(f"suite {name}: expected scenarios, found none in {folder}")
    return Suite(name, bank, rotation, tuple(found), folder)


def check(given: str) -> tuple[int, list[Fault]]:
    """How many scenarios a suite, folder or file holds, over the sets of a shipped one, and all that is wrong with it.

    Raises UsageError where there is nothing of that name.
    """
    if given in shipped():
        folder, count, faults = SHIPPED / given, 0, dict[Fault, None]()
        for bank in get_args(Bank):
            found, wrong = _read(_set_of(folder, bank), given, bank, "")
            count, faults = count + len(found), faults | dict.fromkeys(wrong)
        return count, list(faults)
    name, files, folder = _own(given)
    if not files:
        raise UsageError(f"expected files of scenarios ({', '.join(SUFFIXES)}) in {folder}, found none")
    found, wrong = _read(files, name, "dev", "")
    return len(found), wrong


def _raise(faults: Sequence[Fault]) -> None:
    if faults:
        more = f" (and {len(faults) - 1} more: `outcry eval check` tells all)" if faults[1:] else ""
        raise UsageError(f"{faults[0]}{more}")


def _set_of(folder: Path, bank: Bank) -> list[Path]:
    """A shipped suite's templates, and the hand-written cases of a set."""
    return [p for name in (TEMPLATES, f"{bank}.toml", f"{bank}.yaml") if (p := folder / name).is_file()]


def _own(given: str) -> tuple[str, list[Path], Path]:
    path = Path(given)
    if path.is_file() and path.suffix not in SUFFIXES:
        raise UsageError(f"expected a file of scenarios that ends in {', '.join(SUFFIXES)}; got {given!r}")
    if path.is_file():
        return path.stem, [path], path.parent
    if path.is_dir():
        return path.resolve().name, sorted(p for p in path.iterdir() if p.suffix in SUFFIXES), path
    raise UsageError(f"expected a suite ({', '.join(shipped())}), a folder or a file of scenarios; got {given!r}")


def _read(files: Sequence[Path], name: str, bank: Bank, rotation: str) -> tuple[list[Scenario], list[Fault]]:
    """The scenarios of all *files*, and all that is wrong with them."""
    read: dict[str, Scenario] = {}
    told: list[Faults] = []
    twins: list[tuple[Faults, Loc, str]] = []
    for file in files:
        try:
            told.append(faults := Faults(file, file.read_text(encoding="utf-8-sig")))
        except OSError as error:
            told.append(Faults(file, "", [Fault(file, 1, f"cannot be read: {error.strerror}")]))
            continue
        except UnicodeDecodeError as error:
            odd = Fault(file, 1, f"expected text in UTF-8: {error.reason} at byte {error.start}")
            told.append(Faults(file, "", [odd]))
            continue
        for loc, scenario in scenarios(faults, name, bank, rotation):
            if scenario.id in read:
                faults.add((*loc, "id"), f"the id {scenario.id!r} stands twice; each case needs its own")
            read[scenario.id] = scenario
            twins += [(faults, (*loc, "twin"), scenario.twin)] if scenario.twin else []
    for faults, loc, twin in twins:
        if twin not in read:
            faults.add(loc, f"there is no case {twin!r} that could be its twin")
    return list(read.values()), [f for faults in told for f in sorted(faults.found, key=lambda fault: fault.line)]
