"""Roles that a scenario scripts: one that fails, one that is sure of itself, one that always sees a rise or a fall."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from openoutcry.agents.house.model import HouseModel
from openoutcry.core.errors import ModelUnreachable, UsageError
from openoutcry.core.report import Lean
from openoutcry.eval.scenario import Cast

LEANS = {Cast.STRONG_UP: Lean.STRONG_UP, Cast.STRONG_DOWN: Lean.STRONG_DOWN, Cast.OVERCONFIDENT: Lean.STRONG_UP}
SPEAKERS = ("analyst", "sentiment", "risk")
"""The roles that a scenario may script: those whose findings the coordinator hears."""
SURE = "It is certain to rise, as {reference} shows; nothing can go wrong."


def cast(scripts: Mapping[str, Cast]) -> dict[str, Model]:
    """The models of the scripted roles: house rules that behave as the script says. Raises UsageError."""
    if odd := scripts.keys() - set(SPEAKERS):
        raise UsageError(f"expected a cast of {', '.join(SPEAKERS)}, got {', '.join(sorted(odd))}")
    return {
        role: Scripted(HouseModel(import_module(f"openoutcry.agents.house.{role}").rules), role, script)
        for role, script in scripts.items()
    }


class Scripted(WrapperModel):
    """House rules whose direction, and whose words where it is sure of itself, are the script's."""

    def __init__(self, wrapped: Model, role: str, script: Cast) -> None:
        super().__init__(wrapped)
        self._role, self._script = role, script

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The rules' answer with the script's direction. Raises ModelUnreachable where it is silent."""
        if self._script is Cast.SILENT:
            raise ModelUnreachable(f"the {self._role} is silent in this scenario")
        response = await super().request(messages, model_settings, model_request_parameters)
        final = {tool.name for tool in model_request_parameters.output_tools}
        parts = [self._scripted(part) if _answers(part, final) else part for part in response.parts]
        response.parts = parts
        return response

    def _scripted(self, part: Any) -> Any:
        values: dict[str, Any] = part.args_as_dict() if isinstance(part, ToolCallPart) else json.loads(part.content)
        values["lean"] = str(LEANS[self._script])
        if self._script is Cast.OVERCONFIDENT and values["claims"]:
            reference = values["claims"][0][values["claims"][0].index("{") :].split("}")[0] + "}"
            values["claims"] = [SURE.replace("{reference}", reference), *values["claims"][:2]]
        if isinstance(part, ToolCallPart):
            return ToolCallPart(part.tool_name, values, tool_call_id=part.tool_call_id)
        return TextPart(json.dumps(values))


def _answers(part: Any, final: set[str]) -> bool:
    return isinstance(part, TextPart) or (isinstance(part, ToolCallPart) and part.tool_name in final)
