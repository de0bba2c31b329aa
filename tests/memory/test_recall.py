"""Recall: nothing known later, every condition met, the better match first, and one of what says the same."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.core.errors import UsageError
from openoutcry.memory import indices
from openoutcry.memory.arrow import arrow
from openoutcry.memory.ranking import Candidate, Found, candidates, rank, recency
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted

DAY = datetime.fromisoformat("2022-01-31T21:00")
MODES = ("hybrid", "vector", "text")
Make = Callable[..., Memory]
Open = Callable[..., Store]


def texts(store: Store, text: str, **more: object) -> list[str]:
    """What is recalled, in order."""
    wanted = Wanted.model_validate({"text": text, "as_of": DAY, **more})
    return [hit.memory.text for hit in store.recall(wanted)]


@pytest.mark.parametrize("mode", MODES)
def test_the_better_match_comes_first(store: Store, memory: Make, mode: str) -> None:
    store.add([memory("gross margins fell at the company"), memory("sales rose"), memory("cash rose")])
    assert texts(store, "why did margins fall", mode=mode)[0] == "gross margins fell at the company"


@pytest.mark.parametrize("mode", MODES)
def test_nothing_known_later_is_found(store: Store, memory: Make, mode: str) -> None:
    moments = [DAY + timedelta(seconds=s) for s in (-3_000_000, -1, 0, 1, 3_000_000)]
    store.add([memory(f"margins {i}", known_at=moment) for i, moment in enumerate(moments)])
    assert set(texts(store, "margins", mode=mode, limit=9)) == {"margins 0", "margins 1", "margins 2"}
    assert texts(store, "", mode=mode) == ["margins 2", "margins 1", "margins 0"]


@given(
    moments=st.lists(
        st.datetimes(datetime.fromisoformat("2021-11-01"), datetime.fromisoformat("2022-03-05")),
        min_size=1,
        max_size=12,
    ),
    pick=st.integers(0, 11),
    step=st.sampled_from([-1, 0, 1]),
)
@settings(max_examples=15)
def test_the_as_of_cuts_to_the_microsecond(
    tmp_path_factory: pytest.TempPathFactory, memory: Make, moments: list[datetime], pick: int, step: int
) -> None:
    as_of = moments[pick % len(moments)] + timedelta(microseconds=step)
    store = Store.open(tmp_path_factory.mktemp("cut") / "memory", None, lambda _: None)
    store.add([memory(f"margins {i}", known_at=m, claim=f"c{i}") for i, m in enumerate(moments)])
    expected = {f"margins {i}" for i, m in enumerate(moments) if m <= as_of}
    assert set(texts(store, "margins", as_of=as_of, limit=20)) == expected
    assert {m.text for m in store.find(as_of=as_of)} == expected
    store.close()


def test_the_first_instant_of_a_month_is_known_then(store: Store, memory: Make) -> None:
    first = datetime.fromisoformat("2022-01-01")
    store.add([memory(f"margins {step}", known_at=first + timedelta(microseconds=step)) for step in (-1, 0, 1)])
    assert set(texts(store, "margins", as_of=first)) == {"margins -1", "margins 0"}
    assert texts(store, "margins", as_of=first - timedelta(microseconds=1)) == ["margins -1"]


def test_each_condition_is_met(store: Store, memory: Make) -> None:
    store.add(
        [
            memory("margins a"),
            memory("margins b", ticker="O'R", trust=Trust.READ),
            memory("margins c", role="risk", kind=Kind.LESSON, trust=Trust.UNTRUSTED),
        ]
    )
    assert len(texts(store, "margins")) == 3
    assert texts(store, "margins", tickers=("O'R",)) == ["margins b"]
    assert set(texts(store, "margins", tickers=("O'R", "AAPL"))) == {"margins a", "margins b", "margins c"}
    assert texts(store, "margins", roles=("risk",)) == ["margins c"]
    assert texts(store, "margins", kinds=(Kind.LESSON,)) == ["margins c"]
    assert texts(store, "margins", trust=Trust.DESK) == ["margins a"]
    assert set(texts(store, "margins", trust=Trust.READ)) == {"margins a", "margins b"}
    assert texts(store, "margins", tickers=("O'R",), kinds=(Kind.LESSON,)) == []


@pytest.mark.parametrize("name", ["AAPL' OR '1'='1", "'; DROP TABLE x; --", "AAPL\\' OR 1=1", '"', "%", "", "\x00"])
def test_a_name_is_never_sql(store: Store, memory: Make, name: str) -> None:
    store.add([memory("margins fell"), memory("margins rose", ticker=name or "x", role=name or "x")])
    assert texts(store, "margins", tickers=(name,)) == (["margins rose"] if name else [])
    assert texts(store, "margins", roles=(name,)) == (["margins rose"] if name else [])


ODD = [
    'a AND (b OR "c',
    "+-&&||!(){}[]^~*?:\\/",
    "margins:* ~2 ^9",
    "😀",
    "中文",
    "\x00",
    "the of and",
    "'",
    "margins " * 20_000,
    " ".join(f"w{i}" for i in range(5_000)),
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("mode", MODES)
def test_any_text_may_be_asked(store: Store, memory: Make, text: str, mode: str) -> None:
    store.add([memory("margins fell"), memory("sales rose 😀 中文")])
    found = texts(store, text, mode=mode)
    assert set(found) <= {"margins fell", "sales rose 😀 中文"}
    if "margins" in text and mode != "vector":
        assert found[0] == "margins fell"


def test_words_find_tickers_numbers_and_stems(store: Store, memory: Make) -> None:
    store.add([memory("BRK.B paid 10.25 per share"), memory("GME margins were running at 1,200"), memory("sales 77")])
    for word, text in (("brk.b", "BRK"), ("10.25", "BRK"), ("gme", "GME"), ("run", "GME"), ("margin", "GME")):
        assert texts(store, word, mode="text")[0].startswith(text)
    assert texts(store, "1,200", mode="text")[0].startswith("GME")
    assert texts(store, "the 77", mode="text") == ["sales 77"]


def test_rows_added_after_the_index_are_found(store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indices, "INDEXED", 300)
    store.add([memory(f"bulk {i}") for i in range(320)])
    store.compact(lambda _: None)
    store.add([memory("zebra crossing"), memory("zebra stripes", ticker="O'R")])
    assert store.stats().unindexed == 2
    for mode in MODES:
        assert texts(store, "zebra crossing", mode=mode)[0] == "zebra crossing"
        assert texts(store, "zebra crossing", mode=mode, tickers=("O'R",)) == ["zebra stripes"]


def test_an_index_finds_what_every_row_compared_finds(
    store: Store, memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indices, "INDEXED", 500)
    monkeypatch.setattr(indices, "PARTITION", 100)
    monkeypatch.setattr(indices, "EXACT", 50)
    rng = np.random.default_rng(3)
    words = [" ".join(f"w{w}" for w in rng.integers(0, 60, 6)) for _ in range(1_500)]
    made = [
        memory(text, known_at=DAY - timedelta(hours=i), ticker=f"T{i % 10}", claim=f"c{i}")
        for i, text in enumerate(words)
    ]
    store.add(made)
    asked = [f"w{i} w{i + 7} w{i + 20}" for i in range(20)]
    cuts = [{}, {"as_of": DAY - timedelta(hours=750)}, {"tickers": ("T3",)}, {"as_of": DAY - timedelta(hours=1_400)}]
    exact = [[store.recall(_vector(text, **cut)) for text in asked] for cut in cuts]
    store.compact(lambda _: None)
    assert store.stats().indexed == 1_500
    for cut, before in zip(cuts, exact, strict=True):
        after = [store.recall(_vector(text, **cut)) for text in asked]
        same = [
            len({h.memory.id for h in a} & {h.memory.id for h in b}) / 10 for a, b in zip(before, after, strict=True)
        ]
        assert np.mean(same) >= 0.95


def _vector(text: str, **more: object) -> Wanted:
    return Wanted.model_validate({"text": text, "as_of": DAY, "limit": 10, "mode": "vector", **more})


def test_lists_are_fused_by_reciprocal_rank(store: Store, memory: Make) -> None:
    store.add([memory("margins fell sharply"), memory("margins"), memory("sales rose")])
    hits = {hit.memory.text: hit for hit in store.recall(Wanted(text="margins fell", as_of=DAY))}
    for hit in hits.values():
        ranks = [r for r in (hit.vector_rank, hit.text_rank) if r]
        assert hit.score == pytest.approx(sum(1 / (2 + r) for r in ranks) * recency(DAY - hit.memory.known_at))
    assert hits["sales rose"].text_rank is None
    assert hits["margins fell sharply"].text_rank


def test_recency_falls_and_never_below_half() -> None:
    assert recency(timedelta(0)) == 1
    assert recency(timedelta(days=-5)) == 1
    assert recency(timedelta(days=1_825)) == pytest.approx(0.75)
    assert recency(timedelta(days=10**6)) >= 0.5


def test_of_equals_the_newer_comes_first_then_the_id(store: Store, memory: Make) -> None:
    store.add(
        [
            memory("margins fell", id="mem-b", claim="1"),
            memory("margins fell", id="mem-a", claim="2", role="risk"),
            memory("margins fell", id="mem-c", claim="3", role="sentiment", known_at=DAY),
        ]
    )
    for mode in MODES:
        found = store.recall(Wanted.model_validate({"text": "margins fell", "as_of": DAY, "mode": mode}))
        assert [h.memory.id for h in found] == ["mem-c", "mem-a", "mem-b"]


def test_skill_weighs_within_bounds(store: Store, memory: Make) -> None:
    store.add([memory("margins fell", role="risk", claim="a"), memory("margins fell", model="other", claim="b")])
    wanted = Wanted(text="margins fell", as_of=DAY)
    plain = {h.memory.role: h.score for h in store.recall(wanted)}
    hits = store.recall(wanted, {("analyst", "other"): 9.0, ("risk", "house"): 0.0})
    assert [h.memory.role for h in hits] == ["analyst", "risk"]
    ranked = store.recall(wanted, {("analyst", "other"): 0.0, ("risk", "house"): 9.0})
    assert [h.memory.role for h in ranked] == ["risk", "analyst"]
    assert set(plain) == {"risk", "analyst"}
    assert ranked[0].score == pytest.approx(plain["risk"] * 2)


@given(
    ranks=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=20),
    factor=st.floats(0, 10),
)
def test_the_order_is_by_score_and_each_score_is_bounded(ranks: list[tuple[int, int]], factor: float) -> None:
    found = [
        Candidate(i, f"m{i}", DAY - timedelta(days=i), ("r", "m"), {"vector": a, "text": b})
        for i, (a, b) in enumerate(ranks)
    ]
    ranked = rank(found, DAY, {("r", "m"): factor})
    assert [c.score for c in ranked] == sorted((c.score for c in found), reverse=True)
    for one in ranked:
        fused = sum(1 / (2 + r) for r in one.ranks.values())
        assert 0.25 * fused <= one.score <= 2 * fused + 1e-12


def test_what_says_the_same_collapses(store: Store, memory: Make) -> None:
    store.add(
        [
            memory("margins fell", id="mem-1", claim="margins fell by {M.growth}", known_at=DAY),
            memory("margins fell again", id="mem-2", claim="margins fell by {M.growth}"),
            memory("margins fell", id="mem-3", claim="another claim"),
            memory("margins fell", id="mem-4", claim="margins fell by {M.growth}", ticker="MSFT"),
            memory("sales rose", id="mem-5", claim="sales"),
        ]
    )
    hits = store.recall(Wanted(text="margins fell", as_of=DAY))
    assert hits[0].memory.id == "mem-1"
    assert set(hits[0].alike) == {"mem-2", "mem-3"}
    assert [h.memory.id for h in hits[1:]] == ["mem-4", "mem-5"]
    assert hits[1].alike == ()


def test_collapsing_leaves_room_for_others(store: Store, memory: Make) -> None:
    store.add([memory("margins fell", id=f"mem-{i:02}", claim="same") for i in range(30)])
    store.add([memory("margins fell slowly and then sales rose", id="mem-x", claim="other")])
    hits = store.recall(Wanted(text="margins fell", as_of=DAY, limit=2))
    assert len(hits) == 2
    assert hits[1].memory.id == "mem-x"
    assert len(hits[0].alike) == 29


def test_a_limit_of_none_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        store.recall(Wanted(text="x", as_of=DAY, limit=0))


def test_a_row_known_later_or_gone_is_left_out_even_of_a_list() -> None:
    about = arrow().table({"id": ["a", "b"], "known_at": [DAY + timedelta(seconds=1), DAY], "_rowid": [1, 2]})
    found = candidates({"text": Found([1, 3, 2], [3.0, 2.0, 1.0])}, about, DAY)
    assert [(c.id, c.ranks) for c in found] == [("b", {"text": 1})]


def test_many_may_recall_while_one_adds(store: Store, memory: Make) -> None:
    store.add([memory("margins fell")])

    def ask(_: int) -> Sequence[str]:
        return texts(store, "margins fell")

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, i) for i in range(24)]
        for i in range(12):
            store.add([memory(f"sales {i}")])
        assert all(future.result()[0] == "margins fell" for future in asked)


def test_two_stores_of_one_folder_see_each_other(open_store: Open, memory: Make, tmp_path: Path) -> None:
    one, other = open_store(), open_store()
    one.add([memory("margins fell")])
    assert texts(other, "margins") == ["margins fell"]
    other.add([memory("margins rose")])
    assert len(texts(one, "margins")) == 2
