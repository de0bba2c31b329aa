"""The account: what was spent, what it would have cost elsewhere, and what the machine cost meanwhile."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from openoutcry.core.evidence import Frozen
from openoutcry.core.settings import Cost
from openoutcry.eval.cost.machine import Machine, Power, machine
from openoutcry.eval.cost.money import Money
from openoutcry.eval.cost.prices import Prices, Tariff
from openoutcry.eval.cost.spent import Spent, sizes
from openoutcry.eval.cost.stored import Records

LIKE = ("openai:gpt-4o", "openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5")
"""Whose prices are shown where none are asked for: widely used ones, to give a measure."""
THOUSAND = Decimal(1000)


class Row(Frozen):
    """What one model was asked in one role."""

    role: str
    model: str
    requests: int
    input: int
    output: int
    unsplit: int
    seconds: float


class Part(Frozen):
    """Records of one kind: the desk's runs, or the cases of evaluations. `left` is None where it was not recorded."""

    name: str
    count: int
    first: datetime | None
    rows: tuple[Row, ...]
    tokens: int
    sent: dict[str, int]
    left: int | None
    machine: Machine
    broken: tuple[str, ...]

    @property
    def unsplit(self) -> int:
        """Tokens whose prompt and answer were not told apart, so that no price covers them."""
        return sum(row.unsplit for row in self.rows)

    def each(self, amount: Money | None) -> Money | None:
        """Its share of *amount* a run or case; None where there is none."""
        return amount.over(Decimal(self.count)) if amount and self.count else None

    def per_thousand(self, amount: Money | None) -> Money | None:
        """Its share of *amount* a thousand tokens; None where none were counted."""
        return amount.times(THOUSAND).over(Decimal(self.tokens)) if amount and self.tokens else None


class Elsewhere(Frozen):
    """What the same tokens would have cost of another model, by part. No tariff: no price of it is known."""

    model: str
    tariff: Tariff | None
    costs: dict[str, Money]


class Account(Frozen):
    """All of it, as of *at*. `assumed` names the settings that nobody set and that have a value all the same."""

    at: datetime
    since: datetime | None
    parts: tuple[Part, ...]
    elsewhere: tuple[Elsewhere, ...]
    cost: Cost
    assumed: tuple[str, ...]


def account(
    records: dict[str, Records],
    prices: Prices,
    like: Sequence[str],
    cost: Cost,
    power: Power | None,
    now: datetime,
    since: datetime | None = None,
) -> Account:
    """The account of *records* by their names; the desk's are called runs, and alone know what left the machine."""
    return Account(
        at=now,
        since=since,
        parts=tuple(_part(name, one, cost, power, now) for name, one in records.items()),
        elsewhere=tuple(elsewhere(model, {n: r.spent for n, r in records.items()}, prices) for model in like),
        cost=cost,
        assumed=tuple(sorted({"machine_years"} - cost.model_fields_set)),
    )


def elsewhere(model: str, spent: dict[str, tuple[Spent, ...]], prices: Prices) -> Elsewhere:
    """What the requests of each part would have cost at the prices of *model*."""
    tariff = prices.find(model)
    costs = {name: tariff.of(sizes(ones)) for name, ones in spent.items()} if tariff else {}
    return Elsewhere(model=model, tariff=tariff, costs=costs)


def _part(name: str, of: Records, cost: Cost, power: Power | None, now: datetime) -> Part:
    elapsed = Decimal(str(max((now - of.first).total_seconds(), 0.0))) if of.first else Decimal(0)
    return Part(
        name=name,
        count=of.count,
        first=of.first,
        rows=tuple(map(row, of.spent)),
        tokens=of.tokens,
        sent=dict(sorted(of.sent.items())),
        left=of.left if name == "runs" else None,
        machine=machine(cost, power, Decimal(str(round(of.busy, 6))), elapsed),
        broken=of.broken,
    )


def row(one: Spent) -> Row:
    """One model in one role, as numbers."""
    return Row(
        role=one.role,
        model=one.model,
        requests=one.requests,
        input=one.input,
        output=one.output,
        unsplit=one.unsplit,
        seconds=round(one.seconds, 4),
    )
