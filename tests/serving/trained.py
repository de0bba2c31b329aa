"""Adapters of a test's own, registered, and records of a gate of its own that vouch for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openoutcry.core import durable, seals
from openoutcry.eval.gate import keys
from openoutcry.eval.gate.usual import unusual
from openoutcry.eval.terms import Terms
from openoutcry.serving.digest import digest
from openoutcry.serving.identity import identity
from openoutcry.serving.registry import artifact
from openoutcry.serving.registry.artifact import Made, Registered
from openoutcry.serving.registry.moves import Moves
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.stack import HOUSE, Stack
from openoutcry.wiring import house_digest

NOW = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)


@dataclass
class Trained:
    """A home, a stack with one base (`nano`), and its gate, which writes records as a test says."""

    root: Path
    settings: Mapping[str, Any]

    @property
    def home(self) -> Path:
        """The data folder."""
        return self.root / "home"

    @property
    def bare(self) -> Stack:
        """The stack as its file says."""
        models: dict[str, Any] = {"nano": {"weights": "./base"}, "spare": {"weights": "./spare"}}
        given = {"models": models, "uncertified": True, **self.settings}
        return Stack.model_validate(given).model_copy(update={"folder": self.root})

    @property
    def stack(self) -> Stack:
        """With what is registered."""
        return stack_with(self.bare, self.home)

    def moves(self, days: float = 0.0) -> Moves:
        """What moves the seats, so many days after."""
        stack = self.stack
        return Moves(stack, self.home, NOW + timedelta(days=days), lambda _, name: self.known(name), unusual)

    def known(self, name: str) -> str:
        """What the gate knows a model by."""
        return house_digest() if name == HOUSE else identity(self.stack, name)

    def adapter(self, what: str, role: str = "risk", **more: Any) -> Registered:
        """Register an adapter; *what* is in its weights."""
        source = self.source(what)
        base = {"base": digest(self.root / "base"), "base_name": "nano"}
        made = Made.model_validate({"kind": "adapter", "role": role, **base, "recipe": {"seed": 1}, **more})
        return artifact.register(self.home, source, made, NOW, self.root / "base")

    def source(self, what: str) -> Path:
        """The folder of an adapter that has *what* in its weights."""
        folder = self.root / "trained" / what
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "adapter_config.json").write_text('{"r": 8}')
            (folder / "adapter_model.safetensors").write_bytes(what.encode() * 9)
        return folder

    def record(self, name: str, champion: str = HOUSE, role: str = "risk", **more: Any) -> int:
        """Have the gate say PROMOTE of *name* against *champion*, or what else *more* has; the record's number."""
        folder = seals.folder(self.home) / "records"
        number = len(list(folder.glob("*.json"))) + 1
        sides = [{"models": {role: self.known(one)}} for one in (champion, name, HOUSE)]
        told: dict[str, Any] = {"number": number, "role": role, "challenger": name, "champion": champion}
        told |= {"suite": role, "safety": "safety", "bank": "gate", "terms": Terms().model_dump(), "sides": sides}
        told |= {"verdict": {"decision": "PROMOTE"}, "made": NOW.isoformat(), **more}
        self.write(number, told, keys.signer(self.home))
        return number

    def write(self, number: int, record: dict[str, Any], key: Ed25519PrivateKey) -> Path:
        """A record signed by *key*, where the gate keeps its records."""
        hashed = seals.hashed(record)
        signature = key.sign(seals.RECORD + hashed.encode()).hex()
        sealed = {"hash": hashed, "record": record, "signature": signature}
        path = seals.folder(self.home) / "records" / f"{number:06d}.json"
        durable.put(path, seals.canonical(sealed))
        return path


def trained(root: Path, **settings: Any) -> Trained:
    """A fresh one in the folder *root*; *settings* go into its stack."""
    for name in ("base", "spare"):
        (root / name).mkdir(parents=True)
        (root / name / "model.safetensors").write_bytes(name.encode())
        (root / name / "tokenizer.json").write_text("{}")
    return Trained(root, settings)
