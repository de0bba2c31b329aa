"""What the gate signed, as whoever relies on it reads it: to the byte, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core import seals
from openoutcry.core.errors import DataError, UsageError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
RECORD = {"number": 1, "role": "risk", "ratio": 1.5, "said": "Ünicode"}


def sealed(record: Any = RECORD, key: Ed25519PrivateKey = KEY, **more: Any) -> bytes:
    digest = seals.hashed(record)
    signature = key.sign(seals.RECORD + digest.encode()).hex()
    return seals.canonical({"hash": digest, "record": record, "signature": signature, **more})


def test_what_was_signed_is_read_with_its_hash() -> None:
    assert seals.opened(sealed(), KEY.public_key()) == {**RECORD, "hash": seals.hashed(RECORD)}


@given(st.data())
def test_any_other_byte_is_refused(data: st.DataObject) -> None:
    content = bytearray(sealed())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DataError):
        seals.opened(bytes(content), KEY.public_key())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"record": {}}',
        sealed(key=Ed25519PrivateKey.from_private_bytes(b"o" * 32)),
        sealed(hash="0" * 64),
        sealed(signature=KEY.sign(b"openoutcry gate head " + seals.hashed(RECORD).encode()).hex()),
        sealed() + b"\n",
        json.dumps(json.loads(sealed())).encode(),
    ],
)
def test_what_it_was_not_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"it (cannot be read|is not as)"):
        seals.opened(content, KEY.public_key())


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found none that can be read"),
        (b"no key", "found none that can be read"),
        (pem(generate_private_key(SECP256R1())), "expected an Ed25519 key"),
    ],
)
def test_what_is_no_key_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "key.pem"
    with pytest.raises(UsageError, match="found none that can be read"):
        seals.public(file)
    file.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        seals.public(file)
    file.write_bytes(pem(KEY))
    assert seals.public(file) == KEY.public_key()
