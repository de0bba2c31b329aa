"""What the gate promoted and no seat has taken yet: left by a night whose deploy had to wait, failed or was missed."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from openoutcry.training.night.entry import Entry, State
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.schedule import Stage

BACK = timedelta(days=14)
"""How many days before a night a promotion still waits; the gate's record of it may have gone stale long before."""


def waiting(home: Path, day: date) -> dict[str, dict[str, Any]]:
    """By role, the newest model that a night before *day* promoted, with its record; none that was seated since."""
    with Ledger(home) as ledger:
        entries = ledger.entries(day - BACK)
    seated = {one["name"] for entry in entries for _, one in _of(entry, Stage.DEPLOY) if "name" in one}
    promoted: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.day < day:
            told = dict(_of(entry, Stage.VALIDATE))
            promoted |= {role: one for role, one in told.items() if one.get("decision") == "PROMOTE"}
    return {role: one for role, one in promoted.items() if one["name"] not in seated}


def _of(entry: Entry, stage: Stage) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a stage that is done left, by role."""
    if entry.stage is stage and entry.state is State.DONE:
        roles: Mapping[str, dict[str, Any]] = entry.result.get("roles", {})
        yield from roles.items()
