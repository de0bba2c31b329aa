"""One call of one model in place of the desk: it is told all evidence of the desk's own run, and answers at once."""

import json
import time
from typing import Any

from pydantic import Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models import Model

from openoutcry.agents.calls import Call, Recording
from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.role import NUMBERS
from openoutcry.agents.workbench import summary
from openoutcry.core.claims import faults, references
from openoutcry.core.deadline import within
from openoutcry.core.report import Dropped, Lean, Report
from openoutcry.eval import arms
from openoutcry.eval.failures import told
from openoutcry.eval.lineup import Seeded
from openoutcry.eval.outcome import Played
from openoutcry.eval.scorers import FLOWS_OWN
from openoutcry.eval.stage import ROLE_SECONDS

INSTRUCTIONS = f"""\
You answer for a trading desk by yourself. You get the question and the figures of all evidence that was measured.
Answer the question in one sentence, then give what supports it and what speaks against it, and your direction for the
first ticker over the horizon. Use only figures that are listed.
{NUMBERS}"""


class Answered(Synthesis):
    """The answer of one call: the coordinator's form, and a direction."""

    lean: Lean = Field(default=Lean.NONE, description="direction of the first ticker over the horizon; none if no view")


class OneCall:
    """A model that is asked once a turn."""

    def __init__(self, model: Model) -> None:
        native = model.profile.get("default_structured_output_mode") == "native"
        form: Any = NativeOutput(Answered) if native else Answered
        self._model = model
        self._agent: Agent[None, Answered] = Agent(
            output_type=form, instructions=INSTRUCTIONS, retries=0, name="one_call"
        )

    async def ask(self, played: Played, epoch: int) -> Played:
        """What it says over the evidence of *played*, whose roles' findings and view it is not told.

        Sentences that are not grounded are left out, and nothing is asked twice. A turn that the desk itself refused
        stays as it is.
        """
        if (report := played.report) is None or report.declined:
            return played.model_copy(update={"calls": (), "seconds": 0.0})
        start, calls = time.perf_counter(), list[Call]()
        model = Recording(Seeded(self._model, epoch), arms.ONE_CALL, calls)
        try:
            async with within(ROLE_SECONDS):
                result = await self._agent.run(_prompt(report), model=model)
            spoken, failure = _grounded(played, result.output), ""
        except Exception as error:
            spoken, failure = arms.told(played, arms.ONE_CALL, (), Lean.NONE), told(error)
        kept = tuple(call.model_dump(mode="json") for call in calls)
        seconds = round(time.perf_counter() - start, 4)
        return spoken.model_copy(update={"calls": kept, "seconds": seconds, "failure": failure})


def _prompt(report: Report) -> str:
    question = report.question
    measured = [e for e in report.evidence if e.id[0] == "E" and e.tool not in FLOWS_OWN]
    return json.dumps(
        {
            "question": question.text,
            "kind": str(question.kind),
            "tickers": list(question.tickers),
            "view": "",
            "findings": [],
            "evidence": [summary(e) for e in measured],
            "memories": [],
        }
    )


def _grounded(played: Played, answer: Answered) -> Played:
    assert played.report is not None
    evidence = played.report.by_id
    said = [*([answer.headline] if answer.headline else []), *answer.claims]
    wrong = {text: "; ".join(faults(text, evidence)) or "no reference" for text in said if _loose(text, played.report)}
    spoken = arms.told(played, arms.ONE_CALL, [text for text in said if text not in wrong], answer.lean)
    assert spoken.report is not None
    dropped = tuple(Dropped(role=arms.ONE_CALL, claim=text, reason=why) for text, why in wrong.items())
    return spoken.model_copy(update={"report": spoken.report.model_copy(update={"dropped": dropped})})


def _loose(text: str, report: Report) -> bool:
    return bool(faults(text, report.by_id)) or not references(text)
