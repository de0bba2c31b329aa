"""The desk's own requests, one a role and kind of question, as they would go to a model: what `stack doctor` sends."""

from collections.abc import Mapping
from typing import Any

from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from openoutcry.agents.questions import ROLES as ASKED
from openoutcry.agents.role import Brief, Role
from openoutcry.agents.team import ROLES
from openoutcry.agents.toolbox import as_tool
from openoutcry.core.report import Kind, Question
from openoutcry.serving.asking.wire import form_of, messages_of, tools_of

ANSWER = "final_result"


def shapes() -> Mapping[str, Mapping[str, Any]]:
    """Bodies by role and kind, such as `risk book`; those of the coordinator and the reader by role."""
    asked = {f"{role} {kind}": _body(ROLES[role], kind) for kind, roles in ASKED.items() for role in roles}
    return asked | {role: _body(ROLES[role], Kind.OVERVIEW) for role in ("coordinator", "reader")}


def _body(role: Role, kind: Kind) -> dict[str, Any]:
    tickers = () if kind is Kind.BOOK else ("AAPL", "MSFT") if kind is Kind.COMPARE else ("AAPL",)
    question = Question(text=f"A question of kind {kind} on AAPL", kind=kind, tickers=tickers)
    prompt = UserPromptPart(Brief(question=question).model_dump_json(exclude={"question": {"by"}}))
    output = ToolDefinition(name=ANSWER, parameters_json_schema=role.output.model_json_schema())
    tools = [as_tool(function).tool_def for function in role.tools_for(kind)]
    parameters = ModelRequestParameters(function_tools=tools, output_tools=[output], allow_text_output=False)
    form = form_of(parameters)
    body: dict[str, Any] = {"messages": messages_of([ModelRequest([prompt], instructions=role.instructions)], form)}
    return body | (
        {"tools": tools_of(parameters)} if tools else {"response_format": form.response_format if form else {}}
    )
