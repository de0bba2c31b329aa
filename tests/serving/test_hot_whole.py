"""Whole models of the registry: a replica set beside the old one, which is drained once nobody names it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psutil

from openoutcry.serving import roster, stack
from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.artifact import Made, Registered, register
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.running import control, processes
from openoutcry.serving.running.adapters import await_loaded, loaded
from openoutcry.serving.running.registered import Watched
from openoutcry.serving.running.wanted import Wanted, of
from tests.serving.test_hot import QUICK, WAIT, until

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Rig = Any


def silent(_: Replica) -> None:
    """Nobody watches."""


def model(rig: Rig, said: str) -> Registered:
    folder = rig.root / f"made-{said}"
    folder.mkdir()
    (folder / "model.safetensors").write_text(said)
    return register(rig.home, folder, Made(kind="model", role="risk", base_name="m"), NOW)


def up(rig: Rig, more: str = "", **pace: float) -> Roster:
    now = QUICK.model_copy(update=pace)
    return control.up(stack.load(str(rig.stack(m=more))), rig.home, WAIT, silent, now)


def down(rig: Rig) -> None:
    control.down(rig.home, silent, QUICK)
    assert not processes.marked(rig.home)


def now(rig: Rig) -> stack.Stack:
    return stack_with(stack.load(str(rig.root / "stack.toml")), rig.home)


def replicas(rig: Rig) -> dict[str, list[Replica]]:
    found: dict[str, list[Replica]] = {}
    for replica in roster.read(rig.home).replicas:
        found.setdefault(replica.model, []).append(replica)
    return found


def ready(rig: Rig, name: str) -> int:
    return len(roster.read(rig.home).ready(name))


def test_the_newest_comes_alone_and_has_all_replicas_once_it_sits(rig: Rig) -> None:
    before = {r.pid for r in up(rig, "replicas = {min = 2, max = 2}").replicas}
    old = model(rig, "old")
    new = model(rig, "new")
    assert await_loaded(now(rig), rig.home, new.name, WAIT) == ""
    until(lambda: (ready(rig, new.name), ready(rig, old.name)) == (1, 0), "the older one does not give way")
    assert await_loaded(now(rig), rig.home, old.name, 0) != ""
    pointer.write(rig.home, "risk", Pointer(champion=new.name, previous="m"))
    until(lambda: ready(rig, new.name) == 2, "it does not get its second replica")
    assert {r.pid for r in replicas(rig)["m"]} == before
    down(rig)


def test_one_that_nobody_names_any_more_is_drained_and_stopped(rig: Rig) -> None:
    old = model(rig, "old")
    pointer.write(rig.home, "risk", Pointer(champion=old.name))
    assert {r.model for r in up(rig, drain=300).replicas} == {"m", old.name}
    rig.mood("busy")
    pid = replicas(rig)[old.name][0].pid
    new = model(rig, "new")
    pointer.write(rig.home, "risk", Pointer(champion=new.name))
    until(lambda: replicas(rig)[old.name][0].state is State.DRAINING, "it is not drained")
    rig.looked(10, "/metrics")
    assert psutil.pid_exists(pid)
    rig.mood("")
    until(lambda: old.name not in replicas(rig), "it is not stopped")
    assert await_loaded(now(rig), rig.home, new.name, WAIT) == ""
    assert set(replicas(rig)) == {"m", new.name}
    down(rig)


def test_the_next_supervisor_adopts_it(rig: Rig) -> None:
    one = model(rig, "one")
    before = {r.model: r.pid for r in up(rig).replicas}
    assert set(before) == {"m", one.name}
    processes.stop([p.process for p in processes.supervisors(rig.home)], 0)
    assert {r.model: r.pid for r in up(rig).replicas} == before
    down(rig)


def test_what_does_not_fit_beside_the_others_is_told_and_not_started(rig: Rig) -> None:
    one = model(rig, "one")
    up(rig, f"memory = {int(psutil.virtual_memory().total * 0.6)}")
    assert set(replicas(rig)) == {"m"}
    assert "of RAM, and the others leave" in loaded(now(rig), rig.home, one.name)
    shown = {r.model: r for r in control.status(now(rig), rig.home).replicas}
    assert (shown[one.name].state, "of RAM" in shown[one.name].reason) == (State.STOPPED, True)
    down(rig)


def test_a_flipped_byte_is_never_started(rig: Rig) -> None:
    one = model(rig, "one")
    file = one.files / "model.safetensors"
    file.chmod(0o644)
    file.write_text("0ne")
    up(rig)
    until(lambda: replicas(rig)[one.name][0].state is State.FAILED, "it is not given up")
    assert replicas(rig)[one.name][0].reason == f"{one.name}: {file.name} is not as it was registered; register it anew"
    assert "does not start" in loaded(now(rig), rig.home, one.name)
    assert replicas(rig)[one.name][0].pid == 0
    down(rig)


def test_it_is_looked_at_again_when_a_grace_ends_and_not_before(rig: Rig) -> None:
    moment = [0.0]
    clock: Callable[[], float] = lambda: moment[0]  # noqa: E731 - a clock of one line
    old = model(rig, "old")
    asked, watched = of(stack.load(str(rig.stack()))), Watched(rig.home, 10, clock)
    assert watched.changed(asked, {})
    assert watched.look(asked, {}).whole == (old.name,)
    assert not watched.changed(asked, {})
    assert watched.changed(asked, {"m": 1})
    assert watched.changed(Wanted(token=asked.token), {}), "who ends is heard though nothing runs yet"
    new = model(rig, "new")
    assert watched.changed(asked, {})
    found = watched.look(asked, {})
    assert (found.whole, set(found.wanted.models)) == ((new.name,), {"m", old.name, new.name})
    other = watched.look(of(stack.load(str(rig.root / "stack.toml"))), {})
    assert set(other.wanted.models) == {"m", new.name}, "who asks anew wants no others"
    watched = Watched(rig.home, 10, clock)
    pointer.write(rig.home, "risk", Pointer(champion=old.name))
    assert set(watched.look(asked, {}).whole) == {old.name, new.name}
    pointer.write(rig.home, "risk", Pointer(champion="m"))
    assert watched.look(asked, {}).whole == (new.name,)
    moment[0] = 9.0
    assert not watched.changed(asked, {})
    moment[0] = 11.0
    assert watched.changed(asked, {})
    assert set(watched.look(asked, {}).wanted.models) == {"m", new.name}
    assert not watched.changed(asked, {})
