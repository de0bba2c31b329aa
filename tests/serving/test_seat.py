"""A seat: who takes over when a model fails, and what it is shown."""

import asyncio

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel
from structlog.testing import capture_logs

from openoutcry.core import deadline
from openoutcry.core.deadline import within
from openoutcry.core.errors import ModelBusy, ModelOverflow, ModelRefused, ModelTooSlow, ModelUnreachable
from openoutcry.core.report import DEGRADED
from openoutcry.serving.asking.guard import LeftAlone, NoPlace, NoTime
from openoutcry.serving.asking.replicas import LeftOut, NotRunning
from openoutcry.serving.seat import Barred, Seat, Tried
from openoutcry.serving.transport import Refused, Reply
from tests.serving.bench import Ahead, bench
from tests.serving.faulty import Faulty

ASKED = ModelRequestParameters()
QUESTION = ModelRequest([UserPromptPart("How risky is AAPL?")])


def model(name: str, *outcomes: str | Exception, seen: list[list[ModelMessage]] | None = None) -> FunctionModel:
    """A model that gives each outcome in turn, the last again and again, and keeps what it was shown."""
    left = list(outcomes)

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if seen is not None:
            seen.append(list(messages))
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return ModelResponse([TextPart(outcome)], model_name=name)

    return FunctionModel(respond, model_name=name)


async def test_the_champion_answers_and_nothing_is_said() -> None:
    response = await Seat("risk", lambda: [model("new", "yes"), model("old", "no")]).request([QUESTION], None, ASKED)
    assert response.text == "yes"
    assert DEGRADED not in (response.provider_details or {})


async def test_the_one_before_answers_and_says_why() -> None:
    seat = Seat(
        "risk", lambda: [model("new", ModelTooSlow("new took 60 s")), model("old", "old"), model("house", "rules")]
    )
    response = await seat.request([QUESTION], None, ASKED)
    assert (response.text, response.model_name) == ("old", "old")
    assert (response.provider_details or {})[DEGRADED] == "new took 60 s"


async def test_house_rules_answer_last_with_the_champions_reason() -> None:
    broken = [model("new", ModelTooSlow("new took 60 s")), model("old", ModelUnreachable("old is gone"))]
    response = await Seat("risk", lambda: [*broken, model("house", "rules")]).request([QUESTION], None, ASKED)
    assert response.text == "rules"
    assert (response.provider_details or {})[DEGRADED] == "new took 60 s"


async def test_when_all_fail_the_last_error_comes_out() -> None:
    seat = Seat("risk", lambda: [model("new", ModelTooSlow("new")), model("old", ModelUnreachable("old is gone"))])
    with pytest.raises(ModelUnreachable, match="old is gone"):
        await seat.request([QUESTION], None, ASKED)


async def test_a_fault_that_nobody_foresaw_is_stood_in_for_and_named() -> None:
    seat = Seat("risk", lambda: [model("new", ZeroDivisionError("data 42")), model("house", "rules")])
    with capture_logs() as logs:
        response = await seat.request([QUESTION], None, ASKED)
    assert response.text == "rules"
    assert (response.provider_details or {})[DEGRADED] == "new: it failed (ZeroDivisionError); see the log"
    assert [line["log_level"] for line in logs] == ["error"]


async def test_who_took_over_keeps_the_seat_and_sees_only_its_own_words() -> None:
    seen: list[list[ModelMessage]] = []
    seat = Seat("risk", lambda: [model("new", "never again"), model("house", "rules", seen=seen)])
    of_champion = ModelResponse([ToolCallPart("volatility", {}, tool_call_id="a")], model_name="new")
    told_champion = ModelRequest([ToolReturnPart("volatility", {"id": "E1"}, tool_call_id="a")])
    own = ModelResponse(
        [ToolCallPart("drawdown", {}, tool_call_id="b")], model_name="house", provider_details={DEGRADED: "new died"}
    )
    told_own = ModelRequest([ToolReturnPart("drawdown", {"id": "E2"}, tool_call_id="b")])
    response = await seat.request([QUESTION, of_champion, told_champion, own, told_own], None, ASKED)
    assert response.text == "rules"
    assert seen == [[QUESTION, own, told_own]]
    assert (response.provider_details or {})[DEGRADED] == "new died"


async def test_who_stands_in_gets_time_though_all_before_it_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 s the first has 880, for 60 are left for each behind it; the second 90 of what is left; and house rules
    what the others leave.
    """
    monkeypatch.setattr(deadline, "SPARED", 60.0)
    ahead = Ahead(monkeypatch)
    with Faulty("hangs") as server:
        desks = [bench(server, seconds=6000.0) for _ in "ab"]
        slow = [desk.model(name=name) for desk, name in zip(desks, ("new", "old"), strict=True)]
        seat = Seat("risk", lambda: [*slow, model("house", "rules")])

        async def asked() -> ModelResponse:
            async with within(1000.0):
                return await seat.request([QUESTION], None, ASKED)

        asking = asyncio.create_task(asked())
        await ahead.push(881, once=lambda: len(server.asked) == 1)
        await ahead.push(91, once=lambda: len(server.asked) == 2)
        response = await asking
    assert [desk.outcomes for desk in desks] == [["ModelTooSlow"]] * 2
    assert response.text == "rules"
    assert (response.provider_details or {})[DEGRADED].startswith("new: expected an answer")


async def test_work_within_other_work_ends_no_later() -> None:
    async with within(60.0):
        outer = deadline.end()
        async with within(3600.0):
            assert deadline.end() == outer
            with deadline.sparing(2):
                assert deadline.end() == pytest.approx(outer - 20, abs=0.1)
    assert deadline.end() == float("inf")


NOT_THERE = [NotRunning("away"), LeftOut("away"), LeftAlone("away"), NoPlace("away"), NoTime("away")]


@pytest.mark.parametrize(
    ("error", "asked", "gone"),
    [
        *((error, False, True) for error in NOT_THERE),
        (Refused("no such model", Reply(404, b"")), False, True),
        (Refused("it broke", Reply(500, b"")), True, False),
        (ModelOverflow("too long"), False, False),
        (ModelUnreachable("the connection broke"), True, True),
        (ModelBusy("its server is busy"), True, False),
        (ModelTooSlow("60 s"), True, False),
        (ModelRefused("no"), True, False),
    ],
)
async def test_what_a_failed_request_says_of_a_model(error: Exception, asked: bool, gone: bool) -> None:
    told: list[Tried] = []
    await Seat("risk", lambda: [model("new", error), model("house", "rules")], told.append).request(
        [QUESTION], None, ASKED
    )
    assert [(one.model, one.fault, one.asked, one.gone) for one in told] == [
        ("new", "crash", asked, gone),
        ("house", None, True, False),
    ]


async def test_one_that_may_not_sit_was_not_asked() -> None:
    told: list[Tried] = []
    barred = Barred(model("house", "rules"), "its files are gone", "new")
    await Seat("risk", lambda: [barred, model("house", "rules")], told.append).request([QUESTION], None, ASKED)
    assert [(one.model, one.asked) for one in told] == [("new", False), ("house", True)]
