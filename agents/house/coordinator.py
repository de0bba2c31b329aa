"""House rules of the coordinator: the answer by kind, the desk's chance, and how far the roles lie apart."""

import json
import re
from collections.abc import Sequence
from typing import Any

from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.house.analyst import fill
from openoutcry.agents.house.model import Result, remembered
from openoutcry.core.report import Kind

RISKY = re.compile(r"\b(risk\w*|var|volatil\w*|los[es]\w*|drawdowns?|downside|safe\w*)\b", re.IGNORECASE)
PRICED = re.compile(r"\b(cheap\w*|expensive|valu\w*|p/?e|multiples?)\b", re.IGNORECASE)
SURE = re.compile(r"\b(certain|certainty|guarantee\w*|can(?:no|')t lose|nothing can go wrong)\b", re.IGNORECASE)
"""A role's certainty is not passed on: there is none about a price."""
FEW = 30
LIMITS = "Of {limits} limits set for the book, {broken} are broken."
HEADLINES: dict[Kind, tuple[str, ...]] = {
    Kind.RISK: (
        "value_at_risk",
        "At {confidence} confidence {ticker} loses no more than {var} of its value over {horizon}; when it does lose "
        "more, the loss averages {es}.",
    ),
    Kind.BOOK: (
        "portfolio_value_at_risk",
        "At {confidence} confidence the book loses no more than {var_usd}, or {var} of its gross value, over "
        "{horizon}; when it does lose more, the loss averages {es_usd}.",
    ),
    Kind.VALUATION: (
        "valuation",
        "{ticker} costs {pe} what it earned in its last year, an earnings yield of {earnings_yield}.",
    ),
    Kind.NEWS: (
        "read_documents",
        "What is written on {ticker} reads {tone} on a scale from minus to plus one, over {relevant} documents.",
        "Nothing that was read is on {ticker} itself; {market} documents on the market read {market_tone}.",
    ),
}
VIEW = "The desk puts the chance that {ticker} ends {horizon} higher at {p_up}, against a base rate of {base_rate}."
RELATIVE = (
    "The desk puts the chance that {ticker} beats {other} over {horizon} at {p_up}, against a base rate of {base_rate}."
)
SPLIT = "The roles' chances lie {disagreement} apart, so take the mean with care."
HEAVIER = (
    "By its record the ROLE role weighs most: {ROLE_weight} of the view, over {ROLE_settled} settled views of all "
    "tickers."
)
UNITED = "The roles' chances lie {disagreement} apart: they broadly agree."


def rules(prompt: str, results: Sequence[Result]) -> Synthesis:
    """One pass: no tool is called."""
    asked = json.loads(prompt)
    evidence = {e["id"]: Result(e["tool"], {}, e["id"], e["figures"], e.get("items", [])) for e in asked["evidence"]}
    view = evidence.get(asked["view"])
    headline = _headline(asked, list(evidence.values()))
    chance = fill(RELATIVE if "other" in view else VIEW, view) if view else ""
    claims = [chance] if headline and chance else []
    if view and sum(name.endswith("_p_up") for name in view.figures) > 1:
        claims += _apart(view)
    claims += [c for e in evidence.values() if e.tool == "check_limits" and (c := fill(LIMITS, e))]
    claims += _learnt(asked, view)
    said = [c for f in asked["findings"] for c in f["claims"] if not SURE.search(c)]
    first = headline or chance or (said[0] if said else "")
    return Synthesis(headline=first, claims=[c for c in claims if c and c != first][:5])


def _learnt(asked: dict[str, Any], view: Result | None) -> list[str]:
    """The newest settled view of the same kind, as its lesson tells it, and what the roles' record weighs."""
    lessons = remembered(asked["memories"], "lesson") if view else []
    newest = max(lessons, key=lambda r: (str(r.figures["ended"][0]), r.id), default=None)
    said = [newest.arguments["claim"]] if newest else []
    heavier = _heavier(view) if view else None
    return [*said, *([fill(HEAVIER.replace("ROLE", heavier), view)] if view and heavier else [])]


def _heavier(view: Result) -> str | None:
    """The role that its record gives the most weight, where the weights differ."""
    weights = {n.removesuffix("_weight"): view.value(n) for n in view.figures if n.endswith("_weight")}
    if not weights or max(weights.values()) - min(weights.values()) < 0.01:
        return None
    return max(weights, key=lambda role: weights[role])


def _apart(view: Result) -> list[str]:
    """How far the roles' chances lie apart, where any of them takes a side."""
    apart = view.value("disagreement")
    return [fill(SPLIT if apart > 0.1 else UNITED, view)] if apart > 0 else []


def _headline(asked: dict[str, Any], evidence: list[Result]) -> str:
    """The sentence that answers this kind of question, from evidence on the tickers asked about."""
    kind, tickers = Kind(asked["kind"]), asked["tickers"]
    if kind is Kind.COMPARE:
        return _compared(asked["question"], tickers, evidence)
    tool, *sentences = HEADLINES.get(kind, ("",))
    about = _about(tickers[0], tool, evidence) if tickers else [r for r in evidence if r.tool == tool]
    told = [(r, c) for r in about for s in sentences if (c := fill(s, r))]
    if not told:
        return ""
    result, headline = told[0]
    return headline.removesuffix(".") + _rough(result)


def _rough(result: Result) -> str:
    """The end of a sentence: a caution where a curve, or few separate spans, stand behind a tail."""
    if "method" in result and result.figures["method"][0] == "gaussian":
        return ", by a normal curve; its history is too short to show a tail so far out."
    few = "independent" in result and result.value("independent") < FEW
    return f"; only {result.ref('independent')} separate spans stand behind this, so it is rough." if few else "."


def _about(ticker: str, tool: str, evidence: list[Result]) -> list[Result]:
    return [r for r in evidence if r.tool == tool and r.figures["ticker"][0] == ticker]


def _compared(question: str, tickers: list[str], evidence: list[Result]) -> str:
    """Which of two is riskier, or cheaper, where the question asks for that."""
    if RISKY.search(question):
        tool, name, verdict = "value_at_risk", "var", "risks more than"
        words = "over {horizon} at {confidence} confidence"
    elif PRICED.search(question):
        tool, name, verdict, words = "valuation", "pe", "costs more of its earnings than", "by the last year's earnings"
    else:
        return ""
    sides = [next(iter(_about(t, tool, evidence)), None) for t in tickers]
    if any(side is None or name not in side for side in sides):
        return ""
    more, less = sorted((s for s in sides if s), key=lambda s: -s.value(name))
    span = fill(words, more) if "{" in words else words
    verdict = f"{more.ref('ticker')} {verdict} {less.ref('ticker')} {span}"
    return f"{verdict}: {more.ref(name)} against {less.ref(name)}" + _rough(more)
