"""Examples from a person's own files: rows of any kind in JSONL, and transcripts of runs that were corrected."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.eval.public.sets import sets
from openoutcry.training.examples.forbidden import STANDS, holds
from openoutcry.training.examples.grounding import ungrounded
from openoutcry.training.examples.rows import KINDS, TYPES, Chat, Gathered, Row

PLAIN: dict[str, frozenset[str]] = {
    "chat": frozenset({"messages", "tools", "role"}),
    "tone": frozenset({"text", "label"}),
    "pairs": frozenset({"anchor", "positive"}),
}
"""What a row of each kind holds, apart from `id`, `source` and `known_at`, which may be missing."""
SAME = {"bullish": "positive", "bearish": "negative"}


def examples(files: Sequence[Path], role: str, now: datetime, forbidden: Sequence[str] = ()) -> Gathered:
    """The rows of *files*, for *role*, known by *now*. All of them or none: the first that does not fit is an error.

    *forbidden* are texts that must not be learnt from. Raises UsageError with file, line and reason.
    """
    found = Gathered()
    for file in files:
        for where, given in _lines(file):
            try:
                row = _row(given, file, role, now)
            except ValueError as error:
                raise UsageError(f"{where}: {_reason(error)}; mend it, nothing was taken") from None
            if why := _refused(row, given, file, forbidden):
                raise UsageError(f"{where}: {why}; leave it out, nothing was taken")
            found.rows.append(row)
    if files and not found.rows:
        raise UsageError(f"expected rows in {', '.join(map(str, files))}, found none")
    return found


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file with where each stands."""
    if file.suffix != ".jsonl":
        raise UsageError(f"expected a file of rows that ends in .jsonl, got {file}")
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UsageError(f"expected rows in {file}, it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"expected {file} to be UTF-8, found {error.reason} at byte {error.start}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            value: Any = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{where}: expected a JSON object, got what is none: {error}; nothing was taken") from None
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected a JSON object, got a {type(value).__name__}; nothing was taken")
        yield where, cast("dict[str, Any]", value)


def _row(given: dict[str, Any], file: Path, role: str, now: datetime) -> Row:
    """The row. Raises ValueError for one that does not fit."""
    kind = KINDS[role]
    if not given.keys() & PLAIN[kind]:
        raise ValueError(f"expected a row for {role} with {', '.join(sorted(PLAIN[kind]))}, got {_keys(given)}")
    if odd := given.keys() - PLAIN[kind] - {"id", "source", "known_at"}:
        raise ValueError(f"expected no {', '.join(sorted(odd))} in a row for {role}")
    own = str(given.get("source") or "").strip()
    told = {**given, "source": f"file:{file.name}{f' {own}' if own else ''}"}
    if kind == "chat":
        told = {"role": role, **told}
        if told["role"] != role:
            raise ValueError(f"expected a row for {role}, got one for {told['role']}")
    if kind == "tone":
        label = str(given.get("label")).strip().lower()
        told["label"] = SAME.get(label, label)
    row = TYPES[kind].model_validate(told)
    if row.known_at > now:
        raise ValueError(f"known_at {row.known_at:%Y-%m-%d %H:%M} UTC is in the future, and nothing is known from then")
    if isinstance(row, Chat) and (why := ungrounded(row)):
        raise ValueError(why)
    return row


def _refused(row: Row, given: dict[str, Any], file: Path, forbidden: Sequence[str]) -> str:
    """Why a row must not be learnt from though it fits; empty where it may be."""
    named = f"{given.get('source', '')} {given.get('id', '')} {file.name} {file.parent.name}".casefold()
    for one in sets().values():
        if one.evaluation_only and one.name in named.replace("-", "").replace("_", "").replace(" ", ""):
            return f"it is of {one.name}, which is for evaluation only ({one.licence})"
    return STANDS if holds(row, forbidden) else ""


def _keys(given: dict[str, Any]) -> str:
    return ", ".join(sorted(given)[:8]) or "nothing"


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{f'{where}: ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
