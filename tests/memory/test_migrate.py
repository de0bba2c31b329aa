"""Two migrations by one mechanism: another model, another schema; nothing lost, nothing compared across spaces."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import DataError
from openoutcry.memory import indices, rebuild
from openoutcry.memory.arrow import Rows
from openoutcry.memory.folder import Folder
from openoutcry.memory.rebuild import migrate
from openoutcry.memory.record import Memory
from openoutcry.memory.store import Store
from openoutcry.memory.table import SCHEMA, Name
from openoutcry.memory.wanted import Wanted

DAY = datetime.fromisoformat("2022-01-31T21:00")
Make = Callable[..., Memory]
Open = Callable[..., Store]
Embedders = Callable[..., Any]
Older = Callable[[Store, int], Folder]


def ask(store: Store, text: str = "margins fell", mode: str = "hybrid") -> Any:
    return store.recall(Wanted.model_validate({"text": text, "as_of": DAY, "mode": mode}))


def renamed(rows: Rows) -> Rows:
    """The step from the schema of `older` to the next."""
    return rows.rename_columns(["role" if name == "speaker" else name for name in rows.column_names])


def settled(store: Store, space: str) -> None:
    """Wait until the table in force is of the space."""
    until = time.monotonic() + 300
    while store.stats().space != space:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_another_model_embeds_anew_in_the_background(open_store: Open, memory: Make, embedder: Embedders) -> None:
    open_store().add([memory(f"row {i}") for i in range(50)] + [memory("margins fell")])
    said: list[str] = []
    new = embedder("b")
    new.slow = 0.1
    store = open_store(new, said.append)
    assert said == []
    first = ask(store)
    assert first[0].memory.text == "margins fell"
    assert first[0].vector_rank is None
    assert said == ["the embedding model changed: memories are embedded anew in the background"]
    store.add([memory("added meanwhile")])
    settled(store, new.space)
    hits = ask(store)
    assert hits[0].vector_rank == 1
    assert ask(store, "added meanwhile")[0].vector_rank == 1
    assert (store.stats().memories, store.stats().unembedded) == (52, 0)
    assert store.stats().reembedding is None


def test_a_query_is_never_compared_with_another_space(open_store: Open, memory: Make, embedder: Embedders) -> None:
    open_store().add([memory("margins fell"), memory("sales rose")])
    new = embedder("b", dimension=8)
    new.gate = threading.Event()
    store = open_store(new)
    for mode in ("hybrid", "vector", "text"):
        hits = ask(store, mode=mode)
        assert [h.vector_rank for h in hits] == [None]
    new.gate.set()
    store.close()


def test_a_table_put_in_force_while_a_query_is_embedded_is_not_compared_with_it(
    open_store: Open, memory: Make, embedder: Embedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = embedder()
    store = open_store(used)
    store.add([memory("margins fell")])
    embed = used.embed

    def meanwhile(texts: Sequence[str]) -> Any:
        open_store(embedder("b")).reembed(lambda _: None)
        return embed(texts)

    monkeypatch.setattr(used, "embed", meanwhile)
    assert [(h.vector_rank, h.text_rank) for h in ask(store)] == [(None, 1)]


def test_what_goes_while_it_is_counted_is_left_out_of_the_size(
    store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.add([memory("margins fell")])
    size = store.stats().size
    (tmp_path / "memory" / "gone").symlink_to("nowhere")
    (tmp_path / "memory" / "going").mkdir()
    listed = os.scandir

    def vanished(path: Any) -> Any:
        if Path(path).name == "going":
            raise FileNotFoundError(path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", vanished)
    assert store.stats().size == size > 0


def test_reembedding_goes_on_from_where_it_stopped(
    open_store: Open, memory: Make, embedder: Embedders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rebuild, "EMBEDDED", 10)
    open_store().add([memory(f"row {i}") for i in range(100)])
    new = embedder("b")
    store = open_store(new)
    new.gate, new.free = store._background._stop, 2  # pyright: ignore[reportPrivateUsage]  # the third batch awaits it
    ask(store)
    until = time.monotonic() + 300
    while (store.stats().reembedding or (0, 0))[0] < 20:
        assert time.monotonic() < until
        time.sleep(0.01)
    store.close()
    done = new.embedded
    part, total = Store.open(tmp_path / "memory", None, lambda _: None).stats().reembedding or (0, 0)
    assert 20 <= part <= 30
    assert total == 100
    again = embedder("b")
    said: list[str] = []
    open_store(again).reembed(said.append)
    assert again.embedded == 100 - part
    assert said[-1] == "100 of 100 memories carried over"
    assert open_store(again).stats().space == again.space
    assert len(open_store(again).find()) == 100
    assert done >= part


def test_reembed_does_nothing_where_the_space_is_the_same(open_store: Open, memory: Make, embedder: Embedders) -> None:
    used = embedder()
    store = open_store(used)
    store.add([memory("margins fell")])
    before = used.embedded
    store.reembed(lambda _: None)
    assert used.embedded == before
    store.compact(lambda _: None)
    assert used.embedded == before
    assert len(store.find()) == 1


def test_a_store_open_meanwhile_follows_the_pointer(open_store: Open, memory: Make, embedder: Embedders) -> None:
    old = open_store()
    old.add([memory("margins fell")])
    old.recall(Wanted(text="margins", as_of=DAY))
    open_store(embedder("b")).reembed(lambda _: None)
    assert ask(old)[0].vector_rank is None
    assert old.add([memory("by the old model")]) == 1
    new = open_store(embedder("b"))
    assert {h.memory.text: h.vector_rank for h in ask(new)} == {"margins fell": 1}
    assert new.stats().unembedded == 1
    new.reembed(lambda _: None)
    assert new.stats().unembedded == 0
    assert ask(new, "by the old model")[0].vector_rank == 1


def test_adds_and_forgets_meanwhile_hold(
    open_store: Open, memory: Make, embedder: Embedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "EMBEDDED", 10)
    monkeypatch.setattr(indices, "TIDY_AT", 8)
    one = open_store()
    one.add([memory(f"row {i}", source=f"s{i % 5}", run="x") for i in range(120)])
    new = embedder("b")
    new.slow = 0.01
    store = open_store(new)
    ask(store)
    expected = {m.text for m in one.find() if m.source not in ("s1", "s3")}
    for i in range(20):
        one.add([memory(f"late {i}")])
        expected.add(f"late {i}")
        if i in (5, 15):
            one.forget("s1" if i == 5 else "s3")
    store.reembed(lambda _: None)
    assert {m.text for m in store.find()} == expected
    stats = store.stats()
    assert (stats.space, stats.unembedded, stats.memories) == (new.space, 0, len(expected))


def test_close_stops_the_background_promptly(
    open_store: Open, memory: Make, embedder: Embedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "EMBEDDED", 5)
    open_store().add([memory(f"row {i}") for i in range(100)])
    new = embedder("b")
    store = open_store(new)
    new.gate = store._background._stop  # pyright: ignore[reportPrivateUsage]  # every batch awaits it
    ask(store)
    store.close()
    assert new.embedded <= 6, "it went on after the batch at hand"
    assert not [t for t in threading.enumerate() if t.name == "re-embedding"]


def test_an_old_schema_is_brought_up_at_open_with_its_vectors(
    open_store: Open, embedder: Embedders, older: Older, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = older(open_store(), 30)
    monkeypatch.setattr(rebuild, "MIGRATIONS", {SCHEMA - 1: renamed})
    said: list[str] = []
    used = embedder()
    store = open_store(used, said.append)
    assert said[0] == f"bringing the memory from schema {SCHEMA - 1} to {SCHEMA}"
    assert store.stats().schema == SCHEMA
    assert (store.stats().memories, store.stats().unembedded) == (30, 0)
    assert used.embedded == 0
    assert {m.role for m in store.find()} == {"analyst"}
    assert ask(store, "row 7")[0].memory.text == "row 7"
    assert ask(store, "row 7", "vector")[0].memory.text == "row 7"
    assert [n.schema for n in folder.names()] == [SCHEMA]


def test_an_old_schema_without_a_way_up_is_said(open_store: Open, older: Older) -> None:
    older(open_store(), 30)
    with pytest.raises(DataError, match=r"has schema 0, and this release knows no way from it"):
        open_store()


def test_a_migration_killed_half_way_is_done_again(
    open_store: Open, older: Older, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = older(open_store(), 30)
    calls: list[int] = []

    def step(rows: Rows) -> Rows:
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return renamed(rows)

    monkeypatch.setattr(rebuild, "COPIED", 10)
    with pytest.raises(KeyboardInterrupt):
        migrate(folder, lambda _: None, {SCHEMA - 1: step})
    migrate(folder, lambda _: None, {SCHEMA - 1: step})
    assert calls == [10, 10, 10, 10]
    assert len(open_store().find()) == 30


def test_what_a_killed_process_left_is_swept(open_store: Open, memory: Make, tmp_path: Path) -> None:
    store = open_store()
    store.add([memory("margins fell")])
    store.compact(lambda _: None)
    folder = Folder(tmp_path / "memory")
    name = folder.name()
    assert name is not None
    left = Name(SCHEMA, name.space, 0)
    folder.connect().create_table(str(left), folder.open(name).to_arrow())
    assert len(folder.names()) == 2
    open_store()
    assert folder.names() == [name]


def test_one_process_at_a_time_fills_the_next_table(
    open_store: Open, memory: Make, embedder: Embedders, tmp_path: Path
) -> None:
    open_store().add([memory("margins fell")])
    store = open_store(embedder("b"))
    held = Folder(tmp_path / "memory")
    with held.locked("next.lock", 1):
        work = rebuild.Rebuild(Folder(tmp_path / "memory"), lambda _: None, patience=0.05)
        with pytest.raises(DataError, match="another process"):
            work.into(lambda name: Name(SCHEMA, name.space, name.turn + 1))
        assert ask(store)[0].vector_rank is None
    store.reembed(lambda _: None)
    assert ask(store)[0].vector_rank == 1
