"""When a piece of work has to be done, known to all who work on it, so that whoever stands in gets time as well."""

import asyncio
import math
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

SPARED = 10.0
"""Seconds that are left for each who stands in; but never more than a quarter of what is left."""

_end: ContextVar[float] = ContextVar("end", default=math.inf)


def end() -> float:
    """When the work has to be done, in the event loop's time; infinity where nothing was said."""
    return _end.get()


@asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None]:
    """Work of so many seconds, fewer where what it is part of ends sooner. Raises TimeoutError where they pass."""
    with _until(min(asyncio.get_running_loop().time() + seconds, end())):
        async with asyncio.timeout_at(end()):
            yield


@contextmanager
def sparing(others: int) -> Generator[None]:
    """Work that leaves time for *others* after it. On a running event loop only."""
    left = max(end() - asyncio.get_running_loop().time(), 0.0)
    with _until(end() - others * min(SPARED, left / 4)):
        yield


@contextmanager
def _until(moment: float) -> Generator[None]:
    token = _end.set(moment)
    try:
        yield
    finally:
        _end.reset(token)
