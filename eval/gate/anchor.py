"""The frozen anchor of each role: the model that nobody may fall behind, however often the champion changes."""

import json
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen
from openoutcry.core.seals import folder


class Pinned(Frozen):
    """A model by its name, and what it was when it was pinned: its digest, else its name."""

    name: str
    digest: str


_ANCHORS = TypeAdapter(dict[str, Pinned])


def pinned(home: Path, role: str) -> Pinned | None:
    """The anchor of a role; None until its first look. Raises DataError where the file is damaged."""
    return _read(home).get(role)


def refused(home: Path, role: str, given: Pinned) -> str:
    """One line that says why *given* is not the role's anchor; empty where it is, or where none is pinned."""
    there = pinned(home, role)
    if there is None or there == given:
        return ""
    if there.name == given.name:
        what = f"the anchor {there.name} of {role} was {there.digest} when it was pinned and is {given.digest} now"
    else:
        what = f"the anchor of {role} is pinned to {there.name}, not {given.name}"
    return f"{what}; an anchor stands still: bring the old one back, or pin anew on purpose (repin)"


def pin(home: Path, role: str, given: Pinned) -> None:
    """Pin a role's anchor from now on."""
    path = _path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        every = {**_read(home), role: given}
        durable.put(path, json.dumps(_ANCHORS.dump_python(every), sort_keys=True, indent=1).encode())


def _read(home: Path) -> dict[str, Pinned]:
    path = _path(home)
    try:
        return _ANCHORS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError):
        raise DataError(f"expected the anchors in {path}, found a damaged file; bring it back from a copy") from None


def _path(home: Path) -> Path:
    return folder(home) / "anchors.json"
