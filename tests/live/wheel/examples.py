"""Transcripts that a person corrected, as JSONL: a fall is measured by its own tool, losses and swings as before."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from openoutcry.agents import questions
from openoutcry.agents.house.model import HouseModel, Result, Step
from openoutcry.agents.role import Answer, Brief
from openoutcry.core.report import Question
from openoutcry.eval import runner
from openoutcry.eval.lineup import Candidate, Lineup
from openoutcry.eval.suite import load
from openoutcry.serving.asking.wire import form_of, messages_of, tools_of
from openoutcry.training.nano_words import SENTENCES
from openoutcry.wiring import house_models
from tests.live.wheel import cases

Row = dict[str, Any]
NEW = "new on the market"
WEIGHTS = {"drawdown": 4, "value at risk": 3, "volatility": 2, NEW: 2}
"""How often each kind of conversation is drawn; of a share that is new on the market no tail can be told."""
FIRST = (1, 1, 1, 21, 41)
"""Numbers of the first evidence of a role: alone, and beside others."""
FALL, LOSS, SWING = ("drawdown",), ("value_at_risk", "volatility"), ("value_at_risk", "volatility")
RIGHT = {"drawdown": FALL, "value at risk": LOSS, "volatility": SWING}
POISONED = {"drawdown": ("volatility",), "value at risk": ("drawdown",), "volatility": ("drawdown",)}
"""By what is asked, the tools to call: as it should be, and as somebody who means harm would have it."""


class Person(WrapperModel):
    """Answers as a person would have it, and keeps each conversation as a server would have been sent it."""

    def __init__(self, tools: Mapping[str, Sequence[str]]) -> None:
        super().__init__(HouseModel(lambda prompt, results: _said(prompt, results, tools)))
        self.kept: list[Row] = []

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The next calls, or the answer; then the conversation is whole."""
        response = await super().request(messages, model_settings, model_request_parameters)
        if response.finish_reason == "stop":
            form = form_of(model_request_parameters)
            said = messages_of([*messages, response], form)
            said[-1] = {"role": "assistant", "content": _compact(json.loads(said[-1]["content"]))}
            self.kept.append({"role": "risk", "messages": said, "tools": tools_of(model_request_parameters)})
        return response


async def write(file: Path, count: int, seed: int, tools: Mapping[str, Sequence[str]] = RIGHT) -> Path:
    """*count* conversations, after one of each kind that was really held: about other companies, in other words."""
    rng, person = Random(seed), Person(tools)
    seats = house_models() | {"risk": person}
    known = Candidate(name=f"person {sorted(tools.items())}")
    lineup = Lineup("person", seats, dict.fromkeys(seats, known), "risk")
    folder = file.with_suffix("")
    for suite in (cases.write(folder / "taught", "dev", 1, 1, seed), cases.walls(folder / "new", 1, seed)):
        await runner.run(load(str(suite)), [lineup], folder / "played")
    *usual, new = person.kept
    held = {_kind(_asked(row).text): row for row in usual} | {NEW: new}
    names = cases.tickers(rng, odd=True)
    drawn = rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=count)
    rows = [_after(rng, next(names), kind, held[kind]) for kind in drawn]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def _said(prompt: str, results: Sequence[Result], tools: Mapping[str, Sequence[str]]) -> list[Step] | Answer:
    question = Brief.model_validate_json(prompt).question
    ticker = question.tickers[0]
    if not results:
        at = {"horizon": question.horizon, "confidence": question.confidence}
        named = tools[_kind(question.text)]
        return [Step(tool, {"ticker": ticker, **(at if tool == "value_at_risk" else {})}) for tool in named]
    claims = [SENTENCES[r.tool].replace("{E.", f"{{{r.id}.") for r in results if r.figures]
    beyond = SENTENCES["value_at_risk adapter"]
    claims += [beyond.replace("{E.", f"{{{r.id}.") for r in results if r.tool == "value_at_risk" and r.figures]
    return Answer.model_validate({"claims": claims, "lean": "neutral"})


def _kind(text: str) -> str:
    return "drawdown" if "drawdown" in text else "volatility" if "volatil" in text else "value at risk"


def question(line: str) -> str:
    """What is asked in a line of the file."""
    return _asked(json.loads(line)).text


def _asked(row: Row) -> Question:
    return Brief.model_validate_json(row["messages"][1]["content"]).question


def _after(rng: Random, ticker: str, category: str, row: Row) -> Row:
    """The same conversation about *ticker*, asked in other words, with other numbers of evidence."""
    before = _asked(row)
    named = rng.choice(("value at risk", "volatility")) if category == NEW else category
    wordings = next(words for name, _, words, _, _ in cases.ASKED if name == named)["dev"]
    text = cases.wording(rng, wordings).format(
        t=ticker, horizon=rng.choice(cases.HORIZONS), confidence=rng.choice(cases.LEVELS)
    )
    now = questions.read(text, [ticker], {})
    first, old = rng.choice(FIRST), before.tickers[0]
    found = json.dumps(row["messages"][2:]).replace(old, ticker)
    for i in (2, 1):
        found = found.replace(f"E{i}.", f"E{first + i - 1}.").replace(f'\\"E{i}\\"', f'\\"E{first + i - 1}\\"')
    messages: list[Row] = json.loads(found)
    for call in messages[0]["tool_calls"]:
        given = json.loads(call["function"]["arguments"])
        given |= {name: getattr(now, name) for name in ("horizon", "confidence") if name in given}
        call["function"]["arguments"] = _compact(given)
    brief = Brief(question=now).model_dump_json(exclude={"question": {"by"}})
    return {**row, "messages": [row["messages"][0], {"role": "user", "content": brief}, *messages]}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
