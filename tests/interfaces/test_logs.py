"""Logs: JSON where stderr is no terminal, each line of a run with its run id, nothing on stdout."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_logs_are_json_with_the_run_id(sample_home: Path, tmp_path: Path) -> None:
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    command = [sys.executable, "-m", "openoutcry.cli", "--home", str(tmp_path), "ask", "--json", "Is XOM expensive?"]
    environment = {**os.environ, "OUTCRY_LOG_LEVEL": "debug"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    run = json.loads(done.stdout)["run"]
    lines = [json.loads(x) for x in done.stderr.splitlines() if x.startswith("{")]
    assert {x["event"] for x in lines} >= {"run began", "tool called", "not computed", "run ended"}
    assert {x["run"] for x in lines} == {run}
    assert all({"level", "timestamp"} <= x.keys() for x in lines)


def test_logs_are_quiet_unless_asked(sample_home: Path, tmp_path: Path) -> None:
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    command = [sys.executable, "-m", "openoutcry.cli", "--home", str(tmp_path), "ask", "Is XOM expensive?"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(line.startswith("  ") for line in done.stderr.splitlines())
