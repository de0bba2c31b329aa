"""Work bounded in how much of it goes on at once, a bound an event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from openoutcry.core.sync import Places


async def most_at_once(places: Places, count: int) -> int:
    """How many of *count* pieces of work were under way together."""
    at_work, most = 0, 0

    async def work() -> None:
        nonlocal at_work, most
        async with places.taken():
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.001)
            at_work -= 1

    await asyncio.gather(*(work() for _ in range(count)))
    return most


async def test_no_more_than_its_places_work_at_once() -> None:
    assert await most_at_once(Places(3), 20) == 3
    assert await most_at_once(Places(30), 20) == 20


async def test_a_failure_and_a_cancelled_wait_leave_their_place() -> None:
    places = Places(1)

    async def fails() -> None:
        async with places.taken():
            raise ValueError("no")

    assert len(await asyncio.gather(fails(), fails(), return_exceptions=True)) == 2
    async with places.taken():
        waiting = asyncio.create_task(most_at_once(places, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert await asyncio.wait_for(most_at_once(places, 5), 10) == 1


def test_each_event_loop_has_places_of_its_own() -> None:
    places = Places(2)
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(asyncio.run, most_at_once(places, 10)) for _ in range(8)]
        assert [each.result() for each in found] == [2] * 8
