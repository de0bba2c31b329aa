import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import BadFile, DataError, UsageError
from openoutcry.eval import corpus, near
from openoutcry.eval.near import overlaps
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.suite import Suite, load, shipped
from openoutcry.training import nano_data

ASKED = "Compute the one-day value at risk of Bavcor at 99% confidence from its own returns, please."
BODY = (
    "Bavcor said on Tuesday that margins at its foundry fell for a third quarter. Orders from shipyards dried up, "
    "and the board put off the kiln that it had promised to lenders in spring. Nobody was hurt."
)
OTHER = "A recipe for bread: flour, water, salt and patience; knead it well and let it rest until morning comes."
WORD = r"[^\W\d_]+|\d[\d.,]*"
ROTATIONS = {"dev": "", "gate": "2026-11", "sealed": "2026Q4"}
MOST = 0
"""Texts of one set of a shipped suite that may overlap another set."""


def case(name: str = "one", question: str = ASKED, **more: Any) -> Scenario:
    given = {"id": name, "category": "c", "seat": "risk", "expect": {"abstain": False}, "question": question}
    return Scenario.model_validate({**given, **more})


def suite(*cases: Scenario, beside: Path = Path()) -> Suite:
    return Suite("trial", "gate", "2026-11", cases or (case(),), beside)


@pytest.fixture
def reading(tmp_path: Path) -> Suite:
    """A suite whose case reads a document."""
    row = {"ticker": "BAVCOR", "published_at": "2020-01-02", "body": BODY, "title": "Foundry"}
    (tmp_path / "news.jsonl").write_text(json.dumps(row) + "\n")
    return suite(
        case(question="How does the news read for Bavcor today?", fixture={"files": ["news.jsonl"]}), beside=tmp_path
    )


def found(text: str, *suites: Suite) -> list[tuple[str, str]]:
    return [(one.scenario, one.part) for one in overlaps([("row 1", text)], suites or (suite(),))]


def pieces(one: Suite) -> list[tuple[str, str]]:
    """What the cases of a suite ask and read, once each; those too short to be compared left out."""
    told = {text: f"{scenario.id} {part}" for scenario, part, text in near.texts(one)}
    return [(source, text) for text, source in told.items() if len(re.findall(WORD, text)) >= near.RUN]


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        ASKED.upper(),
        ASKED.replace("Bavcor", "Zanzen").replace("99", "97.5"),
        ASKED.replace("Bavcor", "AAPL"),
        "  ".join(ASKED.split()).replace(",", " -"),
        f"{OTHER} {ASKED} {OTHER}",
        ASKED.replace(", please", ""),
    ],
)
def test_a_copy_is_found_however_it_is_dressed(text: str) -> None:
    assert found(text) == [("one", "question")]


@pytest.mark.parametrize("text", [OTHER, ASKED[:40], "What is the volatility of Bavcor over the last sixty sessions?"])
def test_what_is_something_else_is_not(text: str) -> None:
    assert found(text) == []


def test_documents_count_in_whole_and_in_part(reading: Suite) -> None:
    assert found(BODY, reading) == [("one", "document")]
    assert found(f"{OTHER} {BODY.replace('Bavcor', 'Kalila')}", reading) == [("one", "document")]
    assert found(BODY[:170], reading) == [("one", "document")]
    assert found(OTHER, reading) == []


@pytest.mark.parametrize("name", ["news.csv", "news.CSV", "news.JSONL", "news.parquet"])
def test_documents_count_in_whatever_file_ingest_takes_them_from(tmp_path: Path, name: str) -> None:
    rows = [{"symbol": "BAVCOR", "Published at": "2020-01-02", "Body": BODY, "title": "Foundry"}]
    if name.endswith("parquet"):
        pq: Any = import_module("pyarrow.parquet")
        pq.write_table(import_module("pyarrow").Table.from_pylist(rows), tmp_path / name)
    elif name.lower().endswith("csv"):
        (tmp_path / name).write_text(f'ticker,published,Body\nBAVCOR,2020-01-02,"{BODY}"\n')
    else:
        (tmp_path / name).write_text(json.dumps(rows[0]))
    (tmp_path / "prices.csv").write_text("ticker,date,close\nBAVCOR,2020-01-02,9\n")
    read = case(question="How does the news read for Bavcor today?", fixture={"files": ["prices.csv", name]})
    assert found(BODY, suite(read, beside=tmp_path)) == [("one", "document")]
    assert found(OTHER, suite(read, beside=tmp_path)) == []


def test_a_row_of_documents_that_cannot_be_read_is_an_error(reading: Suite) -> None:
    with (reading.beside / "news.jsonl").open("a") as file:
        file.write('{"body": "cut off\n')
    with pytest.raises(DataError, match="found line 2: not JSON"):
        found(OTHER, reading)


def test_made_up_documents_count() -> None:
    one = set_of("sentiment", "dev")
    source, text = next((s, t) for s, t in pieces(one) if s.endswith("document"))
    assert [o.part for o in overlaps([(source, text)], [one])] == ["document"]


def test_conversations_count_as_a_whole_where_turns_are_short() -> None:
    said = ("And the drawdown?", "Since when?", "Why so?")
    turns = [{"question": words, "expect": {"abstain": False}} for words in said]
    chat = suite(case(question="", turns=turns, expect={}))

    assert found(" ".join(said), chat) == [("one", "question")]
    assert found(f"{OTHER} Since when? {OTHER}", chat) == []


