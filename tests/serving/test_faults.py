"""A chat model against every fault that is known of servers, over real sockets."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from openoutcry.agents.calls import Call, Recording
from openoutcry.core.deadline import within
from openoutcry.core.errors import (
    ModelBusy,
    ModelCutShort,
    ModelError,
    ModelGarbled,
    ModelOverflow,
    ModelRefused,
    ModelTooSlow,
    ModelUnreachable,
)
from openoutcry.serving.asking import asker, replicas
from openoutcry.serving.asking.guard import NoTime
from openoutcry.serving.seat import Seat
from tests.serving.bench import ANSWER, Ahead, Said, agent_of, bench
from tests.serving.faulty import Answer, Faulty, says, waits

TWICE: dict[str, type[ModelError]] = {
    "resets": ModelUnreachable,
    "busy": ModelBusy,
    "unavailable": ModelBusy,
    "no choices": ModelGarbled,
    "no message": ModelGarbled,
    "null content": ModelGarbled,
    "not JSON": ModelGarbled,
    "huge": ModelGarbled,
    "wrong schema": ModelGarbled,
    "aborted": ModelCutShort,
    "no finish reason": ModelCutShort,
}
ONCE: dict[str, type[ModelError]] = {
    "broken": ModelRefused,
    "error in 200": ModelRefused,
    "unknown model": ModelRefused,
    "redirects": ModelRefused,
    "too long": ModelOverflow,
    "length": ModelCutShort,
    "hangs": ModelTooSlow,
    "drips": ModelTooSlow,
}
STREAMED: dict[str, type[ModelError]] = {
    "stream without finish": ModelCutShort,
    "stream without end": ModelCutShort,
    "stream broken": ModelUnreachable,
}


@pytest.mark.parametrize(("fault", "error"), [*TWICE.items(), *STREAMED.items()])
async def test_a_fault_that_may_pass_is_asked_over_once(fault: str, error: type[ModelError]) -> None:
    with Faulty(fault) as server:
        desk = bench(server, stream=fault in STREAMED)
        with pytest.raises(error, match=r"^m: expected") as raised:
            await desk.ask()
        assert len(server.asked) == 2
    assert "\n" not in str(raised.value)
    assert [(a.outcome, a.retried) for a in desk.asked] == [(error.__name__, False), (error.__name__, True)]
    with Faulty(fault, says(ANSWER)) as server:
        desk = bench(server, stream=fault in STREAMED)
        await desk.ask()
    assert [(a.outcome, a.retried) for a in desk.asked] == [(error.__name__, False), ("ok", True)]


@pytest.mark.parametrize(("fault", "error"), [*ONCE.items(), ("stream with an error", ModelRefused)])
async def test_a_fault_that_will_not_pass_is_told_at_once(
    fault: str, error: type[ModelError], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(monkeypatch)
    with Faulty(fault) as server:
        desk = bench(server, seconds=600.0, stream=fault.startswith("stream"))
        asked = asyncio.create_task(desk.ask())
        if error is ModelTooSlow:
            await ahead.push(601, once=server.arrived.is_set)
        with pytest.raises(error, match=r"^m: expected"):
            await asked
    assert len(server.asked) == 1
    assert desk.outcomes == [error.__name__]


@pytest.mark.parametrize("fault", ["malformed call", "unknown tool", "arguments not JSON", "arguments no object"])
async def test_a_tool_call_that_is_no_call_is_garbled(fault: str) -> None:
    with Faulty(fault) as server:
        desk = bench(server)
        with pytest.raises(ModelGarbled, match=r"^m: expected"):
            await agent_of(desk.model()).run("How risky is AAPL?")
    assert desk.outcomes == ["ModelGarbled"] * 2


@pytest.mark.parametrize(("second", "answered"), [(says(ANSWER), "m"), ("wrong schema", "other")])
async def test_tokens_of_an_answer_that_could_not_be_used_are_counted(second: Answer | str, answered: str) -> None:
    """Those of the first one before a second that could, and those of a model that another one stands in for."""
    calls: list[Call] = []
    with Faulty("wrong schema", second) as server, Faulty(says(ANSWER)) as spare:
        desk = bench(server)
        models = [desk.model(), bench(spare).model(name="other")]
        await Agent(Recording(Seat("risk", lambda: models), "risk", calls), output_type=Said).run("How risky?")
        requests = len(server.asked) + len(spare.asked)
    (call,) = calls
    usage = call.response["usage"]
    assert call.response["model_name"] == answered
    assert [(a.prompt, a.answer) for a in desk.asked] == [(30, 7)] * 2
    assert (usage["input_tokens"], usage["output_tokens"], call.tokens) == (30, 7, 37 * (requests - 1))


async def test_retry_after_is_not_waited_for() -> None:
    with Faulty("busy", says(ANSWER)) as server:
        async with asyncio.timeout(50):
            await bench(server, seconds=300.0).ask()
    assert len(server.asked) == 2


async def test_a_dead_replica_is_out_within_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "FIRST", 60.0)  # it is not offered again meanwhile
    with Faulty(says(ANSWER)) as alive, Faulty("hangs") as dead:
        dead.kill()
        desk = bench(dead, alive)
        for number in range(4):
            assert ((await desk.ask(f"question {number}")).provider_details or {})["url"] == alive.url
    assert desk.outcomes == ["ModelUnreachable", *["ok"] * 4]


async def test_a_server_that_is_killed_under_a_request_is_replaced_by_another() -> None:
    with Faulty(says(ANSWER)) as alive, Faulty("hangs") as dying:
        desk = bench(dying, alive)
        asked = asyncio.create_task(desk.ask())
        assert await asyncio.to_thread(dying.arrived.wait, 60)
        await asyncio.to_thread(dying.kill)
        assert ((await asked).provider_details or {})["url"] == alive.url
    assert desk.outcomes == ["ModelUnreachable", "ok"]


async def test_the_second_request_goes_to_another_replica_where_there_is_one() -> None:
    with Faulty("not JSON") as bad, Faulty(says(ANSWER)) as good:
        desk = bench(bad, good)
        await desk.ask()
    assert (len(bad.asked), len(good.asked)) == (1, 1)


async def test_where_nothing_runs_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnreachable, match="m is not running; `outcry stack up` starts it"):
        await bench().ask()
    with Faulty() as server:
        desk, looks = bench(server), list[str]()
        monkeypatch.setattr(desk, "pool", desk.pool.among(list, lambda: looks.append("") or "has not loaded m-risk"))
        with pytest.raises(ModelUnreachable, match="m has not loaded m-risk"):
            await desk.ask()
    assert len(looks) == 1, "nothing was tried, so nothing is tried again"
    for module in (asker, replicas):
        monkeypatch.setattr(module, "FIRST", 0.0)
    with Faulty("hangs") as server:
        server.kill()
        with pytest.raises(ModelUnreachable, match=r"^m: expected a server at"):
            await bench(server).ask()


async def test_the_deadline_holds_over_the_second_request_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with Faulty(waits(0.1, says("not the answer yet")), "hangs") as server:
        desk, ends, ahead = bench(server, seconds=600.0), list[float](), Ahead(monkeypatch)
        entered = desk.guard.entered

        def noted(deadline: float) -> AbstractAsyncContextManager[None]:
            ends.append(deadline)
            return entered(deadline)

        monkeypatch.setattr(desk.guard, "entered", noted)
        asked = asyncio.create_task(agent_of(desk.model()).run("How risky is AAPL?"))
        await ahead.push(601, once=lambda: len(server.asked) == 2)
        with pytest.raises(ModelTooSlow):
            await asked
    assert desk.outcomes == ["ok", "ModelTooSlow"]
    assert ends == [ends[0]] * 2


@pytest.mark.parametrize("temperature", [0.0, 0.7])
async def test_a_loop_that_stood_still_past_the_deadline_loses_no_error_of_its_own(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It notices the deadline, and what was to end a request long after it, in one turn."""
    ahead = Ahead(monkeypatch)
    with Faulty("hangs") as server:
        desk = bench(server, seconds=600.0, temperature=temperature, concurrency=1)
        asked = [asyncio.create_task(desk.ask(f"{i}")) for i in range(2)]
        await ahead.push(605, once=lambda: server.asked and desk.waiting)
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert str(found[0]).startswith(f"m: expected an answer from {server.url}")
        assert isinstance(found[1], NoTime)
    assert desk.outcomes == ["ModelTooSlow"]
    assert desk.failures == 1


