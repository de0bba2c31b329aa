"""The nano examined on a real vLLM: what it can and cannot is seen, the card is kept, and the desk goes by it."""

import json
from typing import Any

from openoutcry.serving import cards
from openoutcry.serving.stack import load
from tests.live.box import AS_OF, QUESTION, Box

PASSED = {"tool call", "schema", "no needless call", "determinism"}
"""What a model of a million weights that knows the desk's prompts alone can do."""
FAILED = {"long context", "several calls", "numeracy"}
"""What it cannot: find a word in a long prompt, use a tool it never saw, pick among figures that it was not taught."""


async def test_the_nano_is_examined_and_seated_only_when_told(box: Box) -> None:
    strict: dict[str, Any] = {"uncertified": False}
    done = box.outcry("certify", "nano-risk", "--role", "risk", "--json", **strict)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    found = {probe["name"]: probe for probe in told["probes"]}
    assert {n for n in PASSED if found[n]["ok"]} == PASSED, found
    assert {n for n in FAILED if found[n]["ok"] is False} == FAILED, found
    assert all(found[name]["mend"] for name in FAILED)
    assert told["engine"].startswith("vllm ")

    stack = load(str(box.file(**strict)))
    card = cards.read(box.home, cards.key(stack, "nano-risk"), "risk")
    assert card is not None
    assert not card.ok
    assert "card for risk" in box.outcry("models", "show", "nano-risk", **strict).stdout

    with box.desk(**strict) as desk:
        report = await desk.ask(QUESTION, AS_OF)
    refused = {s.role: s for s in report.stood_in}
    assert {s.answered for s in refused.values()} == {"house"}
    assert refused["risk"].reason.startswith("nano-risk was examined for risk and failed in ")
    assert refused["analyst"].reason.startswith(
        "nano-analyst is not certified for analyst: `outcry certify nano-analyst"
    )

    with box.desk() as desk:
        report = await desk.ask(QUESTION, AS_OF)
    assert not any("certif" in s.reason or "examined" in s.reason for s in report.stood_in)
    assert report.route["risk"] == "nano-risk"
