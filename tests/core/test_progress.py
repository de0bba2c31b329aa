"""Progress on stderr: told after a while, written over on a terminal, and gone at the end."""

import io
import sys

import pytest

from openoutcry.core.progress import PATIENCE, Line, Progress


class Terminal(io.StringIO):
    """A terminal, as far as a line that is written over asks."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_progress_is_told_after_a_while_and_not_before(capsys: pytest.CaptureFixture[str]) -> None:
    soon = Progress()
    soon("looked at", 1, 2)
    assert capsys.readouterr().err == ""
    with Progress() as late:
        late._next -= PATIENCE  # pyright: ignore[reportPrivateUsage] as if it had begun earlier
        late("looked at", 1_500, 2_000)
        late("looked at", 1_501, 2_000)
    assert capsys.readouterr().err == "  looked at: 1,500 of 2,000\n"


def test_a_terminal_is_left_clean_however_long_a_line_was(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Line() as line:
        line.show("a" * 70)
        line.show("b")
    assert screen.getvalue() == f"\r\x1b[K  {'a' * 70}\r\x1b[K  b\r\x1b[K"
