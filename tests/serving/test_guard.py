"""The guard: places shared by threads and event loops, and a breaker that opens, tries and closes."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import (
    ModelBusy,
    ModelCutShort,
    ModelError,
    ModelGarbled,
    ModelOverflow,
    ModelRefused,
    ModelTooSlow,
    ModelUnreachable,
)
from openoutcry.serving.asking.guard import Guard, counts
from openoutcry.serving.asking.replicas import NotRunning
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Refused, Reply


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def served(concurrency: int = 1) -> Served:
    return Served.model_validate({"name": "m", "weights": "w", "concurrency": concurrency})


def soon(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def refused(status: int) -> Refused:
    return Refused("no", Reply(status, b""))


async def fail(guard: Guard, error: BaseException | None = None) -> None:
    with pytest.raises(type(error) if error else ModelUnreachable):
        async with guard.entered(soon()):
            raise error or ModelUnreachable("gone")


async def passes(guard: Guard) -> bool:
    try:
        async with guard.entered(soon()):
            return True
    except ModelBusy:
        return False


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not done():
            await asyncio.sleep(0.002)


async def test_no_more_than_its_concurrency_work_at_once_over_threads_and_loops() -> None:
    guard, lock = Guard(served(3)), threading.Lock()
    at_work, most, done = [0], [0], [0]

    async def work() -> None:
        async with guard.entered(soon()):
            with lock:
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
            await asyncio.sleep(0.004)
            with lock:
                at_work[0] -= 1
                done[0] += 1

    async def many() -> None:
        await asyncio.gather(*(work() for _ in range(20)))

    threads = [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for thread in threads:
        thread.start()
    await many()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert (most[0], done[0]) == (3, 100)


async def test_those_who_wait_are_let_in_by_turn() -> None:
    guard, order = Guard(served()), list[int]()

    async def work(number: int) -> None:
        async with guard.entered(soon()):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(i) for i in range(10)))
    assert order == list(range(10))


async def test_a_full_queue_is_an_error_at_once() -> None:
    guard, gate = Guard(served()), asyncio.Event()

    async def work() -> None:
        async with guard.entered(soon()):
            await gate.wait()

    waiting = [asyncio.create_task(work()) for _ in range(65)]
    await asyncio.sleep(0)
    with pytest.raises(ModelBusy, match="64 requests wait already"):
        async with guard.entered(soon()):
            raise AssertionError
    gate.set()
    await asyncio.gather(*waiting)
    assert await passes(guard)


@pytest.mark.parametrize(("seconds", "slow"), [(30.0, False), (-1.0, True)])
async def test_work_that_is_cancelled_counts_only_where_its_deadline_has_passed(seconds: float, slow: bool) -> None:
    guard = Guard(served(), Clock())
    for _ in range(5):
        with pytest.raises(asyncio.CancelledError):
            async with guard.entered(soon(seconds)):
                raise asyncio.CancelledError
    assert guard.open == slow


async def test_waiting_for_a_place_ends_at_the_deadline() -> None:
    guard, gate = Guard(served()), asyncio.Event()

    async def work() -> None:
        async with guard.entered(soon()):
            await gate.wait()

    held = asyncio.create_task(work())
    await asyncio.sleep(0)
    with pytest.raises(ModelTooSlow, match="a place in the queue of m"):
        async with guard.entered(soon(0.02)):
            raise AssertionError
    gate.set()
    await held
    assert await passes(guard)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_no_place_is_lost_whoever_gives_up_waiting(leaves: list[bool]) -> None:
    async def run() -> None:
        guard, gate = Guard(served()), asyncio.Event()

        async def work() -> None:
            async with guard.entered(soon()):
                await gate.wait()

        tasks = [asyncio.create_task(work()) for _ in range(len(leaves))]
        await asyncio.sleep(0)
        gate.set()
        for task, leave in zip(tasks, leaves, strict=True):
            if leave:
                task.cancel()
            else:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.wait_for(passes(guard), 10)

    asyncio.run(run())


async def test_five_failures_in_a_row_open_it_and_a_trial_closes_it() -> None:
    clock = Clock()
    guard = Guard(served(), clock)
    for _ in range(4):
        await fail(guard)
    assert await passes(guard)
    for _ in range(5):
        assert not guard.open
        await fail(guard)
    assert guard.open
    with pytest.raises(ModelBusy, match="failed 5 times in a row and is left alone for 10 s more"):
        async with guard.entered(soon()):
            raise AssertionError
    clock.now += 9.9
    assert not await passes(guard)
    clock.now += 0.2
    assert await passes(guard)
    await fail(guard)
    assert await passes(guard)


async def test_each_failed_trial_doubles_the_pause_up_to_two_minutes() -> None:
    clock = Clock()
    guard = Guard(served(), clock)
    for _ in range(5):
        await fail(guard)
    for pause in (10, 20, 40, 80, 120, 120):
        clock.now += pause - 0.1
        assert not await passes(guard)
        clock.now += 0.2
        await fail(guard)
    clock.now += 121
    assert await passes(guard)
    for _ in range(5):
        await fail(guard)
    clock.now += 10.1
    assert await passes(guard)


async def test_one_trial_at_a_time() -> None:
    clock, gate = Clock(), asyncio.Event()
    guard = Guard(served(4), clock)
    for _ in range(5):
        await fail(guard)
    clock.now += 11

    async def trial() -> None:
        async with guard.entered(soon()):
            await gate.wait()

    tried = asyncio.create_task(trial())
    await asyncio.sleep(0)
    with pytest.raises(ModelBusy, match="until a trial that is on its way ends"):
        async with guard.entered(soon()):
            raise AssertionError
    tried.cancel()
    await asyncio.gather(tried, return_exceptions=True)
    assert await passes(guard)


async def test_those_in_the_queue_are_refused_when_it_opens() -> None:
    guard, gate = Guard(served()), asyncio.Event()
    for _ in range(4):
        await fail(guard)

    async def last() -> None:
        async with guard.entered(soon()):
            await gate.wait()
            raise ModelUnreachable("gone")

    failing = asyncio.create_task(last())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(passes(guard))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(failing, return_exceptions=True)
    assert not await waiting


@pytest.mark.parametrize(
    "error",
    [ModelUnreachable(""), ModelTooSlow(""), ModelBusy(""), ModelGarbled(""), ModelCutShort(""), refused(500)],
)
def test_what_counts_against_a_model(error: ModelError) -> None:
    assert counts(error)


@pytest.mark.parametrize(
    "error",
    [None, ModelOverflow(""), ModelRefused(""), refused(400), refused(404), asyncio.CancelledError(), KeyError()],
)
async def test_what_does_not(error: BaseException | None) -> None:
    assert not counts(error)
    guard = Guard(served())
    for _ in range(6):
        if error:
            await fail(guard, error)
        else:
            assert await passes(guard)
    assert not guard.open


async def test_a_model_of_which_nothing_runs_is_not_left_alone() -> None:
    guard = Guard(served())
    for _ in range(8):
        await fail(guard, NotRunning("m is not running; `outcry stack up` starts it"))
    assert await passes(guard)
