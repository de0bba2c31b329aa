"""Who sits where: a model for each role of the stack, over the processes that serve it, with house rules behind it."""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import stamina
import structlog
from pydantic_ai.models import Model

from openoutcry.core import egress
from openoutcry.core.errors import DataError, OutcryError, UsageError
from openoutcry.serving import cards, roster
from openoutcry.serving.asking.cache import Answers, store_of
from openoutcry.serving.asking.chat import ChatModel
from openoutcry.serving.asking.guard import Guard, Places
from openoutcry.serving.asking.replicas import ABSENT, Pool
from openoutcry.serving.digest import digest
from openoutcry.serving.meter import Meter, unmetered
from openoutcry.serving.registry import artifact, seats
from openoutcry.serving.registry.artifact import is_name
from openoutcry.serving.registry.force import mend
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.registry.pointer import Pointer, Seats
from openoutcry.serving.registry.sitting import Line, Sitting, bucket
from openoutcry.serving.registry.vouched import unvouched
from openoutcry.serving.roster import State
from openoutcry.serving.seat import Barred, Seat, Tried
from openoutcry.serving.stack import HOUSE, SEATS, Purpose, Served, Stack
from openoutcry.serving.transport import Transport

if TYPE_CHECKING:
    from openoutcry.serving.asking.embeddings import Local, Remote
    from openoutcry.serving.metrics import Standing


log = structlog.get_logger()
_NOW: ContextVar[Sitting | None] = ContextVar("sitting", default=None)


