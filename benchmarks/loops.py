"""The requests of one stored run made by other loops than the desk's: bare pydantic-ai, and LangGraph.

Tool answers come from the stored run everywhere, so that no tool's own work is timed; documents are read one by one.
The desk's own flow checks each claim, gives evidence ids, and records every request; these loops do none of that.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from operator import add
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, TypeAdapter
from pydantic_ai import Agent, RunContext, Tool, UsageLimits
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.agents.bundle import Bundle
from openoutcry.agents.questions import ROLES as SEATS
from openoutcry.agents.reader import Reading
from openoutcry.agents.replay import Kept
from openoutcry.agents.sentiment import read_documents
from openoutcry.agents.team import ROLES
from openoutcry.agents.workbench import Workbench, summary
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import NotDone
from openoutcry.tools.arguments import model_of, purpose
from openoutcry.tools.documents import Document

TICKER = "AAPL"
Run = Callable[[], Awaitable[object]]
Read = Callable[[str], Awaitable[object]]
_RESPONSE = TypeAdapter(ModelResponse)


class Instant(Kept):
    """Tool answers from a stored run; documents are still read one by one."""

    def __init__(self, bundle: Bundle, documents: list[Document]) -> None:
        super().__init__(bundle)
        self._documents = documents

    async def call(
        self, eid: str, bench: Workbench, function: Callable[..., Any], arguments: Any
    ) -> Evidence | NotDone:
        """The stored answer, after the readings that it took."""
        if function is read_documents:
            await asyncio.gather(*(bench.read(TICKER, d) for d in self._documents))
        return await super().call(eid, bench, function, arguments)


class Given:
    """What all loops are given of a stored run: prompts, tool answers, and the documents to read."""

    def __init__(self, stored: Bundle, documents: list[Document]) -> None:
        self._kept = {(r.tool, r.asked): r for r in stored.results.values()}
        self._documents = documents
        self.kind = stored.report.question.kind
        self.seats = SEATS[self.kind]
        self.prompts = {c.role: str(c.prompt[-1]["content"]) for c in stored.calls if len(c.prompt) == 2}

    async def use(self, function: Callable[..., Any], arguments: Mapping[str, Any], read: Read) -> dict[str, Any]:
        """What a model sees of a tool's answer, once *read* has read the documents that it took."""
        values = model_of(function, for_model=True).model_validate(arguments)
        if function is read_documents:
            await asyncio.gather(*map(read, map(_told, self._documents)))
        given = {k: getattr(values, k) for k in type(values).model_fields}
        found = self._kept[(function.__name__, json.dumps(given, sort_keys=True, default=str))]
        return summary(found) if isinstance(found, Evidence) else {"not_computed": found.reason}

    def tools(self, role: str) -> tuple[Callable[..., Any], ...]:
        """The tools of *role* for this kind of question."""
        return ROLES[role].tools_for(self.kind)


def _told(document: Document) -> str:
    told = {"company": TICKER, "filed_under": document.ticker, "kind": document.kind, "text": document.excerpt}
    return json.dumps(told)


def bare(given: Given, models: Mapping[str, Model]) -> Run:
    """pydantic-ai's Agents alone, with *models* by role."""
    reader = Agent(models["reader"], output_type=Reading, instructions=ROLES["reader"].instructions)

    def tool(function: Callable[..., Any]) -> Tool[Any]:
        async def call(ctx: RunContext[Any], **arguments: Any) -> dict[str, Any]:
            return await given.use(function, arguments, reader.run)

        name, schema = function.__name__, model_of(function, for_model=True).model_json_schema()
        return Tool[Any].from_schema(call, name, purpose(function), schema, takes_ctx=True)

    agents = {
        name: Agent(
            models[name],
            output_type=ROLES[name].output,
            instructions=ROLES[name].instructions,
            tools=[tool(f) for f in given.tools(name)],
        )
        for name in (*given.seats, "coordinator")
    }
    limits = UsageLimits(request_limit=8, tool_calls_limit=20)

    async def run() -> None:
        await asyncio.gather(*(agents[s].run(given.prompts[s], usage_limits=limits) for s in given.seats))
        await agents["coordinator"].run(given.prompts["coordinator"], usage_limits=limits)

    return run


