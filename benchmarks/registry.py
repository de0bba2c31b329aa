"""The registry: how fast a rollback reaches whoever reads the seat, and how often a seat can be read.

`python benchmarks/registry.py` runs alone; nothing here is asserted. Times are medians of several rounds.
"""

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from openoutcry.serving.registry import force, ledger, pointer, seats
from openoutcry.serving.registry.moves import Moves
from openoutcry.serving.registry.pointer import Pointer, Seats
from openoutcry.serving.stack import Stack

ROUNDS, READERS, READS = 15, 8, 20_000
PATIENCE = 5.0
"""Seconds in which every reader is to have seen a rollback."""
Line = tuple[str, str, str]
"""What was measured, the value, and the goal."""


def rollback(home: Path) -> tuple[float, int]:
    """Seconds from the call of a rollback until each of several threads that ask all the time sees who sat before.

    And how many of what they read was neither. Raises TimeoutError where one of them does not see it.
    """
    stack = Stack.model_validate({"models": {n: {"weights": n} for n in ("old", "new")}, "roles": {"risk": "old"}})
    now, there, end = datetime.now(UTC), Seats(home), time.perf_counter() + PATIENCE
    seated = Pointer(champion="new", previous="old", over="old")
    with ledger.writing(home) as told:
        force.moved_to(told, now, ledger.Kind.SWITCHED, ("risk", "", "new", "benchmark"), seated)
    force.mend(home)
    seen, odd = [0.0] * READERS, [0] * READERS

    def ask(reader: int) -> None:
        while not seen[reader] and time.perf_counter() < end:
            champion = seats.standing(stack, "risk", there.of("risk")).champion
            odd[reader] += champion not in ("old", "new")
            if champion == "old":
                seen[reader] = time.perf_counter()
            time.sleep(0.001)

    threads = [threading.Thread(target=ask, args=(reader,)) for reader in range(READERS)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    start = time.perf_counter()
    Moves(stack, home, now, lambda _, name: name, lambda _: "").rollback("risk", "benchmark")
    for thread in threads:
        thread.join()
    if not all(seen):
        raise TimeoutError(f"expected {READERS} readers to see the rollback within {PATIENCE:g} s, got {seen}")
    return max(seen) - start, sum(odd)


def reads(home: Path) -> tuple[float, float]:
    """Reads of a seat a second: as each run reads it, and as a plain read and parse of its JSON."""
    pointer.write(home, "risk", Pointer(champion="new", previous="old", records={"new": "0" * 64}))
    there, file = Seats(home), pointer.folder(home) / "risk.json"
    start = time.perf_counter()
    for _ in range(READS):
        there.of("risk")
    middle = time.perf_counter()
    for _ in range(READS):
        json.loads(file.read_bytes())
    return READS / (middle - start), READS / (time.perf_counter() - middle)


def rows() -> Iterator[Line]:
    """The lines of the table."""
    with tempfile.TemporaryDirectory() as folder:
        found = [rollback(Path(folder) / str(turn)) for turn in range(ROUNDS)]
        ours, plain = reads(Path(folder) / "reads")
    middle, worst = statistics.median(s for s, _ in found), max(s for s, _ in found)
    yield f"rollback, until {READERS} readers see it", f"{middle * 1000:.1f} ms", "goal: under 100 ms"
    yield f"    the slowest of {ROUNDS}", f"{worst * 1000:.1f} ms", ""
    yield "    reads that gave neither", f"{sum(odd for _, odd in found)}", "goal: 0"
    yield "reads of a seat", f"{ours:,.0f} /s", ""
    yield "    a plain read and parse of its JSON", f"{plain:,.0f} /s", ""


if __name__ == "__main__":
    for name, value, goal in rows():
        print(f"{name:<58} {value:>14}   {goal}")
