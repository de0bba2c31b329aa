"""The verdict of a look: every criterion, and PROMOTE only where all of them hold."""

from collections.abc import Iterator, Sequence

import numpy as np

from openoutcry.core.errors import UsageError
from openoutcry.eval.comparison import won
from openoutcry.eval.gate import criteria, spending
from openoutcry.eval.gate.sheet import Sheet, sheet
from openoutcry.eval.statistics.interval import intervals, wary
from openoutcry.eval.statistics.repeats import always
from openoutcry.eval.terms import ANCHOR, CHALLENGER, CHAMPION, Criterion, Side, Status, Terms, Verdict


def decide(
    terms: Terms, champion: Side, challenger: Side, anchor: Side, alpha: float, extra: Sequence[Criterion] = ()
) -> Verdict:
    """May *challenger* take the seat of *champion*? *alpha* is what the ledger grants this look, one-sided.

    The same arguments give the same verdict, on any machine. Where the sides did not meet the same cases in full,
    only safety is judged beside that: numbers of unequal sides would be held against one of them. *extra* are further
    criteria, such as that of a judge. Raises UsageError for an *alpha* outside (0, 0.5).
    """
    if not 0 < alpha < 0.5:
        raise UsageError(f"expected a level between 0 and 0.5 for this look, got {alpha:g}")
    sides = {CHAMPION: champion, CHALLENGER: challenger, ANCHOR: anchor}
    laid = sheet(sides, terms.epochs)
    judged = [criteria.same(sides), criteria.complete(laid)]
    if all(c.status is Status.HOLDS for c in judged):
        judged += _measured(laid, terms, min(terms.alpha, alpha))
    return _verdict((*judged, criteria.safe(challenger, terms), *extra))


def _measured(laid: Sheet, terms: Terms, alpha: float) -> Iterator[Criterion]:
    """All that is measured on the same cases."""
    scores = {name: laid.measured(name, "score") for name in laid.played}
    means = {name: values.mean(axis=1) for name, values in scores.items()}
    whole = np.ones(len(laid.categories), dtype=np.bool_)
    named = [(c, against) for c in sorted(set(laid.categories)) for against in (CHAMPION, ANCHOR)]
    gains = (means[CHALLENGER] - means[CHAMPION])[:, None]
    (gained,) = intervals(
        gains,
        whole[:, None],
        laid.clusters,
        np.array([alpha]),
        few=terms.few_clusters,
        draws=terms.draws,
        seed=terms.seed,
    )
    columns = [
        (always(scores[CHALLENGER]) - always(scores[CHAMPION]), whole),
        *((means[CHALLENGER] - means[a], laid.within(c)) for c, a in named),
    ]
    values, members = (np.stack(part, axis=-1) for part in zip(*columns, strict=True))
    levels = np.full(len(columns), terms.category_alpha)
    kept, *rest = wary(values, members, laid.clusters, levels, draws=terms.draws, seed=terms.seed)
    yield criteria.gain(gained, terms, alpha)
    yield criteria.odds(*won(means[CHAMPION], means[CHALLENGER]), terms)
    yield criteria.steady(kept, terms)
    for (category, against), found in zip(named, rest, strict=True):
        yield criteria.not_inferior(found, category, against, terms)
    for cost in (spending.latency, spending.tokens, spending.memory, spending.retries):
        yield cost(laid, terms)


def _verdict(judged: tuple[Criterion, ...]) -> Verdict:
    stands = {c.status for c in judged}
    if Status.BROKEN in stands:
        return Verdict(decision="REJECT", criteria=judged)
    return Verdict(decision="INCONCLUSIVE" if Status.OPEN in stands else "PROMOTE", criteria=judged)
