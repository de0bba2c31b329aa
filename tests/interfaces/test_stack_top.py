"""`outcry stack top` as a person calls it, and the watching behind it, over replicas that are real processes."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from openoutcry.core.report import Kind, Question, Report, StoodIn
from openoutcry.interfaces.stack_top import top
from openoutcry.serving import roster
from openoutcry.serving.meter import Asked
from openoutcry.serving.metrics import Metrics, Standing
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running import processes
from openoutcry.serving.running.watching import Watcher
from openoutcry.serving.stack import load
from openoutcry.serving.transport import Transport

STACK = """
[models.nano]
weights = "shipped:nano/base"
device = "cpu"
replicas = { min = 1, max = 2 }
[roles]
analyst = "nano"
"""
BUSY = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"


class Engine:
    """Metrics by vLLM's names, served on loopback."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.counters = {
            name: Counter(f"vllm:{name}", name, registry=self.registry)
            for name in ("prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")
        }
        for name, value in {"num_requests_running": 3, "num_requests_waiting": 14, "kv_cache_usage_perc": 0.42}.items():
            Gauge(f"vllm:{name}", name, registry=self.registry).set(value)
        self.counters["prefix_cache_queries"].inc(200)
        self.counters["prefix_cache_hits"].inc(150)
        self.server, self.thread = start_http_server(0, "127.0.0.1", self.registry)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def home(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stack with a replica that is ready, one that answers nothing, and one that is being started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("openoutcry.serving.running.watching.PATIENCE", 60.0)
    (tmp_path / "stack.toml").write_text(STACK)
    made = tmp_path / "home"
    environment = {"PATH": "", **processes.marks(made)}
    line = [sys.executable, "-c", BUSY]
    child = subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout and child.stdin
    child.stdout.readline()
    gone = "http://127.0.0.1:9"
    replicas = (
        Replica(model="nano", index=0, url=engine.url, state=State.READY, pid=child.pid),
        Replica(model="nano", index=1, url=gone, state=State.READY, pid=child.pid),
        Replica(model="nano", index=2, url=gone, state=State.STARTING, pid=child.pid),
    )
    roster.write(made, Roster(replicas=replicas))
    yield made
    child.communicate(b"\n")


def lines(home: Path, *words: str) -> list[str]:
    """What it prints, line by line."""
    done = CliRunner().invoke(top, ["--once", *words], obj=(None, home))
    if done.exception:
        raise done.exception
    return done.output.splitlines()


async def test_tokens_and_cores_are_counted_from_look_to_look(home: Path, engine: Engine) -> None:
    clock = [100.0]
    transport = Transport()
    watcher = Watcher(load("stack.toml"), home, transport, lambda: clock[0])
    async with transport.opened():
        first = (await watcher.seen())[0]
        assert (first.speed, first.cpu) == (None, None)
        engine.counters["prompt_tokens"].inc(900)
        engine.counters["generation_tokens"].inc(100)
        clock[0] += 4
        second, deaf, starting = await watcher.seen()
    assert second.speed == 250
    assert second.cpu is not None and 0 <= second.cpu < 0.25  # it has little to do but to wait
    assert second.memory is not None and 3e6 < second.memory < 100e6
    assert (deaf.look, deaf.speed, starting.look) == (None, None, None)


def test_there_is_a_line_a_replica(home: Path, engine: Engine) -> None:
    header, *rows = lines(home)
    assert header.split() == "model state url run wait KV prefix tok/s memory cores".split()
    cells = [row.split() for row in rows]
    url = engine.url.removeprefix("http://")
    assert cells[0][:7] == ["nano-0", "ready", url, "3", "14", "42%", "75%"]
    assert cells[1][:4] == ["nano-1", "ready", "127.0.0.1:9", "-"]
    assert cells[2][:4] == ["nano-2", "starting", "127.0.0.1:9", "-"]
    assert len(rows) == 3


@pytest.mark.parametrize("columns", [80, 100])
def test_it_keeps_to_the_width_of_the_terminal(home: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = lines(home)
    assert max(map(len, said)) <= columns
    assert re.search(r"nano-0 +ready +127\.0\.0\.1:\d+ +3 +14 +42% +75%", said[-3])


def test_a_desk_that_serves_its_metrics_is_shown(home: Path, port: int) -> None:
    metrics = Metrics()
    metrics.serve(port)
    question = Question(text="How risky is AAPL?", kind=Kind.RISK)
    other = StoodIn(role="risk", model="nano", answered="house", reason="gone")
    told: dict[str, Any] = {"run": "r", "question": question, "as_of": "2022-01-03", "snapshot": "s"}
    for stood_in in ((), (), (), (other,)):
        metrics.answered(Report(**told, stood_in=stood_in))
    for source in ("model", "cache"):
        metrics.asked(Asked("risk", "nano", "", 1.0, source=source))
    metrics.watch(lambda: Standing({}, {}, {"hit": 1, "miss": 2, "shared": 1, "bypassed": 0}))
    Path("desk.toml").write_text(f'home = "{home}"\nmetrics = {port}\nstack = "stack.toml"\n')
    try:
        with metrics.in_flight():
            said = " ".join(lines(home))
    finally:
        metrics.close()
    assert "desk: 1 runs under way, 4 done, somebody stood in for 25%, 2 requests, 50% from the cache," in said
    assert "no desk serves its metrics" in " ".join(lines(home))


def test_the_house_needs_no_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lines(tmp_path / "home") == ["house rules answer in every role: nothing runs"]


def test_a_stack_that_does_not_run_shows_its_models_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.toml").write_text(STACK)
    assert [row.split()[:3] for row in lines(tmp_path / "home")[1:]] == [["nano-0", "stopped", "-"]]
