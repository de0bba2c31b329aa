"""Plays a suite with one or more lineups, side by side, and goes on where it was stopped."""

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from pydantic import ValidationError

from openoutcry.agents.bundle import code_digest
from openoutcry.agents.calls import digest
from openoutcry.agents.house.model import HouseModel
from openoutcry.agents.team import ROLES, Team
from openoutcry.core import durable
from openoutcry.core.errors import BrokenRun, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.ledger import Ledger, stopped
from openoutcry.eval.lineup import Lineup
from openoutcry.eval.outcome import Outcome, Transcript
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.scorers import Judge
from openoutcry.eval.stage import ROLE_SECONDS, Stage
from openoutcry.eval.suite import Suite

PLAN, LEDGER, FIXTURES = "plan.json", "ledger.sqlite", "fixtures"
Turn = tuple[Scenario, int, Lineup]
"""One case in one epoch by one lineup."""


class Plan(Frozen):
    """What a run is of. Two plans that are the same are one run: asked again, it goes on."""

    suite: str
    bank: str
    rotation: str
    cases: str
    """The digest of the suite's cases."""
    count: int
    """How many cases."""
    data: str
    """A digest of the data that the cases stand on."""
    lineups: dict[str, dict[str, str]]
    """By lineup and seat, the digest (or else the name) of the model."""
    decoding: dict[str, dict[str, Any]]
    prompts: dict[str, str]
    code: str
    epochs: int
    seed: int
    judge: str = ""

    @property
    def id(self) -> str:
        """The run's name: the suite's, and a digest of all of the above."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', self.suite)}-{digest(self.model_dump(mode='json'))[:12]}"

    @property
    def total(self) -> int:
        """How many outcomes there are to be."""
        return self.count * self.epochs * len(self.lineups)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: outcomes there of all there are to be, and the newest."""

    done: int
    total: int
    newest: Outcome | None = None


@dataclass(frozen=True)
class Run:
    """A stored run. Its outcomes are in the order of cases, epochs and lineups."""

    folder: Path
    plan: Plan
    outcomes: tuple[Outcome, ...]

    @property
    def complete(self) -> bool:
        """Whether every case was played in every epoch by every lineup."""
        return len(self.outcomes) == self.plan.total

    def transcript(self, outcome: Outcome) -> Transcript:
        """All that was said in one case. Raises BrokenRun where it cannot be read."""
        with Ledger(self.folder / LEDGER) as ledger:
            return ledger.transcript(outcome.key)


