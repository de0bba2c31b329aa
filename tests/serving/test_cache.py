"""Answers kept and shared: the single flight, the SQLite file, and what may go wrong with it."""

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ByteSize

from openoutcry.core.errors import ModelGarbled, ModelTooSlow, UsageError
from openoutcry.serving.asking import cache
from openoutcry.serving.asking.cache import Answers, key, store_of
from openoutcry.serving.asking.stores import Sqlite, Store
from openoutcry.serving.meter import Source
from openoutcry.serving.stack import CacheSettings

PLENTY = 64 * 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


class Model:
    """Answers when it is told to."""

    def __init__(self, body: bytes = b"answer", open: bool = True) -> None:
        self.body, self.asked, self.cancelled = body, 0, 0
        self.gate = asyncio.Event()
        if open:
            self.gate.set()

    async def __call__(self) -> bytes:
        self.asked += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "answers.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    opened = Sqlite(file, PLENTY)
    yield opened
    opened.close()


async def turns() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_key_is_the_digest_of_json_with_sorted_keys() -> None:
    expected = hashlib.sha256(b'{"a":[1,2.5,null],"b":{"x":"\xc3\xa9","y":true}}').hexdigest()
    assert key({"b": {"y": True, "x": "é"}, "a": [1, 2.5, None]}) == expected


def test_a_key_tells_apart_what_differs() -> None:
    parts = {"model": "nano", "digest": "a1", "body": {"seed": 0, "messages": [{"content": "x"}]}}
    others = [
        {**parts, "model": "other"},
        {**parts, "digest": "a2"},
        {**parts, "body": {"seed": 0, "messages": [{"content": "y"}]}},
        {**parts, "body": {"seed": 0.0, "messages": [{"content": "x"}]}},
    ]
    assert len({key(p) for p in (parts, *others)}) == 5


def test_what_is_no_json_has_no_key() -> None:
    with pytest.raises(TypeError):
        key({"body": object()})


async def test_an_answer_is_kept_until_its_time_is_up(store: Store) -> None:
    clock, model = Clock(), Model()
    answers = Answers(store, 60, clock)
    assert await answers.get_or_ask("k", model, keep=True) == (b"answer", "model")
    clock.seconds += 59
    assert await answers.get_or_ask("k", model, keep=True) == (b"answer", "cache")
    clock.seconds += 1
    assert await answers.get_or_ask("k", model, keep=True) == (b"answer", "model")
    assert model.asked == 2
    assert answers.counts == {"hit": 1, "miss": 2, "shared": 0, "bypassed": 0}


async def test_an_answer_outlives_the_process_that_asked(file: Path) -> None:
    first, second = Sqlite(file, PLENTY), Sqlite(file, PLENTY)
    await Answers(first, 60).get_or_ask("k", Model(b"\x00\xff"), keep=True)
    first.close()
    assert await Answers(second, 60).get_or_ask("k", Model(b"other"), keep=True) == (b"\x00\xff", "cache")
    second.close()


async def test_what_is_not_to_be_kept_is_asked_anew_and_not_shared(store: Store) -> None:
    model, answers = Model(open=False), Answers(store, 60)
    two = [asyncio.create_task(answers.get_or_ask("k", model, keep=False)) for _ in range(2)]
    await turns()
    assert model.asked == 2
    model.gate.set()
    assert await asyncio.gather(*two) == [(b"answer", "model")] * 2
    assert store.get("k", 0) is None


@pytest.mark.parametrize("kept", [True, False])
async def test_identical_requests_in_the_air_are_asked_once(store: Store, kept: bool) -> None:
    model, answers = Model(open=False), Answers(store if kept else None, 60)
    many = [asyncio.create_task(answers.get_or_ask("k", model, keep=True)) for _ in range(100)]
    other = asyncio.create_task(answers.get_or_ask("other", model, keep=True))
    await turns()
    assert model.asked == 2
    model.gate.set()
    sources = [source for _, source in await asyncio.gather(*many)]
    assert (sources.count("model"), sources.count("shared")) == (1, 99)
    assert await other == (b"answer", "model")
    assert answers.counts["shared"] == 99


