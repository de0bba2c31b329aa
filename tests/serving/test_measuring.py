"""What replicas really take: real processes with known memory, real pages of metrics."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from openoutcry.serving.planning.box import Box
from openoutcry.serving.planning.plan import plan
from openoutcry.serving.planning.planned import Plan
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running.measuring import Measure, gpu_used, held, measure, resident, tree
from openoutcry.serving.stack import Stack
from openoutcry.serving.transport import Transport
from tests.serving.metrics_double import page, replica

BOX = Box(ram=64 * 10**9, ram_free=0, cores=8)
HOLDS = "import sys, time; held = bytearray(range(256)) * (1 << {shift}); print('held', flush=True); sys.stdin.read()"
SPAWNS = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=sys.stdin)
child.wait()
"""


@pytest.fixture
def process() -> Generator[subprocess.Popen[str]]:
    """A process whose child holds 64 MiB."""
    command = [sys.executable, "-c", SPAWNS, HOLDS.format(shift=18)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "held\n"
        yield started
        assert started.stdin is not None
        started.stdin.close()


def mid() -> Plan:
    """The plan of the model that the page of metrics was written for."""
    shape = {"parameters": 1.6657e8, "layers": 12, "hidden": 1024, "heads": 16, "kv_heads": 4, "head_dim": 64}
    model = {
        "weights": "a/b",
        "device": "cpu",
        "dtype": "float32",
        "max_model_len": 4096,
        "kv_cache": "512MiB",
        "shape": {**shape, "vocabulary": 30522},
    }
    return plan(Stack.model_validate({"models": {"mid": model}}), BOX)


def rostered(url: str, pid: int = 0, state: State = State.READY, model: str = "mid") -> Roster:
    return Roster(replicas=(Replica(model=model, index=0, url=url, state=state, pid=pid),))


def test_a_tree_counts_with_its_children(process: subprocess.Popen[str]) -> None:
    pids = tree(process.pid)
    assert pids[0] == process.pid
    assert len(pids) == 2
    both, own = resident(pids), resident([process.pid])
    assert 64 << 20 < both - own < 96 << 20


def test_a_process_that_is_gone_counts_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert tree(gone.pid) == []
    assert resident([gone.pid]) == 0


def test_shared_pages_count_once() -> None:
    """Five forks of a process that holds 64 MiB do not make 320 MiB."""
    code = (
        "import os, sys\nheld = bytearray(range(256)) * (1 << 18)\n"
        "for _ in range(4):\n    if os.fork() == 0: break\nos.write(1, b'held\\n')\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None
        assert one.stdin is not None
        assert [one.stdout.readline() for _ in range(5)] == ["held\n"] * 5
        pids = tree(one.pid)
        assert len(pids) == 5
        assert 64 << 20 < resident(pids) < 128 << 20
        one.stdin.close()


def test_what_the_page_says_of_the_kv_cache() -> None:
    assert held(page()) == (21760, 5.3125)
    assert held(page(cache="")) == (170 * 128, 0.0)
    assert held("") == (0, 0.0)
    assert held('vllm:cache_config_info{num_gpu_blocks="None",block_size="16"} 1.0\n') == (0, 0.0)


def test_a_ready_replica_is_measured_against_its_plan(process: subprocess.Popen[str]) -> None:
    with replica(page()) as url:
        figures = {f.what: f for f in measure(mid(), rostered(url, process.pid), Transport())}
    assert set(figures) == {"RAM", "KV tokens", "sequences"}
    assert figures["RAM"].replica == "mid/0"
    assert 64e6 < figures["RAM"].measured < 200e6
    assert figures["KV tokens"].predicted == 21845  # 512 MiB / 24,576 bytes
    assert figures["KV tokens"].error == pytest.approx(100 * 85 / 21760, rel=0.01)
    assert figures["sequences"].measured == 5.3125


def test_what_cannot_be_had_is_left_out() -> None:
    with replica("nothing here", status=500) as url:
        assert measure(mid(), rostered(url), Transport()) == []
        assert measure(mid(), rostered(url, os.getpid(), State.STARTING), Transport()) == []
        assert measure(mid(), rostered(url, os.getpid(), model="other"), Transport()) == []
    assert [f.what for f in measure(mid(), rostered(url, os.getpid()), Transport())] == ["RAM"]


def test_the_sign_of_an_error() -> None:
    assert Measure(replica="a", what="RAM", predicted=110, measured=100).error == pytest.approx(10)
    assert Measure(replica="a", what="RAM", predicted=90, measured=100).error == pytest.approx(-10)
    assert Measure(replica="a", what="RAM", predicted=90, measured=0).error is None


def test_gpu_memory_of_these_processes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '10, 1000\\n11, 24\\n12, 5\\n13, [N/A]\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gpu_used([10, 11, 13]) == 1024 << 20
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert gpu_used([10]) == 0
