"""What the desk tells Prometheus, and the files for Prometheus and Grafana that go with it."""

import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from openoutcry.core.report import Dropped, Finding, Kind, NoFinding, Question, Report, StoodIn
from openoutcry.serving import metrics as module
from openoutcry.serving import roster
from openoutcry.serving.meter import Asked
from openoutcry.serving.metrics import Metrics, Standing
from openoutcry.serving.roster import Replica, Roster, State

GRAFANA = Path(module.__file__).with_name("grafana")
REAL = Path(__file__).with_name("vllm_metrics.txt").read_text()
ONE = {"role": "risk", "model": "nano"}


def asked(**more: Any) -> Asked:
    told: dict[str, Any] = {"url": "http://127.0.0.1:1", "seconds": 1.0, **more}
    return Asked("risk", "nano", **told)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def report(**more: object) -> Report:
    question = Question(text="How risky is AAPL?", kind=Kind.RISK, tickers=("AAPL",))
    return Report.model_validate({"run": "r", "question": question, "as_of": "2022-01-03", "snapshot": "s", **more})


def fed() -> Metrics:
    """Metrics with a sample in each."""
    metrics = Metrics()
    metrics.asked(asked(seconds=2.0, prompt=100, answer=20, cached=60, first=0.3))
    metrics.asked(asked(seconds=0.3, outcome="ModelGarbled", retried=True))
    metrics.asked(asked(seconds=0.001, source="cache", prompt=100, answer=20))
    silent = NoFinding(role="risk", model="nano", reason="too slow")
    found = Finding(role="analyst", model="house", claims=("x",))
    dropped = Dropped(role="analyst", claim="x", reason="y")
    other = StoodIn(role="risk", model="nano", answered="house", reason="z")
    timings = {"risk": 3.0, "analyst": 0.1, "coordinator": 0.2, "recall": 9.0}
    metrics.answered(report(findings=(silent, found), dropped=(dropped,), stood_in=(other,), timings=timings))
    metrics.answered(report())
    lookups = {"hit": 3, "miss": 1, "shared": 0, "bypassed": 0}
    metrics.watch(lambda: Standing({("nano", "http://127.0.0.1:1"): 4}, {"nano": True}, lookups))
    return metrics


def test_requests_are_counted_by_outcome_and_source() -> None:
    metrics = fed()
    assert value(metrics, "outcry_requests_total", **ONE, outcome="ok", source="model") == 1
    assert value(metrics, "outcry_requests_total", **ONE, outcome="ok", source="cache") == 1
    assert value(metrics, "outcry_requests_total", **ONE, outcome="ModelGarbled", source="model") == 1
    assert value(metrics, "outcry_parse_failures_total", **ONE, outcome="ModelGarbled") == 1
    assert value(metrics, "outcry_retries_total", **ONE) == 1


def test_times_and_tokens_are_those_of_the_model_alone() -> None:
    metrics = fed()
    assert value(metrics, "outcry_request_seconds_count", **ONE) == 2
    assert value(metrics, "outcry_request_seconds_sum", **ONE) == pytest.approx(2.3)
    assert value(metrics, "outcry_request_seconds_bucket", **ONE, le="0.5") == 1
    assert value(metrics, "outcry_first_token_seconds_sum", **ONE) == 0.3
    tokens = [value(metrics, "outcry_tokens_total", **ONE, kind=kind) for kind in ("prompt", "answer", "cached")]
    assert tokens == [100, 20, 60]


def test_runs_are_counted_by_kind_and_whether_somebody_stood_in() -> None:
    metrics = fed()
    assert value(metrics, "outcry_runs_total", kind="risk", degraded="yes") == 1
    assert value(metrics, "outcry_runs_total", kind="risk", degraded="no") == 1
    assert value(metrics, "outcry_stood_in_total", role="risk") == 1
    assert value(metrics, "outcry_no_findings_total", role="risk") == 1
    assert value(metrics, "outcry_no_findings_total", role="analyst") == 0
    assert value(metrics, "outcry_evidence_drops_total", role="analyst") == 1
    assert value(metrics, "outcry_role_seconds_sum", role="risk") == 3
    assert value(metrics, "outcry_role_seconds_count", role="coordinator") == 1
    assert value(metrics, "outcry_role_seconds_count", role="recall") is None


