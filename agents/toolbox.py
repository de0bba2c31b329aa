"""A plain function becomes a tool that a model can call: the schema is its signature, the words its docstring."""

import json
from collections.abc import Callable
from typing import Any, cast

from pydantic import ValidationError
from pydantic_ai import ModelRetry, RunContext, Tool

from openoutcry.agents.workbench import Workbench
from openoutcry.tools.arguments import measured, model_of, purpose


def as_tool(function: Callable[..., Any]) -> Tool[Workbench]:
    """Wrap *function*; its first parameter (the view, or the workbench) is filled in by the run.

    Where an argument is measured, a model gives a reference to earlier evidence, and its figure is put in.
    """
    model, references = model_of(function, for_model=True), measured(function)

    async def call(ctx: RunContext[Workbench], **arguments: Any) -> dict[str, Any]:
        try:
            parsed = model.model_validate(arguments)
        except ValidationError as error:
            raise ModelRetry(f"the arguments do not fit: {_told(error)}") from None
        values = {name: getattr(parsed, name) for name in type(parsed).model_fields}
        sources = {n: _named(values[n]) for n in references & parsed.model_fields_set if values[n] is not None}
        values |= {name: _resolved(ctx.deps, values[name]) for name in sources}
        try:
            model_of(function).model_validate(values)
        except ValidationError as error:
            raise ModelRetry(f"the figures do not fit: {_told(error)}") from None
        return await ctx.deps.use(function, values, sources)

    schema = model.model_json_schema()
    return Tool[Workbench].from_schema(call, function.__name__, purpose(function), schema, takes_ctx=True)


def _told(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def _resolved(bench: Workbench, value: Any) -> Any:
    """The figures that the references name, in the same shape. Raises ModelRetry for one that is not there."""
    if isinstance(value, list):
        return [_resolved(bench, v) for v in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {k: _resolved(bench, v) for k, v in cast("dict[str, Any]", value).items()}
    eid, _, name = _named(value).partition(".")
    figure = bench.evidence[eid].figures.get(name) if eid in bench.evidence else None
    if figure is None or isinstance(figure.value, str):
        raise ModelRetry(
            f"{value} is no figure of your evidence that is a number; call the tool that measures it first"
        )
    return figure.value


def _named(value: Any) -> str:
    """A reference without braces; several in one line."""
    if isinstance(value, list | dict):
        return json.dumps(value).replace("{E", "E")
    return str(value).strip("{}")
