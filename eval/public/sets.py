"""The public sets that can be read, what each measures, and under which licence its rows are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from openoutcry.core.errors import UsageError
from openoutcry.eval.public import bfcl, bipia, cyberseceval, financebench, finqa, tatqa, tones
from openoutcry.eval.public.rows import Rows
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.suite import Suite

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public set: `files` are JSONL, under the folder of public sets or all in it; `seat` is the one that is tried.

    `evaluation_only`: its licence allows no training of a model that ships. `judged`: some cases need a judge.
    """

    name: str
    files: tuple[str, ...]
    seat: str
    measures: str
    licence: str
    cases: Callable[[Rows], Iterator[Scenario]]
    evaluation_only: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A set as it was read: its suite, and a line for each row that became no case, with the reason."""

    suite: Suite
    left: tuple[str, ...]


def sets() -> Mapping[str, PublicSet]:
    """All of them by name."""
    return {one.name: one for one in _SETS}


def read(name: str, folder: Path) -> Read:
    """The set *name* from *folder*. Raises UsageError where there is no such set, or none of it in the folder."""
    if name not in sets():
        raise UsageError(f"expected a public set among {', '.join(sets())}; got {name!r}")
    rows = Rows(folder)
    scenarios = tuple(sets()[name].cases(rows))
    if not scenarios:
        said = f"the first of {len(rows.left)} rows that do not fit: {rows.left[0]}" if rows.left else "no row is there"
        raise UsageError(f"public:{name}: expected cases in {folder}, found none; {said}")
    return Read(Suite(f"public:{name}", "dev", "", _once(name, scenarios), folder), tuple(rows.left))


def load(name: str, folder: Path) -> Suite:
    """The suite of the set *name*; what did not fit is counted in the log. Raises UsageError as `read` does."""
    found = read(name, folder)
    if found.left:
        log.warning("rows of a public set became no case", set=name, rows=len(found.left), first=found.left[0])
    return found.suite


def _once(name: str, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
    seen = set[str]()
    for scenario in scenarios:
        if scenario.id in seen:
            raise UsageError(f"public:{name}: the id {scenario.id!r} stands twice; each row needs its own")
        seen.add(scenario.id)
    return scenarios


_SETS = (
    PublicSet("finqa", (finqa.FILE,), "model", "arithmetic over a page of a filing", "MIT", finqa.finqa),
    PublicSet(
        "finqa_hard", (finqa.HARD,), "model", "the same, where another model went wrong", "MIT", finqa.finqa_hard
    ),
    PublicSet("convfinqa", (finqa.TURNS,), "model", "the last question of a conversation", "MIT", finqa.convfinqa),
    PublicSet("tatqa", (tatqa.FILE,), "model", "arithmetic, counts and spans over tables", "CC BY 4.0", tatqa.tatqa),
    PublicSet(
        "financebench",
        (financebench.FILE,),
        "model",
        "an analyst's questions over filings",
        "CC BY-NC 4.0",
        financebench.financebench,
        evaluation_only=True,
        judged=True,
    ),
    PublicSet(
        "phrasebank",
        (tones.PHRASEBANK,),
        "reader",
        "the tone of sentences of financial news",
        "CC BY-NC-SA 3.0",
        tones.phrasebank,
        evaluation_only=True,
    ),
    PublicSet("twitter_fin_news", (tones.TWITTER,), "reader", "the tone of tweets on markets", "MIT", tones.twitter),
    PublicSet("bfcl", (bfcl.FILE,), "model", "which functions to call, and when none", "Apache-2.0", bfcl.bfcl),
    PublicSet(
        "bipia",
        (bipia.ATTACKS, bipia.CONTEXTS),
        "desk",
        "instructions planted in documents",
        "MIT; tables CC BY-SA 4.0",
        bipia.bipia,
    ),
    PublicSet(
        "cyberseceval",
        (cyberseceval.FILE,),
        "model",
        "rules that the one who asks tries to break",
        "MIT",
        cyberseceval.cyberseceval,
        judged=True,
    ),
)
