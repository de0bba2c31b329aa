"""The promises, each with the test that would catch its loss."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.core.claims import faults, segments
from openoutcry.core.errors import ModelError, OutcryError
from openoutcry.core.report import Finding, NoFinding, Report
from openoutcry.desk import Desk

Speaker = Callable[..., FunctionModel]
MakeDesk = Callable[..., Desk]
RISK = "How risky is AAPL over the next 10 days?"
QUESTIONS = [
    RISK,
    "How is GE doing?",
    "Is JNJ expensive?",
    "What is the news on Microsoft?",
    "Compare KO and PEP over a month",
    "What is the 5-day VaR of BBY at 95 %?",
]


def said(report: Report) -> list[str]:
    claims = [c for f in report.findings if isinstance(f, Finding) for c in f.claims]
    return [*([report.headline] if report.headline else []), *report.claims, *claims]


@pytest.mark.parametrize("as_of", ["1995-06-30", "2009-03-09", "2020-03-23", "2022-06-30", "2022-12-28"])
async def test_every_digit_of_every_claim_resolves(desk: Desk, as_of: str) -> None:
    for answer in await desk.ask_many(QUESTIONS, as_of):
        assert isinstance(answer, Report)
        assert said(answer)
        assert answer.dropped == ()
        for claim in said(answer):
            assert faults(claim, answer.by_id) == []
            assert not any(c.isnumeric() for piece, ref in segments(claim, answer.by_id) if ref is None for c in piece)


async def test_the_same_question_gives_the_same_report(desk: Desk) -> None:
    first, *others = await asyncio.gather(*(desk.ask(RISK, "2022-06-30") for _ in range(4)))
    for other in others:
        assert first.model_copy(update={"run": other.run}).same_as(other)


async def test_evidence_never_knows_more_than_the_as_of(desk: Desk) -> None:
    report = await desk.ask(RISK, "2021-03-15")
    dated = [e for e in report.evidence if e.known_at]
    assert len(dated) >= 8
    assert all(e.known_at.isoformat() <= "2021-03-16T03:59:59" for e in dated if e.known_at)


async def test_the_report_says_it_was_answered_by_the_house(desk: Desk, babbler: FunctionModel) -> None:
    report = await desk.ask(RISK, "2022-06-30")
    assert "house rules" in report.notice


async def test_a_loose_digit_costs_one_retry_and_then_that_claim(make_desk: MakeDesk, speaker: Speaker) -> None:
    good, bad = "{E1.ticker} fell at worst by {E1.max}.", "It may lose 12.5 % by 2023."
    ghost = "It loses {E1.var} or {E9.var}."
    model = speaker([("drawdown", {"ticker": "AAPL"})], {"claims": [good, bad, ghost], "lean": "none"})
    desk = make_desk({"risk": model})
    report = await desk.ask(RISK, "2022-06-30")
    risk = report.findings[0]
    assert isinstance(risk, Finding)
    assert risk.claims == (good,)
    assert [d.claim for d in report.dropped] == [bad, ghost]
    asked = [c for c in desk.load(report.run).calls if c.role == "risk"]
    assert len(asked) == 3  # the tool call, the answer, and one retry
    assert report.findings[1].status == "finding"


async def test_a_model_that_mends_its_claim_keeps_it(make_desk: MakeDesk, speaker: Speaker) -> None:
    model = speaker(
        [("drawdown", {"ticker": "AAPL"})],
        {"claims": ["It fell 38 %."], "lean": "down"},
        {"claims": ["It fell {E1.max}."], "lean": "down"},
    )
    report = await make_desk({"risk": model}).ask(RISK, "2022-06-30")
    assert report.findings[0].status == "finding"
    assert report.dropped == ()


async def test_a_sentence_without_a_reference_is_dropped(make_desk: MakeDesk, speaker: Speaker) -> None:
    model = speaker([], {"claims": ["This stock is a sure thing."], "lean": "strong_up"})
    report = await make_desk({"risk": model}).ask(RISK, "2022-06-30")
    assert isinstance(report.findings[0], NoFinding)
    assert report.dropped[0].reason == "it carries no reference to evidence"
    assert "risk_p_up" not in report.by_id[report.view].figures


async def test_a_model_that_fails_gives_a_typed_no(make_desk: MakeDesk, babbler: FunctionModel) -> None:
    report = await make_desk({"analyst": babbler}).ask(RISK, "2022-06-30")
    by_role = {f.role: f for f in report.findings}
    assert isinstance(by_role["analyst"], NoFinding)
    assert isinstance(by_role["risk"], Finding)
    assert report.headline


async def test_a_model_past_its_deadline_gives_a_typed_no(
    make_desk: MakeDesk, hurry: Callable[[Desk, str], None]
) -> None:
    async def never(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        await asyncio.sleep(600)
        raise AssertionError

    desk = make_desk({"sentiment": FunctionModel(never)})
    hurry(desk, "sentiment")
    report = await desk.ask(RISK, "2022-06-30")
    silent = next(f for f in report.findings if f.role == "sentiment")
    assert isinstance(silent, NoFinding)
    assert silent.reason == "its deadline passed"


async def test_a_silent_coordinator_leaves_the_roles_standing(make_desk: MakeDesk, babbler: FunctionModel) -> None:
    report = await make_desk({"coordinator": babbler}).ask(RISK, "2022-06-30")
    assert report.headline == ""
    assert [f.status for f in report.findings] == ["finding", "finding", "finding", "no_finding"]


async def test_no_role_at_all_is_a_model_error(make_desk: MakeDesk, babbler: FunctionModel) -> None:
    desk = make_desk(dict.fromkeys(("risk", "analyst", "sentiment", "coordinator", "reader"), babbler))
    with pytest.raises(ModelError, match="no role could answer") as caught:
        await desk.ask(RISK, "2022-06-30")
    assert caught.value.exit_code == 4


async def test_a_role_cannot_call_the_tools_of_another(make_desk: MakeDesk, speaker: Speaker) -> None:
    offered: dict[str, set[str]] = {}

    def watcher(role: str) -> FunctionModel:
        def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            offered[role] = {t.name for t in info.function_tools}
            return ModelResponse([ToolCallPart("sql", {"statement": "SELECT 1"})])

        return FunctionModel(respond)

    roles = ("sentiment", "risk", "coordinator")
    report = await make_desk({r: watcher(r) for r in roles}).ask(RISK, "2022-06-30")
    assert offered["sentiment"] == {"document_search", "read_documents"}
    assert offered["coordinator"] == set()
    assert "sql" not in offered["risk"]
    assert {f.role for f in report.findings if isinstance(f, NoFinding)} == set(roles)
    assert not any(e.tool == "sql" for e in report.evidence)


async def test_arguments_that_do_not_fit_are_told_to_the_model(make_desk: MakeDesk, speaker: Speaker) -> None:
    calls: list[str] = []

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        calls.append(str(messages[-1].parts[-1]))
        days = 10_000 if len(calls) == 1 else 5
        if len(calls) < 3:
            return ModelResponse([ToolCallPart("value_at_risk", {"ticker": "AAPL", "horizon": days})])
        answer = {"claims": ["It loses {E1.var}."], "lean": "none"}
        return ModelResponse([ToolCallPart(info.output_tools[0].name, answer)])

    report = await make_desk({"risk": FunctionModel(respond)}).ask(RISK, "2022-06-30")
    assert "less than or equal to 252" in calls[1]
    assert report.by_id["E1"].arguments["horizon"] == 5


async def test_a_fault_in_a_tool_is_an_honest_no(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from openoutcry.tools.formulas import horizons

    def broken(*_: object) -> float:
        return 1 / 0

    monkeypatch.setattr(horizons, "_historical", broken)
    report = await desk.ask(RISK, "2022-06-30")
    assert [(n.id, n.tool) for n in report.not_computed] == [("E3", "value_at_risk")]
    assert "fault of ours" in report.not_computed[0].reason
    assert report.findings[0].status == "finding"


async def test_ask_many_is_bounded_ordered_and_keeps_errors_in_place(make_desk: MakeDesk) -> None:
    running, most = 0, 0
    house = make_desk().team.models["risk"]

    async def counted(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return await house.request(messages, None, info.model_request_parameters)

    desk = make_desk({"risk": FunctionModel(counted)})
    asked = ["How risky is AAPL?", "How risky is ZZZZ?", *["How risky is KO?"] * 6]
    answers = await desk.ask_many(asked, "2022-06-30", limit=2)
    assert most <= 2
    assert isinstance(answers[1], OutcryError)
    assert [a.question.tickers[0] for a in answers if isinstance(a, Report)] == ["AAPL", *["KO"] * 6]
    assert len(desk.runs()) == 7


async def test_an_unknown_kind_is_declined_and_says_what_is_answered(desk: Desk) -> None:
    report = await desk.ask("Write a poem about AAPL")
    assert "does not answer that" in report.declined
    assert (report.findings, report.evidence) == ((), ())


async def test_missing_data_is_told(desk: Desk) -> None:
    report = await desk.ask("Is XOM expensive?", "2022-06-30")
    assert {n.tool for n in report.not_computed} == {"growth", "margins", "valuation"}
    assert all("needs quarterly figures" in n.reason for n in report.not_computed if n.ticker == "XOM")


def test_it_works_inside_a_running_loop(desk: Desk) -> None:
    async def notebook() -> Report:
        return desk.ask_sync(RISK, "2022-06-30")

    assert asyncio.run(notebook()).headline
    with pytest.raises(OutcryError):
        desk.ask_sync("How risky is ZZZZ?")


async def test_a_new_snapshot_is_used_by_the_next_question(make_desk: MakeDesk, tmp_path: Path) -> None:
    from openoutcry.tools.data.ingest import ingest

    desk = Desk.open(home=tmp_path / "own")
    rows = "".join(f"2022-{m:02}-{d:02},AAA,{100 + m + d / 10}\n" for m in range(1, 7) for d in range(1, 29))
    (tmp_path / "one.csv").write_text("date,ticker,close\n" + rows)
    (tmp_path / "two.csv").write_text("date,ticker,close\n" + rows.replace("AAA", "BBB"))
    ingest(desk.settings.home, [tmp_path / "one.csv"], progress=lambda _: None)
    first = await desk.ask("How risky is AAA?")
    ingest(desk.settings.home, [tmp_path / "two.csv"], progress=lambda _: None)
    second = await desk.ask("How risky is BBB?")
    assert first.snapshot != second.snapshot
    desk.close()


def prompts(desk: Desk, run: str, *, readers: bool) -> str:
    calls: Any = desk.load(run).calls
    return json.dumps([c.prompt for c in calls if (c.role == "reader") is readers])