def test_a_run_is_in_flight_until_it_ends_however_it_does() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError), metrics.in_flight():
        assert value(metrics, "outcry_runs_in_flight") == 1
        raise ValueError
    assert value(metrics, "outcry_runs_in_flight") == 0


def test_what_stands_behind_is_read_when_somebody_looks() -> None:
    outstanding = {("nano", "http://127.0.0.1:1"): 1}
    metrics = Metrics()
    metrics.watch(lambda: Standing(outstanding, {"nano": False}, {"hit": 2}))
    assert value(metrics, "outcry_breaker_open", model="nano") == 0
    assert value(metrics, "outcry_cache_lookups_total", result="hit") == 2
    for count in (1, 5):
        outstanding["nano", "http://127.0.0.1:1"] = count
        assert value(metrics, "outcry_outstanding_requests", model="nano", url="http://127.0.0.1:1") == count


def test_the_process_and_its_version_are_told() -> None:
    metrics = Metrics()
    memory = value(metrics, "outcry_process_resident_memory_bytes")
    assert memory is not None and memory > 10_000_000
    assert value(metrics, "outcry_build_info", version="0.1.0") == 1


def test_two_desks_in_a_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.asked(asked())
    assert value(other, "outcry_requests_total", **ONE, outcome="ok", source="model") is None


def test_they_are_served_on_loopback_alone_until_closed(free_port: int) -> None:
    metrics = fed()
    metrics.serve(free_port)
    page = urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=30).read().decode()
    assert 'outcry_runs_total{degraded="yes",kind="risk"} 1.0' in page
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{free_port}"], capture_output=True, text=True).stdout
    assert listening.split()[3] == f"127.0.0.1:{free_port}"
    metrics.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=30)


def test_a_port_that_is_taken_is_logged_and_no_reason_to_fail(
    free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Metrics(), Metrics()
    first.serve(free_port)
    second.serve(free_port)
    second.asked(asked())
    second.close()
    assert "no metrics are served" in "".join(capsys.readouterr())
    assert urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=30).status == 200
    first.close()


def named(expression: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r"\b(?:outcry_\w+|vllm:\w+)", expression))


def test_every_panel_asks_for_metrics_that_there_are_and_none_is_left_out() -> None:
    samples = {sample.name for family in fed().registry.collect() for sample in family.samples}
    samples |= set(re.findall(r"^(vllm:\w+)", REAL, flags=re.MULTILINE))
    board = json.loads((GRAFANA / "dashboard.json").read_text())
    shown = {name for panel in board["panels"] for t in panel["targets"] for name in named(t["expr"])}
    assert shown <= samples
    ours = {family.name for family in fed().registry.collect() if "_process_" not in family.name}
    missing = {name for name in ours if not any(found.startswith(name) for found in shown)}
    assert not missing


def test_the_scrape_configuration_holds(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    shutil.copy(GRAFANA / "prometheus.yml", tmp_path)
    replica = Replica(model="nano", index=0, url="http://127.0.0.1:8001", state=State.READY)
    roster.write(tmp_path / ".outcry", Roster(replicas=(replica,)))
    checked = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stdout + checked.stderr


def test_prometheus_finds_the_replicas_that_are_ready(tmp_path: Path) -> None:
    states = (State.READY, State.STARTING, State.DRAINING, State.READY)
    urls = ("http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003", "unix:///tmp/nano.sock")
    replicas = [
        Replica(model="nano", index=i, url=url, state=state)
        for i, (url, state) in enumerate(zip(urls, states, strict=True))
    ]
    roster.write(tmp_path / ".outcry", Roster(replicas=tuple(replicas)))
    (jobs,) = [
        job["file_sd_configs"]
        for job in yaml.safe_load((GRAFANA / "prometheus.yml").read_text())["scrape_configs"]
        if job["job_name"] == "vllm"
    ]
    listed = json.loads((tmp_path / jobs[0]["files"][0]).read_text())
    assert listed == [{"targets": ["127.0.0.1:8001"], "labels": {"replica": "nano-0"}}]
