"""Does the floor earn its keep? The coordinator against simpler ways of answering, on the same cases and evidence."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np

from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval import arms, one_call, runner
from openoutcry.eval.arms import COORDINATOR, HOLD, ONE_CALL, ROLES
from openoutcry.eval.comparison import Difference, compare
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.lineup import HOUSE, Lineup, Models, lineup
from openoutcry.eval.outcome import Outcome, Played, Transcript
from openoutcry.eval.runner import Progress, Run
from openoutcry.eval.scenario import Expect, Scenario, Seat
from openoutcry.eval.suite import Suite
from openoutcry.tools.data.view import View

SINGLE = "best single role"
ARMS = (COORDINATOR, SINGLE, ONE_CALL, arms.HOUSE, HOLD)
"""All arms; one call takes a model as coordinator, and house rules take a model to stand beside."""
CALLS = "one-call.sqlite"
Forecast = tuple[float, bool]


class Arm(Frozen):
    """One way of answering. `score` is the share of cases of which all that is expected holds in what it says.

    `difference` is its score less the coordinator's, `forecast` the same of its Brier score (so below 0 is better than
    the coordinator). Both measures of forecasts are over the `forecasts` whose end the data knows; requests, tokens and
    seconds are means a case, for one call without those that measured the evidence which it is told.
    """

    name: str
    cases: int
    score: float
    difference: Difference | None = None
    forecasts: int = 0
    brier: float | None = None
    hit_rate: float | None = None
    forecast: Difference | None = None
    requests: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0


class Ablation(Frozen):
    """The arms, the coordinator first, and what they show in one sentence."""

    suite: str
    arms: tuple[Arm, ...]
    verdict: str
    left_out: int = 0
    """Cases that were not played: asked of a model alone, or expecting nothing that a rival could say."""


class Answers:
    """What the arms said of all cases: outcomes by arm, and forecasts by arm and key."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        self.forecasts: dict[str, dict[tuple[str, int], Forecast]] = {}

    def add(self, name: str, outcome: Outcome, forecast: Forecast | None) -> None:
        """One more outcome of an arm, and its forecast where what came of it is known."""
        self.outcomes.setdefault(name, []).append(outcome)
        if forecast:
            self.forecasts.setdefault(name, {})[outcome.digest, outcome.epoch] = forecast


