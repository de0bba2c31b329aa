"""A model that listens on a socket in the data folder: started, asked, started again, and closed to other users."""

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from openoutcry.core.errors import UsageError
from openoutcry.interfaces.stack_planning import plan
from openoutcry.serving import roster, stack
from openoutcry.serving.roster import Roster, State
from openoutcry.serving.running import addresses, control, processes
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport
from tests.serving.test_supervisor import QUICK, WAIT, only, silent, until

Rig = Any


def up(rig: Rig) -> Roster:
    return control.up(stack.load(str(rig.stack(m="socket = true"))), rig.home, WAIT, silent, QUICK)


def test_it_serves_there_comes_again_there_and_nobody_else_reaches_it(rig: Rig) -> None:
    at = rig.home / "stack/m-0.sock"
    at.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:  # of a server that was killed
        stale.bind(str(at))
    before = up(rig).replicas[0]
    assert (before.state, before.url) == (State.READY, f"unix://{at}")
    assert (at.is_socket(), stat.S_IMODE(at.stat().st_mode) & 0o077) == (True, 0)
    assert asyncio.run(Transport().get(before.url, "/v1/models", 60)).status == 200
    assert (rig.home / "stack/targets.json").read_text() == "[]"
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: only(rig).state is State.READY and only(rig).pid != before.pid, "it does not come again")
    assert only(rig).url == before.url
    processes.stop([one.process for one in processes.supervisors(rig.home)], 0)
    kept = only(rig).pid
    assert up(rig).replicas[0].pid == kept
    control.down(rig.home, silent, QUICK)


def test_a_folder_of_any_name_is_asked_by_its_own(tmp_path: Path) -> None:
    url = addresses.fresh(tmp_path / "a b%2F", Served(name="org/m:1", weights="w", socket=True), 0)
    assert url == f"unix://{tmp_path}/a%20b%252F/stack/org%252Fm%253A1-0.sock"


def test_a_path_that_is_too_long_is_refused_before_anything_starts(rig: Rig) -> None:
    long = rig.root / ("a" * 60) / ("b" * 60)
    file, before = rig.stack(m="socket = true\nmemory = '50MB'\nkv_cache = '1MB'"), processes.marked(rig.home)
    with pytest.raises(UsageError, match=r"expected a socket's path of at most \d+ bytes.*set socket = false"):
        control.up(stack.load(str(file)), long, 30, silent, QUICK)
    assert not long.exists()
    assert processes.marked(rig.home) == before

    @click.group()
    @click.pass_context
    def outcry(ctx: click.Context) -> None:
        ctx.obj = (None, long)

    outcry.add_command(plan)
    error = CliRunner().invoke(outcry, ["plan", "--stack", str(file)]).exception
    assert "expected a socket's path" in str(error)
    assert roster.read(long) == Roster()
