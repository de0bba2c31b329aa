"""Plays an A/B: the whole desk and another side on the same questions; stopped at any moment, it goes on from there."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openoutcry.agents.calls import digest
from openoutcry.core.errors import UsageError
from openoutcry.eval import runner
from openoutcry.eval.ab.asked import Alone, Other, Told
from openoutcry.eval.ab.prose import checks, readable
from openoutcry.eval.ab.recorded import Recorded
from openoutcry.eval.cost.stored import ALONE, OTHERS
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.lineup import Candidate, Lineup, Models, lineup
from openoutcry.eval.outcome import Check, Outcome, Played, Transcript
from openoutcry.eval.runner import Progress, Run
from openoutcry.eval.scenario import Scenario, Seat
from openoutcry.eval.scorers import refusal, shown, tokens_used
from openoutcry.eval.suite import Suite

DESK = "the desk"
REFUSED = "refused"
Watch = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Side:
    """What one side said: a transcript a case and epoch, whose outcome is scored by what a person would read."""

    name: str
    kept: tuple[Transcript, ...]

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes, in the order of cases and epochs."""
        return [one.outcome for one in self.kept]


@dataclass(frozen=True, slots=True)
class Match:
    """Both sides on the same cases. `own` are the desk's outcomes by its own scorers, by reference and not by prose."""

    suite: Suite
    run: Run
    desk: Side
    other: Side
    own: tuple[Outcome, ...]


def fair(suite: Suite) -> Suite:
    """The cases of *suite* that can be judged by prose, asked of the whole desk. Raises UsageError where none is."""
    cases = [s.model_copy(update={"seat": Seat.DESK}) for s in suite.scenarios if readable(s)]
    if not cases:
        raise UsageError(
            f"suite {suite.name}: expected cases that expect a figure or words of an answer and script no role, found "
            "none; `outcry eval new` writes an example"
        )
    return dataclasses.replace(suite, name=f"{suite.name}-ab", scenarios=tuple(cases))


def invented(suite: Suite) -> int:
    """How many cases stand on made-up companies, of which nobody can know who is not told."""
    return sum(bool(case.fixture.made) for case in suite.scenarios)


def asked(models: Models, name: str, evidence: bool) -> tuple[Other, Candidate]:
    """A model of the stack as the other side. Raises UsageError where there is none, or it may not be sent to."""
    model, candidate = models.seated("coordinator", name)
    return (Told(name, model) if evidence else Alone(name, model)), candidate


async def play(
    suite: Suite,
    models: Models,
    chosen: Mapping[str, str],
    other: Other,
    known: str,
    home: Path,
    *,
    epochs: int = 1,
    seed: int = 0,
    concurrency: int = 1,
    watch: Watch = lambda _: None,
) -> Match:
    """Play *suite*, made `fair`, with the desk of *chosen* models by seat, then with the *other* side.

    *known* is what tells the other side from others: the digest of the model, and how it was asked. Raises as
    `runner.run` does.
    """
    desk = lineup(DESK, chosen, models)
    run = await runner.run(suite, [desk], home, epochs=epochs, seed=seed, concurrency=concurrency, watch=watch)
    if isinstance(other, Recorded):
        theirs = [await _recorded(other, *pair) for pair in pairs(suite, run)]
    else:
        theirs = await _asked(suite, run, other, known, concurrency, watch)
    return match(suite, run, desk, theirs, other)


async def _recorded(other: Recorded, scenario: Scenario, kept: Transcript) -> Transcript:
    turns = await other.ask(scenario, kept.turns, kept.outcome.epoch)
    return _transcript(other.name, kept, turns)


async def _asked(suite: Suite, run: Run, other: Other, known: str, concurrency: int, watch: Watch) -> list[Transcript]:
    """Ask the other side what it was not asked yet; each answer is on the disk before the next question.

    Answers over the desk's evidence lie with its run. Those to the question alone stay good when the desk changes, so
    nobody pays for them twice.
    """
    folder = run.folder if isinstance(other, Told) else run.folder.parent / ALONE
    file = folder / f"{OTHERS}{digest([other.name, known])[:12]}.sqlite"
    with runner.machine(run.plan.id), runner.alone(folder), Ledger(file, make=True) as ledger:
        there = {outcome.key for outcome in ledger.outcomes()}
        both = pairs(suite, run)
        left = [pair for pair in both if (other.name, *pair[1].outcome.key[1:]) not in there]
        done, next_ones = len(both) - len(left), iter(left)
        watch(Progress(done, len(both)))

        async def take() -> None:
            nonlocal done
            for scenario, kept in next_ones:
                turns = await other.ask(scenario, kept.turns, kept.outcome.epoch)
                answered = _transcript(other.name, kept, turns)
                ledger.keep(answered)
                done += 1
                watch(Progress(done, len(both), answered.outcome))

        await runner.together(take, concurrency)
        return [ledger.transcript((other.name, *kept.outcome.key[1:])) for _, kept in both]


def pairs(suite: Suite, run: Run) -> list[tuple[Scenario, Transcript]]:
    """Each case and epoch, with all that the desk said in it."""
    cases = {scenario.digest: scenario for scenario in suite.scenarios}
    with Ledger(run.folder / runner.LEDGER) as ledger:
        return [(cases[o.digest], ledger.transcript(o.key)) for o in run.outcomes]


def _transcript(name: str, kept: Transcript, turns: Sequence[Played]) -> Transcript:
    """The turns of a side on a case of the desk, with what they cost; not scored yet."""
    calls = [call for turn in turns for call in turn.calls]
    outcome = Outcome(
        **kept.outcome.model_dump(include={"scenario", "digest", "category", "cluster", "epoch"}),
        lineup=name,
        score=0.0,
        failure=next((turn.failure for turn in turns if turn.failure), ""),
        seconds=round(sum(turn.seconds for turn in turns), 4),
        requests=len(calls),
        tokens=sum(tokens_used(call) for call in calls),
    )
    return Transcript(outcome=outcome, turns=tuple(turns))


def match(suite: Suite, run: Run, desk: Lineup, theirs: Sequence[Transcript], other: Other) -> Match:
    """Both sides, scored alike."""
    both = pairs(suite, run)
    mine = [_scored(scenario, kept, None) for scenario, kept in both]
    others = [_scored(scenario, kept, other) for (scenario, _), kept in zip(both, theirs, strict=True)]
    own = tuple(kept.outcome for _, kept in both)
    return Match(suite, run, Side(desk.name, tuple(mine)), Side(other.name, tuple(others)), own)


def _scored(scenario: Scenario, kept: Transcript, other: Other | None) -> Transcript:
    """A case by what a person reads of it: 1 where every figure and word that is expected is there."""
    epoch, found, failure = kept.outcome.epoch, list[Check](), kept.outcome.failure
    for number, (asked, turn) in enumerate(zip(scenario.asked, kept.turns, strict=False)):
        figures = other.figures(scenario, number, turn.question, epoch) if isinstance(other, Recorded) else ()
        made = checks(asked.expect, turn.question, shown(turn, Seat.DESK), figures)
        found += [check.model_copy(update={"turn": number}) for check in made]
    whole = len(kept.turns) == len(scenario.asked)
    if not failure and any(refusal(turn) for turn in kept.turns):
        failure = REFUSED
    right = whole and not failure and bool(found) and all(check.ok for check in found)
    told = {"score": float(right), "checks": tuple(found), "failure": failure}
    return kept.model_copy(update={"outcome": kept.outcome.model_copy(update=told)})
