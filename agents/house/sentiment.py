"""House rules of the sentiment role: newest documents of each ticker, read, and their tone told."""

from collections.abc import Sequence

from openoutcry.agents.house.analyst import fill
from openoutcry.agents.house.model import Result, Step, remembered
from openoutcry.agents.role import Answer, Brief
from openoutcry.core.report import Lean

TONE = (
    "Of {relevant} documents on {ticker}, {positive} read positive, {negative} negative and {neutral} neutral; "
    "the median tone is {tone}, {word}."
)
MARKET = "Of documents on the market as a whole, {market} read {market_tone} in the median."
BEFORE = "When the desk read on {ticker} on {made}, the median tone was {tone}, over {relevant} documents."
SEARCH = "The newest of the {chosen} documents read for {ticker} and its market is dated {newest}."


def rules(prompt: str, results: Sequence[Result]) -> list[Step] | Answer:
    """Search, then read what was found, then tell the tone."""
    brief = Brief.model_validate_json(prompt)
    question = brief.question
    if not results:
        return [Step("document_search", {"ticker": t}) for t in question.tickers]
    tones = [r for r in results if r.tool == "read_documents"]
    found = [r for r in results if r.tool == "document_search" and r.items]
    if found and not tones:
        return [Step("read_documents", {"ticker": r.arguments["ticker"], "documents": r.items}) for r in found]
    claims = [fill(TONE.replace("{word}", _word(r)), r) for r in tones]
    claims += [fill(MARKET, r) for r in tones[:1]]
    claims += [fill(SEARCH, r) for r in found]
    claims += _before(brief, tones)
    return Answer(claims=[c for c in claims if c][:8], lean=_lean(tones))


def _before(brief: Brief, tones: Sequence[Result]) -> list[str]:
    """How the first ticker read when the desk last looked, where it remembers."""
    told = (r for r in remembered(brief.memories, "finding") if "tone" in r and "relevant" in r)
    last = next(told, None) if len(tones) == 1 else None
    return [fill(BEFORE, last)] if last else []


def _word(result: Result) -> str:
    """Whether two thirds or more read one way."""
    if "relevant" not in result or result.value("relevant") < 3:
        return "on few documents"
    most = max(result.value(n) for n in ("positive", "negative", "neutral"))
    return "and most agree" if most >= 2 / 3 * result.value("relevant") else "though they differ"


def _lean(tones: Sequence[Result]) -> Lean:
    if not tones or "tone" not in tones[0]:
        return Lean.NONE
    tone = tones[0].value("tone")
    if len(tones) > 1:
        if "tone" not in tones[1]:
            return Lean.NONE
        tone -= tones[1].value("tone")
    steps = ((0.75, Lean.STRONG_UP), (0.25, Lean.UP), (-0.249, Lean.NEUTRAL), (-0.749, Lean.DOWN))
    lean = next((lean for bound, lean in steps if tone >= bound), Lean.STRONG_DOWN)
    few = any(t.value("relevant") < 3 for t in tones if "relevant" in t)
    return {Lean.STRONG_UP: Lean.UP, Lean.STRONG_DOWN: Lean.DOWN}.get(lean, lean) if few else lean
