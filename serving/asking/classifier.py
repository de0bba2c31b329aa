"""The reader's seat on a sequence classifier: the tone is the model's, relevance and quotes are the fallback's.

It serves requests of an event loop in batches: those that arrive within a few milliseconds go out as one call.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ValidationError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from openoutcry.core import egress
from openoutcry.core.deadline import end
from openoutcry.core.errors import ModelError, ModelGarbled, ModelRefused, ModelTooSlow, ModelUnreachable, UsageError
from openoutcry.serving.asking.tones import strange, tone
from openoutcry.serving.meter import Asked, Meter, outcome_of, unmetered
from openoutcry.serving.stack import Served

if TYPE_CHECKING:
    from openoutcry.serving.asking.guard import Guard
    from openoutcry.serving.asking.replicas import Pool
    from openoutcry.serving.transport import Transport

TOGETHER = 0.005
"""Seconds that the first request of a batch waits for others."""
MOST = 32
"""Texts of one call at most."""
SPECIAL = 2
"""Tokens that a classifier puts around a text."""


@dataclass(frozen=True, slots=True)
class Label:
    """What the classifier said of a text. `tokens` is how many the text has, `read` how many of them it was given."""

    tone: str
    probability: float
    url: str
    tokens: int | None = None
    read: int | None = None


class _Datum(BaseModel):
    label: str | None
    probs: list[float]


class _Classified(BaseModel):
    """The answer of vLLM's /classify."""

    data: list[_Datum]
    usage: dict[str, Any] = {}


@dataclass(slots=True, eq=False)
class _Batch:
    """Texts that go out together, their bytes by the ledger of who brought them, and the call that all wait for."""

    texts: list[str] = field(default_factory=list[str])
    brought: Counter[egress.Ledger | None] = field(default_factory=Counter[egress.Ledger | None])
    call: "asyncio.Task[list[Label]] | None" = None


