"""Plays a case: asks it of a lineup, over its data, as the desk would, and keeps all that was said."""

import asyncio
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from openoutcry.agents import amounts, questions
from openoutcry.agents.calls import Call
from openoutcry.agents.flow import Floor, alone, answer
from openoutcry.agents.team import Team
from openoutcry.agents.workbench import Live
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import BadFile, DataError, ModelError, UsageError
from openoutcry.core.report import Question
from openoutcry.eval import bare, casting
from openoutcry.eval.failures import NOTED, Noted, of_report, sent_back, told
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.lineup import Lineup, Seeded
from openoutcry.eval.outcome import Check, Outcome, Played, Transcript
from openoutcry.eval.scenario import Cast, Scenario, Seat
from openoutcry.eval.scorers import Judge, checks, reported, tokens_used, tools_called
from openoutcry.tools.data.view import View, Warehouse

PATIENCE = 600.0
"""Seconds for one case at most, where its budget names none."""
GIVEN_UP, ENDED = 4, 2
"""Budgets of seconds after which a case is given up, and after which a role of it is ended: it is too slow anyhow."""
ROLE_SECONDS = 120.0
"""Seconds that a role may take, as the desk's own setting has it by default."""
Key = tuple[int, int, float, tuple[tuple[str, Cast], ...]]
"""What cases share a team by: lineup, epoch, seconds a role, script."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stage:
    """What cases are played on: their data, and who judges where a rubric asks for it. Safe to play several at once.

    What the desk remembers stays out: a case is answered from its own data alone.
    """

    fixtures: Fixtures
    judge: Judge | None = None
    deadline: float = ROLE_SECONDS
    _teams: dict[Key, tuple[Lineup, Team]] = field(default_factory=dict[Key, tuple[Lineup, Team]])

    async def play(self, scenario: Scenario, lineup: Lineup, epoch: int) -> Transcript:
        """Play one case once. Whatever goes wrong is an outcome; only a fault of the machine is raised."""
        if scenario.bare is not None:
            return await self._played(scenario, lineup, epoch, None)
        try:
            warehouse = await asyncio.to_thread(self.fixtures.warehouse, scenario.fixture)
        except (UsageError, BadFile) as error:
            return _transcript(scenario, lineup, epoch, failure=told(error))
        try:
            return await self._played(scenario, lineup, epoch, warehouse)
        finally:
            self.fixtures.release(scenario.fixture)

    async def _played(self, scenario: Scenario, lineup: Lineup, epoch: int, warehouse: Warehouse | None) -> Transcript:
        start, turns, failure = time.perf_counter(), list[Played](), ""
        NOTED.set({})
        patience = asyncio.timeout(_patience(scenario))
        try:
            async with patience:
                await self._turns(scenario, lineup, epoch, warehouse, turns)
        except Exception as error:
            if patience.expired():
                of = _times(GIVEN_UP, _whole(scenario))
                failure = f"timeout: the case was given up after {_patience(scenario):g} s{of}"
            elif (failure := told(error)).startswith("crash"):
                log.exception("a case crashed", scenario=scenario.id, lineup=lineup.name)
        spent = round(time.perf_counter() - start, 4)
        failure = failure or next((t.failure for t in turns if t.failure), "")
        found: Sequence[Check] = ()
        if failure.startswith("timeout"):
            found = reported(scenario, turns)
        elif not failure:
            found, failure = await self._checked(scenario, turns, spent)
        return _transcript(scenario, lineup, epoch, turns, found, failure, spent)

    async def _checked(self, scenario: Scenario, turns: Sequence[Played], spent: float) -> tuple[list[Check], str]:
        """The checks, or why they could not be made."""
        try:
            timed = [turn if turn.seconds else turn.model_copy(update={"seconds": spent}) for turn in turns]
            return await checks(scenario, timed, self.judge), ""
        except ModelError as error:
            return [], f"judge: {error}"
        except re.error as error:
            return [], f"case: {error.pattern!r} is no regular expression: {error}"

    async def _turns(
        self, scenario: Scenario, lineup: Lineup, epoch: int, warehouse: Warehouse | None, turns: list[Played]
    ) -> None:
        """Play turn by turn into *turns*; the one in which an error is raised is there too, with what it had said."""
        if scenario.bare is not None:
            turns.append(await bare.play(scenario.bare, Seeded(lineup.models[lineup.trial], epoch)))
            return
        assert warehouse is not None
        team, previous = self._team(scenario, lineup, epoch), None
        for number, turn in enumerate(scenario.asked):
            start, calls = time.perf_counter(), list[Call]()
            try:
                floor_of = (f"{scenario.id}-{number}", team, calls)
                played = await self._turn(scenario, turn.question, warehouse, previous, floor_of)
            except BaseException:
                turns.append(Played(question=turn.question, calls=_kept(calls)))
                raise
            turns.append(played.model_copy(update={"seconds": round(time.perf_counter() - start, 4)}))
            if played.failure:
                return
            previous = played.report.question if played.report and not played.report.declined else previous

    async def _turn(
        self,
        scenario: Scenario,
        words: str,
        warehouse: Warehouse,
        previous: Question | None,
        floor_of: tuple[str, Team, list[Call]],
    ) -> Played:
        run, team, calls = floor_of
        try:
            view, question = await asyncio.to_thread(_read, scenario, words, warehouse, previous)
        except (UsageError, DataError) as error:
            return Played(question=words, refused=str(error))
        floor = Floor(run, view, team, Live(), limits=scenario.limits, calls=calls)
        whole = scenario.seat in (Seat.DESK, Seat.COORDINATOR) or not questions.ROLES[question.kind]
        report = await (answer(question, floor) if whole else alone(str(scenario.seat), question, floor))
        deadline = (
            f"its deadline of {self._seconds(scenario):g} s passed{_times(ENDED, _budget(scenario), self.deadline)}"
        )
        failure = of_report(report, scenario.cast, len(floor.reads), calls, deadline)
        return Played(question=words, report=report, calls=_kept(calls), failure=failure)

    def _seconds(self, scenario: Scenario) -> float:
        """Seconds that a role may take: fewer where the case's own budget has passed well before."""
        return min(self.deadline, ENDED * _budget(scenario) or self.deadline)

    def _team(self, scenario: Scenario, lineup: Lineup, epoch: int) -> Team:
        """The seats, filled; made once for all cases that have the same models, seed and script."""
        seconds = self._seconds(scenario)
        key = id(lineup), epoch, seconds, tuple(sorted(scenario.cast.items()))
        if key not in self._teams:
            models = {seat: Noted(Seeded(model, epoch), seat) for seat, model in lineup.models.items()}
            self._teams[key] = lineup, Team({**models, **casting.cast(scenario.cast)}, seconds)
        return self._teams[key][1]


