"""Models on trial: those of the stack as an evaluation asks them, with nobody to stand in and nothing kept."""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_ai.models import Model

from openoutcry import wiring
from openoutcry.core.egress import quiet
from openoutcry.core.errors import ModelUnreachable, UsageError
from openoutcry.core.settings import Settings
from openoutcry.eval.lineup import HOUSE, Candidate
from openoutcry.serving.identity import DECODING, identity
from openoutcry.serving.registry.seats import seated, where
from openoutcry.serving.stack import CacheSettings, Served

if TYPE_CHECKING:
    from openoutcry.serving.seating import Seating

LOOK = 5.0
"""Seconds between two looks at how much memory servers hold."""


class Trial:
    """Gives `openoutcry.eval` its models (`eval.lineup.Models`)."""

    def __init__(self, settings: Settings) -> None:
        quiet()
        self._home = settings.home
        stack = wiring.stack(settings)
        self._stack = stack.model_copy(update={"cache": CacheSettings(store="off")})
        self._house = wiring.house_models()
        self._asked = dict[str, Served]()
        self._thread, self._looked = ThreadPoolExecutor(1), 0.0
        self._look: Future[dict[str, int]] | None = None
        self._held = dict[str, int]()

    def seated(self, role: str, name: str) -> tuple[Model, Candidate]:
        """The model *name* in the seat *role*. Raises UsageError where the stack has no such, or it does not fit."""
        if name == HOUSE:
            return self._house[role], Candidate(name=HOUSE, digest=wiring.house_digest())
        if self._seating is None:
            raise UsageError(f"expected a model of the stack, got {name!r}; the stack in force has none but house")
        model = self._seating.alone(role, name)
        served = self._asked[name] = self._stack.serving(name)
        return model, Candidate(
            name=name, digest=identity(self._stack, name), decoding=served.model_dump(include=DECODING)
        )

    def sitting(self, role: str) -> str:
        """Who sits in *role* now."""
        return {str(seat): pointer.champion for seat, pointer in seated(self._stack, self._home).items()}[role]

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Keep connections open meanwhile. Raises ModelUnreachable where a model that was seated does not run here, or
        is an adapter that is not loaded yet.

        Each of its cases would fail at once, and stand: a stack that nobody had started would be a verdict.
        """
        if idle := [name for name, served in self._asked.items() if not where(self._stack, self._home, served, name)]:
            raise ModelUnreachable(
                f"expected {' and '.join(idle)} to run, so nothing was asked; `outcry stack up` starts what does not, "
                "`outcry stack status` shows how it stands"
            )
        return self._seating.opened() if self._seating else nullcontext()

    async def engines(self) -> dict[str, str]:
        """By each model of the stack that was seated, the engine there and its version, where it tells."""
        if not self._asked:
            return {}
        from openoutcry.eval.certifying.wire import version
        from openoutcry.serving.examining.endpoint import Server
        from openoutcry.serving.transport import Transport

        transport, found = Transport(), dict[str, str]()
        async with transport.opened():
            for name, served in self._asked.items():
                if urls := where(self._stack, self._home, served, name):
                    found[name] = await version(Server(served, urls[0], transport, served.seconds))
        return found

    def memory(self, *names: str) -> int:
        """Bytes that the servers of *names* hold here, each once; 0 where there are none.

        An adapter holds what the server under it does.
        """
        owners = {self._stack.serving(name).name for name in names if name != HOUSE}
        return sum(self._servers().get(owner, 0) for owner in owners) if owners else 0

    def close(self) -> None:
        """Release what is open."""
        self._thread.shutdown(cancel_futures=True)
        if "_seating" in self.__dict__ and self._seating:
            self._seating.close()

    def _servers(self) -> dict[str, int]:
        """Bytes by model, as the newest look that has ended found them; only the first look is waited for.

        A look takes a good part of a second: on the event loop it would be among the seconds of the cases in the air.
        """
        now = time.monotonic()
        if self._look is None:
            self._looked, self._look = now, self._thread.submit(_held, self._home)
            wait([self._look])
        if self._look.done():
            self._held = self._look.result()
            if now - self._looked > LOOK:
                self._looked, self._look = now, self._thread.submit(_held, self._home)
        return self._held

    @cached_property
    def _seating(self) -> "Seating | None":
        if not self._stack.models:
            return None
        from openoutcry.serving.seating import Seating

        return Seating(self._stack, self._home, self._house)


def _held(home: Path) -> dict[str, int]:
    """Bytes by model."""
    from openoutcry.serving.running.measuring import resident
    from openoutcry.serving.running.processes import marked

    found: dict[str, list[int]] = {}
    for one in marked(home):
        if one.tag:
            found.setdefault(one.tag.model, []).append(one.pid)
    return {model: resident(pids) for model, pids in found.items()}
