"""What a role holds during one run: its clocked view, its own block of evidence ids, and its reader."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from pydantic import BaseModel

from openoutcry.agents.reader import Reading
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Dropped, NotDone
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import Document

BLOCK = 20
CUT_SHORT = "the role's deadline passed while it ran"
ReadOne = Callable[[str, Document], Awaitable[Reading | None]]
log = structlog.get_logger()


class Source(Protocol):
    """Where the answer to a tool call comes from: the tool itself, or the record of an earlier run."""

    async def call(
        self, eid: str, bench: "Workbench", function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Evidence | NotDone:
        """The evidence under the id *eid*, or why there is none."""
        ...


class Live:
    """Runs the tool: an async one in place, any other on a thread."""

    async def call(
        self, eid: str, bench: "Workbench", function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Evidence | NotDone:
        """Run it; a refusal and an unforeseen fault both become a NotDone with its reason."""
        log.debug("tool called", id=eid, role=bench.role, tool=function.__name__, arguments=asked(arguments))
        try:
            if inspect.iscoroutinefunction(function):
                return await function(bench, **arguments)
            return await asyncio.to_thread(function, bench.view, **arguments)
        except DataError as error:
            reason = str(error)
            log.info("not computed", id=eid, role=bench.role, tool=function.__name__, reason=reason)
        except Exception as error:
            log.exception("tool failed", tool=function.__name__, arguments=dict(arguments))
            reason = f"the tool failed ({type(error).__name__}); this is a fault of ours, see the log"
        ticker = str(arguments.get("ticker", ""))
        return NotDone(role=bench.role, tool=function.__name__, ticker=ticker, reason=reason)


@dataclass(slots=True)
class Workbench:
    """One role's run. Ids are `E{first}` onward, so they do not depend on how roles interleave."""

    role: str
    view: View
    first: int
    source: Source
    read: ReadOne
    evidence: dict[str, Evidence] = field(default_factory=dict[str, Evidence])
    not_done: list[NotDone] = field(default_factory=list[NotDone])
    dropped: list[Dropped] = field(default_factory=list[Dropped])
    retried: bool = False
    _given: int = 0

    @property
    def measured(self) -> list[Evidence]:
        """What tools gave, memories aside."""
        return [e for e in self.evidence.values() if e.id[0] == "E"]

    async def use(
        self, function: Callable[..., Any], arguments: Mapping[str, Any], sources: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Run a tool, keep its evidence, and return what the model may see of it.

        *sources* names, by argument, the earlier figures that were put in.
        """
        eid = f"E{self.first + self._given}"
        self._given += 1
        try:
            result = await self.source.call(eid, self, function, arguments)
        except (asyncio.CancelledError, TimeoutError):
            cut = NotDone(id=eid, role=self.role, tool=function.__name__, asked=asked(arguments), reason=CUT_SHORT)
            self.not_done.append(cut)
            raise
        told: dict[str, Any] = {"id": eid, "asked": asked(arguments)}
        if sources and isinstance(result, Evidence):
            told["sources"] = dict(sources)
        return self.keep(result.model_copy(update=told))

    def keep(self, result: Evidence | NotDone) -> dict[str, Any]:
        """Keep what a call gave, and return what the model may see of it."""
        if isinstance(result, NotDone):
            self.not_done.append(result)
            return {"id": result.id, "not_computed": result.reason}
        self.evidence[result.id] = result
        return summary(result)


def summary(evidence: Evidence) -> dict[str, Any]:
    """Evidence as a model sees it: figures with units, opaque ids, and what is missing."""
    figures = {
        name: [figure.value if isinstance(figure.value, str) else float(f"{figure.value:.6g}"), figure.unit]
        for name, figure in evidence.figures.items()
    }
    seen: dict[str, Any] = {"id": evidence.id, "tool": evidence.tool, "figures": figures}
    if evidence.items:
        seen["items"] = list(evidence.items)
    if evidence.missing:
        seen["missing"] = list(evidence.missing)
    return seen


def asked(arguments: Mapping[str, Any]) -> str:
    """The arguments of a tool call in one canonical line."""
    return json.dumps(arguments, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