def _patience(scenario: Scenario) -> float:
    """Seconds after which a case is given up: well past its budget, so that a slow answer is seen as one."""
    return GIVEN_UP * _whole(scenario) or PATIENCE


def _whole(scenario: Scenario) -> float:
    """Seconds that all turns together may cost; 0 where none names any."""
    return _budget(scenario) * len(scenario.asked)


def _budget(scenario: Scenario) -> float:
    """The most seconds that a turn of the case may cost; 0 where it names none."""
    return max((t.expect.budget.seconds or 0.0 for t in scenario.asked), default=0.0)


def _times(times: int, budget: float, most: float = math.inf) -> str:
    """That so many seconds come from the case's own *budget*, where they do: fewer than *most*."""
    return f", {times} times its budget of {budget:g} s" if 0 < times * budget < most else ""


def _read(scenario: Scenario, words: str, warehouse: Warehouse, previous: Question | None) -> tuple[View, Question]:
    named = amounts.one_clock(scenario.as_of, words)
    view = warehouse.view(AsOf.parse(named) if named else None)
    return view, questions.read(words, view.tickers, view.names, previous=previous)


def _kept(calls: Sequence[Call]) -> tuple[dict[str, object], ...]:
    return tuple(call.model_dump(mode="json") for call in calls)


def _asked(scenario: Scenario, lineup: Lineup, calls: Sequence[Mapping[str, object]]) -> int:
    """Requests to the model on trial; a role that the scenario scripts is none."""
    return sum(call["role"] in (bare.SEAT, lineup.trial) for call in calls) * (lineup.trial not in scenario.cast)


def _transcript(
    scenario: Scenario,
    lineup: Lineup,
    epoch: int,
    turns: Sequence[Played] = (),
    found: Sequence[Check] = (),
    failure: str = "",
    spent: float = 0.0,
) -> Transcript:
    calls = [call for turn in turns for call in turn.calls]
    outcome = Outcome(
        scenario=scenario.id,
        digest=scenario.digest,
        category=scenario.category,
        cluster=scenario.of,
        lineup=lineup.name,
        epoch=epoch,
        score=float(not failure and bool(found) and all(check.ok for check in found)),
        checks=tuple(found),
        failure=failure,
        seconds=spent,
        requests=len(calls),
        asked=_asked(scenario, lineup, calls),
        tools=sum(map(tools_called, turns)),
        tokens=sum(map(tokens_used, calls)),
        retries=sum(sent_back(call["prompt"]) for call in calls),
        dropped=sum(len(turn.report.dropped) for turn in turns if turn.report),
        memory=lineup.memory(),
    )
    return Transcript(outcome=outcome, turns=tuple(turns))
