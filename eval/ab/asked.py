"""The other side of an A/B where it is a model: asked the question alone, or told the desk's evidence as well."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import Model

from openoutcry.agents.calls import Call, Recording
from openoutcry.core.deadline import within
from openoutcry.eval.failures import told
from openoutcry.eval.lineup import Seeded
from openoutcry.eval.one_call import OneCall
from openoutcry.eval.outcome import Played
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.stage import ROLE_SECONDS

SEAT = "model"
INSTRUCTIONS = """\
Answer the question of a trading desk. State each figure in digits, with its unit and two decimals. Where you do not
know, say so."""
UNTOLD = "no evidence: the desk failed and gave none"


class Other(Protocol):
    """One side of an A/B, under its name."""

    name: str

    async def ask(self, scenario: Scenario, turns: Sequence[Played], epoch: int) -> list[Played]:
        """What it says in each turn of *scenario*; what fails is in the turn's `failure`.

        *turns* are those of the desk, fewer where it failed before the end.
        """
        ...


class Alone:
    """A model that sees the questions, one after another, and nothing else."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self._model = name, model

    async def ask(self, scenario: Scenario, turns: Sequence[Played], epoch: int) -> list[Played]:
        """Its answers; a turn that fails ends the conversation."""
        messages, found = list[ModelMessage](), list[Played]()
        for turn in scenario.asked:
            found.append(await self._turn(turn.question, scenario.as_of, messages, epoch))
            if found[-1].failure:
                break
        return found

    async def _turn(self, question: str, as_of: str | None, messages: list[ModelMessage], epoch: int) -> Played:
        start, calls = time.perf_counter(), list[Call]()
        words = f"{question}\n(as of {as_of})" if as_of else question
        messages.append(ModelRequest(parts=[UserPromptPart(words)], instructions=INSTRUCTIONS))
        text, failure = "", ""
        try:
            async with within(ROLE_SECONDS):
                response = await model_request(Recording(Seeded(self._model, epoch), SEAT, calls), messages)
            messages.append(response)
            text = (response.text or "").strip()
            failure = "" if text else "schema: expected text, got none"
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = told(error)
        kept = tuple(call.model_dump(mode="json") for call in calls)
        seconds = round(time.perf_counter() - start, 4)
        return Played(question=question, text=text, failure=failure, calls=kept, seconds=seconds)


class Told:
    """A model that is told the evidence of the desk's run, and answers in one call (`eval.one_call`)."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self._model = name, OneCall(model)

    async def ask(self, scenario: Scenario, turns: Sequence[Played], epoch: int) -> list[Played]:
        """Its answers over the evidence of each turn; one that the desk refused stays refused."""
        told = [turn for turn in turns if turn.report or turn.refused]
        untold = [Played(question=turn.question, failure=UNTOLD) for turn in scenario.asked[len(told) :]]
        return [*[await self._model.ask(turn, epoch) for turn in told], *untold]
