"""Bad deploys under traffic: a desk whose new model begins to fail, and goes back by itself, with no run lost."""

import asyncio
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import ModelUnreachable
from openoutcry.core.report import Report
from openoutcry.desk import Desk
from openoutcry.interfaces.page import Shown
from openoutcry.serving import seating
from openoutcry.serving.registry import observations
from openoutcry.serving.registry.ledger import reading
from openoutcry.serving.registry.seats import switch
from openoutcry.serving.registry.sitting import bucket
from openoutcry.serving.stack import Stack
from tests.serving.faulty import FAULTS, Answer, Faulty, refuses, says, waits
from tests.serving.rollout_bench import RolloutBench, kinds
from tests.serving.test_served_desk import plays

QUESTION = "How risky is ABC over the next 10 days?"
Brain = Callable[[dict[str, Any]], Answer]


@pytest.fixture
def home(make_home: Callable[..., Path], price_rows: Callable[..., Any], tmp_path: Path) -> Path:
    """Little data, so that a run takes little of this machine."""
    story = {"ticker": "ABC", "published": "2020-12-01", "title": "Quarter", "body": "Profit rose beyond all hopes."}
    there = make_home(prices=price_rows("ABC", [100 + 5 * math.sin(i * i) for i in range(260)]), documents=[story])
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "warehouse").symlink_to(there / "warehouse")
    return folder


async def asked(desk: Desk, count: int, at_once: int = 50) -> list[Report]:
    """Ask so often at once; every answer. None may be an error."""
    found = await desk.ask_many([QUESTION] * count, limit=at_once)
    assert [f for f in found if not isinstance(f, Shown)] == []
    return [f for f in found if isinstance(f, Shown)]


class Deploy:
    """Whose requests fail, and how; everybody else plays well."""

    def __init__(self) -> None:
        self.bad, self.fault = "", FAULTS["not JSON"]

    def __call__(self, body: dict[str, Any]) -> Answer:
        return self.fault if body["model"] == self.bad else plays(body)


@pytest.mark.parametrize("fault", ["not JSON", "hangs"])
async def test_a_bad_champion_goes_back_by_itself_under_traffic(home: Path, fault: str) -> None:
    deploy = Deploy()
    with Faulty(brain=deploy) as server:
        seconds = "seconds = 60.0" if fault == "not JSON" else "seconds = 10.0"
        at = RolloutBench(home, server.url, ("risk",), seconds, datetime.now(UTC))
        champion = at.champion("risk", "w1")
        with Desk(at.settings) as desk:
            before = await asked(desk, 2)
            assert {r.route["risk"] for r in before} == {champion}
            assert not any(r.stood_in for r in before)
            deploy.bad, deploy.fault = champion, FAULTS[fault]
            during = await asked(desk, 50 if fault == "not JSON" else 8)
            after = await asked(desk, 3)
    assert all(r.headline and r.findings for r in during)
    assert {s.model for r in during for s in r.stood_in} == {champion}
    assert {s.answered for r in during for s in r.stood_in} <= {"m", "house"}
    assert all("Degraded" in r.notice for r in during if r.stood_in)
    assert {r.route["risk"] for r in after} == {"m"}
    assert not any(s.model == champion for r in after for s in r.stood_in)
    assert at.seat("risk").champion == "m"
    assert kinds(home).count("rolled_back") == kinds(home).count("quarantined") == 1


async def test_who_stands_in_is_not_closed_by_the_failures_of_who_it_stands_in_for(home: Path) -> None:
    deploy = Deploy()
    with Faulty(brain=deploy) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        deploy.bad = at.champion("risk", "w1")
        with Desk(at.settings) as desk:
            reports = await asked(desk, 12)
    assert {s.answered for r in reports for s in r.stood_in} == {"m"}


async def test_a_quarantined_challenger_is_asked_no_more_and_may_not_come_back(home: Path) -> None:
    deploy = Deploy()
    with Faulty(brain=deploy) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        deploy.bad = name = at.challenger("risk", "w1", share=99)
        with Desk(at.settings) as desk:
            await asked(desk, 8)
            assert at.seat("risk").challenger == ""
            before = sum(body["model"] == name for body in server.asked)
            await asked(desk, 3)
            assert sum(body["model"] == name for body in server.asked) == before
    with reading(home) as ledger:
        assert ledger
        [said] = ledger.shut().values()
    assert "of its first" in said and "in the form that was asked for" in said
    with pytest.raises(Exception, match="may sit no more: quarantined"):
        at.moves().promote("risk", name)


