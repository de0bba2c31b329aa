"""Processes at their bad moments: half gone, half begun, and come while the others were ended."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from openoutcry.serving.running import processes
from openoutcry.serving.running.processes import Tag
from tests.serving.test_supervisor import until

TAG = Tag(model="m", index=0, url="http://127.0.0.1:9", identity="i")
HALF_GONE = """
import ctypes, sys, threading
libc, lasts = ctypes.CDLL(None), threading.Thread(target=sys.stdin.read)
lasts.start()
print("begun", flush=True)
libc.pthread_exit(None)
"""
HALF_BEGUN = """
import os, sys
if not os.fork():
    os.setsid()
    print("begun", flush=True)
sys.stdin.read()
"""
FORKS = """
import os, signal, time
def forks(*_):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.fork():
        os._exit(0)
    time.sleep(600)
signal.signal(signal.SIGTERM, forks)
print("begun", flush=True)
time.sleep(600)
"""


@contextmanager
def begun(code: str, home: Path, tag: Tag | None = None) -> Generator[subprocess.Popen[str]]:
    """A Python that counts as one of *home*'s stack, once it has said that it has come to where it is wanted."""
    command = [sys.executable, "-c", code]
    said = processes.marks(home, tag)
    with subprocess.Popen(command, env=said, stdin=-1, stdout=-1, text=True, start_new_session=True) as one:
        assert one.stdout
        assert one.stdout.readline() == "begun\n"
        try:
            yield one
        finally:
            processes.stop([left.process for left in processes.marked(home)], 0)


def test_a_process_lives_as_long_as_any_thread_of_it(tmp_path: Path) -> None:
    """Its memory, ports and locks are there until then."""
    with begun(HALF_GONE, tmp_path, TAG) as one:
        seen = psutil.Process(one.pid)
        until(lambda: seen.status() == psutil.STATUS_ZOMBIE, "its first thread does not end")
        assert processes.alive(seen)
        assert one.poll() is None
        assert one.stdin
        one.stdin.close()
        until(lambda: not processes.alive(seen), "it does not end")
        assert one.wait(10) is not None


def test_a_replica_in_its_start_is_no_second_supervisor(tmp_path: Path) -> None:
    """Until it is another program, it leads a session and has its parent's environment."""
    with begun(HALF_BEGUN, tmp_path) as one:
        assert [m.leads for m in processes.marked(tmp_path)] == [True, True]
        assert [m.pid for m in processes.supervisors(tmp_path)] == [one.pid]


def test_what_comes_while_the_others_are_ended_is_ended_too(tmp_path: Path) -> None:
    with begun(FORKS, tmp_path, TAG):
        assert processes.stop_all(lambda: [one.process for one in processes.marked(tmp_path)], 60) == []
        assert processes.marked(tmp_path) == []
