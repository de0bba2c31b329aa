"""`outcry models watch` and `outcry models shadow`, as a person sees them."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.desk import Desk
from openoutcry.interfaces.models_command import models
from openoutcry.interfaces.rollout_command import shadow, watch
from openoutcry.serving.registry.observations import Observation
from tests.openoutcry.conftest import Run
from tests.serving.faulty import Faulty
from tests.serving.rollout_bench import RolloutBench
from tests.serving.test_served_desk import plays


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands in their group, wherever that is put together."""
    monkeypatch.setattr(models, "commands", {**models.commands, "watch": watch, "shadow": shadow})


def bench(tmp_path: Path, url: str = "http://127.0.0.1:9") -> RolloutBench:
    return RolloutBench(tmp_path, url, ("risk",), now=datetime.now(UTC))


def test_nothing_under_way(outcry: Run, tmp_path: Path) -> None:
    bench(tmp_path)
    done = outcry("models", "watch", home=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        "nothing is under way: no seat has a challenger, and no champion is watched\n",
    )
    assert json.loads(outcry("models", "watch", "--json", home=tmp_path).stdout) == []


def test_a_rollout_is_shown_and_nothing_done_until_told(outcry: Run, tmp_path: Path) -> None:
    at = bench(tmp_path)
    name = at.challenger("risk", "w1")
    now = datetime.now(UTC)
    number = at.seat("risk").number
    seen = [Observation(role="risk", model=name, run=f"r{i}", arm="shadow", number=number) for i in range(20)]
    for one in seen[:19]:
        at.rollouts.note([one], now)
    lines = outcry("models", "watch", home=tmp_path).stdout.splitlines()
    assert lines[0].split() == ["seat", "model", "beside", "step", "runs", "failed", "evidence", "due"]
    assert lines[1].startswith(f"risk  {name}  m       shadow  19    0 of 19  0.")
    assert "19 of 20 runs seen, or until " in lines[1]
    from openoutcry.serving.registry import observations

    with observations.writing(tmp_path) as book:
        book.add(seen[19], "m", now)
    assert "to 5 %: no alarm in 20 runs" in outcry("models", "watch", "risk", home=tmp_path).stdout
    assert at.seat("risk").share == 0
    assert "to 5 %: no alarm in 20 runs" in outcry("models", "watch", "risk", "--step", home=tmp_path).stdout
    assert at.seat("risk").share == 5
    [told] = json.loads(outcry("models", "watch", "--json", home=tmp_path).stdout)
    assert (told["role"], told["model"], told["runs"], told["record"]["runs"]) == ("risk", name, 0, 20)


def test_a_seat_that_there_is_not(outcry: Run, tmp_path: Path) -> None:
    done = outcry("models", "watch", "trader", home=tmp_path)
    assert done.returncode == 2
    assert "expected a seat among analyst, sentiment" in done.stderr


def test_a_shadow_that_nobody_is_in(outcry: Run, tmp_path: Path) -> None:
    bench(tmp_path)
    for args in (("risk",), ("trader",)):
        done = outcry("models", "shadow", *args, home=tmp_path)
        assert done.returncode == 2
        assert "expected a challenger in the shadow of the" in done.stderr or "expected a seat" in done.stderr


def test_shadow_runs_are_told_one_by_one(
    outcry: Run, tmp_path: Path, make_home: Callable[..., Path], price_rows: Callable[..., Any]
) -> None:
    there = make_home(prices=price_rows("ABC", [100 + 5 * math.sin(i * i) for i in range(260)]))
    (tmp_path / "warehouse").symlink_to(there / "warehouse")
    with Faulty(brain=plays) as server:
        at = bench(tmp_path, server.url)
        with Desk(at.settings) as desk:
            desk.ask_sync("How risky is ABC?")
        name = at.challenger("risk", "w1")
        done = outcry("models", "shadow", "risk", "--runs", "5", home=tmp_path)
        again = outcry("models", "shadow", "risk", home=tmp_path)
    assert "    1 of 5  20" in done.stderr
    assert "  ok  " in done.stderr
    assert f"risk  {name}  m       shadow  1     0 of 1" in done.stdout
    assert "no stored run was left to ask" in again.stderr
