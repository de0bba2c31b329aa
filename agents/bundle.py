"""A run is a bundle: a folder that holds all it takes to explain, replay and compare the run.

    runs/<run>/manifest.json    question, as-of, snapshot, digests, and the SHA-256 of the files beside it
    runs/<run>/report.json      the typed report
    runs/<run>/evidence.jsonl   every tool call's answer and every memory recalled, by evidence id
    runs/<run>/memory.json      what each role was reminded of, and the record that weighed the roles
    runs/<run>/calls.jsonl      every request of a role to its seat, word for word, and its answer

It is written beside and renamed, so a run folder is whole or not there.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from openoutcry.agents.calls import Call
from openoutcry.agents.remembered import Remembered
from openoutcry.core import durable
from openoutcry.core.egress import Ledger
from openoutcry.core.errors import BrokenRun, UsageError
from openoutcry.core.evidence import Evidence, Frozen
from openoutcry.core.limits import NO_LIMITS, Limits
from openoutcry.core.report import NotDone, Report

_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
FILES = ("report.json", "evidence.jsonl", "memory.json", "calls.jsonl")
_RESULT: TypeAdapter[Evidence | NotDone] = TypeAdapter(Evidence | NotDone)


class Manifest(Frozen):
    """What a run stood on. `started_at` is the wall clock's, for listing only.

    `digests` are of the weights in each seat, where they are here; `sent` are the bytes sent to each model server, and
    `left` how many of them left this machine. An answer that was kept, or shared, is counted by the run that asked.
    """

    run: str
    started_at: str
    question: str
    as_of: str
    snapshot: str
    models: dict[str, str]
    digests: dict[str, str] = {}
    prompts: dict[str, str]
    code: str
    version: str
    limits: Limits = NO_LIMITS
    sent: dict[str, int] = {}
    left: int = 0
    files: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A stored run, read back and checked."""

    manifest: Manifest
    report: Report
    results: Mapping[str, Evidence | NotDone]
    calls: tuple[Call, ...]
    remembered: Remembered


def new_run() -> tuple[str, str]:
    """A fresh run id that sorts by time to the microsecond, and the time it was made."""
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{secrets.token_hex(2)[:3]}"
    return name, now.isoformat(timespec="seconds")


def manifest(report: Report, **stood: Any) -> Manifest:
    """The manifest of a report that is to be stored, and all else that the run stood on."""
    asked = {"run": report.run, "question": report.question.text, "as_of": report.as_of, "snapshot": report.snapshot}
    return Manifest(**asked, **stood)


def write(home: Path, manifest: Manifest, report: Report, calls: list[Call], remembered: Remembered) -> Path:
    """Store the run under *home*; afterwards it is whole on disk."""
    results = [*report.evidence, *report.not_computed]
    texts = {
        "report.json": report.model_dump_json(indent=1),
        "evidence.jsonl": "".join(r.model_dump_json() + "\n" for r in results),
        "memory.json": remembered.model_dump_json(),
        "calls.jsonl": "".join(c.model_dump_json() + "\n" for c in calls),
    }
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    texts["manifest.json"] = manifest.model_copy(update={"files": sums}).model_dump_json(indent=1)
    root = home / "runs"
    scratch = root / f".{manifest.run}"
    scratch.mkdir(parents=True)
    try:
        for name, text in texts.items():
            with (scratch / name).open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        durable.settle(scratch)
        there = scratch.rename(root / manifest.run)
        durable.settle(root)
        return there
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def recount(home: Path, run: str, ledger: Ledger) -> None:
    """Say anew what a stored run sent, where its memories went to a server after it was stored."""
    file = home / "runs" / run / "manifest.json"
    manifest = Manifest.model_validate_json(file.read_bytes())
    counted = manifest.model_copy(update={"sent": ledger.sent, "left": ledger.left})
    durable.put(file, counted.model_dump_json(indent=1).encode())


def listing(home: Path) -> list[str]:
    """The ids of stored runs, oldest first."""
    root = home / "runs"
    return sorted(p.name for p in root.iterdir() if _NAME.fullmatch(p.name)) if root.is_dir() else []


def find(home: Path, name: str) -> Path:
    """The folder of a run by id, by an unambiguous beginning or ending of it, or `last`."""
    known = listing(home)
    if not known:
        raise UsageError(f"expected a stored run, but {home} holds none; `outcry ask` stores one")
    if name == "last":
        return home / "runs" / known[-1]
    hits = [r for r in known if r == name] or [r for r in known if r.startswith(name) or r.endswith(name)]
    if len(hits) != 1:
        few = f"{len(hits)} runs fit" if hits else "no run is called"
        raise UsageError(f"{few} {name!r}; `outcry runs` lists them, `last` is {known[-1]}")
    return home / "runs" / hits[0]


def read(home: Path, name: str) -> Bundle:
    """Read a run back. Raises BrokenRun where a file is missing, cut off or changed, UsageError for no such run."""
    folder = find(home, name)
    texts: dict[str, str] = {}
    try:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
        for file in FILES:
            if file == "memory.json" and file not in manifest.files:
                continue  # a run from before the desk remembered
            data = (folder / file).read_bytes()
            if hashlib.sha256(data).hexdigest() != manifest.files.get(file):
                raise BrokenRun(f"run {folder.name}: {file} is cut off or was changed; the run cannot be trusted")
            texts[file] = data.decode()
        return Bundle(
            manifest,
            Report.model_validate_json(texts["report.json"]),
            {r.id: r for r in map(_RESULT.validate_json, texts["evidence.jsonl"].splitlines())},
            tuple(map(Call.model_validate_json, texts["calls.jsonl"].splitlines())),
            Remembered.model_validate_json(texts.get("memory.json", "{}")),
        )
    except OSError as error:
        where = Path(error.filename).name if error.filename else "a file"
        raise BrokenRun(
            f"run {folder.name}: {where} cannot be read ({error.strerror}); the run is incomplete"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BrokenRun(f"run {folder.name}: not a run of this version: {first['loc']} {first['msg']}") from None


def code_digest(package: Path) -> str:
    """SHA-256 over the package's own Python and template files, 16 hex digits; linked rooms are followed."""
    hasher = hashlib.sha256()
    rooms = [package, *(p for p in package.iterdir() if p.is_dir() and not p.name.startswith("_"))]
    found = {f"{room.name}/{p.relative_to(room.resolve())}": p for room in rooms for p in _code(room.resolve())}
    for name in sorted(found):
        hasher.update(name.encode() + found[name].read_bytes())
    return hasher.hexdigest()[:16]


def _code(room: Path) -> list[Path]:
    return [p for suffix in ("*.py", "*.toml", "*.j2") for p in room.rglob(suffix)]
