"""Answers kept in a real Redis, which is killed, stopped and filled on the way."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisError

from openoutcry.core import egress
from openoutcry.serving.asking import cache, stores
from openoutcry.serving.asking.cache import Answers, store_of
from openoutcry.serving.asking.stores import RedisStore
from openoutcry.serving.stack import CacheSettings

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
Start = Callable[..., subprocess.Popen[bytes]]
Connect = Callable[[float], Answers]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow server: let Redis take its time, and let no pause after a failure end by itself."""
    monkeypatch.setattr(cache, "BUDGET", 60.0)
    monkeypatch.setattr(cache, "REST", 600.0)
    monkeypatch.setattr(stores, "BUDGET", 30.0)


@pytest.fixture
def port() -> int:
    """A port that nobody else is given meanwhile: below those that systems choose, and of this process's own few."""
    first = 20_000 + os.getpid() % 200 * 60
    for number in range(first, first + 60):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", number))
            return number
    raise AssertionError(f"no port is free from {first} on")


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Start]:
    """Start a redis-server on the port, and wait until it answers."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*options: str) -> subprocess.Popen[bytes]:
        line = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        started.append(subprocess.Popen([*line, *options], stdout=subprocess.DEVNULL))
        told: dict[str, Any] = {}
        with Redis(port=port) as client:
            deadline = time.monotonic() + 120
            while not told:
                assert started[-1].poll() is None, "redis-server ended"
                assert time.monotonic() < deadline, "redis-server does not answer"
                try:
                    told = client.info()  # pyright: ignore[reportUnknownMemberType]  # its options are not typed
                except RedisError:
                    time.sleep(0.05)
        assert told["process_id"] == started[-1].pid, "another Redis has the port"
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def connect(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Answers at the port, which wait so many seconds for a server that stands still."""
    made: list[Answers] = []

    def connected(seconds: float) -> Answers:
        with monkeypatch.context() as brief:
            brief.setattr(stores, "BUDGET", seconds)
            made.append(Answers(store_of(CacheSettings(store=f"redis://127.0.0.1:{port}/0"), tmp_path), 60))
        return made[-1]

    yield connected
    for answers in made:
        answers.close()


@pytest.fixture
def answers(connect: Connect) -> Answers:
    return connect(stores.BUDGET)


async def ask() -> bytes:
    return b"\x00answer"


async def sources(answers: Answers, keys: str) -> list[str]:
    """Who answered each of the keys, one after another."""
    given = [await answers.get_or_ask(key, ask, keep=True) for key in keys]
    assert {body for body, _ in given} == {b"\x00answer"}
    return [source for _, source in given]


def rested(answers: Answers) -> None:
    """Let the pause after a failure be over."""
    answers._resting = 0.0  # pyright: ignore[reportPrivateUsage]  # nobody wants to wait for it


def test_answers_are_kept_among_event_loops_and_their_time_is_redis_own(
    start: Start, answers: Answers, port: int
) -> None:
    start()
    assert asyncio.run(sources(answers, "aab")) == ["model", "cache", "model"]
    assert asyncio.run(sources(answers, "ab")) == ["cache", "cache"]
    with Redis(port=port) as client:
        assert 50_000 < int(str(client.pttl("outcry:a"))) <= 60_000
    assert answers.counts == {"hit": 3, "miss": 2, "shared": 0, "bypassed": 0}


async def test_many_at_once_are_asked_once(start: Start, answers: Answers) -> None:
    start()
    asked: list[int] = []
    gate = asyncio.Event()

    async def slowly() -> bytes:
        asked.append(1)
        await gate.wait()
        return b"x"

    many = [asyncio.create_task(answers.get_or_ask("k", slowly, keep=True)) for _ in range(200)]
    async with asyncio.timeout(60):
        while len(asked) + answers.counts["shared"] < len(many):
            await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(*many)
    assert len(asked) == 1


async def test_what_is_sent_stands_in_the_ledger(start: Start, answers: Answers, port: int) -> None:
    start()
    with egress.counted() as ledger:
        await answers.get_or_ask("key", ask, keep=True)
    assert ledger.sent == {f"127.0.0.1:{port}": 2 * len("key") + len(b"\x00answer") + 4}  # four are its checksum
    assert ledger.left == 0


async def test_without_a_server_answers_keep_coming(answers: Answers) -> None:
    assert await sources(answers, "aaa") == ["model"] * 3
    assert answers.counts["bypassed"] == 3


async def test_a_server_that_is_killed_is_bypassed_and_used_again_when_it_is_back(
    start: Start, answers: Answers
) -> None:
    process = start()
    assert await sources(answers, "aa") == ["model", "cache"]
    process.kill()
    process.wait()
    assert await sources(answers, "aa") == ["model", "model"]
    start()
    rested(answers)
    assert await sources(answers, "aa") == ["model", "cache"]


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Generator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that Redis was asked for."""
    keys: list[str] = []
    get = RedisStore.get

    def noted(self: RedisStore, key: str, now: float) -> bytes | None:
        keys.append(key)
        return get(self, key, now)

    monkeypatch.setattr(RedisStore, "get", noted)
    return keys


async def test_a_server_that_stands_still_costs_its_budget_once(
    start: Start, answers: Answers, connect: Connect, looked: list[str]
) -> None:
    process, hasty = start(), connect(2.0)
    assert await sources(answers, "ab") == ["model", "model"]
    with stopped(process):
        assert await sources(hasty, "a" * 50) == ["model"] * 50
    assert looked == ["a", "b", "a"]
    assert hasty.counts["bypassed"] == 50
    rested(hasty)
    assert await sources(hasty, "b") == ["cache"]


async def test_many_at_once_wait_for_a_server_that_stands_still_together(
    start: Start, connect: Connect, looked: list[str]
) -> None:
    answers = connect(0.5)
    with stopped(start()):
        given = await asyncio.gather(*(answers.get_or_ask(f"k{i}", ask, keep=True) for i in range(500)))
    assert [source for _, source in given] == ["model"] * 500
    assert len(looked) <= cache.THREADS


async def test_a_full_server_is_no_reason_to_fail(start: Start, answers: Answers, port: int) -> None:
    start("--maxmemory-policy", "noeviction")
    assert await sources(answers, "aa") == ["model", "cache"]
    with Redis(port=port) as client:
        client.set("filler", bytes(2_000_000))
        client.config_set("maxmemory", 2_000_000)  # pyright: ignore[reportUnknownMemberType]  # not typed in full
        with pytest.raises(RedisError, match="maxmemory"):
            client.set("more", b"x")
    assert await sources(answers, "b") == ["model"]
    rested(answers)
    assert await sources(answers, "ab") == ["cache", "model"]
