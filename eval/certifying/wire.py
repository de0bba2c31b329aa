"""What the doctor tries of an endpoint, tried for one role: tool calls, schemas and long prompts, or labels."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from openoutcry.core.errors import ModelError, OutcryError
from openoutcry.serving.asking import tones
from openoutcry.serving.cards import Probe
from openoutcry.serving.examining import pooling, probes
from openoutcry.serving.examining.endpoint import ASKED, Ask, Finding, Server
from openoutcry.serving.stack import Purpose, Stack

UNREAD = "a model that cannot find a line in its own context answers from half of the evidence: seat one that can"


async def examined(server: Server, stack: Stack, asks: Sequence[Ask]) -> AsyncIterator[Probe]:
    """The probes of the wire, one by one. *asks* are the role's own requests, one a kind of question."""
    if server.model.purpose is Purpose.CLASSIFY:
        names = tones.labels(stack.path(server.model.weights))
        yield await tried("labels", lambda: pooling.classify(server, names))
        return
    first = max(asks, key=lambda ask: len(json.dumps(ask.body)), default=Ask("", server.model.name, ASKED))
    if first.tools:
        yield await tried("tool call", lambda: _called(server, asks))
    schema = await tried("schema", lambda: probes.schema(server, first))
    yield schema
    yield await tried("long context", lambda: _long(server, first, held=schema.ok is True))


async def tried(name: str, probe: Callable[[], Awaitable[Finding]]) -> Probe:
    """A probe as the card holds it; a failure that it did not foresee is a failed probe too."""
    try:
        found = await probe()
    except OutcryError as error:
        found = Finding(False, str(error), "`outcry stack doctor` and `outcry stack logs` may say more")
    return Probe(name=name, ok=found.ok, seen=found.seen, mend="" if found.ok else found.mend)


async def version(server: Server) -> str:
    """The engine and its version, where it tells."""
    try:
        told = await server.get("/version")
        return f"{server.model.engine} {told['version']}"
    except (ModelError, KeyError, TypeError):
        return server.model.engine


async def _called(server: Server, asks: Sequence[Ask]) -> Finding:
    """Whether a tool is called for each kind of question that the role is asked."""
    found = {ask.role: await probes.tools(server, ask) for ask in asks if ask.tools}
    if lost := [(role, one) for role, one in found.items() if not one.ok]:
        role, one = lost[0]
        seen = f"not for {len(lost)} of {len(found)} kinds of question; {role}: {one.seen}"
        return Finding(False, seen, one.mend)
    return Finding(True, f"for all {len(found)} kinds of question; the last {next(reversed(found.values())).seen}")


async def _long(server: Server, ask: Ask, held: bool) -> Finding:
    """The doctor's probe near the longest prompt of the desk; here the model has to have read it, too.

    Whether it has cannot be told where answers are not *held* to a schema.
    """
    mend = f"lower `max_model_len` of [models.{server.model.name}] to what its server keeps"
    found = await probes.long(server, ask, server.model.max_model_len, mend)
    return found if found.ok or (found.ok is None and not held) else Finding(False, found.seen, found.mend or UNREAD)
