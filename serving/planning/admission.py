"""Which replicas a box holds at once, and on which GPUs each stands."""

from collections.abc import Iterator, Sequence

from openoutcry.serving.planning.box import Box
from openoutcry.serving.planning.planned import Planned, gb

_WHOLE = 1 + 1e-9
"""A GPU given away whole, with room for the error of a sum of shares."""


class _Room:
    """What is left of a box while replicas are seated."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.ram, self.cores, self.taken = box.ram, box.cores, [0.0] * len(box.gpus)

    def gpus(self, one: Planned) -> tuple[int, ...] | None:
        """The GPUs where a replica goes, those that it fills up most first; None where there are too few."""
        able = [gpu for gpu, taken in enumerate(self.taken) if taken + one.share <= _WHOLE]
        chosen = sorted(able, key=lambda gpu: (-self.taken[gpu], gpu))[: one.split]
        return tuple(sorted(chosen)) if len(chosen) == one.split else None

    def seat(self, one: Planned) -> tuple[int, ...] | None:
        """Seat a replica: its GPUs (none on a CPU), or None where it finds no room."""
        gpus = self.gpus(one)
        if gpus is None or one.ram > self.ram or one.cores > self.cores:
            return None
        self.ram, self.cores = self.ram - one.ram, self.cores - one.cores
        for gpu in gpus:
            self.taken[gpu] += one.share
        return gpus

    def lack(self, one: Planned, number: int) -> str:
        """Why the replica of that number finds no room, and what to change."""
        if one.cores > self.box.cores:
            return f"needs {one.cores} cores, and this box has {self.box.cores}: set cores = {self.box.cores}"
        if one.ram > self.ram:
            said = f"needs {gb(one.ram)} of RAM, and the others leave {gb(self.ram)} of {gb(self.box.ram)}"
        elif one.cores > self.cores:
            said = f"needs {one.cores} cores, and the others leave {self.cores} of {self.box.cores}"
        else:
            free = ", ".join(f"{max(1 - taken, 0):.2f}" for taken in self.taken)
            said = f"needs {one.share:g} of {one.split} GPU{'s' * (one.split > 1)}, and the others leave {free}"
        if number:
            return f"(replica {number + 1} of at least {one.replicas.min}) {said}: set replicas.min = {number}"
        return f"{said}: lower what it or another model takes, or leave one out"


def admitted(alone: Sequence[Planned], box: Box) -> Iterator[Planned]:
    """The same models with the replicas that fit side by side, and a fault where those are too few.

    Replicas are seated in a fixed order, first the fewest of each model, then further ones in turn: so each has its
    place whatever runs at the moment, and no number of replicas that is admitted here crowds out another model's.
    """
    room = _Room(box)
    seats: dict[str, list[tuple[int, ...]]] = {one.name: [] for one in alone}
    lacks: dict[str, str] = {}
    for one, number in _order(alone):
        if one.name in lacks:
            continue
        gpus = room.seat(one)
        if gpus is None:
            lacks[one.name] = room.lack(one, number)
        else:
            seats[one.name].append(gpus)
    for one in alone:
        yield _seated(one, seats[one.name], lacks.get(one.name, ""))


def _order(alone: Sequence[Planned]) -> Iterator[tuple[Planned, int]]:
    here = [one for one in alone if one.place != "elsewhere" and not one.faults]
    yield from ((one, number) for one in here for number in range(one.replicas.min))
    most = max((one.replicas.max for one in here), default=0)
    yield from ((one, n) for n in range(most) for one in here if one.replicas.min <= n < one.replicas.max)


def _seated(one: Planned, seats: list[tuple[int, ...]], lack: str) -> Planned:
    if one.place == "elsewhere" or one.faults:
        return one
    few = f"{len(seats)} of at most {one.replicas.max} replicas fit"
    update: dict[str, object] = {"most": len(seats), "gpus": tuple(seats)}
    if len(seats) < one.replicas.min:
        update["faults"] = (lack,)
    elif lack:
        update["notes"] = (*one.notes, few)
    return one.model_copy(update=update)
