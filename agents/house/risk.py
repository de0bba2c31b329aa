"""House rules of the risk role: drawdown, volatility, two kinds of VaR, and the book."""

from collections.abc import Sequence

from openoutcry.agents.house.analyst import fill
from openoutcry.agents.house.model import Result, Step, remembered
from openoutcry.agents.role import Answer, Brief
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
BEFORE = "On {made} the desk measured that bound of {ticker} at {var}, with an average loss of {es} beyond it."
DRAWDOWN = (
    "Within {window} {ticker} fell at worst by {max}, from {peak_date} to {trough_date}; "
    "now it is {now} below its peak."
)
POSITION = (
    "The book holds {shares} shares of {ticker}, worth {value} at the {basis}, or {gross_share} of its gross value."
)

OPTIONS = (
    "Beside them stand {contracts} option contracts on {ticker}, worth {options_value}; they move like {delta_shares} "
    "shares."
)
BOOK_VALUE = (
    "The book has {lines} lines with a gross value of {gross_value}, in which what is sold short counts in full."
)
BOOK_VAR = (
    "By the history of what it holds, the book loses more than {var} of its gross value, or {var_usd}, over {horizon} "
    "only beyond {confidence} confidence, and then {es} on average."
)
BOOK_LARGEST = "Of its lines {largest} adds most to that bound: {largest_component} of the gross value."
BOOK_NORMAL = "A normal curve through the same returns puts that bound at {var}."
BOOK_STRESS = (
    "Of {scenarios} stress scenarios the worst is {worst}: the book would change by {worst_profit}, or {worst_share} "
    "of its gross value."
)
BOOK_TESTED = (
    "Over the last {observations} sessions its one-day bound at {confidence} confidence was broken on {exceptions}, "
    "where {expected} are expected: the Basel traffic light is {zone}."
)


def rules(prompt: str, results: Sequence[Result]) -> list[Step] | Answer:
    """Measure each ticker, then fill the sentences that have figures."""
    brief = Brief.model_validate_json(prompt)
    question = brief.question
    if question.kind is Kind.BOOK:
        return _of_the_book(question, results)
    if not results:
        return [step for ticker in question.tickers for step in _steps(question, ticker)]
    claims = [c for c in (_claim(r, results) for r in results) if c]
    claims += [c for c in (fill(OPTIONS, r) for r in results if r.tool == "position") if c]
    claims += _before(brief, results)
    lean = Lean.NONE if question.kind is Kind.COMPARE else _lean(results)
    return Answer(claims=claims[:8], lean=lean)


def _before(brief: Brief, results: Sequence[Result]) -> list[str]:
    """The same bound when the desk last measured it, where it remembers: same horizon, same confidence."""
    now = next((r for r in results if r.tool == "value_at_risk" and "method" not in r.arguments and "var" in r), None)
    if now is None or brief.question.kind is Kind.COMPARE:
        return []
    same = ("ticker", "horizon", "confidence")
    told = (r for r in remembered(brief.memories, "finding") if "es" in r and all(n in r for n in same))
    last = next((r for r in told if all(r.figures[n][0] == now.figures[n][0] for n in same)), None)
    return [fill(BEFORE, last)] if last else []


def _of_the_book(question: Question, results: Sequence[Result]) -> list[Step] | Answer:
    """Measure the book as a whole, then say it."""
    at: dict[str, object] = {"horizon": question.horizon, "confidence": question.confidence}
    if question.horizon > LONG:
        at["window"] = min(10_000, 40 * question.horizon)
    if not results:
        return [
            Step("portfolio_value_at_risk", at),
            Step("portfolio_value_at_risk", {**at, "method": "gaussian", "contribution": "none"}),
            Step("stress_test", {}),
            Step("portfolio_var_backtest", {"confidence": question.confidence}),
        ]
    said: list[str] = []
    for result in results:
        normal = result.arguments.get("method") == "gaussian"
        said += [fill(t, result) for t in _BOOK["gaussian" if normal else result.tool]]
    return Answer(claims=[c for c in said if c], lean=Lean.NONE)


_BOOK = {
    "portfolio_value_at_risk": (BOOK_VALUE, BOOK_VAR, BOOK_LARGEST),
    "gaussian": (BOOK_NORMAL,),
    "stress_test": (BOOK_STRESS,),
    "portfolio_var_backtest": (BOOK_TESTED,),
}


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
