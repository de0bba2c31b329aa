"""The desk under load: a thousand questions in flight, a replica that dies, and a real vLLM kept busy.

The questions in flight are asked in a process of its own: `under_load.py HOME COUNT` prints what it took.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from aiohttp import ClientSession
from staged import AS_OF, CHAT, PATIENCE, QUESTION, Stage, answered, overheard, seated, settings, stack_file
from stub import NAME, free_port, stub

from openoutcry import Desk
from openoutcry.core.report import DEGRADED
from openoutcry.interfaces.page import Shown
from openoutcry.serving import roster
from openoutcry.serving.meter import Asked
from openoutcry.serving.running import launch
from openoutcry.serving.stack import load

Line = tuple[str, str, str]
AT_ONCE, AGENTS = 16, 32
NANO = Path(__file__).parent.parent / "serving/nano/base"


def in_flight(stage: Stage, count: int) -> Iterator[Line]:
    """Questions asked all at once, with tools at work; answers are drawn, so that none is shared between questions."""
    with stub(stage.calls, 0.02) as (url, _):
        stack_file(stage.home, url, temperature=1.0, concurrency=256, seconds=PATIENCE)
        command = [sys.executable, __file__, str(stage.home), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        requests = answered(url)
    seconds, lost, half, end, peak = map(float, done.stdout.splitlines()[-1].split())
    yield (
        f"{count:,} questions in flight, stub at 20 ms",
        f"{seconds:.0f} s",
        f"{requests / count:.1f} model requests each",
    )
    yield "    lost, or not answered by the model", f"{lost:.0f}", "goal: none"
    yield "    peak memory", f"{peak:.0f} MB", "goal: under 1,000 MB"
    yield f"    memory at answer {count // 2:,} / {count:,}", f"{half:.0f} / {end:.0f} MB", "goal: flat"


async def asked_at_once(home: Path, count: int) -> None:
    """Ask, and print seconds, how many are lost, and the memory at half, at the end and at its peak, in MB."""
    import resource

    import psutil

    memory: list[float] = []

    class Watched(Desk):
        """A desk that notes its memory at each answer."""

        async def ask(self, text: str, as_of: str | None = None, **options: Any) -> Shown:
            shown = await super().ask(text, as_of, **options)
            memory.append(psutil.Process().memory_info().rss / 1e6)
            return shown

    with Watched(settings(home)) as desk:
        start = time.perf_counter()
        answers = await desk.ask_many([QUESTION] * count, AS_OF, limit=count)
        seconds = time.perf_counter() - start
    whole = [a for a in answers if isinstance(a, Shown) and a.headline and not a.notice]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(seconds, count - len(whole), memory[count // 2 - 1], memory[-1], peak)


def failover(stage: Stage, seconds: float) -> Iterator[Line]:
    """Two replicas, 32 requests at a time, and one replica killed in the midst of it."""
    told: list[tuple[float, Asked]] = []
    with stub(stage.calls, 0.02) as (first, _), stub(stage.calls, 0.02) as (dying, process):
        replicas = [
            roster.Replica(model=NAME, index=i, url=u, state=roster.State.READY) for i, u in enumerate((first, dying))
        ]
        roster.write(stage.home, roster.Roster(replicas=tuple(replicas)))
        options: dict[str, Any] = {"engine": "vllm", "weights": "no/weights", "temperature": 1.0, "concurrency": 64}
        ours = seated(stage.home, meter=lambda asked: told.append((time.perf_counter(), asked)), **options)
        ask = stage.request(ours.models["coordinator"])

        async def one(end: float) -> list[tuple[float, bool]]:
            found: list[tuple[float, bool]] = []
            while (start := time.perf_counter()) < end:
                response = await ask()
                found.append((time.perf_counter() - start, DEGRADED in (response.provider_details or {})))
            return found

        async def load() -> tuple[float, list[tuple[float, bool]]]:
            async with ours.opened():
                end = time.perf_counter() + seconds
                working = [asyncio.create_task(one(end)) for _ in range(32)]
                await asyncio.sleep(seconds / 4)
                process.kill()
                killed = time.perf_counter()
                return killed, [x for worker in working for x in await worker]

        killed, found = asyncio.run(load())
    missed = [when - killed for when, asked in told if asked.url == dying and asked.outcome != "ok"]
    burst = [s for s in missed if s < 0.9]
    typical = statistics.median(took for took, _ in found)
    yield f"failover: {len(found):,} requests, 32 at a time; failed", f"{sum(bad for _, bad in found)}", "goal: 0"
    longest = max(took for took, _ in found)
    yield "    longest request / median", f"{longest * 1000:.0f} / {typical * 1000:.0f} ms", ""
    yield "    until none went to the dead replica", f"{max(burst, default=0) * 1000:.0f} ms", f"{len(burst)} did"
    yield "    later trials whether it is back", f"{len(missed) - len(burst)}", "after 1, 3, 7 ... s"


def throughput(stage: Stage, count: int) -> Iterator[Line]:
    """Generated tokens a second through the full desk, and of the very same requests sent by aiohttp."""
    name = f"tokens/s on a real vLLM, {count} questions, {AT_ONCE} requests at a time"
    python = os.environ.get("OUTCRY_VLLM") or next((str(p) for p in Path().glob(".venv-vllm/bin/python")), "")
    if not python or not NANO.is_dir():
        yield name, "skipped", "no vLLM here, or no nano model"
        return
    with _vllm(stage.home, python) as url:
        stack_file(stage.home, url, max_model_len=4096, max_tokens=512, concurrency=AT_ONCE)
        mine, theirs = asyncio.run(_turns(stage.home, url, _questions(stage.home, count), 1 if count < AGENTS else 3))
    ours, raw = statistics.median(mine), statistics.median(theirs)
    yield f"{name}: desk / raw", f"{ours:.0f} / {raw:.0f}", ""
    yield "    ratio", f"{ours / raw:.2f}", "goal: at least 0.9"


def _questions(home: Path, count: int) -> list[str]:
    with Desk.open(home=home, backend="house") as desk:
        tickers = desk.warehouse().view().tickers
    return [
        f"How risky is {tickers[i % len(tickers)]} over the next {5 + i // len(tickers)} days?" for i in range(count)
    ]


async def _turns(home: Path, url: str, questions: Sequence[str], rounds: int) -> tuple[list[float], list[float]]:
    """Tokens a second of the desk and of raw requests, in turn; each begins with an empty prefix cache."""
    mine: list[float] = []
    theirs: list[float] = []
    for i in range(rounds + 1):
        await _forget(url)
        with overheard() as heard, Desk(settings(home)) as desk:
            start = time.perf_counter()
            await desk.ask_many(questions, AS_OF, limit=AT_ONCE)
            ours = sum(map(_tokens, (h.reply for h in heard))) / (time.perf_counter() - start)
        await _forget(url)
        start = time.perf_counter()
        replies = await _raw(url, [h.body for h in heard])
        raw = sum(map(_tokens, replies)) / (time.perf_counter() - start)
        if i:
            mine.append(ours)
            theirs.append(raw)
        print(f"  {len(heard)} requests: {ours:.0f} / {raw:.0f} tokens/s", file=sys.stderr, flush=True)
    return mine, theirs


async def _raw(url: str, bodies: Sequence[bytes]) -> list[bytes]:
    gate = asyncio.Semaphore(AT_ONCE)
    async with ClientSession(headers={"Content-Type": "application/json"}) as session:

        async def one(body: bytes) -> bytes:
            async with gate, session.post(f"{url}{CHAT}", data=body) as reply:
                return await reply.read()

        return list(await asyncio.gather(*map(one, bodies)))


async def _forget(url: str) -> None:
    await asyncio.to_thread(urlopen, Request(f"{url}/reset_prefix_cache", method="POST"))


def _tokens(reply: bytes) -> int:
    """Generated tokens, as the server counted them; none in an error."""
    usage: dict[str, int] = json.loads(reply).get("usage") or {}
    return usage.get("completion_tokens", 0)


@contextmanager
def _vllm(home: Path, python: str) -> Generator[str]:
    """A vLLM that serves the nano model, once it is healthy."""
    url = f"http://127.0.0.1:{free_port()}"
    options: dict[str, Any] = {
        "engine": "vllm",
        "weights": str(NANO),
        "device": "cpu",
        "dtype": "float32",
        "max_model_len": 4096,
    }
    stack = load(str(stack_file(home, **options, kv_cache="512MB")))
    stack = stack.model_copy(update={"engine": python})
    command = launch.command(stack, stack.models[NAME], url, on_gpu=False)
    environment = {**os.environ, **launch.environment(stack.models[NAME], on_gpu=False), "VLLM_SERVER_DEV_MODE": "1"}
    with (
        (home / "vllm.log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            while not _healthy(url):
                if process.poll() is not None:
                    raise SystemExit((home / "vllm.log").read_text()[-2000:])
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()


def _healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=2) as reply:
            return reply.status == 200
    except (URLError, OSError):
        return False


if __name__ == "__main__":
    asyncio.run(asked_at_once(Path(sys.argv[1]), int(sys.argv[2])))
