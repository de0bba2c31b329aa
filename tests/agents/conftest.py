"""A desk over the sample, and models that misbehave on purpose."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.desk import Desk

MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(sample_home: Path, tmp_path: Path) -> Iterator[MakeDesk]:
    """Desks with a run folder of their own over the sample's warehouse."""
    opened: list[Desk] = []

    def make(models: dict[str, Any] | None = None, source: Path | None = None) -> Desk:
        home = tmp_path / f"home{len(opened)}"
        home.mkdir()
        (home / "warehouse").symlink_to((source or sample_home) / "warehouse")
        opened.append(Desk.open(home=home, models=models))
        return opened[-1]

    yield make
    for desk in opened:
        desk.close()


@pytest.fixture
def hurry() -> Callable[[Desk, str], None]:
    """Give one role of a desk a second to answer, and everybody else as long as it takes."""

    def hurried(desk: Desk, role: str) -> None:
        team: Any = desk.team
        ask = team._ask

        async def asked(who: str, *rest: Any) -> Any:
            team._deadline = 1.0 if who == role else 600.0
            return await ask(who, *rest)

        team._ask = asked

    return hurried


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """The house in every seat."""
    return make_desk()


def results_in(messages: list[ModelMessage]) -> list[Any]:
    """The tool results that a model was shown so far."""
    return [p.content for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]


@pytest.fixture
def speaker() -> Callable[..., FunctionModel]:
    """A model that calls tools once and then gives each of its answers in turn, the last again and again."""

    def make(tools: list[tuple[str, dict[str, Any]]], *answers: dict[str, Any]) -> FunctionModel:
        left = list(answers)

        def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            seen = results_in(messages)
            if tools and not seen:
                return ModelResponse([ToolCallPart(n, a, tool_call_id=f"c{i}") for i, (n, a) in enumerate(tools)])
            answer = left.pop(0) if len(left) > 1 else left[0]
            return ModelResponse([ToolCallPart(info.output_tools[0].name, answer)])

        return FunctionModel(respond, model_name="speaker")

    return make


@pytest.fixture
def babbler() -> FunctionModel:
    """A model that never answers in the asked form."""
    return FunctionModel(lambda m, i: ModelResponse([TextPart("BUY BUY BUY 100 %")]), model_name="babbler")