async def test_a_model_whose_claims_nothing_holds_up_goes_back(home: Path) -> None:
    deploy = Deploy()
    deploy.fault = says('{"claims": ["it may fall by 12 %"], "lean": "down"}')
    with Faulty(brain=deploy) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        deploy.bad = at.champion("risk", "w1")
        with Desk(at.settings) as desk:
            reports = await asked(desk, 4, at_once=2)
    assert any(d.role == "risk" for r in reports for d in r.dropped)
    assert at.seat("risk").champion == "m"


async def test_a_server_that_is_gone_takes_nobody_out(home: Path) -> None:
    with Faulty(brain=plays) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        champion = at.champion("risk", "w1")
        with Desk(at.settings) as desk:
            await asked(desk, 1)
            server.kill()
            reports = await asked(desk, 6)
            assert at.seat("risk").champion == champion
    assert {s.answered for r in reports for s in r.stood_in} == {"house"}


async def test_a_slow_model_goes_back(home: Path) -> None:
    deploy = Deploy()

    def brain(body: dict[str, Any]) -> Answer:
        return waits(0.6, plays(body)) if body["model"] == deploy.bad else plays(body)

    with Faulty(brain=brain) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        deploy.bad = at.challenger("risk", "w1", share=99)
        number = at.seat("risk").number
        with observations.writing(home) as book:
            for i in range(100):
                seen = observations.Observation(
                    role="risk", model="m", run=f"r{i}", arm="champion", number=number, seconds=0.2
                )
                book.add(seen, "", at.now)
        with Desk(at.settings) as desk:
            for _ in range(4):
                await asked(desk, 4)
    assert "were too slow" in next(e for e in _said(home) if "slow" in e)


def _said(home: Path) -> list[str]:
    with reading(home) as ledger:
        return [event.said for event in ledger.events()] if ledger else []


async def test_a_desk_without_a_rollout_notes_nothing(home: Path) -> None:
    with Faulty(brain=plays) as server:
        at = RolloutBench(home, server.url, ("risk",))
        with Desk(at.settings) as desk:
            await asked(desk, 1)
    assert not observations.path(home).exists()


async def test_a_run_asks_one_model_throughout_whatever_is_moved_meanwhile(home: Path) -> None:
    moved = False
    with Faulty() as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        champion = at.champion("risk", "w1")

        def brain(body: dict[str, Any]) -> Answer:
            nonlocal moved
            if body["model"] == champion and not moved:
                moved = True
                at.moves().rollback("risk", "by hand")
            return plays(body)

        server.brain = brain
        with Desk(at.settings) as desk:
            [first] = await asked(desk, 1)
            [second] = await asked(desk, 1)
            assert desk.load(first.run).manifest.models["risk"] == champion
    names = [body["model"] for body in server.asked]
    assert len(names) >= 4
    assert names == sorted(names, key=lambda name: name != champion)
    assert (first.route["risk"], second.route["risk"]) == (champion, "m")
    assert not first.stood_in


async def test_shadow_runs_ask_the_challenger_and_show_nobody(home: Path) -> None:
    with Faulty(brain=plays) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        with Desk(at.settings) as desk:
            await asked(desk, 3)
            name = at.challenger("risk", "w1")
            stored, told = desk.runs(), list[int]()
            done = await asyncio.to_thread(desk.shadow, "risk", 2, lambda count, seen: told.append(count))
            assert desk.runs() == stored
            again = await asyncio.to_thread(desk.shadow, "risk", 2, lambda count, seen: told.append(count))
    assert (done.runs, again.runs, told) == (2, 1, [1, 2, 1])
    assert (done.standing.model, done.standing.runs, done.standing.due.move) == (name, 2, "stay")
    with observations.reading(home) as book:
        assert book
        assert len(book.runs("risk", name, "shadow")) == len(book.runs("risk", "m", "shadow")) == 3
        assert book.record("risk", name).failed == 0


