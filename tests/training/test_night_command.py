"""The commands `outcry night`: what they print, what they refuse, and that nothing is made by looking."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import OutcryError, UsageError
from openoutcry.training.commands import night as command
from openoutcry.training.commands import night_text as text
from openoutcry.training.night import schedule
from openoutcry.training.night.claim import claim
from openoutcry.training.night.entry import State
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.loop import LOOKED, Night
from openoutcry.training.night.schedule import Stage
from openoutcry.training.night.settings import EXAMPLE, FILE

DAY = date(2026, 12, 1)
NIGHT = schedule.slots(DAY, {})
AT_ONE = NIGHT[1].due + timedelta(hours=3)


class NoTrial:
    """Models that are never asked: what is tested here ends before."""

    def __init__(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "desk.toml").write_text('stack = "cpu-nano"\n')
    (tmp_path / FILE).write_text(EXAMPLE.format(model="nano"))
    return tmp_path


def called(here: Path, *words: str, at: datetime = AT_ONE, monkeypatch: pytest.MonkeyPatch | None = None) -> Result:
    if monkeypatch is not None:
        monkeypatch.setattr(command, "_now", lambda: at)

    @click.group()
    @click.pass_context
    def outcry(ctx: click.Context) -> None:
        ctx.obj = (here / "desk.toml", None)
        ctx.meta[command.TRIAL] = NoTrial

    outcry.add_command(command.night)
    return CliRunner().invoke(outcry, ["night", *words])


def lived(home: Path, *, running: bool = False, done: int = 1) -> None:
    """A ledger with *done* stages, and the next one at work or failed."""
    with Ledger(home) as ledger:
        ledger.settle(NIGHT, AT_ONE)
        for slot in NIGHT[:done]:
            with claim(ledger, slot, slot.due) as held:
                held.done("120 examples\x1b[31m", {"roles": {}}, slot.due + timedelta(minutes=2, seconds=9))
        ledger.mark(LOOKED, AT_ONE - timedelta(seconds=20))
        with claim(ledger, NIGHT[done], AT_ONE) as held:
            if not running:
                held.failed("risk: the disk is full", AT_ONE + timedelta(seconds=5))


def test_the_state_of_the_night_is_shown_stage_by_stage(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lived(here / ".outcry", running=True)
    at = AT_ONE + timedelta(minutes=5)
    shown = called(here, "status", monkeypatch=monkeypatch, at=at).stdout.splitlines()
    assert shown == [
        "Night of Tue 2026-12-01, times in New York",
        "  prepare   17:00  done      120 examples\\x1b[31m",
        f"  tune      22:00  running   for 5 min, process {os.getpid()}, sign of life 5 min ago",
        "  validate  02:00  to come",
        "  deploy    06:00  to come",
        "next: validate of 2026-12-01, Wed 2026-12-02 02:00 in New York, in 55 min",
        f"kept by process {os.getpid()}",
    ]


def test_a_night_that_nobody_keeps_is_told_and_nothing_is_made(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = called(here, "status", monkeypatch=monkeypatch).stdout
    assert "prepare   17:00  not kept" in shown
    assert "nobody keeps the night; `outcry night start` does" in shown
    assert called(here, "history", monkeypatch=monkeypatch).stdout == ""
    assert not (here / ".outcry").exists()


def test_a_stage_that_failed_is_told_with_what_tries_it_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lived(here / ".outcry")
    shown = called(here, "status", monkeypatch=monkeypatch).stdout
    assert "failed    risk: the disk is full\n" in shown
    assert "\nnow: `outcry night run tune --day 2026-12-01` tries it again\n" in shown
    with Ledger(here / ".outcry") as ledger:
        entries = ledger.entries(DAY, DAY)
    assert text.failed(entries, AT_ONE) and not text.failed(entries, AT_ONE + timedelta(seconds=1))
    assert not text.failed(entries[:1], NIGHT[0].due)
    late = entries[1].model_copy(update={"state": State.EXPIRED})
    assert text.failed([late], AT_ONE) and not text.failed([late.model_copy(update={"attempts": ()})], AT_ONE)


def test_a_stage_whose_process_is_gone_is_told(here: Path) -> None:
    lived(here / ".outcry", running=True)
    with Ledger(here / ".outcry") as ledger:
        entries = ledger.entries(DAY, DAY)
    lines = text.night(DAY, entries, NIGHT, AT_ONE, living=set())
    assert lines[2] == f"  tune      22:00  running   process {os.getpid()} is gone; the next look takes it up"


def test_the_state_as_json(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lived(here / ".outcry")
    told = json.loads(called(here, "status", "--json", monkeypatch=monkeypatch).stdout)
    assert [stage["state"] for stage in told["stages"]] == ["done", "failed"]
    assert told["stages"][1]["attempts"][0]["said"] == "risk: the disk is full"
    assert told["next"] == {"day": "2026-12-01", "stage": "validate", "due": "2026-12-02T07:00:00+00:00"}
    assert told["keeper"] == os.getpid()


def test_the_history_has_a_line_a_stage(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lived(here / ".outcry")
    shown = called(here, "history", monkeypatch=monkeypatch)
    assert shown.stdout.splitlines()[1:] == [
        "2026-12-01  prepare   done     Tue 2026-12-01 17:00     2 min     1  120 examples\\x1b[31m",
        "2026-12-01  tune      failed   Wed 2026-12-02 01:00       5 s     1  risk: the disk is full",
    ]
    assert "1 night, 0 done in full" in shown.stderr
    assert len(json.loads(called(here, "history", "--json", monkeypatch=monkeypatch).stdout)) == 2


def test_the_settings_are_written_once_and_name_the_first_model_of_the_stack(here: Path) -> None:
    (here / FILE).unlink()
    assert "it tunes nano for the risk role" in called(here, "init").stdout
    assert 'model = "nano"' in (here / FILE).read_text()
    again = called(here, "init")
    assert "init PROFILE" not in again.stderr
    assert isinstance(again.exception, UsageError)
    assert "is there already" in str(again.exception)
    (here / FILE).unlink()
    (here / "desk.toml").write_text("")
    assert "`outcry stack init PROFILE` writes a stack.toml" in called(here, "init").stderr


def test_a_history_without_a_night_says_what_begins_one(here: Path) -> None:
    told = called(here, "history", "--days", "3")
    assert told.stdout == "" and "no night in 3 days; `outcry night start`" in told.stderr
    assert "Invalid value for 'STAGE'" in called(here, "run", "cook").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "prepare", "--day", "2026-11-28"), "expected a day on which the exchange trades, got Sat 2026-11-28"),
        (("run", "tune", "--day", "2026-12-01"), "tune of 2026-12-01 needs prepare to be done first"),
    ],
)
def test_a_stage_that_may_not_run_is_one_line(here: Path, words: tuple[str, ...], said: str) -> None:
    ended = called(here, *words)
    assert isinstance(ended.exception, OutcryError)
    assert said in str(ended.exception)


def test_a_scheduled_stage_that_may_not_run_now_is_no_fault(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = called(here, "run", "prepare", "--day", "2026-12-01", "--scheduled", monkeypatch=monkeypatch)
    assert ended.exit_code == 0
    assert "prepare of 2026-12-01 is not due yet" in ended.stderr


def test_a_stage_that_fails_is_kept_and_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / FILE).write_text('[roles.risk]\nmodel = "nano"\nsources = ["no.jsonl"]\n')
    ended = called(here, "run", "prepare", "--day", "2026-12-01", monkeypatch=monkeypatch)
    assert ended.exit_code == 3
    assert "prepare of 2026-12-01 failed: risk:" in ended.stderr
    assert "no.jsonl" in ended.stderr
    with Ledger(here / ".outcry") as ledger:
        entry = ledger.entry(DAY, Stage.PREPARE)
    assert entry
    assert (entry.state, entry.count("failed")) == ("failed", 1)


def test_without_weights_the_night_does_not_begin(here: Path) -> None:
    (here / FILE).write_text('[roles.risk]\nmodel = "no-such"\n')
    ended = called(here, "start", "--once")
    assert isinstance(ended.exception, UsageError)
    assert "expected a model of this stack, got 'no-such'" in str(ended.exception)


def test_a_look_at_which_nothing_is_due_says_what_comes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 12, 1, 17, tzinfo=UTC)
    ended = called(here, "start", "--once", monkeypatch=monkeypatch, at=noon)
    assert ended.exit_code == 0
    assert "nothing to do now; next: prepare of 2026-12-01, Tue 2026-12-01 17:00 in New York, in 5 h" in ended.stderr


def test_a_look_that_is_stopped_says_so_by_its_exit_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def once(_: Night, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await stop.wait()

    monkeypatch.setattr(Night, "once", once)
    assert called(here, "start", "--once", monkeypatch=monkeypatch).exit_code == 130


def test_the_unit_has_this_python_this_folder_and_the_options_given(here: Path) -> None:
    shown = called(here, "unit")
    assert f"ExecStart=:{sys.executable} -m openoutcry.cli --desk {here}/desk.toml night start" in shown.stdout
    assert f"WorkingDirectory={Path.cwd()}\n" in shown.stdout
    assert "systemctl --user enable --now outcry-night.service" in shown.stderr


def test_the_commands_load_no_heavy_library() -> None:
    heavy = ("torch", "pandas", "duckdb", "pydantic_ai", "openoutcry.eval", "exchange_calendars")
    code = "import sys; from openoutcry.training.commands import night; "
    code += f"print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (61, "1 min"), (3720, "1 h 2 min"), (90000, "1 d 1 h"), (-5, "0 s")]
)
def test_lengths_of_time_read_as_people_say_them(seconds: int, said: str) -> None:
    assert text.span(timedelta(seconds=seconds)) == said


def test_now_is_utc() -> None:
    assert command._now().tzinfo is UTC  # pyright: ignore[reportPrivateUsage]
