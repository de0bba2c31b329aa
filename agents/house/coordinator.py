"""House rules of the coordinator: the answer by kind, the desk's chance, and how far the roles lie apart."""

import json
from collections.abc import Sequence
from typing import Any

from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.house.analyst import fill
from openoutcry.agents.house.model import Result
from openoutcry.core.report import Kind

HEADLINES = {
    Kind.RISK: (
        "value_at_risk",
        "At {confidence} confidence {ticker} loses no more than {var} of its value over {horizon}; when it does lose "
        "more, the loss averages {es}.",
    ),
    Kind.VALUATION: (
        "valuation",
        "{ticker} costs {pe} what it earned in its last year, an earnings yield of {earnings_yield}.",
    ),
    Kind.NEWS: (
        "read_documents",
        "What is written on {ticker} reads {tone} on a scale from minus to plus one, over {relevant} documents.",
    ),
}
VIEW = "The desk puts the chance that {ticker} ends {horizon} higher at {p_up}, against a base rate of {base_rate}."
RELATIVE = (
    "The desk puts the chance that {ticker} beats {other} over {horizon} at {p_up}, against a base rate of {base_rate}."
)
SPLIT = "The roles' chances lie {disagreement} apart, so take the mean with care."
UNITED = "The roles' chances lie {disagreement} apart: they broadly agree."


def rules(prompt: str, results: Sequence[Result]) -> Synthesis:
    """One pass: no tool is called."""
    asked = json.loads(prompt)
    evidence = {e["id"]: _as_result(e) for e in asked["evidence"]}
    view = evidence.get(asked["view"])
    wanted = HEADLINES.get(Kind(asked["kind"]))
    headline = next((c for r in evidence.values() if wanted and r.tool == wanted[0] and (c := fill(wanted[1], r))), "")
    chance = fill(RELATIVE if view and "other" in view else VIEW, view) if view else ""
    claims = [chance] if headline and chance else []
    if view and sum(name.endswith("_p_up") for name in view.figures) > 1:
        claims.append(fill(SPLIT if view.value("disagreement") > 0.1 else UNITED, view))
    said = [c for f in asked["findings"] for c in f["claims"]]
    first = headline or chance or (said[0] if said else "")
    return Synthesis(headline=first, claims=[c for c in claims if c and c != first][:5])


def _as_result(seen: dict[str, Any]) -> Result:
    return Result(seen["tool"], {}, seen["id"], seen["figures"], seen.get("items", []))