class Seating:
    """The models of a stack in the seats of a desk. *house* gives the model that stands behind each role.

    Raises UsageError for an endpoint that is not on this machine and not allowed.
    """

    def __init__(self, stack: Stack, home: Path, house: Mapping[str, Model], meter: Meter | None = None) -> None:
        stamina.instrumentation.set_on_retry_hooks([])  # it would log each retry; the report says what came of them
        for served in stack.models.values():
            if served.url:
                egress.check(served.url, stack.allow)
        self._given, self._home, self._house, self._meter = stack, home, house, meter or unmetered
        self._stack = stack
        with _without_registry():
            mend(home)
            self._stack = stack_with(stack, home)
        self._seats = Seats(home)
        self._taken = list[Pointer]()
        self._stands = dict[str, tuple[Pointer | None, Pointer]]()
        self._lines = dict[tuple[str, bool], Line]()
        self._digests = dict[str, str]()
        self._transport = Transport(stack.allow)
        self._answers = Answers(store_of(stack.cache, home, stack.allow), stack.cache.seconds)
        self._running = _Running(home)
        self._pools: dict[str, Pool] = {}
        self._guards: dict[str, Guard] = {}
        self._places: dict[str, Places] = {}
        self._lock = threading.RLock()

    @cached_property
    def models(self) -> dict[str, Model]:
        """The seat of each role, by role: who sits there is decided anew for each run."""
        return {role: Seat(role, partial(self._candidates, role), _tell) for role in self._house}

    @property
    def stack(self) -> Stack:
        """The stack that is served, with what is registered and in a seat by now."""
        with self._lock:
            for role in SEATS:
                self._take_in(self._seats.of(role))
            return self._stack

    @contextmanager
    def sitting(self, run: str) -> Generator[Sitting]:
        """Who sits where for the length of one run, whatever is moved meanwhile."""
        now = Sitting({role: self._line(role, run) for role in self._house})
        token = _NOW.set(now)
        try:
            yield now
        finally:
            _NOW.reset(token)

    def digests(self, sitting: Sitting) -> dict[str, str]:
        """The digest of the weights, or of the adapter, in each seat, where they are on this machine."""
        return {role: found for role, name in sitting.names.items() if (found := self._digest(name))}

    def alone(self, role: str, name: str) -> Model:
        """The model *name* as it would speak for *role*, with nobody behind it. Raises UsageError where it is unfit."""
        with self._lock:
            if fault := self._stack.unfit(role, name):
                raise UsageError(fault)
            return self._model(role, name)

    def embedder(
        self, local: "Callable[[], Local]", exact: "Callable[[Path], tuple[str, Callable[[], Local]]]"
    ) -> "Callable[[], Local | Remote]":
        """What makes the embedder in its seat; *local* where nobody sits there, or one that is damaged.

        *exact* gives the space of a folder's weights and what loads them here, to stand in for their server.
        """
        name = seats.standing(self.stack, "embedder", self._seats.of("embedder")).champion
        if name == HOUSE:
            return local
        from openoutcry.serving.asking.embeddings import Exact, Remote

        if is_name(name):
            try:
                artifact.check(artifact.find(self._home, name))
            except OutcryError as error:
                log.warning("the embedder is left aside", model=name, reason=str(error))
                return local
        served = self._stack.serving(name)
        path = self._stack.path(served.weights)
        here = path if path and (path / "modules.json").is_file() else None
        stand_in = (lambda: Exact(*exact(here))) if here else (lambda: None)
        return lambda: Remote(name, served, self._pool(served), self._transport, stand_in(), self._meter)

    def standing(self) -> "Standing":
        """Requests in the air, models that are left alone, and lookups in the cache, now."""
        from openoutcry.serving.metrics import Standing

        pools = {
            (name, url): count for name, pool in list(self._pools.items()) for url, count in pool.outstanding.items()
        }
        return Standing(pools, {name: guard.open for name, guard in list(self._guards.items())}, self._answers.counts)

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Keep connections open for the length of a run."""
        return self._transport.opened()

    def close(self) -> None:
        """Release the cache."""
        self._answers.close()

    def _candidates(self, role: str) -> tuple[Model, ...]:
        """Who is asked in the run that this is part of; outside one, who would be asked now."""
        now = _NOW.get()
        return now.lines[role].models if now else self._line(role, "").models

    def _line(self, role: str, run: str) -> Line:
        """Those who are asked in a run, in their order: the challenger first in its share of runs."""
        with self._lock:  # of two at once, the second would judge a seat by a stack that the first is still reading
            return self._drawn(role, run)

    def _drawn(self, role: str, run: str) -> Line:
        seat = seats.named(role)
        moved = self._seats.of(role)
        self._take_in(moved)
        before, pointer = self._stands.get(role, (None, None))
        if pointer is None or before is not moved:  # told apart by the file's last reading, so that it is judged once
            pointer = seats.standing(self._stack, seat, moved)
            self._stands[role] = moved, pointer
        challenged = bool(run and pointer.challenger and bucket(role, run) < pointer.share)
        kept = self._lines.get((role, challenged))
        if kept is None or kept.pointer != pointer:
            first = (pointer.challenger,) if challenged else ()
            behind = () if pointer.champion == HOUSE else (pointer.champion, pointer.previous)
            named = [n for n in dict.fromkeys((*first, *behind)) if n not in ("", HOUSE)]
            models = (*(self._let(role, name, pointer) for name in named), self._house[role])
            kept = Line(pointer, challenged, models)
            if not any(isinstance(model, Barred) for model in models):  # who was barred may be let in any time
                self._lines[role, challenged] = kept
        return kept

    def _take_in(self, moved: Pointer | None) -> None:
        """Look again at what is registered, once, where somebody sits that came since."""
        if moved is None or any(moved is taken for taken in self._taken):
            return
        self._taken = [*self._taken[-len(self._house) :], moved]
        unknown = [name for name in moved.names if is_name(name) and not self._knows(name)]
        if unknown:
            with _without_registry():
                self._stack = stack_with(self._given, self._home)

    def _knows(self, name: str) -> bool:
        return any(name in served.names for served in self._stack.models.values())

    def _let(self, role: str, name: str, pointer: Pointer) -> Model:
        """The model, or one that says why it may not sit here."""
        reason = unvouched(self._stack, self._home, role, name, pointer.records.get(name, ""))
        try:
            reason = reason or cards.barred(self._stack, self._home, role, name, pointer.uncertified)
            model = self._model(role, name)
        except OutcryError as error:  # its files are gone or damaged: that costs nobody a run
            return Barred(self._house[role], reason or f"{name} may not sit: {error}", name)
        return Barred(model, reason) if reason else model

    def _model(self, role: str, name: str) -> Model:
        served = self._stack.serving(name)
        pool, guard, found = self._pool(served, name), self._guard(name, served), cards.files(self._stack, name)
        if served.purpose is Purpose.CLASSIFY:
            from openoutcry.serving.asking.classifier import Classifier
            from openoutcry.serving.asking.tones import labels

            known = labels(self._stack.path(served.weights))
            return Classifier(name, served, pool, self._transport, guard, self._house[role], self._meter, known)
        sampled = self._stack.cache.sampled
        return ChatModel(role, name, served, pool, self._answers, self._transport, guard, self._meter, found, sampled)

    def _digest(self, name: str) -> str:
        """Taken once, as the files are taken to stay while the desk is open."""
        if name not in self._digests and name != HOUSE:
            served = self._stack.serving(name)
            given = served.adapter(name) or served.weights
            path = self._stack.path(given) if given else None
            try:
                self._digests[name] = digest(path) if path is not None and path.exists() else ""
            except UsageError:  # an empty folder
                return ""
        return self._digests.get(name, "")

    def _pool(self, served: Served, name: str = "") -> Pool:
        if served.name not in self._pools:
            urls = (lambda: [served.url]) if served.url else (lambda: self._running.urls(served.name))
            absent = partial(self._running.absent, served.name)
            self._pools[served.name] = Pool(served.name, urls, absent=absent)
        pool = self._pools[served.name]
        if served.url or name not in served.hot:
            return pool
        urls, absent = partial(self._running.urls, served.name, name), partial(self._running.absent, served.name, name)
        return pool.among(urls, absent)

    def _guard(self, name: str, served: Served) -> Guard:
        """One for each name, or an adapter that fails would close the server to the one that stands in for it."""
        if name not in self._guards:
            places = self._places.setdefault(served.name, Places(served))
            self._guards[name] = Guard(served, name=name, places=places)
        return self._guards[name]


@contextmanager
def _without_registry() -> Generator[None]:
    """Go on where the registry cannot be read: the stack file's models and house rules answer."""
    try:
        yield
    except DataError as error:
        log.warning("registered models are left aside", reason=str(error))


