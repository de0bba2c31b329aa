"""Adapters of the registry on running replicas: they come, come again, and go; a damaged one never does."""

import json
import os
import signal
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core import sqlite
from openoutcry.core.errors import DataError
from openoutcry.serving import roster, stack
from openoutcry.serving.digest import digest
from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.artifact import Made, Registered, register
from openoutcry.serving.registry.ledger import Kind, writing
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.roster import Roster, State
from openoutcry.serving.running import control, processes
from openoutcry.serving.running.adapters import await_loaded, loaded
from tests.serving.test_supervisor import BRISK, WAIT, only, silent, until

QUICK = BRISK.model_copy(update={"patience": 10, "drain": 1, "load": 60, "keep": 0.5})
SPARE = "spare_adapters = 2\nseconds = 0.1"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
Rig = Any


def adapter(rig: Rig, said: str, role: str = "risk", rank: int = 8) -> Registered:
    """Register an adapter of the model that the rig's weights are."""
    folder = rig.root / f"made-{said}"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    (folder / "adapter_model.safetensors").write_text(said)
    made = Made(kind="adapter", role=role, base=digest(rig.root / "weights"), base_name="m")
    return register(rig.home, folder, made, NOW)


def up(rig: Rig, more: str = SPARE) -> Roster:
    return control.up(stack.load(str(rig.stack(m=more))), rig.home, WAIT, silent, QUICK)


def down(rig: Rig) -> None:
    control.down(rig.home, silent, QUICK)
    assert not processes.marked(rig.home)


def loads(rig: Rig, path: str = "/v1/load_lora_adapter") -> list[str]:
    return [body["lora_name"] for body in rig.asked() if body["path"] == path]


def reason(rig: Rig, name: str) -> str:
    return loaded(stack_with(stack.load(str(rig.root / "stack.toml")), rig.home), rig.home, name)


def awaited(rig: Rig, name: str, seconds: float = WAIT) -> str:
    return await_loaded(stack_with(stack.load(str(rig.root / "stack.toml")), rig.home), rig.home, name, seconds)


def archived(rig: Rig, one: Registered) -> None:
    with writing(rig.home) as ledger:
        ledger.add(NOW, Kind.ARCHIVED, "risk", one.digest, one.name)


def told(rig: Rig) -> str:
    return (rig.home / "stack/logs/supervisor.log").read_text()


def test_an_adapter_enters_a_running_server_and_is_there_again_after_kill_9_before_it_is_ready(rig: Rig) -> None:
    before = up(rig).replicas[0]
    one = adapter(rig, "one")
    assert awaited(rig, one.name) == ""
    assert (only(rig).pid, only(rig).adapters, only(rig).lacking) == (before.pid, (one.name,), {})
    assert [b["lora_path"] for b in rig.asked() if "lora_path" in b] == [str(one.files)]
    rig.mood("endless")
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: only(rig).state is not State.READY, "it stays ready")
    now = only(rig)
    assert now.adapters == () or now.state is State.WAITING
    until(lambda: len(loads(rig)) == 2, "it is not loaded again")
    assert (only(rig).state, only(rig).adapters) == (State.STARTING, ())
    rig.mood("")
    until(lambda: only(rig).state is State.READY, "it does not come again")
    assert (only(rig).adapters, loads(rig)) == ((one.name,), [one.name, one.name])
    down(rig)


def test_who_does_not_say_what_it_has_is_asked_again_before_it_is_ready(rig: Rig) -> None:
    file, one = rig.stack(m=SPARE), adapter(rig, "one")
    rig.mood("mute")
    control.up(stack.load(str(file)), rig.home, 0, silent, QUICK)
    until(lambda: (rig.root / "m/looked").exists(), "nobody looks")
    rig.looked(3, "/v1/models")
    assert (only(rig).state, only(rig).adapters) == (State.STARTING, ())
    rig.mood("")
    until(lambda: only(rig).state is State.READY, "it is not ready")
    assert (only(rig).adapters, loads(rig)) == ((one.name,), [one.name])
    down(rig)


