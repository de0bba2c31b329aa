"""The conversation: follow-ups keep ticker and as-of, answers appear as found, an error ends nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from openoutcry.desk import Desk
from openoutcry.interfaces.chat import Chat


@pytest.fixture
def talk(sample_home: Path, tmp_path: Path) -> Iterator[tuple[Chat, list[str]]]:
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    heard: list[str] = []
    with Desk.open(home=tmp_path) as desk:
        yield Chat(desk, heard.append), heard


def test_a_conversation(talk: tuple[Chat, list[str]]) -> None:
    chat, heard = talk
    assert chat.turn("How risky is Apple over 10 days as of 2022-06-30?")
    assert any("AAPL" in line for line in heard)
    assert heard[-1].startswith("(as of 2022-06-30, run ")
    heard.clear()
    assert chat.turn("and over 20 days?")
    assert "20 trading days" in " ".join("".join(heard).split())
    assert chat.turn("what about MSFT?")
    assert chat.previous is not None
    assert (chat.previous.tickers, chat.previous.horizon, chat.as_of) == (("MSFT",), 20, "2022-06-30")


def test_roles_are_heard_before_the_answer(talk: tuple[Chat, list[str]]) -> None:
    chat, heard = talk
    chat.turn("How risky is AAPL as of 2022-06-30?")
    spoken = [i for i, line in enumerate(heard) if line.lstrip().startswith(("risk:", "analyst:", "sentiment:"))]
    answer = next(i for i, line in enumerate(heard) if line.startswith("View over"))
    assert spoken
    assert max(spoken) < answer


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("How risky is ZZZZ?", "no price of ZZZZ"),
        ("How risky is AAPL as of 1901-01-01?", "before the data begins"),
        ("tell me a joke", "does not answer that"),
        ("/as-of sometime", "expected an as-of"),
        ("/help", "/quit"),
        ("/nonsense", "/quit"),
    ],
)
def test_an_error_is_told_and_the_conversation_goes_on(talk: tuple[Chat, list[str]], line: str, words: str) -> None:
    chat, heard = talk
    assert chat.turn(line)
    assert words in "\n".join(heard)
    assert chat.previous is None


def test_the_clock_moves_and_is_forgotten(talk: tuple[Chat, list[str]]) -> None:
    chat, heard = talk
    chat.turn("/as-of 2021-03-01")
    chat.turn("How risky is KO?")
    assert heard[-1].startswith("(as of 2021-03-01")
    chat.turn("/clear")
    assert (chat.previous, chat.as_of) == (None, "2021-03-01")
    assert chat.turn("")
    assert not chat.turn("/quit")
