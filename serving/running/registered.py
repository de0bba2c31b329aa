"""What of the registry is to run: which adapters each replica is to have loaded, and which whole models are started.

Those in a seat come first; then the newest, so that the gate can look at them before anybody sits.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.planning import plan, weights
from openoutcry.serving.planning.box import box
from openoutcry.serving.planning.planned import Plan
from openoutcry.serving.registry import ledger, pointer
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.registry.ledger import Kind
from openoutcry.serving.registry.overlay import available, stack_with
from openoutcry.serving.registry.pointer import Seats
from openoutcry.serving.running import launch
from openoutcry.serving.running.wanted import Wanted
from openoutcry.serving.stack import SEATS, Replicas, Served, Stack


class Offer(Frozen):
    """Adapters that every replica of a model is to have, the most needed first; why others are not among them."""

    wanted: tuple[Registered, ...] = ()
    lacking: dict[str, str] = {}


class ToRun(Frozen):
    """All that is to run: what was asked for with the registry's models beside it, and the adapters by model.

    `whole` are the names of those models, `lacking` why others are not started.
    """

    wanted: Wanted = Wanted()
    offers: dict[str, Offer] = {}
    whole: tuple[str, ...] = ()
    lacking: dict[str, str] = {}


class Watched:
    """The registry of a desk, looked at again whenever its ledger or a seat changes.

    A whole model that nobody names any more is kept for *keep* seconds, for the runs that began with it. *now* is a
    clock in seconds.
    """

    def __init__(self, home: Path, keep: float, now: Callable[[], float] = time.monotonic) -> None:
        self._home, self._keep, self._now = home, keep, now
        self._seen: object = None
        self._leaving: dict[str, tuple[Served, float]] = {}
        self.found = ToRun()

    def changed(self, asked: Wanted, counts: Mapping[str, int]) -> bool:
        """Whether `look` may find something else than the last time."""
        return (self._asked(asked, counts), self._files()) != self._seen

    def look(self, asked: Wanted, counts: Mapping[str, int]) -> ToRun:
        """What is to run where *asked* was asked for; *counts* are the replicas that each model has now.

        Raises DataError where the ledger cannot be read: then what was found last stays.
        """
        files = self._files()  # before they are read: what comes meanwhile is seen the next time
        found = self._looked(asked, counts)
        same = self.found.wanted.token == asked.token  # who asks anew wants no others
        before, left = (self.found, self._leaving) if same else (ToRun(), {})
        kept = {name: at for name, at in left.items() if name not in found.whole}
        for name in set(before.whole) - set(found.whole) - kept.keys():
            kept[name] = before.wanted.models[name], self._now() + self._keep
        self._leaving = kept
        self.found = self._with_leaving(found, counts)
        self._seen = self._asked(asked, counts), files
        return self.found

    def _files(self) -> object:
        file = ledger.path(self._home)
        files = [file, file.with_name(f"{file.name}-wal"), *sorted(pointer.folder(self._home).glob("*.json"))]
        return [_stamp(path) for path in files]

    def _asked(self, asked: Wanted, counts: Mapping[str, int]) -> object:
        own = {name: count for name, count in counts.items() if name in asked.models}
        due = [name for name, (_, until) in self._leaving.items() if until > self._now()]
        return asked.token, asked.stack is None, own, due  # an asking that ends keeps its token

    def _looked(self, asked: Wanted, counts: Mapping[str, int]) -> ToRun:
        """Of whole models those in a seat, and the newest for each model that they are to stand in for, once."""
        there = {one.name: one for one in available(self._home)} if asked.stack else {}
        if not there or asked.stack is None:
            return ToRun(wanted=asked)
        stack = stack_with(asked.stack, self._home)
        seated, newest = _seated(self._home), _newest(self._home, there)
        order = [name for name in dict.fromkeys([*seated, *newest]) if name in there]
        offers = {
            served.name: _offer(asked.stack, served, [there[name] for name in order if name in served.hot])
            for served in stack.models.values()
            if served.engine == "vllm" and served.hot
        }
        whole = {n: stack.models[n] for n in order if n in stack.models and stack.models[n].engine == "vllm"}
        first = {there[name].artifact.base_name: name for name in reversed(newest) if name in whole}
        alone = whole.keys() - set(seated)
        chosen = [
            served.model_copy(update={"replicas": Replicas()}) if name in alone else served
            for name, served in whole.items()
            if name not in alone or name in first.values()
        ]
        return _grown(ToRun(wanted=asked, offers=offers), chosen, counts)

    def _with_leaving(self, found: ToRun, counts: Mapping[str, int]) -> ToRun:
        staying = [served for served, until in self._leaving.values() if until > self._now()]
        if found.wanted.stack is None or not staying:
            self._leaving = {served.name: self._leaving[served.name] for served in staying}
            return found
        grown = _grown(found, staying, counts)
        return grown.model_copy(update={"whole": found.whole, "lacking": found.lacking})


def _stamp(path: Path) -> tuple[int, int, int]:
    """What tells a file's states apart; an empty one is as good as none, as readers of a ledger leave them behind."""
    try:
        told = path.stat()
    except OSError:
        return 0, 0, 0
    return (told.st_mtime_ns, told.st_ino, told.st_size) if told.st_size else (0, 0, 0)


