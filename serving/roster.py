"""What runs: the record of the stack's processes, written by the supervisor, read by everyone who asks a model.

<home>/stack/roster.json    one entry a replica; written beside and renamed, so it is whole or not there
<home>/stack/targets.json   where the replicas serve metrics, as Prometheus reads such a list (grafana/prometheus.yml)
<home>/stack/seats/         who sits in each seat that was moved (registry/pointer.py)
<home>/stack/cards/         what each model was examined for (cards.py)
<home>/stack/logs/          what each process printed
"""

import json
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from openoutcry.core import durable
from openoutcry.core.evidence import Frozen


class State(StrEnum):
    """Where a replica stands."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    WAITING = "waiting"  # it ended, and is started again after a pause
    FAILED = "failed"  # it ended too often; `reason` says how
    STOPPED = "stopped"


class Replica(Frozen):
    """One process that serves a model. `pid` is 0 while there is none.

    `adapters` are those of the registry that it has loaded, `lacking` why it has not loaded others, by name.
    """

    model: str
    index: int
    url: str
    state: State
    pid: int = 0
    since: float = 0.0
    restarts: int = 0
    reason: str = ""
    log: str = ""
    adapters: tuple[str, ...] = ()
    lacking: dict[str, str] = {}


class Roster(Frozen):
    """All replicas, and the supervisor that keeps them; `lacking` is why registered models are not started, by name."""

    stack: str = ""
    digest: str = ""
    supervisor: int = 0
    replicas: tuple[Replica, ...] = ()
    lacking: dict[str, str] = {}

    def ready(self, model: str, adapter: str = "") -> list[str]:
        """Where replicas of *model* answer now; with a registered *adapter*, those that have it loaded."""
        there = [r for r in self.replicas if r.model == model and r.state is State.READY]
        return [r.url for r in there if not adapter or adapter in r.adapters]


def folder(home: Path) -> Path:
    """Where a desk keeps what concerns its stack."""
    return home / "stack"


def read(home: Path) -> Roster:
    """The roster; an empty one where nothing was ever started, or where the file is damaged."""
    try:
        return Roster.model_validate_json((folder(home) / "roster.json").read_bytes())
    except (OSError, ValidationError):
        return Roster()


def write(home: Path, roster: Roster, make: bool = True) -> None:
    """Put the roster in force, and the list of where its replicas serve metrics; *make* as in `durable.put`."""
    durable.put(folder(home) / "roster.json", roster.model_dump_json(indent=1).encode(), make=make)
    there = [r for r in roster.replicas if r.state is State.READY and r.url.startswith("http://")]
    targets = [
        {"targets": [r.url.removeprefix("http://")], "labels": {"replica": f"{r.model}-{r.index}"}} for r in there
    ]
    durable.put(folder(home) / "targets.json", json.dumps(targets, indent=1).encode(), make=make)
