"""What came of one case: the checks, the score, what it cost, and all that was said."""

from typing import Any

from openoutcry.core.evidence import Frozen
from openoutcry.core.report import Report


class Check(Frozen):
    """One thing that had to be true of an answer. `expected` and `got` are words for a person."""

    name: str
    ok: bool
    expected: str
    got: str
    turn: int = 0


class Played(Frozen):
    """One turn as it went. `refused` is the desk's own honest no; `failure` is why there is no answer to score.

    `text` and `made` are what a model alone said, and the calls that it made.
    """

    question: str
    report: Report | None = None
    refused: str = ""
    failure: str = ""
    text: str = ""
    made: tuple[dict[str, Any], ...] = ()
    value: float | None = None
    seconds: float = 0.0
    calls: tuple[dict[str, Any], ...] = ()
    """Every request to a model and its answer (`agents.calls.Call`), as JSON holds it."""


class Outcome(Frozen):
    """The result of one case, by one lineup, in one epoch. Small: what was said lies in its transcript.

    `score` is 1 where every check holds, else 0; a crash, a timeout and an answer that is not what its schema says
    score 0, and say so in `failure`.
    """

    scenario: str
    digest: str
    category: str
    cluster: str
    lineup: str
    epoch: int
    score: float
    checks: tuple[Check, ...] = ()
    failure: str = ""
    seconds: float = 0.0
    requests: int = 0
    asked: int = 0
    """Requests of the seat on trial among them: where there are none, the case says nothing about its model."""
    tools: int = 0
    tokens: int = 0
    retries: int = 0
    dropped: int = 0
    memory: int = 0
    """Bytes that the servers of the lineup's models held, where that can be told."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is known by in a run: lineup, case, epoch."""
        return self.lineup, self.digest, self.epoch


class Transcript(Frozen):
    """All that was asked and said in one case."""

    outcome: Outcome
    turns: tuple[Played, ...]
