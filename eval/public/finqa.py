"""FinQA and ConvFinQA: questions over a page of a filing, whose answer is worked out.

The label is what the gold program gives. Where the annotator's own text is there, it says how finely the answer is
rounded; a row without it is marked unverified. A percentage is expected as a fraction, whichever way it was labelled.
"""

import re
from collections.abc import Iterator

from openoutcry.eval.arithmetic import worked_out
from openoutcry.eval.public.labels import Printed, near, printed
from openoutcry.eval.public.rows import Row, Rows, named
from openoutcry.eval.public.worked import asked, table
from openoutcry.eval.scenario import Expect, FigureExpected, Scenario, Seat

FILE, HARD, TURNS = "finqa/finqa_dev_sample.jsonl", "finqa/finqa_hard.jsonl", "finqa/convfinqa.jsonl"
YES_OR_NO = {"yes": "no", "no": "yes"}
_LAST_STEP = re.compile(r"(\w+)\(([^()]*)\)\s*$")
_ADDITIVE = frozenset({"add", "subtract", "table_average", "table_sum", "table_max", "table_min"})
_ASSIGNED = re.compile(r"\s*(\w+)\s*=\s*(.+)")
UNVERIFIED = "no_annotator_text"


class Page(Row):
    """A row of FinQA."""

    id: str
    ticker: str
    pre_text: str
    table: tuple[tuple[str, ...], ...]
    post_text: str
    question: str
    gold_program: str
    answer: str
    answer_text: str | None = None
    label_check: str = ""

    @property
    def context(self) -> str:
        """The page as it is read."""
        return "\n\n".join((self.pre_text, table(self.table), self.post_text))


class Conversation(Row):
    """A row of ConvFinQA: questions that build on each other, a program each."""

    id: str
    ticker: str
    questions: tuple[str, ...]
    python_programs: tuple[str, ...]
    final_answer: str
    text: str
    table: str

    @property
    def context(self) -> str:
        """The page as it is read."""
        return f"{self.text}\n\n{self.table}"


def finqa(rows: Rows) -> Iterator[Scenario]:
    """A case a row of the development sample."""
    return rows.cases(FILE, Page, lambda row: [_of_page(row, "finqa")])


def finqa_hard(rows: Rows) -> Iterator[Scenario]:
    """A case a row of those that another model got wrong."""
    return rows.cases(HARD, Page, lambda row: [_of_page(row, "finqa_hard")])


def convfinqa(rows: Rows) -> Iterator[Scenario]:
    """A case a conversation: its last question, with the ones before and their gold answers told."""
    return rows.cases(TURNS, Conversation, lambda row: [_of_conversation(row)])


def _of_page(row: Page, name: str) -> Scenario:
    step = _LAST_STEP.search(row.gold_program)
    if step is None:
        raise ValueError(f"expected a program that ends in a step, got {row.gold_program[:60]!r}")
    points = _in_points(step[1], step[2], row.context)
    unverified = " (unverified)" if row.label_check == UNVERIFIED else ""
    return _case(
        (named(name, row.id), f"{step[1]}{unverified}", row.ticker, f"{name} {row.id}, MIT; label: {row.label_check}"),
        (row.context, row.question),
        row.answer,
        (printed(row.answer_text or ""), points),
    )


def _of_conversation(row: Conversation) -> Scenario:
    if len(row.questions) != len(row.python_programs) or not row.questions:
        raise ValueError(f"expected a program a question, got {len(row.python_programs)} for {len(row.questions)}")
    told = "".join(
        f"\nQ: {question}\nA: {answer}"
        for question, program in zip(row.questions[:-1], row.python_programs, strict=False)
        if (answer := _ran(program))
    )
    context = f"{row.context}\n\nAsked and answered before:{told}" if told else row.context
    turns = f"{len(row.questions)} turns"
    return _case(
        (named("convfinqa", row.id), turns, row.ticker, f"convfinqa {row.id}, MIT; label: the program's result"),
        (context, row.questions[-1]),
        row.final_answer,
        (None, _ends_in_points(row)),
    )


def _case(
    names: tuple[str, str, str, str], put: tuple[str, str], answer: str, label: tuple[Printed | None, bool]
) -> Scenario:
    id_, category, cluster, source = names
    other = YES_OR_NO.get(answer.casefold())
    if other:
        expect = Expect(contains=(rf"\b{answer}\b",), not_contains=(rf"\b{other}\b",))
    else:
        expect = Expect(figures=(_expected(float(answer), *label),))
    return Scenario(
        id=id_,
        category=category,
        cluster=cluster,
        seat=Seat.MODEL,
        bare=asked(*put, worked=not other),
        expect=expect,
        source=source,
    )


def _expected(value: float, text: Printed | None, points: bool) -> FigureExpected:
    """The result of the program, held as finely as the annotator's *text* is rounded.

    *points*: the program gives points of a hundred. Where the annotator wrote a percentage, its size decides that.
    """
    if text and text.percent:
        points = abs(abs(value) - abs(text.value)) < abs(abs(value) - abs(text.fraction))
    value = value / 100 if points else value
    rounded = text is not None and 1e-9 < abs(text.fraction - value) <= text.rounding * 1.001
    return near(value, text.rounding if text and rounded else 0.0)


def _in_points(step: str, operands: str, context: str) -> bool:
    """Whether a program's last step gives points of a hundred, by what it is and what it is made of.

    A multiplication by a hundred does, and a sum, difference or mean of numbers that the page writes with a sign.
    """
    if step == "multiply":
        return "const_100" in [part.strip() for part in operands.split(",")]
    return step in _ADDITIVE and _signed(operands, context)


def _ends_in_points(row: Conversation) -> bool:
    """The same of a conversation: its last line multiplies by a hundred for a percentage, or adds up such numbers."""
    last = row.python_programs[-1].rsplit("=", 1)[-1]
    if re.search(r"\*\s*100\b", last):
        return "percent" in row.questions[-1].casefold()
    return "/" not in last and "*" not in last and _signed(last, row.context)


def _signed(operands: str, context: str) -> bool:
    numbers = re.findall(r"(?<![\w.#])\d+\.?\d*(?![\w%])", operands)
    return bool(numbers) and all(re.search(rf"(?<![\d.,]){re.escape(n)}\s?%", context) for n in numbers)


def _ran(program: str) -> str:
    """The result of a program of ConvFinQA, printed; empty where it is no arithmetic."""
    known: dict[str, str] = {}
    for line in program.split(";"):
        found = _ASSIGNED.fullmatch(line)
        if found is None:
            return ""
        filled = re.sub(r"\b[A-Za-z_]\w*\b", lambda name: known.get(name[0], name[0]), found[2])
        try:
            known[found[1]] = f"({worked_out(filled)!r})"
        except ValueError:
            return ""
    return f"{float(known['ans'][1:-1]):.6g}" if "ans" in known else ""
