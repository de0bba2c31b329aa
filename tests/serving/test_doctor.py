"""The doctor against servers that have exactly one fault each: it names that fault, and the mend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.serving import roster
from openoutcry.serving.examining.doctor import Check, examine
from openoutcry.serving.examining.endpoint import TOOL
from openoutcry.serving.roster import Replica, Roster, State
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Transport

Double = Callable[..., str]
ANALYST = {
    "messages": [
        {"role": "system", "content": "You are the analyst of a desk. Numbers by reference only."},
        {"role": "user", "content": '{"question": "How risky is AAPL?"}'},
    ],
    "tools": [TOOL],
}
LONG = {**ANALYST, "messages": [{"role": "system", "content": "word " * 1500}, ANALYST["messages"][1]]}
CHAT = [
    "reachable",
    "model name",
    "context",
    "tools (analyst)",
    "schema (analyst)",
    "chat template (analyst)",
    "stream",
    "deterministic",
    "long context",
]


def served(**more: Any) -> Served:
    return Served.model_validate({"name": "m", "weights": "w", "max_model_len": 2048, "max_tokens": 256, **more})


def stack_of(model: Served, role: str = "analyst") -> Stack:
    values = {k: v for k, v in model.model_dump().items() if k != "name"}
    return Stack.model_validate({"models": {model.name: values}, "roles": {role: model.names[-1]} if role else {}})


def ready(home: Path, *urls: str, model: str = "m") -> None:
    replicas = tuple(Replica(model=model, index=i, url=u, state=State.READY) for i, u in enumerate(urls))
    roster.write(home, Roster(replicas=replicas))


async def seen(home: Path, url: str, model: Served | None = None, **shapes: Any) -> dict[str, Check]:
    """The checks of one vLLM endpoint by name."""
    ready(home, url)
    checks = await examine(stack_of(model or served()), home, Transport(), shapes or {"analyst": ANALYST})
    assert {c.model for c in checks} == {"m"}
    return {c.name: c for c in checks}


async def test_a_sound_server_passes_every_check(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double"))
    assert list(checks) == CHAT
    assert {c.ok for c in checks.values()} == {True}, [c for c in checks.values() if not c.ok]
    assert not any(c.mend for c in checks.values())


@pytest.mark.parametrize(
    ("fault", "check", "mend"),
    [
        ("no_auto", "tools (analyst)", "--enable-auto-tool-choice and --tool-call-parser hermes"),
        ("no_parser", "tools (analyst)", "set `tool_parser` of [models.m]"),
        ("no_call", "tools (analyst)", "does not call tools"),
        ("broken_call", "tools (analyst)", "misreads its calls"),
        ("other_tool", "tools (analyst)", "misreads its calls"),
        ("no_schema", "schema (analyst)", "look into `flags`"),
        ("no_finish", "stream", "leave `stream = false`"),
        ("no_usage", "stream", "leave `stream = false`"),
        ("no_done", "stream", "leave `stream = false`"),
    ],
)
async def test_a_fault_is_named_with_its_mend(
    double: Double, tmp_path: Path, fault: str, check: str, mend: str
) -> None:
    checks = await seen(tmp_path, double("model_double", faults=[fault]))
    assert {c.name for c in checks.values() if c.ok is False} == {check}, [c for c in checks.values() if not c.ok]
    assert mend in checks[check].mend
    assert checks[check].seen


async def test_a_prompt_that_is_cut_in_silence(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double", keeps=1000))
    assert {c.name for c in checks.values() if not c.ok} == {"long context"}
    assert "1,000 read, and nothing was said of it" in checks["long context"].seen
    assert "raise `max_model_len` of [models.m]" in checks["long context"].mend


async def test_a_cut_is_seen_without_a_way_to_count_tokens(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double", keeps=1000, faults=["no_tokenize"]))
    assert {c.name for c in checks.values() if c.ok is False} == {"long context"}
    assert {c.name for c in checks.values() if c.ok is None} == {"chat template (analyst)"}
    sound = await seen(tmp_path, double("model_double", faults=["no_tokenize"]))
    assert sound["long context"].ok


async def test_a_context_shorter_than_the_stack_says(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double", max_model_len=1024))
    assert {c.name for c in checks.values() if not c.ok} == {"context"}
    assert checks["context"].seen == "keeps 1,024 tokens where 2,048 are expected"


async def test_a_context_shorter_than_the_longest_prompt(double: Double, tmp_path: Path) -> None:
    """1,500 words of instructions, the tool and the question; with an answer of 600 they do not fit into 2,048."""
    model = served(max_tokens=600)
    shapes = {"analyst": ANALYST, "analyst risk": LONG}
    checks = await seen(tmp_path, double("model_double"), model, **shapes)
    assert checks["context"].ok is False
    assert "analyst risk sends 1,5" in checks["context"].seen
    assert "it needs 3,072" in checks["context"].mend
    assert "tools (analyst)" in checks


async def test_a_template_that_drops_instructions_and_tools(double: Double, tmp_path: Path) -> None:
    """It fails where no tool is called either; a model that calls them all the same was made for that template."""
    checks = await seen(tmp_path, double("model_double", faults=["blind"]))
    assert {c.name for c in checks.values() if c.ok is False} == {"tools (analyst)", "chat template (analyst)"}
    assert checks["chat template (analyst)"].seen == "not in the prompt: system, tool volatility"
    assert "set `chat_template` of [models.m]" in checks["chat template (analyst)"].mend
    checks = await seen(tmp_path, double("model_double", faults=["bad_template"]))
    assert {c.name: c.ok for c in checks.values() if not c.ok} == {"chat template (analyst)": None}
    assert "yet tools were called" in checks["chat template (analyst)"].seen


async def test_a_weak_model_that_fills_an_answer_with_white_space(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double", faults=["spaces"]))
    assert checks["schema (analyst)"].ok is False
    assert "disable_any_whitespace" in checks["schema (analyst)"].mend


async def test_no_chat_template_at_all(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double", faults=["no_template"]))
    assert checks["chat template (analyst)"].ok is False
    assert "set `chat_template` of [models.m]" in checks["chat template (analyst)"].mend


async def test_answers_that_change_are_told_but_do_not_fail(double: Double, tmp_path: Path) -> None:
    plain = {"messages": ANALYST["messages"]}
    checks = await seen(tmp_path, double("model_double", faults=["moody"]), analyst=plain)
    assert checks["deterministic"].ok is None
    assert "tools (analyst)" not in checks, "a role without tools is not asked to call one"


async def test_nobody_there(tmp_path: Path) -> None:
    checks = await seen(tmp_path, "http://127.0.0.1:9")
    assert list(checks) == ["reachable"]
    assert checks["reachable"].ok is False
    assert "`outcry stack up`" in checks["reachable"].mend
    ready(tmp_path)
    (check,) = await examine(stack_of(served()), tmp_path, Transport())
    assert (check.name, check.ok, check.seen) == ("reachable", False, "no replica runs")


async def test_a_sick_server_and_one_of_another_name(double: Double, tmp_path: Path) -> None:
    assert (await seen(tmp_path, double("model_double", faults=["sick"])))["reachable"].ok is False
    checks = await seen(tmp_path, double("model_double", name="other"))
    assert list(checks) == ["reachable", "model name"]
    assert checks["model name"].seen == "no model m; there are other"


async def test_an_answer_of_another_shape_is_a_failed_check(double: Double, tmp_path: Path) -> None:
    checks = await seen(tmp_path, double("model_double", faults=["shapeless"]))
    assert list(checks) == ["reachable", "model name"]
    assert (checks["model name"].ok, checks["model name"].seen) == (False, "its answer has another shape than OpenAI's")
    checks = await seen(tmp_path, double("model_double", max_model_len="many"))
    assert (checks["context"].ok, checks["context"].seen) == (None, "its answer has another shape than OpenAI's")


async def test_each_replica_is_examined(double: Double, tmp_path: Path) -> None:
    urls = [double("model_double"), double("model_double", faults=["no_parser"])]
    ready(tmp_path, *urls)
    told: list[Check] = []
    checks = await examine(stack_of(served()), tmp_path, Transport(), {"analyst": ANALYST}, watch=told.append)
    assert told == checks
    assert [(c.url, c.name) for c in checks if not c.ok] == [(urls[1], "tools (analyst)")]


async def test_adapters(double: Double, tmp_path: Path) -> None:
    """The role's own requests go to its adapter; each adapter is asked by name."""
    model = served(adapters={"tuned": "a", "analyst-1": "b"})
    checks = await seen(tmp_path, double("model_double", adapters=["tuned", "analyst-1"]), model)
    assert {c.ok for c in checks.values()} == {True}
    checks = await seen(tmp_path, double("model_double", adapters=["analyst-1"]), model)
    assert [c.name for c in checks.values() if not c.ok] == ["adapter tuned"]
    assert "no model tuned; there are m, analyst-1" in checks["adapter tuned"].seen
    checks = await seen(tmp_path, double("model_double", adapters=["tuned"]), model)
    assert not checks["tools (analyst)"].ok, "it was sent to the adapter that holds the seat"


