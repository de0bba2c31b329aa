"""A seat: the model of a role, and who answers where it fails: the one before it, then house rules.

Whoever takes over begins anew from the question, and keeps the seat to the end of that conversation; what it has not
asked or said itself it is not shown. The response says who answered, and why the champion did not.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from openoutcry.core import deadline
from openoutcry.core.errors import (
    WASTED,
    ModelCutShort,
    ModelError,
    ModelGarbled,
    ModelOverflow,
    ModelRefused,
    ModelUnreachable,
    OutcryError,
)
from openoutcry.core.report import DEGRADED
from openoutcry.serving.asking.replicas import Unasked
from openoutcry.serving.transport import Refused

Fault = Literal["schema", "evidence", "crash", "slow"]
"""How a model may fail: its answer has another form, nothing holds it up, there is none in time, or it takes long."""
NOT_FOUND = 404
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tried:
    """A request to one candidate, ended. `asked` is false where it went nowhere, so that it says nothing of the model;
    `seconds` are 0 where the answer was kept from an earlier request; `gone`: it, or its server, was not there.
    """

    role: str
    model: str
    fault: Fault | None = None
    seconds: float = 0.0
    tokens: int = 0
    asked: bool = True
    gone: bool = False


def untold(_: Tried) -> None:
    """Tell nobody."""


class Seat(Model):
    """Asks *candidates* in their order, the champion first; they are the same for the length of a run.

    Each is to leave some of the role's time to those behind it. *tell* hears of each request that ended.
    """

    def __init__(
        self, role: str, candidates: Callable[[], Sequence[Model]], tell: Callable[[Tried], None] = untold
    ) -> None:
        super().__init__(profile=candidates()[0].profile)
        self._role = role
        self._candidates = candidates
        self._tell = tell

    @property
    def model_name(self) -> str:
        """The name of who is asked first."""
        return self._candidates()[0].model_name

    @property
    def system(self) -> str:
        """The provider of who is asked first."""
        return self._candidates()[0].system

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The answer of the first candidate that gives one, whatever others raise. Raises what the last one raises."""
        candidates = self._candidates()
        held, reason = _holder([c.model_name for c in candidates], messages)
        wasted = 0
        for place, candidate in enumerate(candidates[held:], held + 1):
            own = messages if candidate is candidates[0] else _own(messages, candidate.model_name)
            try:
                with deadline.sparing(len(candidates) - place):
                    response = await self._asked(candidate, own, model_settings, model_request_parameters)
            except Exception as error:
                wasted += getattr(error, "tokens", 0)
                if candidate is candidates[-1]:
                    if isinstance(error, ModelError):
                        error.tokens = wasted
                    raise
                reason = reason or self._why(candidate.model_name, error)
                continue
            return _said(response, reason, wasted) if reason else response
        raise AssertionError("a seat has at least one candidate")

    async def _asked(
        self,
        candidate: Model,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask one candidate, and tell what came of it, also where the role's time ran out meanwhile."""
        start = time.perf_counter()
        try:
            response = await candidate.request(messages, model_settings, model_request_parameters)
        except (Exception, asyncio.CancelledError) as error:
            took, asked = time.perf_counter() - start, not (isinstance(candidate, Barred) or _unasked(error))
            spent, gone = getattr(error, "tokens", 0), _absent(error) or isinstance(error, ModelUnreachable)
            self._tell(Tried(self._role, candidate.model_name, _fault(error), took, spent, asked, gone))
            raise
        kept = (response.provider_details or {}).get("source") == "cache"
        took = 0.0 if kept else time.perf_counter() - start
        self._tell(Tried(self._role, candidate.model_name, None, took, response.usage.total_tokens))
        return response

    def _why(self, name: str, error: Exception) -> str:
        """Why a candidate did not answer; a fault that nobody foresaw goes to the log whole."""
        if isinstance(error, OutcryError):
            log.info("model failed", role=self._role, model=name, reason=str(error))
            return str(error)
        log.error("model failed", role=self._role, model=name, exc_info=error)
        return f"{name}: it failed ({type(error).__name__}); see the log"


class Barred(WrapperModel):
    """A model that may not sit: it is never asked, and whoever is behind it answers.

    *name* is given where it cannot even be made, and another one stands for it.
    """

    def __init__(self, wrapped: Model, reason: str, name: str = "") -> None:
        super().__init__(wrapped)
        self._reason, self._name = reason, name

    @property
    def model_name(self) -> str:
        """The name of who may not sit."""
        return self._name or self.wrapped.model_name

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Raises ModelRefused with the reason."""
        raise ModelRefused(self._reason)


def _fault(error: BaseException) -> Fault:
    return "schema" if isinstance(error, ModelGarbled | ModelCutShort) else "crash"


def _unasked(error: BaseException) -> bool:
    """Whether an error says nothing of the model: it is not there, nothing was sent, or the prompt did not fit."""
    return _absent(error) or isinstance(error, ModelOverflow)


def _absent(error: BaseException) -> bool:
    return isinstance(error, Unasked) or (isinstance(error, Refused) and error.reply.status == NOT_FOUND)


def _holder(names: Sequence[str], messages: Sequence[ModelMessage]) -> tuple[int, str]:
    """Who of *names* answered in this conversation last, by position, and why it was not the first."""
    for message in reversed(messages):
        if isinstance(message, ModelResponse):
            why = str((message.provider_details or {}).get(DEGRADED, ""))
            known = why and message.model_name in names
            return (names.index(str(message.model_name)), why) if known else (0, "")
    return 0, ""


def _own(messages: Sequence[ModelMessage], name: str) -> list[ModelMessage]:
    """The question, and what this model itself asked and was told since."""
    kept: list[ModelMessage] = []
    mine = True
    for message in messages:
        if isinstance(message, ModelResponse):
            mine = message.model_name == name
        if mine:
            kept.append(message)
    first = next((i for i, m in enumerate(kept) if isinstance(m, ModelRequest)), 0)
    return kept[first:]


def _said(response: ModelResponse, reason: str, wasted: int) -> ModelResponse:
    if wasted:
        response.usage.details[WASTED] = response.usage.details.get(WASTED, 0) + wasted
    response.provider_details = {**(response.provider_details or {}), DEGRADED: reason}
    return response
