"""What was trained, kept by its digest: immutable, and refused where a byte of it is not what was registered.

<home>/models/<sha256>/artifact.json      what it is: kind, base, data, recipe, and the SHA-256 of each file
<home>/models/<sha256>/files/             the adapter or the weights themselves
<home>/models/<sha256>/records/<n>.json   copies of the gate's signed records of it; they come later, outside the digest
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from openoutcry.core import durable, seals
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving import pull
from openoutcry.serving.digest import files
from openoutcry.serving.registry.ledger import Kind, Ledger, writing
from openoutcry.serving.stack import REGISTERED, SEATS

_DIGEST = re.compile(r"[0-9a-f]{64}")
SHORT = 12
"""Hex digits of a digest that a name carries."""
SCRATCH = ".registering-"
DAY = 24 * 60 * 60.0
TOKENIZER = {*pull.TOKENIZERS, "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "merges.txt"}


class Made(Frozen):
    """What a fine-tune made. `base` is the digest (`serving.digest`) of the folder that it was made from."""

    kind: Literal["adapter", "model", "classifier", "embedder"]
    role: str
    base: str = ""
    base_name: str = ""
    """What the stack calls the base."""
    data: dict[str, Any] = {}
    recipe: dict[str, Any] = {}


class Artifact(Made):
    """What is registered; its canonical JSON is what the digest is of. `files` are SHA-256 by relative path."""

    tokenizer: str = ""
    files: dict[str, str]


class Registered(Frozen):
    """An artifact in its place. `name` is what a stack, a seat and a server call it."""

    digest: str
    folder: Path
    artifact: Artifact

    @property
    def name(self) -> str:
        """Role and beginning of the digest, such as risk-0123456789ab."""
        return f"{self.artifact.role}-{self.digest[:SHORT]}"

    @property
    def files(self) -> Path:
        """The folder that a server loads."""
        return self.folder / "files"


def register(
    home: Path,
    source: Path,
    made: Made,
    now: datetime,
    base: Path | None = None,
    progress: pull.Progress = pull.unwatched,
) -> Registered:
    """Take what lies in the folder *source* in; the same twice is one. *base* is the folder it was made from, if here.

    One that was damaged since is whole again after. Raises UsageError where there is nothing to take, no such seat, or
    these very weights are in quarantine under another description.
    """
    if made.role not in SEATS:
        raise UsageError(f"expected a seat among {', '.join(SEATS)}, got {made.role!r}")
    root = pull.folder(home)
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=root, prefix=SCRATCH))
    try:
        _swept(root, scratch.stat().st_mtime)
        sums = _copied(source, scratch / "files", progress)
        own = {name: sums[name] for name in sums if name in TOKENIZER}
        tokenizer = hashlib.sha256(seals.canonical(own or _tokenizer(base))).hexdigest() if own or base else ""
        artifact = Artifact(**made.model_dump(), tokenizer=tokenizer, files=sums)
        content = seals.canonical(artifact.model_dump(mode="json"))
        digest, what = hashlib.sha256(content).hexdigest(), hashlib.sha256(seals.canonical(_weights(sums))).hexdigest()
        durable.put(scratch / "artifact.json", content)
        scratch.chmod(0o755)
        there = Registered(digest=digest, folder=root / digest, artifact=artifact)
        damaged = there.folder.exists() and not _whole(there)  # every byte is read, and nobody waits for that
        with writing(home) as ledger:  # one at a time: of two that register the same, the second finds it
            _not_in_quarantine(ledger, what, digest)
            if damaged or not there.folder.exists():
                _placed(scratch, there)
            if not any(event.digest == digest for event in ledger.events(kind=Kind.REGISTERED)):
                ledger.add(now, Kind.REGISTERED, made.role, digest, there.name, files=what)
        return there
    finally:
        for left in (scratch, _aside(scratch)):
            shutil.rmtree(left, ignore_errors=True)


def _not_in_quarantine(ledger: Ledger, files: str, digest: str) -> None:
    """Raises UsageError where the same weights are in quarantine: another recipe beside them makes no other model."""
    shut = ledger.shut()
    for event in ledger.events(kind=Kind.REGISTERED):
        said = shut.get(event.digest, "")
        if event.digest != digest and event.data.get("files") == files and said.startswith(Kind.QUARANTINED):
            raise UsageError(f"these weights are those of {event.name}, which is {said}; train another model")


def _whole(there: Registered) -> bool:
    try:
        check(there)
    except DataError:
        return False
    return True


def _placed(scratch: Path, there: Registered) -> None:
    """Put what was copied, and hashed meanwhile, in its place; that of one that was damaged, too."""
    if there.folder.exists():
        if (records := there.folder / "records").is_dir():
            shutil.copytree(records, scratch / "records")
        there.folder.rename(_aside(scratch))
    scratch.rename(there.folder)
    durable.settle(there.folder.parent)


def _aside(scratch: Path) -> Path:
    """Where one that was damaged goes."""
    return scratch.with_name(f"{scratch.name}-damaged")


def _swept(root: Path, now: float) -> None:
    """Take away what a registration left that died more than a day ago. *now* is by the clock that dates the folders:
    by another one, those of registrations at work may seem old.
    """
    for left in root.glob(f"{SCRATCH}*"):
        with suppress(FileNotFoundError):  # one that ends now takes its own away
            if left.stat().st_mtime < now - DAY:
                shutil.rmtree(left, ignore_errors=True)


def listing(home: Path) -> list[Registered]:
    """All that is registered, by name. One whose description is damaged is left out; `find` says why."""
    root = pull.folder(home)
    found: list[Registered] = []
    for folder in root.iterdir() if root.is_dir() else ():
        if is_digest(folder.name):
            try:
                found.append(described(folder))
            except DataError:
                continue
    return sorted(found, key=lambda one: one.name)


def find(home: Path, given: str) -> Registered:
    """What is registered under *given*: a name, a digest, or a beginning of it that fits one alone.

    Raises UsageError where none or several fit, DataError where its description is damaged.
    """
    root = pull.folder(home)
    if not given:
        raise UsageError("expected a name or a digest, got nothing; `outcry models list` shows what there is")
    named = re.sub(rf"^({'|'.join(SEATS)})-", "", given)
    hits = root.glob(f"{named}*") if re.fullmatch("[0-9a-f]{4,64}", named) else ()
    found = [described(folder) for folder in hits if is_digest(folder.name)]
    found = [one for one in found if given == named or one.name.startswith(given)]
    if len(found) != 1:
        few = f"{len(found)} fit" if found else "none is"
        raise UsageError(f"expected what is registered, but {few} {given!r}; `outcry models list` shows what there is")
    return found[0]


def is_digest(name: str) -> bool:
    """Whether a folder of that name among the models holds something registered."""
    return _DIGEST.fullmatch(name) is not None


def is_name(given: str) -> bool:
    """Whether *given* has the form of a registered name: a seat, and twelve hex digits."""
    return REGISTERED.fullmatch(given) is not None


def check(there: Registered) -> None:
    """See that every file is as it was registered. Raises DataError with the first that is not."""
    described(there.folder)
    names = {p.relative_to(there.files).as_posix() for p in there.files.rglob("*") if p.is_symlink() or not p.is_dir()}
    known = there.artifact.files
    if odd := sorted(names ^ known.keys()):
        what = "is missing from" if odd[0] in known else "was never part of"
        raise DataError(f"{there.name}: {odd[0]} {what} what was registered; register it anew")
    for name, digest in known.items():
        if _sum(there.files / name) != digest:
            raise DataError(f"{there.name}: {name} is not as it was registered; register it anew")


def described(folder: Path) -> Registered:
    """What is registered in *folder*, its files not looked at. Raises DataError where its description is damaged."""
    try:
        content = (folder / "artifact.json").read_bytes()
        artifact = Artifact.model_validate(json.loads(content))
    except (OSError, ValueError, ValidationError, RecursionError):
        raise DataError(
            f"expected what is registered in {folder}, found no description that can be read; register it anew"
        ) from None
    if hashlib.sha256(content).hexdigest() != folder.name:
        raise DataError(f"{folder.name[:SHORT]}: its description is not as it was registered; register it anew")
    return Registered(digest=folder.name, folder=folder, artifact=artifact)


def _copied(source: Path, to: Path, progress: pull.Progress) -> dict[str, str]:
    """Copy a folder's files, synced; their SHA-256 by name. Raises UsageError where there are none."""
    if not source.is_dir():
        raise UsageError(f"expected the folder of an adapter or a model, found none at {source}")
    sums: dict[str, str] = {}
    for name, file in files(source):
        at = to / name
        at.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, at)
        with at.open("rb") as copied:
            os.fsync(copied.fileno())
        at.chmod(0o444)
        sums[name] = _sum(at)
        progress(name, at.stat().st_size, at.stat().st_size)
    for folder in (to, *(path for path in to.rglob("*") if path.is_dir())):
        durable.settle(folder)
    return sums


def _weights(sums: Mapping[str, str]) -> Mapping[str, str]:
    """Of the files those that make the model, by which it is known again; all where none is known to."""
    return {name: sums[name] for name in sums if name.endswith(pull.WEIGHTS)} or sums


def _tokenizer(base: Path | None) -> Mapping[str, str]:
    return {name: _sum(base / name) for name in sorted(TOKENIZER) if base and (base / name).is_file()}


def _sum(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"expected to read {file}, got {error.strerror}") from None
