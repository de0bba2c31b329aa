"""The examination of a model for a role: every probe in turn, and the card that holds what they found."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from openoutcry.agents.team import ROLES
from openoutcry.core.errors import ModelUnreachable, UsageError
from openoutcry.core.version import VERSION
from openoutcry.eval.certifying import cases, conversing, wire
from openoutcry.eval.certifying.cases import Hall, Suites
from openoutcry.eval.lineup import Models, lineup
from openoutcry.eval.outcome import Transcript
from openoutcry.eval.runner import FIXTURES
from openoutcry.eval.stage import ROLE_SECONDS
from openoutcry.eval.suite import Suite, load
from openoutcry.serving import cards
from openoutcry.serving.cards import Card, Probe
from openoutcry.serving.examining.doctor import PATIENCE
from openoutcry.serving.examining.endpoint import Ask, Body, Server
from openoutcry.serving.registry.seats import where
from openoutcry.serving.stack import HOUSE, Stack
from openoutcry.serving.transport import Transport

Watch = Callable[[Probe], None]


def unwatched(_: Probe) -> None:
    """Nobody watches."""


def opened(name: str) -> Suite:
    """The open set of a shipped suite: a candidate may know it, as it may know the syllabus of any examination."""
    return load(name, "dev")


@dataclass(frozen=True)
class Examination:
    """A model and the role that it is to sit for, with all that it takes to examine the two.

    *shapes* are the desk's own requests by `role` or `role kind`. Raises UsageError for a pair that needs no card, or
    that does not fit.
    """

    stack: Stack
    home: Path
    model: str
    role: str
    models: Models
    shapes: Mapping[str, Body]
    suites: Suites = opened
    deadline: float = ROLE_SECONDS

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"expected a role among {', '.join(ROLES)}, got {self.role!r}; no other seat needs a card")
        if self.model == HOUSE:
            raise UsageError("house rules need no card: they have no weights, and the tests of this package are theirs")
        if fault := self.stack.unfit(self.role, self.model):
            raise UsageError(fault)

    async def card(self, now: datetime, watch: Watch = unwatched) -> Card:
        """Try everything, tell *watch* of each probe as it ends, and give the card; *now* is when it is made.

        Nothing is stored. Raises ModelUnreachable where no server of the model answers, UsageError for a broken suite.
        """
        for kind in cases.kinds(self.role):
            self.suites(kind.suite)  # a broken suite is to be known before an hour is spent
        found: list[Probe] = []
        transport = Transport(self.stack.allow)
        async with transport.opened(), self.models.opened():
            server = await self._server(transport)
            async for probe in self._probes(server):
                found.append(probe)
                watch(probe)
            engine = await wire.version(server)
        return Card(
            model=self.model,
            role=self.role,
            digest=cards.key(self.stack, self.model),
            probes=tuple(found),
            made=now.isoformat(timespec="seconds"),
            code=VERSION,
            engine=engine,
        )

    async def _server(self, transport: Transport) -> Server:
        served = self.stack.serving(self.model)
        urls = where(self.stack, self.home, served)
        if not urls:
            raise ModelUnreachable(
                f"expected a server of {served.name} that answers, found none: `outcry stack up` starts it, and "
                "`outcry stack doctor` says what is wrong with it"
            )
        server = Server(served, urls[0], transport, max(served.seconds, PATIENCE))
        await server.get("/v1/models")
        return server

    async def _probes(self, server: Server) -> AsyncIterator[Probe]:
        asks = [Ask(key, self.model, body) for key, body in self.shapes.items() if key.split()[0] == self.role]
        async for probe in wire.examined(server, self.stack, asks):
            yield probe
        if ROLES[self.role].every_tool:
            model, _ = self.models.seated(self.role, self.model)
            for name, probe in conversing.PROBES.items():
                yield await wire.tried(name, lambda probe=probe: probe(model, self.deadline))
        async for probe in self._cases(server.model.temperature):
            yield probe

    async def _cases(self, temperature: float) -> AsyncIterator[Probe]:
        chosen = lineup(self.model, {self.role: self.model}, self.models)
        hall = Hall(self.role, chosen, self.home / "evals" / FIXTURES, self.suites, self.deadline)
        found: list[Transcript] = []
        for kind in cases.kinds(self.role):
            played = await hall.played(kind)
            found += played
            yield cases.scored(kind, played)
        yield cases.answers(found)
        yield cases.alike(await self._said(hall), temperature)

    async def _said(self, hall: Hall) -> list[str]:
        """What the model says to the first case of its own suite, again and again."""
        kind = cases.kinds(self.role)[0]
        suite = self.suites(kind.suite)
        first = cases.spread(suite, kind.fits)[:1]
        return [hall.said(t) for scenario in first for t in await hall.again(scenario, suite)]
