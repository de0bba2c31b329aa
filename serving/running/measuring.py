"""How far the plan is off: what running replicas really take, and hold, against what was predicted for them."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from openoutcry.core.errors import ModelError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.planning.planned import Plan, Planned
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.transport import Transport

PATIENCE = 5.0
"""Seconds that a replica may take to give its metrics."""
_INFO = re.compile(r"^vllm:cache_config_info\{(.*)\} ", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_APPS = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")


class Measure(Frozen):
    """One figure of a replica: what the plan said, what is. Bytes, tokens or sequences, as `what` says."""

    replica: str
    what: str
    predicted: float
    measured: float

    @property
    def error(self) -> float | None:
        """The prediction's error in percent of what was measured, positive where it was too high."""
        return 100 * (self.predicted - self.measured) / self.measured if self.measured else None


def measure(planned: Plan, roster: Roster, transport: Transport) -> list[Measure]:
    """The figures of each ready replica that the plan speaks of; those that cannot be had are left out."""
    ready = [r for r in roster.replicas if r.state is State.READY]
    pages = asyncio.run(_pages(ready, transport))
    names = {model.name: model for model in planned.models}
    return [
        figure
        for replica, page in zip(ready, pages, strict=True)
        if (one := names.get(replica.model)) is not None and one.need is not None
        for figure in _figures(one, replica, page)
    ]


def _figures(one: Planned, replica: Replica, page: str) -> Iterator[Measure]:
    name, need = f"{replica.model}/{replica.index}", one.need
    pids = tree(replica.pid)
    if ram := resident(pids):
        yield Measure(replica=name, what="RAM", predicted=one.ram, measured=ram)
    if one.place == "gpu" and need is not None and (used := gpu_used(pids)):
        yield Measure(replica=name, what="GPU memory", predicted=need.total, measured=used)
    tokens, at_once = held(page)
    if one.tokens and tokens:
        yield Measure(replica=name, what="KV tokens", predicted=one.tokens, measured=tokens)
    if one.full and at_once:
        yield Measure(replica=name, what="sequences", predicted=one.full, measured=at_once)


def tree(pid: int) -> list[int]:
    """The processes of a replica: its server, and all that it started."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except (psutil.Error, ValueError):
        return []


def resident(pids: Sequence[int]) -> int:
    """Bytes of main memory that processes hold together; a page that several share counts once (Linux's PSS)."""
    import psutil

    total = 0
    for pid in pids:
        try:
            info = psutil.Process(pid).memory_full_info()
        except psutil.Error:
            continue
        total += int(getattr(info, "pss", 0) or info.rss)
    return total


def gpu_used(pids: Sequence[int]) -> int:
    """Bytes of GPU memory that processes hold, as nvidia-smi says; 0 where it is missing, or shows none of them."""
    if shutil.which(_APPS[0]) is None:
        return 0
    try:
        done = subprocess.run(_APPS, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    rows = [line.split(",") for line in done.stdout.splitlines()]
    return sum(
        int(row[1]) << 20 for row in rows if len(row) == 2 and row[1].strip().isdecimal() and int(row[0]) in pids
    )


def held(page: str) -> tuple[int, float]:
    """From the metrics of a replica: tokens that its KV cache holds, and sequences of the whole context at once.

    0 where they are not said; an engine that does not name tokens names blocks and their size.
    """
    found = _INFO.search(page)
    labels = dict(_LABEL.findall(found[1])) if found else {}
    tokens = _number(labels, "kv_cache_size_tokens")
    tokens = tokens or _number(labels, "num_gpu_blocks") * _number(labels, "block_size")
    return int(tokens), _number(labels, "kv_cache_max_concurrency")


def _number(labels: dict[str, str], name: str) -> float:
    try:
        return float(labels.get(name, ""))
    except ValueError:
        return 0.0


async def _pages(replicas: Sequence[Replica], transport: Transport) -> list[str]:
    """The metrics of each replica; empty where it does not give them."""

    async def page(replica: Replica) -> str:
        try:
            reply = await transport.get(replica.url, "/metrics", PATIENCE)
        except ModelError:
            return ""
        return reply.body.decode(errors="replace") if reply.status == 200 else ""

    return list(await asyncio.gather(*map(page, replicas)))
