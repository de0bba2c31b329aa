"""This box: the memory, cores and GPUs that models may use, where a container grants less than the machine has."""

import csv
import os
import shutil
import subprocess
from pathlib import Path

from openoutcry.core.evidence import Frozen

CGROUP = Path("/sys/fs/cgroup")
_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")


class Gpu(Frozen):
    """One GPU and its memory in bytes; `free` is what could be had now, 0 where it is not known."""

    name: str
    memory: int
    free: int = 0


class Box(Frozen):
    """What there is to run models on. `ram` and `ram_free` are bytes; `ram_free` is what could be had now."""

    ram: int
    ram_free: int
    cores: int
    gpus: tuple[Gpu, ...] = ()


def box(cgroup: Path = CGROUP) -> Box:
    """The box that this process runs on: the smaller of the machine and of what its control group grants."""
    import psutil

    memory = psutil.virtual_memory()
    granted, used = limit(cgroup)
    ram = min(memory.total, granted or memory.total)
    free = min(memory.available, max(ram - used, 0) if granted else memory.available)
    cores = min(len(os.sched_getaffinity(0)), _quota(cgroup) or psutil.cpu_count() or 1)
    return Box(ram=ram, ram_free=free, cores=cores, gpus=gpus())


def limit(cgroup: Path) -> tuple[int, int]:
    """Bytes of memory that a control group grants and those in use, pages of files left out; 0 where it sets none.

    Both versions of control groups are read.
    """
    for most, now, pages in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        text = _text(cgroup / most)
        if text.isdecimal():
            fields = dict(line.split(" ", 1) for line in _text(cgroup / pages).splitlines() if " " in line)
            cached = _number(fields.get("inactive_file", fields.get("total_inactive_file", "")))
            return int(text), max(_number(_text(cgroup / now)) - cached, 0)
    return 0, 0


def _quota(cgroup: Path) -> int:
    """Whole cores that a control group grants, at least one; 0 where it sets no quota."""
    quota, _, period = _text(cgroup / "cpu.max").partition(" ")
    if not period:
        quota, period = _text(cgroup / "cpu/cpu.cfs_quota_us"), _text(cgroup / "cpu/cpu.cfs_period_us")
    return max(int(quota) // int(period), 1) if quota.isdecimal() and _number(period) else 0


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs, in the order of their numbers; none where nvidia-smi is missing or fails."""
    if shutil.which(_QUERY[0]) is None:
        return ()
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return listed(done.stdout)


def listed(text: str) -> tuple[Gpu, ...]:
    """The GPUs in nvidia-smi's CSV of names, MiB and free MiB; lines without name and size are left out."""
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if len(row) == 3]
    return tuple(
        Gpu(name=name, memory=int(size) << 20, free=_number(free.strip()) << 20)
        for name, size, free in rows
        if size.strip().isdecimal()
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
