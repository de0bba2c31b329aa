"""Does the floor earn its keep? Arms from one run's evidence, on cases of which the right answer is known."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry import wiring
from openoutcry.core.errors import UsageError
from openoutcry.eval import ablation
from openoutcry.eval.ablation import ARMS, Ablation, Arm, ablate, verdict
from openoutcry.eval.comparison import Difference
from openoutcry.eval.lineup import Candidate
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.runner import Progress
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.suite import Suite

MODELS = "house"


class Seats:
    """House rules under their name, and any other model under its own, in whatever seat."""

    def __init__(self, **others: Model) -> None:
        self._house, self._others = wiring.house_models(), others

    def seated(self, role: str, name: str) -> tuple[Model, Candidate]:
        return self._others.get(name, self._house[role]), Candidate(name=name)

    def sitting(self, role: str) -> str:
        return MODELS

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        yield

    async def engines(self) -> dict[str, str]:
        return {}

    def memory(self, *names: str) -> int:
        return 0


def answering(headline: str, lean: str = "none") -> FunctionModel:
    """A model that says one thing at once, in whatever form it is asked."""

    def respond(_: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        tool = info.output_tools[0]
        fields = tool.parameters_json_schema["properties"]
        said: dict[str, Any] = {"headline": headline, "claims": [], "lean": lean}
        return ModelResponse([ToolCallPart(tool.name, {k: v for k, v in said.items() if k in fields})])

    return FunctionModel(respond, model_name="answering")


def _breaks(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
    raise KeyError("broken")


BROKEN = FunctionModel(_breaks, model_name="broken")


@pytest.fixture
def suite(steady: Callable[..., Scenario], suite_of: Callable[..., Suite]) -> Suite:
    """Cases of eight companies, asked months before their data ends, of which the one-day bound must be cited."""

    def case(n: int) -> Scenario:
        return steady(
            f"case-{n}",
            cluster=f"company-{n}",
            seat="desk",
            as_of=f"2021-0{n}-10",
            fixture={"made": [{"situation": "steady", "seed": n}]},
            question="How risky is Kalo over the next 5 days?",
            expect={"figures": [{"name": "var", "low": 0.0}], "direction": ["neutral", "up", "down"]},
        )

    return suite_of(*map(case, range(1, 9)))


def told(
    suite: Suite, home: Path, chosen: dict[str, str], *, seen: list[Progress] | None = None, **m: Model
) -> Ablation:
    progress: list[Progress] = [] if seen is None else seen
    return asyncio.run(ablate(suite, Seats(**m), chosen, home, watch=progress.append))


def test_each_arm_answers_for_itself_over_the_same_evidence(suite: Suite, tmp_path: Path) -> None:
    found = told(suite, tmp_path, {"coordinator": "mute"}, mute=answering("", "up"))
    by_name = {arm.name: arm for arm in found.arms}
    assert tuple(by_name) == ARMS and {arm.cases for arm in found.arms} == {8}
    assert by_name["coordinator"].score == 0.0  # it says nothing, so it cites nothing
    assert by_name["best single role"].score == by_name["house rules"].score == 1.0
    assert by_name["one call"].score == by_name["buy and hold"].score == 0.0
    single = by_name["best single role"].difference
    assert by_name["coordinator"].difference is None and single and single.difference == 1.0
    assert found.verdict.startswith("The floor does not earn its keep: best single role, house rules did better")


def test_forecasts_are_scored_by_what_came_after(suite: Suite, tmp_path: Path) -> None:
    found = told(suite, tmp_path, {"coordinator": "bull"}, bull=answering("See {E1.ticker}.", "strong_up"))
    by_name = {arm.name: arm for arm in found.arms}
    assert {arm.forecasts for arm in found.arms} == {8}
    assert all(arm.brier is not None and 0 <= arm.brier <= 1 for arm in found.arms)
    hold, call = by_name["buy and hold"], by_name["one call"]
    assert call.hit_rate == hold.hit_rate and call.brier != hold.brier  # both say up, one of them more surely
    assert call.forecast and call.brier is not None and by_name["coordinator"].brier is not None
    assert call.forecast.difference == pytest.approx(call.brier - by_name["coordinator"].brier)
    assert (call.requests, hold.requests) == (1.0, 0.0)
    assert by_name["coordinator"].requests > by_name["best single role"].requests > 1


def test_it_goes_on_where_it_was_stopped(suite: Suite, tmp_path: Path) -> None:
    asked: list[int] = []

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked.append(1)
        fields = info.output_tools[0].parameters_json_schema["properties"]
        said: dict[str, Any] = {"headline": "See {E1.ticker}.", "claims": [], "lean": "up"}
        args = {k: v for k, v in said.items() if k in fields}
        return ModelResponse([ToolCallPart(info.output_tools[0].name, args)])

    counting, seen = FunctionModel(respond, model_name="counting"), list[Progress]()
    first = told(suite, tmp_path, {"coordinator": "counting"}, seen=seen, counting=counting)
    assert len(asked) == 16 and sum(p.newest is not None for p in seen) == 24  # 8 desks, 8 of house rules, 8 calls
    assert told(suite, tmp_path, {"coordinator": "counting"}, counting=counting) == first
    assert len(asked) == 16


def test_house_rules_against_themselves_show_no_difference(suite: Suite, tmp_path: Path) -> None:
    found = told(suite, tmp_path, {})
    first, single, _ = found.arms
    assert [arm.name for arm in found.arms] == ["coordinator", "best single role", "buy and hold"]  # one call asks none
    assert single.difference and single.difference.low <= single.difference.difference == 0.0 <= single.difference.high
    assert single.score == first.score == 1.0
    assert found.verdict.startswith("The floor is not shown to earn its keep")


def test_the_progress_of_one_call_tells_its_own_misses(suite: Suite, tmp_path: Path) -> None:
    seen = list[Progress]()
    told(suite, tmp_path, {"risk": "broken", "coordinator": "cites"}, seen=seen, broken=BROKEN, cites=answering(""))
    newest = [p.newest for p in seen if p.newest]
    desk, call = ([o for o in newest if o.lineup == name] for name in ("coordinator", "one call"))
    assert {o.failure for o in desk} == {"crash: risk: it failed (KeyError); see the log"}
    assert len(call) == 8 and {(o.failure, o.requests) for o in call} == {("", 1)}


def test_cases_of_the_view_alone_are_left_out_as_only_the_coordinator_is_told_it(
    suite: Suite, steady: Callable[..., Scenario], suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    def of_view(case: str, **figure: Any) -> Scenario:
        expect = {"figures": [{"low": 0.0, **figure}], "probability": {"low": 0.1}}
        return steady(case, seat="desk", question="How is Kalo doing?", expect=expect)

    views = [
        of_view("a", name="p_up"),
        of_view("b", name="disagreement"),
        of_view("c", name="broken", tool="check_limits"),
    ]
    found = told(suite_of(*suite.scenarios, *views), tmp_path, {})
    assert {arm.cases for arm in found.arms} == {8} and found.left_out == 3
    with pytest.raises(UsageError, match="found none"):
        told(suite_of(*views), tmp_path, {})


def test_a_role_that_the_case_has_fall_silent_says_an_honest_no(
    steady: Callable[..., Scenario], suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    cast = dict.fromkeys(("analyst", "sentiment", "risk"), "silent")
    asked = {"seat": "coordinator", "question": "How is Kalo doing?", "expect": {"abstain": True}, "cast": cast}
    cases = [steady(f"case-{n}", cluster=f"company-{n}", **asked) for n in (1, 2)]
    found = told(suite_of(*cases), tmp_path, {})
    assert [(arm.name, arm.score) for arm in found.arms[:2]] == [("coordinator", 1.0), ("best single role", 1.0)]


def test_a_failing_coordinator_scores_nothing(suite: Suite, tmp_path: Path) -> None:
    found = told(suite, tmp_path, {"coordinator": "broken"}, broken=BROKEN)
    scores = {arm.name: arm.score for arm in found.arms}
    assert (scores["coordinator"], scores["one call"], scores["best single role"]) == (0.0, 0.0, 1.0)


def test_what_cannot_be_ablated_is_refused(
    suite: Suite, steady: Callable[..., Scenario], suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="at least two clusters"):
        told(suite_of(suite.scenarios[0]), tmp_path, {})
    alone = Scenario.model_validate(
        {"id": "x", "category": "c", "seat": "model", "bare": {"prompt": "?"}, "expect": {"abstain": True}}
    )
    with pytest.raises(UsageError, match="found none"):
        told(suite_of(alone), tmp_path, {})


def arm(name: str, score: float, low: float = 0.0, high: float = 0.0) -> Arm:
    difference = Difference(
        name="overall",
        cases=9,
        clusters=9,
        first=0.5,
        second=score,
        difference=score - 0.5,
        low=low,
        high=high,
        method="signs",
    )
    return Arm(name=name, cases=9, score=score, difference=difference)


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        ([arm("one call", 0.2, -0.4, -0.2), arm("buy and hold", 0.1, -0.5, -0.3)], "The floor earns its keep"),
        ([arm("one call", 0.45, -0.2, 0.1), arm("buy and hold", 0.1, -0.5, -0.3)], "too close to tell from one call."),
        ([arm("one call", 0.8, 0.2, 0.4), arm("buy and hold", 0.45, -0.2, 0.1)], "not earn its keep: one call did"),
    ],
)
def test_the_verdict_says_what_the_intervals_show(rivals: list[Arm], words: str) -> None:
    said = verdict("desk", [arm("coordinator", 0.5), *rivals])
    assert words in said and "\n" not in said and "50.0 %" in said


def test_the_best_role_is_chosen_where_it_is_not_scored() -> None:
    """Each role is right on one cluster alone: whoever is chosen by the other half does no better than chance there."""
    found = ablation.Answers()
    for role, lucky in (("analyst", "a"), ("sentiment", "b"), ("risk", "none")):
        for cluster in "ab":
            given = {"scenario": cluster, "digest": cluster, "category": "c", "cluster": cluster, "lineup": role}
            found.add(role, Outcome.model_validate({**given, "epoch": 0, "score": float(cluster == lucky)}), None)
    found.outcomes["coordinator"] = found.outcomes["risk"]
    ablation.choose(found, 0)
    assert [o.score for o in found.outcomes["best single role"]] == [0.0, 0.0]
