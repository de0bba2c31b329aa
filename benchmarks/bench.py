"""`make bench`: speed and memory of the desk, each ratio measured side by side in this one run.

Nothing here is asserted; the goals stand beside the figures. Times are medians of several rounds.
"""

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import embedding
import evaluation
import gate
import local_models
import numeric
import recall
import registry
import retrieval
import rollback
import tuning
from loops import Given, Instant, bare

from openoutcry import Desk
from openoutcry.agents.flow import Floor, answer
from openoutcry.agents.team import Team
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Report
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import fetch
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
    loop = bare(Given(stored, documents), house_models())

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
    for part in (local_models, evaluation, gate, registry, rollback, tuning, embedding, recall, retrieval):
        for line in part.rows():
            row(*line)


if __name__ == "__main__":
    main()
