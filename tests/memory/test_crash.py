"""A process killed at any moment: what it had been told is written is there, whole, and the memory goes on."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.memory.record import Memory
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted

DAY = datetime.fromisoformat("2022-01-31T21:00")
Make = Callable[..., Memory]
Open = Callable[..., Store]

BUSY = """
import random, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from conftest import HashingEmbedder, make_memory

from openoutcry.memory import indices, rebuild
from openoutcry.memory.store import Store

rebuild.EMBEDDED, rebuild.COPIED, indices.INDEXED, indices.TIDY_AT = 20, 40, 150, 8
life = int(sys.argv[3])
rng, gone = random.Random(life), set()


def say(*words):
    print(*words, flush=True)


say("begun")
store = Store.open(Path(sys.argv[2]), lambda: HashingEmbedder(str(life // 2)), lambda _: None)
say("opened")
for i in range(life * 10_000, life * 10_000 + 10_000):
    match rng.randrange(12):
        case 0:
            store.compact(lambda _: None)
            say("compacted")
        case 1:
            store.reembed(lambda _: None)
            say("embedded")
        case 2 if i % 10_000 > 40 and i // 10 - 3 not in gone:
            gone.add(i // 10 - 3)
            source = f"s{i // 10 - 3}"
            say("forgetting", source)
            store.forget(source)
            say("forgot", source)
        case 3:
            store.add([make_memory(f"row {i} of {n}", id=f"mem-{i}-{n}", source=f"s{i // 10}") for n in range(60)])
            say("added", *(f"mem-{i}-{n}" for n in range(60)))
        case _:
            store.add([make_memory(f"row {i} of 0", id=f"mem-{i}-0", source=f"s{i // 10}")])
            say("added", f"mem-{i}-0")
"""
"""Adds, compacts, embeds anew and forgets without end, and says what is done only when it is."""


def lived(code: str, folder: Path, life: int, lines: int, seconds: float) -> list[list[str]]:
    """What a process had said, a line each, when it was killed *seconds* after its *lines*-th line."""
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), str(life)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(lines)]
    time.sleep(seconds)
    process.kill()
    said, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors, errors
    whole = "".join(first) + said
    return [line.split() for line in whole.splitlines(keepends=True) if line.endswith("\n")]


def promised(said: list[list[str]], added: set[str], doubtful: set[str], gone: set[str]) -> None:
    """Bring up what must be there, what may have gone, and what must be gone, by source for the last two."""
    for what, *names in said:
        if what == "added":
            added.update(names)
        elif what == "forgetting":
            doubtful.update(names)
        elif what == "forgot":
            gone.update(names)


def source_of(name: str) -> str:
    return f"s{int(name.split('-')[1]) // 10}"


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_nothing_told_is_lost(
    open_store: Open, memory: Make, embedder: Callable[..., Any], tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    added, doubtful, gone = set[str](), set[str](), set[str]()
    for life in range(seed * 5, seed * 5 + 5):
        said = lived(BUSY, tmp_path / "memory", life, rng.randrange(2, 60), rng.uniform(0, 0.2))
        promised(said, added, doubtful, gone)
        store = open_store(embedder(str(life // 2)))
        there = {m.id: m for m in store.find()}
        assert {name for name in added if source_of(name) not in doubtful} <= there.keys()
        assert not [name for name in there if source_of(name) in gone]
        for name, found in there.items():
            _, i, n = name.split("-")
            assert found == memory(f"row {i} of {n}", id=name, source=source_of(name))
        if there:
            newest = max(there, key=lambda name: int(name.split("-")[1]))
            hits = store.recall(Wanted(text=there[newest].text, as_of=DAY, limit=50, mode="text"))
            assert newest in {hit.memory.id for hit in hits} | {a for hit in hits for a in hit.alike}
        after = f"mem-{900_000 + life}-0"
        assert store.add([memory("after", id=after)]) == 1
        assert store.forget(after).ids == (after,)
        assert not (tmp_path / "memory" / "forgetting").exists()
        store.close()
    assert added


MIGRATING = """
import sys, time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from conftest import HashingEmbedder

from openoutcry.memory import rebuild
from openoutcry.memory.table import SCHEMA
from openoutcry.memory.store import Store



def renamed(rows):
    return rows.rename_columns([{"speaker": "role"}.get(name, name) for name in rows.column_names])


left = 15 if int(sys.argv[3]) < 2 else 0


def say(text):
    global left
    print("at", text, flush=True)
    left -= 1
    if left == 0:
        time.sleep(600)


rebuild.COPIED, rebuild.MIGRATIONS = 5, {SCHEMA - 1: renamed}
print("begun", flush=True)
Store.open(Path(sys.argv[2]), HashingEmbedder, say)
print("done", flush=True)
"""
"""The first two lives stand still on the way, so that none is through before it can be killed."""


def test_a_migration_killed_at_any_moment_goes_on(
    open_store: Open, memory: Make, tmp_path: Path, older: Callable[..., Any]
) -> None:
    folder, said = older(open_store(), 200), list[list[str]]()
    lives = 0
    while ["done"] not in said:
        said = lived(MIGRATING, tmp_path / "memory", lives, 12, 0.02 * lives)
        lives += 1
        assert lives < 30
    assert lives > 2
    assert {m.text for m in open_store().find()} == {f"row {i}" for i in range(200)}
    assert len(folder.names()) == 1
