"""Questions on the whole book, and limits that no model can talk away."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_ai.models.function import FunctionModel

from openoutcry.agents.questions import read
from openoutcry.core.claims import faults
from openoutcry.core.errors import UsageError
from openoutcry.core.limits import Limits
from openoutcry.core.report import Finding, Kind, Question
from openoutcry.desk import Desk
from openoutcry.interfaces import page, text
from openoutcry.interfaces.explain import diff

MakeDesk = Callable[..., Desk]
Speaker = Callable[..., FunctionModel]
BOOK = "How risky is my book over 10 days?"
TIGHT = Limits(gross_value=1_000_000, single_position=0.9, value_at_risk=0.01)


def limited(desk: Desk, limits: Limits) -> Desk:
    desk.settings = desk.settings.model_copy(update={"limits": limits})
    return desk


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (BOOK, Kind.BOOK),
        ("what can our portfolio lose in a week?", Kind.BOOK),
        ("How are the positions doing?", Kind.BOOK),
        ("How exposed is my book to AAPL?", Kind.RISK),
    ],
)
def test_a_question_on_the_book_needs_no_ticker(words: str, kind: Kind) -> None:
    question = read(words, ("AAPL", "MSFT"), {})
    assert question.kind is kind
    assert question.tickers == (() if kind is Kind.BOOK else ("AAPL",))


def test_the_book_in_a_chat() -> None:
    before = Question(text="x", kind=Kind.RISK, tickers=("AAPL",), horizon=5)
    assert read("and how risky is my book?", ("AAPL",), {}, previous=before).kind is Kind.BOOK
    assert read("how much of the book is it?", ("AAPL",), {}, previous=before).tickers == ("AAPL",)
    assert read("how risky is my book?", ("AAPL",), {}, previous=before).horizon == 5
    with pytest.raises(UsageError, match="expected a ticker"):
        read("how risky is it?", ("AAPL",), {})


async def test_the_book_is_answered_checked_and_replayed(desk: Desk) -> None:
    report = await desk.ask(BOOK, "2022-06-30")
    (risk,) = report.findings
    assert isinstance(risk, Finding)
    assert len(risk.claims) == 6
    assert report.headline.startswith("At {E1.confidence} confidence the book loses no more than")
    for claim in (report.headline, *risk.claims):
        assert faults(claim, report.by_id) == []
    assert (report.view, report.verdicts) == ("", ())
    assert (await desk.replay(report.run)).same_as(report)
    shown = page.page(report)
    assert "The book under stress" in shown
    assert "What adds to the book&#39;s risk" in shown


async def test_limits_stand_in_every_report_and_replay(make_desk: MakeDesk) -> None:
    desk = limited(make_desk(), TIGHT)
    for question in (BOOK, "How is KO doing?"):
        report = await desk.ask(question, "2022-06-30")
        assert {v.limit: v.status for v in report.verdicts} == {
            "gross_value": "breach",
            "single_position": "pass",
            "value_at_risk": "breach",
        }
        assert (await desk.replay(report.run)).same_as(report)
        lines = " ".join(text.report(report).split())
        assert "Limits: 2 broken, 1 kept" in lines
        assert "BROKEN gross value is $2.90 million" in lines
        assert "over by $1.90 million" in lines
        assert 'class="oo-breach">broken' in page.page(report)
    first, second = desk.runs()
    assert desk.load(first).manifest.limits == desk.load(second).manifest.limits == TIGHT
    third = (await limited(desk, Limits()).ask("How is KO doing?", "2022-06-30")).run
    lines = list(diff(desk.load(second), desk.load(third)))
    assert lines[1] == "differ in: limits"
    assert lines[2].startswith("  - limits: {'gross_value': 1000000.0,")


async def test_a_coordinator_cannot_override_a_limit(make_desk: MakeDesk, speaker: Speaker) -> None:
    """It says that all is well; the verdict stands all the same, and so does it where no coordinator speaks."""
    claim = "All limits are kept: the gross value of {E42.gross_value} is fine."
    for liar in (speaker([], {"headline": claim, "claims": [claim]}), speaker([], {"nonsense": 1})):
        report = await limited(make_desk({"coordinator": liar}), TIGHT).ask("How is KO doing?", "2022-06-30")
        assert [v.status for v in report.verdicts] == ["breach", "pass", "breach"]
        assert "Limits: 2 broken, 1 kept" in text.report(report)


async def test_limits_that_cannot_be_measured_are_not_passed(make_desk: MakeDesk, sample_home: Path) -> None:
    report = await limited(make_desk(), TIGHT).ask("How is KO doing?", "2019-06-28")
    assert {v.status for v in report.verdicts} == {"unmeasured"}
    assert "NOT MEASURED" in text.report(report)
    assert "needs positions" in text.report(report)
