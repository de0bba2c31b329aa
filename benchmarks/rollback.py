"""Rollback under traffic: how soon runs are asked of the model before, and whether any of them fails meanwhile.

`python benchmarks/rollback.py [--quick]` runs alone: a whole desk over stubs, its risk's seat moved while it is asked.
"""

import asyncio
import hashlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from typing import Any

from staged import AS_OF, PATIENCE, QUESTION, calls_of
from stub import LENGTH, Calls, stub

from openoutcry import Desk
from openoutcry.core import seals
from openoutcry.core.settings import Settings
from openoutcry.eval.gate.keys import signer
from openoutcry.interfaces.page import Shown
from openoutcry.serving.identity import identity
from openoutcry.serving.registry import artifact, vouched
from openoutcry.serving.registry.artifact import Made
from openoutcry.serving.registry.pointer import Seats
from openoutcry.serving.registry.rollout import Rollouts
from openoutcry.serving.registry.sitting import Sitting
from openoutcry.serving.seat import Fault
from openoutcry.wiring import moves, stack

Line = tuple[str, str, str]
AT_ONCE = 16
LOOK = 0.0005
"""Seconds between two looks at whom a run would be asked that began now."""


@dataclass(frozen=True, slots=True)
class Timed(Rollouts):
    """Rollouts that note when each run's observations came in, and those by which the seat was moved."""

    came: list[float] = field(default_factory=list[float])
    decided: list[float] = field(default_factory=list[float])

    def after(self, run: str, sitting: Sitting, lapses: Mapping[str, Fault], now: datetime) -> None:
        """As it does; the moment at which it began is noted."""
        began, seats = time.perf_counter(), Seats(self.home)
        before = seats.of("risk")
        Rollouts.after(self, run, sitting, lapses, now)
        self.came.append(began)
        if seats.of("risk") != before:
            self.decided.append(began)


def settings(home: Path, before: str, new: str) -> Settings:
    """A desk's whose risk sits at the stub *before*; what is made from the model `base` is served at *new*."""
    models = "".join(
        f'[models.{name}]\nengine = "endpoint"\nurl = "{url}"\nmax_model_len = {LENGTH}\nconcurrency = 64\n'
        for name, url in (("before", before), ("base", new))
    )
    (home / "stack.toml").write_text(f'uncertified = true\n{models}[roles]\nrisk = "before"\n[cache]\nstore = "off"\n')
    given: dict[str, Any] = {"home": home, "stack": str(home / "stack.toml"), "deadline": PATIENCE, "remember": False}
    return Settings.model_validate(given)


def promoted(given: Settings, weights: str) -> str:
    """Register an adapter, have the gate's key sign that it may sit, and seat it; its name."""
    source = given.home / f"made-{weights}"
    source.mkdir()
    (source / "adapter_model.safetensors").write_text(weights)
    now = datetime.now(UTC)
    there = artifact.register(given.home, source, Made(kind="adapter", role="risk", base_name="base"), now)
    mover = moves(stack(given), given.home, now)
    number = len(list((seals.folder(given.home) / "records").glob("*.json"))) + 1
    known = [mover.sitting("risk", "before"), identity(mover.stack, there.name)]
    sides = [{"models": {"risk": one}} for one in known]
    record = {"number": number, "role": "risk", "verdict": {"decision": "PROMOTE"}, "sides": sides}
    record |= {"challenger": there.name, "champion": "before"}
    digest = hashlib.sha256(seals.canonical(record)).hexdigest()
    signature = signer(given.home).sign(seals.RECORD + digest.encode()).hex()
    file = seals.folder(given.home) / "records" / f"{number:06d}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(seals.canonical({"record": record, "hash": digest, "signature": signature}))
    vouched.keep(given.home, there, number)
    mover.promote("risk", there.name, record=number)
    return there.name


async def under_traffic(desk: Desk, start: Callable[[], Awaitable[float]], seconds: float) -> tuple[float, int, int]:
    """Ask all the time; seconds from what *start* says to the first run asked of the one before, runs, and failures."""
    end, found = time.perf_counter() + seconds, list[Shown | BaseException]()

    async def asking() -> None:
        while time.perf_counter() < end:
            found.extend(await asyncio.gather(desk.ask(QUESTION, AS_OF), return_exceptions=True))

    working = [asyncio.create_task(asking()) for _ in range(AT_ONCE)]
    await asyncio.sleep(seconds / 4)
    began = await start()
    await asyncio.gather(*working)
    bad = [one for one in found if not isinstance(one, Shown) or not one.headline]
    return began, len(found), len(bad)


