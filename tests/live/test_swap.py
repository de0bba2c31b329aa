"""Hot swap on a real vLLM: an adapter enters the running server, a flip moves the traffic, nobody goes unanswered."""

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.report import Finding, Report
from openoutcry.serving import roster
from openoutcry.serving import stack as stacks
from openoutcry.serving.digest import digest
from openoutcry.serving.registry.artifact import Made, Registered, register
from openoutcry.serving.roster import Replica
from openoutcry.serving.running import control
from openoutcry.serving.running.adapters import await_loaded
from openoutcry.serving.stack import Stack
from openoutcry.serving.transport import Transport
from tests.live.box import AS_OF, PATIENCE, QUESTION, ROOT, Box
from tests.serving.trained import NOW, Trained

NANO = ROOT / "serving/nano"
SPARE = "max_tokens = 512\nspare_adapters = 2\nsocket = true\n"


class Swapping(Box):
    """The box with nano alone on a Unix socket, one replica whatever came before, places for two adapters to come."""

    def file(self, **_: Any) -> Path:
        """The stack file."""
        text = super().file(alone=True).read_text()
        path = self.home.parent / "stack-spare.toml"
        assert "max_tokens = 512\n" in text
        path.write_text(text.replace("max_tokens = 512\n", SPARE))
        return path


@dataclass
class Shop(Trained):
    """What is registered for the box, and the gate that vouches for it."""

    file: Path

    @property
    def bare(self) -> Stack:
        """The stack as its file says."""
        return stacks.load(str(self.file))

    def copy(self, seed: int) -> Registered:
        """The shipped adapter for risk, as if it had been trained here from a seed."""
        source = self.root / "trained"
        shutil.copytree(NANO / "adapters/risk", source, dirs_exist_ok=True)
        made = Made(kind="adapter", role="risk", base=digest(NANO / "base"), base_name="nano", recipe={"seed": seed})
        return register(self.home, source, made, NOW)

    def seated(self, one: Registered, champion: str) -> None:
        """Have the gate vouch for it, wait until it can be asked, and give it the seat."""
        number = self.record(one.name, champion)
        self.moves().evaluated(one.name, number)
        assert await_loaded(self.stack, self.home, one.name, PATIENCE) == ""
        self.moves().promote("risk", one.name, record=number)


@pytest.fixture
def box(engine: Box) -> Box:
    found = Swapping(engine.home)
    found.up()
    return found


def only(box: Box) -> Replica:
    (replica,) = roster.read(box.home).replicas
    return replica


async def listed(box: Box) -> set[str]:
    reply = await Transport().get(box.urls("nano")[0], "/v1/models", 60)
    return {one["id"] for one in json.loads(reply.body)["data"]}


def said(report: Report | Exception) -> str:
    """Who answered for risk, where that was no stand-in and the answer is whole."""
    assert isinstance(report, Report), report
    assert not [s for s in report.stood_in if s.role == "risk"], report.stood_in
    (finding,) = [f for f in report.findings if f.role == "risk"]
    assert isinstance(finding, Finding), finding
    assert finding.model == report.route["risk"]
    return finding.model


async def test_a_flip_under_traffic(box: Box) -> None:
    shop, before = Shop(box.home.parent, {}, box.file()), only(box)
    assert before.url.startswith("unix://")
    one, two = shop.copy(1), shop.copy(2)
    shop.seated(one, "nano-risk")
    assert one.name in await listed(box)
    assert (only(box).pid, only(box).restarts) == (before.pid, before.restarts)
    with box.desk() as desk:
        assert said(await desk.ask(QUESTION, AS_OF)) == one.name
        first, *others = [f"How risky is {t} over the next 5 days?" for t in ("MSFT", "KO", "JNJ", "WMT")]
        begun = asyncio.Event()
        earliest = asyncio.create_task(desk.ask(first, AS_OF, watch=lambda _: begun.set()))
        flying = asyncio.create_task(desk.ask_many(others, AS_OF))
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
        await asyncio.to_thread(shop.seated, two, one.name)
        after = asyncio.create_task(desk.ask("How risky is XOM over the next 5 days?", AS_OF))
        reports = [await earliest, *await flying]
        assert {said(r) for r in reports} <= {one.name, two.name}
        assert said(reports[0]) == one.name, "it began before the flip"
        assert said(await after) == two.name
        for report in reports:
            assert isinstance(report, Report)
            asked = {c.model for c in desk.load(report.run).calls if c.role == "risk"}
            assert asked == {report.route["risk"]}, "a run ends with whom it began"
        assert {one.name, two.name} <= await listed(box)
        assert only(box).pid == before.pid
        assert box.kill("nano") == {before.pid}
        box.again("nano", {before.pid})
        assert {one.name, two.name} <= await listed(box)
        assert set(only(box).adapters) == {one.name, two.name}
        assert said(await desk.ask("How risky is PG over the next 5 days?", AS_OF)) == two.name
    assert f"loaded: {two.name}, {one.name}" in box.outcry("stack", "status").stdout
    assert control.status(shop.stack, box.home).replicas[0].adapters == (two.name, one.name)
