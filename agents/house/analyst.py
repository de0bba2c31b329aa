"""House rules of the analyst: growth, margins, valuation and price, per ticker, by fixed templates."""

from collections.abc import Sequence

from openoutcry.agents.house.model import Result, Step
from openoutcry.agents.role import Answer, Brief
from openoutcry.core.report import Kind, Lean, Question

TOOLS = {
    Kind.OVERVIEW: ("price_summary", "growth", "margins", "valuation"),
    Kind.RISK: ("price_summary", "growth"),
    Kind.VALUATION: ("valuation", "growth", "margins", "price_summary"),
    Kind.NEWS: ("price_summary",),
    Kind.COMPARE: ("growth", "margins", "valuation"),
}
SENTENCES = {
    "price_summary": "The {basis} of {ticker} was {close} on {last_date}, {below_high} below its high of a year.",
    "growth": "Revenue of {ticker} in fiscal {period} was {revenue}, a change of {revenue_growth} from {year_ago}.",
    "margins": "{ticker} kept {net} of its revenue of fiscal {period} as net income.",
    "valuation": "{ticker} trades at {pe} the last year's earnings, an earnings yield of {earnings_yield}.",
    "relative_return": "Over {window} {ticker} returned {return} against {other_return} for {other}; their daily "
    "returns correlate at {correlation}.",
}
EXTRA = {
    "price_summary": "{ticker} moved {return_month} in a month and {return_year} in a year.",
    "growth": "Net income of {ticker} changed by {net_income_growth} over the same span, as filed on {filed}.",
    "margins": "That net margin is a change of {net_change} from {year_ago}; the operating margin is {operating}.",
    "valuation": "Its market value of {market_value} is {price_to_sales} its sales of the last year.",
}


def rules(prompt: str, results: Sequence[Result]) -> list[Step] | Answer:
    """Ask every tool of the question's kind for every ticker, then fill the sentences that have figures."""
    question = Brief.model_validate_json(prompt).question
    if not results:
        return _steps(question)
    claims = [c for r in results for t in (SENTENCES, EXTRA) if (c := fill(t.get(r.tool, ""), r))]
    if question.kind is Kind.COMPARE:
        order = ("relative_return", *TOOLS[Kind.COMPARE])
        side_by_side = sorted(results, key=lambda r: order.index(r.tool))
        claims = [c for r in side_by_side if (c := fill(SENTENCES[r.tool], r))]
        return Answer(claims=claims[:8], lean=_compared(question, results))
    return Answer(claims=claims[:8], lean=_lean(results))


def _steps(question: Question) -> list[Step]:
    steps = [Step(t, {"ticker": x}) for x in question.tickers for t in TOOLS.get(question.kind, ())]
    if question.kind is Kind.COMPARE:
        first, other = question.tickers[:2]
        steps.insert(0, Step("relative_return", {"ticker": first, "other": other}))
    return steps


def fill(template: str, result: Result) -> str:
    """The template with references to this result's figures, or nothing where a figure is missing."""
    import re

    names = re.findall(r"\{(\w+)\}", template)
    if not names or any(name not in result for name in names):
        return ""
    return template.format(**{name: result.ref(name) for name in names})


def _points(results: Sequence[Result]) -> list[float]:
    """Plus for a rising year, growing revenue, growing income and a rich earnings yield; minus for the opposite."""
    points: list[float] = []
    for result in results:
        for name, low, high in (
            ("return_year", -0.1, 0.1),
            ("revenue_growth", -0.02, 0.05),
            ("net_income_growth", -0.05, 0.05),
            ("earnings_yield", 0.02, 0.06),
        ):
            if name in result:
                value = result.value(name)
                points.append(float(value > high) - float(value < low))
    return points


def _lean(results: Sequence[Result]) -> Lean:
    points = _points(results)
    if not points:
        return Lean.NONE
    total = sum(points)
    return Lean.UP if total >= 2 else Lean.DOWN if total <= -2 else Lean.NEUTRAL


def _compared(question: Question, results: Sequence[Result]) -> Lean:
    sums = [sum(_points([r for r in results if r.arguments.get("ticker") == t])) for t in question.tickers[:2]]
    return Lean.UP if sums[0] > sums[1] else Lean.DOWN if sums[0] < sums[1] else Lean.NEUTRAL
