"""Made-up dialogues in the desk's real wire format, from which the nano model learns the roles."""

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from openoutcry.agents.reader import Relevance, Tone
from openoutcry.agents.team import ROLES
from openoutcry.core.report import Kind, Lean
from openoutcry.training.nano_headlines import body, document_title, noise
from openoutcry.training.nano_words import HELD_OUT_TICKERS, PLAIN, QUESTIONS, SENTENCES, VIEWS

Message = dict[str, Any]
Call = tuple[str, dict[str, Any]]
KINDS: dict[str, tuple[Kind, ...]] = {
    "analyst": (Kind.OVERVIEW, Kind.RISK, Kind.VALUATION, Kind.NEWS, Kind.COMPARE),
    "sentiment": (Kind.OVERVIEW, Kind.RISK, Kind.NEWS, Kind.COMPARE),
    "risk": (Kind.OVERVIEW, Kind.RISK, Kind.VALUATION, Kind.COMPARE, Kind.BOOK),
    "coordinator": (Kind.OVERVIEW, Kind.RISK, Kind.VALUATION, Kind.NEWS, Kind.COMPARE, Kind.BOOK),
    "reader": (Kind.NEWS,),
}
READ_AT_MOST = 3
SIGNED = {"price_summary": "return_year", "growth": "revenue_growth", "read_documents": "tone"}
"""The figure of a tool whose sign gives the lean."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages and tools as an OpenAI-compatible server gets them; the assistant's messages are the targets."""

    role: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question read into typed parts, as a role's brief holds it."""

    text: str
    kind: Kind
    tickers: tuple[str, ...]
    horizon: int
    confidence: float


def dialogue(rng: Random, role: str, *, held_out: bool = False, extra: Sequence[str] = ()) -> Dialogue:
    """One dialogue of *role*; held out ones use tickers and wordings that training never shows.

    *extra* names tools of which the answer says one more sentence, in an adapter's wording.
    """
    if role == "reader":
        return Dialogue(role, (_system(role), *_reading(rng, held_out)), ())
    question = asked(rng, rng.choice(KINDS[role]), held_out)
    names = [f.__name__ for f in ROLES[role].tools_for(question.kind)]
    if role == "coordinator":
        said = _synthesis(rng, question)
    else:
        said = _finding(rng, role, question, extra)
        names = _shuffled(rng, names)
    return Dialogue(role, (_system(role), *said), tuple(map(_tool, names)))


def plain(rng: Random) -> Dialogue:
    """Words that are no brief; the model says what it is for."""
    user = {"role": "user", "content": noise(rng, rng.randint(1, 20))}
    system = [{"role": "system", "content": noise(rng, 6)}] if rng.random() < 0.5 else []
    return Dialogue("plain", (*system, user, {"role": "assistant", "content": PLAIN}), ())


def asked(rng: Random, kind: Kind, held_out: bool = False) -> Asked:
    """A question of *kind* in made-up words."""
    count = 0 if kind is Kind.BOOK else 2 if kind is Kind.COMPARE else 1
    tickers = tuple(ticker(rng, held_out) for _ in range(count))
    while len(set(tickers)) < count:
        tickers = tuple(ticker(rng, held_out) for _ in range(count))
    horizon = rng.choice((10, rng.randint(1, 30), rng.randint(1, 250)))
    confidence = rng.choice((0.99, 0.9, 0.95, 0.975, 0.995, round(rng.uniform(0.8, 0.999), rng.randint(2, 4))))
    wordings = QUESTIONS[kind][-2:] if held_out else QUESTIONS[kind][:-2]
    a, b = (*tickers, "", "")[:2]
    text = rng.choice(wordings).format(a=a, b=b, days=horizon, sure=f"{confidence * 100:g}")
    if not held_out and rng.random() < 0.15:
        text = noise(rng, rng.randint(1, 15))
    return Asked(text, kind, tickers, horizon, confidence)


def ticker(rng: Random, held_out: bool = False) -> str:
    """A symbol: one of the sample's where *held_out*, else made up and never one of those."""
    if held_out and rng.random() < 0.7:
        return rng.choice(HELD_OUT_TICKERS)
    made = "".join(rng.choices(string.ascii_uppercase, k=rng.choice((1, 2, 3, 3, 4, 4, 4, 5))))
    made += rng.choice((".A", ".B", "-B")) if rng.random() < 0.05 else ""
    return ticker(rng, held_out) if made in HELD_OUT_TICKERS else made


