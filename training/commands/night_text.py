"""What `outcry night status` and `history` print: lines and JSON of how the nights stand, in New York time."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from openoutcry.core.clock import NEW_YORK
from openoutcry.training.night.entry import Entry, State
from openoutcry.training.night.schedule import STAGES, Slot

LONGEST = 150
"""Characters of what a stage came to that are shown; the JSON holds all."""


def stamp(moment: datetime) -> str:
    """A moment as a wall in New York shows it."""
    return f"{moment.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M}"


def night(day: date, entries: Sequence[Entry], slots: Iterable[Slot], now: datetime, living: set[int]) -> list[str]:
    """The four stages of *day*; *living* are the processes of running tries that are still there."""
    there = {entry.stage: entry for entry in entries}
    lines = [f"Night of {day:%a %Y-%m-%d}, times in New York"]
    for slot in slots:
        entry = there.get(slot.stage)
        state = entry.state if entry else "to come" if slot.due > now else "not kept"
        said = _said(entry, now, living) if entry else ""
        before = there.get(slot.stage.before) if slot.stage.before else None
        if entry and entry.state is State.DUE and slot.stage.before and (before is None or before.state != State.DONE):
            said = f"waits for {slot.stage.before}"
        lines.append(f"  {slot.stage:<9} {stamp(slot.due)[-5:]}  {state:<8}  {plain(said)}".rstrip())
    again = next((entry.stage for entry in entries if entry.state is State.FAILED), "")
    return [*lines, f"now: `outcry night run {again} --day {day}` tries it again"] if again else lines


def failed(entries: Iterable[Entry], since: datetime) -> bool:
    """Whether a stage that was tried after *since* came to nothing."""
    return any(e.state in (State.FAILED, State.EXPIRED) and tried(e, since) for e in entries)


def tried(entry: Entry, since: datetime) -> bool:
    """Whether a stage was tried after *since*."""
    return bool(entry.attempts) and entry.attempts[-1].began >= since


def _said(entry: Entry, now: datetime, living: set[int]) -> str:
    if entry.state is not State.RUNNING:
        tries = len(entry.attempts)
        again = f" (try {tries})" if tries > 1 else ""
        return entry.said + again
    last = entry.attempts[-1]
    if last.process not in living:
        return f"process {last.process} is gone; the next look takes it up"
    return f"for {span(now - last.began)}, process {last.process}, sign of life {span(now - last.beat)} ago"


def coming(slot: Slot, now: datetime) -> str:
    """What becomes due next."""
    return f"next: {slot}, {stamp(slot.due)} in New York, in {span(slot.due - now)}"


def history(entries: Sequence[Entry]) -> list[str]:
    """A line a stage, oldest first."""
    lines = [f"{'day':<10}  {'stage':<9} {'state':<8} {'began':<20} {'took':>9} {'tries':>5}  what it came to"]
    for entry in entries:
        began = took = ""
        if entry.attempts:
            first, last = entry.attempts[0], entry.attempts[-1]
            began, took = stamp(first.began), span(last.ended - last.began) if last.ended else "runs"
        tries = len(entry.attempts) or ""
        said = plain(entry.said)
        lines.append(
            f"{entry.day}  {entry.stage:<9} {entry.state:<8} {began:<20} {took:>9} {tries:>5}  {said}".rstrip()
        )
    return lines


def as_json(entry: Entry) -> dict[str, Any]:
    """An entry as JSON says it."""
    return entry.model_dump(mode="json")


def counts(entries: Sequence[Entry]) -> str:
    """How many nights came through, in one line."""
    days = {entry.day for entry in entries}
    whole = {d for d in days if sum(e.day == d and e.state is State.DONE for e in entries) == len(STAGES)}
    return f"{len(days)} night{'' if len(days) == 1 else 's'}, {len(whole)} done in full"


def span(time: timedelta) -> str:
    """A length of time as a person reads it."""
    seconds = max(0, round(time.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def plain(text: str) -> str:
    """One short line in which a terminal obeys nothing."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.replace("\n", " "))
    return textwrap.shorten(line, LONGEST, placeholder=" ...")
