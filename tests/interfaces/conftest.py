"""A browser, where there is one, that opens a page as a person would."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
Browse = Callable[[str], tuple[str, str]]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Give the document after its scripts have run, and what the browser said. Skips where there is no chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium here")

    def opened(url: str) -> tuple[str, str]:
        switches = "headless no-sandbox disable-gpu disable-dev-shm-usage disable-quic no-first-run disable-sync"
        switches += " disable-background-networking disable-component-update"
        switches += " virtual-time-budget=8000 enable-logging=stderr v=0 dump-dom"
        command = [str(CHROMIUM), *(f"--{s}" for s in switches.split()), f"--user-data-dir={tmp_path / 'profile'}", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        return done.stdout, done.stderr

    return opened