def test_who_ends_while_it_loads_is_noticed(rig: Rig) -> None:
    up(rig)
    rig.mood("endless")
    one = adapter(rig, "one")
    control.poke(rig.home)
    until(lambda: loads(rig), "it is not loaded")
    rig.mood("endless slow")
    until(lambda: "did not answer /health 3 times in a row" in told(rig), "it is not noticed")
    assert "adapter loaded" not in told(rig)
    assert "adapter not loaded" not in told(rig)
    rig.mood("")
    assert awaited(rig, one.name) == ""
    down(rig)


def test_replicas_are_alike_and_a_load_may_be_slow(rig: Rig) -> None:
    up(rig, f"{SPARE}\nreplicas = {{min = 2, max = 2}}")
    rig.mood("endless")
    one = adapter(rig, "one")
    control.poke(rig.home)
    until(lambda: loads(rig), "it is not loaded")
    assert "is being loaded on m-" in reason(rig, one.name)
    rig.mood("")
    assert awaited(rig, one.name) == ""
    assert [r.adapters for r in roster.read(rig.home).replicas] == [(one.name,)] * 2
    assert roster.read(rig.home).ready("m", one.name) == roster.read(rig.home).ready("m")
    assert roster.read(rig.home).ready("m", "risk-000000000000") == []
    assert [r.restarts for r in roster.read(rig.home).replicas] == [0, 0]
    assert loads(rig) == [one.name] * 2
    down(rig)


def test_the_next_supervisor_adopts_and_loads_nothing_twice(rig: Rig) -> None:
    before, one = up(rig), adapter(rig, "one")
    assert awaited(rig, one.name) == ""
    processes.stop([p.process for p in processes.supervisors(rig.home)], 0)
    after = up(rig)
    assert (after.supervisor != before.supervisor, after.replicas[0].pid) == (True, before.replicas[0].pid)
    rig.looked(10)
    assert (only(rig).adapters, loads(rig)) == ((one.name,), [one.name])
    down(rig)


def test_what_nobody_names_any_more_goes_after_its_grace_and_not_before(rig: Rig) -> None:
    up(rig)
    one, two = adapter(rig, "one"), adapter(rig, "two")
    assert (awaited(rig, one.name), awaited(rig, two.name)) == ("", "")
    archived_at = time.monotonic()
    archived(rig, one)
    until(lambda: loads(rig, "/v1/unload_lora_adapter"), "it stays loaded")
    assert time.monotonic() - archived_at >= QUICK.keep
    assert loads(rig, "/v1/unload_lora_adapter") == [one.name]
    assert only(rig).adapters == (two.name,)
    down(rig)


def test_seats_come_before_the_newest_and_there_is_no_more_than_there_is_room_for(rig: Rig) -> None:
    made = [adapter(rig, said) for said in ("one", "two", "three", "four")]
    names = [one.name for one in made]
    pointer.write(rig.home, "risk", Pointer(champion=names[1], challenger=names[0]))
    up(rig)
    assert only(rig).adapters == (names[1], names[0])
    assert set(only(rig).lacking) == {names[2], names[3]}
    assert "all 2 spare places of m are taken" in only(rig).lacking[names[3]]
    assert awaited(rig, names[3], 0) == f"{names[3]} is not loaded on m-0: {only(rig).lacking[names[3]]}"
    pointer.write(rig.home, "risk", Pointer(champion=names[3], previous=names[1]))
    until(lambda: names[3] in only(rig).adapters, "the new champion is not loaded")
    until(lambda: names[0] not in only(rig).adapters, "the challenger stays")
    assert loads(rig) == [names[1], names[0], names[3]]
    down(rig)


def test_a_flipped_byte_is_never_loaded_and_told_once(rig: Rig) -> None:
    one = adapter(rig, "one")
    file = one.files / "adapter_model.safetensors"
    file.chmod(0o644)
    file.write_text("0ne")
    up(rig)
    rig.looked(20)
    assert loads(rig) == []
    assert only(rig).lacking == {one.name: f"{one.name}: {file.name} is not as it was registered; register it anew"}
    assert told(rig).count("adapter not loaded") == 1
    with pytest.raises(DataError, match="is not as it was registered"):
        awaited(rig, one.name)
    assert "is not as it was registered" in reason(rig, one.name)
    down(rig)


