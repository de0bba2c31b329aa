"""What stands before a model: so many requests at once and no more, and none for a while after a run of failures."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager

from openoutcry.core.errors import ModelBusy, ModelCutShort, ModelGarbled, ModelTooSlow, ModelUnreachable
from openoutcry.serving.asking.replicas import NotRunning, Unasked
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Refused

QUEUE = 64
"""Requests that may wait, as a multiple of those at work."""
IN_A_ROW = 5
"""Failures after which a model is left alone."""
PAUSE, LONGEST = 10.0, 120.0
"""Seconds for which it is, at first and at most; they double with each failed trial."""


class LeftAlone(Unasked, ModelBusy):
    """It failed so often that it is left alone for a while."""


class NoPlace(Unasked, ModelBusy):
    """Too many wait already."""


class NoTime(Unasked, ModelTooSlow):
    """The deadline passed before there was a place."""


def counts(error: BaseException | None) -> bool:
    """Whether an error says that the model is unwell, rather than that the request was off."""
    if isinstance(error, NotRunning):
        return False  # nothing was asked, and the next who asks learns it as fast
    if isinstance(error, Refused):
        return error.reply.status >= 500
    return isinstance(error, ModelUnreachable | ModelTooSlow | ModelBusy | ModelGarbled | ModelCutShort)


class Places:
    """Bulkhead of one served model: so many requests at once, those of its adapters with them, and some that wait.

    Safe to share between threads and event loops.
    """

    def __init__(self, served: Served) -> None:
        self._name, self._most = served.name, served.concurrency
        self._lock = threading.Lock()
        self._free = served.concurrency
        self._waiting: deque[Future[None]] = deque()

    async def take(self, deadline: float) -> None:
        """Wait for a place. Raises ModelBusy where too many wait; ModelTooSlow where the deadline passes."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            if len(self._waiting) >= QUEUE * self._most:
                raise NoPlace(
                    f"expected a place in the queue of {self._name}, but {len(self._waiting)} requests wait already; "
                    "ask less at once, or raise `concurrency` or `replicas` in stack.toml"
                )
            place: Future[None] = Future()
            self._waiting.append(place)
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.wrap_future(place)
        except BaseException as error:
            self._leave(place)
            if isinstance(error, TimeoutError):
                raise NoTime(
                    f"expected a place in the queue of {self._name} before the deadline, got none; "
                    "ask less at once, or raise `seconds` in stack.toml"
                ) from None
            raise

    def _leave(self, place: "Future[None]") -> None:
        """Stop waiting; a place that was given at that very moment goes to the next."""
        if not place.cancel():
            self.give()
            return
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)

    def give(self) -> None:
        """Hand the place to whoever waits longest."""
        with self._lock:
            while self._waiting:
                place = self._waiting.popleft()
                if place.set_running_or_notify_cancel():
                    place.set_result(None)
                    return
            self._free += 1


class Guard:
    """Breaker of one model or adapter, behind the bulkhead of what serves it: one that fails costs no other its turn.

    Safe to share between threads and event loops. `now` gives seconds.
    """

    def __init__(
        self,
        served: Served,
        now: Callable[[], float] = time.monotonic,
        name: str = "",
        places: Places | None = None,
    ) -> None:
        self._name, self._places = name or served.name, places or Places(served)
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = PAUSE
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether the model is left alone now."""
        return self._failures >= IN_A_ROW and (self._trying or self._now() < self._until)

    @asynccontextmanager
    async def entered(self, deadline: float) -> AsyncGenerator[None]:
        """Work within. *deadline* is the event loop's time at which waiting for a place ends.

        Raises ModelBusy while the model is left alone, or where too many wait; ModelTooSlow where the deadline passes.
        Work that is cancelled counts for nothing, unless the deadline has passed: then the model was too slow.
        """
        self._refuse_if_open()
        await self._places.take(deadline)
        try:
            trial = self._begin()
            error: BaseException | None = None
            try:
                yield
            except BaseException as raised:
                late = isinstance(raised, asyncio.CancelledError) and asyncio.get_running_loop().time() >= deadline
                error = ModelTooSlow() if late else raised
                raise
            finally:
                self._end(trial, error)
        finally:
            self._places.give()

    def _refuse_if_open(self) -> None:
        if self.open:
            left = max(self._until - self._now(), 0.0)
            when = f"for {left:.0f} s more" if left else "until a trial that is on its way ends"
            raise LeftAlone(
                f"{self._name} failed {IN_A_ROW} times in a row and is left alone {when}; "
                "`outcry stack status` shows how it stands"
            )

    def _begin(self) -> bool:
        """Whether this request is the one that tries whether the model is well again."""
        with self._lock:
            self._refuse_if_open()
            self._trying = self._failures >= IN_A_ROW
            return self._trying

    def _end(self, trial: bool, error: BaseException | None) -> None:
        with self._lock:
            if trial:
                self._trying = False
            if error is None:
                self._failures, self._pause = 0, PAUSE
            elif counts(error):
                self._failures += 1
                if trial:
                    self._pause = min(self._pause * 2, LONGEST)
                if trial or self._failures == IN_A_ROW:
                    self._until = self._now() + self._pause
