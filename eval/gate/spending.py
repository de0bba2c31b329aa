"""The conditions of promotion that are about cost: time, tokens, memory, and answers that had to be sent back."""

from collections.abc import Callable

from openoutcry.eval.gate.criteria import figures
from openoutcry.eval.gate.sheet import Sheet
from openoutcry.eval.statistics import costs
from openoutcry.eval.statistics.clusters import Array
from openoutcry.eval.terms import CHALLENGER, CHAMPION, Criterion, Status, Terms

P95 = 0.95
FLOOR = 0.02
"""Answers sent back a run that the ratio counts from, so that one against none is not infinitely many."""


def latency(sheet: Sheet, terms: Terms) -> Criterion:
    """The 95th percentile of the seconds of an outcome is within the ratio.

    Where the champion asks no model, as house rules do not, its milliseconds are shown, and not held against a model
    that would be the first in the seat.
    """
    first, second = _both(sheet, "seconds")

    def low() -> float:
        return costs.quantile_low(
            first, second, sheet.clusters, P95, terms.category_alpha, draws=terms.draws, seed=terms.seed
        )

    before, after = costs.quantile(first, P95), costs.quantile(second, P95)
    if sheet.asks[CHALLENGER] and not sheet.asks[CHAMPION]:
        said = (
            f"p95 latency: {after:,.4g} s against {before:,.4g}; the champion asks no model, so the two are not "
            f"compared."
        )
        numbers = figures({"champion": before, "challenger": after, "allowed": terms.ratio})
        return Criterion(name="p95 latency", status=Status.HOLDS, said=said, figures=numbers)
    return _judged("p95 latency", "s", before, after, terms, low)


def tokens(sheet: Sheet, terms: Terms) -> Criterion:
    """The mean tokens of an outcome are within the ratio; open where those of one model alone were counted."""
    before, after = (float(side.mean()) for side in _both(sheet, "tokens"))
    silent = [name for name, spent in ((CHAMPION, before), (CHALLENGER, after)) if not spent and sheet.asks[name]]
    if silent and before + after:
        said = f"tokens: the server of the {silent[0]} counts none, so nothing can be told: let it report its usage."
        numbers = figures({"champion": before, "challenger": after, "allowed": terms.ratio})
        return Criterion(name="tokens", status=Status.OPEN, said=said, figures=numbers)
    return _mean("tokens", sheet, terms)


def retries(sheet: Sheet, terms: Terms) -> Criterion:
    """The mean number of answers sent back is within the ratio of the champion's and two in a hundred outcomes."""
    return _mean("retries", sheet, terms, FLOOR)


def memory(sheet: Sheet, terms: Terms) -> Criterion:
    """The most bytes that its servers held are within the ratio. A maximum is no sample: beyond is broken."""
    before, after = (float(side.max()) / 2**20 for side in _both(sheet, "memory"))
    return _judged("memory", "MiB", before, after, terms, lambda: costs.ratio(before, after))


def _both(sheet: Sheet, what: str) -> tuple[Array, Array]:
    return sheet.measured(CHAMPION, what), sheet.measured(CHALLENGER, what)


def _mean(what: str, sheet: Sheet, terms: Terms, floor: float = 0.0) -> Criterion:
    first, second = _both(sheet, what)

    def low() -> float:
        return costs.mean_low(
            first, second, sheet.clusters, terms.category_alpha, floor=floor, draws=terms.draws, seed=terms.seed
        )

    return _judged(what, "an outcome", float(first.mean()), float(second.mean()), terms, low, floor)


def _judged(
    name: str,
    unit: str,
    before: float,
    after: float,
    terms: Terms,
    low: Callable[[], float],
    floor: float = 0.0,
) -> Criterion:
    """Within the ratio, or not measured, it holds; beyond it, *low*, a bound of the ratio, tells open from broken.

    Without a *floor*, what is zero was not measured.
    """
    numbers = {"champion": before, "challenger": after, "allowed": terms.ratio}
    told = f"{name}: {after:,.4g} {unit} against {before:,.4g}"
    if not floor and 0 in (before, after):
        said = f"{told}; zero is not measured, so nothing is held against it."
        return Criterion(name=name, status=Status.HOLDS, said=said, figures=figures(numbers))
    ratio = costs.ratio(before + floor, after)
    numbers["ratio"], status = ratio, Status.HOLDS
    said = f"{told}; x{ratio:.2f}{f' (counted from {floor:g})' if floor else ''}, allowed x{terms.ratio:.2f}"
    if ratio > terms.ratio:
        numbers["low"] = least = low()
        status = Status.BROKEN if least > terms.ratio else Status.OPEN
        said += f", surely x{least:.2f}"
    return Criterion(name=name, status=status, said=said + ".", figures=figures(numbers))