def _tell(tried: Tried) -> None:
    """Note what came of a request in the run that it is part of."""
    now = _NOW.get()
    if now and now.lines[tried.role].watched:
        now.tried.append(tried)


class _Running:
    """The roster, read again whenever its file changes."""

    def __init__(self, home: Path) -> None:
        self._home, self._file = home, roster.folder(home) / "roster.json"
        self._seen = (0, 0)
        self._roster = roster.Roster()
        self._lock = threading.Lock()

    def urls(self, model: str, adapter: str = "") -> Sequence[str]:
        """Where replicas of *model* answer now; with a registered *adapter*, those that have it loaded."""
        with self._lock:
            try:
                told = self._file.stat()
                changed = (told.st_mtime_ns, told.st_ino)  # a clock's tick may see two of them
            except OSError:
                changed = (0, 0)
            if changed != self._seen:
                self._seen, self._roster = changed, roster.read(self._home)
            return self._roster.ready(model, adapter)

    def absent(self, model: str, adapter: str = "") -> str:
        """How a model stands of which no replica answers, or has loaded the *adapter*."""
        states = {r.state for r in self._roster.replicas if r.model == model}
        if adapter and State.READY in states:
            return f"has not loaded {adapter} yet; `outcry stack status` says why"
        if State.STARTING in states or State.WAITING in states:
            return "is being started; `outcry stack status` shows how far it is"
        if State.FAILED in states:
            return "does not start; `outcry stack status` says why"
        return ABSENT
