"""A data set: rows in two files, parted by time, and a manifest that says what they are and vouches for their bytes.

<data folder>/training/data/<first 12 digits of its digest>/train.jsonl, valid.jsonl, manifest.json
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.training.examples.rows import TYPES, Kind, Row, digest, line

MANIFEST = "manifest.json"
Part = Literal["train", "valid"]
PARTS: tuple[Part, ...] = ("train", "valid")


class Manifest(Frozen):
    """What a data set is.

    `rows` counts them by part, `sources` by where they come from (run, scenario, file), and `left_out` those that were
    not taken, by the reason. `compared` names the suites, each with set and rotation, that near-duplicates were looked
    for in. `split` is a moment (UTC) after which no row to train by and before which no row to validate by is known;
    empty where all are known at one moment, and are parted by their digests. `files` are the SHA-256 of both files,
    `made` the moment (UTC) of making, and `digest` the SHA-256 of all of this but `made`: the same content has the
    same, whenever and wherever it is made.
    """

    kind: Kind
    role: str
    rows: dict[str, int]
    sources: dict[str, int]
    left_out: dict[str, int]
    compared: tuple[str, ...]
    split: str
    files: dict[str, str]
    made: str = ""
    digest: str = ""

    @property
    def content(self) -> str:
        """The digest that it must have."""
        return digest(self.model_dump(mode="json", exclude={"made", "digest"}))


class Dataset(Frozen):
    """A stored data set, whose files were found to be those of its manifest."""

    folder: Path
    manifest: Manifest

    def read(self, part: Part) -> Iterator[Row]:
        """The rows of a part. Raises DataError where it is not as it was when the set was loaded."""
        data = _data(self.folder, f"{part}.jsonl")
        _check(self.folder, self.manifest, f"{part}.jsonl", data)
        row = TYPES[self.manifest.kind]
        yield from map(row.model_validate_json, data.splitlines())


def write(home: Path, manifest: Manifest, rows: dict[Part, Sequence[Row]], now: datetime) -> Dataset:
    """Store a data set; one that is there already is given as it is, and is the last one made all the same.

    The manifest comes last: without it is no set.
    """
    content = {f"{part}.jsonl": b"".join(map(line, rows[part])) for part in PARTS}
    whole = manifest.model_copy(
        update={
            "rows": {part: len(rows[part]) for part in PARTS},
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
            "made": now.astimezone(UTC).isoformat(timespec="seconds"),
        }
    )
    whole = whole.model_copy(update={"digest": whole.content})
    folder = root(home) / whole.digest[:12]
    if not (folder / MANIFEST).is_file():
        for name, data in content.items():
            durable.put(folder / name, data)
        durable.put(folder / MANIFEST, whole.model_dump_json(indent=1).encode())
    os.utime(folder / MANIFEST, (now.timestamp(), now.timestamp()))
    return _read(folder)


def load(home: Path, given: str) -> Dataset:
    """A data set by its digest, an unambiguous beginning of it, or `last`.

    Raises UsageError where there is no such, DataError where a byte of it is not what its manifest says.
    """
    there = root(home) / given[:12]
    if len(given) >= 12 and (there / MANIFEST).is_file():  # one that is broken elsewhere is no hindrance
        found = _read(there)
        if found.manifest.digest.startswith(given):
            return found
    known = listing(home)
    if not known:
        raise UsageError(f"expected a data set, but {home} holds none; `outcry train data make` makes one")
    hits = [known[-1]] if given == "last" else [one for one in known if given and one.digest.startswith(given)]
    if len(hits) != 1:
        few = f"{len(hits)} data sets fit" if hits else "no data set is called"
        raise UsageError(f"{few} {given!r}; `outcry train data list` lists them, `last` is {known[-1].digest[:12]}")
    return _read(root(home) / hits[0].digest[:12])


def listing(home: Path) -> list[Manifest]:
    """The manifests of the stored data sets, the one made last at the end. Raises DataError for one that is broken."""
    found = [(path.stat().st_mtime_ns, _manifest(path.parent)) for path in root(home).glob(f"*/{MANIFEST}")]
    return [one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].digest))]


def root(home: Path) -> Path:
    """Where data sets lie."""
    return home / "training" / "data"


def _read(folder: Path) -> Dataset:
    manifest = _manifest(folder)
    for name in manifest.files:
        _check(folder, manifest, name, _data(folder, name))
    return Dataset(folder=folder, manifest=manifest)


def _manifest(folder: Path) -> Manifest:
    try:
        found = Manifest.model_validate_json(_data(folder, MANIFEST))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise _broken(folder, f"its manifest is not one of this version: {where}: {first['msg']}") from None
    if found.digest != found.content or folder.name != found.digest[:12]:
        raise _broken(folder, "its manifest was changed")
    return found


def _check(folder: Path, manifest: Manifest, name: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != manifest.files[name]:
        raise _broken(folder, f"{name} is cut off or was changed")


def _data(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _broken(folder, f"{name} cannot be read ({error.strerror})") from None


def _broken(folder: Path, why: str) -> DataError:
    return DataError(f"data set {folder.name}: {why}; move {folder} away and make it again")
