"""Scenarios a minute beside pydantic-evals over the same cases, task and checks, and how soon a run goes on.

pydantic-evals gets our stage as its task and our checks as its evaluators, so that what is compared is what lies
around them: order, bounds, records. Ours writes each outcome with its transcript to disk; pydantic-evals keeps its
report in memory.
"""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from openoutcry.core.logs import configure
from openoutcry.eval import runner
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.lineup import Candidate, Lineup
from openoutcry.eval.outcome import Transcript
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.stage import Stage
from openoutcry.eval.suite import Suite
from openoutcry.wiring import house_models

COMPANIES, HORIZONS, ROUNDS, CONCURRENCY = 10, 12, 3, 8
TENTH = f"SELECT digest FROM outcomes ORDER BY digest LIMIT {COMPANIES * HORIZONS // 10}"
FIRST = "import sys; from evaluation import go_on; go_on(sys.argv[1], float(sys.argv[2]))"
Row = tuple[str, str, str]


def suite() -> Suite:
    """The risk of ten made-up companies over twelve horizons, asked of the risk role."""
    names = [f"K{chr(97 + n)}lo" for n in range(COMPANIES)]
    made = [{"situation": "steady", "seed": n, "ticker": name.upper(), "name": name} for n, name in enumerate(names)]
    cases = [
        Scenario.model_validate(
            {
                "id": f"{one['ticker']}-{days}",
                "category": "value at risk",
                "cluster": one["ticker"],
                "seat": "risk",
                "fixture": {"made": made},
                "question": f"How risky is {one['ticker']} over the next {days} days at 99% confidence?",
                "expect": {"figures": [{"name": "var", "low": 0.0}], "tools": {"required": ["value_at_risk"]}},
            }
        )
        for one in made
        for days in range(1, HORIZONS + 1)
    ]
    return Suite("bench", "dev", "", tuple(cases))


def house() -> Lineup:
    """House rules in every seat."""
    models = house_models()
    return Lineup("house", models, {seat: Candidate(name="house") for seat in models})


async def theirs(asked: Suite, folder: Path) -> None:
    """All cases by pydantic-evals, at most so many at once."""
    evals: Any = import_module("pydantic_evals")
    evaluator: Any = import_module("pydantic_evals.evaluators").Evaluator

    @dataclass
    class Checked(evaluator):
        """The verdict of the checks, which the stage makes as it does in ours."""

        def evaluate(self, ctx: Any) -> dict[str, bool]:
            """Each check by name."""
            return {check.name: check.ok for check in ctx.output.outcome.checks}

    with closing(Fixtures(folder)) as fixtures:
        stage, seated = Stage(fixtures), house()
        cases = [evals.Case(name=scenario.id, inputs=scenario) for scenario in asked.scenarios]
        dataset = evals.Dataset(name="bench", cases=cases, evaluators=[Checked()])

        async def task(scenario: Scenario) -> Transcript:
            return await stage.play(scenario, seated, 0)

        report = await dataset.evaluate(task, max_concurrency=CONCURRENCY, progress=False)
        assert len(report.cases) == len(asked.scenarios)
        assert all(result.value for case in report.cases for result in case.assertions.values())


async def ours(asked: Suite, home: Path, seed: int) -> None:
    """All cases by the runner, each outcome and its transcript on disk."""
    done = await runner.run(asked, [house()], home, seed=seed, concurrency=CONCURRENCY)
    assert done.complete and all(outcome.score == 1 for outcome in done.outcomes)


def side_by_side(home: Path) -> Iterator[Row]:
    """Scenarios a minute by each, in turns; the first round, which makes the data, is left out."""
    asked, took = suite(), {"ours": list[float](), "theirs": list[float]()}
    for turn in range(ROUNDS + 1):
        works = {"ours": ours(asked, home, turn), "theirs": theirs(asked, home / "evals" / "fixtures")}
        for name in works if turn % 2 else reversed(works):
            start = time.perf_counter()
            asyncio.run(works[name])
            if turn:
                took[name].append(time.perf_counter() - start)
    rate = {name: 60 * len(asked.scenarios) / statistics.median(times) for name, times in took.items()}
    told = f"pydantic-evals in the same run: {rate['theirs']:,.0f}; goal: at least as many"
    yield "scenarios a minute, house rules, transcripts kept", f"{rate['ours']:,.0f}", told


def go_on(home: str, started: float) -> None:
    """Go on with the run of *home*, and print the seconds from *started* to its first new outcome, or to its end."""
    configure("warning")
    seen: list[float] = []

    def watch(progress: runner.Progress) -> None:
        if progress.newest and not seen:
            seen.append(time.time() - started)

    asyncio.run(runner.run(suite(), [house()], Path(home), concurrency=CONCURRENCY, watch=watch))
    print(seen[0] if seen else time.time() - started)


def resumed(home: Path) -> Iterator[Row]:
    """A new process that goes on with a run of which nine tenths are there, and with one that is whole."""
    asyncio.run(ours(suite(), home, 0))
    ledger = runner.stored(home, "last").folder / runner.LEDGER
    for name, tenth in (("90 % done, to its first new outcome", True), ("done, to its end", False)):
        times: list[float] = []
        for _ in range(ROUNDS):
            if tenth:
                with closing(sqlite3.connect(ledger)) as opened, opened:
                    opened.execute(f"DELETE FROM outcomes WHERE digest IN ({TENTH})")
            command = [sys.executable, "-c", FIRST, str(home), repr(time.time())]
            said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
            times.append(float(said.stdout.split()[-1]))
        yield f"a run resumed in a new process, {name}", f"{statistics.median(times):.2f} s", "with Python's start"


def rows() -> Iterator[Row]:
    """What was measured, a row each."""
    configure("warning")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        yield from side_by_side(home)
        yield from resumed(home)


def main() -> None:
    """Print the rows by themselves."""
    found: list[Any] = list(rows())
    for name, value, goal in found:
        print(f"{name:<60} {value:>12}  {goal}")


if __name__ == "__main__":
    main()
