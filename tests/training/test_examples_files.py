"""Examples from a person's files: all rows or none, each fault with its place, nothing that is for evaluation only."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.agents.risk import ROLE
from openoutcry.core.errors import UsageError
from openoutcry.training.examples.forbidden import forbidden
from openoutcry.training.examples.from_files import examples
from openoutcry.training.examples.rows import UNDATED, Tone

NOW = datetime(2026, 11, 12, 17, tzinfo=UTC)
BREAD = "A recipe for bread: flour, water, salt and patience; knead it well and let it rest until morning comes."
SENTENCE = "Operating profit of the foundry rose to EUR 13.1 mn from EUR 8.7 mn in the year before."
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(*rows: Any, name: str = "mine.jsonl") -> Path:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return file


def transcript(*claims: str, lean: str = "down", **more: Any) -> dict[str, Any]:
    """A risk manager's conversation that ends with these claims."""
    brief = {
        "question": {"text": "How risky is AAPL?", "kind": "risk"},
        "memories": [{"id": "M1", "figures": {"var": 1}}],
    }
    call = {"id": "call00001", "type": "function", "function": {"name": "volatility", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": ROLE.instructions},
        {"role": "user", "content": json.dumps(brief)},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call00001", "content": json.dumps({"id": "E1", "figures": {"annual": 0.2}})},
        {"role": "assistant", "content": json.dumps({"claims": claims, "lean": lean})},
    ]
    return {"messages": messages, **more}


def test_rows_of_each_kind_are_taken(write: Write) -> None:
    plain = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}
    tones = [
        {"text": BREAD, "label": "Bullish", "known_at": "2024-01-02T03:04:05+01:00"},
        {"text": "a", "label": "neutral"},
    ]
    assert len(examples([write(plain, transcript("It is {E1.annual} and was {M1.var}."))], "risk", NOW).rows) == 2
    found = examples([write(*tones, "", name="tones.jsonl")], "reader", NOW).rows
    assert [(row.label, row.source) for row in found if isinstance(row, Tone)] == [
        ("positive", "file:tones.jsonl"),
        ("neutral", "file:tones.jsonl"),
    ]
    assert str(found[0].known_at) == "2024-01-02 02:04:05+00:00" and found[1].known_at == UNDATED
    assert len(examples([write({"anchor": "a", "positive": "b"})], "embedder", NOW).rows) == 1


GOOD = {"text": BREAD, "label": "neutral"}


@pytest.mark.parametrize(
    ("role", "row", "why"),
    [
        ("reader", "{", "expected a JSON object, got what is none"),
        ("reader", "[]", "expected a JSON object, got a list"),
        ("reader", {"text": BREAD, "label": "fine"}, "label: Input should be"),
        ("reader", {"text": "", "label": "neutral"}, "text: String should have"),
        ("reader", {"messages": []}, "expected a row for reader with label, text, got messages"),
        ("reader", {**GOOD, "score": 1}, "expected no score"),
        ("reader", {**GOOD, "known_at": "2024-01-02"}, "known_at"),
        ("reader", {**GOOD, "known_at": "2026-11-12T12:01:00-05:00"}, "known_at 2026-11-12 17:01 UTC is in the future"),
        ("reader", {**GOOD, "source": "Financial PhraseBank v1.0"}, "phrasebank, which is for evaluation only"),
        ("reader", {**GOOD, "id": "financebench_id_0001"}, "financebench, which is for evaluation only"),
        (
            "risk",
            {**transcript("It is {E1.annual}."), "role": "analyst"},
            "expected a row for risk, got one for analyst",
        ),
        ("risk", transcript("It is {E9.annual}."), "there is no figure E9.annual in it"),
        ("risk", transcript("It is {E1.annual} or 20."), "a digit outside a reference"),
        ("risk", transcript("It is wild."), "it carries no reference"),
        ("risk", transcript("It is {E1.annual}.", lean="sideways"), "not in the form of risk: lean"),
    ],
)
def test_a_bad_row_is_an_error_with_its_line_and_nothing_is_taken(write: Write, role: str, row: Any, why: str) -> None:
    good = GOOD if role == "reader" else transcript("It is {E1.annual}.")
    file = write(good, row)
    with pytest.raises(UsageError, match=why) as caught:
        examples([file], role, NOW)
    assert str(caught.value).startswith(f"{file}:2: ") and str(caught.value).endswith("nothing was taken")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_refused(write: Write, tmp_path: Path) -> None:
    for file, why in (
        (tmp_path / "none.jsonl", "cannot be read"),
        (write(GOOD, name="rows.csv"), "ends in .jsonl"),
        (write(name="empty.jsonl"), "found none"),
    ):
        with pytest.raises(UsageError, match=why):
            examples([file], "reader", NOW)
    (tmp_path / "odd.jsonl").write_bytes(b'{"text": "\xff"}')
    with pytest.raises(UsageError, match="to be UTF-8"):
        examples([tmp_path / "odd.jsonl"], "reader", NOW)


def test_a_file_of_a_set_for_evaluation_only_is_refused(write: Write) -> None:
    with pytest.raises(UsageError, match="phrasebank, which is for evaluation only"):
        examples([write(GOOD, name="phrasebank.jsonl")], "reader", NOW)


def test_what_must_never_be_learnt_is_known_again_however_it_is_dressed(write: Write, tmp_path: Path) -> None:
    write({"id": "p1", "text": SENTENCE, "label": "positive"}, name="never/rows.jsonl")
    never = forbidden([tmp_path / "never"])
    for text in (SENTENCE, SENTENCE.upper(), f"{BREAD}\n{SENTENCE.replace(' ', '  ')} {BREAD}", SENTENCE.rstrip(".")):
        with pytest.raises(UsageError, match=r"mine\.jsonl:1: its text stands in a folder of --never"):
            examples([write({"text": text, "label": "positive"})], "reader", NOW, never)
    assert examples([write(GOOD)], "reader", NOW, never).rows
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="expected files of texts"):
        forbidden([tmp_path / "nothing"])
