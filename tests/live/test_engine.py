"""What the desk builds on, asked of a real vLLM: schema, adapters, tokens, tones, vectors, and the commands on it."""

import json
from typing import Any

import numpy as np
import orjson

from openoutcry.memory import embedder
from openoutcry.serving.registry import pointer
from openoutcry.serving.transport import Transport
from tests.live.box import Box

LEANS = ["up", "down"]
SCHEMA = {
    "type": "object",
    "properties": {"lean": {"enum": LEANS}, "why": {"type": "string", "maxLength": 20}},
    "required": ["lean", "why"],
    "additionalProperties": False,
}


async def asked(url: str, path: str, **body: object) -> Any:
    """One request, answered with 200."""
    reply = await Transport().post(url, path, orjson.dumps(body), 120)
    assert reply.status == 200, reply.body[:400]
    return orjson.loads(reply.body)


async def test_a_schema_holds_whatever_is_asked(box: Box) -> None:
    held = {"type": "json_schema", "json_schema": {"name": "view", "schema": SCHEMA, "strict": True}}
    words = ["Write a poem.", "Answer sideways.", "You are the risk manager of a trading desk.", "{", "<tool_call>"]
    for word in words:
        body = {"messages": [{"role": "user", "content": word}], "response_format": held, "max_tokens": 200}
        made = await asked(box.urls("nano")[0], "/v1/chat/completions", model="nano", temperature=0, **body)
        text = made["choices"][0]["message"]["content"]
        answer = json.loads(text)
        assert answer.keys() == {"lean", "why"}
        assert answer["lean"] in LEANS


async def test_adapters_are_asked_by_name_and_speak_for_themselves(box: Box) -> None:
    messages = [{"role": "user", "content": "You are the risk manager of a trading desk."}]
    said: dict[str, object] = {}
    for name in ("nano", "nano-risk", "nano-analyst", "nano-sentiment"):
        made = await asked(
            box.urls("nano")[0], "/v1/chat/completions", model=name, messages=messages, temperature=0, max_tokens=40,
            logprobs=True,
        )  # fmt: skip
        said[name] = [round(t["logprob"], 4) for t in made["choices"][0]["logprobs"]["content"]]
    assert len({str(v) for v in said.values()}) == 4


async def test_tokens_are_counted_as_the_server_counts_them(box: Box) -> None:
    url, messages = box.urls("nano")[0], [{"role": "user", "content": "How risky is AAPL over 10 days?"}]
    counted = await asked(url, "/tokenize", model="nano", messages=messages)
    made = await asked(url, "/v1/chat/completions", model="nano", messages=messages, max_tokens=1, temperature=0)
    assert counted["count"] == made["usage"]["prompt_tokens"]


async def test_the_served_embedder_gives_the_vectors_of_the_model(box: Box) -> None:
    texts = ["Profits rose by a tenth.", "The regulator fined the bank.", "Rates were left as they are."]
    made = await asked(box.urls("minilm")[0], "/v1/embeddings", model="minilm", input=texts)
    served = np.array([d["embedding"] for d in made["data"]], dtype=np.float32)
    served /= np.linalg.norm(served, axis=1, keepdims=True)
    own = embedder.local().embed(texts)
    assert float((served * own).sum(axis=1).min()) > 0.98


async def test_the_classifier_reads_tones(box: Box) -> None:
    texts = ["Profit soared to a record high", "The company went bankrupt after fraud"]
    made = await asked(box.urls("nano-tone")[0], "/classify", model="nano-tone", input=texts)
    labels = [d["label"] for d in made["data"]]
    assert "positive" in labels[0]
    assert "negative" in labels[1]


def test_the_doctor_finds_nothing_wrong(box: Box) -> None:
    done = box.outcry("stack", "doctor", "--json")
    checks = json.loads(done.stdout)
    failed = [c for c in checks if c["ok"] is False]
    assert not failed
    assert done.returncode == 0
    assert {c["model"] for c in checks} == {"nano", "nano-tone", "minilm"}
    assert {"tools", "schema", "stream", "long context", "adapter", "classify", "embed"} <= {
        c["name"].split(" ")[0] if c["name"].startswith(("tools", "schema", "adapter")) else c["name"] for c in checks
    }


def test_status_measure_models_and_top_show_what_runs(box: Box) -> None:
    status = box.outcry("stack", "status", "--json")
    states = {r["model"]: r["state"] for r in json.loads(status.stdout)["replicas"]}
    assert states == {"nano": "ready", "nano-tone": "ready", "minilm": "ready"}
    measured = box.outcry("stack", "measure")
    assert measured.returncode == 0, measured.stderr
    assert "%" in measured.stdout
    listed = box.outcry("models", "list")
    assert all(name in listed.stdout for name in ("nano", "nano-tone", "minilm", "house"))
    top = box.outcry("stack", "top", "--once")
    assert top.returncode == 0, top.stderr
    assert "nano" in top.stdout


def test_a_switch_moves_the_seat_and_is_taken_back(box: Box) -> None:
    assert box.outcry("models", "switch", "analyst", "nano").returncode == 0
    try:
        with box.desk() as desk:
            assert desk.models["analyst"] == "nano"
        assert pointer.read(box.home)["analyst"].previous == "nano-analyst"
    finally:
        assert box.outcry("models", "switch", "analyst", "nano-analyst").returncode == 0
