"""The night with real processes: two at once, killed at any moment, told to stop; and the systemd unit."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.training.night import schedule
from openoutcry.training.night.entry import State
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.schedule import STAGES, Stage
from openoutcry.training.night.spawning import Spawner
from openoutcry.training.night.unit import NAME, render

NIGHT = schedule.slots(date(2026, 12, 1), {})
KEEPER = """
import asyncio, sys, time
from datetime import datetime, timedelta
from pathlib import Path
from openoutcry.training.night.claim import NotNow
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.loop import Night
from openoutcry.training.night.working import Done, perform

home, at, lasts = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), float(sys.argv[3])

def work(job):
    with (home / "begun").open("a") as log:
        log.write(f"{job.stage}\\n")
    until = time.monotonic() + lasts
    while time.monotonic() < until:
        job.check()
        time.sleep(0.01)
    return Done(said="done", result={"stage": job.stage})

async def keep():
    stop = asyncio.Event()
    with Ledger(home) as ledger:
        async def one(slot):
            try:
                await perform(ledger, slot, work, now=lambda: at, stop=stop)
            except NotNow as error:
                print(error)
        night = Night(ledger, {}, one, lambda: at)
        until = time.monotonic() + float(sys.argv[4])
        while time.monotonic() < until and len(list(Path(home, "begun").read_text().split())) < 99:
            await night.once(stop)
            if all(e.state == "done" for e in ledger.entries()) and len(ledger.entries()) == 4:
                return
            await asyncio.sleep(0.02)
    sys.exit("it gave the night up")

Path(home, "begun").touch()
asyncio.run(keep())
"""
RUNNER = """
import asyncio, signal, sys, time
from datetime import date
from pathlib import Path
from openoutcry.training.night import schedule
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.working import Done, perform

home, stage, day = Path(sys.argv[1]), sys.argv[2], sys.argv[4]
slot = next(s for s in schedule.slots(date.fromisoformat(day), {}) if s.stage == stage)

def work(job):
    (home / "running").touch()
    while True:
        job.check()
        time.sleep(0.01)

async def run():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with Ledger(home) as ledger:
        await perform(ledger, slot, work, now=lambda: slot.due, stop=stop)

asyncio.run(run())
"""


def keeper(home: Path, lasts: float = 0.0, patience: float = 300.0) -> subprocess.Popen[bytes]:
    """A process that keeps the night at six in the morning, when all four stages are due."""
    words = [sys.executable, "-c", KEEPER, str(home), NIGHT[3].due.isoformat(), str(lasts), str(patience)]
    return subprocess.Popen(words)


def test_of_processes_that_begin_at_once_exactly_one_runs_each_stage(tmp_path: Path) -> None:
    started = [keeper(tmp_path, lasts=0.2) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert (tmp_path / "begun").read_text().split() == list(STAGES)
    with Ledger(tmp_path) as ledger:
        assert [(e.state, len(e.attempts)) for e in ledger.entries()] == [(State.DONE, 1)] * 4


def test_killed_at_any_moment_nothing_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    """Kills come one after the other, each after a time of its own; fewer than make a stage give up."""
    chance, begun = random.Random(7), tmp_path / "begun"
    for _ in range(4):
        before = begun.read_text() if begun.exists() else ""
        process = keeper(tmp_path, lasts=0.05)
        while process.poll() is None and (not begun.exists() or begun.read_text() == before):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.wait()
    assert keeper(tmp_path, lasts=0.0).wait() == 0
    with Ledger(tmp_path) as ledger:
        entries = ledger.entries()
    assert [e.state for e in entries] == [State.DONE] * 4
    for entry in entries:
        ended = Counter(attempt.state for attempt in entry.attempts)
        assert ended["done"] == 1
        assert ended.keys() <= {"done", "broken off"}
        assert entry.result == {"stage": entry.stage}


def test_a_killed_holder_is_succeeded_at_once(tmp_path: Path) -> None:
    first = keeper(tmp_path, lasts=600)
    while not (tmp_path / "begun").is_file() or not (tmp_path / "begun").read_text():
        assert first.poll() is None
        time.sleep(0.01)
    second = keeper(tmp_path)
    time.sleep(0.5)
    assert (tmp_path / "begun").read_text().split() == [Stage.PREPARE]
    first.kill()
    first.wait()
    assert second.wait() == 0
    assert (tmp_path / "begun").read_text().split() == [Stage.PREPARE, *STAGES]


async def test_a_stop_is_passed_on_to_the_stage_which_gives_its_claim_back(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.settle(NIGHT, NIGHT[0].due)
    stop = asyncio.Event()
    spawner = Spawner([sys.executable, "-c", RUNNER, str(tmp_path)], stop)
    running = asyncio.create_task(spawner(NIGHT[0]))
    while not (tmp_path / "running").exists():
        assert not running.done()
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(running, 300)
    with Ledger(tmp_path) as ledger:
        found = ledger.entry(NIGHT[0].day, Stage.PREPARE)
    assert found
    assert (found.state, [a.state for a in found.attempts]) == (State.DUE, ["given back"])


async def test_a_stage_that_does_not_listen_is_killed_and_taken_up_again(tmp_path: Path) -> None:
    deaf = "import signal, sys, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    deaf += "pathlib.Path(sys.argv[1], 'running').touch(); time.sleep(600)"
    stop = asyncio.Event()
    running = asyncio.create_task(Spawner([sys.executable, "-c", deaf, str(tmp_path)], stop, grace=0.1)(NIGHT[0]))
    while not (tmp_path / "running").exists():
        assert not running.done()
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(running, 300)  # it would end by itself after ten minutes


def verified(folder: Path, unit: str) -> str:
    """What systemd says of the unit; nothing where it is as it should be."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    file = folder / NAME
    file.write_text(unit)
    words = ["systemd-analyze", "verify", "--user", str(file)]
    said = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "XDG_RUNTIME_DIR": str(folder)})
    return said.stderr


@pytest.mark.parametrize("name", ["plain", "with a blank", "odd 50% $HOME ; é"])
def test_systemd_takes_the_unit(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.symlink_to(sys.executable)
    unit = render(str(python), folder, ["--desk", str(folder / 'a "desk" of \\mine.toml')])
    assert verified(tmp_path, unit) == ""


def test_a_path_that_systemd_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without quotes"):
        render(sys.executable, tmp_path / 'of "mine"', [])


def test_systemd_would_say_what_is_wrong(tmp_path: Path) -> None:
    said = verified(tmp_path, render("/nothing/here", tmp_path, []).replace("Nice=10", "Nicely=10"))
    assert "Command /nothing/here is not executable" in said
    assert "Unknown key 'Nicely'" in said


def test_the_unit_starts_the_night_and_stops_it_gently(tmp_path: Path) -> None:
    unit = render(sys.executable, tmp_path, ["--home", "there"])
    assert f"ExecStart=:{sys.executable} -m openoutcry.cli --home there night start\n" in unit
    assert "KillMode=mixed" in unit
