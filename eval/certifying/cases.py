"""Probes made of cases of the shipped suites: right figures, an honest no, orders that are not obeyed, one answer."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openoutcry.eval.certifying.bars import ABSTENTION, ANSWERS, DETERMINISM, INJECTION, NUMERACY, Bar, counted
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.lineup import Lineup
from openoutcry.eval.outcome import Transcript
from openoutcry.eval.scenario import Expect, Scenario, Seat
from openoutcry.eval.stage import Stage
from openoutcry.eval.suite import Suite
from openoutcry.serving.cards import Probe

AT_ONCE = 4
"""Cases in the air at once: enough to keep a server busy, few enough for a laptop's."""
READER = "reader"
OWN = {READER: "sentiment"}
"""The suite of a role that has none by its own name."""
SAFETY = "safety"
UNREAD = ("risk",)
"""Roles that no document reaches: what is planted for them stands in the question."""
NOTHING = "[]"
"""What was said where no request had an answer."""
Suites = Callable[[str], Suite]


@dataclass(frozen=True, slots=True)
class Kind:
    """A probe made of cases: from which suite, which of them, and how many must go right."""

    name: str
    suite: str
    fits: Callable[[Scenario], bool]
    bar: Bar
    mend: str


def kinds(role: str) -> list[Kind]:
    """The probes of a role. The reader has no figures to pick and no no to say: its tones are looked at instead."""
    own = OWN.get(role, role)
    planted = Kind(
        "injection",
        SAFETY,
        lambda s: s.seat in _seats(role) and (bool(s.twin) or (role in UNREAD and _any(s, _barred))),
        INJECTION,
        f"it obeys what it reads: do not seat it as {role}",
    )
    if role == READER:
        tone = "its tones are not those of the texts: seat a model that was trained on them"
        return [Kind("reading", own, lambda s: _any(s, _leans) and s.seat in _seats(role), NUMERACY, tone), planted]
    figures = "it measures or cites the wrong figure: seat a stronger model, or train an adapter for the role"
    absent = "it answers where the data cannot: seat a stronger model, or train an adapter for the role"
    return [
        Kind("numeracy", own, lambda s: s.seat == role and not _any(s, _no) and _any(s, _known), NUMERACY, figures),
        Kind("abstention", own, lambda s: s.seat == role and _any(s, _no), ABSTENTION, absent),
        planted,
    ]


def _seats(role: str) -> set[str]:
    """Who is asked where the role is asked too: itself, the whole desk, or who hands it documents."""
    return {role, Seat.DESK, *([Seat.SENTIMENT] if role == READER else [])}


def _any(scenario: Scenario, expects: Callable[[Expect], Any]) -> bool:
    return any(expects(turn.expect) for turn in scenario.asked)


def _no(expect: Expect) -> bool:
    return bool(expect.abstain or expect.not_computed)


def _barred(expect: Expect) -> bool:
    return bool(expect.not_contains or expect.not_cited)


def _leans(expect: Expect) -> bool:
    return bool(expect.direction)


def _known(expect: Expect) -> bool:
    return bool(expect.figures or expect.direction)


def spread(suite: Suite, fits: Callable[[Scenario], bool]) -> list[Scenario]:
    """The cases of *suite* that fit, in turn from each category, so that the first few are of all kinds."""
    by: dict[str, list[Scenario]] = defaultdict(list)
    for scenario in suite.scenarios:
        if fits(scenario):
            by[scenario.category].append(scenario)
    most = max(map(len, by.values()), default=0)
    return [found[i] for i in range(most) for found in by.values() if i < len(found)]


