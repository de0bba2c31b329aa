"""The ledger's word put in force: a move is written down first, and the seat's file follows."""

from datetime import datetime
from pathlib import Path

from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.ledger import Kind, Ledger, reading, writing
from openoutcry.serving.registry.pointer import Pointer, Seats


def moved_to(ledger: Ledger, now: datetime, kind: Kind, about: tuple[str, str, str, str], moved: Pointer) -> Pointer:
    """Write down that a seat stands as *moved* now; *about* is role, digest, name, and why. Gives it its number."""
    added = ledger.add(now, kind, *about, pointer=moved)
    assert added
    return added


def switched(home: Path, role: str, moved: Pointer, now: datetime) -> Pointer:
    """Put a model of the stack file in a seat, as a person said."""
    with writing(home) as ledger:
        moved = moved_to(ledger, now, Kind.SWITCHED, (role, "", moved.champion, "by a person"), moved)
    pointer.write(home, role, moved)
    return moved


def mend(home: Path) -> None:
    """Put the ledger's word in force wherever a seat's file says something else, as after a crash."""
    with reading(home) as ledger:
        truth = ledger.pointers() if ledger else {}
    there = Seats(home)
    if all(there.of(role) == told for role, told in truth.items()):
        return
    with writing(home) as ledger:  # nobody moves a seat meanwhile, or an older word could come over a newer one
        for role, told in ledger.pointers().items():
            pointer.force(home, role, told)
