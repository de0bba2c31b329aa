"""What the serving room costs, against stubs that answer at once: CPU a run beside other loops, latency, cache.

`python benchmarks/local_models.py [--quick]` runs alone. Ratios are of rounds turn about in one process.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import under_load
from aiohttp import ClientSession
from loops import Given, as_stored, bare, langgraph
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.vllm import VLLMProvider
from staged import CHAT, REQUESTS, Rounds, Stage, answered, overheard, seated, turn_about
from stub import NAME, free_port, stub

from openoutcry.agents.team import ROLES
from openoutcry.serving.asking.cache import Answers, key, store_of
from openoutcry.serving.stack import CacheSettings

Line = tuple[str, str, str]
"""What was measured, the value, and the goal."""
OURS, COUNTING = "our models, our flow", "the same in a context of 8,192: three prompts are counted first"
STOCK, LOOP = "stock pydantic-ai models, our flow", "stock pydantic-ai models, bare loop"
GRAPH, NOTHING = "LangGraph", "FunctionModel, bare loop (no requests)"


def cpu(stage: Stage, rounds: int) -> Iterator[Line]:
    """CPU milliseconds of this process a run of ten model requests, by loop."""
    with stub(stage.calls) as (url, _):
        found = asyncio.run(_cpu(stage, url, rounds))
    middle = {name: statistics.median(times) for name, times in found.items()}
    yield f"CPU a run, {REQUESTS} model requests: {OURS}", f"{middle[OURS]:.1f} ms", "goal: at most 70 ms"
    for name in (COUNTING, STOCK, LOOP, GRAPH, NOTHING):
        yield f"    {name}", f"{middle[name]:.1f} ms", ""
    yield "    runs per CPU-second, ours / LangGraph", f"{middle[GRAPH] / middle[OURS]:.2f}x", "goal: at least 1.5x"
    yield "    the same, ours / stock bare", f"{middle[LOOP] / middle[OURS]:.2f}x", "goal: 120 / 70 = 1.7x"


async def _cpu(stage: Stage, url: str, rounds: int) -> Rounds:
    provider = VLLMProvider(base_url=f"{url}/v1", api_key="none")
    stock: dict[str, Model] = {role: OpenAIChatModel(NAME, provider=provider) for role in ROLES}
    given = Given(stage.stored, stage.documents)
    ours, counting = seated(stage.home, url), seated(stage.home, url, max_model_len=8_192)
    works = {
        OURS: stage.flow(ours.models),
        COUNTING: stage.flow(counting.models),
        STOCK: stage.flow(stock),
        LOOP: bare(given, stock),
        GRAPH: langgraph(given, url),
        NOTHING: bare(given, as_stored(stage.stored)),
    }
    async with ours.opened(), counting.opened():
        for name, work in works.items():
            before = answered(url)
            await work()
            made = answered(url) - before
            assert made == (0 if name == NOTHING else REQUESTS), (name, made)
        return await turn_about(works, rounds, time.process_time)


def latency(stage: Stage, rounds: int) -> Iterator[Line]:
    """What a request through a seat takes beyond a bare post of the same body."""
    for seconds in (0.0, 0.02):
        with stub(stage.calls, seconds) as (url, _):
            found = asyncio.run(_latency(stage, url, rounds))
        ours, post = found["seat"], found["post"]
        middle = statistics.median(ours) - statistics.median(post)
        late = statistics.quantiles(ours, n=20)[-1] - statistics.quantiles(post, n=20)[-1]
        name = f"added latency a request, stub at {seconds * 1000:.0f} ms: p50 / p95"
        yield name, f"{middle:.2f} / {late:.2f} ms", "goal: p50 under 5 ms"


async def _latency(stage: Stage, url: str, rounds: int) -> Rounds:
    ours = seated(stage.home, url)
    ask = stage.request(ours.models["coordinator"])
    with overheard() as heard:
        await ask()
    headers = {"Content-Type": "application/json"}
    async with ours.opened(), ClientSession() as session:

        async def post() -> None:
            async with session.post(f"{url}{CHAT}", data=heard[0].body, headers=headers) as reply:
                json.loads(await reply.read())

        return await turn_about({"seat": ask, "post": post}, rounds * 10, time.perf_counter)


def cache(stage: Stage, rounds: int) -> Iterator[Line]:
    """A hit in each store, of an answer as it is kept."""
    answer = json.dumps({"text": "Measured here is {E1.var}. " * 40}).encode()
    yield from _hits("cache hit, SQLite: p50 / p95", CacheSettings(), answer, stage.home, rounds)
    if shutil.which("redis-server") is None:
        yield "cache hit, Redis", "skipped", "no redis-server here"
        return
    with _redis() as url:
        yield from _hits("cache hit, Redis: p50 / p95", CacheSettings(store=url), answer, stage.home, rounds)


def _hits(name: str, settings: CacheSettings, answer: bytes, home: Path, rounds: int) -> Iterator[Line]:
    async def ask() -> bytes:
        return answer

    async def hits(answers: Answers) -> list[float]:
        for i in range(200):
            await answers.get_or_ask(key({"i": i}), ask, keep=True)
        times: list[float] = []
        for i in range(rounds * 100):
            start = time.perf_counter()
            _, source = await answers.get_or_ask(key({"i": i % 200}), ask, keep=True)
            times.append((time.perf_counter() - start) * 1000)
            assert source == "cache"
        return times

    with closing(Answers(store_of(settings, home), 3600)) as answers:
        times = asyncio.run(hits(answers))
    middle, late = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    yield name, f"{middle:.2f} / {late:.2f} ms", "goal: under 1 ms" if "SQLite" in name else ""


@contextmanager
def _redis() -> Generator[str]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            next(line for line in process.stdout if "Ready to accept" in line)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def rows(quick: bool = False) -> Iterator[Line]:
    """Every line: what was measured, the value, the goal."""
    rounds = 3 if quick else 40
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage.set_up(Path(folder))
        yield from cpu(stage, rounds)
        yield from latency(stage, rounds)
        yield from cache(stage, rounds)
        yield from under_load.in_flight(stage, 60 if quick else 1000)
        yield from under_load.failover(stage, 2.0 if quick else 8.0)
        yield from under_load.throughput(stage, 4 if quick else 32)


if __name__ == "__main__":
    for name, value, goal in rows(quick="--quick" in sys.argv[1:]):
        print(f"{name:<66} {value:>18}   {goal}", flush=True)
