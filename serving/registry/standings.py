"""What became of each registered model: where it stands now, and all that happened to it."""

from pathlib import Path

from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen
from openoutcry.serving import pull
from openoutcry.serving.registry import artifact
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.registry.ledger import Event, Kind, reading
from openoutcry.serving.registry.pointer import Pointer

DAMAGED = "damaged"


class Standing(Frozen):
    """A registered model. `state` is champion, challenger, previous, registered, quarantined, archived or damaged.

    `seats` are by role how it sits there; `there` is None where its description cannot be read any more.
    """

    name: str
    digest: str
    state: str
    seats: dict[str, str] = {}
    events: tuple[Event, ...] = ()
    there: Registered | None = None


def standings(home: Path) -> list[Standing]:
    """All that is registered, by name; what is damaged is among them."""
    root = pull.folder(home)
    folders = [f for f in root.iterdir() if artifact.is_digest(f.name)] if root.is_dir() else []
    if not folders:
        return []
    with reading(home) as ledger:
        events = list(ledger.events()) if ledger else []
        seats = ledger.pointers() if ledger else {}
    return sorted((_standing(folder, events, seats) for folder in folders), key=lambda one: one.name)


def _standing(folder: Path, events: list[Event], seats: dict[str, Pointer]) -> Standing:
    digest = folder.name
    own = tuple(event for event in events if event.digest == digest)
    try:
        there = artifact.described(folder)
    except DataError:
        there = None
    name = there.name if there else next((event.name for event in own), digest[: artifact.SHORT])
    held = {role: how for role, at in seats.items() if (how := _how(at, name))}
    shut = next((e.kind for e in reversed(own) if e.kind in (Kind.QUARANTINED, Kind.ARCHIVED)), None)
    state = str(shut or next(iter(sorted(held.values())), Kind.REGISTERED)) if there else DAMAGED
    return Standing(name=name, digest=digest, state=state, seats=held, events=own, there=there)


def _how(at: Pointer, name: str) -> str:
    named = {"champion": at.champion, "challenger": at.challenger, "previous": at.previous}
    return next((how for how, who in named.items() if who == name), "")
