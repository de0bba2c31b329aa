"""Answers of another set-up, as recorded in a file of JSON lines: read, found by question, and written."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from openoutcry.core.durable import put
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Figure, Frozen
from openoutcry.eval.outcome import Played, Transcript
from openoutcry.eval.scenario import Scenario

MISSING = "missing: no answer is recorded"
EMPTY = "schema: an answer without a word"
SEAT = "model"
Given = Field(default=None, ge=0)


class Row(Frozen):
    """One answer. It is known by `case` and `turn`, else by its question and, where that is given, its as-of.

    `figures` may stand beside the text or in place of it. Seconds and tokens that are not given are told as not
    recorded. Several rows of one question are its epochs, in their order.
    """

    question: str
    as_of: str = ""
    case: str = ""
    turn: int = Field(default=0, ge=0)
    answer: str = ""
    figures: tuple[Figure, ...] = ()
    seconds: float | None = Given
    tokens_in: int | None = Given
    tokens_out: int | None = Given
    model: str = ""
    failure: str = ""


class Recorded:
    """Answers from a file, as one side of an A/B. Nothing is sent."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.rows = read(path)
        self._by: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            self._by.setdefault(_key(row.case, row.turn) if row.case else _words(row.question, row.as_of), []).append(
                row
            )

    async def ask(self, scenario: Scenario, turns: Sequence[Played], epoch: int) -> list[Played]:
        """What is recorded for the turns of a case; where nothing is, that is its failure."""
        return [self._turn(scenario, number, turn.question, epoch) for number, turn in enumerate(scenario.asked)]

    def _turn(self, scenario: Scenario, number: int, question: str, epoch: int) -> Played:
        row = self.find(scenario, number, question, epoch)
        if row is None:
            return Played(question=question, failure=MISSING)
        call = {
            "role": SEAT,
            "model": row.model,
            "response": {"usage": {"input_tokens": row.tokens_in or 0, "output_tokens": row.tokens_out or 0}},
            "seconds": row.seconds or 0.0,
        }
        return Played(
            question=question, text=row.answer, seconds=row.seconds or 0.0, calls=(call,), failure=row.failure
        )

    def figures(self, scenario: Scenario, turn: int, question: str, epoch: int) -> tuple[Figure, ...]:
        """The figures that are recorded as such."""
        row = self.find(scenario, turn, question, epoch)
        return row.figures if row else ()

    def find(self, scenario: Scenario, turn: int, question: str, epoch: int) -> Row | None:
        """The row of a turn in an epoch; where fewer epochs are recorded, the last of them again."""
        keys = _key(scenario.id, turn), _words(question, scenario.as_of or ""), _words(question, "")
        rows = next((self._by[key] for key in keys if key in self._by), list[Row]())
        return rows[min(epoch, len(rows) - 1)] if rows else None


def _key(case: str, turn: int) -> tuple[str, ...]:
    return case, str(turn)


def _words(question: str, as_of: str) -> tuple[str, ...]:
    return "", " ".join(question.casefold().split()), as_of


def read(path: Path) -> list[Row]:
    """The rows of a file. Raises UsageError where it cannot be read, DataError for a line that is no such row."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"expected recorded answers in {path}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"expected {path} to be JSON lines in UTF-8, and it is not") from None
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"expected recorded answers in {path}, found none; `outcry ab record` writes such a file")
    return rows


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise DataError(
            f"{path}:{number}: {where}: {first['msg']}; expected an answer such as "
            '{"question": "...", "answer": "...", "seconds": 1.2, "tokens_in": 900, "tokens_out": 60, "model": "..."}'
        ) from None
    if not (row.answer or row.figures or row.failure):
        raise DataError(f"{path}:{number}: expected an answer, figures or a failure, got none of them")
    return row


def rows(cases: Sequence[tuple[Scenario, Transcript]], texts: Sequence[Sequence[str]]) -> list[Row]:
    """The rows of cases that were played, with what was said in each turn."""
    return [
        _of(scenario, number, turn, text)
        for (scenario, kept), said in zip(cases, texts, strict=True)
        for number, (turn, text) in enumerate(zip(kept.turns, said, strict=True))
    ]


def _of(scenario: Scenario, number: int, turn: Played, text: str) -> Row:
    usage: list[dict[str, Any]] = [call["response"].get("usage") or {} for call in turn.calls]
    return Row(
        question=turn.question,
        as_of=scenario.as_of or "",
        case=scenario.id,
        turn=number,
        answer=text,
        seconds=turn.seconds,
        tokens_in=sum(int(one.get("input_tokens") or 0) for one in usage),
        tokens_out=sum(int(one.get("output_tokens") or 0) for one in usage),
        model=next((str(call["model"]) for call in turn.calls), ""),
        failure=turn.failure or ("" if text else EMPTY),
    )


def write(path: Path, found: Sequence[Row]) -> None:
    """Write a file of rows, whole or not at all."""
    lines = (json.dumps(row.model_dump(mode="json", exclude_defaults=True)) for row in found)
    put(path, "".join(f"{line}\n" for line in lines).encode())
