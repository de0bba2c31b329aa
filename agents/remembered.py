"""What each role of a run is reminded of, as evidence `M1`, `M2`, ..., and the record that weighs the roles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from openoutcry.agents.reader import Reading
from openoutcry.core.evidence import Evidence, Frozen
from openoutcry.core.report import Question, Report
from openoutcry.core.standing import Standing
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import Document

RECALL = "recall"


@dataclass(frozen=True, slots=True)
class Read:
    """One document and what its reader said of it, for *company*."""

    company: str
    document: Document
    reading: Reading


class Recalled(Frozen):
    """A memory in a run: its evidence, and its sentence with references such as {M1.var}."""

    evidence: Evidence
    kind: str
    role: str
    claim: str

    @property
    def told(self) -> dict[str, Any]:
        """What a model may see of it: the desk's own sentence and figures, nothing of a document."""
        figures = {
            name: [f.value if isinstance(f.value, str) else float(f"{f.value:.6g}"), f.unit]
            for name, f in self.evidence.figures.items()
        }
        return {"id": self.evidence.id, "kind": self.kind, "role": self.role, "claim": self.claim, "figures": figures}


class Remembered(Frozen):
    """What a run was reminded of. `record` holds each role's standing over the question's horizon.

    `reason` says why there is nothing, where the memory could not be read.
    """

    by_role: Mapping[str, tuple[Recalled, ...]] = {}
    record: Mapping[str, Standing] = {}
    reason: str = ""

    def evidence(self, role: str) -> dict[str, Evidence]:
        """The memories of *role* by their ids."""
        return {r.evidence.id: r.evidence for r in self.by_role.get(role, ())}

    def told(self, role: str) -> list[dict[str, Any]]:
        """The memories of *role* as its model sees them."""
        return [r.told for r in self.by_role.get(role, ())]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in the store of all memories recalled, each once."""
        found = (i for recalled in self.by_role.values() for r in recalled for i in r.evidence.items)
        return tuple(dict.fromkeys(found))


NOTHING = Remembered()


class Recall(Protocol):
    """Where a run's memories come from: the store, or the record of an earlier run."""

    async def recall(self, question: Question, roles: Sequence[str], view: View) -> Remembered:
        """What each of *roles* is reminded of, of all that was known at the view's as-of."""
        ...

    async def keep(self, report: Report, remembered: Remembered, reads: Sequence[Read]) -> None:
        """Remember what a run found, for later ones."""
        ...


class Kept:
    """Gives the same memories whatever is asked: those of a stored run, or none."""

    def __init__(self, remembered: Remembered = NOTHING) -> None:
        self._remembered = remembered

    async def recall(self, question: Question, roles: Sequence[str], view: View) -> Remembered:
        """What was kept."""
        return self._remembered

    async def keep(self, report: Report, remembered: Remembered, reads: Sequence[Read]) -> None:
        """Nothing is added."""
