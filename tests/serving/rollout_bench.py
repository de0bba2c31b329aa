"""A desk's folder in which registered adapters of one endpoint sit, and the gate's records that let them."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openoutcry.core import seals
from openoutcry.core.settings import Settings
from openoutcry.eval.gate.keys import signer
from openoutcry.serving.identity import identity
from openoutcry.serving.registry import artifact, vouched
from openoutcry.serving.registry.artifact import Made
from openoutcry.serving.registry.moves import Moves
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.registry.pointer import Pointer, Seats
from openoutcry.serving.registry.rollout import Rollouts
from openoutcry.serving.stack import Stack, load
from openoutcry.wiring import moves

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@dataclass
class RolloutBench:
    """A home, and the stack file over it: `m` at *url*, in the seats that *roles* names."""

    home: Path
    url: str = "http://127.0.0.1:9"
    roles: tuple[str, ...] = ()
    more: str = ""
    now: datetime = NOW
    records: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        seats = "".join(f'{role} = "m"\n' for role in self.roles)
        self.file.write_text(
            f'uncertified = true\n[models.m]\nengine = "endpoint"\nurl = "{self.url}"\nmax_model_len = 32768\n'
            f'{self.more}\n[roles]\n{seats}\n[cache]\nstore = "off"\n'
        )

    @property
    def file(self) -> Path:
        return self.home / "stack.toml"

    @property
    def settings(self) -> Settings:
        return Settings.model_validate({"home": self.home, "stack": str(self.file), "remember": False})

    @property
    def stack(self) -> Stack:
        return stack_with(load(str(self.file)), self.home)

    def moves(self, now: datetime | None = None) -> Moves:
        return moves(self.stack, self.home, now or self.now)

    @property
    def rollouts(self) -> Rollouts:
        return Rollouts(self.home, self.moves)

    def seat(self, role: str) -> Pointer:
        found = Seats(self.home).of(role)
        assert found
        return found

    def made(self, role: str, weights: str) -> str:
        """Register an adapter of `m`; its name."""
        source = self.home / f"made-{weights}"
        source.mkdir()
        (source / "adapter_model.safetensors").write_text(weights)
        made = Made(kind="adapter", role=role, base_name="m")
        return artifact.register(self.home, source, made, self.now).name

    def vouched(self, role: str, name: str, champion: str, said: str = "PROMOTE") -> int:
        """Have the gate say PROMOTE of *name* against *champion*, and keep the record with it; its number."""
        self.records += 1
        known = self.moves().sitting(role, champion)
        record = {
            "number": self.records,
            "role": role,
            "challenger": name,
            "champion": champion,
            "verdict": {"decision": said},
            "sides": [{"models": {role: known}}, {"models": {role: identity(self.stack, name)}}],
        }
        digest = hashlib.sha256(seals.canonical(record)).hexdigest()
        signature = signer(self.home).sign(seals.RECORD + digest.encode()).hex()
        sealed: dict[str, Any] = {"record": record, "hash": digest, "signature": signature}
        file = seals.folder(self.home) / "records" / f"{self.records:06d}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(seals.canonical(sealed))
        vouched.keep(self.home, artifact.find(self.home, name), self.records)
        return self.records

    def challenger(self, role: str, weights: str, champion: str = "m", share: int = 0) -> str:
        """Register an adapter that the gate vouches for, and have it challenge; its name."""
        name = self.made(role, weights)
        number = self.vouched(role, name, champion)
        if share:
            self.moves().canary(role, name, share, record=number)
        else:
            self.moves().shadow(role, name, record=number)
        return name

    def champion(self, role: str, weights: str, before: str = "m") -> str:
        """Register an adapter that the gate vouches for, and seat it; its name."""
        name = self.made(role, weights)
        self.moves().promote(role, name, record=self.vouched(role, name, before))
        return name


def kinds(home: Path) -> list[str]:
    """What the ledger holds, in order."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(home / "registry" / "ledger.sqlite")) as connection:
        return [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY number")]


def words(body: dict[str, Any]) -> str:
    """All that a request says."""
    return json.dumps(body)
