"""Debian's Prometheus scrapes a desk and a replica by the files that are shipped, and answers each panel."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from openoutcry.core.report import Dropped, Finding, Kind, NoFinding, Question, Report, StoodIn
from openoutcry.serving import metrics as module
from openoutcry.serving import roster
from openoutcry.serving.looks import FIELDS
from openoutcry.serving.meter import Asked
from openoutcry.serving.metrics import Metrics, Standing
from openoutcry.serving.roster import Replica, Roster, State
from tests.live.box import AS_OF, PATIENCE, Box

GRAFANA = Path(module.__file__).with_name("grafana")
pytestmark = pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Desk:
    """Metrics of a desk that is busy, and of the engine behind it."""

    def __init__(self) -> None:
        self.metrics, self.engine = Metrics(), CollectorRegistry()
        self.lookups = {"hit": 0, "miss": 0}
        self.metrics.watch(lambda: Standing({("nano", "http://127.0.0.1:1"): 2}, {"nano": False}, self.lookups))
        self.counters: list[Counter] = []
        for name in FIELDS:
            kind, plain = (Counter, name.removesuffix("_total")) if name.endswith("_total") else (Gauge, name)
            made = kind(plain, plain, ["model_name"], registry=self.engine)
            made.labels("nano").inc(0.5)
            if isinstance(made, Counter):
                self.counters.append(made)

    def works(self) -> None:
        """Some of everything happens."""
        for counter in self.counters:
            counter.labels("nano").inc(7)
        self.lookups["hit"] += 1
        self.metrics.asked(Asked("risk", "nano", "", 1.0, prompt=9, answer=5, first=0.1, retried=True))
        self.metrics.asked(Asked("risk", "nano", "", 1.0, outcome="ModelGarbled"))
        told: dict[str, Any] = {"question": Question(text="?", kind=Kind.RISK), "as_of": "2022-01-03", "snapshot": "s"}
        findings = (
            NoFinding(role="risk", model="nano", reason="x"),
            Finding(role="analyst", model="nano", claims=("x",)),
        )
        other = StoodIn(role="risk", model="nano", answered="house", reason="x")
        dropped = Dropped(role="risk", claim="x", reason="y")
        timings = {"risk": 1.0, "analyst": 0.1}
        report = Report(run="r", findings=findings, stood_in=(other,), dropped=(dropped,), timings=timings, **told)
        self.metrics.answered(report)


def configure(folder: Path, port: int) -> None:
    """The shipped configuration, pointed at a desk's port, and in a hurry."""
    shipped = (GRAFANA / "prometheus.yml").read_text()
    assert "127.0.0.1:9464" in shipped
    shipped = shipped.replace("9464", str(port)).replace(": 15s", ": 1s")
    (folder / "prometheus.yml").write_text(shipped)


@contextmanager
def running(folder: Path) -> Generator[str]:
    """A Prometheus of its own, by its address."""
    url = f"127.0.0.1:{free()}"
    options = [f"--web.listen-address={url}", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(["prometheus", *options], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://{url}"
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk and a replica that serve their metrics, with the shipped configuration pointed at the desk's port."""
    made, port = Desk(), free()
    made.metrics.serve(port)
    server, thread = start_http_server(0, "127.0.0.1", made.engine)
    replica = Replica(model="nano", index=0, url=f"http://127.0.0.1:{server.server_port}", state=State.READY)
    roster.write(tmp_path / ".outcry", Roster(replicas=(replica,)))
    configure(tmp_path, port)
    yield made
    made.metrics.close()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def prometheus(desk: Desk, tmp_path: Path) -> Iterator[str]:
    """Prometheus over that desk."""
    with running(tmp_path) as url:
        yield url


def asked(prometheus: str, query: str) -> list[Any]:
    """What Prometheus answers now: the samples that are numbers."""
    words = urllib.parse.urlencode({"query": query.replace("$__rate_interval", "30s")})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{words}", timeout=30) as reply:
        told = json.load(reply)
    return [sample for sample in told["data"]["result"] if sample["value"][1] != "NaN"]


async def test_every_panel_shows_something(desk: Desk, prometheus: str) -> None:
    board = json.loads((GRAFANA / "dashboard.json").read_text())
    left = {target["expr"] for panel in board["panels"] for target in panel["targets"]}
    assert len(left) > 20
    deadline = time.monotonic() + PATIENCE
    while left and time.monotonic() < deadline:
        desk.works()
        await asyncio.sleep(1)
        try:
            left -= {query for query in left if await asyncio.to_thread(asked, prometheus, query)}
        except OSError:  # it is not up yet
            continue
    assert not left
    (runs,) = asked(prometheus, "sum(outcry_runs_total)")
    assert float(runs["value"][1]) > 1


NAMED = re.compile(r"\b(?:outcry_|vllm:)[a-z0-9_]+")
QUIET = {
    "outcry_evidence_drops",
    "outcry_first_token_seconds",
    "outcry_parse_failures",
    "outcry_retries",
    "outcry_stood_in",
}
"""What a desk counts only when an answer is streamed, or something fails."""


async def test_a_running_desk_and_a_real_engine_are_scraped(box: Box, tmp_path: Path) -> None:
    """Every metric of the dashboard that needs no failure, of a desk at work on a real vLLM."""
    board = json.loads((GRAFANA / "dashboard.json").read_text())
    exprs = {target["expr"] for panel in board["panels"] for target in panel["targets"]}
    names = {name for expr in exprs for name in NAMED.findall(expr)}
    left = {name for name in names if not name.startswith(tuple(QUIET))}
    assert {name.partition("_")[0].partition(":")[0] for name in left} == {"outcry", "vllm"}
    port = free()
    configure(tmp_path, port)
    (tmp_path / ".outcry").symlink_to(box.home)
    deadline = time.monotonic() + PATIENCE
    with box.desk(metrics=port, cache="sqlite") as desk, running(tmp_path) as prometheus:
        while left and time.monotonic() < deadline:
            await desk.ask("How risky is AAPL over the next 12 days?", AS_OF)
            await asyncio.sleep(1)
            try:
                left -= {name for name in left if await asyncio.to_thread(asked, prometheus, name)}
            except OSError:  # it is not up yet
                continue
    assert not left
