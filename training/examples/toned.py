"""Texts whose tone is known by construction, in the words of the dev set, as the reader's classifier gets them."""

from collections.abc import Iterator
from datetime import datetime

from openoutcry.core.clock import AsOf
from openoutcry.eval.scenario import Made
from openoutcry.eval.suite import Suite, load
from openoutcry.eval.worlds.case import Row, made
from openoutcry.eval.worlds.documents import BOUNDS
from openoutcry.eval.worlds.names import companies
from openoutcry.tools.documents import Document
from openoutcry.training.examples.rows import Gathered, Tone

ALIKE = ("told", "market", "irony")
"""The situations in which every document reads the same way."""
TOLD = "told"
MORE = 60
"""Companies beyond those of the suite, in the same words: the suite's own are few."""
SEED = 7


def documents(limit: int | None) -> Gathered:
    """A row for each document of the sentiment suite's dev set whose tone is certain, and of further companies.

    At most *limit* companies. Of situations in which documents differ nothing is taken: which is which is not told.
    """
    found = Gathered()
    ones = [*_of_suite(load("sentiment"), found), *_more()]
    for one in ones[:limit]:
        case = made(one)
        label = next(tone for tone, (low, _) in BOUNDS.items() if low == case.truths["low"])
        known_at = AsOf.parse(case.as_of).moment
        for row in case.rows["documents"]:
            text = _document(row, known_at).excerpt
            source = f"scenario:{one.situation}-{one.ticker.lower()}"
            found.rows.append(
                Tone.model_validate({"source": source, "known_at": known_at, "text": text, "label": label})
            )
    return found


def _of_suite(suite: Suite, found: Gathered) -> Iterator[Made]:
    """The companies of a suite whose documents are alike, each once."""
    ones = {one.model_dump_json(): one for case in suite.scenarios for one in case.fixture.made if one.words == "dev"}
    for one in ones.values():
        if one.situation in ALIKE:
            yield one
        else:
            found.left["documents that differ in tone"] += 1


def _more() -> Iterator[Made]:
    """Further companies of which several documents read one way, each tone as often as another."""
    tones = list(BOUNDS)
    for i, name in enumerate(companies(MORE, SEED)):
        yield Made.model_validate(
            {
                "situation": TOLD,
                "seed": i,
                "ticker": name.upper(),
                "name": name,
                "with": {"tone": tones[i % len(tones)]},
            }
        )


def _document(row: Row, known_at: datetime) -> Document:
    """The row as the warehouse gives it to a reader."""
    kept = {name: str(row.get(name, "")) for name in ("ticker", "kind", "title", "body")}
    return Document(id="", publisher="", known_at=known_at, **kept)
