"""A night over the real rooms: examples, a fine-tune of the nano, the gate, the seat. Answering models are doubled."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry import Desk, wiring
from openoutcry.core import seals
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.settings import load as settings
from openoutcry.eval.gate import keys
from openoutcry.eval.gate.alpha import rotation
from openoutcry.eval.lineup import Candidate
from openoutcry.eval.suite import Suite
from openoutcry.eval.suite import load as suite
from openoutcry.serving.identity import identity
from openoutcry.serving.registry import artifact, pointer
from openoutcry.serving.running import adapters
from openoutcry.training.examples import cleaning
from openoutcry.training.night import schedule, stages
from openoutcry.training.night.entry import State
from openoutcry.training.night.ledger import Ledger
from openoutcry.training.night.rooms import Rooms
from openoutcry.training.night.schedule import STAGES, Stage
from openoutcry.training.night.settings import load
from openoutcry.training.night.stages import works
from openoutcry.training.night.waiting import waiting
from openoutcry.training.night.working import Done, Job, Stopped, perform
from openoutcry.training.tuning import run, runs
from tests.eval.test_session import CASES, SAID, case, number
from tests.training.tunings import BOX

DAY = date(2026, 12, 1)
NIGHT = schedule.slots(DAY, {})
STACK = """\
uncertified = true
[models.nano]
weights = "shipped:nano/base"
max_model_len = 4096
[models.nano.adapters]
nano-risk = "shipped:nano/adapters/risk"
[roles]
risk = "nano-risk"
"""
SETTINGS = """\
safety = "suites/safe.toml"
[roles.risk]
model = "nano"
sources = ["rows.jsonl"]
recipe = "recipe.toml"
suite = "suites/risky.toml"
least = 4
deploy = "{deploy}"
[gate]
margin = 0.95
category_margin = 0.5
draws = 200
safety_cases = 2
ratio = 1e6
"""


WAITS = adapters.await_loaded
"""The real one, in place of which nobody waits here."""


class Doubled:
    """The models of the stack without their weights: who sits there answers half, a registered one as *says*."""

    def __init__(self, rooms: Callable[[], Rooms], says: str) -> None:
        self._rooms, self._says, self._house = rooms, says, wiring.house_models()
        self.closed = 0

    def seated(self, role: str, name: str) -> tuple[Model, Candidate]:
        if name == "house":
            return self._house[role], Candidate(name=name, digest="digest-house")
        say = SAID["half" if name == "nano-risk" else self._says]

        def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            return ModelResponse(parts=[TextPart(say(number(messages)))])

        digest = identity(self._rooms().stack(), name)
        return FunctionModel(answer), Candidate(name=name, digest=digest, decoding={"temperature": 0.0})

    def sitting(self, role: str) -> str:
        seat = pointer.read(self._rooms().home).get(role)
        return seat.champion if seat else "nano-risk"

    def opened(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def engines(self) -> dict[str, str]:
        return {}

    def memory(self, *names: str) -> int:
        return 1000

    def close(self) -> None:
        self.closed += 1


def row(n: int) -> str:
    said = [
        {"role": "system", "content": "Say yes."},
        {"role": "user", "content": f"Is {n} more than nothing, in a question of its own number {n * 7919}?"},
        {"role": "assistant", "content": f"yes {n}"},
    ]
    return json.dumps({"messages": said, "known_at": f"2026-11-{n + 1:02d}T00:00:00+00:00"})


def laid(folder: Path, rows: int = 12) -> Path:
    """The files of a desk."""
    (folder / "suites").mkdir()
    (folder / "suites" / "risky.toml").write_text("".join(map(case, range(CASES))))
    (folder / "suites" / "safe.toml").write_text("".join(map(case, range(100, 102))))
    (folder / "rows.jsonl").write_text("\n".join(map(row, range(rows))))
    (folder / "recipe.toml").write_text("steps = 2\nbatch = 2\nrank = 4\n")
    (folder / "stack.toml").write_text(STACK)
    (folder / "desk.toml").write_text("")
    return folder


def one_suite(now: datetime) -> list[Suite]:
    """What rows are compared with here; all that is held back takes a good part of a minute to compare with."""
    return [suite("safety", "gate", rotation("gate", now))]


@pytest.fixture(scope="module", autouse=True)
def roomy() -> Iterator[None]:
    """How much of this box is free depends on who else is at work."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "this_box", lambda: BOX)
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk whose night has come as far as its fine-tune, to be copied: that takes seconds."""
    folder = laid(tmp_path_factory.mktemp("tuned"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cleaning, "held_back", one_suite)
        nights(rooms(folder), *STAGES[:2])
    return folder


@pytest.fixture
def folder(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(adapters, "await_loaded", loaded)
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)
    return tmp_path


def loaded(*_: Any, **__: Any) -> str:
    """As where a server runs: here none does."""
    return ""


def rooms(folder: Path, says: str = "good", deploy: str = "promote") -> Rooms:
    (folder / "night.toml").write_text(SETTINGS.format(deploy=deploy).replace("suites/", f"{folder}/suites/"))
    desk = folder / "desk.toml"
    made = Rooms(settings(desk), load(desk), lambda _: Doubled(lambda: made, says), dict, lambda: Desk.open(desk))
    return made


def nights(rooms: Rooms, *stages: Stage) -> dict[Stage, Any]:
    """Run the stages, and give how each stands."""
    told: list[str] = []

    async def run() -> None:
        for stage in stages:
            slot = NIGHT[STAGES.index(stage)]
            await perform(
                ledger,
                slot,
                works(rooms)[stage],
                now=lambda at=slot.due: at,
                stop=asyncio.Event(),
                tell=told.append,
                by_hand=True,
            )

    with Ledger(rooms.home) as ledger:
        asyncio.run(run())
        return {entry.stage: entry for entry in ledger.entries()}


def test_a_night_seats_a_model_that_the_gate_promotes(folder: Path) -> None:
    found = nights(rooms(folder), *STAGES[2:])
    assert {stage: entry.state for stage, entry in found.items()} == dict.fromkeys(STAGES, State.DONE)
    name = found[Stage.TUNE].result["roles"]["risk"]["name"]
    home = folder / ".outcry"
    there = artifact.find(home, name)
    assert there.artifact.base_name == "nano"
    assert there.artifact.data["digest"] == found[Stage.PREPARE].result["roles"]["risk"]["data"]
    assert found[Stage.VALIDATE].said == f"risk: {name} PROMOTE by record 1"
    seat = pointer.read(home)["risk"]
    assert (seat.champion, seat.previous) == (name, "nano-risk")
    assert found[Stage.DEPLOY].said == f"risk: {name} sits there, in place of nano-risk"


def test_what_the_gate_rejects_stays_out_and_a_second_night_makes_nothing_anew(folder: Path) -> None:
    first = nights(rooms(folder, says="rude"), *STAGES[2:])
    name = first[Stage.TUNE].result["roles"]["risk"]["name"]
    assert first[Stage.VALIDATE].result["roles"]["risk"]["decision"] == "REJECT"
    assert first[Stage.DEPLOY].said == f"risk: {name} stays out: REJECT"
    assert pointer.read(folder / ".outcry") == {}
    again = works(rooms(folder, says="rude"))[Stage.VALIDATE]
    done = again(job(Stage.VALIDATE, earlier=first[Stage.TUNE].result))
    assert done.result["roles"]["risk"]["record"] == 1


@pytest.mark.parametrize(
    ("deploy", "share", "said"),
    [("canary", 5, "answers 5 % of the runs"), ("shadow", 0, "in the shadow what 0 runs asked: 0 of 20 runs seen")],
)
def test_a_promoted_model_may_begin_beside_the_champion(folder: Path, deploy: str, share: int, said: str) -> None:
    found = nights(rooms(folder, deploy=deploy), *STAGES[2:])
    seat = pointer.read(folder / ".outcry")["risk"]
    assert (seat.champion, seat.share) == ("nano-risk", share)
    assert seat.challenger == found[Stage.TUNE].result["roles"]["risk"]["name"]
    assert said in found[Stage.DEPLOY].said


NEXT = date(2026, 12, 2)
ROLLED = "risk-000000000000"


def deployed(made: Rooms, day: date, earlier: dict[str, Any] | None = None) -> Done:
    at = schedule.due(day, Stage.DEPLOY)
    return works(made)[Stage.DEPLOY](Job(day, Stage.DEPLOY, earlier or {}, False, lambda: at, lambda _: None))


def watch(home: Path, until: datetime | None, challenger: str = "") -> None:
    pointer.write(home, "risk", pointer.Pointer(champion="nano-risk", until=until, challenger=challenger, share=5))


@pytest.mark.parametrize("challenged", [False, True])
def test_where_a_seat_is_not_free_a_model_waits_and_a_night_to_come_seats_it(folder: Path, challenged: bool) -> None:
    made, home = rooms(folder, deploy="shadow"), folder / ".outcry"
    found = nights(made, Stage.VALIDATE)
    name = found[Stage.VALIDATE].result["roles"]["risk"]["name"]
    until = None if challenged else schedule.due(DAY, Stage.DEPLOY) + timedelta(hours=1)
    watch(home, until, ROLLED if challenged else "")
    said = nights(made, Stage.DEPLOY)[Stage.DEPLOY].said
    why = f"{ROLLED} still challenges" if challenged else "nano-risk is watched until 2026-12-02 12:00 UTC"
    assert said.startswith(f"risk: {name} waits for a night to come, as {why}; `outcry models promote {name}")
    assert said.endswith(f"`outcry models promote {name} --role risk --share 100 --record 1` seats it now")
    shutil.rmtree(pointer.folder(home))
    out = {"name": "risk-111111111111", "decision": "INCONCLUSIVE", "record": 9}
    assert "INCONCLUSIVE; " in deployed(made, NEXT, {"roles": {"risk": out}}).said
    assert pointer.read(home)["risk"].challenger == name


def test_what_a_missed_deploy_left_is_seated_once_and_not_what_the_gate_no_longer_vouches_for(folder: Path) -> None:
    made, home = rooms(folder), folder / ".outcry"
    name = nights(made, Stage.VALIDATE)[Stage.VALIDATE].result["roles"]["risk"]["name"]
    first = deployed(made, NEXT)
    assert first == Done(said=f"risk: {name} sits there, in place of nano-risk", result=first.result)
    with Ledger(home) as ledger, ledger.changing() as file:
        values = (str(NEXT), Stage.DEPLOY, State.DONE, *[str(NEXT)] * 2, json.dumps(first.result))
        file.execute("INSERT INTO stages VALUES (?, ?, ?, ?, ?, '', ?)", values)
    assert waiting(home, NEXT) == {}
    with Ledger(home) as ledger, ledger.changing() as file:
        file.execute("DELETE FROM stages WHERE day = ?", (str(NEXT),))
    assert deployed(made, NEXT).said == f"risk: {name} is in the seat already"
    with made.models() as models:
        made.moves(models, job(Stage.DEPLOY)).rollback("risk", "it failed")
    assert f"{name}, which a night before promoted, is not seated: {name} may sit no more" in deployed(made, NEXT).said
    assert waiting(home, NEXT + timedelta(days=30)) == {}


def test_what_the_gate_turned_down_since_stays_out(folder: Path) -> None:
    made, home = rooms(folder), folder / ".outcry"
    name = nights(made, Stage.VALIDATE)[Stage.VALIDATE].result["roles"]["risk"]["name"]
    records = seals.folder(home) / "records"
    told = json.loads((records / "000001.json").read_bytes())["record"]
    later = told | {"number": 2, "verdict": told["verdict"] | {"decision": "REJECT"}}
    digest = seals.hashed(later)
    signature = keys.signer(home).sign(seals.RECORD + digest.encode()).hex()
    sealed = seals.canonical({"record": later, "hash": digest, "signature": signature})
    (records / "000002.json").write_bytes(sealed)
    assert deployed(made, NEXT).said == f"risk: {name} stays out: record 2 of the gate says REJECT of {name} since"
    assert pointer.read(home) == {}


def test_examples_are_kept_apart_from_the_suites_that_the_night_is_judged_by(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "held_back", one_suite)
    (folder / "suites/risky.toml").write_text(
        "".join(map(case, range(CASES))).replace("Case 3: say yes.", "Case 3: is the harbour of the old town frozen?")
    )
    theirs = row(13).replace("Is 13 more than nothing, in a", "Case 3: is the harbour of the old town frozen? A")
    (folder / "rows.jsonl").write_text("\n".join([*map(row, range(12)), theirs]))
    done = works(rooms(folder))[Stage.PREPARE](job(Stage.PREPARE))
    assert done.said.startswith("risk: 12 examples in ")


def test_too_few_examples_sit_out_and_the_night_ends_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "held_back", one_suite)
    folder = laid(tmp_path, rows=3)
    found = nights(rooms(folder), *STAGES)
    assert found[Stage.PREPARE].said == "risk: 3 examples, which is under the 4 that it needs: it sits out"
    assert [found[stage].said for stage in STAGES[1:]] == ["nothing to do"] * 3
    assert artifact.listing(folder / ".outcry") == []


def test_no_example_at_all_sits_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "held_back", one_suite)
    done = works(rooms(laid(tmp_path, rows=1)))[Stage.PREPARE](job(Stage.PREPARE))
    assert done.said.startswith("risk: expected at least 2 rows for risk, got 1;") and done.said.endswith("sits out")
    assert done.result == {"roles": {}, "failed": []}


def test_a_model_is_not_asked_what_its_data_was_not_compared_with(folder: Path) -> None:
    made, january = rooms(folder), datetime(2027, 1, 5, 8, tzinfo=UTC)
    with Ledger(made.home) as ledger:
        earlier = ledger.entries()[1].result
    late = Job(DAY, Stage.VALIDATE, earlier, False, lambda: january, lambda _: None)
    said = works(made)[Stage.VALIDATE](late).said
    assert "its data was not compared with risky gate 2027-01; make the data again, and a model of it" in said


def test_a_fine_tune_that_is_to_stop_keeps_what_it_has_and_gives_the_stage_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "recipe.toml").write_text("steps = 3\nbatch = 2\nrank = 4\n")
    made, real = rooms(folder), Rooms.base
    with Ledger(made.home) as ledger:
        given = job(Stage.TUNE, earlier=ledger.entries()[0].result)

    def base(self: Rooms, model: str) -> tuple[str, Path]:
        given.stop("its deadline passed")
        return real(self, model)

    monkeypatch.setattr(Rooms, "base", base)
    with pytest.raises(Stopped):
        works(made)[Stage.TUNE](given)
    assert runs.listing(made.home)[-1].step == 1


def test_a_look_that_may_not_begin_is_told_and_nobody_is_deployed(folder: Path) -> None:
    made = rooms(folder)
    strict = made.night.model_copy(update={"gate": made.night.gate.model_copy(update={"margin": 0.05})})
    made = Rooms(made.settings, strict, made.trial, dict, made.desk)
    found = nights(made, *STAGES[2:])
    assert "the gate does not look at risk-" in found[Stage.VALIDATE].said
    assert found[Stage.DEPLOY].said == "nothing to do"


def test_a_model_that_no_server_has_loaded_is_not_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(stack: object, home: Path, name: str, **_: object) -> str:
        return f"{name} is not loaded on nano-0: no room"

    monkeypatch.setattr(adapters, "await_loaded", absent)
    found = nights(rooms(folder), Stage.VALIDATE)[Stage.VALIDATE]
    assert found.state is State.FAILED
    assert "is not loaded on nano-0: no room" in found.said
    assert not (folder / ".outcry/gate/records").exists(), "nothing was charged"


def test_a_stage_that_is_to_stop_stops_while_it_waits_for_a_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(Stage.VALIDATE)
    given.stop("its deadline passed")

    found = iter([("it is being started", False), ("", False)])

    def starting(*_: object) -> tuple[str, bool]:
        return next(found)

    monkeypatch.setattr(adapters, "await_loaded", WAITS)
    monkeypatch.setattr(adapters, "_state", starting)
    (there,) = artifact.listing(folder / ".outcry")
    with pytest.raises(Stopped):
        stages._loaded(rooms(folder), given, there.name)  # pyright: ignore[reportPrivateUsage]


def test_weights_that_are_not_here_are_told(folder: Path) -> None:
    made = rooms(folder)
    (folder / "stack.toml").write_text('[models.far]\nengine = "endpoint"\nurl = "http://127.0.0.1:9"\n')
    with pytest.raises(UsageError, match="expected the weights of far in a folder on this machine"):
        made.base("far")


def job(stage: Stage, *, last: bool = False, earlier: dict[str, Any] | None = None) -> Job:
    return Job(DAY, stage, earlier or {}, last, lambda: datetime(2026, 12, 2, tzinfo=UTC), lambda _: None)


def each(given: Job, do: Callable[[str], tuple[str, dict[str, Any]]]) -> Done:
    return stages._each(given, ("risk", "sentiment"), do)  # pyright: ignore[reportPrivateUsage]


def one_errs(role: str) -> tuple[str, dict[str, Any]]:
    if role == "risk":
        raise DataError("the disk is full")
    return "well", {"data": "1"}


def test_a_role_that_errs_has_all_tried_again_and_at_the_last_try_the_others_go_on() -> None:
    with pytest.raises(DataError, match=r"^risk: the disk is full$"):
        each(job(Stage.PREPARE), one_errs)
    done = each(job(Stage.PREPARE, last=True), one_errs)
    assert done.said == "sentiment: well; risk: the disk is full"
    assert done.result["roles"] == {"sentiment": {"data": "1"}}


def test_where_every_role_errs_the_last_try_fails_too() -> None:
    def errs(role: str) -> tuple[str, dict[str, Any]]:
        raise DataError("no")

    with pytest.raises(DataError, match="risk: no; sentiment: no"):
        each(job(Stage.PREPARE, last=True), errs)


def test_a_stage_that_is_to_stop_stops_between_roles() -> None:
    given = job(Stage.PREPARE)

    def stops(role: str) -> tuple[str, dict[str, Any]]:
        given.stop("its deadline passed")
        return "well", {}

    with pytest.raises(Stopped):
        each(given, stops)