def test_a_short_question_overlaps_as_a_sentence_and_not_within_one() -> None:
    short = suite(case(question="What do you think of Bavcor?"))

    assert found(f"{OTHER} What do you think of ZANZEN? {OTHER}", short) == [("one", "question")]
    assert found(json.dumps({"question": {"text": "What do you think of Zanzen", "kind": "news"}}), short)
    assert found("What do you think of Zanzen next to its average?", short) == []


def test_each_suite_names_its_nearest_case() -> None:
    both = suite(case("far", ASKED.replace("its own returns", "a normal law")), case("near"))
    other = Suite("other", "sealed", "2026Q4", (case("third"),))
    one, two = overlaps([("row 1", ASKED)], [both, other])

    assert (one.scenario, one.suite, one.contained, one.jaccard) == ("near", "trial gate 2026-11", 1.0, 1.0)
    assert (two.scenario, two.suite, two.source) == ("third", "other sealed 2026Q4", "row 1")


@given(st.lists(st.sampled_from(ASKED.split()), min_size=6, max_size=30))
def test_a_text_overlaps_itself(words: list[str]) -> None:
    text = " ".join(words)
    try:
        one = suite(case(question=text))
        assert found(f"{OTHER} {text}. {OTHER}", one)
    except DataError as error:
        assert "words" in str(error)


@pytest.mark.parametrize("text", ["", "   ", "?!", "How risky is it?"])
def test_a_text_too_short_to_tell_is_an_error(text: str) -> None:
    with pytest.raises(DataError, match="row 1: expected at least 5 words"):
        found(text)


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one suite"):
        overlaps([("row", ASKED)], [])
    with pytest.raises(UsageError, match="expected texts"):
        overlaps([], [suite()])
    with pytest.raises(UsageError, match="expected a suite"):
        load("no such suite")
    with pytest.raises(DataError, match="case one: expected a question of at least 3 words"):
        found(ASKED, suite(case(question="Why?")))


@pytest.mark.parametrize("name", ["none.jsonl", "empty.jsonl", "odd.jsonl", "latin.txt", "weights.bin", "blank.txt"])
def test_a_source_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    contents = {
        "empty.jsonl": b"\n",
        "odd.jsonl": b'{"a": ',
        "latin.txt": b"\xff",
        "weights.bin": b"x",
        "blank.txt": b" ",
    }
    if name in contents:
        (tmp_path / name).write_bytes(contents[name])
    with pytest.raises(BadFile, match=re.escape(name)):
        overlaps(corpus.texts(tmp_path / name), [suite()])


def test_a_document_that_is_gone_or_empty_is_an_error(reading: Suite) -> None:
    path = reading.beside / "news.jsonl"
    path.write_text('{"body": ""}\n')
    with pytest.raises(DataError, match="expected words in a document"):
        found(OTHER, reading)
    path.unlink()
    with pytest.raises(BadFile):
        found(OTHER, reading)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps({"messages": [{"role": "user", "content": ASKED}, {"n": 1}]}) + "\n"),
        ("a.json", json.dumps([ASKED])),
        ("a.csv", f'id,text\n1,"{ASKED}"\n'),
        ("a.txt", ASKED),
        ("a.md", f"# Title\n\n{ASKED}\n"),
    ],
)
def test_training_data_are_read_by_kind(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert [one.scenario for one in overlaps(corpus.texts(tmp_path / name), [suite()])] == ["one"]


@cache
def set_of(name: str, bank: Any) -> Suite:
    return load(name, bank, ROTATIONS[bank])


@pytest.mark.parametrize(("bank", "others"), [("dev", ("gate", "sealed")), ("gate", ("sealed",))])
def test_the_sets_of_the_shipped_suites_share_nothing(bank: str, others: tuple[str, ...]) -> None:
    texts = [piece for name in shipped() for piece in pieces(set_of(name, bank))]
    shared = overlaps(texts, [set_of(name, other) for other in others for name in shipped()])

    assert len(shared) <= MOST, shared[:5]


def test_the_shipped_models_were_not_trained_on_what_they_are_tried_on() -> None:
    rng = Random(5)
    dialogues = [nano_data.dialogue(rng, role) for role in nano_data.KINDS for _ in range(100)]
    said = ["\n".join(str(message.get("content")) for message in one.messages) for one in dialogues]
    suites = [set_of(name, bank) for name in shipped() for bank in ("gate", "sealed")]

    assert overlaps([(str(i), text) for i, text in enumerate(said)], suites) == []


@pytest.mark.parametrize(
    "text",
    [
        ASKED.replace("value", "va\u00adlue").replace("own", "o\u200bwn"),
        "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in ASKED),
        ASKED.replace("fi", "\ufb01"),
    ],
    ids=["hidden marks", "full width", "ligatures"],
)
def test_letters_in_another_form_do_not_hide_a_copy(text: str) -> None:
    assert found(text) == [("one", "question")]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", json.dumps({ASKED: "it is 5 %"})), ("a.csv", f'"{ASKED}",yes\n"{OTHER}",no\n')],
    ids=["a key", "a first row"],
)
def test_a_key_or_a_first_row_that_is_no_name_is_a_text(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert any(ASKED in text for _, text in corpus.texts(tmp_path / name))


def test_a_header_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'question,the answer\n"{OTHER}",no\n')
    assert [text for _, text in corpus.texts(tmp_path / "a.csv")] == [f"{OTHER}\nno"]
