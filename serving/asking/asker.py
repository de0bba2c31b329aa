"""One completion of a served model: a replica, a prompt that fits, an answer that holds, one retry, all measured."""

import asyncio
import random
import time
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import stamina

from openoutcry.core.errors import ModelBusy, ModelCutShort, ModelError, ModelGarbled, ModelTooSlow, ModelUnreachable
from openoutcry.serving.asking.completion import Body, Completion, Exhausted, Expected, joined, opened, refusal, spent
from openoutcry.serving.asking.fit import Context
from openoutcry.serving.asking.guard import Guard
from openoutcry.serving.asking.replicas import FIRST, LeftOut, NotRunning, Pool
from openoutcry.serving.meter import Asked, Meter, outcome_of
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Refused, Transport

PATH = "/v1/chat/completions"


@dataclass(slots=True)
class Question:
    """What is asked, and what may come back. `prefix` is what the prompt begins with; `deadline` is in the loop's time.

    `failed` are the replicas that could not be reached for it, `retried` is whether it is asked again, and `wasted` are
    the tokens of answers to it that could not be used.
    """

    body: dict[str, Any]
    expected: Expected
    prefix: str
    deadline: float
    failed: list[str] = field(default_factory=list[str])
    retried: bool = False
    wasted: int = 0

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(self.deadline - asyncio.get_running_loop().time(), 0.001)


class Asker:
    """Asks *served* as the model *name* on behalf of one role; `meter` is told of each request that was sent."""

    def __init__(
        self, asked: Asked, served: Served, pool: Pool, transport: Transport, guard: Guard, meter: Meter
    ) -> None:
        self._asked, self._stream = asked, served.stream
        self._pool, self._transport, self._guard, self._meter = pool, transport, guard, meter
        self._context = Context(served, transport)

    async def ask(self, question: Question) -> Completion:
        """The answer, asked for a second time where that may help. Raises the ModelError that says why there is none.

        A server's wish to be asked later is not obeyed: the deadline is the person's.
        """

        def wait(error: Exception) -> bool | float:
            return self._wait(error, question)

        async with self._guard.entered(question.deadline):
            try:
                async for attempt in stamina.retry_context(on=wait, attempts=2, timeout=None):
                    with attempt:
                        question.retried = attempt.num > 1
                        return await self._anywhere(question)
            except ModelError as error:
                error.tokens = question.wasted
                raise
        raise AssertionError("a retry ends with an answer or an error")

    def _wait(self, error: Exception, question: Question) -> bool | float:
        """Seconds to wait before the second request, or False where it would not help."""
        if isinstance(error, NotRunning | Exhausted):
            return False
        seconds = random.uniform(0.05, 0.3)
        if isinstance(error, ModelUnreachable) and self._pool.outstanding:
            seconds += FIRST  # a replica that failed is offered again after that
        elif not isinstance(error, ModelBusy | ModelGarbled | ModelCutShort):
            return False
        return seconds if seconds < question.left else False

    async def _anywhere(self, question: Question) -> Completion:
        """Ask one replica after another until one can be reached."""
        reason: ModelUnreachable | None = None
        tried = set[str]()
        while True:
            with ExitStack() as held:
                try:
                    url = held.enter_context(self._pool.lease(question.prefix, question.failed))
                except ModelUnreachable as error:
                    again = isinstance(error, LeftOut) and question.failed  # it was asked before the retry
                    raise reason or (ModelUnreachable(str(error)) if again else error) from None
                if reason and url in tried:
                    raise reason
                try:
                    return await self._at(url, question)
                except ModelError as error:
                    question.failed.append(url)
                    if isinstance(error, ModelTooSlow):
                        self._pool.slow(url)
                    if not isinstance(error, ModelUnreachable):
                        raise
                    self._pool.dead(url)
                    reason = error
                    tried.add(url)

    async def _at(self, url: str, question: Question) -> Completion:
        """Ask one replica; whatever comes of it is measured, and an error says which model it is of."""
        start, first = time.perf_counter(), list[float]()
        asked = replace(self._asked, url=url, retried=question.retried)
        try:
            fitted = await self._context.fit(url, question.body, question.deadline)
            body = await self._sent(url, fitted.body, question, first)
            completion = spent(body, question.expected)
        except ModelError as error:
            lost = {"prompt": error.tokens - error.answered, "answer": error.answered}
            self._meter(replace(asked, seconds=time.perf_counter() - start, outcome=outcome_of(error), **lost))
            question.wasted += error.tokens
            error.args = (f"{asked.model}: {error}",)
            raise
        except asyncio.CancelledError as cut:
            if asyncio.get_running_loop().time() >= question.deadline:  # whoever waits noticed the deadline first
                self._pool.slow(url)
                self._meter(replace(asked, seconds=time.perf_counter() - start, outcome=outcome_of(cut)))
            raise
        self._pool.alive(url)
        tokens = {"prompt": completion.prompt, "answer": completion.answer, "cached": completion.cached}
        begun = first[0] - start if first else 0.0
        self._meter(replace(asked, seconds=time.perf_counter() - start, first=begun, **tokens))
        return completion.model_copy(update={"compacted": fitted.compacted, "url": url})

    async def _sent(self, url: str, body: bytes, question: Question, first: list[float]) -> Body:
        """The completion that came; where it is streamed, the moment of its first event is put into *first*."""
        if not self._stream:
            reply = await self._transport.post(url, PATH, body, question.left)
            if reply.status != 200:
                raise refusal(reply)
            return opened(reply.body)
        events: list[Body] = []
        try:
            async with aclosing(self._transport.events(url, PATH, body, question.left)) as came:
                async for data in came:
                    events.append(opened(data))
                    first += [] if first else [time.perf_counter()]
        except Refused as error:
            raise refusal(error.reply) from None
        return joined(events)
