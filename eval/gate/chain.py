"""The chain of records: each names the hash of the one before, and a signed head says how many there are.

<home>/gate/records/000001.json    a record, its hash and signature, in canonical JSON
<home>/gate/head.json              how many there are and the newest's hash, signed
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from filelock import FileLock
from pydantic import ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError, OutcryError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.core.seals import PUBLIC, RECORD, folder, genuine, public
from openoutcry.eval.gate import alpha, keys
from openoutcry.eval.gate.record import FIRST, Record, Sealed, canonical, hashed

HEAD = b"openoutcry gate head "


class Count(Frozen):
    """How many records there are, and the hash of the newest."""

    count: int
    newest: str


class Head(Frozen):
    """A signed count."""

    at: Count
    signature: str


class Checked(Frozen):
    """What was found of one record; number 0 is of the chain as a whole."""

    number: int
    ok: bool
    said: str


def append(home: Path, look: str, make: Callable[[int, str], Record]) -> Record:
    """Store the record of *look*, made from its number and the hash before it; the one that is there already, if so.

    Raises DataError where the chain is damaged: nothing is built on it then.
    """
    signer = keys.signer(home)
    with FileLock(folder(home) / "chain.lock"):
        at = _mended(home, signer)
        if (there := of_look(home, look)) is not None:
            return there
        record = make(at.count + 1, at.newest)
        digest = hashed(record)
        content = canonical(Sealed(hash=digest, record=record, signature=_sign(signer, RECORD, digest.encode())))
        Sealed.read(content)  # what would not be read back must not stand in the chain
        durable.put(_path(home, record.number), content)
        _count(home, signer, Count(count=record.number, newest=digest))
        return record


def again(home: Path, look: str) -> Record | None:
    """The record of a look, if it is made; counted in, where a crash came between the two. Raises DataError."""
    there = of_look(home, look)
    return there and append(home, look, lambda _, __: there)


def records(home: Path) -> list[Record]:
    """The records, oldest first. Raises DataError where one cannot be read, or is forged; `verify` says more."""
    paths = _paths(home)
    key = public(folder(home) / PUBLIC) if paths else None
    return [_genuine(path, key).record for path in paths if key]


def backwards(home: Path, **marks: str) -> Iterator[Record]:
    """The records, newest first, whose fields are as *marks* say; others are not parsed. Raises DataError."""
    signs = [f'"{name}":{json.dumps(value, ensure_ascii=False)}'.encode() for name, value in marks.items()]
    paths = _paths(home)
    key = public(folder(home) / PUBLIC) if paths else None
    for path in reversed(paths):
        if key and all(sign in _content(path) for sign in signs):
            record = _genuine(path, key).record
            if all(getattr(record, name) == value for name, value in marks.items()):
                yield record


def of_look(home: Path, look: str) -> Record | None:
    """The record of a look, if it is made."""
    return next(backwards(home, look=look), None)


def verify(home: Path, key: Path | None = None) -> list[Checked]:
    """Check every record, and the chain: bytes, hash, signature, order, level, head, and the verdict made anew.

    *key* is a public key that the person holds; without it, the one that lies beside the records is used, which tells
    of accidents and not of somebody who may write there. Raises UsageError where there is no key or no chain.
    """
    if not _folder(home).exists() and not _head_path(home).exists():
        raise UsageError(f"expected records of the gate in {_folder(home)}, found none; `outcry eval gate` makes them")
    holder = public(key or folder(home) / PUBLIC)
    writes = os.access(folder(home), os.W_OK)  # a copy that an auditor may read alone has no writer to wait for
    with FileLock(folder(home) / "chain.lock") if writes else nullcontext():
        found, there, newest = list[Checked](), list[Record](), FIRST
        for number in _places(home):
            try:
                sealed = _read(_path(home, number))
                said = "; ".join(_faults(sealed, number, newest, holder))
                newest = sealed.hash
                there.append(sealed.record)
            except DataError as error:
                said, newest = str(error), ""
            found.append(Checked(number=number, ok=not said, said=said or "it is as it was written"))
        last = max((one.number for one in found), default=0)
        whole = [*_strangers(home), *_headed(home, Count(count=last, newest=newest), holder)]
        whole += _looks(there, alpha.known(home)) if all(one.ok for one in found) else ()
        return [*found, *(Checked(number=0, ok=False, said=said) for said in whole)]


def _faults(sealed: Sealed, number: int, previous: str, key: Ed25519PublicKey) -> Iterator[str]:
    """What is wrong with a record in its place, and where it is genuine, by itself."""
    record = sealed.record
    if record.number != number:
        yield f"it is record {record.number}, in the place of {number}"
    if record.previous != previous:
        yield "it does not follow from the record before"
    if sealed.hash != hashed(record):
        yield "its hash is not that of what it holds"
    elif not _signed(sealed, key):
        yield "its signature is not of this key"
    else:  # a verdict is made of genuine records alone: others could name any number of draws
        yield from _otherwise(record)


def _otherwise(record: Record) -> Iterator[str]:
    """What does not follow from the record's own content."""
    granted = alpha.granted(record.terms.alpha, record.turn)
    if not math.isclose(record.alpha, granted, rel_tol=1e-9):  # a power may differ in its last digit elsewhere
        yield f"look {record.turn} of the month may use alpha {granted:.6f}, it used {record.alpha:.6f}"
    try:
        anew = record.settled()
    except (OutcryError, ValueError, LookupError, ArithmeticError) as error:
        yield f"no verdict can be made of its outcomes: {error}"
        return
    if anew.decision != record.verdict.decision:
        yield f"its outcomes give {anew.decision}, it says {record.verdict.decision}"
    elif [(c.name, c.status) for c in anew.criteria] != [(c.name, c.status) for c in record.verdict.criteria]:
        yield f"its outcomes give {anew.decision} for other reasons than it says"


