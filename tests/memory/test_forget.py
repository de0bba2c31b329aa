"""Forgetting: what stems from a source goes, with all derived from it, and no byte of it stays on disk."""

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import DataError
from openoutcry.memory import forget as forgetting
from openoutcry.memory import indices
from openoutcry.memory.record import Kind, Memory
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted

DAY = datetime.fromisoformat("2022-01-31T21:00")
CANARY = "quetzalcoatlus"
Make = Callable[..., Memory]
Open = Callable[..., Store]


def files(folder: Path) -> list[str]:
    """Every file under the folder, by its path from there. A table written anew has another path."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def files_with(folder: Path, word: str) -> list[str]:
    """The files under the folder that hold the word, as it is or as UTF-16, in any case."""
    found: list[str] = []
    for place, _, names in os.walk(folder):
        for name in names:
            held = Path(place, name).read_bytes().lower()
            if word.lower().encode() in held or word.lower().encode("utf-16-le") in held:
                found.append(name)
    return found


def family(memory: Make) -> list[Memory]:
    """A document's finding, the decision made of it, the lesson of that, and one that has nothing to do with it."""
    return [
        memory(f"{CANARY} sold", id="mem-f", source="gazette", parents=("doc-1",), run="r1"),
        memory("decided", id="mem-d", parents=("mem-f",), kind=Kind.DECISION, run="r2", source="run:r2"),
        memory("learnt", id="mem-l", parents=("mem-d", "mem-o"), kind=Kind.LESSON, run="r3", source="run:r3"),
        memory("other", id="mem-o", run="r4", source="run:r4"),
    ]


@pytest.mark.parametrize(
    ("source", "gone"),
    [
        ("gazette", "dfl"),
        ("doc-1", "dfl"),
        ("mem-f", "dfl"),
        ("mem-d", "dl"),
        ("run:r2", "dl"),
        ("r2", "dl"),
        ("run:r4", "lo"),
        ("r1", "dfl"),
    ],
)
def test_what_stems_from_it_goes_and_nothing_else(store: Store, memory: Make, source: str, gone: str) -> None:
    store.add(family(memory))
    forgotten = store.forget(source)
    assert [name[-1] for name in forgotten.ids] == list(gone)
    assert {m.id[-1] for m in store.find()} == set("dflo") - set(gone)
    assert sum(forgotten.kinds.values()) == len(gone)
    with pytest.raises(DataError, match="nothing in the memory stems from"):
        store.forget(source)


def test_a_source_of_nothing_is_said(store: Store, memory: Make) -> None:
    with pytest.raises(DataError, match=r"stems from 'x': name a publisher, a run"):
        store.forget("x")
    store.add(family(memory))
    for name in ("", "gaz", "' OR 1=1 --", "%"):
        with pytest.raises(DataError):
            store.forget(name)
    assert len(store.find()) == 4


@pytest.mark.parametrize("indexed", [False, True])
def test_no_byte_stays(
    store: Store, memory: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    if indexed:
        monkeypatch.setattr(indices, "INDEXED", 300)
    store.add(family(memory))
    store.add([memory(f"row {i}", parents=("doc-9",)) for i in range(400)])
    store.recall(Wanted(text=CANARY, as_of=DAY))
    store.compact(lambda _: None)
    store.add([memory(f"late {CANARY}", source="gazette", ticker=CANARY.upper(), role=CANARY)])
    assert len(files_with(tmp_path / "memory", CANARY)) >= 2
    before = set(files(tmp_path / "memory"))
    assert store.forget("gazette").kinds == {"decision": 1, "finding": 2, "lesson": 1}
    assert files_with(tmp_path, CANARY) == []
    assert files_with(tmp_path, "gazette") == []
    assert before & set(files(tmp_path / "memory")) == {"lock", "next.lock", "current"}
    assert len(store.find()) == 401
    assert store.recall(Wanted(text=CANARY, as_of=DAY, mode="text")) == []
    assert store.recall(Wanted(text="row 7", as_of=DAY, tickers=("AAPL",)))[0].memory.text == "row 7"
    assert store.stats().indexed == (401 if indexed else 0)


def test_a_killed_forget_is_finished_at_the_next_open(
    open_store: Open, memory: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add(family(memory))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "_purge", killed)
        with pytest.raises(KeyboardInterrupt):
            store.forget("gazette")
    assert files_with(tmp_path, CANARY)
    again = open_store()
    assert files_with(tmp_path, CANARY) == []
    assert [m.id for m in again.find()] == ["mem-o"]
    assert [m.id for m in store.find()] == ["mem-o"]


def test_another_store_follows_a_forget(open_store: Open, memory: Make) -> None:
    one, other = open_store(), open_store()
    one.add(family(memory))
    assert len(other.find()) == 4
    one.forget("gazette")
    assert [m.id for m in other.find()] == ["mem-o"]
    other.add([memory("added after")])
    assert len(one.find()) == 2


def test_a_forget_during_a_compaction_holds(
    open_store: Open, memory: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    store.add(family(memory))
    begun, go_on = threading.Event(), threading.Event()
    build = indices.build

    def slow(table: object, progress: Callable[[str], None]) -> None:
        begun.set()
        go_on.wait(300)
        build(table, progress)

    monkeypatch.setattr(indices, "build", slow)
    compacting = threading.Thread(target=store.compact, args=(print,))
    compacting.start()
    assert begun.wait(300)
    forgetting_thread = threading.Thread(target=other.forget, args=("gazette",))
    forgetting_thread.start()
    while not (tmp_path / "memory" / "forgetting").exists():
        assert forgetting_thread.is_alive()
        forgetting_thread.join(0.01)
    assert [m.id for m in store.find()] in (["mem-o"], ["mem-d", "mem-f", "mem-l", "mem-o"])
    go_on.set()
    compacting.join(300)
    forgetting_thread.join(300)
    assert not compacting.is_alive() and not forgetting_thread.is_alive()
    assert [m.id for m in open_store().find()] == ["mem-o"]
    assert files_with(tmp_path, CANARY) == []


@given(st.lists(st.lists(st.integers(0, 14), max_size=3), min_size=1, max_size=15), st.integers(0, 14))
def test_the_closure_is_all_that_can_be_reached(links: list[list[int]], first: int) -> None:
    children: dict[str, list[str]] = {}
    for child, parents in enumerate(links):
        for parent in parents:
            children.setdefault(str(parent), []).append(str(child))
    reached = {str(first)}
    for _ in range(len(links)):
        reached |= {str(c) for c, ps in enumerate(links) if any(str(p) in reached for p in ps)}
    assert forgetting.closure([str(first)], children) == reached
