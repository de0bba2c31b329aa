"""A run in which a model failed: the report says who stood in and why, and weighs nobody by another's record."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.profiles import ModelProfile

from openoutcry.core.errors import ModelError, ModelUnreachable
from openoutcry.core.report import Finding, StoodIn
from openoutcry.desk import Desk
from openoutcry.serving.asking.chat import NATIVE
from openoutcry.serving.seat import Seat
from openoutcry.wiring import house_models


def broken(error: ModelError) -> FunctionModel:
    """A model that fails whenever it is asked."""

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise error

    return FunctionModel(respond, model_name="nano")


class Dying:
    """A risk model that calls one tool, and is gone when it is asked again."""

    def __init__(self, profile: ModelProfile | None) -> None:
        self.asked = 0
        self.profile = profile

    def model(self) -> FunctionModel:
        """As a pydantic-ai model."""

        def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            self.asked += 1
            if self.asked > 1:
                raise ModelUnreachable("nano is not running; `outcry stack up` starts it")
            return ModelResponse([ToolCallPart("volatility", {"ticker": "AAPL"}, tool_call_id="c1")], model_name="nano")

        return FunctionModel(respond, model_name="nano", profile=self.profile)


@pytest.mark.parametrize("profile", [None, NATIVE], ids=["answers by a call", "answers by text"])
async def test_a_model_that_dies_in_mid_run_degrades_the_report_and_replays(
    make_desk: Callable[..., Desk], profile: ModelProfile | None
) -> None:
    house, dying = house_models(), Dying(profile)
    line = [dying.model(), house["risk"]]
    desk = make_desk({"risk": Seat("risk", lambda: line)})
    report = await desk.ask("How risky is AAPL over the next 10 days?", "2022-06-30")
    plain = await make_desk().ask("How risky is AAPL over the next 10 days?", "2022-06-30")
    assert report.stood_in == (
        StoodIn(
            role="risk",
            model="nano",
            answered="house",
            reason="nano is not running; `outcry stack up` starts it",
        ),
    )
    assert "Degraded: house rules stood in for nano (risk): nano is not running" in report.notice
    found = _finding(report.findings, "risk")
    assert found.model == "house"
    assert len(found.claims) == len(_finding(plain.findings, "risk").claims)
    assert dying.asked == 2
    assert report.route["risk"] == "nano"
    assert (await desk.replay(report.run)).same_as(report)


async def test_a_stand_in_is_not_weighed_by_the_record_of_the_seat(make_desk: Callable[..., Desk]) -> None:
    line = [broken(ModelUnreachable("gone")), house_models()["risk"]]
    desk = make_desk({"risk": Seat("risk", lambda: line)})
    report = await desk.ask("How risky is AAPL over the next 10 days?", "2022-06-30")
    kept = desk.recall("AAPL", kinds=["finding"], roles=["risk"], limit=20)
    assert kept
    assert {hit.memory.model for hit in kept} == {"house"}
    assert not any(name.startswith("risk_settled") for name in report.by_id[report.view].figures)


async def test_a_seat_of_nobody_but_a_broken_model_is_an_honest_no(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk({"risk": broken(ModelError("nano is unwell; see its log"))})
    report = await desk.ask("How risky is AAPL over the next 10 days?", "2022-06-30")
    (found,) = [f for f in report.findings if f.role == "risk"]
    assert found.model_dump() == {
        "status": "no_finding",
        "role": "risk",
        "model": "nano",
        "reason": "nano is unwell; see its log",
    }


def _finding(findings: Any, role: str) -> Finding:
    (found,) = [f for f in findings if f.role == role]
    assert isinstance(found, Finding)
    return found


def test_the_house_coordinator_does_not_pass_certainty_on() -> None:
    from openoutcry.agents.house.coordinator import rules

    sure, plain = "It is certain to rise, as {E1.close} shows.", "The close was {E1.close}."
    asked: dict[str, Any] = {"question": "?", "kind": "valuation", "tickers": ["KO"], "view": "", "evidence": []}
    asked |= {"memories": [], "findings": [{"role": "analyst", "claims": [sure, plain], "lean": "up"}]}
    assert rules(json.dumps(asked), []).headline == plain
