"""What recall finds on real text: nDCG@10 of vectors alone, of words alone, and of both together.

`python benchmarks/retrieval.py` runs alone. The questions are those of questions.py and posts.py; the store is a real
one in a temporary folder, the embedder the bundled one. Nothing here is asserted; tests/memory/test_retrieval.py does.

A memory that recall collapsed into another (`Hit.alike`) counts as found where its keeper stands, with the better
grade of the two, and takes no place of its own in the ideal ranking either: so a list of ten different things is not
held to be worse than one that says the same ten times.
"""

import sys
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from posts import NAMES, posts
from questions import Case, QuestionSet, annual, available, events, financebench, finqa, tatqa

from openoutcry.memory.embedder import local
from openoutcry.memory.recall import Hit
from openoutcry.memory.store import Store

Mode = Literal["vector", "text", "hybrid"]
MODES: tuple[Mode, ...] = ("vector", "text", "hybrid")
YEAR, DEPTH, RESAMPLES = 2014, 10, 4_000
Line = tuple[str, str, str]
"""What was measured, the value, and the goal."""


def built(tickers: Container[str] = NAMES, every: int = 1) -> QuestionSet:
    """The whole set, or the posts on *tickers* alone and one question of *every* so many of the other families.

    The same files give the same set.
    """
    parts = [financebench(), finqa(), tatqa(), annual(), events(), posts(YEAR, tickers)]
    documents = {m.id: m for part in parts for m in part.documents}
    others = [case for part in parts[:-1] for case in part.cases]
    return QuestionSet(list(documents.values()), [*others[::every], *parts[-1].cases])


def ndcg(hits: Sequence[Hit], relevant: Mapping[str, int]) -> float:
    """nDCG at 10, from 0 to 1: gain 2^grade - 1, discount log2(rank + 1) (Järvelin and Kekäläinen, 2002)."""
    groups = [(hit.memory.id, *hit.alike) for hit in hits[:DEPTH]]
    found = [max(relevant.get(i, 0) for i in group) for group in groups]
    rest = [grade for i, grade in relevant.items() if not any(i in group for group in groups)]
    best = sorted([*found, *rest], reverse=True)[:DEPTH]
    return _dcg(found) / _dcg(best)


def _dcg(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / np.log2(place + 1) for place, grade in enumerate(grades, 1))


@dataclass(frozen=True, slots=True)
class Scores:
    """nDCG@10 of every question by mode, each of shape (questions,), and the family of each question."""

    families: Sequence[str]
    by_mode: Mapping[Mode, NDArray[np.float64]]

    def members(self, family: str) -> NDArray[np.intp]:
        """Which questions are of the family."""
        return np.flatnonzero(np.array(self.families) == family)

    def mean(self, mode: Mode) -> float:
        """Over all questions."""
        return float(self.by_mode[mode].mean())

    def macro(self, mode: Mode) -> float:
        """Over the families, each of the same weight."""
        return float(np.mean([self.by_mode[mode][self.members(f)].mean() for f in dict.fromkeys(self.families)]))

    def difference(self, other: Mode, family: str = "") -> tuple[float, float, float]:
        """Hybrid less *other* in the family, or over all questions: the mean, and 95 % of paired bootstrap means."""
        chosen = self.members(family) if family else np.arange(len(self.families))
        gaps = (self.by_mode["hybrid"] - self.by_mode[other])[chosen]
        drawn = np.random.default_rng(0).integers(0, len(gaps), (RESAMPLES, len(gaps)))
        low, high = np.quantile(gaps[drawn].mean(axis=1), [0.025, 0.975])
        return float(gaps.mean()), float(low), float(high)

    def macro_difference(self, other: Mode) -> tuple[float, float, float]:
        """Hybrid less *other* over the families, each of the same weight and drawn anew within itself."""
        gaps, rng = self.by_mode["hybrid"] - self.by_mode[other], np.random.default_rng(0)
        parts = [gaps[self.members(f)] for f in dict.fromkeys(self.families)]
        drawn = [part[rng.integers(0, len(part), (RESAMPLES, len(part)))].mean(axis=1) for part in parts]
        low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
        return float(np.mean([part.mean() for part in parts])), float(low), float(high)


def scored(store: Store, cases: Sequence[Case]) -> Scores:
    """Ask every question in every mode."""
    found: dict[Mode, NDArray[np.float64]] = {
        mode: np.array([ndcg(store.recall(c.wanted.model_copy(update={"mode": mode})), c.relevant) for c in cases])
        for mode in MODES
    }
    return Scores([c.family for c in cases], found)


def measured(made: QuestionSet, folder: Path) -> Scores:
    """Put the documents into a store at *folder*, and ask."""
    store = Store.open(folder, lambda: local(progress=tell), tell)
    try:
        store.add(made.documents)
        return scored(store, made.cases)
    finally:
        store.close()


def tell(text: str) -> None:
    """Progress, out of the way of the table."""
    print(text, file=sys.stderr)


def lines_of(scores: Scores, documents: int) -> Iterator[Line]:
    """A line a family, then over all of them."""
    yield f"nDCG@10, {len(scores.families)} questions, {documents:,} documents", "vector / text / hybrid", ""
    for family in dict.fromkeys(scores.families):
        chosen = scores.members(family)
        values = [float(scores.by_mode[mode][chosen].mean()) for mode in MODES]
        yield f"    {family} ({len(chosen)})", " / ".join(f"{v:.3f}" for v in values), "hybrid at least either"
        for other in MODES[:2]:
            yield f"        hybrid less {other}", interval(scores.difference(other, family)), ""
    yield "    mean over questions", " / ".join(f"{scores.mean(m):.3f}" for m in MODES), "hybrid at least either"
    for other in MODES[:2]:
        yield f"        hybrid less {other}", interval(scores.difference(other)), "above 0"
    yield "    mean over families", " / ".join(f"{scores.macro(m):.3f}" for m in MODES), "hybrid at least either"
    for other in MODES[:2]:
        yield f"        hybrid less {other}", interval(scores.macro_difference(other)), "above 0"


def interval(found: tuple[float, float, float]) -> str:
    """A difference with its 95 % interval."""
    return f"{found[0]:+.3f} [{found[1]:+.3f}, {found[2]:+.3f}]"


def rows() -> Iterator[Line]:
    """Every line: what was measured, the value, the goal."""
    if not available():
        yield "retrieval on real text", "no data here", "needs ../shared/data"
        return
    made = built()
    with tempfile.TemporaryDirectory() as folder:
        yield from lines_of(measured(made, Path(folder) / "memory"), len(made.documents))


if __name__ == "__main__":
    for name, value, goal in rows():
        print(f"{name:<58} {value:>26}   {goal}", flush=True)
