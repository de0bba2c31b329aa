"""House rules of the risk role: drawdown, volatility, two kinds of VaR, and the book."""

from collections.abc import Sequence

from openoutcry.agents.house.analyst import fill
from openoutcry.agents.house.model import Result, Step
from openoutcry.agents.role import Answer
from openoutcry.core.report import Kind, Lean, Question

RISING, FALLING = 1.15, 0.87
LONG = 25  # beyond it a thousand sessions hold too few separate spans
VAR = (
    "By its own history {ticker} loses more than {var} over {horizon} only beyond {confidence} confidence, "
    "and then {es} on average."
)
GAUSSIAN = "A normal curve through the same returns of {ticker} puts that bound at {var}, {word}."
VOLATILITY = (
    "{ticker} swings by {volatility} a year measured over {window}; over the last {recent_window} it was {recent}, "
    "{word}."
)
DRAWDOWN = (
    "Within {window} {ticker} fell at worst by {max}, from {peak_date} to {trough_date}; "
    "now it is {now} below its peak."
)
POSITION = (
    "The book holds {shares} shares of {ticker}, worth {value} at the {basis}, or {gross_share} of its gross value."
)


def rules(prompt: str, results: Sequence[Result]) -> list[Step] | Answer:
    """Measure each ticker, then fill the sentences that have figures."""
    question = Question.model_validate_json(prompt)
    if not results:
        return [step for ticker in question.tickers for step in _steps(question, ticker)]
    claims = [c for c in (_claim(r, results) for r in results) if c]
    lean = Lean.NONE if question.kind is Kind.COMPARE else _lean(results)
    return Answer(claims=claims[:8], lean=lean)


def _steps(question: Question, ticker: str) -> list[Step]:
    at = {"ticker": ticker, "horizon": question.horizon, "confidence": question.confidence}
    if question.horizon > LONG:
        at["window"] = min(10_000, 40 * question.horizon)
    steps = [
        Step("drawdown", {"ticker": ticker}),
        Step("volatility", {"ticker": ticker}),
        Step("value_at_risk", at),
    ]
    if question.kind is not Kind.COMPARE:
        steps += [Step("value_at_risk", {**at, "method": "gaussian"}), Step("position", {"ticker": ticker})]
    return steps


def _claim(result: Result, results: Sequence[Result]) -> str:
    match result.tool, result.arguments.get("method"):
        case "value_at_risk", "gaussian":
            history = next((r for r in results if r.tool == result.tool and "method" not in r.arguments), None)
            if history is None or "var" not in history or "var" not in result:
                return ""
            lower = result.value("var") < history.value("var")
            word = "less than history shows: its tail is fatter than normal" if lower else "no less than history shows"
            return fill(GAUSSIAN.replace("{word}", word), result)
        case "value_at_risk", _:
            return fill(VAR, result)
        case "volatility", _:
            return fill(VOLATILITY.replace("{word}", _pace(result)), result)
        case "drawdown", _:
            return fill(DRAWDOWN, result)
        case _:
            return fill(POSITION, result)


def _pace(result: Result) -> str:
    ratio = result.value("ratio") if "ratio" in result else 1.0
    return "rising" if ratio > RISING else "falling" if ratio < FALLING else "about the same"


def _lean(results: Sequence[Result]) -> Lean:
    ratios = [r.value("ratio") for r in results if r.tool == "volatility" and "ratio" in r]
    if not ratios:
        return Lean.NONE
    return Lean.DOWN if ratios[0] > 1.5 else Lean.NEUTRAL
