"""Why a case has no answer to score, in a word and a line, told apart from an honest no.

timeout   no answer in time            schema   an answer that is not what its form asks for
model     its server gave none         crash    a fault of this package
judge     the judge gave no verdict    case     the case's own data or question is at fault
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from itertools import takewhile
from typing import Any

from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from openoutcry.agents.calls import DEADLINE, INVALID, OUTPUT, Call, Failed, why
from openoutcry.agents.team import NOTHING, UNGROUNDED
from openoutcry.core.errors import ModelCutShort, ModelError, ModelGarbled, ModelTooSlow, OutcryError
from openoutcry.core.report import Finding, Report

NOTED: ContextVar[dict[str, str]] = ContextVar("noted")
"""By seat, the kind of the last failure of its model in the case that is being played."""


class Noted(WrapperModel):
    """Passes requests on, and notes of what kind a failure was: a report holds its words alone."""

    def __init__(self, wrapped: Model, seat: str) -> None:
        super().__init__(wrapped)
        self._seat = seat

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model."""
        try:
            return await super().request(messages, model_settings, model_request_parameters)
        except Exception as error:
            NOTED.get({})[self._seat] = kind(error)
            raise


def kind(error: BaseException) -> str:
    """The kind of a failure that was raised."""
    if isinstance(error, TimeoutError | ModelTooSlow):
        return "timeout"
    if isinstance(error, UnexpectedModelBehavior | ModelGarbled | ModelCutShort):
        return "schema"
    return "model" if isinstance(error, ModelError | Failed) or why(error)[:9] != "it failed" else "crash"


def told(error: BaseException) -> str:
    """A failure that was raised, as an outcome says it. Faults of ours by their class: their text could hold data."""
    name = kind(error)
    if name == "crash":
        return f"case: {error}" if isinstance(error, OutcryError) else f"crash: {type(error).__name__}"
    return f"{name}: {why(error)}"


def of_report(
    report: Report, scripted: Mapping[str, object], reads: int, calls: Sequence[Call], deadline: str = DEADLINE
) -> str:
    """Why seats that are not *scripted* gave no answer, where that was not an honest no; nothing where all did.

    *reads* counts the documents that the reader gave a reading of; *deadline* says that a role's passed, and which.
    """
    noted = NOTED.get({})
    for found in report.findings:
        if not isinstance(found, Finding) and found.role not in scripted and found.reason != NOTHING:
            reason = deadline if found.reason == DEADLINE else found.reason
            return f"{noted.get(found.role) or _kind_of(found.reason)}: {found.role}: {reason}"
    for one in report.stood_in:
        return f"model: {one.role}: {one.answered} stood in for {one.model}: {one.reason}"
    given = [call for call in calls if call.role == "reader"]
    if unread := sum(not sent_back(call.prompt) for call in given) - reads:
        reason = next((call.failure for call in given if call.failure), INVALID)
        said = deadline if reason == DEADLINE else reason
        return f"{noted.get('reader') or _kind_of(reason)}: reader: {unread} documents without a reading: {said}"
    return ""


def sent_back(prompt: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a request returns an answer, or the arguments of a call, to their model to be given again.

    pydantic-ai returns them as a prompt of its own or as what the call gave; a tool of ours gives an object.
    """
    newest = takewhile(lambda line: line["part"] not in ("tool-call", "text"), reversed(prompt))
    return any(
        line["part"] == "retry-prompt"
        or (
            line["part"] == "tool-return" and (line.get("tool_name") == OUTPUT or not isinstance(line["content"], dict))
        )
        for line in newest
    )


def _kind_of(reason: str) -> str:
    if reason == DEADLINE:
        return "timeout"
    if reason in (INVALID, UNGROUNDED):
        return "schema"
    return "crash" if reason.startswith("it failed") else "model"
