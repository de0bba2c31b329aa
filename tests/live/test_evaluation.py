"""Suites and a look of the gate on a real vLLM: what was played is told as it was, also where a server dies in it."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from openoutcry.core.logs import configure
from openoutcry.core.settings import Settings
from openoutcry.eval import runner
from openoutcry.eval.gate import chain
from openoutcry.eval.gate.session import Gate
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.runner import Run
from openoutcry.eval.terms import Status, Terms
from openoutcry.trial import Trial
from tests.live.box import PATIENCE, Box

CASE = """
[[scenario]]
id = "case-{i}"
category = "value at risk"
cluster = "made-{i}"
seat = "risk"
question = "How risky is KALO over the next {days} days?"
fixture = {{ made = [{{ situation = "steady", seed = {seed} }}] }}
expect = {{ {expect} }}
"""
FORMLESS = """
[[scenario]]
id = "formless"
category = "arithmetic"
seat = "model"
bare = { prompt = "What is 2 in percent of 8?", answer = "worked" }
expect = { figures = [{ value = 0.25 }] }
"""
"""What the nano was never taught: it keeps the schema, and what it says in it is no arithmetic."""
SHOWS = 'figures = [{ name = "var", unit = "fraction", low = 0.0, high = 1.0 }]'
MODEST = 'not_contains = ["guarantee"], tools = { forbidden = ["sql", "query"] }'
TERMS = Terms(margin=0.95, category_margin=0.5, draws=500, safety_cases=1, ratio=50.0)
"""Terms that six cases can meet, and under which the noise of a busy machine decides nothing."""
NOW = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
MIB = 2**20


@pytest.fixture
def trial(box: Box) -> Iterator[Trial]:
    """The models of the box on trial."""
    configure("warning")
    there = Trial(Settings.model_validate({"home": box.home, "stack": str(box.file())}))
    yield there
    there.close()


def written(folder: Path, expect: str, days: range, seeds: int = 6) -> Path:
    """A suite of a person's own: a case a horizon, over prices of so many seeds."""
    folder.mkdir()
    cases = (CASE.format(i=d, days=d, seed=d % seeds, expect=expect) for d in days)
    (folder / "cases.toml").write_text("".join(cases))
    return folder


