"""The seats, filled: each role's agent, built once, asked with typed answers and an honest no."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pydantic_ai
import structlog
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, RunContext, UsageLimits
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.models import Model

from openoutcry.agents import analyst, coordinator, reader, risk, sentiment
from openoutcry.agents.calls import Call, Failed, Recording, digest, stood_in, why
from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.reader import Reading, misquoted
from openoutcry.agents.role import Answer, Brief, Role
from openoutcry.agents.toolbox import as_tool
from openoutcry.agents.workbench import BLOCK, Workbench
from openoutcry.core.claims import faults, references
from openoutcry.core.deadline import within
from openoutcry.core.errors import BrokenRun, ModelError, UsageError
from openoutcry.core.report import Dropped, Finding, Kind, NoFinding
from openoutcry.tools.documents import Document

ROLES: dict[str, Role] = {m.ROLE.name: m.ROLE for m in (analyst, sentiment, risk, coordinator, reader)}
LIMITS = UsageLimits(request_limit=12, tool_calls_limit=BLOCK)
NOTHING, UNGROUNDED = "it had nothing to say", "nothing that it said could be grounded"
log = structlog.get_logger()


class Team:
    """An agent a role and kind of question, and the models that speak for them.

    Holds nothing of a run; safe to share. Each agent is built once, when it is first asked.
    """

    def __init__(self, models: Mapping[str, Model], deadline: float) -> None:
        if odd := ROLES.keys() ^ models.keys():
            raise UsageError(
                f"expected a model for each of {', '.join(ROLES)}; missing or not a role: {', '.join(sorted(odd))}"
            )
        for role, model in cast("Mapping[str, object]", models).items():
            if not isinstance(model, Model):
                raise UsageError(
                    f"expected a pydantic-ai model for {role}, got {model!r}; stack.toml names local models"
                )
        pydantic_ai.BANNER_ENABLED = False  # its advertisement is not ours to print
        self.models = dict(models)
        self._deadline = deadline
        self._agents: dict[tuple[str, Kind], Agent[Workbench, Any]] = {}
        form = _form(Reading, models["reader"])
        self._reader = Agent(output_type=form, instructions=reader.ROLE.instructions, deps_type=Document, retries=1)
        self._reader.output_validator(_quotes_occur)

    async def find(self, role: str, brief: Brief, bench: Workbench, calls: list[Call]) -> Finding | NoFinding:
        """Ask *role*; whatever fails, the answer is typed."""
        name, prompt = self.models[role].model_name, brief.model_dump_json(exclude={"question": {"by"}})
        try:
            answer = await self._ask(role, brief.question.kind, prompt, bench, calls)
        except BrokenRun:
            raise
        except Exception as error:
            return NoFinding(role=role, model=name, reason=_told(role, error))
        name = next((s.answered for s in stood_in(calls) if s.role == role), name)
        if not isinstance(answer, Answer) or not answer.claims:
            reason = UNGROUNDED if bench.dropped else NOTHING
            return NoFinding(role=role, model=name, reason=reason)
        return Finding(role=role, model=name, claims=tuple(answer.claims), lean=answer.lean)

    async def synthesise(self, prompt: Mapping[str, Any], bench: Workbench, calls: list[Call]) -> Synthesis | NoFinding:
        """Ask the coordinator for the headline and its support."""
        try:
            answer = await self._ask("coordinator", Kind(prompt["kind"]), json.dumps(prompt), bench, calls)
        except BrokenRun:
            raise
        except Exception as error:
            name = self.models["coordinator"].model_name
            return NoFinding(role="coordinator", model=name, reason=_told("coordinator", error))
        assert isinstance(answer, Synthesis)
        return answer

    async def read(self, ticker: str, document: Document, calls: list[Call]) -> Reading | None:
        """Have one document read, alone; None where the reader gives no valid reading."""
        prompt = {
            "company": ticker,
            "filed_under": document.ticker,
            "kind": document.kind,
            "text": document.excerpt,
        }
        model = Recording(self.models["reader"], "reader", calls)
        try:
            async with within(self._deadline):
                result = await self._reader.run(json.dumps(prompt), deps=document, model=model)
        except Exception as error:
            log.warning("no reading", document=document.id, reason=_told("reader", error))
            return None
        return result.output

    async def _ask(self, role: str, kind: Kind, prompt: str, bench: Workbench, calls: list[Call]) -> BaseModel:
        model = Recording(self.models[role], role, calls)
        if (role, kind) not in self._agents:
            self._agents[role, kind] = _agent(ROLES[role], kind, self.models[role])
        async with within(self._deadline):
            result = await self._agents[role, kind].run(prompt, deps=bench, model=model, usage_limits=LIMITS)
        return result.output

    def digests(self) -> dict[str, str]:
        """A digest a role of all that its prompts are made from: instructions, tools, answer schema."""
        return {name: _prompt_digest(role) for name, role in ROLES.items()}


def _prompt_digest(role: Role) -> str:
    tools = [as_tool(f).tool_def for f in role.every_tool]
    shapes = [(t.name, t.description, t.parameters_json_schema) for t in tools]
    return digest([role.instructions, shapes, role.output.model_json_schema()])


def _form(output: type[BaseModel], model: Model) -> Any:
    """How a typed answer is asked for: as text where *model* is held to a schema, which is cheapest, else as a call."""
    return NativeOutput(output) if model.profile.get("default_structured_output_mode") == "native" else output


def _agent(role: Role, kind: Kind, model: Model) -> Agent[Workbench, Any]:
    agent: Agent[Workbench, Any] = Agent(
        output_type=_form(role.output, model),
        instructions=role.instructions,
        deps_type=Workbench,
        tools=[as_tool(f) for f in role.tools_for(kind)],
        retries=1,
        name=role.name,
    )
    agent.output_validator(_grounded)
    return agent


async def _grounded(ctx: RunContext[Workbench], answer: Answer | Synthesis) -> Answer | Synthesis:
    """Send ungrounded sentences back once; after that leave them out and keep the rest.

    It is async, as is the one below, because pydantic-ai runs any other on a thread.
    """
    bench = ctx.deps
    headline = answer.headline if isinstance(answer, Synthesis) else ""
    said = [*([headline] if headline else []), *answer.claims]
    wrong = {text: why for text in said if (why := _faults(text, bench))}
    if wrong and not bench.retried and not ctx.last_attempt:
        bench.retried = True
        raise ModelRetry(
            "these sentences are not grounded: " + " | ".join(f"{t!r}: {'; '.join(w)}" for t, w in wrong.items())
        )
    bench.dropped += [Dropped(role=bench.role, claim=t, reason="; ".join(w)) for t, w in wrong.items()]
    kept: dict[str, Any] = {"claims": [c for c in answer.claims if c not in wrong]}
    if isinstance(answer, Synthesis) and answer.headline in wrong:
        kept["headline"] = ""
    return answer.model_copy(update=kept)


def _faults(text: str, bench: Workbench) -> list[str]:
    found = faults(text, bench.evidence)
    return found or ([] if references(text) else ["it carries no reference to evidence"])


async def _quotes_occur(ctx: RunContext[Document], reading: Reading) -> Reading:
    """A quote that is not in the text costs one retry, then that quote."""
    wrong = misquoted(reading, ctx.deps.words)
    if wrong and ctx.retry == 0:
        raise ModelRetry(f"these quotes do not stand in the document word for word: {wrong}")
    return reading.model_copy(update={"quotes": [q for q in reading.quotes if q not in wrong]})


def _told(role: str, error: Exception) -> str:
    """The reason for the report; a fault that nobody foresaw goes to the log whole."""
    if not isinstance(error, AgentRunError | TimeoutError | Failed | ModelError):
        log.error("role failed", role=role, exc_info=error)
    return why(error)
