"""What the gate signs, as whoever relies on it reads it: a record, its hash, and a signature over the hash.

<home>/gate/key.pub.pem    the public half of the key that signs
"""

import hashlib
import json
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from openoutcry.core.errors import DataError, UsageError

RECORD = b"openoutcry gate record "
"""What is signed begins with what it is, so that one signature never passes for another."""
PUBLIC = "key.pub.pem"


def folder(home: Path) -> Path:
    """Where a desk keeps what concerns its gate."""
    return home / "gate"


def public(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. Raises UsageError where it is none of Ed25519."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"expected a public key (PEM) in {path}, found none that can be read: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"expected an Ed25519 key in {path}, found {type(key).__name__}")
    return key


def genuine(key: Ed25519PublicKey, signature: str, signed: bytes) -> bool:
    """Whether *signature* (hex digits, in lower case alone) is this key's over *signed*."""
    try:
        raw = bytes.fromhex(signature)
        key.verify(raw, signed)
    except (ValueError, InvalidSignature):
        return False
    return raw.hex() == signature


def canonical(plain: object) -> bytes:
    """JSON with sorted keys, without blanks, in UTF-8; floats as Python writes them. Raises ValueError for NaN."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hashed(record: object) -> str:
    """SHA-256 of the canonical form of what is signed, 64 hex digits."""
    return hashlib.sha256(canonical(record)).hexdigest()


def opened(content: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    """The record in a sealed file, as JSON holds it.

    Raises DataError where the bytes are not the one form of what they say, or the key did not sign them.
    """
    try:
        sealed = cast("dict[str, Any]", json.loads(content))
        whole = canonical(sealed) == content
        record, digest, signature = (sealed[name] for name in ("record", "hash", "signature"))
        same = hashed(record) == digest
    except (ValueError, LookupError, TypeError, RecursionError):
        raise DataError("it cannot be read as a record of the gate") from None
    if not whole or not same or not genuine(key, str(signature), RECORD + str(digest).encode()):
        raise DataError("it is not as the gate's key signed it")
    return {**record, "hash": digest}