@pytest.mark.parametrize("role", ["coordinator", "reader"])
async def test_a_bad_challenger_goes_out_in_the_shadow(home: Path, role: str) -> None:
    deploy = Deploy()
    with Faulty(brain=deploy) as server:
        at = RolloutBench(home, server.url, (), now=datetime.now(UTC))
        with Desk(at.settings) as desk:
            for _ in range(4):
                await desk.ask("What is the news on ABC?")
            deploy.bad = at.challenger(role, "w1", champion="house")
            done = await asyncio.to_thread(desk.shadow, role, 10)
    assert done.runs == 3
    assert at.seat(role).challenger == ""
    assert "quarantined" in kinds(home)
    assert {body["model"] for body in server.asked} == {deploy.bad}


async def test_a_server_that_is_gone_takes_nobody_out_of_the_shadow(home: Path) -> None:
    with Faulty(brain=plays) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        with Desk(at.settings) as desk:
            await asked(desk, 6, at_once=1)
            name = at.challenger("risk", "w1")
            server.kill()
            with pytest.raises(
                ModelUnreachable, match=f"expected {name} to answer in its shadow, but after 0 runs it could not"
            ):
                await asyncio.to_thread(desk.shadow, "risk", 6)
    assert at.seat("risk").challenger == name
    assert not observations.path(home).exists()


async def test_where_house_rules_sit_they_stand_in_and_a_model_that_is_not_there_stays(home: Path) -> None:
    deploy = Deploy()
    deploy.fault = refuses(404, "The model does not exist.")
    with Faulty(brain=deploy) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        switch(at.stack, home, "risk", "house", answers=True, now=at.now)
        assert at.seat("risk").previous == "m"
        deploy.bad = name = at.challenger("risk", "w1", champion="house", share=99)
        with Desk(at.settings) as desk:
            reports = await asked(desk, 6, at_once=1)
            assert desk.rollouts
            assert desk.rollouts.standing("risk", at.now).record.runs == 0
    stood = [s for r in reports for s in r.stood_in]
    assert stood
    assert {(s.model, s.answered) for s in stood} == {(name, "house")}
    assert at.seat("risk").challenger == name


@pytest.mark.parametrize("lost", ["files", "ledger"])
async def test_what_is_lost_of_the_registry_costs_nobody_an_answer(home: Path, lost: str) -> None:
    with Faulty(brain=plays) as server:
        at = RolloutBench(home, server.url, ("risk",), now=datetime.now(UTC))
        name = at.champion("risk", "w1")
        if lost == "ledger":
            (home / "registry" / "ledger.sqlite").write_bytes(b"no database, at all" * 999)
        else:
            next((home / "models").glob("*/files/adapter_model.safetensors")).unlink()
        with Desk(at.settings) as desk:
            [report] = await asked(desk, 1)
    assert name not in {body["model"] for body in server.asked}
    assert "m" in {body["model"] for body in server.asked}
    assert lost == "ledger" or f"m stood in for {name} (risk): {name} may not sit" in report.notice


def test_of_two_runs_that_begin_at_once_both_find_who_came_since(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = RolloutBench(home, roles=("risk",), now=datetime.now(UTC))
    reads, go, came = threading.Event(), threading.Event(), [threading.Event() for _ in range(2)]
    found: list[str] = []
    with Desk(at.settings) as desk:
        name = at.champion("risk", "w1")
        real = seating.stack_with

        def slow(stack: Stack, home: Path) -> Stack:
            reads.set()
            go.wait(30)
            return real(stack, home)

        monkeypatch.setattr(seating, "stack_with", slow)

        def run(number: int) -> None:
            assert desk.seats
            came[number].set()
            with desk.seats.sitting(f"r{number}") as now:
                found.append(now.names["risk"])

        threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
        threads[0].start()
        assert reads.wait(30)
        threads[1].start()
        assert came[1].wait(30)
        threads[1].join(0.5)
        go.set()
        for thread in threads:
            thread.join()
    assert found == [name, name]


def test_shares_hold_and_roles_draw_by_themselves() -> None:
    runs = [f"20260302-1500{i % 60:02d}-{i:08x}" for i in range(20_000)]
    for share in (5, 25):
        risk = {run for run in runs if bucket("risk", run) < share}
        analyst = {run for run in runs if bucket("analyst", run) < share}
        sd = math.sqrt(len(runs) * share / 100 * (1 - share / 100))
        assert abs(len(risk) - len(runs) * share / 100) < 5 * sd
        both = len(runs) * (share / 100) ** 2
        assert abs(len(risk & analyst) - both) < 5 * math.sqrt(both)
    assert {bucket("risk", run) for run in runs} == set(range(100))
