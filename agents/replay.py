"""A stored run, answered again by today's code: its models and tools answer as they did then."""

from collections.abc import Callable, Mapping
from typing import Any

from openoutcry.agents.bundle import Bundle
from openoutcry.agents.calls import DEADLINE, Call, Replayed
from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.flow import Floor, answer
from openoutcry.agents.remembered import Kept as Reminded
from openoutcry.agents.role import Brief
from openoutcry.agents.team import Team
from openoutcry.agents.workbench import BLOCK, Workbench, asked
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import BrokenRun
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Finding, NoFinding, NotDone, Report
from openoutcry.tools.data.view import View

PATIENCE = 3600.0


async def replayed(stored: Bundle) -> Report:
    """The report of a stored run, made anew from its own record alone.

    Raises BrokenRun where the code now asks for something that the run did not record.
    """
    report = stored.report
    view = View.detached(AsOf.parse(report.as_of), stored.manifest.snapshot)
    kept, limits, team = Reminded(stored.remembered), stored.manifest.limits, Rerun(stored)
    floor = Floor(report.run, view, team, Kept(stored), limits=limits, memory=kept, calls=team.unasked)
    return await answer(report.question, floor)


class Kept:
    """A source of tool answers: those of a stored run, by evidence id."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    async def call(
        self, eid: str, bench: Workbench, function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Evidence | NotDone:
        """The stored answer. Raises BrokenRun where the run made another call under that id."""
        kept = self._bundle.results.get(eid)
        if kept is None or kept.tool != function.__name__ or kept.asked != asked(arguments):
            was = "no call" if kept is None else f"{kept.tool}({kept.asked})"
            raise BrokenRun(
                f"replay: {bench.role} now calls {function.__name__}({asked(arguments)}) as {eid}, the run made {was}"
            )
        return kept


class Rerun(Team):
    """The team of a stored run. A role that its deadline cut short is not asked again: when it was cut
    was chance, so what it had by then is taken from the record.
    """

    def __init__(self, bundle: Bundle) -> None:
        models = {role: Replayed(role, name, bundle.calls) for role, name in bundle.manifest.models.items()}
        super().__init__(models, PATIENCE)
        self._results = bundle.results
        found = bundle.report.findings
        self._cut = {f.role: f for f in found if isinstance(f, NoFinding) and f.reason == DEADLINE}
        self._dropped = bundle.report.dropped
        self._calls = bundle.calls

    @property
    def unasked(self) -> list[Call]:
        """The requests not made again: the reader's, as readings are a tool's answer, and those of who was cut."""
        return [call for call in self._calls if call.role == "reader" or call.role in self._cut]

    async def find(self, role: str, brief: Brief, bench: Workbench, calls: list[Call]) -> Finding | NoFinding:
        """Ask *role* as then."""
        if role not in self._cut:
            return await super().find(role, brief, bench, calls)
        for eid, result in self._results.items():
            if eid[0] == "E" and bench.first <= int(eid[1:]) < bench.first + BLOCK:
                bench.keep(result)
        return self._as_cut(role, bench)

    async def synthesise(self, prompt: Mapping[str, Any], bench: Workbench, calls: list[Call]) -> Synthesis | NoFinding:
        """Ask the coordinator as then."""
        if bench.role in self._cut:
            return self._as_cut(bench.role, bench)
        return await super().synthesise(prompt, bench, calls)

    def _as_cut(self, role: str, bench: Workbench) -> NoFinding:
        bench.dropped += [d for d in self._dropped if d.role == role]
        return self._cut[role]