@dataclass(frozen=True, slots=True)
class Hall:
    """Plays cases for the role on trial."""

    role: str
    lineup: Lineup
    folder: Path
    suites: Suites
    deadline: float

    async def played(self, kind: Kind) -> list[Transcript]:
        """As many cases of *kind* as its bar wants in which the role was asked; fewer where there are no more."""
        suite = self.suites(kind.suite)
        left, found = spread(suite, kind.fits)[: 3 * kind.bar.tries], list[Transcript]()
        while left and len(found) < kind.bar.tries:
            batch, left = left[: kind.bar.tries], left[kind.bar.tries :]
            found += [t for t in await self._all(suite, batch) if self._asked(t)]
        return found[: kind.bar.tries]

    async def again(self, scenario: Scenario, suite: Suite) -> list[Transcript]:
        """One case five times, one after another, with the same seed."""
        stage = self._stage(suite)
        try:
            return [await stage.play(scenario, self.lineup, 0) for _ in range(DETERMINISM.tries)]
        finally:
            stage.fixtures.close()

    def said(self, transcript: Transcript) -> str:
        """All that the role's model answered in a case, call by call, without times and ids."""
        told = [
            {name: part.get(name) for name in ("part_kind", "tool_name", "args", "content")}
            for call in _of(transcript, self.role)
            for part in call["response"].get("parts", [])
        ]
        return str(told)

    async def _all(self, suite: Suite, scenarios: Sequence[Scenario]) -> list[Transcript]:
        places, stage = asyncio.Semaphore(AT_ONCE), self._stage(suite)

        async def one(scenario: Scenario) -> Transcript:
            async with places:
                return await stage.play(scenario, self.lineup, 0)

        try:
            return list(await asyncio.gather(*map(one, scenarios)))
        finally:
            stage.fixtures.close()

    def _stage(self, suite: Suite) -> Stage:
        return Stage(Fixtures(self.folder, suite.beside), deadline=self.deadline)

    def _asked(self, transcript: Transcript) -> bool:
        """Whether the model on trial had a part in it, and the case itself could be played."""
        return bool(_of(transcript, self.role)) and not transcript.outcome.failure.startswith("case:")


def _of(transcript: Transcript, role: str) -> list[dict[str, Any]]:
    return [call for turn in transcript.turns for call in turn.calls if call["role"] == role]


def scored(kind: Kind, found: Sequence[Transcript]) -> Probe:
    """What came of the cases of a kind; none at all is a failed probe, for nothing was shown."""
    if not found:
        mend = "an edited suite lacks them: the shipped ones hold such cases"
        return Probe(name=kind.name, ok=False, seen=f"no case of {kind.suite} asks for it", mend=mend)
    wrong = [t for t in found if t.outcome.score < 1]
    right = len(found) - len(wrong)
    seen = f"right in {counted(right, len(found))}" + (f"; {_first(wrong[0])}" if wrong else "")
    ok = right >= kind.bar.needed(len(found))
    return Probe(name=kind.name, ok=ok, seen=seen, mend="" if ok else kind.mend)


def _first(wrong: Transcript) -> str:
    outcome = wrong.outcome
    check = next((c for c in outcome.checks if not c.ok), None)
    fault = outcome.failure or (f"{check.name}: expected {check.expected}, got {check.got}" if check else "")
    return f"{outcome.scenario}: {fault}"[:300]


def answers(found: Sequence[Transcript]) -> Probe:
    """How many of all cases ended in an answer that holds, right or wrong."""
    failed = [t for t in found if t.outcome.failure]
    right = len(found) - len(failed)
    seen = counted(right, len(found)) + (f"; {_first(failed[0])}" if failed else "")
    ok = bool(found) and right >= ANSWERS.needed(len(found))
    mend = "`outcry stack doctor` tells what its server does wrong; a model too weak for the schema needs another"
    return Probe(name="answers", ok=ok, seen=seen, mend="" if ok else mend)


def alike(said: Sequence[str], temperature: float) -> Probe:
    """Whether the same case was answered alike every time; where a temperature is set it is told, and does not fail.

    No answer at all is like no other.
    """
    answers = [one for one in said if one != NOTHING]
    often = max(map(answers.count, answers), default=0)
    seen = f"{often} of {len(said)} answers to the same case alike, at temperature {temperature:g}"
    same = bool(said) and often >= DETERMINISM.needed(len(said))
    mend = "set `temperature = 0`; where it is, look for other requests on that server: batches round otherwise"
    ok = True if same else None if temperature > 0 else False
    return Probe(name="determinism", ok=ok, seen=seen, mend="" if ok else mend)
