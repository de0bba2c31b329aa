"""Who meets whom over which cases in a look, and the sides that come of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openoutcry.agents.calls import digest
from openoutcry.eval.lineup import Candidate, Lineup, Models, lineup
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.runner import Run
from openoutcry.eval.suite import Suite
from openoutcry.eval.terms import ANCHOR, CHALLENGER, CHAMPION, Side, Terms

SIDES = (CHAMPION, CHALLENGER, ANCHOR)


@dataclass(frozen=True)
class Contest:
    """The lineups of a look by side, which differ in the seat *role* alone, and its suites: the role's, and safety."""

    role: str
    lineups: Mapping[str, Lineup]
    suites: tuple[Suite, Suite]

    def candidate(self, side: str) -> Candidate:
        """The model on trial on a side."""
        return self.lineups[side].candidates[self.role]

    def identity(self, side: str) -> str:
        """What that model is: its digest, else its name."""
        return self.candidate(side).digest or self.candidate(side).name

    def look(self, terms: Terms) -> str:
        """The digest of all that is fixed before a look: the cases, the three models and how they decode, the terms."""
        sets = [[suite.name, suite.bank, suite.rotation, suite.digest] for suite in self.suites]
        models = [[self.identity(side), self.candidate(side).decoding] for side in SIDES]
        return digest([self.role, sets, models, terms.model_dump(mode="json")])

    @property
    def judged(self) -> int:
        """How many cases have a rubric."""
        cases = [case for suite in self.suites for case in suite.scenarios]
        return sum(any(turn.expect.rubric for turn in case.asked) for case in cases)

    @property
    def thinnest(self) -> tuple[str, int]:
        """The category of the role's suite that has the fewest clusters, and how many."""
        pairs = {(case.category, case.of) for case in self.suites[0].scenarios}
        return min(Counter(category for category, _ in pairs).items(), key=lambda one: (one[1], one[0]))

    @property
    def players(self) -> Mapping[str, Lineup]:
        """By side, the lineup that plays for it: a model that is on two sides plays once."""
        first: dict[str, Lineup] = {}
        return {
            side: first.setdefault(digest([self.identity(side), self.candidate(side).decoding]), self.lineups[side])
            for side in SIDES
        }

    @property
    def playing(self) -> list[Lineup]:
        """The lineups that play, each once."""
        return list({lineup.name: lineup for lineup in self.players.values()}.values())

    @property
    def decodings(self) -> Mapping[str, dict[str, Any]]:
        """By side, how its model decodes. Rules do not: they stand beside whatever is asked of the challenger."""
        asked = self.candidate(CHALLENGER).decoding or self.candidate(CHAMPION).decoding
        return {side: self.candidate(side).decoding or asked for side in SIDES}

    def sides(self, main: Run, safety: Run) -> tuple[Side, Side, Side]:
        """The sides of the look, with what came of every case and epoch; of the checks, those that failed."""
        cases = digest([run.plan.model_dump(include={"cases", "data"}) for run in (main, safety)])
        champion, challenger, anchor = (
            Side(
                name=side,
                models=self.lineups[side].digests,
                cases=cases,
                prompts=main.plan.prompts,
                decoding=self.decodings[side],
                outcomes=_of(main.outcomes, player.name, side),
                safety=_of(safety.outcomes, player.name, side),
            )
            for side, player in self.players.items()
        )
        return champion, challenger, anchor


def contest(role: str, names: Mapping[str, str], models: Models, suites: tuple[Suite, Suite]) -> Contest:
    """The contest of the models *names*, by side. Raises UsageError where one of them is not there."""
    return Contest(role, {side: lineup(side, {role: names[side]}, models) for side in SIDES}, suites)


def _of(outcomes: Sequence[Outcome], player: str, side: str) -> tuple[Outcome, ...]:
    return tuple(
        one.model_copy(update={"lineup": side, "checks": tuple(check for check in one.checks if not check.ok)})
        for one in outcomes
        if one.lineup == player
    )
