"""TAT-QA: questions over a table and the paragraphs around it, answered by arithmetic, a count or words of the text."""

import re
from collections.abc import Iterator

from pydantic import Field

from openoutcry.eval.arithmetic import worked_out
from openoutcry.eval.public.labels import near, printed
from openoutcry.eval.public.rows import Row, Rows, named
from openoutcry.eval.public.worked import asked, table
from openoutcry.eval.scenario import Expect, FigureExpected, Scenario, Seat

FILE = "tatqa/tatqa.jsonl"
ROOM = 160
"""Characters that an answer in words may have beyond twice those of the label."""

_MONEY, _NUMBER, _END = "[$€£]?", r"\d[\d,]*(?:\.\d+)?", r"(?!\d|[.,]\d)"


class Grid(Row):
    """A table as rows of cells."""

    table: tuple[tuple[str, ...], ...]


class Paragraph(Row):
    """A paragraph around the table."""

    text: str


class Put(Row):
    """A question: `scale` is what its answer is counted in, and `derivation` how the annotator came to it."""

    uid: str
    question: str
    answer: str | tuple[str, ...]
    derivation: str = ""
    answer_type: str = Field(pattern="^(span|multi-span|arithmetic|count)$")
    scale: str = ""


class Context(Row):
    """A row: a table, its paragraphs, and what is asked about them."""

    id: str
    table: Grid
    paragraphs: tuple[Paragraph, ...]
    questions: tuple[Put, ...] = Field(min_length=1)


def tatqa(rows: Rows) -> Iterator[Scenario]:
    """A case a question; those over one table share a cluster."""
    return rows.cases(FILE, Context, lambda row: [_case(row, put) for put in row.questions])


def _case(row: Context, put: Put) -> Scenario:
    context = "\n\n".join((table(row.table.table), *(p.text for p in row.paragraphs)))
    worked = put.answer_type in ("arithmetic", "count")
    return Scenario(
        id=named("tatqa", put.uid),
        category=put.answer_type,
        cluster=row.id,
        seat=Seat.MODEL,
        bare=asked(context, put.question, worked=worked),
        expect=Expect(figures=(_figure(put),)) if worked else _words(put),
        source=f"tatqa {put.uid}, CC BY 4.0; label: an annotator's",
    )


def _figure(put: Put) -> FigureExpected:
    label = printed(put.answer) if isinstance(put.answer, str) else None
    if label is None:
        raise ValueError(f"expected a number as the answer of {put.uid}, got {put.answer!r}")
    share = 100 if put.scale == "percent" else 1
    exact = _derived(put.derivation)
    for value in (exact, exact * 100):
        if abs(value - label.value) <= label.half * 1.001:
            return near(value / share, label.half / share)
    return near(label.value / share, label.half / share)


def _derived(derivation: str) -> float:
    """What the annotator's arithmetic gives; NaN where it is none."""
    try:
        return worked_out(re.sub(r"[$€£\[\]]", "", derivation))
    except ValueError:
        return float("nan")


def _words(put: Put) -> Expect:
    """Each span of the label, in any order, and not the whole text around it; one number, and no other beside it."""
    spans = (put.answer,) if isinstance(put.answer, str) else put.answer
    unwanted = [rf"[\s\S]{{{2 * sum(map(len, spans)) + ROOM}}}"]
    if len(spans) == 1 and printed(_plain(spans[0])):
        unwanted.append(_other(_digits(_plain(spans[0])), put.question))
    return Expect(contains=tuple(_span(span) for span in spans), not_contains=tuple(unwanted))


def _other(digits: str, question: str) -> str:
    """A number that is neither the one of these *digits* nor in the question."""
    asked = [re.escape(number) for number in re.findall(_NUMBER, question)]
    return rf"(?#another number)(?<![\w.,])(?!(?:{'|'.join([digits, *asked])}){_END}){_NUMBER}"


def _span(span: str) -> str:
    """The span as a pattern: white space, quotation marks, the final stop and a sign of currency may differ."""
    plain = _plain(span)
    number = printed(plain)
    if number is not None:
        sign = rf"[-\u2212(]\s*{_MONEY}" if number.value < 0 else rf"(?<![\d.,\u2212-])(?<![\u2212-]{_MONEY[:-1]})"
        return f"{sign}{_digits(plain)}{_END}"
    return r"\s+".join(re.escape(word).replace(r"\$", r"\$?") for word in plain.split())


def _plain(span: str) -> str:
    return span.strip().strip("\"'“”").rstrip(".")


def _digits(plain: str) -> str:
    """The digits of a number, grouped in threes or not."""
    digits = re.sub(r"[^\d.]", "", plain)
    return ",?".join(re.escape(part) for part in re.split(r"(?<=\d)(?=(?:\d{3})+(?:\.|$))", digits))
