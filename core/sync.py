"""Async work: called from code that is not async, and bounded in how much of it goes on at once."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
AT_WORK = 256
"""Questions at work at once on an event loop: a waiting one costs little memory, one at work about a megabyte."""


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, on a thread of its own where a loop already runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Places:
    """At most *most* pieces of work at once on an event loop; what comes beyond waits for its turn."""

    def __init__(self, most: int = AT_WORK) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._of: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    @asynccontextmanager
    async def taken(self) -> AsyncGenerator[None]:
        """Work within."""
        with self._lock:
            places = self._of.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._most))
        async with places:
            yield
