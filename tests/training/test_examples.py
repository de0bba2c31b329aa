"""Rows and data sets: what is left out, how time parts them, and that a changed byte is seen."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import DataError, UsageError
from openoutcry.eval import near, suite
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.suite import Suite
from openoutcry.training.examples import cleaning, dataset
from openoutcry.training.examples.dataset import Dataset, Manifest
from openoutcry.training.examples.forbidden import STANDS, forbidden
from openoutcry.training.examples.rows import UNDATED, Chat, Gathered, Pair, Row, Tone
from openoutcry.training.night import schedule

NOW = datetime(2026, 11, 12, 17, tzinfo=UTC)
BREAD = "A recipe for bread: flour, water, salt and patience; knead it well and let it rest until morning comes."


def tone(text: str = BREAD, days: int = 0, label: str = "neutral", source: str = "file:a") -> Tone:
    at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days)
    return Tone.model_validate({"text": text, "label": label, "known_at": at, "source": source})


def chat(question: str = "How risky is AAPL?", answer: str = "It is.", **more: Any) -> Chat:
    said = [{"role": "user", "content": json.dumps({"question": {"text": question}})}]
    messages = [{"role": "system", "content": BREAD}, *said, {"role": "assistant", "content": answer}]
    return Chat.model_validate({"role": "risk", "source": "run:a", "messages": messages, **more})


def stored(home: Path, rows: list[Row], now: datetime = NOW) -> Dataset:
    parts, split = cleaning.parted(rows)
    manifest = Manifest(
        kind="tone", role="reader", rows={}, sources={}, left_out={}, compared=("a gate 1",), split=split, files={}
    )
    return dataset.write(home, manifest, parts, now)


def clean(*rows: Row, given: tuple[Row, ...] = (), suites: tuple[Suite, ...] = ()) -> Gathered:
    return cleaning.cleaned([Gathered([*rows])], Gathered([*given]), suites or (gate(),))


def gate() -> Suite:
    return suite.load("chat", "gate", "2026-11")


def test_the_same_rows_are_the_same_set_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    rows: list[Row] = [tone(f"{BREAD} {i}", days=i) for i in range(20)]
    one = stored(tmp_path / "one", rows)
    other = stored(tmp_path / "other", rows[::-1], NOW + timedelta(9))
    assert one.manifest.digest == other.manifest.digest
    assert one.manifest.files == other.manifest.files
    assert one.manifest.rows == {"train": 18, "valid": 2}
    assert [*one.read("train"), *one.read("valid")] == rows
    again = stored(tmp_path / "one", rows, NOW + timedelta(9))
    assert again.manifest.made == one.manifest.made


def test_a_set_is_found_by_its_digest_a_beginning_of_it_and_as_the_last(tmp_path: Path) -> None:
    first = stored(tmp_path, [tone(days=1), tone(days=2, text=f"{BREAD} More.")])
    last = stored(tmp_path, [tone(days=1), tone(days=3, text=f"{BREAD} Less.")], NOW + timedelta(1))
    assert [one.digest for one in dataset.listing(tmp_path)] == [first.manifest.digest, last.manifest.digest]
    for name, wanted in ((first.manifest.digest, first), (first.manifest.digest[:6], first), ("last", last)):
        assert dataset.load(tmp_path, name) == wanted
    with pytest.raises(UsageError, match="no data set is called 'zz'"):
        dataset.load(tmp_path, "zz")
    with pytest.raises(UsageError, match=r"2 data sets fit|no data set is called ''"):
        dataset.load(tmp_path, "")
    with pytest.raises(UsageError, match="holds none"):
        dataset.load(tmp_path / "elsewhere", "last")


def test_the_last_is_what_was_made_last_though_it_was_there_before(tmp_path: Path) -> None:
    first: list[Row] = [tone(days=1), tone(days=2, text=f"{BREAD} More.")]
    other: list[Row] = [tone(days=1), tone(days=3, text=f"{BREAD} Less.")]
    made = [stored(tmp_path, rows, NOW + timedelta(n)) for n, rows in enumerate((first, other, first))]
    assert made[1] != dataset.load(tmp_path, "last") == made[2] == made[0]


def test_no_row_holds_a_text_that_must_never_be_learnt(tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text(f"{BREAD}\n")
    found = cleaning.cleaned([Gathered([tone(source="run:a"), chat()])], Gathered(), [gate()], forbidden([tmp_path]))
    assert found.left == {STANDS: 2}


@pytest.mark.parametrize("name", ["train.jsonl", "valid.jsonl", "manifest.json"])
def test_a_changed_byte_is_seen(tmp_path: Path, name: str) -> None:
    folder = stored(tmp_path, [tone(days=1), tone(days=2, text=f"{BREAD} More.")]).folder
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data.replace(b"reader", b"banker").replace(b"patience", b"patients"))
    with pytest.raises(DataError, match="was changed"):
        dataset.load(tmp_path, "last")
    (folder / name).unlink()
    with pytest.raises((DataError, UsageError), match=r"cannot be read|holds none"):
        dataset.load(tmp_path, "last")


def test_a_byte_that_changes_after_the_set_was_loaded_is_seen(tmp_path: Path) -> None:
    found = stored(tmp_path, [tone(days=1), tone(days=2, text=f"{BREAD} More.")])
    (found.folder / "train.jsonl").write_bytes(b"{}\n")
    with pytest.raises(DataError, match=r"train\.jsonl is cut off or was changed"):
        list(found.read("train"))


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60))
def test_nothing_to_train_by_is_known_after_what_validates(days: list[int]) -> None:
    rows: list[Row] = [tone(f"{BREAD} {i}", days=day) for i, day in enumerate(days)]
    parts, split = cleaning.parted(rows)
    assert parts["train"] and parts["valid"]
    assert sorted([*parts["train"], *parts["valid"]], key=id) == sorted(rows, key=id)
    assert max(r.known_at for r in parts["train"]) <= min(r.known_at for r in parts["valid"])
    assert len(parts["valid"]) <= max(1, 0.25 * len(rows), len(rows) / 10 + 1)
    assert bool(split) == (len(set(days)) > 1)


def test_rows_of_one_moment_stay_together() -> None:
    rows: list[Row] = [tone(f"{BREAD} {i}", days=min(i, 35)) for i in range(40)]
    parts, split = cleaning.parted(rows)
    assert list(parts["valid"]) == sorted(rows[35:], key=lambda row: row.id)
    assert split == parts["valid"][0].known_at.isoformat()
    assert not {r.known_at for r in parts["train"]} & {r.known_at for r in parts["valid"]}


def test_a_row_counts_once_and_a_correction_stands() -> None:
    theirs = chat(answer="It is very risky.", source="file:mine")
    found = clean(chat(), tone(), tone(source="file:b"), chat("And MSFT?"), given=(theirs,))
    assert {row.source for row in found.rows} == {"file:a", "run:a", "file:mine"}
    assert found.left == {cleaning.TWICE: 1, cleaning.CORRECTED: 1}


def test_blanks_capitals_and_ids_of_calls_make_no_other_row() -> None:
    """Else one of two would train, and the other validate what was learnt by heart."""

    def called(id_: str, ticker: str = "AAPL") -> Chat:
        call = {"id": id_, "type": "function", "function": {"name": "beta", "arguments": json.dumps({"t": ticker})}}
        said = [{"role": "user", "content": BREAD}, {"role": "assistant", "content": "", "tool_calls": [call]}]
        return Chat.model_validate({"role": "risk", "source": "run:a", "messages": said})

    spaced = " " + BREAD.replace(" ", "\n ")
    found = clean(tone(), tone(spaced), tone(BREAD.upper()), called("1"), called("2"))
    assert found.left == {cleaning.TWICE: 3} and len(found.rows) == 2
    assert len(clean(tone(), tone(label="positive"), called("1"), called("1", "MSFT")).rows) == 4


def test_a_suite_of_a_persons_own_is_held_back_too(tmp_path: Path) -> None:
    asked = "Which of the seven harbours is it that freezes first when winter comes early?"
    more = 'category = "c"\nseat = "risk"\nexpect = { abstain = false }\n'
    cases = [
        f'[[scenario]]\nid = "{id_}"\nquestion = "{said}"\n{more}' for id_, said in (("one", asked), ("few", "Why?"))
    ]
    (tmp_path / "own.toml").write_text("".join(cases))
    own = cleaning.own([str(tmp_path / "own.toml"), "safety", ""], NOW)
    held = [("gate", "2026-11"), ("sealed", "2026Q4")]
    assert [(one.name, one.bank, one.rotation) for one in own] == [("own", *turn) for turn in held]
    assert [[s.id for s in one.scenarios] for one in own] == [["one"]] * 2
    assert clean(chat(asked), chat(), suites=(*own, gate())).left == {cleaning.OVERLAPS: 1}


def test_a_set_that_is_broken_does_not_hide_one_that_is_named(tmp_path: Path) -> None:
    good = stored(tmp_path, [tone(days=i) for i in range(2)]).manifest.digest
    other = stored(tmp_path, [tone(f"{BREAD} {i}", days=i) for i in range(2)]).folder
    (other / "manifest.json").write_text("{")
    assert dataset.load(tmp_path, good).manifest.digest == dataset.load(tmp_path, good[:12]).manifest.digest == good
    with pytest.raises(DataError, match=r"move .* away"):
        dataset.load(tmp_path, "last")


def test_what_the_gate_asks_or_reads_is_left_out_wherever_it_stands_in_a_row() -> None:
    texts = [(part, text) for _, part, text in near.texts(gate()) if len(text.split()) > 6]
    asked = next(text for part, text in texts if part == "question")
    sentiment = suite.load("sentiment", "gate", "2026-11")
    read = next(text for _, part, text in near.texts(sentiment) if part == "document" and len(text.split()) > 20)
    rows = [chat(asked), chat(answer=f"Well: {asked}"), Pair(source="a", anchor=asked, positive=BREAD)]
    found = clean(*rows, tone(f"A title\n{read}"), tone(), suites=(gate(), sentiment))
    assert [row.source for row in found.rows] == ["file:a"]
    assert found.left == {cleaning.OVERLAPS: 4}


def test_a_case_that_asks_in_few_words_or_over_turns_is_found_in_a_longer_row() -> None:
    turns = [{"question": q, "expect": {"abstain": False}} for q in ("Rate the risk of Bavcor.", "And of its rival?")]
    shared = {"category": "c", "seat": "risk"}
    cases = [
        {**shared, "id": "few", "question": "Judge Bavcor soon.", "expect": {"abstain": False}},
        {**shared, "id": "turns", "turns": turns},
    ]
    held = Suite("trial", "gate", "2026-11", tuple(map(Scenario.model_validate, cases)))
    few, both = chat("Judge Kalila soon."), chat("Rate the risk of Kalila.\nAnd of its rival?")
    assert [row.id for row in clean(few, both, chat("Judge it."), suites=(held,)).rows] == [chat("Judge it.").id]


def test_a_row_that_is_too_short_to_tell_is_never_taken() -> None:
    found = clean(tone("Profit rose."), tone("1 2 3 4 5 6 7"), tone())
    assert [isinstance(row, Tone) and row.text for row in found.rows] == [BREAD]
    assert found.left == {cleaning.SHORT: 2}


def test_a_rotation_that_is_about_to_begin_is_held_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "shipped", lambda: ["chat"])

    def held(now: datetime) -> list[tuple[str, str]]:
        return [(one.bank, one.rotation) for one in cleaning.held_back(now)]

    assert held(NOW) == [("gate", "2026-11"), ("sealed", "2026Q4")]
    both = [("gate", "2026-12"), ("gate", "2027-01"), ("sealed", "2026Q4"), ("sealed", "2027Q1")]
    assert held(datetime(2026, 12, 30, tzinfo=UTC)) == both


@pytest.mark.parametrize("day", [date(2027, 5, 28), date(2032, 5, 28)])
def test_no_night_lasts_into_a_rotation_that_its_data_was_not_compared_with(day: date) -> None:
    """The nights before a holiday on the last day of a month, the longest that there are, by the longest setting."""
    prepare, *_, deploy = schedule.slots(day, dict.fromkeys(schedule.STAGES, "night"))
    assert deploy.deadline - prepare.due < cleaning.AHEAD


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "last message to be the assistant's"),
        ([{"role": "user", "content": "Hello"}], "last message to be the assistant's"),
        ([{"role": "oracle", "content": "Hello"}], "message 1: expected a role among"),
        ([{"role": "user", "content": None}, {"role": "assistant", "content": "Hi"}], "message 1: expected text"),
        ([{"role": "assistant", "content": " "}], "expected text or tool calls"),
        ([{"role": "assistant", "content": "Hi", "weight": 0}], "found weight 0"),
        ([{"role": "assistant", "content": "Hi", "weight": 2}], "a weight of 0 or 1"),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "["}}]}], "expected tool_calls"),
    ],
)
def test_a_conversation_that_is_none_is_refused(messages: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Chat.model_validate({"role": "risk", "source": "a", "messages": messages})


def test_a_row_is_known_by_what_is_learnt_from_it_alone() -> None:
    assert tone(days=1, source="file:b").id == tone().id != tone(label="positive").id
    assert Tone(source="a", text="b", label="neutral").known_at == UNDATED