@pytest.mark.parametrize("temperature", [0.0, 0.7])
async def test_a_model_that_outlasts_its_role_was_too_slow(temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role ends it from outside, at the deadline which is the request's own too where nobody stands in."""
    ahead = Ahead(monkeypatch)
    with Faulty("hangs") as server, Faulty("hangs") as spare:
        desk = bench(server, spare, seconds=600.0, temperature=temperature)

        async def role() -> None:
            async with within(300.0):
                await desk.model().request([ModelRequest([UserPromptPart("?")])], None, ModelRequestParameters())

        asked = asyncio.create_task(role())
        await ahead.push(301, once=lambda: server.asked or spare.asked)
        with pytest.raises(TimeoutError):
            await asked
        await ahead.push(0, once=lambda: desk.failures == 1)
    assert desk.outcomes == ["ModelTooSlow"]
    with desk.pool.lease("") as url:
        assert url != desk.asked[0].url, "another replica is asked next"


async def test_waiting_for_a_place_is_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = Ahead(monkeypatch)
    with Faulty("hangs") as server:
        desk = bench(server, seconds=600.0, concurrency=1)
        asked = [asyncio.create_task(desk.ask(f"{i}")) for i in range(3)]
        await ahead.push(0, once=lambda: desk.waiting == 2)
        await ahead.push(0, once=server.arrived.is_set)
        assert len(server.asked) == 1  # at the deadline itself the place may change hands
        await ahead.push(601, once=lambda: True)
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(f, ModelTooSlow) for f in found] == [True] * 3


async def test_five_failures_in_a_row_leave_the_model_alone() -> None:
    with Faulty("broken") as server:
        desk = bench(server)
        for _ in range(5):
            with pytest.raises(ModelRefused, match="the engine died"):
                await desk.ask()
        with pytest.raises(ModelBusy, match="m failed 5 times in a row"):
            await desk.ask()
    assert len(server.asked) == 5


async def test_a_cancelled_request_is_cancelled_and_counts_for_nothing() -> None:
    with Faulty("hangs", says(ANSWER)) as server:
        desk = bench(server, concurrency=1)
        asked = asyncio.create_task(desk.ask())
        assert await asyncio.to_thread(server.arrived.wait, 60)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await desk.ask("another question")
    assert desk.outcomes == ["ok"]
    assert desk.pool.outstanding == {server.url: 0}
