"""Examples from the open set of a role's suite: a teacher plays it, and what passed every check is kept.

Only the dev set can be played here: nothing takes the name of another.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from openoutcry.agents.calls import Call
from openoutcry.core.claims import render
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import ModelError
from openoutcry.core.report import Finding, Report
from openoutcry.core.sync import run_sync
from openoutcry.eval import runner
from openoutcry.eval.lineup import HOUSE, Lineup, Models, lineup
from openoutcry.eval.outcome import Outcome, Played
from openoutcry.eval.runner import Progress, Run
from openoutcry.eval.suite import Suite, load
from openoutcry.training.examples.rows import Chat, Gathered, Pair
from openoutcry.training.examples.worded import Unfit, worded

SPEAKERS = ("analyst", "sentiment", "risk")
"""The roles whose suites hold sentences that answer a question by themselves."""
Watch = Callable[[int, int], None]


def conversations(home: Path, models: Models, role: str, teacher: str, limit: int | None, watch: Watch) -> Gathered:
    """What *role* said in each case of its dev set that *teacher* passed; at most *limit* cases are played.

    Raises UsageError where there is no such model, ModelError where it failed in every case.
    """
    done = played(home, models, role, teacher, limit, watch)
    found = Gathered()
    for outcome, turn, report in _passed(done, found):
        try:
            said = worded([Call.model_validate(call) for call in turn.calls], role)
        except Unfit as why:
            found.left[str(why)] += 1
            continue
        given = {"role": role, "source": f"scenario:{outcome.scenario}", "known_at": _known(report)}
        found.rows.append(Chat.model_validate({**given, "messages": said.messages, "tools": said.tools}))
    return found


def pairs(home: Path, models: Models, teacher: str, limit: int | None, watch: Watch) -> Gathered:
    """The question of each case that *teacher* passed in the roles' dev sets, with each sentence that was found."""
    found = Gathered()
    for role in SPEAKERS:
        done = played(home, models, role, teacher, limit, watch)
        for outcome, turn, report in _passed(done, found):
            source, at = f"scenario:{outcome.scenario}", _known(report)
            for claim in _claims(report):
                found.rows.append(Pair(source=source, known_at=at, anchor=turn.question, positive=claim))
    return found


def played(home: Path, models: Models, role: str, teacher: str, limit: int | None, watch: Watch) -> Run:
    """The dev set of *role*, played with *teacher* in its seat and house rules in all others."""
    suite = _some(load(role), limit)
    seated = lineup("teacher", {} if teacher == HOUSE else {role: teacher}, models)

    async def play(seated: Lineup) -> Run:
        async with models.opened():
            return await runner.run(suite, [seated], home / "training", watch=lambda at: _tell(at, watch))

    done = run_sync(play(seated))
    if done.outcomes and all(outcome.failure for outcome in done.outcomes):
        raise ModelError(f"{teacher} failed in every case of {role}: {done.outcomes[0].failure}")
    return done


def _some(suite: Suite, limit: int | None) -> Suite:
    """At most *limit* cases, from all over the suite."""
    count = len(suite.scenarios)
    if limit is None or limit >= count:
        return suite
    chosen = tuple(suite.scenarios[i * count // limit] for i in range(limit))
    return dataclasses.replace(suite, scenarios=chosen)


def _tell(at: Progress, watch: Watch) -> None:
    watch(at.done, at.total)


def _passed(done: Run, found: Gathered) -> Iterator[tuple[Outcome, Played, Report]]:
    """The turns of all cases that passed; the others are counted."""
    for outcome in done.outcomes:
        if outcome.score < 1:
            found.left["a case that was not passed"] += 1
            continue
        for turn in done.transcript(outcome).turns:
            if turn.report is None or turn.report.declined:
                found.left["a question that is not for the role"] += 1
            elif turn.report.dropped:
                found.left["a sentence of it was dropped"] += 1
            else:
                yield outcome, turn, turn.report


def _claims(report: Report) -> Sequence[str]:
    """What the roles found, with its digits."""
    claims = [claim for found in report.findings if isinstance(found, Finding) for claim in found.claims]
    return [render(claim, report.by_id) for claim in claims]


def _known(report: Report) -> datetime:
    return AsOf.parse(report.as_of).moment
