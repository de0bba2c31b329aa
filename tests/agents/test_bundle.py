"""A run is a bundle: replayed after the data has moved on, compared, and trusted only when whole."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.agents import bundle, risk
from openoutcry.agents.replay import Kept, Rerun, replayed
from openoutcry.agents.workbench import Workbench
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import BrokenRun, ModelError, UsageError
from openoutcry.core.evidence import Query
from openoutcry.core.report import Dropped
from openoutcry.desk import Desk
from openoutcry.interfaces.explain import diff, explain
from openoutcry.tools.data.ingest import ingest
from openoutcry.tools.data.view import View
from openoutcry.tools.drawdowns import drawdown
from openoutcry.tools.risk import volatility

MakeDesk = Callable[..., Desk]
RISK = "How risky is AAPL over the next 10 days?"


@pytest.fixture
def moved(sample_home: Path, tmp_path: Path) -> Path:
    """The sample's home with newer rows: AAPL's history restated, known from the start of 2022."""
    home = tmp_path / "moved"
    shutil.copytree(sample_home / "warehouse", home / "warehouse")
    return home


def restate(home: Path, folder: Path) -> None:
    rows = "".join(f"AAPL,2022-0{m}-15,{150 + m},2022-06-20\n" for m in (2, 3, 4))
    (folder / "restated.csv").write_text("ticker,date,adj_close,known_at\n" + rows)
    (intake,) = ingest(home, [folder / "restated.csv"], progress=lambda _: None)
    assert intake.taken == 3


async def test_replay_after_the_data_has_moved_on_and_gone(moved: Path, tmp_path: Path) -> None:
    with Desk.open(home=moved) as desk:
        first = await desk.ask(RISK, "2022-06-30")
        restate(moved, tmp_path)
        second = await desk.ask(RISK, "2022-06-30")
        assert not first.model_copy(update={"run": second.run}).same_as(second)
    shutil.rmtree(moved / "warehouse")
    with Desk.open(home=moved) as desk:
        for report in (first, second):
            replayed = await desk.replay(report.run)
            assert replayed.same_as(report)
            assert replayed.timings


async def test_replay_needs_no_model(make_desk: MakeDesk, speaker: Callable[..., FunctionModel]) -> None:
    model = speaker([("drawdown", {"ticker": "AAPL"})], {"claims": ["It fell {E1.max}."], "lean": "down"})
    desk = make_desk({"risk": model})
    report = await desk.ask(RISK, "2022-06-30")
    with Desk.open(home=desk.settings.home) as other:
        assert (await other.replay("last")).same_as(report)


@pytest.mark.parametrize(
    "question", ["Compare XOM and CVX", "Is XOM expensive?", "How is GE doing?", "News on PFE?", "How risky is KO?"]
)
async def test_every_kind_of_run_replays(desk: Desk, question: str) -> None:
    for _ in range(3):
        report = await desk.ask(question, "2022-06-30")
        assert (await desk.replay(report.run)).same_as(report)


def raises(*_: object) -> ModelResponse:
    raise IndexError("list index out of range")


async def hangs(*_: object) -> ModelResponse:
    await asyncio.sleep(600)
    raise AssertionError


def says_nothing(*_: object) -> ModelResponse:
    return ModelResponse([TextPart("")])


@pytest.mark.parametrize("fault", [raises, hangs, says_nothing])
@pytest.mark.parametrize("role", ["risk", "sentiment", "reader", "coordinator"])
async def test_a_run_with_a_failed_model_replays(
    make_desk: MakeDesk, hurry: Callable[[Desk, str], None], role: str, fault: Any
) -> None:
    desk = make_desk({role: FunctionModel(fault)})
    if fault is hangs:
        hurry(desk, "sentiment" if role == "reader" else role)  # it reads for sentiment
    report = await desk.ask(RISK, "2022-06-30")
    assert (await desk.replay(report.run)).same_as(report)
    assert "IndexError" not in report.model_dump_json() or fault is raises


@pytest.mark.parametrize("deadline", [0.01, 0.03, 0.06, 0.1])
async def test_a_run_cut_short_anywhere_replays(make_desk: MakeDesk, deadline: float) -> None:
    desk = make_desk()
    desk.team._deadline = deadline  # pyright: ignore[reportPrivateUsage]  # a short one, for this test alone
    for _ in range(4):
        try:
            run = (await desk.ask(RISK, "2022-06-30")).run
        except ModelError:
            run = desk.runs()[-1]
        assert (await desk.replay(run)).same_as(desk.load(run).report)


@pytest.mark.parametrize("role", ["risk", "coordinator"])
async def test_what_a_role_left_out_before_it_was_cut_short_replays(
    make_desk: MakeDesk, hurry: Callable[[Desk, str], None], role: str
) -> None:
    """Its deadline may come between the last look at its sentences and its answer."""
    desk = make_desk({role: FunctionModel(hangs)})
    hurry(desk, role)
    stored = desk.load((await desk.ask(RISK, "2022-06-30")).run)
    left = Dropped(role=role, claim="It fell by 9 %.", reason="it carries no reference to evidence")
    report = stored.report.model_copy(update={"dropped": (left,)})
    assert (await replayed(replace(stored, report=report))).same_as(report)


async def test_a_silent_run_is_kept(make_desk: MakeDesk) -> None:
    desk = make_desk(dict.fromkeys(("risk", "analyst", "sentiment"), FunctionModel(raises)))
    with pytest.raises(ModelError, match=r"risk: it failed \(IndexError\)"):
        await desk.ask(RISK, "2022-06-30")
    stored = desk.load("last")
    assert {c.role for c in stored.calls} == {"risk", "analyst", "sentiment"}
    assert (await desk.replay("last")).same_as(stored.report)


async def test_a_run_with_a_mended_answer_replays(make_desk: MakeDesk) -> None:
    left = ["not a tool call", "{E1.max}"]

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if len(messages) == 1:
            return ModelResponse([ToolCallPart("drawdown", {"ticker": "AAPL"})])
        if len(left) > 1:
            return ModelResponse([TextPart(left.pop(0))])
        answer = {"claims": ["It fell {E1.max}."], "lean": "down"}
        return ModelResponse([ToolCallPart(info.output_tools[0].name, answer)])

    desk = make_desk({"risk": FunctionModel(respond)})
    report = await desk.ask(RISK, "2022-06-30")
    assert report.findings[0].status == "finding"
    assert (await desk.replay(report.run)).same_as(report)


async def test_a_changed_prompt_is_told_not_papered_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    report = await desk.ask(RISK, "2022-06-30")
    changed = risk.ROLE.instructions + "Be brief."
    monkeypatch.setitem(bundle_roles(), "risk", replace_instructions(changed))
    with pytest.raises(BrokenRun, match="risk now sends a prompt that the run did not record"):
        await desk.replay(report.run)


def bundle_roles() -> dict[str, object]:
    from openoutcry.agents import team

    return team.ROLES  # type: ignore[return-value]  # the values are roles


def replace_instructions(text: str) -> object:
    from dataclasses import replace

    return replace(risk.ROLE, instructions=text)


async def test_another_call_under_an_id_is_a_divergence(desk: Desk) -> None:
    stored = desk.load((await desk.ask(RISK, "2022-06-30")).run)
    view = View.detached(AsOf.parse("2022-06-30"), stored.manifest.snapshot)
    kept = Kept(stored)
    bench = Workbench("risk", view, 1, kept, Rerun(stored).read)  # type: ignore[arg-type]  # never called
    asked = dict(stored.results["E1"].arguments)  # type: ignore[union-attr]  # it was computed
    assert await kept.call("E1", bench, drawdown, asked) == stored.results["E1"]
    for eid, function, arguments in (
        ("E1", drawdown, asked | {"window": 99}),
        ("E1", volatility, asked),
        ("E19", drawdown, asked),
    ):
        with pytest.raises(BrokenRun, match=f"as {eid}, the run made"):
            await kept.call(eid, bench, function, arguments)


async def test_diff_names_the_cause(moved: Path, tmp_path: Path, babbler: FunctionModel) -> None:
    with Desk.open(home=moved) as desk:
        one = (await desk.ask(RISK, "2022-06-30")).run
        same = (await desk.ask(RISK, "2022-06-30")).run
        restate(moved, tmp_path)
        data = (await desk.ask(RISK, "2022-06-30")).run
    with Desk.open(home=moved, models={"analyst": babbler}) as desk:
        model = (await desk.ask(RISK, "2022-06-30")).run
    with Desk.open(home=moved) as desk:
        earlier = (await desk.ask(RISK, "2022-06-10")).run
        load = desk.load
        assert "differ in: nothing they stood on" in text(diff(load(one), load(same)))
        assert "every figure is the same" in text(diff(load(one), load(same)))
        found = text(diff(load(one), load(data)))
        assert "differ in: data\n" in found
        assert "E3.var: " in found or "E2.volatility: " in found
        assert "the rows changed" in found
        assert "differ in: model\n" in text(diff(load(data), load(model)))
        assert "model of analyst: house, then babbler" in text(diff(load(data), load(model)))
        assert "differ in: as-of\n" in text(diff(load(data), load(earlier)))


def text(lines: object) -> str:
    return "\n".join(lines) + "\n"  # type: ignore[arg-type]  # lines of text


async def test_explain_leads_back_to_the_query(desk: Desk) -> None:
    report = await desk.ask(RISK, "2022-06-30")
    stored = desk.load("last")
    shown = text(explain(stored, "E3.var", desk))
    assert f"exactly {report.by_id['E3'].figures['var'].value!r}" in shown
    assert "FROM prices WHERE ticker = 'AAPL'" in " ".join(shown.split())
    assert "run again   the same rows" in shown
    assert "quantile: linear interpolation (type 7)" in shown
    for evidence in report.evidence:
        for query in evidence.queries:
            assert desk.again(stored.manifest.snapshot, stored.report.as_of, query) == "the same rows"
    forged = Query(sql=report.by_id["E3"].queries[0].sql, rows=1, sha256="0" * 64)
    assert desk.again(stored.manifest.snapshot, stored.report.as_of, forged).startswith("other rows")


@pytest.mark.parametrize("reference", ["E99", "E3.ghost", "nonsense", ""])
async def test_explain_says_what_there_is(desk: Desk, reference: str) -> None:
    await desk.ask(RISK, "2022-06-30")
    with pytest.raises(UsageError, match="it has"):
        list(explain(desk.load("last"), reference, desk))


@pytest.mark.parametrize("name", ["manifest.json", "report.json", "evidence.jsonl", "calls.jsonl"])
@pytest.mark.parametrize("harm", ["gone", "cut", "flipped", "empty"])
async def test_a_broken_run_is_one_line_and_harms_no_other(desk: Desk, name: str, harm: str) -> None:
    broken = (await desk.ask(RISK, "2022-06-30")).run
    whole = (await desk.ask(RISK, "2022-06-30")).run
    path = desk.settings.home / "runs" / broken / name
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "flipped":
        path.write_bytes(data.replace(b"AAPL", b"AAPX", 1) if name != "manifest.json" else data[:-1] + b"]")
    else:
        path.write_bytes(b"")
    with pytest.raises(BrokenRun) as caught:
        desk.load(broken)
    assert "\n" not in str(caught.value)
    assert desk.load(whole).report.run == whole


def test_run_ids_sort_as_they_were_made() -> None:
    made = [bundle.new_run()[0] for _ in range(2000)]
    moments = [name[:-3] for name in made]
    assert moments == sorted(moments)
    assert len(set(moments)) > 1000
    assert len(set(made)) == len(made)


async def test_last_is_the_newest_of_runs_made_in_one_second(desk: Desk) -> None:
    made = [(await desk.ask(f"How risky is {t}?", "2022-06-30")).run for t in ("KO", "PEP", "PG", "KO")]
    assert desk.runs() == made
    assert desk.load("last").report.run == made[-1]


async def test_runs_are_found_by_part_of_their_name(desk: Desk) -> None:
    with pytest.raises(UsageError, match="expected a stored run"):
        desk.load("last")
    run = (await desk.ask(RISK, "2022-06-30")).run
    assert desk.load(run[-6:]).report.run == desk.load("last").report.run == run
    with pytest.raises(UsageError, match="no run is called 'nope'"):
        desk.load("nope")
    with pytest.raises(UsageError):
        desk.load("../../etc")


async def test_nothing_half_written_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        await desk.ask(RISK, "2022-06-30")
    assert list((desk.settings.home / "runs").iterdir()) == []


def test_the_code_digest_sees_every_room(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    for room in ("core", "tools"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text("x = 1\n")
        package.mkdir(exist_ok=True)
        (package / room).symlink_to(tmp_path / room)
    before = bundle.code_digest(package)
    (tmp_path / "tools" / "a.py").write_text("x = 2\n")
    assert bundle.code_digest(package) != before


def test_the_manifest_holds_what_the_run_stood_on(desk: Desk) -> None:
    report = desk.ask_sync(RISK, "2022-06-30")
    raw = json.loads((desk.settings.home / "runs" / report.run / "manifest.json").read_text())
    assert raw["snapshot"] == report.snapshot
    assert set(raw["prompts"]) == set(raw["models"]) == {"analyst", "sentiment", "risk", "coordinator", "reader"}
    assert len(raw["code"]) == 16
