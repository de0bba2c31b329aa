"""The embedder's seat on a served model: vectors from its endpoint, and of the same weights here where that is away.

A server gives the vectors of the weights themselves (a test holds a real vLLM to it), so its space is that of the
uncompiled model in this process, and either may stand in for the other. The compiled one, in int8, has another.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pydantic import BaseModel, ValidationError

from openoutcry.core.errors import ModelBusy, ModelError, ModelGarbled, ModelRefused, ModelTooSlow, ModelUnreachable
from openoutcry.core.sync import run_sync
from openoutcry.serving.asking.replicas import Pool
from openoutcry.serving.meter import Asked, Meter, outcome_of, unmetered
from openoutcry.serving.stack import Served

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from openoutcry.serving.transport import Transport

    Vectors = NDArray[np.float32]

BATCH = 64
"""Texts of one request at most."""
REST = 60.0
"""Seconds for which an endpoint that let its deadline pass is not asked: each question would wait for it again."""
log = structlog.get_logger()


class Local(Protocol):
    """An embedder in this process, as the memory has it."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def space(self) -> str:
        """The space of its vectors, 12 hex digits."""
        ...

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        ...

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Vectors of shape (n, dimension), each of length 1."""
        ...


class _Datum(BaseModel):
    index: int
    embedding: list[float]


class _Embedded(BaseModel):
    """The answer of /v1/embeddings."""

    data: list[_Datum]


@dataclass(frozen=True, slots=True)
class Exact:
    """The same weights in this process, uncompiled: the space of their vectors, and what loads them when it must."""

    space: str
    load: Callable[[], Local]


class Remote:
    """An embedder behind /v1/embeddings. May be called from several threads.

    *exact* stands in where the endpoint fails, and gives the space its name. Without it the space is named by the
    model's name, so weights that change under it are not noticed.
    """

    def __init__(
        self,
        name: str,
        served: Served,
        pool: Pool,
        transport: "Transport",
        exact: Exact | None = None,
        meter: Meter = unmetered,
    ) -> None:
        self.name = name
        named = hashlib.sha256(f"{served.engine} {served.weights or name}".encode()).hexdigest()[:12]
        self.space = exact.space if exact else named
        self._asked_for = served.wire_name(name)
        self._served = served
        self._pool = pool
        self._transport = transport
        self._exact = exact
        self._meter = meter
        self._dimension = 0
        self._resting = 0.0

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self._dimension or self.embed(["a first text"]).shape[1]

    @cached_property
    def _near(self) -> Local | None:
        return self._exact.load() if self._exact else None

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Vectors of shape (n, dimension), each of length 1. A text past the model's longest is cut there.

        Raises ModelError where the endpoint fails twice, or is too slow, and these weights are not at hand here.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dimension), np.float32)
        try:
            vectors = self._asked(texts)
        except ModelError as error:
            if self._near is None:
                raise
            log.info("texts are embedded in this process", model=self.name, reason=str(error))
            vectors = self._near.embed(texts)
        self._dimension = vectors.shape[1]
        return vectors

    def _asked(self, texts: Sequence[str]) -> "Vectors":
        if (left := self._resting - time.monotonic()) > 0:
            raise ModelBusy(f"{self.name} let its deadline pass, and is left alone for {left:.0f} s more; see its log")
        try:
            return self._unit(run_sync(self._all(texts)))
        except ModelTooSlow:
            self._resting = time.monotonic() + REST
            raise

    def _unit(self, rows: list[list[float]]) -> "Vectors":
        import numpy as np

        if len({len(row) for row in rows} | ({self._dimension} - {0})) != 1:
            raise ModelGarbled(f"expected vectors of one length from {self.name}, got others: see its log")
        vectors = np.asarray(rows, np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ModelGarbled(f"expected a direction for every text from {self.name}, got a zero vector or NaN")
        return np.asarray(vectors / lengths, np.float32)

    async def _all(self, texts: Sequence[str]) -> list[list[float]]:
        async with self._transport.opened():
            parts = await asyncio.gather(
                *(self._twice(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)), return_exceptions=True
            )
        for part in parts:
            if isinstance(part, BaseException):
                raise part
        return [row for part in parts if not isinstance(part, BaseException) for row in part]

    async def _twice(self, texts: Sequence[str]) -> list[list[float]]:
        failed: list[str] = []
        try:
            return await self._once(texts, failed)
        except ModelTooSlow:
            raise
        except ModelError:
            return await self._once(texts, failed)

    async def _once(self, texts: Sequence[str], failed: list[str]) -> list[list[float]]:
        body: dict[str, Any] = {
            "model": self._asked_for,
            "input": [text.encode(errors="replace").decode() for text in texts],
        }
        if self._served.engine == "vllm":
            body["truncate_prompt_tokens"] = -1
        with self._pool.lease("", avoid=failed) as url:
            began, outcome, again = time.perf_counter(), "ok", bool(failed)
            failed.append(url)
            try:
                return await self._at(url, json.dumps(body).encode(), len(texts))
            except BaseException as error:
                outcome = outcome_of(error)
                if isinstance(error, ModelUnreachable):
                    self._pool.dead(url)
                raise
            finally:
                seconds = time.perf_counter() - began
                self._meter(Asked("embedder", self.name, url, seconds, outcome, retried=again))

    async def _at(self, url: str, body: bytes, count: int) -> list[list[float]]:
        reply = await self._transport.post(url, "/v1/embeddings", body, self._served.seconds)
        self._pool.alive(url)
        if reply.status != 200:
            said = " ".join(reply.body.decode(errors="replace").split())[:200]
            raise ModelRefused(f"expected vectors from {self.name}, got status {reply.status}: {said}")
        return self._read(reply.body, count)

    def _read(self, body: bytes, count: int) -> list[list[float]]:
        try:
            data = sorted(_Embedded.model_validate_json(body).data, key=lambda d: d.index)
        except ValidationError:
            raise ModelGarbled(f"expected vectors from {self.name}, got {body[:80]!r}: see its log") from None
        if [d.index for d in data] != list(range(count)):
            raise ModelGarbled(f"expected {count} vectors from {self.name}, got {len(data)}: see its log")
        return [d.embedding for d in data]