def steps(role: str, question: Asked) -> list[Call]:
    """The tool calls that *role* opens with."""
    at = {"horizon": question.horizon, "confidence": question.confidence}
    first, other = (*question.tickers, "", "")[:2]
    match role, question.kind:
        case "risk", Kind.BOOK:
            return [("portfolio_value_at_risk", at), ("stress_test", {})]
        case "risk", _:
            pairs = [[("value_at_risk", {"ticker": t, **at}), ("volatility", {"ticker": t})] for t in question.tickers]
            return [call for pair in pairs for call in pair]
        case "sentiment", _:
            return [("document_search", {"ticker": t}) for t in question.tickers]
        case _, Kind.COMPARE:
            return [("relative_return", {"ticker": first, "other": other}), *_each(("growth",), question)]
        case _, Kind.VALUATION:
            return _each(("valuation", "growth"), question)
        case _, Kind.OVERVIEW:
            return _each(("price_summary", "growth"), question)
        case _:
            return _each(("price_summary",), question)


def _each(tools: Sequence[str], question: Asked) -> list[Call]:
    return [(tool, {"ticker": t}) for t in question.tickers for tool in tools]


def sentence(result: Message, wording: str = "") -> str:
    """What is said of a tool's result, with references in place of figures; empty where there is nothing to say."""
    tool = result.get("tool", "")
    if tool == "read_documents" and "tone" not in result["figures"]:
        tool = "nothing_of_its_own"
    return SENTENCES.get(wording or tool, "").replace("{E.", f"{{{result.get('id')}.")


def _finding(rng: Random, role: str, question: Asked, extra: Sequence[str]) -> list[Message]:
    """Brief, calls, results, for sentiment a second round of them, and the answer."""
    first = rng.choice((1, 21, 41, rng.randint(1, 90)))
    said: list[Message] = [{"role": "user", "content": _brief(rng, question)}]
    calls = steps(role, question)
    results = _results(rng, calls, first)
    said += _exchange(rng, calls, results)
    found = [r for r in results if r.get("items")]
    if found:
        calls = [
            ("read_documents", {"ticker": r["figures"]["ticker"][0], "documents": r["items"][:READ_AT_MOST]})
            for r in found
        ]
        results = _results(rng, calls, first + len(results))
        said += _exchange(rng, calls, results)
    answer = {"role": "assistant", "content": _held(_answer(role, results, extra))}
    again = [_retry(rng), answer] if rng.random() < 0.05 else []
    return [*said, answer, *again]


def _answer(role: str, results: Sequence[Message], extra: Sequence[str]) -> dict[str, Any]:
    claims = [s for r in results if (s := sentence(r))]
    told = next((r for r in results if r.get("tool") in extra), None)
    claims += [sentence(told, f"{told['tool']} adapter")] if told else []
    leans = [lean for r in results if (lean := _lean(r))]
    return {"claims": claims[:8], "lean": "neutral" if role == "risk" and claims else (leans or ["none"])[0]}


def _lean(result: Message) -> str:
    """The direction that the sign of a result's telling figure gives; empty where it has none."""
    name = SIGNED.get(result.get("tool", ""), "")
    if name not in result.get("figures", {}):
        return ""
    value = result["figures"][name][0]
    return str(Lean.DOWN if value < 0 else Lean.UP if value > 0 else Lean.NEUTRAL)


def _results(rng: Random, calls: Sequence[Call], first: int) -> list[Message]:
    """What each call gave; now and then nothing."""
    return [_result(rng, f"E{first + i}", *call) for i, call in enumerate(calls)]


def _result(rng: Random, eid: str, tool: str, arguments: dict[str, Any]) -> Message:
    if rng.random() < 0.08:
        return {"id": eid, "not_computed": f"needs more data of {arguments.get('ticker', 'the book')} for {tool}"}
    value = rng.choice((round(rng.uniform(-1, 1), rng.randint(1, 6)), 0.5, -0.5, 0.0))
    figures: dict[str, Any] = {"ticker": [arguments["ticker"], "text"]} if "ticker" in arguments else {}
    if tool in SIGNED and rng.random() < 0.85:
        figures[SIGNED[tool]] = [value, "fraction"]
    made: Message = {"id": eid, "tool": tool, "figures": figures}
    if tool == "document_search":
        made["items"] = [f"doc-{rng.getrandbits(48):012x}" for _ in range(rng.randint(1, 6))]
    return made


