"""The autoscaler on a real vLLM: under load a second replica comes. First of the live tests, while there is room."""

import asyncio

import orjson

from openoutcry.serving import roster
from openoutcry.serving.roster import State
from openoutcry.serving.transport import Transport
from tests.live.box import Box

BODY = orjson.dumps(
    {
        "model": "nano",
        "messages": [{"role": "user", "content": "tell me all"}],
        "max_tokens": 400,
        "ignore_eos": True,
        "temperature": 1.0,
    }
)


def living(box: Box) -> int:
    """How many replicas of nano serve, or soon will."""
    states = [r.state for r in roster.read(box.home).replicas if r.model == "nano"]
    return sum(state in (State.STARTING, State.READY) for state in states)


async def test_a_replica_is_started_under_load(lone: Box) -> None:
    assert living(lone) == 1
    transport, work = Transport(), list[asyncio.Task[None]]()

    async def ask() -> None:
        while True:
            await transport.post(lone.urls("nano")[0], "/v1/chat/completions", BODY, 300)

    async with transport.opened():
        work += [asyncio.create_task(ask()) for _ in range(40)]
        for _ in range(240):
            await asyncio.sleep(0.5)
            if living(lone) == 2:
                break
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    decided = [orjson.loads(x) for x in (roster.folder(lone.home) / "scaling.jsonl").read_text().splitlines()]
    assert any(one.get("model") == "nano" and one.get("replicas") for one in decided), decided[-3:]
    await asyncio.to_thread(lone.until, "two replicas", lambda: len(lone.urls("nano")) == 2)