def as_stored(stored: Bundle) -> dict[str, Model]:
    """A FunctionModel a role, which says what the role said in the stored run, in the same order."""
    return {role: FunctionModel(_said([c.response for c in stored.calls if c.role == role])) for role in ROLES}


def _said(responses: list[dict[str, Any]]) -> Callable[[list[ModelMessage], AgentInfo], ModelResponse]:
    def said(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        return _RESPONSE.validate_python(responses[sum(isinstance(m, ModelResponse) for m in messages)])

    return said


class Found(TypedDict):
    """The state of the LangGraph graph: what each role answered, and the synthesis."""

    findings: Annotated[list[BaseModel], add]
    said: BaseModel | None


def _untyped(module: str) -> Any:
    """A module of the extra `bench`, which brings no stubs that strict checking could use."""
    return import_module(module)


def langgraph(given: Given, url: str) -> Run:
    """A LangGraph graph: the roles side by side, each a loop of model and tools, then the coordinator.

    As its guides have it: an answer is typed by binding its schema as one more tool where tools are offered, and by
    structured output where none are.
    """
    openai, graphs = _untyped("langchain_openai"), _untyped("langgraph.graph")
    model = openai.ChatOpenAI(model="stub", base_url=f"{url}/v1", api_key="none", temperature=0, max_retries=0)

    def structured(role: str) -> Callable[[str], Awaitable[BaseModel]]:
        chain = model.with_structured_output(ROLES[role].output)

        async def ask(prompt: str) -> BaseModel:
            return await chain.ainvoke([("system", ROLES[role].instructions), ("user", prompt)])

        return ask

    read, synthesise = structured("reader"), structured("coordinator")

    async def coordinator(_: Found) -> dict[str, Any]:
        return {"said": await synthesise(given.prompts["coordinator"])}

    graph = graphs.StateGraph(Found)
    graph.add_node("coordinator", coordinator)
    for role in given.seats:
        graph.add_node(role, _role(given, role, model, read))
        graph.add_edge(graphs.START, role)
    graph.add_edge(list(given.seats), "coordinator")
    graph.add_edge("coordinator", graphs.END)
    compiled = graph.compile()

    async def run() -> None:
        end = await compiled.ainvoke({"findings": [], "said": None})
        assert len(end["findings"]) == len(given.seats) and end["said"]

    return run


def _role(given: Given, role: str, model: Any, read: Read) -> Callable[[Found], Awaitable[dict[str, Any]]]:
    """A node that runs one role's own graph: ask, call tools, ask again, until it answers."""
    graphs, output = _untyped("langgraph.graph"), ROLES[role].output
    structured = _untyped("langchain_core.tools").StructuredTool

    def tool(function: Callable[..., Any]) -> Any:
        async def call(**arguments: Any) -> dict[str, Any]:
            return await given.use(function, arguments, read)

        name, words = function.__name__, purpose(function)
        return structured.from_function(
            coroutine=call, name=name, description=words, args_schema=model_of(function, for_model=True)
        )

    tools = [tool(f) for f in given.tools(role)]
    bound = model.bind_tools([*tools, output])

    async def ask(state: Any) -> dict[str, Any]:
        said = await bound.ainvoke([("system", ROLES[role].instructions), *state["messages"]])
        return {"messages": [said]}

    def answered(state: Any) -> str:
        calls: list[dict[str, Any]] = getattr(state["messages"][-1], "tool_calls", [])
        return graphs.END if not calls or calls[0]["name"] == output.__name__ else "tools"

    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", _untyped("langgraph.prebuilt").ToolNode(tools))
    graph.add_edge(graphs.START, "ask")
    graph.add_conditional_edges("ask", answered)
    graph.add_edge("tools", "ask")
    loop = graph.compile()

    async def node(_: Found) -> dict[str, Any]:
        end = await loop.ainvoke({"messages": [("user", given.prompts[role])]})
        return {"findings": [output.model_validate(end["messages"][-1].tool_calls[0]["args"])]}

    return node
