"""A plain function becomes a tool that a model can call: the schema is its signature, the words its docstring."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_ai import ModelRetry, RunContext, Tool

from openoutcry.agents.workbench import Workbench
from openoutcry.tools.arguments import model_of, purpose


def as_tool(function: Callable[..., Any]) -> Tool[Workbench]:
    """Wrap *function*; its first parameter (the view, or the workbench) is filled in by the run."""
    model = model_of(function)

    async def call(ctx: RunContext[Workbench], **arguments: Any) -> dict[str, Any]:
        try:
            parsed = model.model_validate(arguments)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ModelRetry(f"the arguments do not fit: {faults}") from None
        values = {name: getattr(parsed, name) for name in type(parsed).model_fields}
        return await ctx.deps.use(function, values)

    schema = model.model_json_schema()
    return Tool[Workbench].from_schema(call, function.__name__, purpose(function), schema, takes_ctx=True)
