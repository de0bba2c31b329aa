"""`outcry eval` about the gate: plan before verdict, exit codes, records that are shown, checked and found changed."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner, Result

from openoutcry.cli import main
from openoutcry.core.settings import load
from openoutcry.eval.gate import chain
from openoutcry.eval.gate.planning import Planned
from openoutcry.eval.gate.record import Record, hashed
from openoutcry.eval.gate.session import Gate
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.suite import load as suite
from openoutcry.eval.terms import Criterion, Side, Status, Verdict
from openoutcry.interfaces import eval_gate_text
from openoutcry.trial import Trial

Run = Callable[..., Result]
Decision = Literal["PROMOTE", "REJECT", "INCONCLUSIVE"]
CASES = """
[[scenario]]
id = "cites-var"
category = "value at risk"
cluster = "KALO"
seat = "risk"
question = "How risky is KALO over the next 1 day at 99% confidence?"
fixture = { made = [{ situation = "steady", seed = 1 }] }
expect = { tools = { required = ["value_at_risk"] } }
"""
GATE = ("gate", "odd", "--role", "risk", "--suite", "mine.toml", "--safety", "mine.toml")


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outcry eval`, in a folder of its own with a suite of one case and a stack of one model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("OUTCRY_STACK", raising=False)
    (tmp_path / "mine.toml").write_text(CASES, encoding="utf-8")
    (tmp_path / "stack.toml").write_text('[models.odd]\nengine = "endpoint"\nurl = "http://127.0.0.1:9"\n')
    (tmp_path / "desk.toml").write_text('stack = "stack.toml"\n')
    return lambda *words: CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "eval", *words])


def planned(home: Path) -> Planned:
    """The look that `GATE` asks for."""
    trial = Trial(load(None).model_copy(update={"home": home}))
    try:
        return Gate(home, trial, datetime.now(UTC)).plan("risk", "odd", suite="mine.toml", safety="mine.toml")
    finally:
        trial.close()


def side(name: str, score: float) -> Side:
    outcomes = tuple(
        Outcome(
            scenario=f"case-{i}",
            digest=f"digest-{i}",
            category="value at risk",
            cluster=f"cluster-{i}",
            lineup=name,
            epoch=0,
            score=score if i else 1.0,
            failure="" if score or not i else "timeout: no answer within 600 s",
        )
        for i in range(6)
    )
    return Side(
        name=name, models={"risk": name}, cases="c", prompts={}, decoding={}, outcomes=outcomes, safety=outcomes[:2]
    )


def looked(look: Planned, decision: Decision, number: int, previous: str) -> Record:
    """A record of *look*, with one criterion of each kind."""
    shared = {"look", "role", "challenger", "champion", "anchor", "suite", "safety", "bank", "rotation", "detectable"}
    criteria = (
        Criterion(name="gain", status=Status.HOLDS, said="Gain over the champion +9.0 points."),
        Criterion(name="value at risk against anchor", status=Status.OPEN, said="value at risk against the anchor -1."),
        Criterion(name="tokens", status=Status.BROKEN, said="tokens: 9 against 1 \x1b[2J</script><img src=x>."),
    )
    return Record(
        **look.model_dump(include=shared),
        number=number,
        begun="2026-11-03T01:00:00+00:00",
        made="2026-11-03T01:20:00+00:00",
        month="2026-11",
        turn=1,
        alpha=0.025,
        terms=look.terms,
        seeds=(0,),
        runs=("risk-0", "safety-0"),
        environment={},
        sides=(side("champion", 1.0), side("challenger", 0.0), side("anchor", 1.0)),
        verdict=Verdict(decision=decision, criteria=criteria),
        previous=previous,
    )


def keep(home: Path, decision: Decision) -> Planned:
    """A record of the look that `GATE` asks for, in the chain."""
    look = planned(home)
    chain.append(home, look.look, partial(looked, look, decision))
    return look


def test_the_plan_says_what_the_look_can_see_and_why_it_may_not_begin(outcry: Run, tmp_path: Path) -> None:
    done = outcry(*GATE, "--plan")
    told = " ".join(done.stdout.split())
    assert done.exit_code == 2
    assert "odd for the seat risk against the champion house, and the anchor house over 1 case in 1 cluster" in told
    assert re.search(r"can see a gain of [\d.]+ points or more, with a power of 80 %; one of 5.0 matters", told)
    assert "holds to no category worse by 10 points than the champion or the anchor, at one-sided 5 %" in told
    assert "it may not begin: expected at least 300 cases of safety; the suite mine.toml has 1" in told
    assert json.loads(outcry(*GATE, "--plan", "--json").stdout)["look"] == planned(tmp_path / "home").look
    assert not (tmp_path / "home" / "evals").exists()
    assert "about" not in told, "no earlier run tells how long"
    page = outcry(*GATE, "--plan", "--html", "p.html")
    assert (page.exit_code, page.stderr.count("\n"), (tmp_path / "p.html").exists()) == (2, 1, False)
    outcry("run", "mine.toml")
    (broken := tmp_path / "home" / "evals" / "mine-of-another-version").mkdir()
    (broken / "plan.json").write_text("{}")  # the newest
    assert "of mine, then" in (again := " ".join(outcry(*GATE, "--plan").stdout.split()))
    assert re.search(r"; about [\d.]+ (s|min|h), by an earlier run of mine", again)


def test_a_look_needs_a_seat(outcry: Run) -> None:
    done = outcry("gate", "odd")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "expected --role" in done.stderr


def test_a_look_that_may_not_begin_is_planned_aloud_and_refused(outcry: Run) -> None:
    done = outcry(*GATE)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.index("can see") < done.stderr.index("outcry: expected at least 300 cases of safety")
    assert done.stderr.count("300 cases of safety") == 1


@pytest.mark.parametrize(("decision", "code"), [("PROMOTE", 0), ("REJECT", 1), ("INCONCLUSIVE", 1)])
def test_the_exit_code_is_that_of_the_verdict(outcry: Run, tmp_path: Path, decision: Decision, code: int) -> None:
    keep(tmp_path / "home", decision)
    done = outcry(*GATE)
    assert done.exit_code == code, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"{decision}: odd for the seat risk"
    assert lines[2:5] == [
        "  broken  tokens: 9 against 1 \\x1b[2J</script><img src=x>.",
        "  open    value at risk against anchor: -1.",
        "  holds   gain: Gain over the champion +9.0 points.",
    ]
    assert "can see" in done.stderr
    assert json.loads(outcry(*GATE, "--json").stdout)["verdict"]["decision"] == decision


def test_a_page_is_said_not_to_be_written_only_where_none_is(outcry: Run, tmp_path: Path) -> None:
    refused = outcry(*GATE, "--html", "p.html")
    assert (refused.exit_code, "no page is written to p.html" in refused.stderr) == (2, True)
    keep(tmp_path / "home", "REJECT")
    taken = outcry(*GATE, "--html", "p.html")
    assert ("no page" in taken.stderr, (tmp_path / "p.html").exists()) == (False, True)


def test_records_are_listed_and_shown_again(outcry: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcry("records").stdout.startswith("the gate holds no record; `outcry eval gate")
    keep(tmp_path / "home", "REJECT")
    rows = [re.split(r"\s{2,}", line) for line in outcry("records").stdout.splitlines()]
    assert rows[0] == ["record", "made", "seat", "challenger", "champion", "set", "verdict"]
    assert rows[1][:5] == ["1", "2026-11-03 01:20", "risk", "odd", "house"]
    assert rows[1][6] == "REJECT"
    assert outcry("records", "1").stdout == outcry(*GATE).stdout
    told = f"hash of record 1: {hashed(chain.records(tmp_path / 'home')[0])}\n"
    assert told in outcry("records", "1").stdout
    assert told not in outcry("verify").stdout, "nobody keeps the hash of a chain that is at fault"

    def sound(_: Path, __: Path | None) -> list[chain.Checked]:
        return [chain.Checked(number=1, ok=True, said="it is as it was written")]

    monkeypatch.setattr(chain, "verify", sound)
    assert told in outcry("verify").stdout
    assert (outcry("records", "2").exit_code, outcry("records", "--html", "x.html").exit_code) == (2, 2)


def test_the_page_of_a_look_says_what_must_hold(outcry: Run, tmp_path: Path) -> None:
    keep(tmp_path / "home", "REJECT")
    assert outcry("records", "1", "--html", "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8").replace("\u00a0", " ").replace("\u2212", "-")
    assert '<span class="oo-decision oo-reject">REJECT</span>odd for the seat risk' in text
    assert '<b class="oo-broken">broken</b><span>tokens</span><span>9 against 1' in text
    assert text.index('<b class="oo-broken">') < text.index('<b class="oo-open">') < text.index('<b class="oo-holds">')
    assert "<img" not in text
    assert "timeout: no answer within 600 s" in text
    assert "champion house" in text and "challenger odd" in text


def test_a_changed_byte_is_found(outcry: Run, tmp_path: Path) -> None:
    nothing = outcry("verify")
    assert (nothing.exit_code, "found none" in nothing.stderr) == (2, True)
    keep(tmp_path / "home", "REJECT")
    record = tmp_path / "home" / "gate" / "records" / "000001.json"
    record.write_bytes(record.read_bytes().replace(b'"challenger":"odd"', b'"challenger":"old"'))
    done = outcry("verify", "--key", str(tmp_path / "home" / "gate" / "key.pub.pem"))
    assert done.exit_code == 3
    assert done.stdout.startswith("FAULT  record 1: its hash is not that of what it holds")
    assert re.fullmatch(r"outcry: the gate's records are not as they were written: \d+ faults?\n", done.stderr)
    assert json.loads(outcry("verify", "--json").stdout)[0]["ok"] is False


def test_training_data_that_asks_a_case_is_found(outcry: Run, tmp_path: Path) -> None:
    question = suite("mine.toml").scenarios[0].question
    clean = "An unrelated sentence about the weather in spring and the colour of the sky."
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jsonl").write_text(json.dumps({"text": question}) + "\n" + json.dumps({"text": clean}))
    (tmp_path / "clean.txt").write_text(clean)
    found = outcry("scan", "train", "--suite", "mine.toml")
    assert found.exit_code == 1
    assert re.search(r"^train/a\.jsonl line 1: 100 % of the question of cites-var", found.stdout)
    assert "1 of 2 texts overlap" in found.stdout
    none = outcry("scan", "clean.txt", "--suite", "mine.toml")
    assert (none.exit_code, none.stdout) == (0, "1 text, none overlaps\n")
    (tmp_path / "odd.bin").write_bytes(b"x")
    assert outcry("scan", "odd.bin", "--suite", "mine.toml").exit_code == 3
    assert outcry("scan", "nothing.txt", "--suite", "mine.toml").exit_code == 2


def test_a_judge_needs_labels_enough(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"question": "q", "answer": "a", "statement": "s", "label": true}\n')
    done = outcry("judge", "odd", "--labels", "labels.jsonl")
    assert done.exit_code == 2
    assert "at least 50 labelled answers" in done.stderr
    (tmp_path / "labels.jsonl").write_text("{}\n")
    assert "labels.jsonl line 1" in outcry("judge", "odd", "--labels", "labels.jsonl").stderr


def test_what_a_criterion_says_does_not_repeat_its_name() -> None:
    def said(name: str, text: str) -> str:
        return eval_gate_text.said(Criterion(name=name, status=Status.HOLDS, said=text))

    assert said("tone against anchor", "tone against the anchor +1 points") == "+1 points"
    assert said("memory", "memory: 1 MiB") == "1 MiB"
    assert said("safety", "0 of 300 failed") == "0 of 300 failed"
