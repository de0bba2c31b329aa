"""The command as a person runs it: results on stdout, progress on stderr, one clear line and a code for a fault."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import click
import pytest
from click.testing import CliRunner

from openoutcry.cli import main

RISK = "How risky is AAPL over the next 10 days?"


class Done(Protocol):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def home(sample_home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "warehouse").symlink_to(sample_home / "warehouse")
    return folder


def refused(done: Done, code: int, words: str) -> None:
    """It ended with *code*, one line on stderr that holds *words*, and nothing on stdout."""
    lines = [x for x in done.stderr.splitlines() if x and not x.startswith("  ")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert words in lines[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_whole_way(outcry: Run, home: Path, tmp_path: Path) -> None:
    page = tmp_path / "risk.html"
    asked = outcry("ask", RISK, "--as-of", "2022-06-30", "--html", str(page), home=home)
    assert asked.returncode == 0
    assert "AAPL" in asked.stdout
    assert [x.split()[0] for x in asked.stderr.splitlines()[:4]].count("coordinator") == 1
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    run, reference = re.findall(r"outcry explain (\S+) (\S+)", asked.stdout)[0]
    explained = outcry("explain", run, reference, home=home)
    assert "run again   the same rows" in explained.stdout
    assert run in outcry("runs", home=home).stdout
    replayed = outcry("replay", run, home=home)
    assert replayed.returncode == 0
    timed = re.compile(r"[\d.]+ s$", re.MULTILINE)
    assert timed.sub("", replayed.stdout) == timed.sub("", asked.stdout)
    again = json.loads(outcry("ask", RISK, "--as-of", "2022-06-30", "--json", home=home).stdout)
    assert again["question"]["kind"] == "risk"
    assert "every figure is the same" in outcry("diff", run, again["run"], home=home).stdout


def test_options_stand_for_words(outcry: Run, home: Path) -> None:
    done = outcry("ask", "risk", "--ticker", "KO", "--horizon", "5", "--as-of", "2021-01-04", "--json", home=home)
    question = json.loads(done.stdout)["question"]
    assert (question["tickers"], question["horizon"]) == (["KO"], 5)


def test_a_bound_by_a_curve_is_said_to_be_one(outcry: Run, home: Path) -> None:
    told = outcry("ask", "How risky is AAPL at 99.99 % over 20 days?", "--as-of", "2022-06-30", home=home).stdout
    assert "by a normal curve" in " ".join(told.split())
    told = outcry("ask", RISK, "--as-of", "2022-06-30", home=home).stdout
    assert "by a normal curve" not in " ".join(told.split())


def test_a_conversation_through_a_pipe(outcry: Run, home: Path) -> None:
    done = outcry("chat", "--as-of", "2022-06-30", home=home, stdin="How risky is AAPL?\nwhat about KO?\n")
    assert done.returncode == 0
    assert done.stdout.count("(as of 2022-06-30, run ") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ask", "How risky is ZZZZ?"), 3, "no price of ZZZZ is known by then"),
        (("ask", RISK, "--as-of", "1980-01-01"), 3, "before the data begins on 1990-01-02"),
        (("ask", RISK, "--as-of", "2099-01-01"), 3, "after the data ends on 2022-12-28"),
        (("ask", RISK, "--as-of", "someday"), 2, "expected an as-of like 2022-06-30"),
        (("ask", ""), 2, "expected a question"),
        (("ask", "How risky is it?"), 2, "expected a ticker"),
        (("ask", RISK, "--horizon", "999"), 2, "from 1 to 252"),
        (("explain", "last", "E3.var"), 2, "expected a stored run"),
        (("replay", "nothing"), 2, "expected a stored run"),
        (("diff", "a", "b"), 2, "expected a stored run"),
        (("ingest",), 2, "expected files to ingest"),
        (("ingest", "nowhere.csv"), 3, "no such file"),
        (("--desk", "nowhere.toml", "runs"), 2, "found nothing at nowhere.toml"),
    ],
)
def test_bad_input_is_one_line_and_its_code(
    outcry: Run, home: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    refused(outcry(*arguments, home=home), code, words)


def test_a_question_of_no_kind_is_an_honest_no(outcry: Run, home: Path) -> None:
    done = outcry("ask", "Write me a poem", home=home)
    assert done.returncode == 2
    assert "does not answer that" in done.stdout


def test_an_empty_home_says_what_to_do(outcry: Run, tmp_path: Path) -> None:
    refused(outcry("ask", RISK, home=tmp_path / "none"), 3, "run `outcry ingest --sample`")
    (tmp_path / "file").write_text("")
    refused(outcry("ask", RISK, home=tmp_path / "file"), 3, "no data at")
    refused(outcry("ingest", "--sample", home=tmp_path / "file"), 3, "cannot be written")


def test_ingest_shows_what_was_taken_and_refused(outcry: Run, tmp_path: Path) -> None:
    good = tmp_path / "prices.csv"
    good.write_text("ticker,date,close\nAAA,2022-01-03,10\nAAA,2022-01-04,-1\nAAA,soon,11\n")
    done = outcry("ingest", str(good), home=tmp_path / "own")
    assert done.returncode == 0
    assert re.search(r"prices\.csv\s+1 taken\s+0 already there\s+2 refused", done.stdout)
    rejects = (tmp_path / "own" / "rejects" / "prices.csv.rejects.csv").read_text()
    assert "greater than 0" in rejects
    assert rejects.count("\n") == 3
    again = outcry("ingest", str(good), home=tmp_path / "own")
    assert re.search(r"0 taken\s+1 already there", again.stdout)
    assert done.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]


def test_ingest_of_nothing_good_is_an_error(outcry: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("ticker,date,close\nAAA,soon,11\n")
    done = outcry("ingest", str(bad), home=tmp_path / "own")
    assert done.returncode == 3
    assert "no row was taken" in done.stderr


def test_help_names_every_command_and_the_exit_codes(outcry: Run) -> None:
    shown = outcry("--help").stdout
    for command in ("ask", "chat", "ingest", "runs", "explain", "replay", "diff"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)
        assert "Usage" in outcry(command, "--help").stdout
    assert "2 usage, 3 data, 4 model" in shown


def test_every_list_of_commands_is_whole_sentences() -> None:
    for group in [main, *(c for c in main.commands.values() if isinstance(c, click.Group) and c.name != "tool")]:
        shown = CliRunner().invoke(group, ["--help"], prog_name="outcry").output.partition("Commands:")[2]
        lines = [line for line in shown.splitlines() if re.match(r"  [a-z-]+ ", line)]
        assert lines
        assert [line for line in lines if not re.search(r"[^.]\.$", line) or line.endswith("e.g.")] == []


def test_a_broken_run_does_not_hide_the_others(outcry: Run, home: Path) -> None:
    outcry("ask", RISK, "--as-of", "2022-06-30", home=home)
    outcry("ask", "How risky is KO?", "--as-of", "2022-06-30", home=home)
    first = sorted((home / "runs").iterdir())[0]
    (first / "manifest.json").write_text("{")
    shown = outcry("runs", home=home)
    assert shown.returncode == 0
    assert shown.stdout.count("\n") == 2
    assert "broken" in shown.stdout
    refused(outcry("replay", first.name, home=home), 3, first.name)


def without_network() -> list[str]:
    probe = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False)
    return ["unshare", "-rn"] if probe.returncode == 0 else []


def test_nothing_is_reached_for(home: Path, tmp_path: Path) -> None:
    """The real command in a namespace without a route: an answer all the same, so nothing it needs is outside."""
    if not without_network():
        pytest.skip("this system does not allow a namespace of one's own")
    command = [sys.executable, "-m", "openoutcry.cli", "--home", str(home), "ask", RISK, "--as-of", "2022-06-30"]
    done = subprocess.run([*without_network(), *command], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "AAPL" in done.stdout


def test_a_report_without_a_finding_is_not_ok(outcry: Run, home: Path) -> None:
    """The sample's book begins in 2021: the report says what it needs, and the exit code that there is no answer."""
    done = outcry("ask", "How risky is my book?", "--as-of", "2019-06-28", home=home)
    assert done.returncode == 3
    assert "needs positions; the book known by 2019-06-28 holds none" in " ".join(done.stdout.split())
