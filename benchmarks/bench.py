"""`make bench`: speed and memory of the desk, each ratio measured side by side in this one run.

Nothing here is asserted; the goals stand beside the figures. Times are medians of several rounds.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import embedding
import numeric
import recall
import retrieval
from pydantic_ai import Agent, RunContext, Tool, UsageLimits

from openoutcry import Desk
from openoutcry.agents.bundle import Bundle
from openoutcry.agents.flow import Floor, answer
from openoutcry.agents.questions import ROLES as SEATS
from openoutcry.agents.reader import Reading
from openoutcry.agents.replay import Kept
from openoutcry.agents.sentiment import read_documents
from openoutcry.agents.team import ROLES, Team
from openoutcry.agents.workbench import Workbench, summary
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import NotDone, Report
from openoutcry.tools.arguments import model_of, purpose
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import Document, fetch
from openoutcry.wiring import house_models

QUESTION, AS_OF = "How risky is AAPL over the next 10 days?", "2022-06-30"
ROUNDS = 30


def row(name: str, value: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"{name:<58} {value:>14}   {goal}", flush=True)


def outcry(home: Path, *arguments: str) -> float:
    """Seconds of one command, in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "openoutcry.cli", "--home", str(home), *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def imports(statement: str) -> tuple[float, int]:
    """Seconds and modules that *statement* costs a fresh interpreter, over an empty one."""
    code = f"import sys, time; n = len(sys.modules); t = time.perf_counter(); {statement}; "
    code += "print(time.perf_counter() - t, len(sys.modules) - n)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    found = [r.stdout.split() for r in runs]
    return statistics.median(float(s) for s, _ in found), int(found[0][1])


class Instant(Kept):
    """Tool answers from a stored run, so that no tool's own work is timed; documents are still read one by one."""

    def __init__(self, bundle: Bundle, documents: list[Document]) -> None:
        super().__init__(bundle)
        self._documents = documents

    async def call(
        self, eid: str, bench: Workbench, function: Callable[..., Any], arguments: Any
    ) -> Evidence | NotDone:
        """The stored answer, after the readings that it took."""
        if function is read_documents:
            await asyncio.gather(*(bench.read("AAPL", d) for d in self._documents))
        return await super().call(eid, bench, function, arguments)


def bare(stored: Bundle, documents: list[Document]) -> Callable[[], Awaitable[None]]:
    """The same requests and tool answers through pydantic-ai's Agents alone: no evidence ids, checks or record."""
    models = house_models()
    reader = Agent(models["reader"], output_type=Reading, instructions=ROLES["reader"].instructions)
    kept = {(r.tool, r.asked): r for r in stored.results.values()}
    prompts = {c.role: c.prompt for c in stored.calls if len(c.prompt) == 2}

    def tool(function: Callable[..., Any]) -> Tool[Any]:
        shape = model_of(function)

        async def call(ctx: RunContext[Any], **arguments: Any) -> dict[str, Any]:
            values = shape.model_validate(arguments)
            if function is read_documents:
                texts = (
                    {"company": "AAPL", "filed_under": d.ticker, "kind": d.kind, "text": d.words} for d in documents
                )
                await asyncio.gather(*(reader.run(json.dumps(t)) for t in texts))
            given = {k: getattr(values, k) for k in type(values).model_fields}
            found = kept[(function.__name__, json.dumps(given, sort_keys=True, default=str))]
            return summary(found) if isinstance(found, Evidence) else {"not_computed": found.reason}

        name, schema = function.__name__, shape.model_json_schema()
        return Tool[Any].from_schema(call, name, purpose(function), schema, takes_ctx=True)

    agents = {
        name: Agent(
            models[name],
            output_type=role.output,
            instructions=role.instructions,
            tools=[tool(f) for f in role.tools_for(stored.report.question.kind)],
        )
        for name, role in ROLES.items()
        if name != "reader"
    }
    seats = SEATS[stored.report.question.kind]
    limits = UsageLimits(request_limit=8, tool_calls_limit=20)

    async def run() -> None:
        asked = (agents[s].run(prompts[s][-1]["content"], usage_limits=limits) for s in seats)
        await asyncio.gather(*asked)
        await agents["coordinator"].run(prompts["coordinator"][-1]["content"], usage_limits=limits)

    return run


