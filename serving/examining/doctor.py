"""The doctor: sends the desk's own requests to each endpoint of the stack, and says what fails and how to mend it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openoutcry.core.errors import ModelError, ModelRefused, OutcryError
from openoutcry.serving import ollama
from openoutcry.serving.asking import tones
from openoutcry.serving.examining import pooling, probes
from openoutcry.serving.examining.endpoint import ASKED, Ask, Body, Finding, Server, tokenized
from openoutcry.serving.registry.seats import seated, where
from openoutcry.serving.stack import Purpose, Served, Stack

if TYPE_CHECKING:
    from openoutcry.serving.transport import Transport

PATIENCE = 120.0
"""Seconds for one request at least: a long prompt takes a while on a processor."""

ODD = (LookupError, TypeError, ValueError, AttributeError)
"""What a probe comes to where it reads an answer of another shape than it expects."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried of an endpoint. `ok` is None where it cannot be told; `mend` says what to do where it fails."""

    model: str
    url: str
    name: str
    ok: bool | None
    seen: str
    mend: str = ""


Watch = Callable[[Check], None]


def unwatched(_: Check) -> None:
    """Nobody watches."""


async def examine(
    stack: Stack,
    home: Path,
    transport: "Transport",
    shapes: Mapping[str, Body] | None = None,
    model: str = "",
    watch: Watch = unwatched,
) -> list[Check]:
    """Try each endpoint of the stack, or of *model*, and tell *watch* of each check as it ends.

    *shapes* are requests of the desk by `role`, or by `role kind` where a role has one a kind of question. Without any,
    made requests are sent. Raises UsageError where there is no such model.
    """
    chosen = [stack.serving(model)] if model else list(stack.models.values())
    done: list[Check] = []
    for served in chosen:
        urls = where(stack, home, served)
        if not urls:
            mend = "`outcry stack up` starts it, `outcry stack logs` says why where it does not"
            _told(Check(served.name, "", "reachable", False, "no replica runs", mend), done, watch)
        for url in urls:
            server = Server(served, url, transport, max(served.seconds, PATIENCE))
            async with transport.opened():
                await _Visit(server, _asks(stack, home, served, shapes or {}), done, watch).all(stack)
    return done


def _told(check: Check, done: list[Check], watch: Watch) -> None:
    done.append(check)
    watch(check)


def _asks(stack: Stack, home: Path, served: Served, shapes: Mapping[str, Body]) -> list[Ask]:
    """The requests that come to a model: those of the roles that it, or an adapter of it, sits for."""
    asks = [
        Ask(role, name, shape)
        for seat, pointer in seated(stack, home).items()
        for name in dict.fromkeys((pointer.champion, pointer.previous))
        if name in served.names
        for role, shape in shapes.items()
        if role.split()[0] == seat
    ]
    return asks or [Ask("", served.name, ASKED)]


@dataclass(frozen=True, slots=True)
class _Visit:
    """The checks of one endpoint, in the order in which a fault of one explains those after it."""

    server: Server
    asks: Sequence[Ask]
    done: list[Check]
    watch: Watch

    async def all(self, stack: Stack) -> None:
        """Every check of the model's purpose; none after the first where nobody answers."""
        served = self.server.model
        if not await self._check("reachable", partial(_reachable, self.server)):
            return
        if not await self._check("model name", partial(_named, self.server, (served.name,))):
            return
        if served.purpose is Purpose.CLASSIFY:
            names = tones.labels(stack.path(served.weights))
            await self._check("classify", partial(pooling.classify, self.server, names))
        elif served.purpose is Purpose.EMBED:
            await self._check("embed", partial(pooling.embed, self.server))
        else:
            await self._chat()

    async def _chat(self) -> None:
        server, first = self.server, self.asks[0]
        longest, mend = await self._length()
        asks = _largest(self.asks)
        called = [await self._asked(ask) for ask in asks]
        for ask in asks:
            await self._check(f"chat template{_of(ask)}", partial(_template, server, ask, any(called)))
        for name, probe in probes.ONCE.items():
            await self._check(name, partial(probe, server, first))
        await self._check("long context", lambda: probes.long(server, first, longest, mend))
        for adapter in server.model.adapters:
            await self._check(f"adapter {adapter}", partial(_adapter, server, adapter))

    async def _asked(self, ask: Ask) -> bool:
        """What a role's request needs; gives whether a tool was called."""
        done = {
            name: await self._check(name + _of(ask), partial(probe, self.server, ask))
            for name, probe in probes.EACH.items()
            if name != "tools" or ask.tools
        }
        return done.get("tools", False)

    async def _length(self) -> tuple[int, str]:
        """Check the context, and give its length with how to lengthen it."""
        longest, mend = self.server.model.max_model_len, ""
        try:
            longest, mend = await _kept(self.server)
        except (ModelError, *ODD) as error:
            self._tell("context", Finding(None, _said(error)))
            return longest, mend
        await self._check("context", partial(_context, self.server, self.asks, longest, mend))
        return longest, mend

    async def _check(self, check: str, probe: Callable[[], Any]) -> bool:
        """Run a probe; a failure that it did not foresee is a failed check too."""
        try:
            finding = await probe()
        except (OutcryError, *ODD) as error:
            name = self.server.model.name
            mend = (
                f"see `purpose` of [models.{name}]: its server has no such route" if "Not Found" in str(error) else ""
            )
            finding = Finding(False, _said(error), mend or f"`outcry stack logs {name}` may say more")
        self._tell(check, finding)
        return finding.ok is not False

    def _tell(self, name: str, finding: Finding) -> None:
        at = self.server.model.name, self.server.url
        _told(Check(*at, name, finding.ok, finding.seen, finding.mend), self.done, self.watch)


