"""Examples from runs: word for word what a server is sent, of views that came true, and no word of a document."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.agents import bundle
from openoutcry.agents.calls import Call
from openoutcry.agents.team import ROLES
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import UsageError
from openoutcry.core.standing import Settled
from openoutcry.desk import Desk
from openoutcry.memory.record import Kind
from openoutcry.training.examples import from_runs
from openoutcry.training.examples.grounding import ungrounded
from openoutcry.training.examples.rows import Chat, Gathered, texts
from openoutcry.training.examples.worded import Unfit, worded
from tests.serving.bench import bench
from tests.serving.faulty import Faulty
from tests.serving.test_served_desk import plays

RISKY = "How risky is AAPL over the next 10 days?"
DAYS, THEN = ("2022-03-14", "2022-05-16", "2022-05-31"), "2022-06-30"
WELL = {"analyst": (0, 1), "sentiment": (0, 2), "risk": (0, 2), "coordinator": (0, 2)}
"""The days on which a role of the house took the side that came true, or took none where the desk did."""
SPEAKERS = ("analyst", "sentiment", "risk", "coordinator")


def silent(done: int, of: int) -> None:
    pass


def opened(home: Path, sample_home: Path, **models: Any) -> Desk:
    """A desk over the sample, with a folder of its own."""
    home.mkdir(parents=True)
    (home / "warehouse").symlink_to(sample_home / "warehouse")
    return Desk.open(home=home, models=models)


@pytest.fixture(scope="module")
def settled(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk with views of three days that were settled; read it, never write to it."""
    with opened(tmp_path_factory.mktemp("settled") / "home", sample_home) as desk:
        for day in DAYS:
            desk.ask_sync(RISKY, day)
        assert len(desk.settle(THEN).lessons) == len(DAYS)
        yield desk


def of(desk: Desk, role: str) -> Gathered:
    return from_runs.conversations(desk.settings.home, desk.memory, role, silent)