async def test_the_shared_work_goes_on_while_anyone_waits(store: Store) -> None:
    model, answers = Model(open=False), Answers(store, 60)
    first, second = (asyncio.create_task(answers.get_or_ask("k", model, keep=True)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert first.cancelled() and not model.cancelled
    model.gate.set()
    assert await second == (b"answer", "shared")


async def test_the_shared_work_ends_when_nobody_waits_and_the_next_asks_anew(store: Store) -> None:
    model, answers = Model(open=False), Answers(store, 60)
    two = [asyncio.create_task(answers.get_or_ask("k", model, keep=True)) for _ in range(2)]
    await turns()
    for task in two:
        task.cancel()
    await turns()
    assert model.cancelled == 1
    model.gate.set()
    assert await answers.get_or_ask("k", model, keep=True) == (b"answer", "model")


async def test_a_failure_reaches_all_who_wait_and_is_not_kept(store: Store) -> None:
    gate, answers = asyncio.Event(), Answers(store, 60)

    async def failing() -> bytes:
        await gate.wait()
        raise ModelGarbled("not JSON")

    many = [asyncio.create_task(answers.get_or_ask("k", failing, keep=True)) for _ in range(3)]
    await turns()
    gate.set()
    ended = await asyncio.gather(*many, return_exceptions=True)
    assert [type(e) for e in ended] == [ModelGarbled] * 3
    assert await answers.get_or_ask("k", Model(), keep=True) == (b"answer", "model")


async def test_who_joins_does_not_end_by_anothers_deadline(store: Store) -> None:
    gate, model, answers = asyncio.Event(), Model(), Answers(store, 60)

    async def late() -> bytes:
        await gate.wait()
        raise ModelTooSlow("expected an answer within 0.3 s")

    first = asyncio.create_task(answers.get_or_ask("k", late, keep=True))
    await turns()
    joined = [asyncio.create_task(answers.get_or_ask("k", model, keep=True)) for _ in range(2)]
    await turns()
    gate.set()
    with pytest.raises(ModelTooSlow):
        await first
    assert {body for body, _ in await asyncio.gather(*joined)} == {b"answer"}
    assert model.asked == 1


async def test_when_all_are_late_each_is_told(store: Store) -> None:
    gate, answers = asyncio.Event(), Answers(store, 60)

    async def late() -> bytes:
        await gate.wait()
        raise ModelTooSlow("expected an answer within 0.3 s")

    many = [asyncio.create_task(answers.get_or_ask("k", late, keep=True)) for _ in range(20)]
    await turns()
    gate.set()
    ended = await asyncio.gather(*many, return_exceptions=True)
    assert [type(e) for e in ended] == [ModelTooSlow] * 20


def test_threads_with_loops_of_their_own_use_one_file(store: Store) -> None:
    answers, wrong = Answers(store, 60), list[object]()

    async def many() -> None:
        for i in range(100):
            body = str(i % 10).encode()
            if (await answers.get_or_ask(f"k{i % 10}", Model(body), keep=True))[0] != body:
                wrong.append(i)

    threads = [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not answers.counts["bypassed"]
    assert answers.counts["hit"] >= 540
    assert sum(answers.counts.values()) == 600


class Slow(Counter[str]):
    """Counts what is new to it so slowly that other threads come between."""

    def __missing__(self, name: str) -> int:
        time.sleep(0.01)
        return 0


def test_threads_that_count_at_once_lose_no_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, together = Answers(store, 60), threading.Barrier(8)
    monkeypatch.setattr(answers, "_counts", Slow())

    def one() -> None:
        together.wait(60)
        asyncio.run(answers.get_or_ask("k", Model(), keep=True))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answers.counts.values()) == 8


def test_processes_use_one_file(file: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from openoutcry.serving.asking import stores
        stores.BUDGET = 60
        store = stores.Sqlite(Path(sys.argv[1]), 1 << 26)
        for i in range(200):
            store.put(f"{sys.argv[2]}-{i}", sys.argv[2].encode() * 1000, time.time(), 3600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(file)]
    children = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [child.wait(timeout=120) for child in children] == [0, 0, 0]
    with sqlite3.connect(file) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert opened.execute("SELECT count(*) FROM answers").fetchone() == (600,)
    opened.close()


@pytest.mark.parametrize("content", [b"this is no database" * 1000, b"SQLite format 3\x00" + b"\xff" * 9000])
async def test_a_damaged_file_is_set_aside_and_begun_anew(
    file: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    store = Sqlite(file, PLENTY)
    answers = Answers(store, 60)
    assert await answers.get_or_ask("k", Model(), keep=True) == (b"answer", "model")
    assert await answers.get_or_ask("k", Model(), keep=True) == (b"answer", "cache")
    store.close()
    assert file.with_name("answers.sqlite.damaged").read_bytes() == content
    assert "the cache is damaged" in "".join(capsys.readouterr())


async def test_a_file_that_is_damaged_while_it_is_open_is_begun_anew(file: Path) -> None:
    store = Sqlite(file, PLENTY)
    answers = Answers(store, 60)
    for i in range(50):
        await answers.get_or_ask(f"k{i}", Model(os.urandom(5000)), keep=True)
    store.close()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))
    for i in range(50):
        await answers.get_or_ask(f"k{i}", Model(b"new"), keep=True)
    assert await answers.get_or_ask("k49", Model(b"newer"), keep=True) == (b"new", "cache")
    assert answers.counts["bypassed"] == 0
    store.close()


async def test_an_answer_with_a_flipped_bit_is_not_taken_for_one(file: Path, store: Store) -> None:
    answers = Answers(store, 60)
    await answers.get_or_ask("k", Model(b"Volatility is 21 %"), keep=True)
    with sqlite3.connect(file) as opened:
        (value,) = opened.execute("SELECT value FROM answers").fetchone()
        opened.execute("UPDATE answers SET value = ?", (value.replace(b"21 %", b"91 %"),))
    opened.close()
    assert store.get("k", 0) is not None
    assert await answers.get_or_ask("k", Model(b"asked again"), keep=True) == (b"asked again", "model")


def test_the_oldest_go_first_and_the_file_keeps_to_its_size(file: Path) -> None:
    store = Sqlite(file, 1_000_000)
    for i in range(500):
        store.put(f"k{i}", bytes(10_000), 0, 60)
    there = [i for i in range(500) if store.get(f"k{i}", 0)]
    assert there == list(range(there[0], 500))
    assert 50 <= len(there) <= 100
    assert file.stat().st_size < 1_200_000
    store.close()


def test_an_answer_that_was_put_again_counts_as_new(file: Path) -> None:
    store = Sqlite(file, 1_000_000)
    for i in range(80):
        store.put(f"k{i}", bytes(10_000), 0, 60)
    store.put("k0", b"again", 0, 60)
    for i in range(80, 120):
        store.put(f"k{i}", bytes(10_000), 0, 60)
    assert store.get("k0", 0) == b"again"
    assert store.get("k1", 0) is None
    store.close()


def test_what_is_larger_than_all_that_may_be_kept_drives_nothing_out(file: Path) -> None:
    store = Sqlite(file, 1_000_000)
    store.put("small", b"x", 0, 60)
    store.put("large", bytes(1_000_001), 0, 60)
    assert (store.get("small", 0), store.get("large", 0)) == (b"x", None)
    store.close()


def test_answers_whose_time_is_up_make_room(file: Path) -> None:
    store = Sqlite(file, PLENTY)
    for i in range(20):
        store.put(f"k{i}", b"x", 0, 60)
    store.put("new", b"x", 61, 60)
    store.close()
    with sqlite3.connect(file) as opened:
        assert opened.execute("SELECT key FROM answers").fetchall() == [("new",)]
    opened.close()


async def test_where_there_can_be_no_folder_it_is_asked_each_time(tmp_path: Path) -> None:
    (tmp_path / "stack").write_text("a file is in the way")
    answers = Answers(store_of(CacheSettings(), tmp_path), 60)
    for _ in range(3):
        assert await answers.get_or_ask("k", Model(), keep=True) == (b"answer", "model")
    assert answers.counts == {"hit": 0, "miss": 0, "shared": 0, "bypassed": 3}
    answers.close()


ASK_THRICE = """
    import asyncio, os, sys
    from pathlib import Path
    from openoutcry.serving.asking import cache, stores
    cache.BUDGET = stores.BUDGET = 60
    Answers, Sqlite = cache.Answers, stores.Sqlite
    store = Sqlite(Path(sys.argv[1]), 1 << 26)
    answers = Answers(store, 60)
    async def ask():
        return os.urandom(200_000)
    async def main():
        return [(await answers.get_or_ask(k, ask, keep=True))[1] for k in "aabbccaa"]
    if len(sys.argv) > 2:
        os.seteuid(int(sys.argv[2]))
    print(*asyncio.run(main()), answers.counts["bypassed"])
"""


def asked_in_a_process(*arguments: str, before: tuple[str, ...] = ()) -> list[str]:
    command = [*before, sys.executable, "-W", "error", "-c", textwrap.dedent(ASK_THRICE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_a_folder_that_may_only_be_read_is_no_reason_to_fail(tmp_path: Path) -> None:
    tmp_path.joinpath("stack").mkdir(mode=0o555)
    nobody = ("65534",) if os.geteuid() == 0 else ()  # root may write anywhere
    assert asked_in_a_process(str(tmp_path / "stack" / "answers.sqlite"), *nobody) == ["model"] * 8 + ["8"]


def test_a_full_disk_is_no_reason_to_fail(tmp_path: Path) -> None:
    small = f'mount -t tmpfs -o size=500k none {tmp_path} && exec "$0" "$@"'
    inside = ("unshare", "-rm", "sh", "-c", small)
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    said = asked_in_a_process(str(tmp_path / "answers.sqlite"), before=inside)
    assert said[:2] == ["model", "cache"]
    assert len(said) == 9 and int(said[-1]) > 0


class Scripted:
    """A store that takes so many seconds for a call, or fails; and the clock of that, which nothing else moves."""

    threaded = False

    def __init__(self, *seconds: float | Exception) -> None:
        self.script = [*seconds]
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def get(self, key: str, now: float) -> bytes | None:
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        self.now += said

    def put(self, key: str, value: bytes, now: float, seconds: float) -> None:
        self.get(key, now)

    def close(self) -> None: ...


async def test_a_store_that_fails_is_left_aside_for_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Scripted(OSError("the disk is gone"), 0, 0)
    monkeypatch.setattr(cache, "time", store)
    answers = Answers(store, 60)
    for _ in range(4):
        assert await answers.get_or_ask("k", Model(), keep=True) == (b"answer", "model")
    assert len(store.script) == 2 and answers.counts["bypassed"] == 4
    assert "".join(capsys.readouterr()).count("the disk is gone") == 1
    store.now += cache.REST
    await answers.get_or_ask("k", Model(), keep=True)
    assert not store.script and answers.counts["miss"] == 1


async def test_a_store_that_is_slow_twice_in_a_row_is_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "BUDGET", 0.05)
    slow = 0.06
    store = Scripted(slow, 0, slow, slow, 0)
    monkeypatch.setattr(cache, "time", store)
    answers = Answers(store, 60)
    for _ in range(3):
        assert await answers.get_or_ask("k", Model(), keep=True) == (b"answer", "model")
    assert store.script == [0]
    assert answers.counts == {"hit": 0, "miss": 2, "shared": 0, "bypassed": 1}


class Busy:
    """A store on another machine, in which a call stays until the gate opens."""

    threaded = True

    def __init__(self) -> None:
        self.inside, self.gate = threading.Semaphore(0), threading.Event()

    def get(self, key: str, now: float) -> bytes | None:
        self.inside.release()
        self.gate.wait(60)

    def put(self, key: str, value: bytes, now: float, seconds: float) -> None: ...

    def close(self) -> None: ...


async def waiting(answers: Answers, store: Busy) -> list["asyncio.Task[tuple[bytes, Source]]"]:
    """A lookup for each thread, each within the store, and one more in the queue."""
    many = [asyncio.create_task(answers.get_or_ask(f"k{i}", Model(), keep=True)) for i in range(cache.THREADS)]
    for _ in many:
        await asyncio.to_thread(store.inside.acquire, timeout=60)
    many.append(asyncio.create_task(answers.get_or_ask("last", Model(), keep=True)))
    await turns()
    return many


async def test_the_time_in_the_queue_to_a_store_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Busy()
    answers = Answers(store, 60)
    many = await waiting(answers, store)
    monkeypatch.setattr(cache, "BUDGET", 0.0)
    store.gate.set()
    assert {body for body, _ in await asyncio.gather(*many)} == {b"answer"}
    assert (answers.counts["miss"], answers.counts["bypassed"]) == (cache.THREADS, 1)
    monkeypatch.setattr(cache, "BUDGET", 60.0)
    await answers.get_or_ask("next", Model(), keep=True)
    assert answers.counts["miss"] == cache.THREADS + 1, "a queue is no reason to leave a store aside"
    answers.close()


async def test_a_cache_that_is_closed_under_a_request_is_no_reason_to_fail() -> None:
    store = Busy()
    answers = Answers(store, 60)
    many = await waiting(answers, store)
    answers.close()
    store.gate.set()
    assert {body for body, _ in await asyncio.gather(*many)} == {b"answer"}
    assert await answers.get_or_ask("later", Model(), keep=True) == (b"answer", "model")


def test_the_store_is_the_one_that_the_stack_names(tmp_path: Path) -> None:
    assert store_of(CacheSettings(store="off"), tmp_path) is None
    store = store_of(CacheSettings(most=ByteSize(1000)), tmp_path)
    assert isinstance(store, Sqlite)
    store.put("k", b"x", 0, 60)
    assert (tmp_path / "stack" / "answers.sqlite").is_file()
    store.close()


@pytest.mark.parametrize("store", ["memcached", "redis://", "http://127.0.0.1:6379"])
def test_another_store_is_refused(tmp_path: Path, store: str) -> None:
    with pytest.raises(UsageError, match="expected the cache's store to be sqlite, off, or such as redis://"):
        store_of(CacheSettings(store=store), tmp_path)


def test_a_redis_beyond_this_machine_needs_to_be_allowed(tmp_path: Path) -> None:
    far = CacheSettings(store="redis://192.0.2.7/0")
    with pytest.raises(UsageError, match=r"192\.0\.2\.7"):
        store_of(far, tmp_path)
    assert store_of(far, tmp_path, ["192.0.2.7"]) is not None
