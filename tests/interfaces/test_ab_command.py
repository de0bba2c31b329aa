"""`outcry ab`: the desk beside recorded answers, and what is refused before anything is sent."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openoutcry.cli import main

Run = Callable[..., Result]
CASE = """
[[scenario]]
id = "steady"
category = "value at risk"
seat = "risk"
question = "How risky is KALO over the next 1 day at 99% confidence?"
fixture = { made = [{ situation = "steady", seed = 1 }] }
expect = { figures = [{ name = "var", unit = "fraction", low = 0.001, high = 0.5 }] }
"""


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outcry ab`, in a folder with a suite of one question and an endpoint far away that nobody allowed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "mine.toml").write_text(CASE, encoding="utf-8")
    return lambda *words: CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "ab", *words])


def test_the_desk_beside_recorded_answers(outcry: Run, tmp_path: Path) -> None:
    row = {"question": "How risky is Kalo over the next 1 day at 99% confidence?", "answer": "\x1b[2J 77.00 %"}
    told = {"seconds": 1.5, "tokens_in": 1_000_000, "tokens_out": 100_000, "model": "gpt-4o"}
    (tmp_path / "old.jsonl").write_text(json.dumps({**row, **told}) + "\n")
    done = outcry("start", "--recorded", "old.jsonl", "--suite", "mine.toml")
    assert done.exit_code == 0, done.output
    assert "100.0 % right against 0.0 % of old.jsonl, on 1 question" in done.stdout
    assert re.search(r"gpt-4o +USD 3\.50", done.stdout)
    assert re.search(r"old\.jsonl +1\.50 +1\.50 +1 +1,000,000 +100,000", done.stdout)
    assert "\x1b" not in done.stdout
    found = json.loads(outcry("start", "--recorded", "old.jsonl", "--suite", "mine.toml", "--json").stdout)
    assert found["comparison"]["worse"] == 1
    assert found["theirs"][0]["tariff"]["source"].startswith("genai-prices")


def test_an_endpoint_that_is_not_allowed_is_refused(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "stack.toml").write_text('[models.old]\nengine = "endpoint"\nurl = "http://192.0.2.7:8000"\n')
    for words in (("start",), ("record", "out.jsonl")):
        done = outcry(*words, "--against", "old", "--suite", "mine.toml")
        assert done.exit_code == 2
        assert "192.0.2.7" in done.stderr and "allow" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "home" / "evals").exists()


def test_what_cannot_be_asked_is_refused_in_a_line(outcry: Run) -> None:
    for words in (("start",), ("start", "--against", "x", "--recorded", "y"), ("start", "--recorded", "nothing.jsonl")):
        done = outcry(*words)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
