"""The desk beside another set-up: what prose states, what is recorded, and what both sides are scored by."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from openoutcry import wiring
from openoutcry.core.errors import DataError, ModelUnreachable, UsageError
from openoutcry.core.evidence import Figure, Unit, show
from openoutcry.core.settings import Cost
from openoutcry.core.sync import run_sync
from openoutcry.eval.ab.asked import UNTOLD, Alone
from openoutcry.eval.ab.played import Match, asked, fair, play
from openoutcry.eval.ab.prose import checks
from openoutcry.eval.ab.recorded import MISSING, Recorded, Row, write
from openoutcry.eval.ab.result import Result, result
from openoutcry.eval.ab.stated import stated
from openoutcry.eval.cost.prices import Prices
from openoutcry.eval.lineup import Candidate
from openoutcry.eval.outcome import Played
from openoutcry.eval.scenario import Expect, FigureExpected, Scenario
from openoutcry.eval.suite import Suite

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def wanted(value: float | str, unit: str | None = None, **more: Any) -> FigureExpected:
    return FigureExpected.model_validate({"value": value, "unit": unit, **more})


def said(text: str, figure: FigureExpected, question: str = "") -> bool:
    (check,) = checks(Expect(figures=(figure,)), question, text)
    return check.ok


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("The VaR is 8.03 %.", 0.08029, "fraction"),
        ("about 8%, I think", 0.0803, "fraction"),
        ("803 basis points", 0.0803, "fraction"),
        ("a probability of 0.573", 0.5731, "probability"),
        ("it fell 23.4 percent", -0.2340, "fraction"),
        ("a drawdown of \u221223.4 %", -0.2340, "fraction"),
        ("it lost $1,234,567.89", 1234567.89, "usd"),
        ("revenue was US$ 1.25 billion.", 1.25e9, "usd"),
        ("EPS came to 6.11 dollars", 6.11, "usd_per_share"),
        ("trades at 27.31x earnings", 27.31, "multiple"),
        ("in 30 sessions", 30, "count"),
        ("a beta of 1.21 (raw)", 1.2123, "number"),
        ("1e-3 of it", 0.001, "number"),
        ("It is AAPL.", "AAPL", "text"),
    ],
)
def test_a_figure_that_prose_states(text: str, value: float | str, unit: str) -> None:
    assert said(text, wanted(value, unit))


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("The VaR is 8.10 %.", 0.0803, "fraction"),
        ("about 8 %", 0.0849, "fraction"),
        ("about 9%", 0.0851, "fraction"),
        ("The VaR is 8.03 USD.", 0.0803, "fraction"),
        ("The VaR is 8.03.", 0.0803, "fraction"),
        ("a loss of 8", 0.0803, "fraction"),
        ("it rose 23.4 percent", -0.2340, "fraction"),
        ("-23.4 %", 0.2340, "fraction"),
        ("1.25 billion", 1.25e9, "usd"),
        ("$1.25 million", 1.25e9, "usd"),
        ("on 2022-06-30", 30, "count"),
        ("on June 30, 2022", 30, "count"),
        ("as of 30 June 2022", 2022, "count"),
        ("see [E30.n]", 30, "count"),
        ("version 1.30.2", 30, "count"),
        ("model A30", 30, "count"),
        ("12,30 of it", 30, "count"),
        ("It is AAPLX.", "AAPL", "text"),
        ("", 0.0, "fraction"),
    ],
)
def test_digits_that_are_not_the_figure(text: str, value: float | str, unit: str) -> None:
    assert not said(text, wanted(value, unit))


def test_a_loss_may_be_written_with_a_minus() -> None:
    assert said("VaR: -8.03 %", wanted(0.0803, "fraction", name="var"))
    assert not said("return: -8.03 %", wanted(0.0803, "fraction", name="total_return"))


def test_a_number_of_the_question_is_no_answer() -> None:
    figure = wanted(0.99, "probability")
    assert not said("At 99% confidence it is bad.", figure, "How bad is it at 99% confidence?")
    assert said("The chance is 99%.", figure, "What is the chance?")


def test_a_list_of_everything_is_no_answer() -> None:
    few, many = (" ".join(f"{i + 0.25} %," for i in range(n)) for n in (10, 60))
    assert said(few, wanted(0.0525, "fraction"))
    assert not said(many, wanted(0.0525, "fraction"))


def test_bounds_hold_for_prose_as_well() -> None:
    inside = FigureExpected(low=0.05, high=0.10, unit=Unit.FRACTION)
    assert (said("7 %", inside), said("11 %", inside)) == (True, False)


@given(
    st.floats(min_value=-0.9, max_value=5e12, allow_nan=False).filter(lambda v: abs(v) > 1e-3),
    st.sampled_from([Unit.FRACTION, Unit.USD, Unit.USD_PER_SHARE, Unit.MULTIPLE, Unit.COUNT, Unit.NUMBER]),
)
def test_what_the_desk_writes_is_read_back(value: float, unit: Unit) -> None:
    value = float(round(value)) if unit is Unit.COUNT else value
    text = f"The figure is {show(Figure(value=value, unit=unit))} [E1.figure]."
    (read,) = stated(text)
    assert read.fits(wanted(value, unit))
    assert not read.fits(wanted(value * 1.02 + 1, unit)) or abs(value) < 1e-2


class Stopped(BaseException):
    """What ends a process in the middle of a question."""


class Seats:
    """House rules under their name, and under any other a model that says the texts in turn; the last goes on."""

    def __init__(self, *texts: str) -> None:
        self._house, self.asked = wiring.house_models(), list[list[ModelMessage]]()
        self._texts = list(texts or ["The VaR is 2.00 %."])

    def seated(self, role: str, name: str) -> tuple[Model, Candidate]:
        if name == "house":
            return self._house[role], Candidate(name=name)
        return FunctionModel(self._respond, model_name="openai:gpt-4o"), Candidate(name=name, digest=name)

    def sitting(self, role: str) -> str:
        return "house"

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        yield

    async def engines(self) -> dict[str, str]:
        return {}

    def memory(self, *names: str) -> int:
        return 0

    async def _respond(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.asked.append(messages)
        text = self._texts.pop(0) if len(self._texts) > 1 else self._texts[0]
        if text == "stop":
            raise Stopped
        if text == "down":
            raise ModelUnreachable("nothing answers")
        usage = RequestUsage(input_tokens=1000, output_tokens=100)
        if info.output_tools:
            return ModelResponse([ToolCallPart(info.output_tools[0].name, json.loads(text))], usage=usage)
        return ModelResponse([TextPart(text)], usage=usage)


@pytest.fixture
def suite(steady: Callable[..., Scenario], suite_of: Callable[..., Suite]) -> Suite:
    """Three questions whose one-day bound is known, one scripted case and one that no prose can be judged by."""
    var = {"figures": [{"name": "var", "unit": "fraction", "low": 0.001, "high": 0.5}]}
    cases = [
        steady(
            f"var-{i}",
            cluster=f"C{i}",
            category="risk" if i else "other",
            fixture={"made": [{"situation": "steady", "seed": i}]},
            expect=var,
        )
        for i in range(3)
    ]
    scripted = steady("scripted", seat="coordinator", cast={"risk": "silent"}, expect=var)
    return suite_of(*cases, scripted, steady("tools only"[:5]))


def playing(suite: Suite, home: Path, seats: Seats, other: str | Recorded = "old", evidence: bool = False) -> Match:
    side = asked(seats, other, evidence)[0] if isinstance(other, str) else other
    return run_sync(play(fair(suite), seats, {}, side, f"{evidence}", home))


def shown(match: Match, recorded: Recorded | None = None, **more: Any) -> Result:
    how: dict[str, Any] = {"left_out": 2, "invented": 3, "at_once": 1, "told": "question", **more}
    return result(match, Prices(NOW), Cost(), None, recorded=recorded, **how)


def test_only_cases_that_prose_can_be_judged_by_are_fair(suite: Suite, suite_of: Callable[..., Suite]) -> None:
    assert [case.id for case in fair(suite).scenarios] == ["var-0", "var-1", "var-2"]
    with pytest.raises(UsageError, match="expected cases that expect a figure or words"):
        fair(suite_of(*suite.scenarios[3:]))


def test_both_sides_answer_the_same_questions(suite: Suite, tmp_path: Path) -> None:
    seats = Seats()
    match = playing(suite, tmp_path, seats)
    found = shown(match)
    calls = [call for kept in match.desk.kept for turn in kept.turns for call in turn.calls]
    assert all(call["response"]["timestamp"] for call in calls), "overlaps are told by it"
    assert len(seats.asked) == 3
    assert "How risky is Kalo" in str(seats.asked[0])
    assert (found.desk.summary.score, found.other.summary.score) == (1.0, 1.0)
    assert (found.comparison.better, found.comparison.worse, found.comparison.mcnemar) == (0, 0, 1.0)
    assert [one.name for one in found.comparison.categories] == ["other", "risk"]
    assert [(row.input, row.output) for row in found.other.rows] == [(3000, 300)]
    (price,) = found.theirs
    assert price.cost is not None
    assert price.cost.amount == 3 * (1000 * Decimal("2.5") + 100 * Decimal(10)) / 10**6
    assert found.own == 1.0


def test_a_wrong_answer_counts_against_its_side(suite: Suite, tmp_path: Path) -> None:
    found = shown(playing(suite, tmp_path, Seats("The VaR is 77.00 %.")))
    assert (found.desk.summary.score, found.other.summary.score) == (1.0, 0.0)
    assert (found.comparison.better, found.comparison.worse) == (0, 3)
    assert found.comparison.overall.difference == -1.0


def test_a_side_that_does_not_answer_says_why(suite: Suite, tmp_path: Path) -> None:
    found = shown(playing(suite, tmp_path, Seats("down")))
    assert found.other.unanswered == {"model": 3}
    assert found.other.summary.score == 0.0
    empty = shown(playing(suite, tmp_path / "empty", Seats(" ")))
    assert empty.other.unanswered == {"schema": 3}


def test_answers_are_kept_and_asked_for_once(suite: Suite, tmp_path: Path) -> None:
    first = playing(suite, tmp_path, Seats())
    again = Seats("stop")
    assert playing(suite, tmp_path, again).other == first.other
    assert again.asked == []
    with pytest.raises(Stopped):
        playing(suite, tmp_path, Seats("stop"), other="another")


def test_a_stopped_side_goes_on(suite: Suite, tmp_path: Path) -> None:
    seats = Seats("The VaR is 2.00 %.", "stop", "The VaR is 2.00 %.")
    with pytest.raises(Stopped):
        playing(suite, tmp_path, seats)
    assert shown(playing(suite, tmp_path, seats)).other.summary.score == 1.0
    assert len(seats.asked) == 4


def test_told_the_evidence_it_answers_over_that(suite: Suite, tmp_path: Path) -> None:
    seats = Seats(json.dumps({"headline": "At risk are {E3.var}.", "claims": [], "lean": "none"}))
    match = playing(suite, tmp_path, seats, evidence=True)
    assert all("value_at_risk" in str(messages) for messages in seats.asked)
    found = shown(match, told="evidence")
    assert (found.other.summary.score, found.other.unanswered) == (1.0, {})
    assert [file.parent for file in tmp_path.rglob("ab-*.sqlite")] == [match.run.folder]


def test_recorded_answers_stand_in_for_a_set_up(suite: Suite, tmp_path: Path) -> None:
    match = playing(suite, tmp_path, Seats())
    file = tmp_path / "theirs.jsonl"
    rows = [
        Row(question="?", case="var-0", answer="2.00 %", seconds=1.0, tokens_in=10, tokens_out=1, model="gpt-4o"),
        Row(question="?", case="var-1", figures=(Figure(value=0.02, unit=Unit.FRACTION),), seconds=3.0),
    ]
    write(file, rows)
    recorded = Recorded(file)
    assert recorded.rows == rows
    found = shown(playing(suite, tmp_path, Seats("stop"), other=recorded), recorded, told="recorded")
    assert found.run == match.run.folder.name
    assert (found.other.summary.score, found.other.unanswered) == (pytest.approx(2 / 3), {"missing": 1})
    assert (found.other.p50, found.other.p95, found.other.counted) == (1.0, 3.0, False)
    assert MISSING.startswith("missing")
    assert [one.model for one in found.theirs] == ["gpt-4o"]


def test_a_recorded_answer_is_found_by_its_words_and_as_of(steady: Callable[..., Scenario], tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    write(
        file,
        [
            Row(question="How  risky is KALO?", as_of="2020-01-02", answer="then"),
            Row(question="how risky is kalo?", answer="any time"),
            Row(question="how risky is kalo?", answer="second epoch"),
        ],
    )
    found, case = Recorded(file), steady()
    then = case.model_copy(update={"as_of": "2020-01-02"})
    answers = [
        found.find(one, 0, "How risky is Kalo?", epoch) for one, epoch in ((then, 0), (case, 0), (case, 1), (case, 5))
    ]
    assert [row.answer if row else None for row in answers] == ["then", "any time", "second epoch", "second epoch"]
    assert found.find(case, 0, "Something else?", 0) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found none"),
        ("{}", r":1: question: Field required"),
        ('{"question": "q", "answer": "a"}\n{"question": "q"}', r":2: expected an answer, figures or a failure"),
        ('{"question": "q", "answer": "a", "seconds": -1}', r":1: seconds: .*greater than or equal"),
        ("[1", r":1: the line: Invalid JSON"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_file_of_answers_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=said) as told:
        Recorded(file)
    assert "\n" not in str(told.value)
    with pytest.raises(UsageError, match="cannot be read"):
        Recorded(tmp_path / "nothing.jsonl")


@pytest.fixture
def talk(steady: Callable[..., Scenario]) -> Scenario:
    """Two questions, one after the other."""
    turns = [{"question": q, "expect": {"contains": ["2.00"]}} for q in ("How risky is Kalo?", "And over 5 days?")]
    return steady(as_of="2020-01-02", question="", expect={}, turns=turns)


def test_a_conversation_is_one(talk: Scenario) -> None:
    seats = Seats()
    turns = run_sync(Alone("old", seats.seated("coordinator", "old")[0]).ask(talk, [], 0))
    assert [turn.text for turn in turns] == ["The VaR is 2.00 %."] * 2
    assert [len(messages) for messages in seats.asked] == [1, 3]
    assert "as of 2020-01-02" in str(seats.asked[0])


def test_where_the_desk_fails_the_other_side_is_asked_all_the_same(talk: Scenario, tmp_path: Path) -> None:
    failed = [Played(question=talk.asked[0].question, failure="model: risk: its server gave none")]
    seats = Seats()
    told, _ = asked(seats, "old", evidence=True)
    assert [turn.failure for turn in run_sync(told.ask(talk, failed, 0))] == [UNTOLD, UNTOLD]
    assert seats.asked == []
    write(tmp_path / "a.jsonl", [Row(question="?", case=talk.id, turn=n, answer="2.00 %") for n in (0, 1)])
    for other in (asked(seats, "old", evidence=False)[0], Recorded(tmp_path / "a.jsonl")):
        assert [turn.failure for turn in run_sync(other.ask(talk, failed, 0))] == ["", ""]
