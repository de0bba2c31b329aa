"""How the account of `outcry cost` reads in the terminal."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from openoutcry.interfaces.eval_text import number, table
from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.cost.account import Account, Elsewhere, Part, Row
    from openoutcry.eval.cost.machine import Machine, Power
    from openoutcry.eval.cost.money import Money
    from openoutcry.eval.cost.prices import Tariff

UNITS = {"runs": "run", "evaluations": "case"}
NOT_SET = "not set"
UNKNOWN = "no price known"


def account(found: "Account", asked: bool) -> Iterator[str]:
    """The whole account; *asked* says that the models to compare with were named."""
    for part in found.parts:
        yield from _part(part)
        yield ""
    yield from _elsewhere(found, asked)
    yield ""
    yield from _here(found)


def _part(part: "Part") -> Iterator[str]:
    first = f" since {part.first:%Y-%m-%d}" if part.first else ""
    unsplit = f", {part.unsplit:,} of them of unusable answers" if part.unsplit else ""
    yield f"{part.name}: {number(part.count, UNITS[part.name])}{first}, {number(part.tokens, 'token')}{unsplit}"
    if part.left is not None:
        yield wrap(left(part), "  ", "  ")
    elif part.count:
        yield wrap("bytes that left this machine: evaluations keep no count of it", "  ", "  ")
    if part.rows:
        yield from (f"  {line}" for line in table(tokens(part.rows), 2))
        if all(row.model == "house" for row in part.rows):
            yield wrap("House rules answered alone: they have no tokens, so there is nothing to price.", "  ")
    for fault in part.broken:
        yield wrap(harmless(f"not counted: {fault}"), "  ", "    ")


def left(part: "Part") -> str:
    """What left the machine by the records of runs, and so what was paid for."""
    inside = sum(part.sent.values()) - (part.left or 0)
    if part.left:
        where = ", ".join(f"{count:,} to {place}" for place, count in part.sent.items())
        return harmless(
            f"{part.left:,} bytes left this machine (sent: {where}): what their receivers charged is not recorded here"
        )
    return f"0 bytes left this machine, so 0 were paid for; {inside:,} went to models on it (from each run's manifest)"


def tokens(rows: "Sequence[Row]") -> list[list[str]]:
    """Requests and tokens by role and model, with a heading."""
    heading = ["role", "model", "requests", "tokens in", "tokens out", "seconds"]
    return [
        heading,
        *([r.role, r.model, f"{r.requests:,}", f"{r.input:,}", f"{r.output:,}", f"{r.seconds:,.2f}"] for r in rows),
    ]


def _elsewhere(found: "Account", asked: bool) -> Iterator[str]:
    yield "The same tokens elsewhere" + ("" if asked else " (--like MODEL for others)")
    parts = [part.name for part in found.parts]
    rows = [[one.model, *(_cost(one, part) for part in found.parts)] for one in found.elsewhere]
    yield from (f"  {line}" for line in table([["model", *parts], *rows]))
    for one in found.elsewhere:
        yield wrap(harmless(f"{one.model}: {tariff(one.tariff)}"), "  ", "    ")
    notes = ["Prices are a million tokens; cached prompts are priced as fresh ones, and another tokenizer counts anew."]
    if any(part.unsplit for part in found.parts):
        notes.append("Tokens of unusable answers are left out: their records do not tell prompt from answer.")
    yield wrap(" ".join(notes), "  ")


def _cost(one: "Elsewhere", part: "Part") -> str:
    if part.name not in one.costs:
        return UNKNOWN
    return str(one.costs[part.name]) if part.tokens else "no tokens"


def tariff(found: "Tariff | None") -> str:
    """A price with its source and date, or that there is none, and what to do."""
    if found is None:
        return f"{UNKNOWN}, in prices.toml or the shipped table; a table of that name in prices.toml gives one"
    return f"{found}"


def _here(found: "Account") -> Iterator[str]:
    cost, power = found.cost, found.parts[0].machine.power
    years = f"{cost.machine_years:f} years{' (assumed)' if 'machine_years' in found.assumed else ''}"
    yield "This machine"
    yield wrap(f"draws       {_drawn(power)}", "  ", " " * 14)
    yield f"  electricity {_set(cost.price_per_kwh, cost.currency, 'a kWh', 'price_per_kwh')}"
    yield f"  machine     {_set(cost.machine_price, cost.currency, f'over {years}', 'machine_price')}"
    used = [part for part in found.parts if part.count]
    if not used:
        return
    heading = ["", *(part.name for part in used)]
    lines = [
        ["busy seconds", *(f"{part.machine.busy:,.2f}" for part in used)],
        ["energy", *(_energy(part.machine) for part in used)],
        ["worn, busy share", *(_or(part.machine.worn_busy) for part in used)],
        ["worn, all hours since", *(_or(part.machine.worn_elapsed) for part in used)],
        ["energy and busy share", *(_or(part.machine.least) for part in used)],
        ["  a run or case", *(_or(part.each(part.machine.least)) for part in used)],
        ["  a thousand tokens", *(_thousand(part) for part in used)],
    ]
    told = [line for line in lines if line[0] == "busy seconds" or {*line[1:]} - {NOT_SET, "no tokens"}]
    yield from (f"  {line}" for line in table([heading, *told]))
    yield wrap(
        "busy: seconds in which a model was asked, however many at once; where a record does not tell when, its "
        "requests count each, at most what their run took. Energy: busy seconds x watts. Worn: machine price / years x "
        "the busy seconds, and x all the time since the first of them.",
        "  ",
    )


def _drawn(power: "Power | None") -> str:
    if power is None:
        return f"{NOT_SET} ([cost] watts)"
    idle = ", busy or idle: no energy is told by it, [cost] watts would" if power.now else ""
    return f"{power.watts:f} W, by {power.source}{idle}"


def _set(amount: Decimal | None, currency: str, what: str, key: str) -> str:
    return f"{currency} {amount:,f} {what}" if amount is not None else f"{NOT_SET} ([cost] {key})"


def _or(amount: "Money | None") -> str:
    return str(amount) if amount else NOT_SET


def _energy(found: "Machine") -> str:
    if found.kwh is None:
        return NOT_SET
    return f"{found.energy or 'price not set'} ({found.kwh:.4g} kWh)"


def _thousand(part: "Part") -> str:
    if not part.tokens:
        return "no tokens"
    return _or(part.per_thousand(part.machine.least))