async def switched(desk: Desk) -> float:
    """The moment from which a run is asked of the one before."""
    while desk.models["risk"] != "before":
        await asyncio.sleep(LOOK)
    return time.perf_counter()


def by_hand(home: Path, calls: Calls, seconds: float) -> tuple[float, int, int]:
    """A person rolls back, in a process of their own; from when that begins to work."""
    with stub(calls, 0.02) as (before, _), stub(calls, 0.02) as (new, _):
        given = settings(home, before, new)
        promoted(given, f"w{time.time_ns()}")
        command = [sys.executable, __file__, "--person", given.model_dump_json()]
        with Desk(given) as desk, subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as person:
            assert person.stdin and person.stdout
            assert person.stdout.readline() == "ready\n"
            go, said = person.stdin, person.stdout

            async def start() -> float:
                print("go", file=go, flush=True)
                over = await switched(desk)
                return over - float(await asyncio.to_thread(said.readline))

            return asyncio.run(under_traffic(desk, start, seconds))


def person(given: Settings) -> None:
    """Roll back when told, and print when that began, by the clock that all processes share."""
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    moves(stack(given), given.home, datetime.now(UTC)).rollback("risk", "by hand")
    print(begun, flush=True)


def by_itself(home: Path, calls: Calls, seconds: float) -> tuple[float, int, int, int]:
    """The new model answers without form from a moment on; also how many runs had been seen since."""
    with stub(calls, 0.02) as (before, _), stub(calls, 0.02) as (new, process):
        given = settings(home, before, new)
        promoted(given, f"w{time.time_ns()}")
        with Desk(given) as desk:
            assert desk.rollouts
            desk.rollouts = timed = Timed(desk.rollouts.home, desk.rollouts.moves)
            seen = 0

            async def start() -> float:
                nonlocal seen
                process.send_signal(signal.SIGUSR1)
                spoilt = time.perf_counter()
                async with asyncio.timeout(seconds):  # nobody asks any more then
                    over = await switched(desk)
                    while not timed.decided:  # the run that moved the seat may be at it still
                        await asyncio.sleep(LOOK)
                seen = sum(spoilt < moment < over for moment in timed.came)
                return over - min(timed.decided)

            return *asyncio.run(under_traffic(desk, start, seconds)), seen


def rows(quick: bool = False) -> Iterator[Line]:
    """Every line: what was measured, the value, the goal."""
    seconds, rounds = (4.0, 1) if quick else (12.0, 3)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Desk.open(home=home, backend="house") as desk:
            desk.ingest(sample=True)
        calls = calls_of(home)
        hand = [by_hand(home, calls, seconds) for _ in range(rounds)]
        own = [by_itself(home, calls, seconds) for _ in range(rounds)]
    runs, bad = sum(one[1] for one in hand), sum(one[2] for one in hand)
    middle = statistics.median(one[0] for one in hand) * 1000
    yield "rollback by hand: until runs ask the one before", f"{middle:.0f} ms", "goal: under 100 ms"
    yield f"    of {runs} runs, {AT_ONCE} at a time, failed", f"{bad}", "goal: 0"
    runs, bad = sum(one[1] for one in own), sum(one[2] for one in own)
    middle = statistics.median(one[0] for one in own) * 1000
    yield "rollback by itself, from the run that decided it", f"{middle:.0f} ms", "goal: under 100 ms"
    yield f"    of {runs} runs, {AT_ONCE} at a time, failed", f"{bad}", "goal: 0"
    yield "    runs seen after the model went bad", json.dumps([one[3] for one in own]), "at least 5 in a row"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--person"]:
        person(Settings.model_validate_json(sys.argv[2]))
        sys.exit()
    for name, value, goal in rows(quick="--quick" in sys.argv[1:]):
        print(f"{name:<66} {value:>18}   {goal}", flush=True)