def test_a_row_is_byte_for_byte_what_the_server_was_sent(sample_home: Path, tmp_path: Path) -> None:
    with Faulty(brain=plays) as server:
        served = bench(server, seconds=120.0)
        with opened(tmp_path / "home", sample_home, **{role: served.model(role) for role in ROLES}) as desk:
            calls = desk.load(desk.ask_sync(RISKY, THEN).run).calls
        sent = {body["messages"][0]["content"]: body for body in server.asked}
    for role in SPEAKERS:
        body, said = sent[ROLES[role].instructions.strip()], worded(calls, role)
        assert json.dumps(said.messages[:-1]) == json.dumps(body["messages"])
        assert json.dumps(said.tools) == json.dumps(tuple(body.get("tools", ())))
        assert said.question == RISKY
        answer = said.messages[-1]["content"]
        assert ROLES[role].output.model_validate_json(answer)
        assert answer == json.dumps(json.loads(answer), separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("role", SPEAKERS)
def test_only_runs_that_did_well_are_taken(settled: Desk, role: str) -> None:
    lessons = sorted(settled.memory.find(kinds=(Kind.LESSON,)), key=lambda m: m.known_at)
    known = {f"run:{lessons[day].run}": lessons[day].known_at.replace(tzinfo=UTC) for day in WELL[role]}
    found = of(settled, role)
    assert {row.source: row.known_at for row in found.rows} == known
    assert found.left == {"its view did not come true": 1}
    for row in found.rows:
        assert isinstance(row, Chat)
        assert row.role == role and not ungrounded(row)
        said = row.messages[-1]["content"]
        assert said == json.dumps(json.loads(said), separators=(",", ":"))


def test_no_word_of_a_document_reaches_a_row(settled: Desk) -> None:
    rows = [row for role in SPEAKERS for row in of(settled, role).rows]
    rows += from_runs.pairs(settled.settings.home, settled.memory, silent).rows
    view = settled.warehouse().view(AsOf.parse(THEN))
    bodies = view.query("SELECT body, title FROM documents", []).cells("body")
    assert bodies and rows
    said = json.dumps([texts(row) for row in rows])
    assert not [body for body in bodies if json.dumps(str(body)[:60])[1:-1] in said]
    reads = [
        c for m in settled.memory.find(kinds=(Kind.LESSON,)) for c in settled.load(m.run).calls if c.role == "reader"
    ]
    assert reads and not [row for row in rows if isinstance(row, Chat) and row.role not in SPEAKERS]


def test_pairs_are_questions_and_what_was_found(settled: Desk) -> None:
    found = from_runs.pairs(settled.settings.home, settled.memory, silent)
    said = {m.said for m in settled.memory.find(kinds=(Kind.FINDING,))}
    assert found.rows
    for row in found.rows:
        anchor, positive = texts(row)
        assert anchor == RISKY and positive in said and "{" not in positive


def test_a_run_that_was_changed_gone_or_asked_otherwise_is_left_out(settled: Desk, tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    shutil.copytree(settled.settings.home / "runs", home / "runs")
    one, other, third = sorted((home / "runs").iterdir())
    (one / "calls.jsonl").write_text("")
    manifest = bundle.read(home, third.name).manifest
    prompts = {role: "0" for role in manifest.prompts}
    (third / "manifest.json").write_text(manifest.model_copy(update={"prompts": prompts}).model_dump_json())
    shutil.rmtree(other)
    every = [from_runs.conversations(home, settled.memory, role, silent) for role in SPEAKERS]
    assert not [row for found in every for row in found.rows]
    assert {reason for found in every for reason in found.left} == {
        "its run is broken",
        "its run is not here any more",
        "its prompts were others than today's",
        "its view did not come true",
    }
    with pytest.raises(UsageError, match="its prompts were others"):
        from_runs.exported(home, third.name, "risk", datetime(2026, 11, 12, tzinfo=UTC))


def view(role: str, chance: float, happened: bool, base: float = 0.55) -> Settled:
    shared = {"model": "house", "ticker": "AAPL", "horizon": 10, "made": date(2022, 1, 3), "ended": date(2022, 1, 17)}
    return Settled.model_validate(shared | {"role": role, "chance": chance, "base_rate": base, "happened": happened})


@pytest.mark.parametrize(
    ("role", "views", "wanted"),
    [
        ("analyst", [view("analyst", 0.6, True), view("desk", 0.5, True)], True),
        ("analyst", [view("analyst", 0.6, False), view("desk", 0.5, False)], False),
        ("analyst", [view("analyst", 0.52, False), view("desk", 0.6, False)], True),
        ("risk", [view("risk", 0.55, True), view("desk", 0.6, True)], True),
        ("risk", [view("risk", 0.55, False), view("desk", 0.6, False)], False),
        ("risk", [view("desk", 0.55, True)], False),
        ("coordinator", [view("coordinator", 0.9, False), view("desk", 0.5, False)], True),
        ("risk", [], False),
    ],
)
def test_well_is_a_side_that_came_true(role: str, views: list[Settled], wanted: bool) -> None:
    assert from_runs.well(role, {v.role: v for v in views}) is wanted


def test_a_mistake_is_not_learnt_though_it_was_mended(settled: Desk) -> None:
    run = sorted((settled.settings.home / "runs").iterdir())[0].name
    calls = list(settled.load(run).calls)
    last = [c for c in calls if c.role == "risk"][-1]
    back = [*last.prompt, {"part": "retry-prompt", "content": "again"}]
    mended: list[tuple[dict[str, Any], str]] = [
        ({"prompt": back}, "sent back"),
        ({"response": {}, "failure": "none"}, "its model failed"),
        ({"response": {**last.response, "provider_details": {"degraded": "slow"}}}, "another model stood in"),
        ({"response": {**last.response, "provider_details": {"compacted": ["memories"]}}}, "cut to fit"),
        ({"role": "analyst"}, "without an answer"),
    ]
    for changed, why in mended:
        others = [c for c in calls if c is not last]
        with pytest.raises(Unfit, match=why):
            worded([*others, Call.model_validate({**last.model_dump(), **changed})], "risk")
    with pytest.raises(Unfit, match="not asked"):
        worded([c for c in calls if c.role != "risk"], "risk")


def test_a_transcript_is_handed_out_to_be_corrected(settled: Desk) -> None:
    home = settled.settings.home
    now = datetime(2026, 11, 12, tzinfo=UTC)
    row = from_runs.exported(home, "last", "risk", now)
    assert row.known_at == now and row.messages == worded(settled.load("last").calls, "risk").messages
    with pytest.raises(UsageError, match="no run is called"):
        from_runs.exported(home, "zz", "risk", now)
