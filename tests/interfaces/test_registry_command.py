"""`outcry models register|promote|rollback|archive|diff|show` as a person runs them."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from openoutcry.core.errors import UsageError
from openoutcry.interfaces import registry_command, rollout_command
from openoutcry.interfaces.lineups import TRIAL
from openoutcry.interfaces.models_command import models
from openoutcry.serving.registry import artifact, pointer, seats
from openoutcry.serving.registry.moves import Moves
from openoutcry.serving.running import adapters
from openoutcry.trial import Trial
from tests.serving.trained import NOW, Trained, trained

Run = Callable[..., Result]
STACK = 'uncertified = true\n[models.nano]\nweights = "./base"\n[models.spare]\nweights = "./spare"\n'


@pytest.fixture
def at(tmp_path: Path) -> Trained:
    found = trained(tmp_path)
    (tmp_path / "stack.toml").write_text(STACK)
    return found


@pytest.fixture
def outcry(at: Trained, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(at.root)
    monkeypatch.delenv("OUTCRY_STACK", raising=False)
    monkeypatch.setattr(adapters, "SURE", 0.0)

    @click.group()
    @click.pass_context
    def main(ctx: click.Context) -> None:
        ctx.obj = (None, at.home)
        ctx.meta[TRIAL] = Trial

    main.add_command(models)
    return lambda *words: CliRunner().invoke(main, ["models", *words])


def lora(at: Trained, what: str) -> str:
    folder = at.root / what
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, "said": what}))
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    return str(folder)


def taken(outcry: Run, at: Trained, what: str) -> str:
    done = outcry("register", lora(at, what), "--role", "risk", "--base", "nano")
    assert done.exit_code == 0, done.exception
    return done.stdout.split()[0]


def said(done: Result) -> str:
    assert isinstance(done.exception, UsageError)
    return str(done.exception)


def test_register_says_what_it_took_and_what_comes_next(outcry: Run, at: Trained) -> None:
    done = outcry("register", lora(at, "one"), "--role", "risk", "--base", "nano")
    name = done.stdout.split()[0]
    assert f"{name}  an adapter made from nano, 2 files, 33 B, in " in done.stdout
    assert f"next: `outcry certify {name} --role risk`, then `outcry eval gate {name} --role risk`" in done.stderr
    assert at.stack.serving(name).name == "nano"
    rows = {row["name"]: row for row in json.loads(outcry("list", "--json").stdout)}
    assert (rows[name]["state"], rows[name]["purpose"]) == ("registered", "adapter of nano")


def test_register_refuses_what_it_cannot_take(outcry: Run, at: Trained) -> None:
    assert "expected --base with the model of the stack" in said(outcry("register", lora(at, "a"), "--role", "risk"))
    assert "for chat there are nano, spare" in said(outcry("register", "a", "--role", "risk", "--base", "huge"))
    (at.root / "a" / "adapter_model.safetensors").unlink()
    assert "there is no adapter_model" in said(outcry("register", "a", "--role", "risk", "--base", "nano"))
    assert artifact.listing(at.home) == []


def test_promote_from_the_shadow_into_the_seat_and_back(outcry: Run, at: Trained) -> None:
    name = taken(outcry, at, "one")
    refused = outcry("promote", name, "--role", "risk")
    assert "found none; `outcry eval gate" in said(refused) and not refused.stderr, "it waited for what may not sit"
    at.record(name)
    assert "--force moves it all the same" in said(outcry("promote", name, "--role", "risk"))
    assert f"{name} is made for the risk" in said(outcry("promote", name, "--role", "analyst"))
    done = outcry("promote", name, "--role", "risk", "--force")
    assert done.stdout.startswith(f"risk: {name} runs in the shadow of house\nnext: it moves on by itself"), done
    done = outcry("promote", name[:9], "--role", "risk", "--share", "25", "--force")
    assert done.stdout.startswith(f"risk: {name} answers 25 % of the runs beside house\n")
    done = outcry("promote", name, "--role", "risk", "--share", "100", "--force")
    assert done.stdout.startswith(f"risk: {name}, was house; watched until ")
    assert "is in that of risk" in said(outcry("archive", name))
    assert f"{name} is registered, and takes a seat by the gate" in said(outcry("switch", "risk", name))
    done = outcry("rollback", "risk", "--reason", "it is slow")
    assert done.stdout == f"risk: house, without {name} (in quarantine now)\n"
    assert pointer.read(at.home)["risk"].champion == "house"
    assert "quarantined: it is slow" in said(outcry("promote", name, "--role", "risk"))
    rows = {row["name"]: row["state"] for row in json.loads(outcry("list", "--json").stdout)}
    assert rows[name] == "quarantined"


def test_a_rollback_of_a_seat_that_was_moved_meanwhile_says_so(
    outcry: Run, at: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = taken(outcry, at, "one")
    at.record(name)
    outcry("promote", name, "--role", "risk", "--share", "100", "--force")
    real = registry_command._moves  # pyright: ignore[reportPrivateUsage]

    def meanwhile(*given: Any) -> Moves:
        seats.switch(at.stack, at.home, "risk", "nano", answers=True, now=NOW)
        return real(*given)

    monkeypatch.setattr(registry_command, "_moves", meanwhile)
    assert f"was moved meanwhile, and {name} stays in it; look again" in said(outcry("rollback", "risk"))
    assert pointer.read(at.home)["risk"].names == ("nano", name)


def test_unusual_terms_need_a_word(outcry: Run, at: Trained) -> None:
    name = taken(outcry, at, "one")
    at.record(name, suite="easy")
    assert "is over the suite easy, not risk; --record 1" in said(outcry("promote", name, "--role", "risk", "--force"))
    assert outcry("promote", name, "--role", "risk", "--force", "--record", "1").exit_code == 0


def test_show_tells_where_it_is_from_and_what_it_went_through(outcry: Run, at: Trained) -> None:
    name = taken(outcry, at, "one")
    at.record(name)
    outcry("promote", name, "--role", "risk", "--share", "100", "--force")
    shown = outcry("show", name).stdout
    for line in (
        "state                    champion",
        f"lineage                  {name} from nano (",
        "files                    2: adapter_config.json, adapter_model.safetensors",
        "promoted  in place of house, by record 1 of the gate",
        "record 1                 PROMOTE for risk against house",
        "seats                    risk",
    ):
        assert line in shown, shown
    told = json.loads(outcry("show", name, "--json").stdout)
    assert [event["kind"] for event in told["events"]] == ["registered", "evaluated", "promoted"]
    copy = artifact.find(at.home, name).folder / "records" / "000001.json"
    copy.write_bytes(copy.read_bytes()[:-1])
    assert "records                  the gate's record 000001.json cannot be relied on" in outcry("show", name).stdout


def test_a_model_of_the_stack_file_is_told_apart_from_a_registered_one(outcry: Run, at: Trained) -> None:
    name = taken(outcry, at, "one")
    assert "`outcry models switch risk nano` seats it" in said(outcry("promote", "nano", "--role", "risk"))
    assert "`outcry models show nano` shows it" in said(outcry("diff", name, "nano"))
    assert "take it out of the stack file" in said(outcry("archive", "nano"))
    assert "none is 'nobody'" in said(outcry("archive", "nobody"))


def test_without_a_stack_promote_says_that_it_needs_one(outcry: Run, at: Trained) -> None:
    name = taken(outcry, at, "one")
    (at.root / "stack.toml").unlink()
    assert f"expected a stack with nano of {name}, found house rules alone" in said(
        outcry("promote", name, "--role", "risk")
    )


def test_a_long_value_is_cut_where_a_person_reads_and_whole_in_json(outcry: Run, at: Trained) -> None:
    name = at.adapter("a", data={"compared": [f"suite {n}" for n in range(60)]}).name
    (line,) = [line for line in outcry("show", name).stdout.splitlines() if line.startswith("data compared")]
    assert line.endswith(" ...") and len(line) < 180
    assert "suite 59" in outcry("show", name, "--json").stdout


def test_a_seat_that_is_not_there_is_refused_in_one_line(outcry: Run) -> None:
    done = outcry("rollback", "quant")
    assert "Invalid value for 'ROLE'" in done.stderr and done.exit_code == 2


def test_diff_says_what_differs_and_nothing_else(outcry: Run, at: Trained) -> None:
    one, two = at.adapter("a", recipe={"seed": 1, "rate": {"first": 1e-4}}), at.adapter("b", data={"rows": 3})
    lines = outcry("diff", one.name, two.name).stdout.splitlines()
    assert lines[0] == f"{one.name} -> {two.name}"
    changed = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert set(changed) == {"data.rows", "recipe.rate.first", "file"}
    assert changed["recipe.rate.first"] == ["0.0001", "->", "-"]
    assert outcry("diff", one.name, one.digest[:8]).stdout.splitlines()[1:] == ["  nothing differs"]
    assert set(json.loads(outcry("diff", one.name, two.name, "--json").stdout)["data.rows"].values()) == {"-", "3"}


def test_a_damaged_one_is_listed_and_can_be_mended(outcry: Run, at: Trained) -> None:
    name = taken(outcry, at, "one")
    (artifact.find(at.home, name).folder / "artifact.json").write_text("{}")
    assert {r["name"]: r["state"] for r in json.loads(outcry("list", "--json").stdout)}[name] == "damaged"
    assert "register it anew" in outcry("show", name).stdout
    assert outcry("register", "one", "--role", "risk", "--base", "nano").stdout.startswith(name)
    assert outcry("archive", name, "--reason", "no use").stdout.startswith(f"{name} is archived")


def test_watch_of_a_seat_where_nothing_is_under_way_speaks_of_that_seat() -> None:
    assert "nothing is under way for the risk: nobody challenges" in rollout_command.table([], "risk")[0]
    assert "no seat has a challenger" in rollout_command.table([])[0]
