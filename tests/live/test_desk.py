"""A whole desk on a real vLLM: each role asks, tools are called, answers hold; failures are said, and mended."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psutil
import pytest

from openoutcry.agents.bundle import Bundle
from openoutcry.core.report import Finding
from openoutcry.serving.looks import Look, look
from openoutcry.serving.running import processes
from openoutcry.serving.transport import Transport
from tests.live.box import AS_OF, PATIENCE, QUESTION, Box

SEATS = {
    "risk": "nano-risk",
    "analyst": "nano-analyst",
    "sentiment": "nano-sentiment",
    "coordinator": "nano",
    "reader": "nano-tone",
}


async def looked(box: Box) -> list[Look]:
    """A look at each replica of nano."""
    transport = Transport()
    return [await look(transport, url, PATIENCE) for url in box.urls("nano")]


async def busy(urls: Sequence[str], work: asyncio.Task[Any]) -> None:
    """Wait until a replica, of those at *urls*, is at work on a request."""
    transport = Transport()
    while not any([(await look(transport, url, PATIENCE)).running for url in urls]):
        assert not work.done(), "it is through already"
        await asyncio.sleep(0.02)


def called(bundle: Bundle, role: str) -> list[str]:
    """The tools that a role's model called, as the server's parser gave them."""
    parts = [p for c in bundle.calls if c.role == role for p in c.response.get("parts", [])]
    return [p["tool_name"] for p in parts if p["part_kind"] == "tool-call" and p["tool_name"] != "final_result"]


async def test_each_role_asks_its_own_model_and_nothing_is_degraded(box: Box) -> None:
    with box.desk() as desk:
        report = await desk.ask(QUESTION, AS_OF)
        bundle = desk.load(report.run)
        assert report.route == SEATS
        assert report.notice == ""
        found = {f.role: f for f in report.findings}
        for role in ("risk", "analyst", "sentiment"):
            finding = found[role]
            assert isinstance(finding, Finding), finding
            assert finding.model == SEATS[role]
            assert finding.claims
        assert report.headline or report.claims
        assert "value_at_risk" in called(bundle, "risk")
        assert "price_summary" in called(bundle, "analyst")
        assert called(bundle, "sentiment")[:2] == ["document_search", "read_documents"]
        assert not called(bundle, "coordinator")
        assert {c.model for c in bundle.calls} == set(SEATS.values())
        assert bundle.manifest.digests.keys() >= SEATS.keys()
        assert bundle.manifest.digests["risk"] != bundle.manifest.digests["analyst"]
        assert bundle.manifest.left == 0
        assert sum(bundle.manifest.sent.values()) > 10_000
        assert {where.rpartition(":")[0] for where in bundle.manifest.sent} == {"127.0.0.1"}
        assert (await desk.replay(report.run)).same_as(report)


async def test_roles_answer_at_once_for_many_questions(box: Box) -> None:
    """Most answers are right, all are typed, and every digit is measured: the desk drops what is not."""
    tickers = ["MSFT", "KO", "JNJ", "WMT", "AMD", "PG", "XOM", "JPM"]
    asked = [f"How risky is {t} over the next 5 days?" for t in tickers]
    with box.desk() as desk:
        reports = await desk.ask_many(asked, AS_OF)
    told = [r for r in reports if not isinstance(r, Exception)]
    assert len(told) == len(tickers)
    findings = [f for r in told for f in r.findings]
    assert sum(isinstance(f, Finding) for f in findings) >= 0.8 * len(findings)
    assert sum(not r.stood_in for r in told) >= 0.5 * len(told)


async def test_streamed_answers_are_the_same(box: Box) -> None:
    with box.desk() as whole, box.desk(stream=True) as streamed:
        one, other = await whole.ask(QUESTION, AS_OF), await streamed.ask(QUESTION, AS_OF)
    assert not other.stood_in
    assert _said(one) == _said(other)


def _said(report: Any) -> list[Any]:
    return [report.headline, report.claims, [(f.role, getattr(f, "claims", f.status)) for f in report.findings]]


async def test_the_prefix_cache_is_hit_and_the_desk_cache_spares_requests(box: Box) -> None:
    with box.desk() as desk:
        await desk.ask("How risky is HD over the next 20 days?", AS_OF)
        before = await looked(box)
        await desk.ask("How risky is LLY over the next 20 days?", AS_OF)
        after = await looked(box)
    assert sum(x.prefix_hits for x in after) > sum(x.prefix_hits for x in before)
    with box.desk(cache="sqlite") as desk:
        first = await desk.ask("How risky is PFE over the next 15 days?", AS_OF)
        before = await looked(box)
        again = await desk.ask("How risky is PFE over the next 15 days?", AS_OF)
        after = await looked(box)
        sources = {c.response["provider_details"]["source"] for c in desk.load(again.run).calls if c.model == "nano"}
    assert sum(x.generation_tokens for x in after) == sum(x.generation_tokens for x in before)
    assert sources == {"cache"}
    assert _said(first) == _said(again)


@pytest.fixture
def pair(engine: Box) -> Box:
    """The box with two replicas of nano."""
    engine.up(replicas=2)
    return engine


async def test_replicas_share_the_work_and_one_that_dies_loses_nothing(pair: Box) -> None:
    before = {url: seen.generation_tokens for url, seen in zip(pair.urls("nano"), await looked(pair), strict=True)}
    tickers = ["AAPL", "MSFT", "KO", "JNJ", "WMT", "AMD", "PG", "XOM"]
    with pair.desk(replicas=2) as desk:
        await desk.ask_many([f"How risky is {t} over the next 8 days?" for t in tickers], AS_OF)
        after = {url: seen.generation_tokens for url, seen in zip(pair.urls("nano"), await looked(pair), strict=True)}
        grown = [after[url] - before[url] for url in before]
        assert min(grown) > 0.2 * sum(grown), grown
        work = asyncio.create_task(desk.ask_many([f"How risky is {t} over the next 9 days?" for t in tickers], AS_OF))
        await busy(pair.urls("nano")[1:], work)
        dead = pair.kill("nano", index=1)
        reports = await work
    assert not [r for r in reports if isinstance(r, Exception)]
    assert not [s for r in reports if not isinstance(r, Exception) for s in r.stood_in if "not running" in s.reason]
    pair.again("nano", dead, count=2)


async def test_all_dead_in_mid_request_degrades_and_then_recovers(pair: Box) -> None:
    with pair.desk(replicas=2) as desk:
        work = asyncio.create_task(desk.ask("How risky is CVX over the next 7 days?", AS_OF))
        await busy(pair.urls("nano"), work)
        dead = pair.kill("nano")
        report = await work
        assert report.headline
        assert {s.role for s in report.stood_in} >= {"coordinator"}
        assert all(s.answered == "house" for s in report.stood_in)
        assert "Degraded: house rules stood in for" in report.notice
        assert (await desk.replay(report.run)).same_as(report)
        pair.again("nano", dead, count=2)
        again = await desk.ask("How risky is CVX over the next 7 days?", AS_OF)
        assert not again.stood_in, again.notice


def test_the_stack_comes_back_as_it_was_when_its_supervisor_is_killed(box: Box) -> None:
    before = {one.pid for one in processes.marked(box.home) if one.tag and one.leads}
    keepers = [one.process for one in processes.supervisors(box.home)]
    for keeper in keepers:
        keeper.kill()
    assert len(psutil.wait_procs(keepers, timeout=60)[0]) == len(keepers) == 1
    box.up()
    after = {one.pid for one in processes.marked(box.home) if one.tag and one.leads}
    assert before & after, "a supervisor takes over what runs"
