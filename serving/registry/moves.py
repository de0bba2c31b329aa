"""How models come into a seat and out of it: each move is one transaction of the ledger, then one file renamed.

A crash between the two leaves the seat as it was; whoever opens the registry next puts the ledger's word in force.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.serving import cards
from openoutcry.serving.registry import artifact, seats, vouched
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.registry.force import mend, moved_to
from openoutcry.serving.registry.ledger import Kind, Ledger, reading, writing
from openoutcry.serving.registry.pointer import WATCHED, Pointer
from openoutcry.serving.registry.vouched import Sealed
from openoutcry.serving.stack import HOUSE, Stack

STEPS = (5, 25, 100)
"""Percentages of runs that a challenger answers, one after the other; at the last one it is promoted."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves in the seats of a desk at *home*, whose *stack* is with what is registered.

    *sitting* gives what the gate knows the model NAME in ROLE by; *unusual* says what of a record is not as the gate
    usually looks, in words, or nothing.
    """

    stack: Stack
    home: Path
    now: datetime
    sitting: Callable[[str, str], str]
    unusual: Callable[[Mapping[str, Any]], str]

    def evaluated(self, given: str, number: int) -> Sealed:
        """Keep the gate's record *number* with what it is of. Raises UsageError where it is of another model."""
        return evaluated(self.home, given, number, self.now)

    def shadow(self, role: str, given: str, *, record: int = 0) -> Pointer:
        """Have a model run in the shadow of the seat's champion: it is asked too, and its answers are discarded."""
        return self._challenged(Kind.SHADOWED, role, given, 0, record)

    def canary(self, role: str, given: str, share: int, *, record: int = 0) -> Pointer:
        """Have a model answer *share* percent of the runs. Raises UsageError as `promote` does."""
        if not 0 < share < STEPS[-1]:
            raise UsageError(f"expected a share between 1 and 99 percent, got {share}; `promote` gives it all")
        return self._challenged(Kind.CANARY, role, given, share, record)

    def promote(self, role: str, given: str, *, record: int = 0, expected: str = "") -> Pointer:
        """Seat a registered model as champion; who sat there becomes the one before, and is kept loaded.

        *record* names the gate's record that it is to sit by, where it is not the newest and usual one; *expected* is
        the champion that the caller saw. Raises UsageError, and changes nothing, where the gate does not vouch for it
        against who sits there now, it is in quarantine or archived, another one challenges, or somebody else sits there
        by now; DataError where a byte of it is not as it was registered.
        """
        there, before = artifact.find(self.home, given), self._stands(role)
        if expected and expected != before.champion:
            raise UsageError(f"expected {expected} in the seat of the {role}, found {before.champion}: look again")
        if before.champion == there.name:
            gather(self.home, there, self.now)
            return before
        found = self._admitted(role, there, before, record)
        moved = Pointer(
            champion=there.name,
            previous=before.champion,
            records=_records(before, before.champion) | {there.name: found["hash"]},
            over=self._own(role),
            uncertified=tuple(n for n in before.uncertified if n == before.champion),
            since=self.now,
            until=self.now + WATCHED,
        )
        said = f"in place of {before.champion}, by record {found['number']} of the gate"
        with writing(self.home) as ledger:
            self._unmoved(ledger, role, there, before)
            moved = moved_to(ledger, self.now, Kind.PROMOTED, (role, there.digest, there.name, said), moved)
            if before.previous not in moved.names:
                self._left(ledger, before.previous)
        return self._put(moved)

    def rollback(self, role: str, reason: str, *, expected: str = "") -> Pointer:
        """Take the challenger, or else the champion, out of the seat; it is put in quarantine if it is registered.

        Who sat there before sits again; where that one is gone too, the stack file's choice, or house rules. Where
        *expected* is given, nothing is done unless it is the one that would go. Raises UsageError where the stack
        file's own choice sits there, and nobody did before.
        """
        with writing(self.home) as ledger:
            before = seats.held(self.stack, seats.named(role), ledger.pointers().get(role))
            gone = before.challenger or before.champion
            if expected and expected != gone:
                return before
            digest = ledger.digest(gone)
            if not before.challenger and not before.previous and not digest:
                raise UsageError(
                    f"expected somebody who sat there before {before.champion}, found nobody; "
                    f"`outcry models switch {role} MODEL` seats another, or house"
                )
            moved = self._without(ledger, role, before)
            moved = moved_to(ledger, self.now, Kind.ROLLED_BACK, (role, digest, gone, reason), moved)
            if digest:
                ledger.add(self.now, Kind.QUARANTINED, role, digest, gone, reason)
        return self._put(moved)

    def settle(self, role: str, *, expected: str = "") -> Pointer:
        """End the watch over the champion: it came through. Nothing is done where *expected* is another, or none is."""
        with writing(self.home) as ledger:
            before = self._now(ledger, role)
            if before.until is None or (expected and expected != before.champion):
                return before
            moved = before.model_copy(update={"until": None})
            about = (role, ledger.digest(before.champion), before.champion, "it came through its watch")
            moved = moved_to(ledger, self.now, Kind.SETTLED, about, moved)
        return self._put(moved)

    def shut(self, name: str) -> str:
        """Why the registered model *name* may sit no more; empty where it may."""
        with reading(self.home) as ledger:
            return ledger.shut().get(ledger.digest(name), "") if ledger else ""

    def archive(self, given: str, reason: str = "") -> None:
        """Offer a registered model no more. Raises UsageError where it is in a seat."""
        there = artifact.find(self.home, given)
        with writing(self.home) as ledger:
            held = [role for role, at in ledger.pointers().items() if there.name in at.names]
            if held:
                raise UsageError(f"expected a model that is in no seat, but {there.name} is in that of {held[0]}")
            if there.digest not in ledger.shut():
                ledger.add(self.now, Kind.ARCHIVED, there.artifact.role, there.digest, there.name, reason)

    def _challenged(self, kind: Kind, role: str, given: str, share: int, record: int) -> Pointer:
        there, before = artifact.find(self.home, given), self._stands(role)
        if before.champion == there.name:
            raise UsageError(f"expected a challenger, but {there.name} is the champion of the {role} already")
        if before.watching(self.now):
            raise UsageError(
                f"{before.champion} is watched until {before.until:%Y-%m-%d %H:%M} UTC, and nobody challenges it "
                "before; `--share 100` seats a model at once all the same"
            )
        found = self._admitted(role, there, before, record)
        moved = before.model_copy(
            update={
                "challenger": there.name,
                "share": share,
                "records": _records(before, before.champion, before.previous) | {there.name: found["hash"]},
                "over": self._own(role),
                "since": self.now,
            }
        )
        said = f"beside {before.champion}, {share} % of runs" if share else f"in the shadow of {before.champion}"
        with writing(self.home) as ledger:
            self._unmoved(ledger, role, there, before)
            moved = moved_to(ledger, self.now, kind, (role, there.digest, there.name, said), moved)
        return self._put(moved)

    def _admitted(self, role: str, there: Registered, before: Pointer, number: int) -> Sealed:
        """The record by which it may sit. Raises UsageError where there is none, DataError for a flipped byte.

        It may take long, as every byte is read in the end, and so it is found out before the ledger is held.
        """
        if role == cards.FREE:
            raise UsageError(
                f"the gate looks at no {role}: `outcry models switch {role} {there.name}` seats it on your word"
            )
        if role != there.artifact.role:
            raise UsageError(f"expected a model for the {role}, but {there.name} is made for the {there.artifact.role}")
        if why := self.shut(there.name):
            raise UsageError(f"{there.name} may sit no more: {why}")
        if before.challenger not in ("", there.name):
            raise UsageError(
                f"{before.challenger} challenges the {role} now; `outcry models rollback {role}` ends that"
            )
        if fault := seats.fault(self.stack, seats.named(role), there.name):
            raise UsageError(fault)
        if reason := cards.barred(self.stack, self.home, role, there.name):
            raise UsageError(reason)
        gather(self.home, there, self.now)
        own = [r for r in vouched.records(self.home, there) if r["role"] == role and number in (0, r["number"])]
        if not own:
            which = f"the gate's record {number}" if number else "a record of the gate"
            way = f"`outcry eval gate {there.name} --role {role}` makes one"
            raise UsageError(f"expected {which} for {there.name}, found none; {way}")
        found = own[-1]
        if fault := vouched.fault(self.stack, role, there.name, found):
            raise UsageError(fault)
        if found["sides"][0]["models"].get(role) != self.sitting(role, before.champion):
            raise UsageError(
                f"record {found['number']} is of {there.name} against {found['champion']}, and {before.champion} sits "
                "there now; have the gate look again"
            )
        if not number and (odd := self.unusual(found)):
            raise UsageError(f"record {found['number']} {odd}; --record {found['number']} relies on it all the same")
        artifact.check(there)
        return found

    def _unmoved(self, ledger: Ledger, role: str, there: Registered, before: Pointer) -> None:
        """Raises UsageError where the seat is not as *before* any more, or the model was shut out meanwhile."""
        if (now := self._now(ledger, role)) != before:
            what = f"{now.champion} sits there" + (f", {now.challenger} challenges" if now.challenger else "")
            raise UsageError(f"the seat of the {role} was moved meanwhile: {what}; nothing was changed, look again")
        if why := ledger.shut().get(there.digest):
            raise UsageError(f"{there.name} may sit no more: {why}")

    def _stands(self, role: str) -> Pointer:
        with reading(self.home) as ledger:
            return seats.standing(self.stack, seats.named(role), ledger.pointers().get(role) if ledger else None)

    def _own(self, role: str) -> str:
        """Whom the stack file names."""
        return self.stack.roles.get(seats.named(role), HOUSE)

    def _now(self, ledger: Ledger, role: str) -> Pointer:
        """How the seat stands by the ledger's word, and the stack file's where that names somebody else since."""
        return seats.standing(self.stack, seats.named(role), ledger.pointers().get(role))

    def _left(self, ledger: Ledger, name: str) -> None:
        """Archive a registered model that fell out of the seat, where it is in no other."""
        digest = ledger.digest(name)
        held = {n for at in ledger.pointers().values() for n in at.names}
        if digest and name not in held and digest not in ledger.shut():
            ledger.add(self.now, Kind.ARCHIVED, name.rpartition("-")[0], digest, name, "two others sat there since")

    def _without(self, ledger: Ledger, role: str, before: Pointer) -> Pointer:
        """The seat without its challenger, or without its champion: the one before sits again, and before it who did.

        Nobody does who is in quarantine or archived.
        """
        if before.challenger:
            spare = "" if before.previous == before.challenger else before.previous
            kept = {"challenger": "", "share": 0, "records": _records(before, before.champion, spare)}
            return before.model_copy(update=kept | {"previous": spare})
        shut, own = ledger.shut(), self._own(role)

        def may(name: str) -> bool:
            if name in ("", before.champion) or ledger.digest(name) in shut:
                return False
            return artifact.is_name(name) or not seats.fault(self.stack, seats.named(role), name)

        again = next(filter(may, (before.previous, own)), HOUSE)
        stood = (event.pointer for event in ledger.events(role=role) if event.pointer)
        earlier = next((p for p in reversed(list(stood)) if p.champion == again), Pointer(champion=again))
        spare = earlier.previous if earlier.previous != again and may(earlier.previous) else ""
        return Pointer(
            champion=again,
            previous=spare,
            records=_records(earlier, again, spare) | _records(before, again, spare),
            over=own,
            uncertified=tuple(sorted({*before.uncertified, *earlier.uncertified} & {again, spare})),
        )

    def _put(self, moved: Pointer) -> Pointer:
        mend(self.home)
        return moved


def evaluated(home: Path, given: str, number: int, now: datetime) -> Sealed:
    """Keep the gate's record *number* with what it is of. Raises UsageError where it is of another model."""
    there = artifact.find(home, given)
    record = vouched.keep(home, there, number)
    said = f"record {number}: {record['verdict']['decision']}"
    with writing(home) as ledger:
        if not any(e.data.get("hash") == record["hash"] for e in ledger.events(kind=Kind.EVALUATED)):
            about = (record["role"], there.digest, there.name, said)
            ledger.add(now, Kind.EVALUATED, *about, hash=record["hash"], number=number)
    return record


def gather(home: Path, there: Registered, now: datetime) -> None:
    """Keep what the gate has of a model that is not kept with it, or not noted yet, as after a crash."""
    with reading(home) as ledger:
        events = list(ledger.events(kind=Kind.EVALUATED)) if ledger else []
    noted = {event.data.get("number") for event in events if event.digest == there.digest}
    for number, kept in vouched.looks(home, there).items():
        if not kept or number not in noted:
            evaluated(home, there.name, number, now)


def _records(before: Pointer, *names: str) -> dict[str, str]:
    return {name: before.records[name] for name in names if name in before.records}
