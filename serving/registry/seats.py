"""Who sits in each seat: the stack's choice, and over it what a person switched."""

from datetime import datetime
from pathlib import Path
from typing import get_args

import structlog

from openoutcry.core.errors import UsageError
from openoutcry.serving import cards, roster
from openoutcry.serving.registry import artifact, force, ledger, pointer
from openoutcry.serving.registry.artifact import is_name
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.stack import HOUSE, SEATS, Seat, Served, Stack

log = structlog.get_logger()


def seated(stack: Stack, home: Path) -> dict[Seat, Pointer]:
    """The model of each seat and the one before it; `house` where the stack names none.

    A move holds until the file names somebody else for the role. One to a model that this stack does not have, or that
    does not fit the seat, is left aside with a warning: it was made for another stack. Raises DataError where a seat's
    file is damaged.
    """
    moved = pointer.read(home)
    return {seat: standing(stack, seat, moved.get(seat)) for seat in SEATS}


def standing(stack: Stack, seat: Seat, moved: Pointer | None) -> Pointer:
    """How a seat stands that was *moved* so, under a stack file that may name somebody else since.

    Where a registered champion is here no more, or may sit no more, the one before it sits.
    """
    there, own = held(stack, seat, moved), stack.roles.get(seat, HOUSE)
    if there is not moved or moved is None:
        return there
    gone = {name for name in moved.names if fault(stack, seat, name)}
    if not moved.champion or moved.champion in gone:
        why = fault(stack, seat, moved.champion) or "it names no model"
        spare = moved.previous if is_name(moved.champion) and moved.previous not in gone else ""
        log.warning("a move is left aside", seat=seat, model=moved.champion, reason=why, instead=spare or own)
        kept = {"champion": spare, "previous": "", "challenger": "", "share": 0, "until": None, "over": own}
        return moved.model_copy(update=kept) if spare else held(stack, seat, None)
    kept = {"previous": "" if moved.previous in gone else moved.previous}
    kept |= {"challenger": "", "share": 0} if moved.challenger in gone else {}
    return moved.model_copy(update=kept | {"over": own})


def held(stack: Stack, seat: Seat, moved: Pointer | None) -> Pointer:
    """How a seat was *moved*, whether or not those can sit there; as the stack file says where it was not since."""
    own = stack.roles.get(seat, HOUSE)
    if moved is None or (moved.over and moved.over != own):
        return Pointer(champion=own, previous=stack.previous.get(seat, ""))
    return moved


def named(role: str) -> Seat:
    """The seat of that name. Raises UsageError where there is none."""
    known = {str(seat): seat for seat in get_args(Seat)}
    if role not in known:
        raise UsageError(f"expected a seat among {', '.join(SEATS)}, got {role!r}")
    return known[role]


def fault(stack: Stack, seat: Seat, name: str) -> str:
    """Why *name* fits the seat in no case; empty where it does, or names nobody."""
    if not name:
        return ""
    try:
        return stack.unfit(seat, name) or ""
    except UsageError as error:
        return str(error)


def where(stack: Stack, home: Path, model: Served, name: str = "") -> list[str]:
    """Where *model* answers: its ready replicas, or where a server of the person's own stands.

    Given the *name* of a registered adapter of it, only replicas that have that loaded.
    """
    if model.engine != "vllm":
        return [model.url]
    return roster.read(home).ready(model.name, name if name in model.hot else "")


def barred(stack: Stack, home: Path) -> dict[Seat, list[str]]:
    """By seat, why a model that was named for it does not sit there; seats where all may sit are left out."""
    found: dict[Seat, list[str]] = {
        seat: [cards.barred(stack, home, seat, n, at.uncertified) for n in dict.fromkeys((at.champion, at.previous))]
        for seat, at in seated(stack, home).items()
        if at.champion != HOUSE
    }
    return {seat: reasons for seat, every in found.items() if (reasons := [r for r in every if r])}


def switch(
    stack: Stack, home: Path, role: str, name: str, answers: bool, uncertified: bool = False, *, now: datetime
) -> Pointer:
    """Put *name*, or house rules, in the seat *role*; who sat there becomes the one before.

    *answers* says whether the model runs; *uncertified* seats it without a card, and is kept with the seat. Raises
    UsageError for a role or a model that there is not, one that does not fit the seat, that does not answer, or that
    has no card for the role, DataError where a byte of a registered one is not as it was; then nothing was changed.
    """
    seat = named(role)
    if is_name(name) and seat != cards.FREE:
        raise UsageError(
            f"{name} is registered, and takes a seat by the gate: `outcry models promote {name} --role {role}`"
        )
    if fault := stack.unfit(seat, name):
        raise UsageError(fault)
    if not answers:
        raise UsageError(
            f"expected a model that answers, but {name} does not: `outcry stack up` starts it, or --force seats it all "
            "the same"
        )
    known = seated(stack, home)[seat].uncertified
    if (reason := cards.barred(stack, home, seat, name, known)) and not uncertified:
        raise UsageError(f"{reason}, or --uncertified seats it without")
    if is_name(name):
        artifact.check(artifact.find(home, name))
    with ledger.writing(home) as told:
        before = standing(stack, seat, told.pointers().get(seat))  # whoever moved it meanwhile
        previous = before.previous if before.champion == name else before.champion
        moved = Pointer(
            champion=name,
            previous=previous,
            records={who: before.records[who] for who in (name, previous) if who in before.records},
            uncertified=tuple(sorted({*before.uncertified, *([name] if reason else [])} & {name, previous})),
            over=stack.roles.get(seat, HOUSE),
        )
        moved = force.moved_to(told, now, ledger.Kind.SWITCHED, (seat, "", name, "by a person"), moved)
    force.mend(home)
    return moved
