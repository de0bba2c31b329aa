"""How a question over a text and a table is put to a model that is to give the arithmetic."""

from collections.abc import Sequence

from openoutcry.eval.scenario import Bare

WORKED = """\
Answer the question from the text and the table alone, by the arithmetic that gives the answer: write the numbers as
they stand there, and do not work them out. Amounts stay in the unit of the table, such as thousands or millions,
unless the question names another. Say percent as the unit where the value is in points of a hundred (an answer of
7.7 % written 7.7), and number where it is a fraction (0.077) or no percentage."""
WORDS = """\
Answer the question from the text and the table alone, in as few words as there stand in them, copied exactly, and
write nothing else."""


def asked(context: str, question: str, *, worked: bool = True) -> Bare:
    """The request: context first, so that questions over one context share their beginning."""
    prompt = f"{context}\n\nQuestion: {question}"
    return Bare(instructions=WORKED if worked else WORDS, prompt=prompt, answer="worked" if worked else "text")


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table as text, a line a row."""
    return "\n".join(" | ".join(cell.strip() for cell in row) for row in rows)