def test_a_load_that_fails_is_tried_again_with_pauses_and_told_once(rig: Rig) -> None:
    up(rig)
    rig.mood("torn")
    one = adapter(rig, "one")
    until(lambda: len(loads(rig)) > 3, "it is not tried again")
    assert only(rig).lacking == {one.name: "its tensors are torn"}
    assert awaited(rig, one.name, 0) == f"{one.name} is not loaded on m-0: its tensors are torn"
    rig.mood("")
    assert awaited(rig, one.name) == ""
    assert only(rig).lacking == {}
    assert told(rig).count("adapter not loaded") == 1
    down(rig)


def test_who_asks_again_need_not_wait_for_the_next_try(rig: Rig) -> None:
    control.up(stack.load(str(rig.stack(m=SPARE))), rig.home, WAIT, silent, QUICK.model_copy(update={"pause": 300.0}))
    rig.mood("torn")
    one = adapter(rig, "one")
    until(lambda: only(rig).lacking, "it is not told")
    rig.mood("")
    assert awaited(rig, one.name) == ""
    assert loads(rig) == [one.name] * 2
    down(rig)


def test_a_server_that_takes_none_while_it_runs_says_so(rig: Rig) -> None:
    up(rig)
    rig.mood("fixed")
    one = adapter(rig, "one")
    until(lambda: only(rig).lacking, "it is not told")
    assert "status 404: it takes no adapters while it runs" in only(rig).lacking[one.name]
    down(rig)


def test_without_spare_places_nothing_is_loaded_and_it_is_said_what_to_set(rig: Rig) -> None:
    up(rig, "")
    one = adapter(rig, "one")
    until(lambda: only(rig).lacking, "it is not told")
    assert "set spare_adapters under [models.m]" in only(rig).lacking[one.name]
    up(rig, "spare_adapters = 1\nspare_rank = 4")
    until(lambda: only(rig).lacking.get(one.name) is None and only(rig).adapters, "rank 8 does not fit the room of 8")
    big = adapter(rig, "big", rank=16)
    until(lambda: only(rig).lacking.get(big.name), "it is not told")
    assert "its rank is 16: set spare_rank = 16" in only(rig).lacking[big.name]
    down(rig)


def test_what_comes_does_not_change_what_a_server_is(rig: Rig) -> None:
    before = up(rig).replicas[0]
    one = adapter(rig, "one")
    assert awaited(rig, one.name) == ""
    assert up(rig).replicas[0].pid == before.pid
    archived(rig, one)
    assert up(rig).replicas[0].pid == before.pid
    down(rig)


def test_a_damaged_ledger_leaves_what_is_loaded(rig: Rig) -> None:
    before, one = up(rig).replicas[0], adapter(rig, "one")
    assert awaited(rig, one.name) == ""
    ledger = rig.home / "registry/ledger.sqlite"
    with closing(sqlite.opened(ledger)) as whole:  # else what was written ahead could stand in for it
        assert whole.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    ledger.with_name("rubbish").write_bytes(b"not a ledger at all" * 100)
    ledger.with_name("rubbish").replace(ledger)  # in one step: it is read meanwhile
    until(lambda: "what is registered is served as before" in told(rig), "it is not said")
    time.sleep(QUICK.keep)
    rig.looked(10)
    assert (only(rig).pid, only(rig).adapters) == (before.pid, (one.name,))
    assert told(rig).count("what is registered is served as before") == 1
    down(rig)


def test_what_does_not_run_is_said(rig: Rig, tmp_path: Path) -> None:
    file, one = rig.stack(m=SPARE), adapter(rig, "one")
    now = stack_with(stack.load(str(file)), rig.home)
    assert loaded(now, rig.home, "m") == ""
    assert await_loaded(now, rig.home, one.name, 0) == "m is not running; `outcry stack up` starts it"
