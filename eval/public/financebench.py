"""FinanceBench: an analyst's questions over pages of filings. For evaluation only, by its licence.

A label that is one number is checked as a number, as finely as it is printed; every other one by a judge.
"""

from collections.abc import Iterator

from pydantic import Field

from openoutcry.eval.public.labels import near, printed
from openoutcry.eval.public.rows import Row, Rows, named
from openoutcry.eval.public.worked import asked
from openoutcry.eval.scenario import Bare, Expect, Scenario, Seat

FILE = "financebench/financebench_open.jsonl"
SAY = "Answer the question from the pages alone, in a few sentences."


class Page(Row):
    """A piece of a filing that holds the answer."""

    evidence_text: str


class Put(Row):
    """A row: a question, its label, and the pages that it is answered from."""

    financebench_id: str
    ticker: str
    doc_name: str
    question: str
    answer: str = Field(min_length=1, max_length=3800)
    question_type: str
    evidence: tuple[Page, ...] = Field(min_length=1)


def financebench(rows: Rows) -> Iterator[Scenario]:
    """A case a row."""
    return rows.cases(FILE, Put, lambda row: [_case(row)])


def _case(row: Put) -> Scenario:
    context = "\n\n".join(page.evidence_text for page in row.evidence)
    label = printed(row.answer, padded=True) if row.question_type == "metrics-generated" else None
    if label is not None:
        bare, how = asked(context, row.question), "a number"
        expect = Expect(figures=(near(label.fraction, label.rounding),))
    else:
        bare = Bare(instructions=SAY, prompt=f"{context}\n\nQuestion: {row.question}")
        expect, how = Expect(rubric=(f"The answer agrees with this reference: {row.answer}",)), "judged"
    return Scenario(
        id=named("financebench", row.financebench_id),
        category=f"{row.question_type} ({how})",
        cluster=row.ticker,
        seat=Seat.MODEL,
        bare=bare,
        expect=expect,
        source=f"financebench {row.financebench_id}, {row.doc_name}, CC BY-NC 4.0, evaluation only; {how}",
    )
