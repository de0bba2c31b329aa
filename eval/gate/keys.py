"""The gate's key pair: Ed25519, made at first use, the private half for its owner's eyes alone."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from filelock import FileLock

from openoutcry.core import durable
from openoutcry.core.errors import DataError
from openoutcry.core.seals import PUBLIC, folder

PRIVATE = "key.pem"
OPEN_TO_OTHERS = 0o077


def signer(home: Path) -> Ed25519PrivateKey:
    """The key that signs records under *home*; the pair is made where neither it nor a record is there yet.

    Raises DataError where the key is lost, damaged, or may be read by others.
    """
    path = folder(home) / PRIVATE
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _make(path)
        if path.stat().st_mode & OPEN_TO_OTHERS:
            raise DataError(f"expected {path} to be its owner's alone, found it open to others: run chmod 600 {path}")
        key = _private(path)
        if not (path.parent / PUBLIC).exists():
            durable.put(path.parent / PUBLIC, _pem(key.public_key()))
        return key


def _make(path: Path) -> None:
    if any((path.parent / "records").glob("*.json")) or (path.parent / PUBLIC).exists():
        raise DataError(
            f"expected the key that signed the records of {path.parent} in {path}, found none; bring it back, "
            f"or move the folder away and begin a chain of its own"
        )
    key = Ed25519PrivateKey.generate()
    durable.put(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    durable.put(path.parent / PUBLIC, _pem(key.public_key()))


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DataError(f"expected the gate's private key in {path}, found none that can be read: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise DataError(f"expected an Ed25519 key in {path}, found {type(key).__name__}")
    return key


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
