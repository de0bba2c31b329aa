"""`outcry cost`: what is counted from stored runs and evaluations, and what is told of prices that are not set."""

import json
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openoutcry.cli import main
from openoutcry.eval.cost.stored import evaluations
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.outcome import Outcome, Played, Transcript

Run = Callable[..., Result]


def call(tokens: int) -> dict[str, object]:
    usage = {"input_tokens": tokens, "output_tokens": tokens // 10}
    return {"role": "risk", "model": "m", "prompt": [], "response": {"usage": usage}, "seconds": 0.5}


def put(file: Path, tokens: list[int]) -> None:
    """A ledger with a case a number of tokens."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(file, make=True) as ledger:
        for i, count in enumerate(tokens):
            named = {"scenario": f"c{i}", "digest": f"d{i}", "category": "x", "cluster": f"c{i}", "lineup": "l"}
            outcome = Outcome.model_validate({**named, "epoch": 0, "score": 1.0, "seconds": 0.3})
            ledger.keep(Transcript(outcome=outcome, turns=(Played(question="q", calls=(call(count),)),)))


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outcry cost` over a folder with an evaluation of three cases and the other side of an A/B."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "home" / "evals" / "suite-1"
    put(folder / "ledger.sqlite", [1000, 2000, 3000])
    put(folder / "ab-1.sqlite", [500])
    put(folder.parent / "ab" / "ab-2.sqlite", [70])
    (folder / "plan.json").write_text("{}")
    return lambda *words: CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "cost", *words])


def test_evaluations_are_counted_as_their_ledgers_hold_them(outcry: Run, tmp_path: Path) -> None:
    counted = 0
    for file in (tmp_path / "home").rglob("*.sqlite"):
        with sqlite3.connect(file) as opened:
            kept = [json.loads(zlib.decompress(row[0])) for row in opened.execute("SELECT transcript FROM outcomes")]
        opened.close()
        counted += sum(c["response"]["usage"]["input_tokens"] for one in kept for t in one["turns"] for c in t["calls"])
    done = json.loads(outcry("--json", "--like", "gpt-4o").stdout)
    runs, cases = done["parts"]
    assert (runs["count"], cases["count"], sum(row["input"] for row in cases["rows"])) == (0, 3, counted)
    assert counted == 6570
    assert cases["machine"]["busy"] == "0.9"  # three cases of 0.3 s each; the other side worked elsewhere
    (like,) = done["elsewhere"]
    assert like["costs"]["evaluations"]["amount"].rstrip("0") == "0.022995"  # 6570 x 2.5 and 657 x 10, a million


def test_what_is_not_set_and_not_known_is_told(outcry: Run) -> None:
    done = outcry("--like", "nobody-1")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("not set ([cost]") == 3
    assert done.stdout.split("nobody-1")[1].count("no price known") == 2
    assert "USD" not in done.stdout


def test_what_is_set_is_shown_with_what_is_assumed(outcry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTCRY_COST", '{"watts": 100, "price_per_kwh": 0.36, "machine_price": 1461, "currency": "EUR"}')
    done = outcry()
    assert "100 W, by [cost] watts" in done.stdout
    assert "EUR 1,461 over 4 years (assumed)" in done.stdout
    assert "EUR 0.00000900 (0.000025 kWh)" in done.stdout  # 0.9 s of 100 W are 90 J


def test_only_what_began_since_counts(outcry: Run, tmp_path: Path) -> None:
    for file in (tmp_path / "home").rglob("*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    assert "evaluations: 0 cases" in outcry("--since", "2024-01-01").stdout
    assert "evaluations: 3 cases since 2023-11-14" in outcry("--since", "2023-11-01").stdout
    assert outcry("--since", "yesterday").exit_code == 2


def test_a_broken_record_is_named_and_not_counted(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "evals" / "suite-1" / "ledger.sqlite").write_bytes(b"no ledger" * 500)
    done = outcry()
    assert "not counted: run suite-1" in done.stdout
    assert evaluations(tmp_path / "home").count == 0


def test_runs_tell_that_nothing_left(sample_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "warehouse").symlink_to(sample_home / "warehouse")
    asked = CliRunner().invoke(main, ["--home", str(home), "ask", "How risky is AAPL over 10 days?"])
    assert asked.exit_code == 0, asked.output
    done = CliRunner().invoke(main, ["--home", str(home), "cost", "--json"])
    part = json.loads(done.stdout)["parts"][0]
    assert (part["count"], part["left"]) == (1, 0)
    text = CliRunner().invoke(main, ["--home", str(home), "cost"]).stdout
    assert "0 bytes left this machine, so 0 were paid for" in text
    assert "House rules answered alone" in text