class Classifier(Model):
    """Reads a document: the reading of *fallback*, with the tone that the served model gives. Safe to share.

    Raises UsageError where a label of the model is no tone. A request raises ModelError where the model fails twice;
    its deadline is that of *served*.
    """

    def __init__(
        self,
        name: str,
        served: Served,
        pool: "Pool",
        transport: "Transport",
        guard: "Guard",
        fallback: Model,
        meter: Meter = unmetered,
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if fault := strange(labels):
            raise UsageError(f"{name}: {fault}")
        self._name = name
        self._served = served
        self._pool = pool
        self._transport = transport
        self._guard = guard
        self._asked_for = served.wire_name(name)
        self._fallback = fallback
        self._meter = meter
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, _Batch] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def model_name(self) -> str:
        """The classifier's name."""
        return self._name

    @property
    def system(self) -> str:
        """Who serves it."""
        return self._served.engine

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The reading. Its details say how much of the text was read, where that is not all."""
        began = time.perf_counter()
        reading = await self._fallback.request(messages, model_settings, model_request_parameters)
        label = await self._label(_text(messages))
        details: dict[str, Any] = {"url": label.url, "seconds": round(time.perf_counter() - began, 4)}
        details |= {"source": "model", "probability": label.probability}
        if label.tokens is not None:
            details |= {"tokens": label.tokens, "read": label.read}
        parts = [_toned(part, label.tone) for part in reading.parts]
        return replace(reading, parts=parts, model_name=self._name, provider_details=details)

    async def _label(self, text: str) -> Label:
        """Join the batch that is open on this loop, or open one. Whoever gives up waiting takes nothing from others."""
        loop = asyncio.get_running_loop()
        with self._lock:
            batch = self._open.get(loop)
            if batch is None:
                batch = self._open[loop] = _Batch()
                batch.call = loop.create_task(self._sent(loop, batch))
                batch.call.add_done_callback(_seen)
            place = len(batch.texts)
            batch.texts.append(text)
            batch.brought[egress.current()] += len(text.encode(errors="replace"))
            if len(batch.texts) == MOST:
                del self._open[loop]
        assert batch.call is not None
        try:
            async with asyncio.timeout_at(end()):
                return (await asyncio.shield(batch.call))[place]
        except TimeoutError:
            raise ModelTooSlow(f"expected a label of {self._name} by the role's deadline, got none") from None

    async def _sent(self, loop: asyncio.AbstractEventLoop, batch: _Batch) -> list[Label]:
        await asyncio.sleep(TOGETHER)
        with self._lock:
            if self._open.get(loop) is batch:
                del self._open[loop]
        deadline = loop.time() + self._served.seconds
        with egress.counted(egress.Shared(batch.brought)):
            async with self._guard.entered(deadline):
                try:
                    async with asyncio.timeout_at(deadline):
                        return await self._tried_twice(batch.texts)
                except TimeoutError:
                    told = f"expected labels of {self._name} within {self._served.seconds:g} s, got none"
                    raise ModelTooSlow(f"{told}; it may be overloaded") from None

    async def _tried_twice(self, texts: list[str]) -> list[Label]:
        failed: list[str] = []
        try:
            return await self._tried(texts, failed)
        except ModelError:
            return await self._tried(texts, failed)

    async def _tried(self, texts: list[str], failed: list[str]) -> list[Label]:
        """One call, metered; the replica that fails is noted in *failed*, and avoided."""
        began, outcome, prompt = time.perf_counter(), "ok", 0
        with self._pool.lease("", avoid=tuple(failed)) as url:
            try:
                found, prompt = await self._classified(url, texts)
                self._pool.alive(url)
                return found
            except BaseException as error:
                outcome = outcome_of(error)
                failed.append(url)
                if isinstance(error, ModelUnreachable):
                    self._pool.dead(url)
                elif isinstance(error, ModelTooSlow | asyncio.CancelledError):
                    self._pool.slow(url)
                raise
            finally:
                seconds, again = time.perf_counter() - began, outcome == "ok" and bool(failed)
                self._meter(Asked("reader", self._name, url, seconds, outcome, prompt=prompt, retried=again))

    async def _classified(self, url: str, texts: list[str]) -> tuple[list[Label], int]:
        counts = await asyncio.gather(*(self._count(url, text) for text in texts))
        body = {"model": self._asked_for, "input": texts, "truncate_prompt_tokens": -1, "truncation_side": "right"}
        reply = await self._posted(url, "/classify", body)
        try:
            told = _Classified.model_validate_json(reply)
        except ValidationError:
            raise ModelGarbled(f"expected labels of {self._name}, got {reply[:80]!r}; see its log") from None
        if len(told.data) != len(texts):
            raise ModelGarbled(f"expected {len(texts)} labels of {self._name}, got {len(told.data)}; see its log")
        found = [self._read(url, datum, count) for datum, count in zip(told.data, counts, strict=True)]
        return found, int(told.usage.get("prompt_tokens") or 0)

    def _read(self, url: str, datum: _Datum, count: int) -> Label:
        named = tone(datum.label or "")
        if named is None or not datum.probs:
            raise ModelGarbled(f"{self._name}: {strange([str(datum.label)]) or 'a label without its probability'}")
        cut = {"tokens": count, "read": self._served.max_model_len} if count > self._served.max_model_len else {}
        return Label(named, round(max(datum.probs), 4), url, **cut)

    async def _count(self, url: str, text: str) -> int:
        """The tokens of a text, asked for only where it may be too long: a token is at least one byte of it."""
        most = len(text.encode(errors="replace")) + SPECIAL
        if most <= self._served.max_model_len:
            return most
        told = await self._posted(url, "/tokenize", {"model": self._asked_for, "prompt": text})
        try:
            return int(json.loads(told)["count"])
        except (ValueError, TypeError, LookupError):
            raise ModelGarbled(
                f"expected a count of tokens from {self._name}, got {told[:80]!r}; see its log"
            ) from None

    async def _posted(self, url: str, path: str, body: dict[str, Any]) -> bytes:
        reply = await self._transport.post(url, path, json.dumps(body).encode(), self._served.seconds)
        if reply.status != 200:
            said = " ".join(reply.body.decode(errors="replace").split())[:200]
            raise ModelRefused(f"expected {self._name} to answer {path}, got status {reply.status}: {said}")
        return reply.body


def _seen(call: "asyncio.Task[list[Label]]") -> None:
    """Look at how a call ended, so that one which nobody waits for any more is not reported as unheard."""
    if not call.cancelled():
        call.exception()


def _text(messages: Sequence[ModelMessage]) -> str:
    """The document in the reader's prompt."""
    prompts = [p.content for m in messages for p in m.parts if isinstance(p, UserPromptPart)]
    return str(json.loads(str(prompts[-1]))["text"])


def _toned(part: Any, tone: str) -> Any:
    """The reading with its tone replaced, in whichever form it came."""
    if isinstance(part, ToolCallPart):
        return ToolCallPart(part.tool_name, {**part.args_as_dict(), "tone": tone}, tool_call_id=part.tool_call_id)
    if isinstance(part, TextPart):
        return replace(part, content=json.dumps({**json.loads(part.content), "tone": tone}))
    return part
