"""A case as it is played: what a model does wrong is its outcome, with its kind, and nothing is dropped or shared."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.core.errors import ModelCutShort, ModelGarbled, ModelTooSlow, ModelUnreachable
from openoutcry.core.report import NoFinding
from openoutcry.eval import stage as stages
from openoutcry.eval.lineup import Lineup
from openoutcry.eval.scenario import Cast, Scenario
from openoutcry.eval.stage import Stage

MakeCase = Callable[..., Scenario]
MakeLineup = Callable[..., Lineup]
NEWS = {
    "seat": "sentiment",
    "question": "What is written about Kalo?",
    "fixture": {"made": [{"situation": "told", "seed": 3}]},
    "expect": {"not_contains": ["certain"]},
}
NOTHING: dict[str, Any] = {"claims": [], "lean": "none"}


def says(*answers: dict[str, Any], tools: Sequence[tuple[str, dict[str, Any]]] = ()) -> FunctionModel:
    """A model that calls tools once, and then gives its answers one after the other, the last again and again."""
    left = list(answers)

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen = [p for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]
        if tools and not seen:
            return ModelResponse([ToolCallPart(n, a, tool_call_id=f"c{i}") for i, (n, a) in enumerate(tools)])
        return ModelResponse([ToolCallPart(info.output_tools[0].name, left.pop(0) if len(left) > 1 else left[0])])

    return FunctionModel(respond, model_name="speaker")


def fails(error: Exception) -> FunctionModel:
    def respond(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
        raise error

    return FunctionModel(respond, model_name="failing")


BABBLER = FunctionModel(lambda _, __: ModelResponse([TextPart("BUY BUY BUY 100 %")]), model_name="babbler")


CITED = {"figures": [{"name": "var", "value": 0.05}]}


async def sleeps(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
    await asyncio.sleep(60)
    raise AssertionError("it was waited for")


@pytest.mark.parametrize(
    ("model", "failure"),
    [
        (BABBLER, "schema: risk: its model gave no valid answer"),
        (fails(ModelUnreachable("no server answers")), "model: risk: no server answers"),
        (fails(ModelGarbled("expected JSON, got soup")), "schema: risk: expected JSON, got soup"),
        (fails(ModelCutShort("it ended half-way")), "schema: risk: it ended half-way"),
        (fails(ModelTooSlow("its deadline of 5 s passed")), "timeout: risk: its deadline of 5 s passed"),
        (fails(KeyError("a fault of ours")), "crash: risk: it failed (KeyError); see the log"),
        (says({"claims": ["It loses 5 %."], "lean": "none"}), "schema: risk: nothing that it said could be grounded"),
    ],
)
def test_a_model_that_fails_scores_nothing_and_says_how(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, model: FunctionModel, failure: str
) -> None:
    for expect in ({"abstain": True}, {"not_contains": ["certain"]}):  # which silence would pass
        told = asyncio.run(stage.play(steady(expect=expect), lineup(risk=model), 0))
        assert (told.outcome.score, told.outcome.failure) == (0.0, failure)
        assert failure.startswith("timeout") or told.outcome.checks == ()
        assert told.turns[0].calls and told.outcome.requests == len(told.turns[0].calls)


def test_requests_of_the_seat_on_trial_are_told_apart(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    case = steady(seat="desk", question="How is Kalo doing?", expect={"abstain": False})
    trial = dataclasses.replace(lineup(), trial="risk")
    outcome, turns = (told := asyncio.run(stage.play(case, trial, 0))).outcome, told.turns
    assert 0 < outcome.asked == sum(call["role"] == "risk" for call in turns[0].calls) < outcome.requests
    for unasked in (
        steady(**NEWS),
        case.model_copy(update={"cast": {"risk": Cast.STRONG_UP}}),
        steady(question="Is Kalo certain to rise?", expect={"abstain": True}),
    ):
        outcome = asyncio.run(stage.play(unasked, trial, 0)).outcome
        assert (outcome.score, outcome.asked) == (1.0, 0)


def test_an_honest_no_is_no_failure(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    silent = lineup(risk=says(NOTHING))
    told = asyncio.run(stage.play(steady(expect={"abstain": True}), silent, 0))
    assert (told.outcome.score, told.outcome.failure) == (1.0, "")
    report = told.turns[0].report
    assert report and isinstance(report.findings[0], NoFinding)
    assert asyncio.run(stage.play(steady(expect={"abstain": False}), silent, 0)).outcome.score == 0.0


def test_a_role_past_its_deadline_is_a_timeout(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    hurried = Stage(stage.fixtures, deadline=0.05)
    told = asyncio.run(hurried.play(steady(), lineup(risk=FunctionModel(sleeps)), 0))
    assert told.outcome.failure == "timeout: risk: its deadline of 0.05 s passed"


def test_a_role_past_the_budget_of_its_case_says_so_and_hides_no_other_check(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "GIVEN_UP", 600)  # whatever the machine is at, the role ends before its case
    case = steady(seat="desk", question="What is the outlook for Kalo?", expect={"budget": {"seconds": 1}, **CITED})
    others = {seat: says(NOTHING) for seat in ("analyst", "sentiment")}
    told = asyncio.run(stage.play(case, lineup(risk=FunctionModel(sleeps), **others), 0))
    failure = "timeout: risk: its deadline of 2 s passed, 2 times its budget of 1 s"
    assert (told.outcome.failure, told.outcome.score) == (failure, 0.0)
    assert {check.name: check.ok for check in told.outcome.checks} == {"var": False, "seconds": False}


def test_a_case_past_all_patience_is_a_timeout_and_keeps_what_was_asked(
    stage: Stage, steady: MakeCase, lineup: MakeLineup
) -> None:
    case = steady(expect={"abstain": False, "budget": {"seconds": 0.01}})
    told = asyncio.run(stage.play(case, lineup(risk=FunctionModel(sleeps)), 0))
    assert told.outcome.failure.startswith("timeout: ") and told.outcome.score == 0.0
    assert "times its budget of 0.01 s" in told.outcome.failure
    assert len(told.turns) == 1


def test_a_conversation_has_the_budgets_of_all_its_turns(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(stages, "alone", hangs)
    hasty = {"question": "How risky is Kalo?", "expect": {"budget": {"seconds": 0.01}, "abstain": False}}
    case = steady(question="", expect={}, turns=[hasty, {**hasty, "expect": {"abstain": False}}, hasty])
    told = asyncio.run(stage.play(case, lineup(), 0))
    assert told.outcome.failure == "timeout: the case was given up after 0.12 s, 4 times its budget of 0.03 s"


def test_the_right_figure_passes_and_the_wrong_one_does_not(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    from openoutcry.eval.worlds.case import made

    truth = made(steady().fixture.made[0]).truths["var_1d"]
    figures = [{"name": "var", "unit": "fraction", "value": truth, "tolerance": 1e-4}]
    case = steady(expect={"figures": figures})
    assert asyncio.run(stage.play(case, lineup(), 0)).outcome.score == 1.0
    for horizon, score in ((1, 1.0), (2, 0.0)):
        asked = {"ticker": "KALO", "horizon": horizon, "confidence": 0.99}
        model = says({"claims": ["It is {E1.var}."], "lean": "none"}, tools=[("value_at_risk", asked)])
        assert asyncio.run(stage.play(case, lineup(risk=model), 0)).outcome.score == score


def test_retries_are_counted_and_sentences_that_were_dropped(
    stage: Stage, steady: MakeCase, lineup: MakeLineup
) -> None:
    loose = {"claims": ["It loses 5 %.", "See {E1.var}."], "lean": "none"}
    model = says(loose, tools=[("value_at_risk", {"ticker": "KALO"})])
    told = asyncio.run(stage.play(steady(), lineup(risk=model), 0)).outcome
    assert (told.score, told.retries, told.dropped, told.tools, told.requests) == (1.0, 1, 1, 1, 3)
    wrong = says({**loose, "claims": ["See {E1.var}."]}, tools=[("value_at_risk", {"ticker": 5})])
    told = asyncio.run(stage.play(steady(), lineup(risk=wrong), 0)).outcome
    assert told.retries >= 1  # arguments that do not fit
    told = asyncio.run(stage.play(steady(), lineup(), 0)).outcome
    assert told.retries == 0 and told.requests > 1


@pytest.mark.parametrize(
    ("values", "failure"),
    [
        ({"question": "What is written about Kalo?"}, "case: a question of kind news is for"),
        ({"fixture": {"files": ["missing.csv"]}}, "case: expected a file of data at"),
        ({"fixture": {"made": [{"situation": "nowhere", "seed": 1}]}}, "case: expected a situation among"),
        ({"cast": {"reader": "silent"}}, "case: expected a cast of"),
        ({"expect": {"contains": ["(unclosed"]}}, "case: '(unclosed' is no regular expression"),
    ],
)
def test_a_fault_of_the_case_is_called_one(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, values: dict[str, Any], failure: str
) -> None:
    told = asyncio.run(stage.play(steady(**values), lineup(), 0)).outcome
    assert told.failure.startswith(failure) and told.score == 0.0


@pytest.mark.parametrize(
    "values",
    [
        {"question": "How risky is NOPE?"},
        {"as_of": "2031-01-01"},
        {"question": "Is Kalo certain to rise?"},
    ],
)
def test_the_desk_s_own_no_is_one_only_where_it_is_expected(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, values: dict[str, Any]
) -> None:
    for expect, score in (({"abstain": True}, 1.0), ({"not_contains": ["certain"]}, 0.0)):
        told = asyncio.run(stage.play(steady(**values, expect=expect), lineup(), 0)).outcome
        assert (told.score, told.failure) == (score, "")


@pytest.mark.parametrize(
    ("reader", "failure"),
    [
        (BABBLER, "schema: reader: "),
        (fails(ModelUnreachable("no server answers")), "model: reader: "),
        (says({"tone": "positive", "relevance": "no such choice", "quotes": []}), "schema: reader: "),
    ],
)
def test_a_reader_that_fails_shows(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, reader: FunctionModel, failure: str
) -> None:
    assert asyncio.run(stage.play(steady(**NEWS), lineup(), 0)).outcome.score == 1.0
    told = asyncio.run(stage.play(steady(**NEWS), lineup(reader=reader), 0)).outcome
    assert told.failure.startswith(failure) and "documents without a reading" in told.failure and told.score == 0.0


def test_a_silent_role_that_the_case_scripts_is_no_failure(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    asked = {"seat": "coordinator", "question": "How is Kalo doing?", "expect": {"abstain": False}}
    told = asyncio.run(stage.play(steady(**asked, cast={"analyst": "silent"}), lineup(), 0))
    assert (told.outcome.score, told.outcome.failure) == (1.0, "")
    unscripted = lineup(analyst=fails(ModelUnreachable("gone")))
    assert asyncio.run(stage.play(steady(**asked), unscripted, 0)).outcome.failure == "model: analyst: gone"


@pytest.mark.parametrize(("cast", "lean"), [("strong_up", "strong_up"), ("strong_down", "strong_down")])
def test_a_scripted_role_takes_its_side(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, cast: str, lean: str
) -> None:
    asked = {"seat": "desk", "question": "How is Kalo doing?", "expect": {"abstain": False}}
    told = asyncio.run(stage.play(steady(**asked, cast={"analyst": cast, "risk": cast}), lineup(), 0))
    report = told.turns[0].report
    assert report and [str(getattr(f, "lean", "")) for f in report.findings][:2] == [lean, lean]


def test_one_that_is_sure_of_itself_says_so(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    asked = {"seat": "desk", "question": "How is Kalo doing?", "expect": {"contains": ["nothing can go wrong"]}}
    assert asyncio.run(stage.play(steady(**asked, cast={"risk": "overconfident"}), lineup(), 0)).outcome.score == 1.0
    assert asyncio.run(stage.play(steady(**asked), lineup(), 0)).outcome.score == 0.0


def test_a_conversation_goes_on_from_turn_to_turn(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    turns = [
        {"question": "How risky is Kalo over 3 days?", "expect": {"tools": {"required": ["value_at_risk"]}}},
        {"question": "Is it certain to rise?", "expect": {"abstain": True}},
        {"question": "And over 5 days?", "expect": {"contains": ["5 trading days"]}},
    ]
    told = asyncio.run(stage.play(steady(question="", expect={}, turns=turns), lineup(), 0))
    assert told.outcome.score == 1.0, told.outcome
    assert [c.turn for c in told.outcome.checks] == [0, 1, 2]


def test_each_epoch_has_a_seed_of_its_own(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    seeds: list[Any] = []

    def respond(_: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seeds.append(dict(info.model_settings or {}).get("seed"))
        return ModelResponse([ToolCallPart(info.output_tools[0].name, NOTHING)])

    silent = lineup(risk=FunctionModel(respond))
    for epoch in (0, 1, 0, 2):
        asyncio.run(stage.play(steady(expect={"abstain": True}), silent, epoch))
    assert seeds == [0, 1, 0, 2]


class Broken:
    async def judge(self, question: str, answer: str, statements: Sequence[str]) -> Sequence[bool]:
        raise ModelUnreachable("no judge answers")


def test_a_judge_that_gives_no_verdict_is_a_failure_of_its_own_kind(
    stage: Stage, steady: MakeCase, lineup: MakeLineup
) -> None:
    told = asyncio.run(Stage(stage.fixtures, Broken()).play(steady(expect={"rubric": ["it answers"]}), lineup(), 0))
    assert (told.outcome.failure, told.outcome.score) == ("judge: no judge answers", 0.0)


def test_a_fault_of_ours_is_a_crash_and_tells_no_data(
    stage: Stage, steady: MakeCase, lineup: MakeLineup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("words of a document")

    monkeypatch.setattr(stages, "alone", broken)
    told = asyncio.run(stage.play(steady(), lineup(), 0)).outcome
    assert (told.failure, told.score) == ("crash: ValueError", 0.0)


def test_cases_played_together_say_what_they_say_alone(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    cases = [
        steady(f"c-{seed}-{days}", question=f"How risky is Kalo over {days} days?", fixture=made(seed))
        for seed in (1, 2)
        for days in (1, 4)
    ]
    cases += [steady("news", **NEWS), steady("whole", seat="desk", question="How is Kalo doing over 4 days?")]
    house = lineup()

    async def together() -> list[Any]:
        return await asyncio.gather(*(stage.play(case, house, 0) for case in cases * 2))

    alone = [asyncio.run(stage.play(case, house, 0)) for case in cases]
    for one, other in zip(alone * 2, asyncio.run(together()), strict=True):
        assert one.outcome.model_dump(exclude={"seconds"}) == other.outcome.model_dump(exclude={"seconds"})
        for mine, theirs in zip(one.turns, other.turns, strict=True):
            assert mine.report and theirs.report and mine.report.same_as(theirs.report)


def made(seed: int) -> dict[str, Any]:
    return {"made": [{"situation": "steady", "seed": seed}]}


async def test_an_as_of_in_the_words_holds(stage: Stage, steady: MakeCase, lineup: MakeLineup) -> None:
    words = "How risky is Kalo over the next 1 day at 99% confidence, as of 2020-06-30?"
    played = (await stage.play(steady(question=words), lineup(), 0)).turns[0]
    assert played.report and played.report.as_of == "2020-06-30"
    both = (await stage.play(steady(question=words, as_of="2021-01-29"), lineup(), 0)).turns[0]
    assert "one as-of" in both.refused
