"""What the machine itself costs while models answer: electricity, and its own price spread over its years."""

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from openoutcry.core.evidence import Frozen
from openoutcry.core.settings import Cost
from openoutcry.eval.cost.money import EXACT, Money

YEAR = Decimal("31557600")
"""Seconds of a year of 365.25 days."""
KWH = Decimal(3_600_000)
"""Joules of a kilowatt-hour."""
COUNTERS = Path("/sys/class/powercap")
LOOK = 1.0
"""Seconds over which the counter of the processor is read."""


class Power(Frozen):
    """Watts that the machine draws, and by whose word. Those read just now may be of an idle machine."""

    watts: Decimal
    source: str
    now: bool = False


class Machine(Frozen):
    """What a stretch of work cost on this machine. What is None could not be told, as a price is not set.

    `busy` are the seconds in which models were asked, `elapsed` those from the first of it to now. The machine's price
    is spread evenly over its years: over the busy seconds alone, and over all seconds that went by.
    """

    busy: Decimal
    elapsed: Decimal
    power: Power | None = None
    kwh: Decimal | None = None
    energy: Money | None = None
    worn_busy: Money | None = None
    worn_elapsed: Money | None = None

    @property
    def least(self) -> Money | None:
        """Energy and the busy share of the machine's price together; None where either is not known."""
        return self.energy + self.worn_busy if self.energy and self.worn_busy else None


def machine(cost: Cost, power: Power | None, busy: Decimal, elapsed: Decimal) -> Machine:
    """What *busy* seconds of work within *elapsed* ones cost by the prices of *cost*.

    No energy is made of watts that were read now: the work is over, and drew others.
    """
    kwh = EXACT.divide(EXACT.multiply(busy, power.watts), KWH) if power and not power.now else None
    energy = None
    if kwh is not None and cost.price_per_kwh is not None:
        energy = Money(amount=EXACT.multiply(kwh, cost.price_per_kwh), currency=cost.currency)
    return Machine(
        busy=busy,
        elapsed=elapsed,
        power=power,
        kwh=kwh,
        energy=energy,
        worn_busy=worn(cost, busy),
        worn_elapsed=worn(cost, elapsed),
    )


def worn(cost: Cost, seconds: Decimal) -> Money | None:
    """The share of the machine's price that falls on *seconds* of its years; None where its price is not set."""
    if cost.machine_price is None:
        return None
    life = EXACT.multiply(cost.machine_years, YEAR)
    whole = Money(amount=EXACT.multiply(cost.machine_price, seconds), currency=cost.currency)
    return whole.over(life)


def drawn(
    cost: Cost,
    counters: Path = COUNTERS,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Power | None:
    """Watts as they are set, else as the processor's own counter (RAPL) shows them now; None where it cannot be read.

    The counter tells what processor and memory controller draw, not the whole machine, under whatever runs just now.
    """
    if cost.watts is not None:
        return Power(watts=cost.watts, source="[cost] watts")
    before, start = counter(counters), clock()
    if before is None:
        return None
    wait(LOOK)
    after, spent = counter(counters), clock() - start
    if after is None or after < before or spent <= 0:  # it runs over every few hours
        return None
    watts = Decimal((after - before) / 1e6 / spent).quantize(Decimal("0.1"))
    return Power(watts=watts, source=f"the processor's counter (RAPL), read over {LOOK:g} s just now", now=True)


def counter(counters: Path = COUNTERS) -> int | None:
    """Microjoules that all processor packages have drawn; None where no counter can be read (often only by root)."""
    try:
        found = [int((zone / "energy_uj").read_text()) for zone in counters.glob("intel-rapl:*") if _whole(zone)]
    except (OSError, ValueError):
        return None
    return sum(found) if found else None


def _whole(zone: Path) -> bool:
    """Whether a zone is a processor package: no part of one (intel-rapl:0:1), nor the platform that holds it (psys)."""
    return zone.name.count(":") == 1 and (zone / "name").read_text().startswith("package")