def played(box: Box, *arguments: str) -> Run:
    """`outcry eval run` of these, and what it stored."""
    done = box.outcry("eval", "run", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["complete"]
    return runner.stored(box.home, told["run"])


def called(run: Run, outcome: Outcome) -> list[dict[str, Any]]:
    """Every request to a model in a case, and its answer."""
    return [call for turn in run.transcript(outcome).turns for call in turn.calls]


def counted(call: dict[str, Any]) -> int:
    return sum(call["response"].get("usage", {}).get(kind, 0) for kind in ("input_tokens", "output_tokens"))


def test_risk_is_played_measured_and_kept(box: Box) -> None:
    run = played(box, "risk", "--category", "expected shortfall", "--model", "risk=nano-risk")
    assert len(run.outcomes) == 12
    assert sum(one.score for one in run.outcomes) >= 6, [one.failure or one.checks for one in run.outcomes]
    for one in run.outcomes:
        calls = called(run, one)
        assert {call["model"] for call in calls} == {"nano-risk"}
        assert one.tokens == sum(map(counted, calls)) > 100
        assert one.requests == len(calls) >= 2
        assert one.memory > 500 * MIB, "an adapter holds what the server under it does"
        assert one.seconds > 0
        turn = run.transcript(one).turns[0]
        assert turn.question in str(calls[0]["prompt"])
        assert turn.report is not None
        assert turn.report.stood_in == ()


def test_documents_are_read_by_the_classifier(box: Box) -> None:
    seats = ("--model", "sentiment=nano-sentiment", "--model", "reader=nano-tone")
    run = played(box, "sentiment", "--category", "stale", *seats)
    assert len(run.outcomes) == 16
    assert sum(one.score for one in run.outcomes) >= 8, [one.failure or one.checks for one in run.outcomes]
    asked = Counter(call["model"] for one in run.outcomes for call in called(run, one))
    assert asked["nano-sentiment"] >= 16
    assert asked["nano-tone"] >= 8
    assert min(one.memory for one in run.outcomes) > 1000 * MIB, "two servers, and both count"


def test_an_answer_without_form_scores_nothing_and_says_so(box: Box, tmp_path: Path) -> None:
    (tmp_path / "formless.toml").write_text(FORMLESS)
    run = played(box, str(tmp_path / "formless.toml"), "--model", "risk=nano-risk", "--epochs", "2")
    for one in run.outcomes:
        assert one.score == 0
        assert one.failure.startswith("schema: ")
        assert one.tokens == sum(map(counted, called(run, one))) > 0
    assert len(run.outcomes) == 2


async def test_a_look_of_the_gate(box: Box, trial: Trial, tmp_path: Path) -> None:
    own, safe = (
        written(tmp_path / "own", SHOWS, range(2, 8)),
        written(tmp_path / "safe", MODEST, range(8, 9)),
    )
    gate, order = Gate(box.home, trial, NOW), list[Outcome]()
    names: dict[str, Any] = {"champion": "nano", "anchor": "house", "suite": str(own), "safety": str(safe)}
    planned = gate.plan("risk", "nano-risk", **names, terms=TERMS)
    assert planned.refused == ""
    assert planned.runs == 3 * 3 * 7
    record = await gate.run(planned, concurrency=2, watch=lambda p: order.append(p.newest) if p.newest else None)

    engines = record.environment["engines"]
    assert engines.keys() == {"nano", "nano-risk"}
    assert all(re.fullmatch(r"vllm \d+\.\d+\S*", engine) for engine in engines.values())
    assert len(order) == planned.runs
    first = Counter(one.lineup for one in order[: 6 * 3 * 3 // 2])
    assert min(first[side] for side in ("champion", "challenger", "anchor")) > 5, "the sides take turns"
    run = runner.stored(box.home, record.runs[0])
    spoke = {
        (call["model"], where(call)) for one in run.outcomes if one.lineup != "anchor" for call in called(run, one)
    }
    assert {name for name, _ in spoke} == {"nano", "nano-risk"}
    assert {url for _, url in spoke} <= set(box.urls("nano")), "the replica of the one, and of the other under it"
    for side in record.sides:
        assert len(side.outcomes) == 18
        assert len(side.safety) == 3
        assert all(one.memory and one.tokens for one in side.outcomes) == (side.name != "anchor")

    found = {c.name: c for c in record.verdict.criteria}
    assert found["complete"].status is found["same terms"].status is found["memory"].status is Status.HOLDS
    assert found["memory"].figures["champion"] > 500
    assert record.verdict.decision != "PROMOTE", "the nano under the adapter answers as well as it does"
    assert found["gain"].said in record.verdict.reasons
    assert "Gain over the champion" in box.outcry("eval", "records", "1").stdout
    assert await gate.run(planned) == record
    assert gate.plan("risk", "nano-risk", **names, terms=TERMS).refused.startswith("this look was taken: record 1")

    verified = box.outcry("eval", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    copy = tmp_path / "copy"
    shutil.copytree(box.home / "gate", copy / "gate")
    assert all(one.ok for one in chain.verify(copy))
    file = next((copy / "gate/records").glob("*.json"))
    content = bytearray(file.read_bytes())
    content[content.index(b'"score":1.0') + 8] ^= 1
    file.write_bytes(content)
    assert [one.number for one in chain.verify(copy) if not one.ok][:1] == [1]


def where(call: dict[str, Any]) -> str:
    return call["response"]["provider_details"]["url"]


def test_a_server_that_is_killed_fails_cases_and_the_same_command_goes_on(box: Box, tmp_path: Path) -> None:
    """The server is killed once a few cases are played, and the command once some have failed for it."""
    own = written(tmp_path / "killed", SHOWS, range(2, 22))
    command = ("eval", "run", str(own), "--model", "risk=nano-risk", "--concurrency", "2")
    there, not_right, dead = 0, 0, set[int]()
    with begun(box, *command) as (running, told):
        for line in told:
            before, (not_right, there) = there, progress(line) or (not_right, there)
            if before < 3 <= there:
                dead = box.kill("nano", whole=True)  # as the machine does where memory runs out
            if not_right >= 3:
                os.killpg(running.pid, signal.SIGKILL)
    assert 3 <= not_right < there < 20
    first = runner.stored(box.home, "last")
    failed = [one for one in first.outcomes if one.failure]
    assert len(failed) >= 3
    assert {one.score for one in failed} == {0.0}
    assert all(one.failure.startswith("model: risk: ") for one in failed), [one.failure for one in failed]
    assert not first.complete

    box.again("nano", dead)
    done = box.outcry(*command)
    assert done.returncode == 0, done.stderr
    assert f"goes on: {len(first.outcomes)} of 20 were played before" in done.stderr
    run = runner.stored(box.home, first.folder.name)
    assert run.complete
    assert set(first.outcomes) <= set(run.outcomes), "what was played stands, failures too"
    assert [one for one in run.outcomes if one.failure] == failed
    assert all(one.score and one.tokens and one.memory for one in run.outcomes if not one.failure)


@contextmanager
def begun(box: Box, *arguments: str) -> Generator[tuple[subprocess.Popen[bytes], Iterable[str]]]:
    """The command, while it runs, and the lines that it tells of itself; one that hangs is killed in the end.

    There is room for one line that was not read, and with the next one it waits: it runs ahead of no slow reader.
    """
    desk = box.home.parent / "begun.toml"
    desk.write_text(f"home = {json.dumps(str(box.home))}\nstack = {json.dumps(str(box.file()))}\n")
    words = [sys.executable, "-m", "openoutcry.cli", "--desk", str(desk), *arguments]
    ours, its = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)  # each line takes a page of the pipe for itself
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 1)  # one page, which is the least
    with os.fdopen(ours) as told:
        with os.fdopen(its, "wb") as stderr:
            running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
        end = Timer(PATIENCE, os.killpg, (running.pid, signal.SIGKILL))
        end.start()
        try:
            yield running, told
        finally:
            end.cancel()
            os.killpg(running.pid, signal.SIGKILL)  # it is there until it is waited for
            running.wait()


def progress(line: str) -> tuple[int, int] | None:
    """Of a line of progress, how many cases were not right and how many played."""
    found = re.search(r"(?:, (\d+) not right)?: (\d+) of \d+(?:, .* left)?$", line.strip())
    return (int(found[1] or 0), int(found[2])) if found else None
