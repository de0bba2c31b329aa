"""Which replica of a model gets the next request: the least busy that answers, and that knows the prompt's start."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from itertools import count

from openoutcry.core.errors import ModelError, ModelUnreachable

ABSENT = "is not running; `outcry stack up` starts it"
FIRST, LONGEST = 1.0, 30.0
"""Seconds that a dead replica is left out at first, and at most: the pause doubles each time that it fails again."""
PREFIXES = 4096
"""How many prefixes are remembered; the one that was not asked for longest goes first."""


@dataclass(slots=True)
class _Out:
    """A replica that did not answer: until when it is left out, and for how long that was."""

    until: float
    pause: float


class Unasked(ModelError):
    """Nothing was sent to the model, so it says nothing of it."""


class NotRunning(Unasked, ModelUnreachable):
    """There is no replica to ask, so nothing was tried."""


class LeftOut(Unasked, ModelUnreachable):
    """No replica answered of late, so none was tried."""


class Pool:
    """The replicas of *model*, at the addresses that *urls* gives at each lease. Safe to share among threads and loops.

    *now* is a clock in seconds. Where *urls* no longer names a replica, its failures are forgotten: what comes back at
    the same address is another process. *absent* says how it stands where there is none.
    """

    def __init__(
        self,
        model: str,
        urls: Callable[[], Sequence[str]],
        now: Callable[[], float] = time.monotonic,
        absent: Callable[[], str] = lambda: ABSENT,
    ) -> None:
        self._absent = absent
        self._model, self._urls, self._able, self._now = model, urls, urls, now
        self._outstanding: Counter[str] = Counter()
        self._turns: dict[str, int] = {}
        self._turn = count(1)
        self._out: dict[str, _Out] = {}
        self._last: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model

    def among(self, urls: Callable[[], Sequence[str]], absent: Callable[[], str]) -> "Pool":
        """The same replicas, of which only those that *urls* names are asked; load and failures are shared."""
        same = copy(self)
        same._able, same._absent = urls, absent
        return same

    @property
    def outstanding(self) -> dict[str, int]:
        """Requests in the air, by the address of the replica; those of a replica that is gone too."""
        urls = self._urls()
        with self._lock:
            return {url: self._outstanding[url] for url in {*urls, *self._outstanding}}

    @contextmanager
    def lease(self, prefix: str, avoid: Collection[str] = ()) -> Generator[str]:
        """The address to send one request to, which is in the air until the block ends.

        *prefix* is what the prompt begins with: among replicas whose load differs by one at most, it goes where that
        was last seen; an empty one goes nowhere in particular. Addresses in *avoid* are taken only where there is no
        other. Raises ModelUnreachable where there is no replica, or none that answered of late.
        """
        urls, able = self._urls(), self._able()
        with self._lock:
            self._forget(urls)
            url = self._chosen(able, hash(prefix) if prefix else None, avoid)
            self._outstanding[url] += 1
        try:
            yield url
        finally:
            with self._lock:
                self._outstanding[url] -= 1
                if not self._outstanding[url]:
                    del self._outstanding[url]

    def dead(self, url: str) -> None:
        """It did not answer: leave it out, for twice as long as the last time. Of failures at once, one counts."""
        with self._lock:
            now, out = self._now(), self._out.get(url)
            if out is None:
                self._out[url] = _Out(now + FIRST, FIRST)
            elif now >= out.until:
                pause = min(out.pause * 2, LONGEST)
                self._out[url] = _Out(now + pause, pause)

    def slow(self, url: str) -> None:
        """It let a deadline pass: leave it out as a dead one where there is another, or it would be asked again."""
        if any(other != url and other not in self._out for other in self._urls()):
            self.dead(url)

    def alive(self, url: str) -> None:
        """It answered."""
        if url in self._out:
            with self._lock:
                self._out.pop(url, None)

    def _chosen(self, urls: Sequence[str], prefix: int | None, avoid: Collection[str]) -> str:
        offered = self._offered(urls)
        offered = [url for url in offered if url not in avoid] or offered
        least = min(self._outstanding[url] for url in offered)
        last = self._last.get(prefix, "") if prefix is not None else ""
        near = last in offered and self._outstanding[last] <= least + 1
        url = last if near else min(offered, key=lambda u: (self._outstanding[u], self._turns.get(u, 0)))
        self._turns[url] = next(self._turn)
        self._remember(prefix, url)
        return url

    def _offered(self, urls: Sequence[str]) -> Sequence[str]:
        """Those that answered last, and those whose pause is over: beside others, one request at a time tries these."""
        if not urls:
            raise NotRunning(f"{self._model} {self._absent()}")
        now = self._now()
        there = [url for url in urls if url not in self._out or now >= self._out[url].until]
        if not there:
            count = "its server" if len(urls) == 1 else f"all {len(urls)} of its servers"
            raise LeftOut(f"{self._model}: {count} failed to answer just now; `outcry stack status` shows what runs")
        return [url for url in there if url not in self._out or not self._outstanding[url]] or there

    def _forget(self, urls: Sequence[str]) -> None:
        for kept in (self._turns, self._out):
            for gone in [url for url in kept if url not in urls]:
                del kept[gone]

    def _remember(self, prefix: int | None, url: str) -> None:
        if prefix is None:
            return
        self._last[prefix] = url
        self._last.move_to_end(prefix)
        if len(self._last) > PREFIXES:
            self._last.popitem(last=False)