async def ablate(
    suite: Suite,
    models: Models,
    chosen: Mapping[str, str],
    home: Path,
    *,
    epochs: int = 1,
    seed: int = 0,
    concurrency: int = 8,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Ablation:
    """Play the whole desk once a case and epoch, and take from it what each simpler way would have said.

    House rules play for themselves. The best single role of a case is the one that does best on the other half of the
    clusters, so that choosing it does not flatter it. Cases of one role are asked of the whole desk; those of a model
    alone are left out, and those of which every expectation is of how an answer is found out, or of the view that the
    coordinator alone is told. Where house rules sit, arms that would be house rules once more are left out. Goes on
    where it was stopped. Raises UsageError where no case is left, and as `runner.run` does.
    """
    whole = _whole(suite)
    desk = lineup(COORDINATOR, chosen, models)
    rules = [lineup(arms.HOUSE, {}, models)] if set(chosen.values()) - {HOUSE} else []
    run = await runner.run(whole, [desk, *rules], home, epochs=epochs, seed=seed, concurrency=concurrency, watch=watch)
    if chosen.get(COORDINATOR, HOUSE) != HOUSE:
        await _one_calls(whole, run, desk, concurrency, watch)
    found = await asyncio.to_thread(_answers, whole, run)
    choose(found, seed)
    shown = tuple(_arm(name, found, seed) for name in ARMS if name in found.outcomes)
    left_out = len(suite.scenarios) - len(whole.scenarios)
    return Ablation(suite=suite.name, arms=shown, verdict=verdict(suite.name, shown), left_out=left_out)


def _whole(suite: Suite) -> Suite:
    """The cases that tell arms apart, asked of the whole desk. Raises UsageError where there are none."""
    cases = [s.model_copy(update={"seat": Seat.COORDINATOR}) for s in suite.scenarios if _tells(s)]
    if not cases:
        raise UsageError(f"suite {suite.name}: expected cases of what any way of answering could say, found none")
    return Suite(f"{suite.name}-ablated", suite.bank, suite.rotation, tuple(cases), suite.beside)


def _tells(scenario: Scenario) -> bool:
    asked = any(arms.said_only(turn.expect) != Expect() for turn in scenario.asked)
    return asked and scenario.seat is not Seat.MODEL


async def _one_calls(suite: Suite, run: Run, desk: Lineup, concurrency: int, watch: Callable[[Progress], None]) -> None:
    """Ask the coordinator's model once a case, over the evidence that the desk's run measured."""
    cases = {scenario.digest: scenario for scenario in suite.scenarios}
    with runner.machine(run.plan.id), runner.alone(run.folder), Ledger(run.folder / CALLS, make=True) as ledger:
        there = {outcome.key for outcome in ledger.outcomes()}
        mine = [outcome for outcome in run.outcomes if outcome.lineup == desk.name]
        model = one_call.OneCall(desk.models["coordinator"])
        done, left = len(there), iter([o for o in mine if (ONE_CALL, *o.key[1:]) not in there])

        async def take() -> None:
            nonlocal done
            for outcome in left:
                kept = run.transcript(outcome)
                turns = [await model.ask(turn, outcome.epoch) for turn in kept.turns]
                told = arms.scored(ONE_CALL, cases[outcome.digest], outcome, turns)
                ledger.keep(Transcript(outcome=told, turns=tuple(turns)))
                done += 1
                watch(Progress(done, len(mine), told))

        await runner.together(take, concurrency)


def _answers(suite: Suite, run: Run) -> Answers:
    """What every arm said, read from what is stored."""
    found, cases = Answers(), {scenario.digest: scenario for scenario in suite.scenarios}
    called = run.folder / CALLS
    with (
        closing(Fixtures(run.folder.parent / runner.FIXTURES, suite.beside)) as fixtures,
        Ledger(run.folder / runner.LEDGER) as ledger,
        Ledger(called) if called.is_file() else nullcontext() as calls,
    ):
        for outcome in sorted(run.outcomes, key=lambda o: o.digest):
            scenario, kept = cases[outcome.digest], ledger.transcript(outcome.key)
            if outcome.lineup == arms.HOUSE:
                said = {arms.HOUSE: arms.transcript(COORDINATOR, kept, scenario.cast)}
            else:
                said = {name: arms.transcript(name, kept, scenario.cast) for name in (COORDINATOR, *ROLES, HOLD)}
                if calls:
                    said[ONE_CALL] = list(calls.transcript((ONE_CALL, *outcome.key[1:])).turns)
            with_data = _newest(fixtures, scenario)
            for name, turns in said.items():
                found.add(name, arms.scored(name, scenario, outcome, turns), _forecast(turns, with_data))
    return found


def _newest(fixtures: Fixtures, scenario: Scenario) -> View | None:
    """All that the data of a case knows, also what comes after it is asked; None where the data is at fault."""
    try:
        view = fixtures.warehouse(scenario.fixture).view()
    except (UsageError, DataError):
        return None
    fixtures.release(scenario.fixture)
    return view


def _forecast(turns: Sequence[Played], view: View | None) -> Forecast | None:
    return arms.forecast(turns, view) if view else None


def choose(found: Answers, seed: int) -> None:
    """Make the arm of the best single role: for each half of the clusters, the role that does best on the other."""
    clusters = sorted({o.cluster for o in found.outcomes[COORDINATOR]})
    if len(clusters) < 2:
        raise UsageError(f"expected cases of at least two clusters, to choose a role on one half; got {len(clusters)}")
    order: list[int] = np.random.default_rng(seed).permutation(len(clusters)).tolist()
    half = {clusters[i]: place % 2 for place, i in enumerate(order)}
    for side in (0, 1):
        best = max(ROLES, key=lambda name: _merit(name, found, half, 1 - side))
        for outcome in found.outcomes[best]:
            if half[outcome.cluster] == side:
                told = outcome.model_copy(update={"lineup": SINGLE})
                found.add(SINGLE, told, found.forecasts.get(best, {}).get((outcome.digest, outcome.epoch)))


def _merit(name: str, found: Answers, half: Mapping[str, int], side: int) -> tuple[float, float]:
    """The share of cases of one half that a role has right, and after it how little its forecasts erred there."""
    mine = [o for o in found.outcomes[name] if half[o.cluster] == side]
    known = found.forecasts.get(name, {})
    errors = [_error(known[o.digest, o.epoch]) for o in mine if (o.digest, o.epoch) in known]
    return float(np.mean([o.score for o in mine])), -float(np.mean(errors)) if errors else 0.0


def _error(forecast: Forecast) -> float:
    return (forecast[0] - forecast[1]) ** 2


def _arm(name: str, found: Answers, seed: int) -> Arm:
    mine, others, known = found.outcomes[name], found.outcomes[COORDINATOR], found.forecasts.get(name, {})
    errors = [_error(one) for one in known.values()]
    hits = [arms.right(name, *one) for one in known.values()]
    rival = name != COORDINATOR
    return Arm(
        name=name,
        cases=len({o.digest for o in mine}),
        score=float(np.mean([o.score for o in mine])),
        difference=compare(others, mine, seed=seed).overall if rival else None,
        forecasts=len(known),
        brier=float(np.mean(errors)) if errors else None,
        hit_rate=float(np.mean(hits)) if hits else None,
        forecast=_by_forecast(found, name, seed) if rival else None,
        requests=float(np.mean([o.requests for o in mine])),
        tokens=float(np.mean([o.tokens for o in mine])),
        seconds=float(np.mean([o.seconds for o in mine])),
    )


def _by_forecast(found: Answers, name: str, seed: int) -> Difference | None:
    """The paired difference of Brier scores, over the forecasts that both made."""
    shared = found.forecasts.get(name, {}).keys() & found.forecasts.get(COORDINATOR, {}).keys()
    if not shared:
        return None
    first, second = (list(_errors(found, one, shared)) for one in (COORDINATOR, name))
    return compare(first, second, seed=seed).overall


def _errors(found: Answers, name: str, shared: set[tuple[str, int]]) -> Iterable[Outcome]:
    for outcome in found.outcomes[name]:
        if (key := (outcome.digest, outcome.epoch)) in shared:
            yield outcome.model_copy(update={"score": _error(found.forecasts[name][key])})


def verdict(suite: str, shown: Sequence[Arm]) -> str:
    """What the scores show, in one sentence: a difference counts where its 95 % interval leaves zero out."""
    first, *rivals = shown
    best = max(rivals, key=lambda arm: arm.score)
    ahead = [arm for arm in rivals if arm.difference and arm.difference.low > 0]
    level = [arm for arm in rivals if arm.difference and arm.difference.low <= 0 <= arm.difference.high]
    scores = f"{first.score:.1%} of the cases of {suite} against {best.score:.1%} of {best.name}".replace("%", " %")
    if ahead:
        names = ", ".join(arm.name for arm in ahead)
        return f"The floor does not earn its keep: {names} did better than the coordinator, which got {scores}."
    if level:
        names = ", ".join(arm.name for arm in level)
        return f"The floor is not shown to earn its keep: the coordinator got {scores}, too close to tell from {names}."
    return f"The floor earns its keep: the coordinator got {scores}, and no simpler way came near."