async def run(
    suite: Suite,
    lineups: Sequence[Lineup],
    home: Path,
    *,
    epochs: int = 1,
    seed: int = 0,
    concurrency: int = 8,
    judge: Judge | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Play every case of *suite*, *epochs* times, with each of *lineups*, at most *concurrency* at once.

    The lineups take turns, in an order that *seed* decides, so that each meets the same state of the machine. Each
    outcome is on disk before the next begins in its place: a run that was killed loses what was in the air, and the
    same call goes on from there. Raises UsageError where another process is at the same run, and DataError where the
    machine fails it, such as by a full disk.
    """
    _sound(suite, lineups, epochs, concurrency)
    with closing(Fixtures(_root(home) / FIXTURES, suite.beside)) as fixtures:
        plan = _plan(suite, lineups, fixtures, (epochs, seed), judge)
        folder = _root(home) / plan.id
        with machine(plan.id), alone(folder), Ledger(folder / LEDGER, make=True) as ledger:
            durable.put(folder / PLAN, plan.model_dump_json(indent=1).encode())  # the newest is the run played last
            stage = Stage(fixtures, judge)
            await _play(_order(suite, lineups, epochs, seed), stage, ledger, plan.total, concurrency, watch)
            return Run(folder, plan, tuple(ledger.outcomes()))


def plan_of(
    suite: Suite,
    lineups: Sequence[Lineup],
    home: Path,
    *,
    epochs: int = 1,
    seed: int = 0,
    judge: Judge | None = None,
) -> Plan:
    """What `run` would be of, given the same."""
    with closing(Fixtures(_root(home) / FIXTURES, suite.beside)) as fixtures:
        return _plan(suite, lineups, fixtures, (epochs, seed), judge)


def ledger_of(home: Path, name: str) -> Path:
    """Where the outcomes of a run lie, or are to lie."""
    return _root(home) / name / LEDGER


async def _play(
    order: Sequence[Turn],
    stage: Stage,
    ledger: Ledger,
    total: int,
    concurrency: int,
    watch: Callable[[Progress], None],
) -> None:
    """Play all of *order* that the ledger does not hold yet."""
    there = {outcome.key for outcome in ledger.outcomes()}
    done = len(there)
    watch(Progress(done, total))
    left = iter([turn for turn in order if (turn[2].name, turn[0].digest, turn[1]) not in there])

    async def take() -> None:
        nonlocal done
        for scenario, epoch, lineup in left:
            transcript = await stage.play(scenario, lineup, epoch)
            await asyncio.to_thread(ledger.keep, transcript)  # the disk is waited for beside the others' work
            done += 1
            watch(Progress(done, total, transcript.outcome))

    await together(take, concurrency)


async def together(take: Callable[[], Coroutine[Any, Any, None]], concurrency: int) -> None:
    """Run *take* so many times at once; the first error of any ends all, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(take())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _order(suite: Suite, lineups: Sequence[Lineup], epochs: int, seed: int) -> list[Turn]:
    """Cases and epochs shuffled; the lineups of each one side by side, in an order drawn anew each time."""
    rng = np.random.default_rng(seed)
    pairs = [(scenario, epoch) for epoch in range(epochs) for scenario in suite.scenarios]
    named = sorted(lineups, key=lambda lineup: lineup.name)
    return [
        (*pairs[place], named[which]) for place in rng.permutation(len(pairs)) for which in rng.permutation(len(named))
    ]


def _plan(
    suite: Suite, lineups: Sequence[Lineup], fixtures: Fixtures, how: tuple[int, int], judge: Judge | None
) -> Plan:
    data = sorted({fixtures.digest(scenario.fixture) for scenario in suite.scenarios if scenario.bare is None})
    return Plan(
        suite=suite.name,
        bank=suite.bank,
        rotation=suite.rotation,
        cases=suite.digest,
        count=len(suite.scenarios),
        data=digest(data),
        lineups={lineup.name: lineup.digests for lineup in lineups},
        decoding={lineup.name: lineup.decoding for lineup in lineups},
        prompts=dict(_prompts()),
        code=_code(),
        epochs=how[0],
        seed=how[1],
        judge=str(getattr(judge, "name", "")),  # a judge need not have one
    )


@cache
def _prompts() -> Mapping[str, str]:
    """The digests of all prompts, which are the same whoever is asked."""
    models = {role: HouseModel(import_module(f"openoutcry.agents.house.{role}").rules) for role in ROLES}
    return Team(models, ROLE_SECONDS).digests()


@cache
def _code() -> str:
    return code_digest(Path(str(import_module("openoutcry").__file__)).parent)


def _sound(suite: Suite, lineups: Sequence[Lineup], epochs: int, concurrency: int) -> None:
    """Raises UsageError for what cannot be a run."""
    names = [lineup.name for lineup in lineups]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"expected lineups that each have a name of their own, got {', '.join(names) or 'none'}")
    if epochs < 1 or concurrency < 1:
        raise UsageError(f"expected at least one epoch and one case at a time, got {epochs} and {concurrency}")
    if not suite.scenarios:
        raise UsageError(f"suite {suite.name}: expected cases, found none")


@contextmanager
def machine(run: str) -> Generator[None]:
    """A fault of the machine in one line. Raises DataError."""
    try:
        yield
    except OSError as error:
        raise stopped(run, error) from None


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Be the one process at a run. Raises UsageError where another is."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, named = FileLock(folder / "lock"), folder / "pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = "another process"
        with suppress(FileNotFoundError):  # it may end at any moment
            who = f"process {pid}" if (pid := named.read_text()) else who
        raise UsageError(f"expected run {folder.name} at rest, but {who} is at it; wait for it or stop it") from None
    try:
        named.write_text(str(os.getpid()))
        yield
    finally:
        named.unlink(missing_ok=True)
        lock.release()


def stored(home: Path, name: str) -> Run:
    """A stored run by its name, by a beginning of it, or `last`. Raises UsageError or BrokenRun."""
    known = listing(home)
    if not known:
        raise UsageError(f"expected a stored evaluation, but {home} holds none; `outcry eval run` stores one")
    hits = known[-1:] if name == "last" else [name] if name in known else [k for k in known if k.startswith(name)]
    if len(hits) != 1:
        few = f"{len(hits)} evaluations fit" if hits else "no evaluation is called"
        raise UsageError(f"{few} {name!r}; the newest are {', '.join(known[-5:])}; `outcry eval runs` lists all")
    folder = _root(home) / hits[0]
    with Ledger(folder / LEDGER) as ledger:
        return Run(folder, _read(folder), tuple(ledger.outcomes()))


def listing(home: Path) -> list[str]:
    """The names of the stored runs, the one played last at the end."""
    found = list[tuple[int, str]]()
    for path in _root(home).glob(f"*/{PLAN}"):
        with suppress(FileNotFoundError):  # it may be deleted meanwhile
            found.append((path.stat().st_mtime_ns, path.parent.name))
    return [name for _, name in sorted(found)]


def _read(folder: Path) -> Plan:
    try:
        return Plan.model_validate_json((folder / PLAN).read_bytes())
    except (OSError, ValidationError):
        raise BrokenRun(
            f"run {folder.name}: its plan cannot be read, or is not of this version; move it away"
        ) from None


def _root(home: Path) -> Path:
    return home / "evals"