async def test_a_model_without_a_role_is_sent_made_requests(double: Double, tmp_path: Path) -> None:
    ready(tmp_path, double("model_double"))
    checks = await examine(stack_of(served(), role=""), tmp_path, Transport(), {"analyst": ANALYST})
    assert [c.name for c in checks if c.ok] == [name.removesuffix(" (analyst)") for name in CHAT]


async def test_a_classifier(double: Double, tmp_path: Path) -> None:
    model = served(purpose="classify")
    stack = stack_of(model, role="reader")
    for labels, ok in [(["negative", "neutral", "positive"], True), (["LABEL_0", "LABEL_1", "LABEL_2"], False)]:
        ready(tmp_path, double("model_double", labels=labels))
        check = (await examine(stack, tmp_path, Transport()))[-1]
        assert (check.name, check.ok) == ("classify", ok)
        assert ok or "got LABEL_" in check.seen
    ready(tmp_path, double("model_double"))
    check = (await examine(stack, tmp_path, Transport()))[-1]
    assert (check.name, check.ok) == ("classify", False)
    assert 'purpose = "classify"' in check.mend
    url = double("model_double", name="org/tones", labels=["negative", "neutral", "positive"])
    far = served(purpose="classify", engine="endpoint", url=url, weights="org/tones")
    check = (await examine(stack_of(far, role="reader"), tmp_path, Transport()))[-1]
    assert (check.name, check.ok) == ("classify", True)


