"""A chat model with all that stands behind it, over servers of a test's own; and an agent with one tool."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse

from openoutcry.serving.asking.cache import Answers
from openoutcry.serving.asking.chat import ChatModel
from openoutcry.serving.asking.guard import Guard
from openoutcry.serving.asking.replicas import Pool
from openoutcry.serving.meter import Asked
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport
from tests.serving.faulty import Faulty, calls

ANSWER = '{"claims": ["it may fall {E1.var}"], "lean": "down"}'
MEASURE = calls(("measure", {"ticker": "AAPL"}))


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")
    claims: list[str]
    lean: str


@dataclass
class Bench:
    """A model and all that stands behind it."""

    urls: list[str]
    served: Served
    answers: Answers = field(default_factory=lambda: Answers(None, 60))
    asked: list[Asked] = field(default_factory=list[Asked])
    transport: Transport = field(default_factory=Transport)

    def __post_init__(self) -> None:
        self.pool = Pool(self.served.name, lambda: self.urls)
        self.guard = Guard(self.served, lambda: 0.0)  # where it leaves the model alone, it does so to the end

    def model(self, role: str = "risk", name: str = "m", **more: Any) -> ChatModel:
        meter = self.asked.append
        return ChatModel(role, name, self.served, self.pool, self.answers, self.transport, self.guard, meter, **more)

    async def ask(self, prompt: str = "How risky is AAPL?", **more: Any) -> ModelResponse:
        """One typed request without tools."""
        agent = Agent(self.model(**more), output_type=Said, instructions="Be brief.")
        found = (await agent.run(prompt)).all_messages()[1]
        assert isinstance(found, ModelResponse)
        return found

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self.guard._places._waiting)  # pyright: ignore[reportPrivateUsage]  # no user asks for it

    @property
    def failures(self) -> int:
        """Failures in a row that the breaker has counted."""
        return self.guard._failures  # pyright: ignore[reportPrivateUsage]  # no user asks for it

    @property
    def outcomes(self) -> list[str]:
        return [a.outcome for a in self.asked]


class Ahead:
    """The running loop's clock, which the test pushes on: what waits for a moment has waited.

    So a deadline strikes after what has to succeed before it, however long that takes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real, self._by = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._by)

    async def push(self, seconds: float, once: Callable[[], object]) -> None:
        """Push it on by so many seconds as soon as *once* says so."""
        async with asyncio.timeout(60):
            while not once():
                await asyncio.sleep(0.005)
        self._by += seconds


def bench(*servers: Faulty | str, **more: Any) -> Bench:
    urls = [s if isinstance(s, str) else s.url for s in servers]
    values = {"name": "m", "weights": "w", "max_model_len": 32768, "seconds": 60.0, **more}
    return Bench(urls, Served.model_validate(values))


def agent_of(model: ChatModel) -> Agent[None, Said]:
    """An agent with one tool and a typed answer."""
    agent = Agent(model, output_type=Said, instructions="Be brief.", retries=1)

    @agent.tool_plain
    def measure(ticker: str) -> dict[str, Any]:
        """Measure it."""
        return {"id": "E1", "tool": "measure", "figures": {"var": [0.1, "fraction"]}}

    assert measure
    return agent
