"""A stage in a process of its own: what it takes is given back to the machine, and its death is not the night's."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from openoutcry.training.night.schedule import Slot

GRACE = 100.0
"""Seconds that a stage has to stop in before it is killed; it is taken up again from what it left on the disk."""


class Spawner:
    """Runs a slot by *command*, such as `outcry night run`, which is given stage and day and claims it by itself."""

    def __init__(self, command: Sequence[str], stop: asyncio.Event, grace: float = GRACE) -> None:
        self._command, self._stop, self._grace = command, stop, grace

    async def __call__(self, slot: Slot) -> None:
        """Run it and wait for its end; a stop is passed on. What it came to stands in the ledger."""
        words = [*self._command, slot.stage, "--day", str(slot.day), "--scheduled"]
        process = await asyncio.create_subprocess_exec(*words, start_new_session=True)
        ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(self._stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait({ended}, timeout=self._grace)
        if not ended.done():
            with suppress(ProcessLookupError):
                process.kill()
        await ended
