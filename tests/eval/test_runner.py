"""A run goes on where it was stopped: killed at any moment it loses what was in the air, and nothing comes twice."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from openoutcry.core.errors import BrokenRun, DataError, UsageError
from openoutcry.eval import ledger as ledgers
from openoutcry.eval import runner
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.lineup import Lineup
from openoutcry.eval.outcome import Outcome, Transcript
from openoutcry.eval.runner import Progress, Run
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.suite import Suite

HORIZONS = range(1, 9)
PLAY = """
import asyncio, sys, time
from pathlib import Path
from openoutcry import wiring
from openoutcry.eval import fixtures, runner
from openoutcry.eval.lineup import Candidate, Lineup
from openoutcry.eval.suite import load

runner._code = fixtures._making = lambda: "as it was"  # an edit between two starts would make it another run

def seated(name):
    models = wiring.house_models()
    return Lineup(name, models, {seat: Candidate(name="house") for seat in models})

left = int(sys.argv[3]) if len(sys.argv) > 3 else 0

def told(progress):
    global left
    if progress.newest:
        print("kept", *progress.newest.key, flush=True)
        left -= 1
        if left == 0:
            time.sleep(600)

both = [seated("a"), seated("b")]
asyncio.run(runner.run(load(sys.argv[1]), both, Path(sys.argv[2]), epochs=2, concurrency=4, watch=told))
print("whole", flush=True)
"""


@pytest.fixture
def few(steady: Callable[..., Scenario], suite_of: Callable[..., Suite]) -> Suite:
    return suite_of(*(steady(f"days-{n}", question=f"How risky is Kalo over {n} days?") for n in HORIZONS))


def played(suite: Suite, lineups: list[Lineup], home: Path, **how: Any) -> Run:
    return asyncio.run(runner.run(suite, lineups, home, **how))


def plain(run: Run) -> list[dict[str, Any]]:
    """Outcomes without what the clock decides."""
    return [outcome.model_dump(exclude={"seconds", "memory"}) for outcome in run.outcomes]


def kept(said: str) -> list[tuple[str, ...]]:
    """The outcomes that a process said are kept, of lines that it could end."""
    lines = [line for line in said.splitlines(keepends=True) if line.startswith("kept ") and line.endswith("\n")]
    return [tuple(line.split()[1:]) for line in lines]


def transcript(name: str = "case", epoch: int = 0) -> Transcript:
    said = {"scenario": name, "category": "c", "cluster": "k", "lineup": "a", "score": 1.0}
    return Transcript(outcome=Outcome.model_validate({**said, "digest": name, "epoch": epoch}), turns=())


def test_every_case_is_played_in_every_epoch_by_every_lineup(
    few: Suite, lineup: Callable[..., Lineup], tmp_path: Path
) -> None:
    seen: list[Progress] = []
    run = played(few, [lineup("a"), lineup("b")], tmp_path, epochs=2, watch=seen.append)
    assert run.complete and len({o.key for o in run.outcomes}) == len(run.outcomes) == 32
    assert {o.score for o in run.outcomes} == {1.0}, run.outcomes
    assert [p.done for p in seen] == list(range(33)) and {p.total for p in seen} == {32}
    kept = run.transcript(run.outcomes[3])
    assert kept.outcome == run.outcomes[3] and kept.turns[0].report and kept.turns[0].calls
    assert runner.stored(tmp_path, "last") == run == runner.stored(tmp_path, "trial-")
    assert runner.listing(tmp_path) == [run.plan.id]


def test_a_whole_run_asked_again_plays_nothing(few: Suite, lineup: Callable[..., Lineup], tmp_path: Path) -> None:
    first = played(few, [lineup()], tmp_path)
    seen: list[Progress] = []
    assert played(few, [lineup()], tmp_path, watch=seen.append) == first
    assert [p.newest for p in seen] == [None]


def test_lineups_take_turns_in_an_order_of_chance(few: Suite, lineup: Callable[..., Lineup], tmp_path: Path) -> None:
    newest: list[Outcome] = []

    def watch(progress: Progress) -> None:
        newest.extend([progress.newest] if progress.newest else [])

    played(few, [lineup("a"), lineup("b")], tmp_path, epochs=2, seed=5, concurrency=1, watch=watch)
    pairs = [(newest[i], newest[i + 1]) for i in range(0, len(newest), 2)]
    assert all((x.digest, x.epoch) == (y.digest, y.epoch) for x, y in pairs)
    assert {x.lineup for x, _ in pairs} == {"a", "b"}
    assert [x.scenario for x, _ in pairs] != sorted(x.scenario for x, _ in pairs)
    played(few, [lineup("a"), lineup("b")], tmp_path, epochs=2, seed=6)
    assert len(runner.listing(tmp_path)) == 2  # another seed is another run


@pytest.mark.parametrize("change", ["cases", "lineup", "epochs"])
def test_another_plan_is_another_run(
    few: Suite, steady: Callable[..., Scenario], lineup: Callable[..., Lineup], tmp_path: Path, change: str
) -> None:
    small = Suite("trial", "dev", "", few.scenarios[:2])
    played(small, [lineup()], tmp_path)
    suite = Suite("trial", "dev", "", few.scenarios[:1]) if change == "cases" else small
    played(suite, [lineup("b" if change == "lineup" else "house")], tmp_path, epochs=2 if change == "epochs" else 1)
    assert len(runner.listing(tmp_path)) == 2


def test_other_data_under_the_same_cases_is_another_run(
    steady: Callable[..., Scenario], suite_of: Callable[..., Suite], lineup: Callable[..., Lineup], tmp_path: Path
) -> None:
    file = tmp_path / "prices.csv"
    suite = suite_of(steady(fixture={"files": ["prices.csv"]}, question="How risky is KALO?"), beside=tmp_path)
    names: list[str] = []
    for last in (103.0, 104.0):
        closes = [100 + (day * 7 % 5) for day in range(300)] + [last]
        days = np.arange("2020-01-01", len(closes), dtype="datetime64[D]")
        rows = [f"KALO,{day},{close},{close}" for day, close in zip(days, closes, strict=True)]
        file.write_text("\n".join(["ticker,date,close,adj_close", *rows]))
        names.append(played(suite, [lineup()], tmp_path).plan.id)
    assert len(set(names)) == 2


def test_a_second_process_is_refused_and_told_which_is_at_it(
    few: Suite, lineup: Callable[..., Lineup], tmp_path: Path
) -> None:
    def again(progress: Progress) -> None:
        if progress.done == 1:
            with pytest.raises(UsageError, match=f"but process {os.getpid()} is at it"):
                next(iter(runner.run(few, [lineup()], tmp_path).__await__()))  # it asks before it awaits anything

    played(few, [lineup()], tmp_path, watch=again)


@pytest.mark.parametrize("name", ["pid", "no pid"])
def test_a_holder_that_has_not_said_who_it_is_is_another_process(tmp_path: Path, name: str) -> None:
    with FileLock(tmp_path / "lock"):  # its number is written after it is taken
        (tmp_path / name).touch()
        with pytest.raises(UsageError, match="at rest, but another process is at it"), runner.alone(tmp_path):
            pass


def test_a_run_deleted_while_all_are_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: object) -> list[Path]:
        return [tmp_path / "gone" / "plan.json", tmp_path / "kept"]

    (tmp_path / "kept").touch()
    monkeypatch.setattr(Path, "glob", found)
    assert runner.listing(tmp_path) == [tmp_path.name]


def test_a_watcher_that_fails_stops_the_run_and_loses_nothing(
    few: Suite, lineup: Callable[..., Lineup], tmp_path: Path
) -> None:
    def fail(progress: Progress) -> None:
        if progress.done == 3:
            raise ConnectionError("nobody reads any more")

    with pytest.raises(DataError, match="nobody reads any more"):
        played(few, [lineup()], tmp_path, watch=fail)
    seen: list[Progress] = []
    assert played(few, [lineup()], tmp_path, watch=seen.append).complete
    assert seen[0].done >= 3


def test_a_full_disk_stops_the_run_in_one_line_and_it_goes_on_after(
    few: Suite, lineup: Callable[..., Lineup], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded = (*ledgers.OPENING, "PRAGMA max_page_count = 24")
    monkeypatch.setattr(ledgers, "OPENING", bounded)
    with pytest.raises(DataError, match=r"stopped: database or disk is full; mend that .* it goes on") as caught:
        played(few, [lineup()], tmp_path)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    before = len(runner.stored(tmp_path, "last").outcomes)
    assert 0 < before < len(few.scenarios)
    seen: list[Progress] = []
    assert played(few, [lineup()], tmp_path, watch=seen.append).complete
    assert seen[0].done == before


def test_data_that_cannot_be_written_stops_the_run(few: Suite, lineup: Callable[..., Lineup], tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "fixtures").write_text("a file where a folder belongs")
    with pytest.raises(DataError, match="stopped: "):
        played(few, [lineup()], tmp_path)
    assert runner.stored(tmp_path, "last").outcomes == ()  # no case was scored for a fault of the machine


@pytest.mark.parametrize(("epochs", "concurrency", "names"), [(0, 1, "a"), (1, 0, "a"), (1, 1, "aa"), (1, 1, "")])
def test_what_cannot_be_a_run_is_refused(
    few: Suite, lineup: Callable[..., Lineup], tmp_path: Path, epochs: int, concurrency: int, names: str
) -> None:
    with pytest.raises(UsageError, match="expected"):
        played(few, [lineup(name) for name in names], tmp_path, epochs=epochs, concurrency=concurrency)


def test_stored_runs_are_found_by_their_beginnings(few: Suite, lineup: Callable[..., Lineup], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds none"):
        runner.stored(tmp_path, "last")
    one, two = (played(Suite(n, "dev", "", few.scenarios[:1]), [lineup()], tmp_path) for n in ("first", "second"))
    assert runner.stored(tmp_path, "first") == one and runner.stored(tmp_path, "last") == two
    with pytest.raises(UsageError, match="no evaluation is called 'third'"):
        runner.stored(tmp_path, "third")
    (one.folder / "plan.json").write_text("{}")
    with pytest.raises(BrokenRun, match="its plan cannot be read"):
        runner.stored(tmp_path, "first")


@pytest.mark.parametrize("where", ["outcome", "transcript"])
def test_a_byte_changed_in_a_ledger_is_found(tmp_path: Path, where: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, make=True) as ledger:
        ledger.keep(transcript())
    with sqlite3.connect(path) as opened:
        (packed,) = opened.execute(f"SELECT {where} FROM outcomes").fetchone()
        changed = packed[:20] + bytes([packed[20] ^ 1]) + packed[21:]
        opened.execute(f"UPDATE outcomes SET {where} = ?", [changed])
    opened.close()
    with Ledger(path) as ledger, pytest.raises(BrokenRun, match="its ledger cannot be read"):
        assert ledger.outcomes()
        ledger.transcript(transcript().outcome.key)


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no ledger at all" * 100)
    with pytest.raises(BrokenRun, match="cannot be read"):
        Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(BrokenRun, match="unable to open"):
        Ledger(tmp_path / "none.sqlite")


def test_a_ledger_takes_an_outcome_once(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", make=True) as ledger:
        ledger.keep(transcript())
        with pytest.raises(BrokenRun, match="UNIQUE"):
            ledger.keep(transcript())
        ledger.keep(transcript(epoch=1))
        assert [o.epoch for o in ledger.outcomes()] == [0, 1]
        with pytest.raises(BrokenRun, match="expected a transcript"):
            ledger.transcript(("a", "case", 2))


def test_killed_again_and_again_it_ends_as_if_never_stopped(
    few: Suite, lineup: Callable[..., Lineup], tmp_path: Path
) -> None:
    file = tmp_path / "trial.yaml"
    cases = [json.loads(s.model_dump_json(by_alias=True, exclude_defaults=True)) for s in few.scenarios]
    file.write_text(json.dumps({"scenario": cases}))
    home, rng, told = tmp_path / "killed", np.random.default_rng(7), list[tuple[str, ...]]()
    again = [sys.executable, "-c", PLAY, str(file), str(home)]
    for wanted in (1, 7, 15):
        still = str(wanted + 6 - len(told))  # after so many more it stands still, so that it is never through
        with subprocess.Popen([*again, still], stdout=-1, text=True) as process:
            assert process.stdout
            while len(told) < wanted:
                line = process.stdout.readline()
                assert line, "it ended by itself"
                told += kept(line)
            time.sleep(float(rng.uniform(0, 0.05)))
            process.send_signal(signal.SIGKILL)
            told += kept(process.stdout.read())
        there = [tuple(map(str, o.key)) for o in runner.stored(home, "last").outcomes]
        assert set(told) <= set(there) and len(set(told)) == len(told)
        assert not runner.stored(home, "last").complete
        told = there  # what was on disk and not told any more is there as well
    done = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    told += kept(done)
    assert done.endswith("whole\n") and len(set(told)) == len(told)
    run = runner.stored(home, "last")
    assert len(runner.listing(home)) == 1
    assert run.complete and all(run.transcript(o).outcome == o for o in run.outcomes)
    whole = played(few, [lineup("a"), lineup("b")], tmp_path / "whole", epochs=2)
    assert plain(run) == plain(whole)
    assert all(x != y for x, y in pairwise(plain(run)))
