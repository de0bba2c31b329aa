"""Limits: the book measured against what a person allows. No model takes part in the verdict."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.core.limits import Limits, Verdict
from openoutcry.tools.arguments import MAPPED
from openoutcry.tools.book import book_of
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, fraction, text, usd
from openoutcry.tools.holdings import Book
from openoutcry.tools.portfolio_risk import portfolio_value_at_risk
from openoutcry.tools.stress import stress_test
from openoutcry.tools.tool import tool

HORIZON, CONFIDENCE = 10, 0.99
Bounds = Annotated[
    Limits, MAPPED, Field(description=f"{', '.join(Limits.model_fields)}, e.g. stress_loss=0.3; else the settings'")
]


@tool
def check_limits(view: View, limits: Bounds) -> Evidence:
    """Measure the book against the limits of the settings; each passes, or is broken by so much.

    For each limit that is set: figures of the measure, `_limit` the bound, and `_excess`, the measure less the
    bound. Values are in USD, the others shares of the gross value. What cannot be measured is listed as missing
    and does not pass, nor does any limit while a holding has no value (`unvalued`). Options are valued at a rate
    of zero. Raises NotComputed where no limit is set or without a priced position.
    """
    if not limits.set_ones:
        raise NotComputed("needs limits: set them under [limits] in desk.toml, such as single_position = 0.25")
    book, figures, missing = book_of(view), dict[str, Figure](), list[str]()
    parts: dict[str, Evidence] = {}
    for name, bound in limits.set_ones.items():
        unit = usd if name in ("gross_value", "net_value") else fraction
        figures[f"{name}_limit"] = unit(bound)
        try:
            measure = _measure(view, book, name, parts)
        except NotComputed as error:
            missing.append(f"limit {name}: {error}")
            continue
        figures |= {name: unit(measure), f"{name}_excess": unit(measure - bound)}
        if name == "single_position":
            figures["largest"] = text(_largest(book)[0])
    broken = [n for n in limits.set_ones if f"{n}_excess" in figures and float(figures[f"{n}_excess"].value) > 0]
    verdict = "breach" if broken else "unmeasured" if missing or book.unvalued else "pass"
    return view.evidence(
        {
            "verdict": text(verdict),
            "broken": count(len(broken)),
            "limits": count(len(limits.set_ones)),
            "unvalued": count(len(book.unvalued)),
            **figures,
        },
        book.rows,
        conventions={
            "excess": "measure less limit; above zero the limit is broken",
            "value at risk": f"{HORIZON} trading days at {CONFIDENCE:.0%}, historical, of the gross value",
            "stress loss": "worst of all named scenarios, of the gross value",
            **book.conventions(0.0),
        },
        missing=list(dict.fromkeys([*missing, *book.missing, *(m for e in parts.values() for m in e.missing)])),
    )


def verdicts(evidence: Evidence) -> Iterator[Verdict]:
    """The verdict on each limit, with references to its figures."""
    for key in (n for n in evidence.figures if n.endswith("_limit")):
        name = key.removesuffix("_limit")
        bound = f"{evidence.id}.{key}"
        if name not in evidence.figures:
            reason = next((m for m in evidence.missing if m.startswith(f"limit {name}: ")), "not measured")
            yield Verdict(limit=name, status="unmeasured", bound=bound, reason=reason.removeprefix(f"limit {name}: "))
            continue
        broken = evidence.value(f"{name}_excess") > 0
        if not broken and (left := evidence.figures["unvalued"].value):
            reason = f"{left} of the book's holdings have no value here"
            yield Verdict(limit=name, status="unmeasured", value=f"{evidence.id}.{name}", bound=bound, reason=reason)
            continue
        status = "breach" if broken else "pass"
        excess = f"{evidence.id}.{name}_excess"
        yield Verdict(limit=name, status=status, value=f"{evidence.id}.{name}", bound=bound, excess=excess)


def _measure(view: View, book: Book, name: str, parts: dict[str, Evidence]) -> float:
    match name:
        case "gross_value":
            return book.gross()
        case "net_value":
            return abs(book.net())
        case "single_position":
            return _largest(book)[1]
        case "stress_loss":
            return -_once(parts, "stress", lambda: stress_test(view)).value("worst_share")
        case _:
            var = _once(parts, "var", lambda: portfolio_value_at_risk(view, horizon=HORIZON, confidence=CONFIDENCE))
            return var.value("var" if name == "value_at_risk" else "es")


def _once(parts: dict[str, Evidence], name: str, make: Callable[[], Evidence]) -> Evidence:
    if name not in parts:
        parts[name] = make()
    return parts[name]


def _largest(book: Book) -> tuple[str, float]:
    """The ticker with the largest share of the gross value, its options with it."""
    values: Mapping[str, float] = {t: sum(abs(h.value()) for h in book.holdings if h.ticker == t) for t in book.tickers}
    name = max(values, key=values.__getitem__)
    return name, values[name] / book.gross()
