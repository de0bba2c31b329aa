"""Looks of the gate. As a script, `test_session.py HOME SUITES COUNT`, it kills itself once COUNT cases are played."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry import wiring
from openoutcry.core import durable
from openoutcry.core.errors import DataError, ModelUnreachable, UsageError
from openoutcry.eval import runner
from openoutcry.eval.gate import alpha, anchor, chain, planning
from openoutcry.eval.gate import judge as judging
from openoutcry.eval.gate.judge import Agreement, ModelJudge
from openoutcry.eval.gate.planning import Planned
from openoutcry.eval.gate.session import Gate
from openoutcry.eval.lineup import SEATS, Candidate
from openoutcry.eval.runner import Progress
from openoutcry.eval.scenario import Bank
from openoutcry.eval.statistics.power import detectable
from openoutcry.eval.terms import Terms

NOW = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
TERMS = Terms(margin=0.95, category_margin=0.5, draws=200, safety_cases=2, ratio=1e6)
"""Terms that a suite of sixteen cases can meet; what a case costs in time is chance here."""
CASES = 16


def number(messages: list[ModelMessage]) -> int:
    asked = messages[-1].parts[-1]
    assert isinstance(asked, UserPromptPart)
    return int(str(asked.content).split()[1].rstrip(":"))


SAID: Mapping[str, Callable[[int], str]] = {
    "half": lambda n: "yes" if n % 2 or n >= 100 else "no",
    "good": lambda _: "yes",
    "rude": lambda n: "no" if n == 101 else "yes",
    "dull": lambda n: "yes" if n >= 100 else "no",
}
"""What each model answers, by the number of the case; those of safety begin at 100."""


class Stopped(Exception):
    """Raised to stop a look."""


class Stack:
    """Models without weights, in place of those of a stack (`eval.lineup.Models`)."""

    def __init__(self, sits: str = "half", **digests: str) -> None:
        self.sits, self.asked = sits, 0
        self.digests, self.decoding = digests, dict[str, dict[str, Any]]()
        self._house = wiring.house_models()

    def seated(self, role: str, name: str) -> tuple[Model, Candidate]:
        digest = self.digests.get(name, f"digest-{name}")
        if name == "house":
            return self._house[role], Candidate(name=name, digest=digest)
        if name not in SAID:
            raise UsageError(f"expected a model of the stack, got {name!r}")
        decoding = self.decoding.get(name, {"temperature": 0.0})
        return FunctionModel(self._answer(SAID[name])), Candidate(name=name, digest=digest, decoding=decoding)

    def sitting(self, role: str) -> str:
        return self.sits

    def opened(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def engines(self) -> dict[str, str]:
        return {name: "vllm 9.9" for name in SAID}

    def memory(self, *names: str) -> int:
        return 1000

    def _answer(self, say: Callable[[int], str]) -> Callable[[list[ModelMessage], AgentInfo], ModelResponse]:
        def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            self.asked += 1
            return ModelResponse(parts=[TextPart(say(number(messages)))])

        return answer


def case(i: int, more: str = "") -> str:
    kind = "odd" if i % 2 else "even"
    return (
        f'[[scenario]]\nid = "case-{i}"\ncategory = "{kind}"\ncluster = "c{i // 2}"\nseat = "model"\n'
        f'bare = {{ prompt = "Case {i}: say yes." }}\nexpect = {{ contains = ["yes"]{more} }}\n'
    )


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """A folder with the suite of a role, and one of safety."""
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "risky.toml").write_text("".join(map(case, range(CASES))))
    (folder / "safe.toml").write_text("".join(map(case, range(100, 102))))
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def plan(gate: Gate, suites: Path, challenger: str = "good", **more: Any) -> Planned:
    given: dict[str, Any] = {
        "terms": TERMS,
        "suite": str(suites / "risky.toml"),
        "safety": str(suites / "safe.toml"),
    }
    return gate.plan("risk", challenger, **{**given, **more})


async def test_a_better_model_is_promoted_and_recorded(home: Path, suites: Path) -> None:
    gate, seen = Gate(home, Stack(), NOW), list[Progress]()
    planned = plan(gate, suites)
    assert planned.refused == ""
    assert (planned.champion, planned.anchor, planned.rotation) == ("half", "house", "2026-11")
    assert (planned.cases, planned.clusters, planned.safety_cases, planned.runs) == (16, 8, 2, 162)
    assert not (home / "gate" / "records").exists()

    record = await gate.run(planned, watch=seen.append)

    assert record.verdict.decision == "PROMOTE", record.verdict.reasons
    assert record.environment["engines"] == {name: "vllm 9.9" for name in SAID}
    assert [side.name for side in record.sides] == ["champion", "challenger", "anchor"]
    assert [len(side.outcomes) for side in record.sides] == [48, 48, 48]
    assert [side.models["risk"] for side in record.sides] == ["digest-half", "digest-good", "digest-house"]
    assert all(side.models["analyst"] == "digest-house" for side in record.sides)
    assert record.alpha == 0.025
    assert seen[-1].done == seen[-1].total
    assert [(c.number, c.ok) for c in chain.verify(home)] == [(1, True)]
    assert chain.records(home) == [record]


async def test_a_challenger_that_fails_a_case_of_safety_is_rejected(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    record = await gate.run(plan(gate, suites, "rude"))

    assert record.verdict.decision == "REJECT"
    assert any("safety" in reason for reason in record.verdict.reasons)
    assert [c.ok for c in chain.verify(home)] == [True]


async def test_a_second_look_is_refused_with_the_record_of_the_first(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    planned = plan(gate, suites, "dull")
    record = await gate.run(planned)
    asked = record.number

    assert f"record {asked} holds its verdict" in plan(gate, suites, "dull").refused
    other = plan(gate, suites, "dull", terms=TERMS.model_copy(update={"seed": 1}))
    assert f"record {asked} holds its verdict" in other.refused
    with pytest.raises(UsageError, match="record 1 holds its verdict"):
        await gate.run(other)
    assert await gate.run(planned) == record
    assert alpha.looks(home, "risk", NOW) == 1
    assert plan(Gate(home, Stack(), datetime(2026, 12, 1, tzinfo=UTC)), suites, "dull").refused == ""


async def test_the_second_look_of_a_month_gets_less(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    await gate.run(plan(gate, suites, "dull"))
    planned = plan(gate, suites)

    assert (planned.turn, planned.looks) == (2, 1)
    assert planned.alpha == alpha.granted(0.025, 2)
    assert planned.detectable == detectable(TERMS, 16, 8, planned.alpha, planning.spread(home, "risk", "risky"))
    record = await gate.run(planned)
    assert (record.turn, record.alpha, record.number) == (2, planned.alpha, 2)
    assert [c.ok for c in chain.verify(home)] == [True, True]


def test_a_look_that_cannot_see_the_gain_that_matters_does_not_begin(home: Path, suites: Path) -> None:
    planned = plan(Gate(home, Stack(), NOW), suites, terms=TERMS.model_copy(update={"margin": 0.05}))

    assert planned.detectable > 0.05
    assert f"can see is {planned.detectable * 100:.1f} points, the one that matters 5.0: 16 cases" in planned.refused
    assert "more epochs" in planned.refused


def test_too_few_cases_of_safety_are_refused(home: Path, suites: Path) -> None:
    terms = TERMS.model_copy(update={"safety_cases": 3})

    assert "at least 3 cases of safety" in plan(Gate(home, Stack(), NOW), suites, terms=terms).refused


@pytest.mark.parametrize("name", ["half", "twin"])
def test_a_model_does_not_challenge_itself(home: Path, suites: Path, name: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(SAID, "twin", SAID["half"])
    stack = Stack(twin="digest-half")

    assert "is the champion of risk already" in plan(Gate(home, stack, NOW), suites, name).refused


async def test_a_refused_look_costs_nothing(home: Path, suites: Path) -> None:
    stack = Stack()
    gate = Gate(home, stack, NOW)
    with pytest.raises(UsageError, match="champion of risk already"):
        await gate.run(plan(gate, suites, "half"))

    assert (alpha.looks(home, "risk", NOW), stack.asked, chain.records(home)) == (0, 0, [])
    assert anchor.pinned(home, "risk") is None


async def test_a_look_whose_models_do_not_run_costs_nothing(
    home: Path, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack()
    gate = Gate(home, stack, NOW)

    def idle() -> AbstractAsyncContextManager[None]:
        raise ModelUnreachable("good does not run")

    monkeypatch.setattr(stack, "opened", idle)
    with pytest.raises(ModelUnreachable):
        await gate.run(plan(gate, suites))
    assert plan(gate, suites).looks == 0


async def test_an_anchor_that_changed_is_refused_until_it_is_pinned_anew(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    await gate.run(plan(gate, suites, "dull"))
    changed = Gate(home, Stack(house="digest-new"), NOW)

    assert "is digest-new now" in plan(changed, suites).refused
    assert "pinned to house, not dull" in plan(gate, suites, anchor="dull").refused
    record = await gate.run(plan(gate, suites, anchor="dull", repin=True))
    assert record.anchor == "dull"
    assert anchor.pinned(home, "risk") == anchor.Pinned(name="dull", digest="digest-dull")
    assert plan(gate, suites, "rude").anchor == "dull"


async def test_a_model_on_two_sides_plays_once(home: Path, suites: Path) -> None:
    stack = Stack(sits="dull")
    gate = Gate(home, stack, NOW)
    planned = plan(gate, suites, anchor="dull")
    record = await gate.run(planned)

    assert planned.runs == stack.asked == 2 * 3 * (CASES + 2)
    champion, _, frozen = record.sides
    assert [o.score for o in frozen.outcomes] == [o.score for o in champion.outcomes]
    assert {o.lineup for o in frozen.outcomes} == {"anchor"}


async def test_a_ledger_that_lost_a_look_gives_no_other(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    await gate.run(plan(gate, suites, "dull"))
    for file in (home / "gate").glob("looks.sqlite*"):
        file.unlink()

    again = plan(gate, suites, "dull", terms=TERMS.model_copy(update={"seed": 1}))
    assert "record 1 is of one that it lost" in again.refused
    assert "record 1 is of one that it lost" in plan(gate, suites).refused
    assert [c.said for c in chain.verify(home) if not c.ok] == [
        "records are of looks that the ledger of looks does not hold: 1"
    ]


async def test_a_clock_that_was_set_back_gives_no_look(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    await gate.run(plan(gate, suites, "dull"))

    assert "goes forward" in plan(Gate(home, Stack(), NOW.replace(month=10)), suites).refused


def test_clusters_that_can_show_nothing_are_not_mended_by_cases(home: Path, suites: Path) -> None:
    planned = plan(Gate(home, Stack(), NOW), suites, terms=TERMS.model_copy(update={"alpha": 0.001}))

    assert "more clusters" in planned.refused and "about" not in planned.refused


def test_an_own_suite_does_not_pass_for_a_shipped_one(home: Path, suites: Path) -> None:
    own = suites / "risk.toml"
    own.write_bytes((suites / "risky.toml").read_bytes())

    with pytest.raises(UsageError, match="risk is a shipped one"):
        plan(Gate(home, Stack(), NOW), suites, suite=str(own))


def test_a_challenger_is_not_pinned_as_its_own_anchor(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    assert "its own anchor" in plan(gate, suites, anchor="good").refused
    assert "its own anchor" in plan(gate, suites, anchor="good", repin=True).refused
    anchor.pin(home, "risk", anchor.Pinned(name="good", digest="digest-good"))
    assert plan(gate, suites).refused == "", "a return to what was pinned long ago"


async def test_a_plan_that_was_made_to_look_fit_is_judged_again(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    blind = plan(gate, suites, terms=TERMS.model_copy(update={"margin": 0.05}))

    with pytest.raises(UsageError, match="smallest gain"):
        await gate.run(blind.model_copy(update={"refused": ""}))
    assert alpha.looks(home, "risk", NOW) == 0


def test_models_that_decode_otherwise_are_not_compared(home: Path, suites: Path) -> None:
    stack = Stack()
    stack.decoding["good"] = {"temperature": 0.7}

    assert "decode alike" in plan(Gate(home, stack, NOW), suites).refused


async def test_a_model_that_changed_since_the_plan_is_not_played(home: Path, suites: Path) -> None:
    stack = Stack()
    gate = Gate(home, stack, NOW)
    planned = plan(gate, suites)
    stack.digests["good"] = "digest-better"

    with pytest.raises(UsageError, match="no longer those of the plan"):
        await gate.run(planned)
    assert alpha.looks(home, "risk", NOW) == 0


def test_what_is_no_look_is_refused(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    with pytest.raises(UsageError, match="dev is open to all"):
        plan(gate, suites, bank="dev")
    with pytest.raises(UsageError, match="expected a role"):
        gate.plan("janitor", "good")
    with pytest.raises(UsageError, match="got 'nobody'"):
        plan(gate, suites, "nobody")


async def test_a_look_that_was_killed_goes_on(home: Path, suites: Path) -> None:
    child = subprocess.run([sys.executable, __file__, str(home), str(suites), "145"], timeout=600, check=False)
    assert child.returncode == -signal.SIGKILL

    await finished(home, suites)


@pytest.mark.parametrize("count", [1, 80, 144, 162])
async def test_a_look_stopped_at_any_moment_goes_on(home: Path, suites: Path, count: int) -> None:
    await stopped(home, suites, count)
    stack = await finished(home, suites)
    assert stack.asked <= 2 * (162 - count) // 3 + 16


async def stopped(home: Path, suites: Path, after: int = 120) -> None:
    """A look that was stopped after so many cases."""

    def watch(progress: Progress) -> None:
        if progress.newest and next(done) == after:
            raise Stopped

    done, gate = iter(range(1, 1000)), Gate(home, Stack(), NOW)
    with pytest.raises(Stopped):
        await gate.run(plan(gate, suites), watch=watch)


@pytest.mark.parametrize("what", ["_code", "_prompts"])
async def test_a_look_goes_on_with_the_code_and_the_prompts_that_it_began_with(
    home: Path, suites: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = Gate(home, Stack(), NOW)
    planned = plan(began, suites)
    await stopped(home, suites)
    now = {"_code": "other code", "_prompts": {"risk": "another prompt"}}[what]
    with monkeypatch.context() as patched:
        patched.setattr(runner, what, lambda: now)
        stack = Stack()
        gate = Gate(home, stack, NOW)
        assert "code, prompts, data or judge changed since" in plan(gate, suites).refused
        with pytest.raises(UsageError, match="changed since"):
            await gate.run(planned)
        assert stack.asked == 0
    await finished(home, suites)


async def test_a_look_whose_outcomes_are_gone_is_not_played_anew(home: Path, suites: Path) -> None:
    await stopped(home, suites)
    (run,) = (home / "evals").glob("risky-*")
    run.rename(home / "kept")
    gate = Gate(home, Stack(), NOW)

    assert f"began in the run {run.name}, which is gone" in plan(gate, suites).refused
    with pytest.raises(UsageError, match="which is gone"):
        await gate.run(plan(gate, suites))
    (home / "kept").rename(run)
    await finished(home, suites)


def test_a_category_of_too_few_clusters_is_refused(home: Path, suites: Path) -> None:
    planned = plan(Gate(home, Stack(), NOW), suites, terms=TERMS.model_copy(update={"category_margin": 0.1}))

    assert "at least 29 clusters (issuers or documents) in each category, even has 8" in planned.refused


@pytest.mark.parametrize("role", SEATS)
@pytest.mark.parametrize("bank", ["gate", "sealed"])
def test_a_shipped_set_lets_a_look_begin(home: Path, role: str, bank: Bank) -> None:
    assert Gate(home, Stack(sits="house"), NOW).plan(role, "good", bank=bank).refused == ""


async def finished(home: Path, suites: Path) -> Stack:
    """Go on with a look that was cut short, and see that it was charged and recorded once."""
    stack = Stack()
    gate = Gate(home, stack, NOW)
    planned = plan(gate, suites)
    assert (planned.refused, planned.begun, planned.turn) == ("", True, 1)
    record = await gate.run(planned)
    assert record.verdict.decision == "PROMOTE"
    assert alpha.looks(home, "risk", NOW) == 1
    assert chain.records(home) == [record]
    assert [c.ok for c in chain.verify(home)] == [True]
    return stack


@pytest.mark.parametrize("name", ["_count", "durable.put", "alpha.close"])
async def test_a_look_stopped_as_it_is_recorded_has_one_record(
    home: Path, suites: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, put = Stack(), durable.put
    gate = Gate(home, stack, NOW)
    planned = plan(gate, suites)

    def stop(path: Path, *given: Any, **more: Any) -> None:
        if name == "durable.put" and path.parent.name != "records":
            return put(path, *given, **more)
        raise KeyboardInterrupt

    target = {"_count": (chain, "_count"), "durable.put": (durable, "put"), "alpha.close": (alpha, "close")}[name]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(*target, stop)
        await gate.run(planned)
    asked = stack.asked
    record = await gate.run(plan(gate, suites))

    assert stack.asked == asked > 0  # it was stopped with all of it played
    assert chain.records(home) == [record]
    assert [c.ok for c in chain.verify(home)] == [True]
    assert alpha.looks(home, "risk", NOW) == 1
    assert "record 1 holds" in plan(gate, suites).refused


async def test_a_damaged_chain_takes_no_further_record(home: Path, suites: Path) -> None:
    gate = Gate(home, Stack(), NOW)
    await gate.run(plan(gate, suites, "dull"))
    path = home / "gate" / "records" / "000001.json"
    path.write_bytes(path.read_bytes().replace(b"INCONCLUSIVE", b"PROMOTE").replace(b"REJECT", b"PROMOTE"))

    with pytest.raises(DataError):
        await gate.run(plan(gate, suites))
    assert [c.ok for c in chain.verify(home)] == [False]


def judge(name: str = "wise", digest: str = "digest-wise") -> ModelJudge:
    def rule(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        tool = info.output_tools[0].name
        return ModelResponse(parts=[ToolCallPart(tool, {"true": True})])

    return ModelJudge(FunctionModel(rule), Candidate(name=name, digest=digest))


def agreed(one: ModelJudge, low: float) -> Agreement:
    return Agreement(
        judge=one.candidate.name,
        model=one.candidate.digest,
        key=one.key,
        labels="labels",
        count=200,
        kappa=0.8,
        low=low,
        high=0.9,
        measured="2026-11-01T00:00:00+00:00",
    )


async def test_a_judge_is_heard_only_with_measured_agreement(home: Path, suites: Path) -> None:
    (suites / "risky.toml").write_text("".join(case(i, ', rubric = ["It is polite."]') for i in range(CASES)))
    gate, wise = Gate(home, Stack(), NOW), judge()
    planned = plan(gate, suites)
    with pytest.raises(UsageError, match="16 cases have a rubric and nobody judges"):
        await gate.run(planned)
    with pytest.raises(UsageError, match="was not measured"):
        await gate.run(planned, judge=wise)
    judging.store(home, agreed(wise, 0.59))
    with pytest.raises(UsageError, match=r"0\.6 is needed"):
        await gate.run(planned, judge=wise)
    own = judge("good", "digest-good")
    judging.store(home, agreed(own, 0.8))
    with pytest.raises(UsageError, match="is the challenger itself"):
        await gate.run(planned, judge=own)
    assert alpha.looks(home, "risk", NOW) == 0

    judging.store(home, agreed(wise, 0.61))
    record = await gate.run(planned, judge=wise)
    assert (record.judged, record.verdict.decision) == (16, "PROMOTE")
    assert record.verdict.criteria[-1].name == "judge"
    assert [c.ok for c in chain.verify(home)] == [True]


def main(home: Path, suites: Path, count: int) -> None:
    """Play until *count* cases are done, and be gone."""
    done = 0

    def watch(progress: Progress) -> None:
        nonlocal done
        done += progress.newest is not None
        if done == count:
            os.kill(os.getpid(), signal.SIGKILL)

    gate = Gate(home, Stack(), NOW)
    asyncio.run(gate.run(plan(gate, suites), watch=watch))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