async def test_an_embedder(double: Double, tmp_path: Path) -> None:
    stack = stack_of(served(purpose="embed"), role="embedder")
    for asked, ok in [({"dimension": 8}, True), ({"dimension": 8, "faults": ["zero"]}, False), ({}, False)]:
        ready(tmp_path, double("model_double", **asked))
        check = (await examine(stack, tmp_path, Transport()))[-1]
        assert (check.name, check.ok) == ("embed", ok)
        assert ok or 'purpose = "embed"' in check.mend


async def test_ollamas_silent_cut(double: Double, tmp_path: Path) -> None:
    """Its own word on the context, and the count of a long prompt, both tell; the mend is Ollama's."""
    url = double("ollama_double", **{"qwen:8b": {"longest": 32768}})
    stack = stack_of(served(engine="ollama", url=url, weights="qwen:8b", max_model_len=8192))
    checks = {c.name: c for c in await examine(stack, tmp_path, Transport(), {"analyst": ANALYST})}
    assert checks["context"].ok is False
    assert "keeps 4,096 tokens where 8,192 are expected" in checks["context"].seen
    assert "PARAMETER num_ctx 8192" in checks["context"].mend
    assert checks["reachable"].seen == "Ollama 0.12.6"
    assert checks["stream"].ok
    assert checks["schema (analyst)"].ok


async def test_ollama_with_a_context_as_expected(double: Double, tmp_path: Path) -> None:
    url = double("ollama_double", **{"qwen:latest": {"longest": 32768, "num_ctx": 8192}})
    stack = stack_of(served(engine="ollama", url=url, weights="qwen", max_model_len=8192))
    checks = await examine(stack, tmp_path, Transport(), {"analyst": {**ANALYST, "tools": []}})
    assert [c.name for c in checks if c.ok is False] == []


async def test_an_ollama_that_keeps_less_than_it_says(double: Double, tmp_path: Path) -> None:
    more = {"parameters": "num_ctx 8192"}
    url = double("ollama_double", **{"qwen": {"longest": 32768, "more": more}})
    stack = stack_of(served(engine="ollama", url=url, weights="qwen", max_model_len=8192))
    checks = {c.name: c for c in await examine(stack, tmp_path, Transport())}
    assert checks["context"].ok
    assert checks["long context"].ok is False
    assert "OLLAMA_CONTEXT_LENGTH=8192" in checks["long context"].mend


async def test_one_model_alone(double: Double, tmp_path: Path) -> None:
    ready(tmp_path, double("model_double"))
    assert await examine(stack_of(served()), tmp_path, Transport(), model="m")
    with pytest.raises(UsageError, match="expected a model of this stack, got 'x'"):
        await examine(stack_of(served()), tmp_path, Transport(), model="x")
