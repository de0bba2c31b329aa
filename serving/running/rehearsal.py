"""Looks at a running stack, and what the autoscaler would decide; nothing is changed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from openoutcry.serving import looks, roster
from openoutcry.serving.planning.autoscale import Decision, Pace, decide
from openoutcry.serving.planning.plan import fits
from openoutcry.serving.planning.planned import Plan
from openoutcry.serving.roster import State
from openoutcry.serving.stack import Stack
from openoutcry.serving.transport import Transport

LIVING = (State.STARTING, State.READY, State.WAITING)
"""States of a replica that is to serve, now or soon."""


async def decisions(
    stack: Stack, home: Path, planned: Plan, transport: Transport, every: float, rounds: int
) -> AsyncIterator[tuple[str, int, Decision]]:
    """The model, its replicas and the decision, for each model with running replicas, every so many seconds.

    *rounds* of them, or without end where it is 0; none at all where nothing runs at the start.
    """
    paces: dict[str, Pace] = {}
    loop, done = asyncio.get_running_loop(), 0
    while True:
        standing = roster.read(home)
        if not done and not any(r.state in LIVING for r in standing.replicas):
            return
        for model in stack.models.values():
            replicas = sum(r.model == model.name and r.state in LIVING for r in standing.replicas)
            if not replicas:
                continue
            seen = await looks.every(transport, standing.ready(model.name))
            room = fits(planned, model.name, replicas + 1)
            decision = decide(model, seen, replicas, room, paces.get(model.name, Pace()), loop.time())
            paces[model.name] = decision.pace
            yield model.name, replicas, decision
        done += 1
        if done == rounds:
            return
        await asyncio.sleep(every)
