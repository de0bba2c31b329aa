"""Answers that were given before: an identical request is asked once while it is in the air, and kept for a while."""

import asyncio
import hashlib
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import orjson
import structlog

from openoutcry.core.errors import ModelTooSlow
from openoutcry.serving.asking.stores import BUDGET, Store, store_of
from openoutcry.serving.meter import Source

__all__ = ["Answers", "key", "store_of"]

REST = 5.0
"""Seconds for which a store that failed, or was too slow, is left aside."""
THREADS = 4
"""Calls to a store that waits for its answers, at once."""

T = TypeVar("T")
log = structlog.get_logger()


def key(parts: Mapping[str, object]) -> str:
    """What a request is known by: the SHA-256, as hex digits, of its *parts* as JSON with sorted keys.

    Raises TypeError for what is not JSON.
    """
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(slots=True)
class _Flight:
    """A request in the air, and how many wait for it."""

    work: "asyncio.Task[bytes]"
    waiting: int = 0


class Answers:
    """Keeps answers in *store* for *seconds*. Safe to share among threads and event loops.

    The store is never a reason to fail: where it errs, or takes longer than its budget, it is left aside for a while.
    """

    def __init__(self, store: Store | None, seconds: float, now: Callable[[], float] = time.time) -> None:
        self._store, self._seconds, self._now = store, seconds, now
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Flight]] = WeakKeyDictionary()
        self._counts: Counter[str] = Counter()
        self._resting = 0.0
        self._slow = False
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def counts(self) -> dict[str, int]:
        """Lookups by their result: `hit`, `miss`, `shared` with a request in the air, `bypassed`."""
        return {name: self._counts[name] for name in ("hit", "miss", "shared", "bypassed")}

    async def get_or_ask(self, key: str, ask: Callable[[], Awaitable[bytes]], keep: bool) -> tuple[bytes, Source]:
        """The answer that is known by *key*, and who gave it. Raises what *ask* raises, to all who wait for it.

        Identical requests on an event loop share one asking, which goes on while anyone waits for it and is cancelled
        when nobody does; where it ends by the deadline of who began it, the others ask anew, by their own. Without
        *keep* it is asked anew, and neither kept nor shared.
        """
        if not keep:
            return await ask(), "model"
        with self._lock:
            flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        if key not in flights and (kept := await self._kept(key)) is not None:
            return kept, "cache"
        first = key not in flights  # looked at again: others went on while a store was waited for
        if first:
            flights[key] = _Flight(asyncio.create_task(self._answer(key, ask)))
            flights[key].work.add_done_callback(_heard)
        else:
            self._count("shared")
        try:
            return await _joined(flights, key), "model" if first else "shared"
        except ModelTooSlow:
            if first:
                raise
            return await self.get_or_ask(key, ask, keep)

    def close(self) -> None:
        """Release the store."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)  # a call that was cancelled would cancel the run that waits for it
        if self._store is not None:
            self._store.close()

    def _count(self, result: str) -> None:
        with self._lock:
            self._counts[result] += 1

    async def _kept(self, key: str) -> bytes | None:
        if self._store is None:
            return None
        try:
            kept = _unsealed(await self._tried(lambda store: store.get(key, self._now())))
        except _BypassedError:
            self._count("bypassed")
            return None
        self._count("miss" if kept is None else "hit")
        return kept

    async def _answer(self, key: str, ask: Callable[[], Awaitable[bytes]]) -> bytes:
        body = await ask()
        with suppress(_BypassedError):
            await self._tried(lambda store: store.put(key, _sealed(body), self._now(), self._seconds))
        return body

    async def _tried(self, call: Callable[[Store], T]) -> T:
        """What the store says. Raises _BypassedError where there is none, or it says nothing, or is left aside."""
        if (store := self._store) is None:
            raise _BypassedError
        asked = time.monotonic()
        if not store.threaded:
            return self._bounded(store, call, asked)
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(THREADS, thread_name_prefix="cache")
        context, loop = copy_context(), asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._threads, lambda: context.run(self._bounded, store, call, asked))
        except RuntimeError:  # it was closed meanwhile
            raise _BypassedError from None
        return await work

    def _bounded(self, store: Store, call: Callable[[Store], T], asked: float) -> T:
        """What the store says to a call *asked* for at that monotonic time."""
        began = time.monotonic()
        if began < self._resting or began - asked > BUDGET:  # past its budget in the queue alone, the store is well
            raise _BypassedError
        try:
            said = call(store)
        except Exception as error:  # whatever is the matter with a cache, it is no reason to fail
            self._rest(str(error))
            raise _BypassedError from None
        slow = not store.threaded and time.monotonic() - began > BUDGET
        if slow and self._slow:  # once is a hiccup, such as where the file is opened
            self._rest(f"it took more than {BUDGET * 1000:g} ms, twice")
        self._slow = slow
        return said

    def _rest(self, reason: str) -> None:
        with self._lock:
            already = time.monotonic() < self._resting
            self._resting = time.monotonic() + REST
        if not already:
            log.warning("the cache is left aside for a while", seconds=REST, reason=reason)


async def _joined(flights: dict[str, _Flight], key: str) -> bytes:
    """Wait for a request in the air; whoever is the last to give up ends it."""
    flight = flights[key]
    flight.waiting += 1
    try:
        return await asyncio.shield(flight.work)
    finally:
        flight.waiting -= 1
        if (flight.work.done() or not flight.waiting) and flights.get(key) is flight:
            del flights[key]
        if not flight.waiting:
            flight.work.cancel()


class _BypassedError(Exception):
    """The store was not asked, or did not answer."""


def _sealed(body: bytes) -> bytes:
    """What is kept of an answer: its checksum and itself, so that one which was damaged is not taken for an answer."""
    return zlib.crc32(body).to_bytes(4, "big") + body


def _unsealed(kept: bytes | None) -> bytes | None:
    whole = kept is not None and len(kept) >= 4 and _sealed(kept[4:]) == kept
    return kept[4:] if kept is not None and whole else None


def _heard(work: "asyncio.Task[bytes]") -> None:
    """Look at how work ended, so that a failure which nobody waited for is not reported as unheard."""
    if not work.cancelled():
        work.exception()
