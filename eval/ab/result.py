"""What an A/B shows: quality with its interval, how long answers took, tokens, and what they cost on either side."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from openoutcry.core.evidence import Frozen
from openoutcry.core.settings import Cost
from openoutcry.eval.ab.played import Match, Side
from openoutcry.eval.ab.recorded import Recorded
from openoutcry.eval.comparison import Comparison, Summary, compare, summaries
from openoutcry.eval.cost.account import Row, row
from openoutcry.eval.cost.busy import Busy
from openoutcry.eval.cost.machine import Machine, Power, machine
from openoutcry.eval.cost.money import Money
from openoutcry.eval.cost.prices import Prices, Tariff
from openoutcry.eval.cost.spent import Spent, grouped, of_calls, sizes
from openoutcry.eval.statistics.costs import quantile


class Priced(Frozen):
    """What the tokens of one side cost at the price of `model`; None where no price of it is known."""

    model: str
    tariff: Tariff | None
    cost: Money | None


class Standing(Frozen):
    """One side: how it did, how long it took, and what it spent.

    `p50` and `p95` are seconds of the questions that a model was asked: None where none was, or no times are recorded.
    `counted` is whether tokens are recorded.
    """

    name: str
    summary: Summary
    categories: tuple[Summary, ...]
    unanswered: dict[str, int]
    p50: float | None
    p95: float | None
    counted: bool
    rows: tuple[Row, ...]


class Result(Frozen):
    """An A/B. `comparison` is the other side against the desk: a difference above zero favours the other side.

    `left_out` are cases of the suite that cannot be judged by prose; `invented` those on made-up companies; `own` is
    the share of cases that the desk has right by its own scorers, by reference; `prices` are what the tokens of each
    side would cost at the other's price, `machine` what the desk's work cost here.
    """

    suite: str
    run: str
    cases: int
    left_out: int
    invented: int
    epochs: int
    at_once: int
    told: str
    desk: Standing
    other: Standing
    comparison: Comparison
    own: float
    machine: Machine
    theirs: tuple[Priced, ...]
    same: tuple[Priced, ...]


def result(
    match: Match,
    prices: Prices,
    cost: Cost,
    power: Power | None,
    *,
    left_out: int,
    invented: int,
    at_once: int,
    told: str,
    recorded: Recorded | None = None,
    like: str = "",
    seed: int = 0,
) -> Result:
    """What *match* shows. *like* names the price of the other side, where it is another than that of its model."""
    mine, others = _spent(match.desk), _spent(match.other)
    models = [like] if like else _models(others, recorded) or [match.other.name]
    seconds = Decimal(str(round(_busy(match.desk), 6)))
    return Result(
        suite=match.suite.name,
        run=match.run.folder.name,
        cases=len(match.suite.scenarios),
        left_out=left_out,
        invented=invented,
        epochs=match.run.plan.epochs,
        at_once=at_once,
        told=told,
        desk=_standing(match.desk, mine),
        other=_standing(match.other, others, recorded),
        comparison=compare(match.desk.outcomes, match.other.outcomes, seed=seed),
        own=sum(o.score for o in match.own) / len(match.own),
        machine=machine(cost, power, seconds, seconds),
        theirs=tuple(_priced(name, [s for s in others if like or s.model == name], prices) for name in models),
        same=tuple(_priced(name, mine, prices) for name in models),
    )


def _models(spent: Sequence[Spent], recorded: Recorded | None) -> list[str]:
    """The models that answered, else those that the record names."""
    named = [one.model for one in spent] or [row.model for row in (recorded.rows if recorded else [])]
    return [name for name in dict.fromkeys(named) if name]


def _priced(model: str, spent: Sequence[Spent], prices: Prices) -> Priced:
    tariff = prices.find(model)
    return Priced(model=model, tariff=tariff, cost=tariff.of(sizes(spent)) if tariff else None)


def _spent(side: Side) -> list[Spent]:
    return grouped(of_calls(call for kept in side.kept for turn in kept.turns for call in turn.calls))


def _busy(side: Side) -> float:
    """Seconds in which a model was asked."""
    busy = Busy()
    for kept in side.kept:
        busy.add((call for turn in kept.turns for call in turn.calls), kept.outcome.seconds or None)
    return busy.seconds


def _standing(side: Side, spent: Sequence[Spent], recorded: Recorded | None = None) -> Standing:
    whole, *parts = summaries(side.outcomes)
    kinds = Counter(o.failure.partition(":")[0] for o in side.outcomes if o.failure)
    rows = recorded.rows if recorded else []
    seconds = np.array([o.seconds for o in side.outcomes if o.requests])
    timed = len(seconds) > 0 and all(one.seconds is not None for one in rows)
    return Standing(
        name=side.name,
        summary=whole,
        categories=tuple(parts),
        unanswered=dict(sorted(kinds.items())),
        p50=quantile(seconds, 0.5) if timed else None,
        p95=quantile(seconds, 0.95) if timed else None,
        counted=all(one.tokens_in is not None and one.tokens_out is not None for one in rows),
        rows=tuple(map(row, spent)),
    )
