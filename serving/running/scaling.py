"""How many replicas of each model are to run: what the autoscaler says, from a look at each every half a minute.

<home>/stack/scaling.jsonl    each look, what was decided from it, and why
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import structlog

from openoutcry.serving import looks
from openoutcry.serving.looks import Look
from openoutcry.serving.planning import autoscale
from openoutcry.serving.planning.autoscale import Decision, Pace
from openoutcry.serving.roster import Roster, folder
from openoutcry.serving.running import printed
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Transport

log = structlog.get_logger()


class Scaler:
    """Looks at the replicas every *period* seconds and decides."""

    def __init__(self, home: Path, transport: Transport, period: float) -> None:
        self._file = folder(home) / "scaling.jsonl"
        self._transport = transport
        self._period = period
        self._counts: dict[str, int] = {}
        self._paces: dict[str, Pace] = {}
        self._looked = time.monotonic()

    def count(self, model: Served, kept: int) -> int:
        """How many replicas of *model* there are to be; *kept* is how many there are, so that adopted ones stay."""
        count = self._counts.setdefault(model.name, kept)
        self._counts[model.name] = max(model.replicas.min, min(count, model.replicas.max))
        return self._counts[model.name]

    async def look(self, stack: Stack | None, roster: Roster) -> None:
        """Decide anew, where it is time to, for each model that may have more or fewer replicas."""
        models = [m for m in stack.models.values() if m.replicas.max > m.replicas.min] if stack else []
        if not stack or not models or time.monotonic() - self._looked < self._period:
            return
        self._looked = time.monotonic()
        for model in models:
            if model.name in self._counts:
                await self._decide(stack, model, await looks.every(self._transport, roster.ready(model.name)))

    async def _decide(self, stack: Stack, model: Served, seen: Sequence[Look | None]) -> None:
        count = self._counts[model.name]
        fits = await asyncio.to_thread(_fits, stack, model.name, count + 1)
        pace = self._paces.get(model.name, Pace())
        made = autoscale.decide(model, seen, count, fits, pace, time.monotonic())
        self._counts[model.name], self._paces[model.name] = made.replicas, made.pace
        if made.replicas != count:
            log.info("scaled", model=model.name, replicas=made.replicas, was=count, reason=made.reason)
        self._note(model, seen, made)

    def _note(self, model: Served, seen: Sequence[Look | None], made: Decision) -> None:
        """Write a line that `outcry stack autoscale --replay` reads again."""
        line = {"at": time.time(), "model": model.name, "looks": [one and asdict(one) for one in seen]}
        if self._file.parent.is_dir():
            printed.set_aside(self._file)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, "replicas": made.replicas, "reason": made.reason}) + "\n")


def _fits(stack: Stack, model: str, replicas: int) -> bool:
    from openoutcry.serving.planning.box import box
    from openoutcry.serving.planning.plan import fits, plan

    return fits(plan(stack, box()), model, replicas)