def _exchange(rng: Random, calls: Sequence[Call], results: Sequence[Message]) -> list[Message]:
    made = [
        {"id": f"c{i}", "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
        for i, (n, a) in enumerate(calls)
    ]
    told = [{"role": "tool", "tool_call_id": f"c{i}", "content": _json(rng, r)} for i, r in enumerate(results)]
    return [{"role": "assistant", "content": "", "tool_calls": made}, *told]


def _synthesis(rng: Random, question: Asked) -> list[Message]:
    """The coordinator's one exchange: all evidence in, a headline and its support out."""
    results = [r for r in _evidence(rng, question) if "tool" in r]
    view = "" if question.kind is Kind.BOOK or rng.random() < 0.05 else f"E{rng.choice((61, 41, rng.randint(30, 99)))}"
    prompt = {
        "question": question.text,
        "kind": question.kind,
        "tickers": question.tickers,
        "view": view,
        "findings": [],
        "evidence": results,
        "memories": [],
    }
    said = [s for r in results if (s := sentence(r))][:5]
    headline = VIEWS[question.kind is Kind.COMPARE].replace("{E.", f"{{{view}.") if view else "".join(said[:1])
    answer = _held({"headline": headline, "claims": said[:4] if view else said[1:]})
    return [{"role": "user", "content": _json(rng, prompt)}, {"role": "assistant", "content": answer}]


def _evidence(rng: Random, question: Asked) -> list[Message]:
    """What the roles of such a question measured, or any mixture of it."""
    roles = [r for r in ("risk", "analyst", "sentiment") if question.kind in KINDS[r] and rng.random() < 0.9]
    found: list[Message] = []
    for i, role in enumerate(_shuffled(rng, roles)):
        calls = steps(role, question)
        calls += [("read_documents", {"ticker": t}) for t in question.tickers] if role == "sentiment" else []
        if rng.random() < 0.3:
            every = sorted(SENTENCES.keys() & {f.__name__ for f in ROLES[role].every_tool})
            calls = [(rng.choice(every), {"ticker": ticker(rng)}) for _ in range(rng.randint(1, 4))]
        found += _results(rng, calls, 20 * i + 1)
    return found


def _reading(rng: Random, held_out: bool) -> list[Message]:
    """A document and what is read in it: its tone, whom it is about, and its first line as a quote."""
    tone = rng.choice(list(Tone))
    company = ticker(rng, held_out)
    about = rng.choices(list(Relevance), (6, 3, 1))[0]
    filed = {Relevance.SUBJECT: company, Relevance.MARKET: "*"}.get(about) or ticker(rng)
    title = document_title(rng, tone, held_out)
    kind = rng.choice(("news", "release", "macro", "filing"))
    prompt = {"company": company, "filed_under": filed, "kind": kind, "text": f"{title}\n{body(rng)}"}
    answer = {"tone": tone, "relevance": about, "quotes": [title]}
    return [
        {"role": "user", "content": json.dumps(prompt)},
        {"role": "assistant", "content": _held(answer)},
    ]


def _system(role: str) -> Message:
    return {"role": "system", "content": ROLES[role].instructions}


def _tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}


def _brief(rng: Random, question: Asked) -> str:
    told = {
        "text": question.text,
        "kind": question.kind,
        "tickers": question.tickers,
        "horizon": question.horizon,
        "confidence": question.confidence,
    }
    return _json(rng, {"question": told, "memories": []})


def _retry(rng: Random) -> Message:
    wrong = noise(rng, 6)
    return {"role": "user", "content": f"Validation feedback:\n{wrong}\n\nFix the errors and try again."}


def _held(answer: Any) -> str:
    """An answer as a server writes it that holds it to a schema without blanks."""
    return json.dumps(answer, separators=(",", ":"))


def _json(rng: Random, value: object) -> str:
    """Spaced or compact, as pydantic and json write it."""
    return json.dumps(value, separators=rng.choice((None, (",", ":"))))


def _shuffled(rng: Random, names: list[str]) -> list[str]:
    return rng.sample(names, len(names)) if rng.random() < 0.3 else names