def _seated(home: Path) -> list[str]:
    """Who is named by a seat: champions, then challengers, then those before."""
    seats = [at for role in SEATS if (at := Seats(home).of(role))]
    return [name for part in ("champion", "challenger", "previous") for at in seats if (name := getattr(at, part))]


def _newest(home: Path, there: Mapping[str, Registered]) -> list[str]:
    with ledger.reading(home) as opened:
        numbers = {one.digest: one.number for one in opened.events(kind=Kind.REGISTERED)} if opened else {}
    return sorted(there, key=lambda name: -numbers.get(there[name].digest, 0))


def _offer(stack: Stack, served: Served, own: Iterable[Registered]) -> Offer:
    wanted: list[Registered] = []
    lacking: dict[str, str] = {}
    table = f"[models.{served.name}]"
    for one in own:
        if not served.spare:
            said = f"{served.name} has no place for it: set spare_adapters under {table}, and `outcry stack up`"
        elif (rank := weights.rank(one.files)) > weights.room_for_rank(stack, served):
            said = f"its rank is {rank}: set spare_rank = {rank} under {table}, and `outcry stack up`"
        elif len(wanted) == served.spare:
            said = f"all {served.spare} spare places of {served.name} are taken: raise spare_adapters under {table}"
        else:
            wanted.append(one)
            continue
        lacking[one.name] = said
    return Offer(wanted=tuple(wanted), lacking=lacking)


def _grown(found: ToRun, more: Iterable[Served], counts: Mapping[str, int]) -> ToRun:
    """The same with further models, as far as they fit beside what runs."""
    wanted, whole, lacking, here = found.wanted, list(found.whole), dict(found.lacking), box()
    for served in more:
        assert wanted.stack
        stack = wanted.stack.model_copy(update={"models": {**wanted.stack.models, served.name: served}})
        before, after = (plan.plan(one, here) for one in (wanted.stack, stack))
        fault = _crowded(before, after, served.name, counts)
        try:
            identity = "" if fault else launch.identity(stack, served, launch.gpu(served))
        except UsageError as error:
            fault, identity = str(error), ""
        if fault:
            lacking[served.name] = fault
            continue
        identities = {**wanted.identities, served.name: identity}
        wanted = wanted.model_copy(update={"stack": stack, "identities": identities})
        whole.append(served.name)
    return found.model_copy(update={"wanted": wanted, "whole": tuple(whole), "lacking": lacking})


def _crowded(before: Plan, after: Plan, name: str, counts: Mapping[str, int]) -> str:
    """Why a model cannot start beside the replicas that run; empty where it can."""
    if faults := after.of(name).faults:
        return faults[0]
    for one in before.models:
        now, kept = after.of(one.name), min(counts.get(one.name, 0), one.most)
        if len(now.faults) > len(one.faults) or now.most < kept or now.gpus[:kept] != one.gpus[:kept]:
            return f"it would need the room of {one.name}: give that fewer replicas, or stop another model"
    return ""
