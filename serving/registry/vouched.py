"""Whether the gate vouches for a registered model in a seat: a signed record says PROMOTE of exactly this model."""

import json
from pathlib import Path
from typing import Any

from openoutcry.core import durable, seals
from openoutcry.core.errors import DataError, UsageError
from openoutcry.serving.identity import DECODING, identity
from openoutcry.serving.registry import artifact
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.registry.ledger import reading
from openoutcry.serving.stack import Stack

PROMOTE, REJECT = "PROMOTE", "REJECT"
Sealed = dict[str, Any]
"""A record of the gate, as JSON holds it, with its `hash`."""


def keep(home: Path, there: Registered, number: int) -> Sealed:
    """Copy the gate's record *number* beside the artifact that it is of. Raises DataError where it is not genuine.

    Raises UsageError where there is no such record.
    """
    source = _source(home) / f"{number:06d}.json"
    if not source.is_file():
        raise UsageError(f"expected the gate's record {number}, found none; `outcry eval records` lists them")
    content = source.read_bytes()
    record = _opened(home, content, source.name)
    if record["challenger"] != there.name:
        raise UsageError(f"expected a record of {there.name}, got one of {record['challenger']}")
    durable.put(there.folder / "records" / source.name, content)
    return record


def looks(home: Path, there: Registered) -> dict[int, bool]:
    """The numbers of the gate's records of an artifact, and whether each is kept with it, byte by byte."""
    mark = f'"challenger":{json.dumps(there.name)}'.encode()
    found = [p for p in sorted(_source(home).glob("*.json")) if p.stem.isdecimal() and mark in p.read_bytes()]
    kept = there.folder / "records"
    return {int(path.stem): _content(kept / path.name) == path.read_bytes() for path in found}


def _source(home: Path) -> Path:
    return seals.folder(home) / "records"


def records(home: Path, there: Registered) -> list[Sealed]:
    """The gate's records of an artifact that lie with it, oldest first by what they say of themselves.

    Raises DataError for one that the gate's key did not sign.
    """
    found: list[Sealed] = []
    for path in (there.folder / "records").glob("*.json"):
        try:
            found.append(_opened(home, _content(path), path.name))
        except DataError as error:
            again = f"`outcry models promote {there.name} --role {there.artifact.role}` copies it anew from the gate"
            raise DataError(f"{error}; {again}") from None
    return sorted((one for one in found if one["challenger"] == there.name), key=lambda one: one["number"])


def turned_down(found: list[Sealed], role: str, number: int) -> str:
    """Why the record *number* counts no more, given all that are *found*: the newest says REJECT; else empty."""
    newest = next((one for one in reversed(found) if one["role"] == role), None)
    if newest is None or newest["number"] <= number or newest["verdict"]["decision"] != REJECT:
        return ""
    return f"record {newest['number']} of the gate says {REJECT} of {newest['challenger']} since"


def unvouched(stack: Stack, home: Path, role: str, name: str, record: str) -> str:
    """Why the registered model *name* may not sit in *role* by the record of that hash; empty where it may.

    Models of the stack file need no record: who wrote it in vouches for them.
    """
    if not artifact.is_name(name):
        return ""
    try:
        there = artifact.find(home, name)
        with reading(home) as ledger:
            shut = ledger.shut() if ledger else {}
        if there.digest in shut:
            return f"{name} may sit no more: {shut[there.digest]}"
        found = next((one for one in records(home, there) if one["hash"] == record), None)
        if found is None:
            return f"{name} has no record of the gate for the {role}; `outcry eval gate {name} --role {role}` makes one"
        return fault(stack, role, name, found)
    except (DataError, UsageError) as error:
        return f"{name} may not sit: {error}"


def fault(stack: Stack, role: str, name: str, record: Sealed) -> str:
    """Why *record* does not say PROMOTE of *name* as this stack serves it; empty where it does."""
    said = record["verdict"]["decision"]
    if record["role"] != role or said != PROMOTE:
        return (
            f"record {record['number']} of the gate says {said} for the {record['role']}, not {PROMOTE} for the {role}"
        )
    if record["sides"][1]["models"].get(role) != identity(stack, name):
        return (
            f"record {record['number']} of the gate is not of {name} as it is served now: its files, its base, or its "
            "settings in the stack file are others; register it anew if one is damaged, else have the gate look again"
        )
    looked, now = record["sides"][1].get("decoding", {}), stack.serving(name).model_dump(mode="json", include=DECODING)
    if odd := sorted(key for key in now if looked.get(key, now[key]) != now[key]):
        return (
            f"record {record['number']} of the gate is of {name} with another {' and '.join(odd)} than the stack "
            "file has now: set it back, or have the gate look again"
        )
    return ""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _opened(home: Path, content: bytes, name: str) -> Sealed:
    try:
        record = seals.opened(content, seals.public(seals.folder(home) / seals.PUBLIC))
        _whole(record)
    except (LookupError, TypeError, AttributeError):
        raise DataError(f"the gate's record {name} cannot be relied on: it is of another version") from None
    except (DataError, UsageError) as error:
        raise DataError(f"the gate's record {name} cannot be relied on: {error}") from None
    return record


def _whole(record: Sealed) -> None:
    """Raises LookupError, TypeError or AttributeError where it lacks what is read of it here."""
    for name in ("number", "role", "challenger", "champion", "hash"):
        _ = record[name]
    _ = record["verdict"]["decision"], *(side["models"].items() for side in record["sides"][:2]), record["sides"][1]
