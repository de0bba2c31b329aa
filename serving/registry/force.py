"""The ledger's word put in force: a move is written down first, and the seat's file follows."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import structlog

from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.ledger import Kind, Ledger, reading, writing
from openoutcry.serving.registry.pointer import Pointer, Seats

log = structlog.get_logger()


def moved_to(ledger: Ledger, now: datetime, kind: Kind, about: tuple[str, str, str, str], moved: Pointer) -> Pointer:
    """Write down that a seat stands as *moved* now; *about* is role, digest, name, and why. Gives it its number."""
    added = ledger.add(now, kind, *about, pointer=moved)
    assert added
    return added


def mend(home: Path) -> None:
    """Put the ledger's word in force wherever a seat's file says something else, as after a move, or a crash.

    A file that follows from an event which the ledger does not have, as after a copy of it was brought back, goes; one
    that follows from none was written by hand, and stays.
    """
    with reading(home) as ledger:
        if ledger is None or not _odd(home, ledger.pointers()):
            return
    with writing(home) as ledger:  # nobody moves a seat meanwhile, or an older word could come over a newer one
        truth = ledger.pointers()
        for role in _odd(home, truth):
            if role in truth:
                pointer.write(home, role, truth[role])
            else:
                log.warning("a move that the ledger does not know is taken back", seat=role)
                pointer.forget(home, role)


def _odd(home: Path, truth: Mapping[str, Pointer]) -> list[str]:
    """The seats whose files do not say what the ledger does."""
    there = Seats(home)
    strange = [role for role in pointer.roles(home) if role not in truth and (at := there.of(role)) and at.number]
    return [*(role for role, told in truth.items() if there.of(role) != told), *strange]
