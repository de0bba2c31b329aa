"""Every request of a role to its seat, kept word for word; and a model that answers from what was kept."""

import asyncio
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.exceptions import ModelHTTPError, UnexpectedModelBehavior, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_jsonable_python

from openoutcry.core.errors import WASTED, BrokenRun, ModelError
from openoutcry.core.evidence import Frozen
from openoutcry.core.report import DEGRADED, StoodIn

_RESPONSE = TypeAdapter(ModelResponse)
OUTPUT = "final_result"
"""The tool that pydantic-ai offers a model for its typed answer, where that is not asked for as text."""


class Call(Frozen):
    """One request of a role to its seat, and the answer. `prompt` is all that was asked; `digest` is its fingerprint.

    The seat may ask several models, each for what it has said itself, and leave out what does not fit: the response
    names who answered, and what was compacted. `failure` says why there is no answer, in the words that the report
    uses; `tokens` were spent on answers that could not be used, beside those of the response.
    """

    role: str
    model: str
    digest: str
    prompt: list[dict[str, Any]]
    response: dict[str, Any] = {}
    failure: str = ""
    tokens: int = 0
    seconds: float = 0.0


class Failed(Exception):
    """A model gave no answer, as it did when the run was made; holds the reason then given."""


DEADLINE = "its deadline passed"
INVALID, TOO_MANY = "its model gave no valid answer", "its model made more calls than a role may"


def why(error: BaseException) -> str:
    """A failure in the words of a report; never the text of a fault of ours, which could hold data."""
    if isinstance(error, Failed | ModelError):
        return str(error)
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return DEADLINE
    if isinstance(error, UnexpectedModelBehavior):
        return INVALID
    if isinstance(error, UsageLimitExceeded):
        return TOO_MANY
    if isinstance(error, ModelHTTPError):
        return f"its model's server answered {error.status_code}"
    return f"it failed ({type(error).__name__}); see the log"


def stood_in(calls: Iterable[Call]) -> tuple[StoodIn, ...]:
    """Where the model of a seat did not answer and another one did: the last that did, and the first reason, a role."""
    found: dict[str, StoodIn] = {}
    for call in calls:
        details: dict[str, Any] = call.response.get("provider_details") or {}
        if reason := details.get(DEGRADED):
            answered = str(call.response.get("model_name") or "another model")
            first = found.get(call.role)
            said = first.reason if first else str(reason)
            found[call.role] = StoodIn(role=call.role, model=call.model, answered=answered, reason=said)
    return tuple(found.values())


LEFT_OUT = {"memories": "memories", "items": "the ends of long lists", "results": "all of old results but figures"}
"""What a model may leave out of a prompt that does not fit, in words."""


def compacted(calls: Iterable[Call]) -> list[str]:
    """What had to be left out of the prompts of each role, for a person."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for call in calls:
        details: dict[str, Any] = call.response.get("provider_details") or {}
        if names := details.get("compacted"):
            found.setdefault((call.role, call.model), {}).update(dict.fromkeys(LEFT_OUT.get(n, str(n)) for n in names))
    return [
        f"{role}: {', '.join(names)}; the whole prompt did not fit the context of {model}"
        for (role, model), names in found.items()
    ]


def transcript(messages: list[ModelMessage]) -> list[dict[str, Any]]:
    """The words of a conversation, without its times and run ids; call ids are numbered as they come."""
    lines: list[dict[str, Any]] = []
    ids: dict[str, str] = {}
    for message in messages:
        if isinstance(message, ModelRequest) and message.instructions:
            lines.append({"part": "instructions", "content": message.instructions})
        for part in message.parts:
            line: dict[str, Any] = {"part": part.part_kind}
            for name in ("tool_name", "content", "args", "tool_call_id"):
                if (value := getattr(part, name, None)) is not None:
                    line[name] = to_jsonable_python(value)
            if "tool_call_id" in line:
                line["tool_call_id"] = ids.setdefault(line["tool_call_id"], f"call-{len(ids) + 1}")
            lines.append(line)
    return lines


def fingerprint(prompt: list[dict[str, Any]]) -> str:
    """A digest of what names a request whatever model it goes to: instructions, question, calls and results.

    pydantic-ai words its own notes and retries to suit each model, so those are left out.
    """
    kept: list[dict[str, Any]] = []
    opened: set[str] = set()
    for line in prompt:
        part = line["part"]
        opening = part in ("instructions", "user-prompt") and part not in opened
        if opening or part in ("text", "tool-call", "tool-return"):
            kept.append(line)
        opened.add(part)
    return digest(kept)


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of *value*, 16 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Recording(WrapperModel):
    """Passes each request on and keeps it, with its answer, in *calls*."""

    def __init__(self, wrapped: Model, role: str, calls: list[Call]) -> None:
        super().__init__(wrapped)
        self._role = role
        self._calls = calls

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model and keep the exchange, also where it fails."""
        start, prompt = time.perf_counter(), transcript(messages)
        try:
            response = await super().request(messages, model_settings, model_request_parameters)
        except BaseException as error:
            self._keep(prompt, start, failure=why(error), tokens=getattr(error, "tokens", 0))
            raise
        wasted = response.usage.details.get(WASTED, 0)
        self._keep(prompt, start, response=_RESPONSE.dump_python(response, mode="json"), tokens=wasted)
        return response

    def _keep(self, prompt: list[dict[str, Any]], start: float, **outcome: Any) -> None:
        seconds = round(time.perf_counter() - start, 4)
        named = {"role": self._role, "model": self.model_name, "digest": fingerprint(prompt)}
        self._calls.append(Call(**named, prompt=prompt, seconds=seconds, **outcome))


def _profile(calls: Iterable[Call]) -> ModelProfile:
    """That of a model which gave its typed answers as these *calls* did: as text, or else as a call of the output."""
    given = [_RESPONSE.validate_python(call.response) for call in calls if call.response]
    as_call = any(call.tool_name == OUTPUT for response in given for call in response.tool_calls)
    mode = "native" if not as_call and any(response.text for response in given) else "tool"
    return ModelProfile(supports_json_schema_output=True, default_structured_output_mode=mode)


class Replayed(Model):
    """Answers as an earlier run was answered; a request it never saw is a divergence."""

    def __init__(self, role: str, name: str, calls: Iterable[Call]) -> None:
        self._role = role
        self._name = name
        self._kept: defaultdict[str, list[Call]] = defaultdict(list)
        for call in calls:
            if call.role == role:
                self._kept[call.digest].append(call)
        super().__init__(profile=_profile(call for kept in self._kept.values() for call in kept))

    @property
    def model_name(self) -> str:
        """The name of the model that answered then."""
        return self._name

    @property
    def system(self) -> str:
        """Where answers come from."""
        return "replay"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The kept answer. Raises Failed where there was none, BrokenRun for a prompt that the run did not send."""
        prompt = transcript(messages)
        kept = self._kept.get(fingerprint(prompt))
        if not kept:
            last = json.dumps(prompt[-1], default=str)[:160] if prompt else "nothing"
            raise BrokenRun(
                f"replay: {self._role} now sends a prompt that the run did not record, ending {last}; "
                "the code or its prompts changed since, `outcry diff` says which"
            )
        call = kept.pop(0) if len(kept) > 1 else kept[0]
        if call.failure:
            raise Failed(call.failure)
        return _RESPONSE.validate_python(call.response)