def _looks(there: Sequence[Record], known: Mapping[str, int | None] | None) -> Iterator[str]:
    """Looks counted twice, looks with a verdict whose record is gone, and records that no look of the ledger made."""
    if len({(record.role, record.month, record.turn) for record in there}) < len(there):
        yield "two records are of the same look of a month"
    if known is None:
        return
    made = {record.look for record in there}
    if gone := {look for look, number in known.items() if number} - made:
        yield f"looks that came to a verdict have no record: {len(gone)}"
    if lost := made - known.keys():
        yield f"records are of looks that the ledger of looks does not hold: {len(lost)}"


def _places(home: Path) -> Iterator[int]:
    """The numbers of the records that there are, and of the first of those that are missing before any of them."""
    last = 0
    for number in _numbers(home):
        if number > last + 1:
            yield last + 1
        if number > last:
            yield number
        last = max(last, number)


def _strangers(home: Path) -> Iterator[str]:
    known = {_path(home, number) for number in _numbers(home)}
    for path in sorted(_folder(home).glob("*")):
        if path not in known and not path.name.startswith("."):
            yield f"{path.name} lies among the records and is none"


def _headed(home: Path, there: Count, key: Ed25519PublicKey) -> Iterator[str]:
    """What the head says against what is there."""
    head = _head(home)
    if head is None:
        yield f"expected the signed head in {_head_path(home)}, found none that can be read"
    elif not genuine(key, head.signature, HEAD + canonical(head.at)):
        yield "the head's signature is not of this key"
    elif head.at.count > there.count:
        yield f"the head counts {head.at.count} records and {there.count} are there: the newest were cut off"
    elif head.at.count < there.count:
        yield (
            f"the head counts {head.at.count} records and {there.count} are there; "
            f"a look that was cut short leaves it so, and mends it when it is given again"
        )
    elif head.at != there:
        yield "the head names another newest record than the one that is there"


def _mended(home: Path, signer: Ed25519PrivateKey) -> Count:
    """What the head counts; a record that was stored just before a crash is counted in.

    Raises DataError where records and head do not fit.
    """
    at, paths, key = _counted(home, signer.public_key()), _paths(home), signer.public_key()
    newest = _read(paths[-1]) if paths else None
    if newest and not _signed(newest, key):
        raise DataError(f"record {len(paths)} of the gate is not signed by its key; `outcry eval verify` says more")
    if newest and len(paths) == at.count + 1 and newest.record.previous == at.newest:
        at = Count(count=len(paths), newest=newest.hash)
        _count(home, signer, at)
    if at != Count(count=len(paths), newest=newest.hash if newest else FIRST):
        raise DataError(
            f"the gate's head counts {at.count} records and {len(paths)} are there; `outcry eval verify` says more"
        )
    return at


def _counted(home: Path, key: Ed25519PublicKey) -> Count:
    head = _head(home)
    if head is None and not _head_path(home).exists():
        return Count(count=0, newest=FIRST)
    if head is None or not genuine(key, head.signature, HEAD + canonical(head.at)):
        raise DataError("the head of the gate's records is damaged, or of another key; `outcry eval verify` says more")
    return head.at


def _count(home: Path, signer: Ed25519PrivateKey, at: Count) -> None:
    durable.put(_head_path(home), canonical(Head(at=at, signature=_sign(signer, HEAD, canonical(at)))))


def _head(home: Path) -> Head | None:
    """The head; None where there is none, or none that can be read."""
    try:
        content = _head_path(home).read_bytes()
        head = Head.model_validate(json.loads(content))
    except (OSError, ValueError, ValidationError, RecursionError):
        return None
    return head if canonical(head) == content else None


def _read(path: Path) -> Sealed:
    return Sealed.read(_content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"expected a record in {path}, found none: {error.strerror}") from None


def _genuine(path: Path, key: Ed25519PublicKey) -> Sealed:
    """A record that its key signed: nobody is told the verdict of another. Raises DataError."""
    sealed = _read(path)
    if sealed.hash != hashed(sealed.record) or not _signed(sealed, key):
        raise DataError(f"{path.name} is not as the gate's key signed it; `outcry eval verify` says more")
    return sealed


def _signed(sealed: Sealed, key: Ed25519PublicKey) -> bool:
    return genuine(key, sealed.signature, RECORD + hashed(sealed.record).encode())


def _sign(signer: Ed25519PrivateKey, kind: bytes, content: bytes) -> str:
    return signer.sign(kind + content).hex()


def _folder(home: Path) -> Path:
    return folder(home) / "records"


def _path(home: Path, number: int) -> Path:
    return _folder(home) / f"{number:06d}.json"


def _numbers(home: Path) -> list[int]:
    return sorted(int(path.stem) for path in _paths(home))


def _paths(home: Path) -> list[Path]:
    return sorted(path for path in _folder(home).glob("*.json") if path.stem.isascii() and path.stem.isdigit())


def _head_path(home: Path) -> Path:
    return folder(home) / "head.json"