def _said(error: Exception) -> str:
    """What was seen, where a probe came to an error."""
    return str(error) if isinstance(error, OutcryError) else "its answer has another shape than OpenAI's"


def _of(ask: Ask) -> str:
    return f" ({ask.role})" if ask.role else ""


async def _template(server: Server, ask: Ask, called: bool) -> Finding:
    """A template that drops parts fails, but where the model calls its tools all the same: it was made for that one."""
    found = await probes.template(server, ask)
    if called and found.ok is False:
        return replace(found, ok=None, seen=f"{found.seen}; yet tools were called")
    return found


def _largest(asks: Sequence[Ask]) -> list[Ask]:
    """The largest request of each role and name: what holds for it holds for the others."""
    found: dict[tuple[str, str], Ask] = {}
    for ask in asks:
        role = ask.role.split()[0] if ask.role else ""
        held = found.get((role, ask.name))
        if held is None or len(json.dumps(held.body)) < len(json.dumps(ask.body)):
            found[role, ask.name] = Ask(role, ask.name, ask.body)
    return list(found.values())


async def _reachable(server: Server) -> Finding:
    mend = {
        "vllm": "`outcry stack up` starts it anew; `outcry stack logs` says why it stopped",
        "ollama": "start Ollama with `ollama serve`, or correct `url`",
        "endpoint": "start that server, or correct `url`",
    }[server.model.engine]
    try:
        if server.model.engine == "ollama":
            return Finding(True, f"Ollama {await ollama.version(server.transport, server.url)}")
        await server.get("/health" if server.model.engine == "vllm" else "/v1/models")
    except ModelError as error:
        return Finding(False, str(error), mend)
    return Finding(True, "answers")


async def _cards(server: Server) -> dict[str, Any]:
    """What the server says of each model, by name; Ollama's `:latest` left out."""
    told = await server.get("/v1/models")
    return {str(card["id"]).removesuffix(":latest"): card for card in told["data"]}


async def _named(server: Server, names: Sequence[str]) -> Finding:
    cards = await _cards(server)
    if lost := [n for n in names if server.named(n).removesuffix(":latest") not in cards]:
        there = ", ".join(cards) or "none"
        mend = "give it the name by which its server knows it: `weights` for Ollama and endpoints, the key for vLLM"
        return Finding(False, f"no model {', '.join(map(server.named, lost))}; there are {there}", mend)
    return Finding(True, ", ".join(names))


async def _kept(server: Server) -> tuple[int, str]:
    """How many tokens the server keeps, and how it is made to keep more. Raises ModelError."""
    served = server.model
    if served.engine == "ollama":
        listed = await ollama.show(server.transport, server.url, served.weights)
        if listed is None:
            raise ModelRefused(f"Ollama does not hold {served.weights}")
        return listed.context, listed.mend(served.max_model_len)
    card: Any = (await _cards(server)).get(server.named(served.name)) or {}
    mend = f"raise `max_model_len` of [models.{served.name}], if weights and memory allow, and `outcry stack up`"
    if served.engine == "endpoint":
        mend = "have that server keep more, or lower `max_model_len` to what it keeps"
    return int(card.get("max_model_len") or served.max_model_len), mend


async def _context(server: Server, asks: Sequence[Ask], longest: int, mend: str) -> Finding:
    """Whether the longest prompt of the desk, and an answer to it, fit."""
    served = server.model
    if longest < served.max_model_len:
        return Finding(False, f"keeps {longest:,} tokens where {served.max_model_len:,} are expected", mend)
    sizes = {ask.role or "a made request": await _size(server, ask) for ask in asks}
    role, size = max(sizes.items(), key=lambda item: item[1])
    told = f"keeps {longest:,} tokens; {role} sends {size:,}, and up to {served.max_tokens:,} are answered"
    if size + served.max_tokens > longest:
        wanted = math.ceil((size + served.max_tokens) / 1024) * 1024
        return Finding(False, told, f"it needs {wanted:,}, and more for tool results: {mend}")
    return Finding(True, told)


async def _size(server: Server, ask: Ask) -> int:
    """Tokens of a request: as the server counts them, else one for three bytes."""
    try:
        return len(await tokenized(server, ask.name, ask.body))
    except ModelError:
        return math.ceil(len(json.dumps([ask.body["messages"], ask.tools])) / 3)


async def _adapter(server: Server, name: str) -> Finding:
    mend = f"see its path under [models.{server.model.name}.adapters] and its rank, and `outcry stack up`"
    listed = await _named(server, (name,))
    if not listed.ok:
        return Finding(False, f"not loaded: {listed.seen}", mend)
    try:
        await server.chat(name, messages=ASKED["messages"], max_tokens=16)
    except ModelError as error:
        return Finding(False, str(error), mend)
    return Finding(True, "answers")