def framework(desk: Desk) -> None:
    """CPU milliseconds a run: the desk's flow, and the bare loop, turn about."""
    desk.ask_sync(QUESTION, AS_OF)
    stored = desk.load("last")
    view = desk.warehouse().view()
    tone = next(r for r in stored.results.values() if r.tool == "read_documents")
    assert isinstance(tone, Evidence)
    documents, _ = fetch(view, list(tone.arguments["documents"]))
    detached = View.detached(view.as_of, view.snapshot)
    team = Team(house_models(), 60)
    loop = bare(stored, documents)

    async def ours() -> Report:
        floor = Floor("bench", detached, team, Instant(stored, documents))
        return await answer(stored.report.question, floor)

    async def turn_about() -> tuple[list[float], list[float]]:
        mine: list[float] = []
        theirs: list[float] = []
        for i in range(ROUNDS + 3):
            for work, kept in ((ours, mine), (loop, theirs)):
                start = time.process_time()
                await work()
                if i >= 3:
                    kept.append((time.process_time() - start) * 1000)
        return mine, theirs

    mine, theirs = asyncio.run(turn_about())
    a, b = statistics.median(mine), statistics.median(theirs)
    requests = len(stored.calls)
    row(f"framework CPU of a house run ({requests} model requests)", f"{a:.1f} ms")
    row("bare pydantic-ai loop making the same calls", f"{b:.1f} ms")
    row("ratio", f"{a / b:.2f}x", "goal: at most 1.5x")


def concurrent(home: Path) -> None:
    """A hundred questions at once, in a process of its own."""
    code = f"""
import asyncio, resource, time
from openoutcry import Desk
desk = Desk.open(home={str(home)!r})
desk.ask_sync({QUESTION!r}, {AS_OF!r})
start = time.perf_counter()
answers = asyncio.run(desk.ask_many([{QUESTION!r}] * 100, {AS_OF!r}, limit=100))
seconds = time.perf_counter() - start
assert all(getattr(a, "headline", "") for a in answers)
print(100 / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    speed, memory = map(float, done.stdout.split())
    row("100 concurrent house runs", f"{speed:.1f} runs/s")
    row("    peak memory", f"{memory:.0f} MB")


def sandbox(desk: Desk) -> None:
    """A statement of a model's, in a fresh worker and in a warm one."""
    view = desk.warehouse().view()
    times: list[float] = []
    for _ in range(6):
        start = time.perf_counter()
        view.sql("SELECT ticker, avg(adj_close) FROM prices GROUP BY ticker ORDER BY ticker")
        times.append(time.perf_counter() - start)
        time.sleep(0.6)
    row("sql tool, first statement", f"{times[0] * 1000:.0f} ms")
    row("sql tool, warm worker", f"{statistics.median(times[1:]) * 1000:.0f} ms")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        took = outcry(home, "ingest", "--sample")
        row("outcry ingest --sample", f"{took:.2f} s")
        cold = statistics.median(outcry(home, "ask", QUESTION, "--as-of", AS_OF) for _ in range(5))
        row("outcry ask, cold (a new process)", f"{cold:.2f} s")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        row("peak memory of make run (ingest and ask)", f"{peak:.0f} MB", "goal: under 1,500 MB")
        for statement in ("import openoutcry", "from openoutcry import Desk"):
            seconds, modules = imports(statement)
            row(statement, f"{seconds * 1000:.1f} ms", f"{modules} modules")
        with Desk.open(home=home) as desk:
            desk.ask_sync(QUESTION, AS_OF)
            warm: list[float] = []
            for _ in range(10):
                start = time.perf_counter()
                desk.ask_sync(QUESTION, AS_OF)
                warm.append(time.perf_counter() - start)
            row("outcry ask, warm (in one process)", f"{statistics.median(warm) * 1000:.0f} ms")
            framework(desk)
            sandbox(desk)
        concurrent(home)
        numeric.screen(row)
        numeric.book(row)
        numeric.each_tool(row, home)
    for part in (embedding, recall, retrieval):
        for line in part.rows():
            row(*line)


if __name__ == "__main__":
    main()
