"""The store: what is added is there, once, whoever adds it, and is found again by what it is."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Figure, Unit
from openoutcry.memory import indices, writer
from openoutcry.memory.folder import Folder
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.memory.table import memories, rows
from openoutcry.memory.wanted import Wanted, both, known_by, one_of

DAY = datetime.fromisoformat("2022-01-03T21:00")
Make = Callable[..., Memory]
Open = Callable[..., Store]


def test_a_memory_comes_back_as_it_was(store: Store, memory: Make) -> None:
    one = memory(
        "résumé 中文 😀 'quoted' \"twice\" {M.growth}",
        parents=("doc-1", "mem-0"),
        trust=Trust.READ,
        figures={"n": Figure(value=3, unit=Unit.COUNT), "day": Figure(value="2022-01-03", unit=Unit.DATE)},
        known_at=DAY + timedelta(microseconds=1),
        claim="{M.n} on {M.day}",
    )
    assert store.add([one]) == 1
    assert store.find() == [one]
    assert store.get(one.id) == one
    assert type(store.get(one.id).figures["n"].value) is int


@given(
    text=st.text(),
    ticker=st.text(min_size=1),
    value=st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    known_at=st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2200-01-01")),
    names=st.lists(st.text()),
)
def test_a_row_is_the_memory(text: str, ticker: str, value: float | str, known_at: datetime, names: list[str]) -> None:
    figure = Figure(value=value, unit=Unit.TEXT)
    one = Memory(
        kind=Kind.FINDING,
        ticker=ticker,
        role="risk",
        model="m",
        run="r",
        as_of=known_at,
        known_at=known_at,
        source="s",
        parents=tuple(names),
        trust=Trust.DESK,
        claim="c",
        text=text,
        figures={"x": figure},
        details={name: text for name in names},
    )
    assert memories(rows([one], None, 4)) == [one]


def test_what_is_there_is_left_as_it_is(store: Store, memory: Make) -> None:
    first, again = memory("margins fell", id="mem-1"), memory("margins rose", id="mem-1")
    assert store.add([first, first, memory("other", id="mem-2")]) == 2
    assert store.add([again, memory("third", id="mem-3")]) == 1
    assert store.add([]) == 0
    assert store.get("mem-1").text == "margins fell"
    assert len(store.find()) == 3


def test_an_empty_folder_answers_emptily(store: Store, tmp_path: Path) -> None:
    assert store.find() == []
    assert store.recall(Wanted(text="margins", as_of=DAY)) == []
    assert store.stats().memories == 0
    with pytest.raises(UsageError, match="none begins so"):
        store.get("mem-1")
    assert not (tmp_path / "memory" / "current").exists()


def test_a_prefix_names_one_memory(store: Store, memory: Make) -> None:
    store.add([memory("a", id="mem-abc1"), memory("b", id="mem-abc12"), memory("c", id="mem-abd_")])
    assert store.get("abd").text == "c"
    assert store.get("mem-abc1").text == "a"
    with pytest.raises(UsageError, match="2 begin so: mem-abc1, mem-abc12"):
        store.get("abc")
    for none in ("mem-x", "' OR 1=1 --", "%", "abd%", "ab_1"):
        with pytest.raises(UsageError, match="none begins so"):
            store.get(none)


def test_find_filters_and_puts_the_newest_first(store: Store, memory: Make) -> None:
    days = [DAY + timedelta(days=i) for i in range(4)]
    store.add([memory(f"m{i}", known_at=day, run=f"r{i % 2}") for i, day in enumerate(days)])
    store.add([memory("other", ticker="O'R", role="risk", run="r9", kind=Kind.LESSON, known_at=days[1])])
    assert [m.text for m in store.find(limit=2)] == ["m3", "m2"]
    assert {m.text for m in store.find(as_of=days[1])} == {"m0", "m1", "other"}
    assert [m.text for m in store.find(run="r1")] == ["m3", "m1"]
    assert [m.text for m in store.find(tickers=["O'R"])] == ["other"]
    assert [m.text for m in store.find(roles=["risk"], kinds=[Kind.LESSON])] == ["other"]
    assert store.find(tickers=["AAPL' OR '1'='1"]) == []
    assert store.find(limit=0) == []


def test_threads_add_together(store: Store, memory: Make) -> None:
    added: list[int] = []

    def work(name: int) -> None:
        for i in range(10):
            added.append(store.add([memory(f"thread {name} row {i}"), memory("said by all")]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.find()) == sum(added) == 61
    assert store.stats().fragments < 61


def test_processes_add_together(open_store: Open, memory: Make, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import HashingEmbedder, make_memory
from openoutcry.memory.store import Store
store = Store.open(Path(sys.argv[2]), HashingEmbedder, print)
print(sum(store.add([make_memory(f"row {sys.argv[3]} {i}"), make_memory("said by all")]) for i in range(10)))
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "memory")]
    running = [subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(3)]
    added = [int(process.communicate(timeout=300)[0]) for process in running]
    assert len(open_store().find()) == sum(added) == 31


def test_many_commits_stay_few_fragments(store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indices, "TIDY_AT", 8)
    for i in range(30):
        store.add([memory(f"row {i}")])
    assert store.stats().fragments <= 8
    assert len(store.find()) == 30
    assert len(store.recall(Wanted(text="row", as_of=DAY, limit=30, mode="text"))) == 30


def test_a_large_table_folds_its_small_fragments(store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indices, "SMALL", 100)
    monkeypatch.setattr(indices, "INDEXED", 300)
    store.add([memory(f"bulk {i}") for i in range(400)])
    store.compact(lambda _: None)
    monkeypatch.setattr(indices, "TIDY_AT", 8)
    before = store.stats().indexed
    for i in range(20):
        store.add([memory(f"late {i}"), memory("", claim=f"without words {i}")])
    stats = store.stats()
    assert stats.fragments <= 8
    assert stats.indexed == before == 400
    assert stats.unembedded == 20
    for mode in ("vector", "text"):
        found = store.recall(Wanted.model_validate({"text": "late 7", "as_of": DAY, "limit": 40, "mode": mode}))
        assert found[0].memory.text == "late 7"
    assert len(store.find()) == 440


def test_a_large_add_goes_in_slices(store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SLICE", 10)
    assert store.add([memory(f"row {i}") for i in range(35)]) == 35
    assert store.stats().fragments == 4


def test_a_failed_embedding_adds_nothing_and_the_next_add_works(store: Store, memory: Make, tmp_path: Path) -> None:
    class Broken:
        space, dimension, name = "b" * 12, 4, "broken"

        def embed(self, texts: object) -> object:
            raise DataError("no model")

    store.add([memory("before")])
    broken = Store.open(tmp_path / "other", lambda: Broken(), lambda _: None)  # type: ignore[arg-type,return-value]  # a double that fails
    with pytest.raises(DataError, match="no model"):
        broken.add([memory("x")])
    broken.close()
    assert store.add([memory("after")]) == 1


def test_without_an_embedder_words_are_found(tmp_path: Path, memory: Make) -> None:
    store = Store.open(tmp_path / "memory", None, lambda _: None)
    store.add([memory("margins fell"), memory("sales rose")])
    assert [h.memory.text for h in store.recall(Wanted(text="margins", as_of=DAY))] == ["margins fell"]
    assert store.stats().space == "none"
    assert store.stats().unembedded == 2
    store.close()


def test_another_writer_is_waited_for_and_named(store: Store, memory: Make, tmp_path: Path) -> None:
    store.add([memory("first")])
    held = Folder(tmp_path / "memory")
    with held.writing(), pytest.raises(DataError, match="another process has been writing"), held.writing(0.05):
        pass
    with held.writing():
        other = Folder(tmp_path / "memory")
        with pytest.raises(DataError, match="wait until it ends"), other.writing(0.05):
            pass


def test_a_pointer_that_names_nothing_is_said(store: Store, memory: Make, tmp_path: Path) -> None:
    store.add([memory("first")])
    (tmp_path / "memory" / "current").write_text("elsewhere")
    with pytest.raises(DataError, match="to name a table of memories"):
        store.find()
    (tmp_path / "memory" / "current").write_text("memories_s1_abc")
    with pytest.raises(DataError, match="none that can be opened"):
        store.find()
    (tmp_path / "memory" / "current").write_text("memories_s99_abc")
    with pytest.raises(DataError, match=r"has schema 99, and this release reads up to 1"):
        store.find()


def test_a_damaged_file_is_said(store: Store, open_store: Open, memory: Make, tmp_path: Path) -> None:
    store.add([memory("first")])
    for path in (tmp_path / "memory").rglob("data/*.lance"):
        path.write_bytes(path.read_bytes()[:20])
    again = open_store()
    for work in (again.find, again.stats, lambda: again.forget("r1"), lambda: again.add([memory("second")])):
        with pytest.raises(DataError, match="restore it from a copy"):
            work()


def test_the_stats_say_what_is_there(store: Store, memory: Make) -> None:
    store.add([memory("a"), memory("b", ticker="MSFT", kind=Kind.LESSON, trust=Trust.READ, known_at=DAY)])
    stats = store.stats()
    assert (stats.memories, stats.tickers, stats.schema, stats.dimension) == (2, 2, 1, 32)
    assert stats.kinds == {"finding": 1, "lesson": 1}
    assert stats.trust == {"desk": 1, "read": 1}
    assert stats.oldest == stats.newest == DAY
    assert stats.size > 1000
    assert (stats.indexed, stats.unindexed, stats.unembedded) == (0, 2, 0)
    assert stats.reembedding is None
    assert not stats.compact_due


def test_compact_is_due_when_a_table_outgrew_its_index(
    store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indices, "INDEXED", 300)
    store.add([memory(f"row {i}") for i in range(310)])
    assert store.stats().compact_due
    said: list[str] = []
    store.compact(said.append)
    assert said == ["310 of 310 memories carried over", "indexing 310 memories"]
    assert not store.stats().compact_due
    assert store.stats().indexed == 310
    store.add([memory(f"more {i}") for i in range(40)])
    assert store.stats().compact_due


def test_importing_the_store_loads_nothing_heavy() -> None:
    code = "import openoutcry.memory.store, sys; print(sorted({'lancedb', 'torch', 'pandas'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(moment=st.datetimes(datetime.fromisoformat("1600-01-01"), datetime.fromisoformat("2500-01-01")))
def test_a_condition_bounds_any_moment(moment: datetime) -> None:
    told = known_by(moment)
    assert (told == "") == (moment >= datetime.fromisoformat("2262-01-01"))
    assert both("", told, one_of("ticker", ["a'b"])).endswith("ticker IN ('a''b')")
