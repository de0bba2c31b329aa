"""Whether a registered model can be asked now, and waiting until it can: nobody is seated before."""

import time
from collections.abc import Callable
from pathlib import Path

from openoutcry.core.errors import ModelError
from openoutcry.core.sync import run_sync
from openoutcry.serving import modelfile
from openoutcry.serving.registry import artifact
from openoutcry.serving.roster import State
from openoutcry.serving.running import control
from openoutcry.serving.running.offering import elsewhere, held, names
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Transport

LOOK = 0.1
SURE = 5.0
"""Seconds after which a reason is believed: the supervisor looks at once, and what failed before is tried again."""
SECONDS = 10.0


def loaded(stack: Stack, home: Path, name: str) -> str:
    """Why *name* cannot be asked on each ready replica; empty where it can. *stack* is with what is registered.

    Models of the stack file always can. Raises UsageError for a model that there is not.
    """
    return _state(stack, home, name)[0]


def await_loaded(
    stack: Stack,
    home: Path,
    name: str,
    seconds: float = 300.0,
    watch: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> str:
    """Wait until *name* can be asked on each ready replica, or at most *seconds*: why it cannot, or nothing.

    An Ollama that does not have it is given it. *watch* is told of each new reason, *check* is called at each look and
    may raise to end the wait. Raises UsageError for a model that there is not, DataError where a byte of it is not as
    it was registered.
    """
    served = stack.serving(name)
    if not artifact.is_name(name):
        return ""
    artifact.check(artifact.find(home, name))
    if served.engine == "ollama" and loaded(stack, home, name):
        watch(f"Ollama creates {name}")
        run_sync(modelfile.create(Transport(stack.allow), served, artifact.find(home, name)))
    control.poke(home)
    begun, said = time.monotonic(), ""
    while True:
        check()
        reason, final = _state(stack, home, name)
        waited = time.monotonic() - begun
        if not reason or (final and waited > min(SURE, seconds)) or waited >= seconds:
            return reason
        if reason != said:
            said = reason
            watch(reason)
        time.sleep(LOOK)


def _state(stack: Stack, home: Path, name: str) -> tuple[str, bool]:
    """Why it cannot be asked, and whether waiting is of no use unless something is mended."""
    served = stack.serving(name)
    if not artifact.is_name(name):
        return "", False
    if served.engine != "vllm":
        return _elsewhere(stack, served, name), True
    return _here(home, served, name)


def _here(home: Path, served: Served, name: str) -> tuple[str, bool]:
    """What the roster says; one that starts is no reason, as it loads what it is to have before it is ready."""
    now = control.standing(home)
    own = [r for r in now.replicas if r.model == served.name]
    ready = [r for r in own if r.state is State.READY]
    if not ready:
        states = {r.state for r in own}
        if reason := now.lacking.get(name):
            return f"{name} is not started: {reason}", True
        if State.FAILED in states:
            return f"{served.name} does not start; `outcry stack status` says why", True
        if states or (now.supervisor and name == served.name):
            return f"{served.name} is being started", False
        return f"{served.name} is not running; `outcry stack up` starts it", True
    if name == served.name:
        return "", False
    for replica in ready:
        if reason := replica.lacking.get(name):
            return f"{name} is not loaded on {replica.model}-{replica.index}: {reason}", True
        if name not in replica.adapters:
            return f"{name} is being loaded on {replica.model}-{replica.index}", not now.supervisor
    return "", False


def _elsewhere(stack: Stack, served: Served, name: str) -> str:
    try:
        there = run_sync(names(Transport(stack.allow), served.url, SECONDS))
    except ModelError as error:
        return f"{served.engine} at {served.url}: {error}"
    return "" if held(name, there) else f"{name}: {elsewhere(served)}"
