"""The box: the smaller of machine and control group, and the GPUs that nvidia-smi names."""

import os
from pathlib import Path

import psutil
import pytest

from openoutcry.serving.planning.box import Gpu, box, gpus, limit, listed


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_without_a_control_group_it_is_the_machine(tmp_path: Path) -> None:
    found = box(tmp_path)
    assert found.ram == psutil.virtual_memory().total
    assert 0 < found.ram_free <= found.ram
    assert found.cores == len(os.sched_getaffinity(0))


def test_a_container_grants_less_than_the_machine(tmp_path: Path) -> None:
    stat = "anon 5\ninactive_file 100000000\n"
    put(tmp_path, memory_DOT_max="1000000000\n", memory_DOT_current="400000000\n", memory_DOT_stat=stat)
    put(tmp_path, cpu_DOT_max="100000 100000\n")
    found = box(tmp_path)
    assert (found.ram, found.ram_free, found.cores) == (1_000_000_000, 700_000_000, 1)


def test_half_a_core_is_one_and_no_quota_is_the_machine(tmp_path: Path) -> None:
    assert box(put(tmp_path / "half", cpu_DOT_max="50000 100000")).cores == 1
    assert box(put(tmp_path / "none", cpu_DOT_max="max 100000")).cores == len(os.sched_getaffinity(0))


def test_a_limit_beyond_the_machine_grants_no_more_than_it_has(tmp_path: Path) -> None:
    put(tmp_path, memory_DOT_max=str(2**62), memory_DOT_current="0", cpu_DOT_max="99999900000 100000")
    found = box(tmp_path)
    assert found.ram == psutil.virtual_memory().total
    assert found.cores == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["max\n", "", "much"])
def test_no_memory_limit(tmp_path: Path, text: str) -> None:
    assert limit(put(tmp_path, memory_DOT_max=text)) == (0, 0)


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    put(tmp_path, memory__memory_DOT_limit_in_bytes="800", memory__memory_DOT_usage_in_bytes="300")
    put(tmp_path, memory__memory_DOT_stat="total_inactive_file 50\n")
    assert limit(tmp_path) == (800, 250)
    put(tmp_path, cpu__cpu_DOT_cfs_quota_us="100000", cpu__cpu_DOT_cfs_period_us="100000")
    assert box(tmp_path).cores == 1


def test_gpus_by_name_and_mebibytes() -> None:
    said = 'NVIDIA H100 80GB HBM3, 81559, 8000\n"Odd, with a comma", 24564, [N/A]\n'
    said += "No devices were found\nBroken, [N/A], [N/A]\n"
    assert listed(said) == (
        Gpu(name="NVIDIA H100 80GB HBM3", memory=81559 * 2**20, free=8000 * 2**20),
        Gpu(name="Odd, with a comma", memory=24564 * 2**20),
    )


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'NVIDIA L4, 23034, 22000'", 1),
        ("echo 'NVIDIA-SMI has failed' >&2; exit 9", 0),
        ("exit 0", 0),
    ],
)
def test_nvidia_smi_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: int) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert len(gpus()) == found


def test_without_nvidia_smi_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == ()
