"""What the benchmarks of serving stand on: a stack over stubs, a run that was stored, and rounds turn about."""

import json
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from loops import Instant, Run
from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from stub import LENGTH, NAME, Calls, stub

from openoutcry import Desk
from openoutcry.agents.bundle import Bundle
from openoutcry.agents.coordinator import ROLE as COORDINATOR
from openoutcry.agents.flow import Floor, answer
from openoutcry.agents.team import ROLES, Team
from openoutcry.core.egress import counted
from openoutcry.core.settings import Settings
from openoutcry.serving.meter import Meter, unmetered
from openoutcry.serving.seating import Seating
from openoutcry.serving.stack import load
from openoutcry.serving.transport import Reply, Transport
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import Document, fetch
from openoutcry.wiring import house_models

QUESTION, AS_OF = "How risky is AAPL over the next 10 days?", "2022-06-30"
TOOLS = {"risk": "value_at_risk", "analyst": "price_summary", "sentiment": "read_documents"}
DOCUMENTS, REQUESTS = 3, 10
CHAT = "/v1/chat/completions"
PATIENCE = 3600
Rounds = dict[str, list[float]]


def calls_of(home: Path) -> Calls:
    """The call that each role is to make: the first of its tool in a run of house rules, with three documents."""
    with Desk.open(home=home, backend="house") as desk:
        desk.ask_sync(QUESTION, AS_OF)
        results = list(desk.load("last").results.values())
    asked = {role: next(json.loads(r.asked) for r in results if r.tool == tool) for role, tool in TOOLS.items()}
    asked["sentiment"]["documents"] = asked["sentiment"]["documents"][:DOCUMENTS]
    return {role: {"name": TOOLS[role], "arguments": arguments} for role, arguments in asked.items()}


def stack_file(home: Path, url: str = "", **options: str | float) -> Path:
    """A stack with one model in all seats, served at *url*; *options* are of that model. Nothing is kept."""
    given: dict[str, str | float] = {"engine": "endpoint", "url": url, "max_model_len": LENGTH} | options
    lines = ["uncertified = true", f"[models.{NAME}]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in given.items()]
    lines += ["[roles]", *(f'{role} = "{NAME}"' for role in ROLES), "[cache]", 'store = "off"']
    path = home / "stack.toml"
    path.write_text("\n".join(lines))
    return path


def settings(home: Path) -> Settings:
    """A desk's, over that stack, with deadlines that load alone does not reach."""
    return Settings.model_validate({"home": home, "stack": str(home / "stack.toml"), "deadline": PATIENCE})


def seated(home: Path, url: str = "", meter: Meter = unmetered, **options: str | float) -> Seating:
    """That stack's models in their seats."""
    return Seating(load(str(stack_file(home, url, **options))), home, house_models(), meter)


@dataclass(frozen=True, slots=True)
class Stage:
    """A run that a stub answered, the documents that it read, and the calls that the stub makes."""

    home: Path
    calls: Calls
    stored: Bundle
    documents: list[Document]
    view: View

    @classmethod
    def set_up(cls, home: Path) -> "Stage":
        """Make that run over the sample data, which is loaded into *home*."""
        with Desk.open(home=home, backend="house") as desk:
            desk.ingest(sample=True)
        calls = calls_of(home)
        with stub(calls) as (url, _):
            stack_file(home, url)
            with Desk(settings(home)) as desk:
                shown = desk.ask_sync(QUESTION, AS_OF)
                stored, view = desk.load("last"), desk.warehouse().view()
                documents, _ = fetch(view, list(calls["sentiment"]["arguments"]["documents"]))
        assert len(stored.calls) == REQUESTS and not shown.notice, (len(stored.calls), shown.notice)
        return cls(home, calls, stored, documents, View.detached(view.as_of, view.snapshot))

    def flow(self, models: Mapping[str, Model]) -> Run:
        """The desk's flow over the stored tool answers, with *models* in the seats, evidence and egress ledger on."""
        team = Team(models, 60)

        async def run() -> None:
            with counted():
                floor = Floor("bench", self.view, team, Instant(self.stored, self.documents))
                report = await answer(self.stored.report.question, floor)
            assert report.claims and not report.dropped and not report.notice

        return run

    def request(self, model: Model) -> Callable[[], Awaitable[ModelResponse]]:
        """One request to *model*, as the coordinator makes it in that run."""
        prompt = next(str(c.prompt[-1]["content"]) for c in self.stored.calls if c.role == COORDINATOR.name)
        answer = ToolDefinition(name="final_result", parameters_json_schema=COORDINATOR.output.model_json_schema())
        parameters = ModelRequestParameters(output_mode="tool", output_tools=[answer], allow_text_output=False)

        async def ask() -> ModelResponse:
            asked = ModelRequest(parts=[UserPromptPart(prompt)], instructions=COORDINATOR.instructions)
            return await model.request([asked], None, parameters)

        return ask


async def turn_about(works: Mapping[str, Run], rounds: int, clock: Callable[[], float]) -> Rounds:
    """Milliseconds of *clock* that each work takes, in rounds of one each; the first three are left out."""
    kept: Rounds = {name: [] for name in works}
    for i in range(rounds + 3):
        for name, work in works.items():
            start = clock()
            await work()
            if i >= 3:
                kept[name].append((clock() - start) * 1000)
    return kept


def answered(url: str) -> int:
    """How many chat requests the stub at *url* has had."""
    with urlopen(f"{url}/asked") as reply:
        return json.load(reply).get("chat", 0)


@dataclass(frozen=True, slots=True)
class Heard:
    """A chat request that went out, and the server's answer."""

    body: bytes
    reply: bytes


@contextmanager
def overheard() -> Generator[list[Heard]]:
    """All chat requests that our transport posts within."""
    heard: list[Heard] = []
    post: Callable[..., Awaitable[Reply]] = Transport.post

    async def told(self: Transport, url: str, path: str, body: bytes, seconds: float) -> Reply:
        reply = await post(self, url, path, body, seconds)
        if path == CHAT:
            heard.append(Heard(body, reply.body))
        return reply

    setattr(Transport, "post", told)  # noqa: B010 - the one place where a benchmark listens in
    try:
        yield heard
    finally:
        setattr(Transport, "post", post)  # noqa: B010
