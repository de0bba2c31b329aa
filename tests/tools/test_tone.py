"""Tone: copies collapse, no publisher outweighs the others, and one outlier moves nothing far."""

import statistics
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import NotComputed
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import Document, fetch
from openoutcry.tools.tone import PER_SOURCE, TONES, Read, capped, document_tone, without_copies

Row = dict[str, Any]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]
START = datetime(2020, 5, 1, 12)  # noqa: DTZ001  # stored moments carry no zone and are UTC


def story(number: int, body: str = "", publisher: str = "Wire", title: str = "") -> Document:
    return Document(
        id=f"doc-{number:012}",
        ticker="AAA",
        kind="news",
        publisher=publisher,
        title=title,
        body=body or " ".join(f"w{number}x{i}" for i in range(20)),
        known_at=START + timedelta(hours=number),
    )


STORY = "Apple cut its forecast for the March quarter because plants in China reopened more slowly than planned"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (STORY, True),
        (STORY.upper() + "!!!", True),
        (f"(Reuters) {STORY}", True),
        (STORY.replace("plants in China", "factories in Asia"), False),
        ("Apple cut its forecast", False),
        ("Nothing of that kind was ever said by anyone at all", False),
    ],
)
def test_copies_of_one_story_count_once_and_the_earliest_stays(other: str, same: bool) -> None:
    documents = [story(3, other), story(1, STORY), story(2, publisher="Other")]
    kept = [d.id[-1] for d in without_copies(documents)]
    assert kept == (["2", "1"] if same else ["3", "2", "1"])


def test_short_texts_are_copies_only_when_equal() -> None:
    documents = [story(1, "Up."), story(2, "up"), story(3, "Down"), story(4, "up up")]
    assert [d.id[-1] for d in without_copies(documents)] == ["4", "3", "1"]


@given(st.permutations([story(i, STORY if i % 3 else "") for i in range(7)]))
def test_the_order_of_arrival_changes_nothing(documents: list[Document]) -> None:
    assert [d.id[-1] for d in without_copies(documents)] == ["6", "3", "1", "0"]


def test_no_publisher_speaks_more_often_than_its_cap() -> None:
    loud = [story(i, publisher=("Loud", "LOUD")[i % 2]) for i in range(9)]
    quiet = [story(20 + i, publisher=f"Quiet {i}") for i in range(4)]
    kept = capped([*loud, *quiet])
    assert kept == [*loud[:PER_SOURCE], *quiet]
    assert Counter(d.source_key for d in kept).most_common(1)[0][1] == PER_SOURCE


@pytest.fixture(scope="module")
def rows(make_home: MakeHome, view_of: ViewOf) -> tuple[View, Any]:
    view = view_of(make_home(documents=[{"ticker": "AAA", "published": "2020-05-01", "body": "x"}]))
    return view, fetch(view, ["doc-0"])[1]


TONE = st.sampled_from(sorted(TONES))


@given(own=st.lists(TONE, max_size=9), market=st.lists(TONE, max_size=5), unread=st.integers(0, 3))
def test_the_tone_is_the_median_and_the_market_has_its_own(
    rows: tuple[View, Any], own: list[str], market: list[str], unread: int
) -> None:
    reads = [Read(story(i), tone, "subject") for i, tone in enumerate(own)]
    reads += [Read(story(20 + i), tone, "market") for i, tone in enumerate(market)]
    reads.append(Read(story(50), "very_negative", "other"))
    distinct = len(reads) + unread + 2
    view, found = rows
    if not own and not market:
        with pytest.raises(NotComputed, match="none was judged relevant"):
            document_tone(view, "AAA", distinct + 4, distinct, reads, unread, found)
        return
    evidence = document_tone(view, "AAA", distinct + 4, distinct, reads, unread, found)
    expected: dict[str, Any] = {"copies": 4, "capped": 2}
    values, around = ([TONES[tone] for tone in tones] for tones in (own, market))
    if own:
        expected |= {"tone": statistics.median(values), "spread": pytest.approx(statistics.pstdev(values))}
        expected |= {"positive": sum(v > 0 for v in values), "negative": sum(v < 0 for v in values)}
        expected |= {"neutral": values.count(0), "relevant": len(values)}
    if market:
        expected |= {"market_tone": statistics.median(around), "market": len(around)}
    shown = {name: figure.value for name, figure in evidence.figures.items()}
    assert shown == {**expected, "ticker": "AAA", "newest": "2020-05-03"}
    gaps = [f"{unread} of {distinct} documents: the reader gave no valid reading"] if unread else []
    gaps += [] if own else ["AAA tone: none of the documents read is about the company itself"]
    assert evidence.missing == tuple(gaps)


def test_nothing_relevant_is_no_neutral_tone(rows: tuple[View, Any]) -> None:
    view, found = rows
    reads = [Read(story(1), "positive", "other")]
    with pytest.raises(NotComputed, match=r"needs a document about AAA .*; of 3 read, none was judged relevant"):
        document_tone(view, "AAA", 3, 3, reads, 2, found)


def test_the_evidence_names_documents_and_carries_no_text(rows: tuple[View, Any]) -> None:
    view, found = rows
    reads = [Read(story(1, STORY, "Wire Service", "A title"), "positive", "subject")]
    evidence = document_tone(view, "AAA", 1, 1, reads, 0, found)
    assert evidence.arguments["documents"] == ["doc-000000000001"]
    assert not any(private in evidence.model_dump_json() for private in (STORY, "Wire Service", "A title"))
