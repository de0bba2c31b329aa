"""A language model in a seat: pydantic-ai asks, an OpenAI-compatible server on this machine answers, in typed form.

On vLLM a response format rules tool calls out, so a typed answer takes two requests where tools are offered: one that
may call them, and where its text is not the answer yet, one that is held to the answer's schema.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponsePart, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters, check_allow_model_requests
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from openoutcry.core.deadline import end
from openoutcry.core.errors import WASTED, ModelError, ModelTooSlow
from openoutcry.core.version import VERSION
from openoutcry.serving.asking.asker import Asker, Question
from openoutcry.serving.asking.cache import Answers, key
from openoutcry.serving.asking.completion import Completion, Expected
from openoutcry.serving.asking.guard import Guard
from openoutcry.serving.asking.replicas import Pool
from openoutcry.serving.asking.wire import Form, form_of, messages_of, tools_of
from openoutcry.serving.meter import Asked, Meter, Source, unmetered
from openoutcry.serving.stack import INDIFFERENT, Served
from openoutcry.serving.transport import Transport

GRACE = 0.2
"""Seconds that the request itself has to end with its own error, once the event loop noticed the deadline."""
NATIVE = ModelProfile(supports_json_schema_output=True, default_structured_output_mode="native")
"""A typed answer goes to pydantic-ai as the text that it is: taking it as a call costs it a fifth of a run's CPU."""


class ChatModel(Model):
    """*name*, which is *served* or an adapter of it, speaking for *role*. Safe to share between threads and loops.

    *digest* names its files in the cache; *sampled* keeps answers there that were drawn at a temperature, too.
    """

    def __init__(
        self,
        role: str,
        name: str,
        served: Served,
        pool: Pool,
        answers: Answers,
        transport: Transport,
        guard: Guard,
        meter: Meter = unmetered,
        digest: str = "",
        sampled: bool = False,
    ) -> None:
        super().__init__(profile=NATIVE)
        self._name, self._served, self._digest, self._sampled = name, served, digest, sampled
        self._kind = served.model_dump_json(exclude=INDIFFERENT)
        self._answers, self._transport, self._meter = answers, transport, meter
        self._asked = Asked(role, name, "", 0.0)
        self._wire_name = served.wire_name(name)
        self._asker = Asker(self._asked, served, pool, transport, guard, meter)

    @property
    def model_name(self) -> str:
        """As the stack file names it."""
        return self._name

    @property
    def system(self) -> str:
        """The engine that serves it."""
        return self._served.engine

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The model's answer, all within `seconds` of the stack file and the role's deadline. Raises a ModelError where
        there is none.
        """
        check_allow_model_requests()
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        form = form_of(parameters)
        body = self._body(messages_of(messages, form), {**(settings or {})}, tools_of(parameters))
        began = asyncio.get_running_loop().time()
        deadline = min(began + self._served.seconds, end())
        try:
            async with self._transport.opened(), _grace_after(deadline):
                return await self._answered(body, form, deadline)
        except TimeoutError:
            seconds = max(round(deadline - began, 1), 0.1)
            raise ModelTooSlow(
                f"{self._name}: expected an answer within {seconds:g} s, got none; it may be overloaded"
            ) from None

    def _body(self, messages: list[Any], settings: dict[str, Any], tools: list[Any]) -> dict[str, Any]:
        """What never changes comes first, so that the server finds it in its prefix cache."""
        body: dict[str, Any] = {
            "model": self._wire_name,
            "messages": messages,
            "temperature": settings.get("temperature", self._served.temperature),
            "max_tokens": settings.get("max_tokens", self._served.max_tokens),
            "seed": settings.get("seed", 0),
        }
        if tools:
            body |= {"tools": tools, "tool_choice": "auto"}
        if self._served.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    async def _answered(self, body: dict[str, Any], form: Form | None, deadline: float) -> ModelResponse:
        start, tools = time.perf_counter(), frozenset(t["function"]["name"] for t in body.get("tools", ()))
        usage = RequestUsage()
        if tools or form is None:
            said, source = await self._completion(body, Expected(tools, form, held=False), deadline, usage)
            if said.calls or form is None or form.fits(said.text):
                return self._response(said, source, form, usage, start)
        body = body | {"response_format": form.response_format} | ({"tool_choice": "none"} if tools else {})
        try:
            said, source = await self._completion(body, Expected(frozenset(), form, held=True), deadline, usage)
        except ModelError as error:
            error.tokens += usage.total_tokens + usage.details.get(WASTED, 0)
            raise
        return self._response(said, source, form, usage, start)

    async def _completion(
        self, body: dict[str, Any], expected: Expected, deadline: float, usage: RequestUsage
    ) -> tuple[Completion, Source]:
        """The completion of one request: kept, shared with one in the air, or asked for; its tokens go to *usage*."""
        start = time.perf_counter()
        kept = not body["temperature"] or self._sampled
        prefix = str(hash((self._name, *(m["content"] for m in body["messages"][:2]))))
        question = Question(body, expected, prefix, deadline)

        async def ask() -> bytes:
            said = await self._asker.ask(question)
            return said.model_dump_json().encode()

        named = {"model": self._name, "digest": self._digest, "code": VERSION, "served": self._kind}
        content = hashlib.sha256(orjson.dumps(body)).hexdigest()
        found, source = await self._answers.get_or_ask(key(named | {"body": content}), ask, kept)
        said = Completion.model_validate_json(found)
        _add(usage, said, question.wasted)
        if source != "model":
            self._tell(said, source, time.perf_counter() - start)
        return said, source

    def _tell(self, said: Completion, source: Source, seconds: float) -> None:
        """Measure an answer that no request was made for."""
        role, name = self._asked.role, self._name
        self._meter(Asked(role, name, said.url, seconds, "ok", source, said.prompt, said.answer, said.cached))

    def _response(
        self, said: Completion, source: Source, form: Form | None, usage: RequestUsage, start: float
    ) -> ModelResponse:
        parts: list[ModelResponsePart] = [TextPart(said.text)] if said.text else []
        if said.calls:
            parts += [ToolCallPart(c.name, c.arguments) for c in said.calls]
        elif form and form.as_call:
            parts = [ToolCallPart(form.name, said.text)]
        details: dict[str, Any] = {"url": said.url, "seconds": round(time.perf_counter() - start, 4), "source": source}
        if said.compacted:
            details["compacted"] = list(said.compacted)
        return ModelResponse(
            parts=parts,
            usage=usage,
            model_name=self._name,
            provider_name=self.system,
            provider_details=details,
            finish_reason="tool_call" if said.calls else "stop",
        )


@asynccontextmanager
async def _grace_after(deadline: float) -> AsyncGenerator[None]:
    """Raises TimeoutError where the work goes on past *deadline* and GRACE.

    GRACE is counted from the turn in which the loop gets to the deadline: one that stood still would else end the
    work from here at the same moment as the work itself does, and its own error would be lost.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        noticed = loop.call_at(deadline, lambda: limit.reschedule(loop.time() + GRACE))
        try:
            yield
        finally:
            noticed.cancel()


def _add(usage: RequestUsage, said: Completion, wasted: int) -> None:
    if wasted:
        usage.details[WASTED] = usage.details.get(WASTED, 0) + wasted
    usage.input_tokens += said.prompt
    usage.output_tokens += said.answer
    usage.cache_read_tokens += said.cached
