"""The outcomes of a look laid out as arrays: the same cases, in the same order, for all three sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openoutcry.eval.outcome import Outcome
from openoutcry.eval.statistics.clusters import Array, Bools, Ints, codes
from openoutcry.eval.terms import Side

Sides = Mapping[str, Side]
"""The sides of a look by what they are in it: champion, challenger, anchor."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The cases of a look, and what each side did with them.

    `played` has a side's outcomes, epoch by epoch of case by case, and None where one is missing; `missing` counts by
    side what is missing, or there twice.
    """

    categories: tuple[str, ...]
    clusters: Ints
    epochs: int
    played: Mapping[str, Sequence[Outcome | None]]
    missing: Mapping[str, int]
    asks: Mapping[str, bool]
    """Whether a side asks a model: it spent tokens, or one seat has another model than the rest, which rules hold."""

    def measured(self, side: str, what: str) -> Array:
        """The field *what* of each outcome of *side*, cases x epochs; one that is missing counts 0."""
        values = [getattr(outcome, what) if outcome else 0.0 for outcome in self.played[side]]
        return np.array(values, dtype=np.float64).reshape(-1, self.epochs)

    def within(self, category: str) -> Bools:
        """Which cases belong to *category*."""
        return np.array([c == category for c in self.categories])


def sheet(sides: Sides, epochs: int) -> Sheet:
    """Lay out the outcomes of *sides*: the cases that any of them played, in *epochs* numbered from 0."""
    cases = {o.digest: o for side in sides.values() for o in side.outcomes}
    digests = sorted(cases)
    wanted = [(digest, epoch) for digest in digests for epoch in range(epochs)]
    known = {name: {(o.digest, o.epoch): o for o in side.outcomes} for name, side in sides.items()}
    return Sheet(
        categories=tuple(cases[d].category for d in digests),
        clusters=codes([cases[d].cluster for d in digests]),
        epochs=epochs,
        played={name: [outcomes.get(key) for key in wanted] for name, outcomes in known.items()},
        missing={
            name: len(outcomes.keys() ^ set(wanted)) + len(sides[name].outcomes) - len(outcomes)
            for name, outcomes in known.items()
        },
        asks={
            name: any(o.tokens for o in side.outcomes) or len(set(side.models.values())) > 1
            for name, side in sides.items()
        },
    )
