"""A model's server with faults to order: what vLLM answers to chat, classify, embed, tokenize and detokenize.

Run as a process: `model_double.py JSON`, where JSON gives name, max_model_len, faults, adapters, labels, dimension. It
prints its URL and serves until its input ends. A token is a word. With `keeps` it cuts longer prompts in silence,
with `fails_after` it answers 500 after so many posts; `/calls` tells what it was sent.
"""

import hashlib
import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASKED: dict[str, Any] = json.loads(sys.argv[1])
NAME: str = ASKED.get("name", "m")
LENGTH: int = ASKED.get("max_model_len", 2048)
KEEPS: int = ASKED.get("keeps", 0)
FAULTS: list[str] = ASKED.get("faults", [])
LABELS: list[str] = ASKED.get("labels", ["negative", "neutral", "positive"])
ADAPTERS: list[str] = ASKED.get("adapters", [])
DIMENSION: int = ASKED.get("dimension", 8)
WORDS: list[str] = []
CALL = {"name": "volatility", "arguments": {"ticker": "AAPL"}}
turn, answered = itertools.count(), itertools.count()


def numbers(text: str) -> list[int]:
    for word in text.split():
        if word not in WORDS:
            WORDS.append(word)
    return [WORDS.index(word) for word in text.split()]


def rendered(body: dict[str, Any]) -> str:
    if "no_template" in FAULTS:
        raise LookupError("As of transformers v4.44, default chat template is no longer allowed")
    messages = [m for m in body["messages"] if m["role"] == "user" or not {"bad_template", "blind"} & {*FAULTS}]
    tools = json.dumps(body["tools"]) if body.get("tools") and not {"bad_template", "blind"} & {*FAULTS} else ""
    return " ".join([tools, *(f"<|{m['role']}|> {m['content']}" for m in messages)])


def answer(body: dict[str, Any]) -> dict[str, Any]:
    tokens = numbers(rendered(body))
    if len(tokens) > LENGTH:
        raise LookupError(f"This model's maximum context length is {LENGTH} tokens, your prompt has {len(tokens)}")
    kept = [WORDS[i] for i in tokens[-(KEEPS or LENGTH) :]]
    message, finish = said(body, kept), "stop"
    if message.get("tool_calls"):
        finish = "tool_calls"
    if str(message["content"]).endswith(" \n"):
        finish = "length"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": len(kept), "completion_tokens": 4, "total_tokens": len(kept) + 4},
    }


def said(body: dict[str, Any], kept: list[str]) -> dict[str, Any]:
    form = body.get("response_format")
    if form and "no_schema" not in FAULTS:
        if "spaces" in FAULTS:
            return text("{" + " \n" * 60)
        properties: dict[str, Any] = form["json_schema"]["schema"]["properties"]
        return text(json.dumps({key: chosen(value["enum"], kept) for key, value in properties.items()}))
    if body.get("tools") and body.get("tool_choice") == "auto" and "blind" not in FAULTS:
        return called()
    return text(f"banana {next(turn)}" if "moody" in FAULTS else "banana")


def chosen(choices: list[str], kept: list[str]) -> str:
    """The choice that stands first in the prompt, as a model that reads from the beginning has it."""
    words = [w.strip(".,?") for w in kept]
    return min(choices, key=lambda c: words.index(c) if c in words else len(words))


def text(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": []}


def called() -> dict[str, Any]:
    if "no_auto" in FAULTS:
        raise LookupError('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')
    if "no_parser" in FAULTS:
        return text(f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>")
    if "no_call" in FAULTS:
        return text("Very volatile, I should think.")
    name = "guess" if "other_tool" in FAULTS else CALL["name"]
    function = {"name": name, "arguments": '{"ticker": ' if "broken_call" in FAULTS else json.dumps(CALL["arguments"])}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


def vector(of: str) -> list[float]:
    if "zero" in FAULTS:
        return [0.0] * DIMENSION
    raw = b"".join(hashlib.sha256(f"{of}{i}".encode()).digest() for i in range(DIMENSION))
    return [raw[i * 32] - 127.5 for i in range(DIMENSION)]


def label(of: str) -> dict[str, Any]:
    best = 0 if "fined" in of else len(LABELS) - 1 if "rose" in of else len(LABELS) // 2
    probabilities = [0.7 if i == best else 0.3 / (len(LABELS) - 1) for i in range(len(LABELS))]
    return {"label": LABELS[best], "probs": probabilities, "num_classes": len(LABELS)}


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.told(None, 503 if "sick" in FAULTS else 200)
        elif self.path == "/v1/models":
            cards = [{"id": n, "object": "model", "max_model_len": LENGTH} for n in [NAME, *ADAPTERS]]
            self.told({} if "shapeless" in FAULTS else {"object": "list", "data": cards})
        elif self.path == "/version":
            self.told({"version": "0.32.0"})
        elif self.path == "/calls":
            self.told(CALLS)
        else:
            self.told({"detail": "Not Found"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        CALLS.append({"path": self.path, "texts": body.get("input")})
        try:
            self.answered(body)
        except LookupError as error:
            self.told({"error": {"message": error.args[0], "type": "BadRequestError", "code": 400}}, 400)

    def answered(self, body: dict[str, Any]) -> None:
        if next(answered) >= ASKED.get("fails_after", 1e9) or ("once" in FAULTS and not next(turn)):
            self.told({"error": {"message": "EngineDeadError", "code": 500}}, 500)
        elif body["model"] not in (NAME, *ADAPTERS):
            self.told({"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}, 404)
        elif self.path == "/v1/chat/completions" and body.get("stream"):
            self.streamed(answer(body))
        elif self.path == "/v1/chat/completions":
            self.told(answer(body))
        elif self.path == "/tokenize" and "no_tokenize" not in FAULTS:
            tokens = numbers(body["prompt"] if "prompt" in body else rendered(body))
            self.told({"count": len(tokens), "max_model_len": LENGTH, "tokens": tokens})
        elif self.path == "/detokenize":
            self.told({"prompt": " ".join(WORDS[int(i)] for i in body["tokens"])})
        elif self.path == "/classify" and "labels" in ASKED:
            data = [{"index": i, **label(t)} for i, t in enumerate(body["input"])]
            self.told({"object": "list", "model": NAME, "data": data, "usage": {"prompt_tokens": 9}})
        elif self.path == "/v1/embeddings" and "dimension" in ASKED:
            data = [{"index": i, "embedding": vector(t), "object": "embedding"} for i, t in enumerate(body["input"])]
            self.told({"object": "list", "model": NAME, "data": data, "usage": {"prompt_tokens": 9}})
        else:
            self.told({"detail": "Not Found"}, 404)

    def streamed(self, whole: dict[str, Any]) -> None:
        choice = whole["choices"][0]
        reason = None if "no_finish" in FAULTS else choice["finish_reason"]
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": choice["message"], "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        if "no_usage" not in FAULTS:
            events.append({"choices": [], "usage": whole["usage"]})
        end = [] if "no_done" in FAULTS else ["[DONE]"]
        lines: list[str] = [*map(json.dumps, events), *end]
        self.sent("".join(f"data: {line}\n\n" for line in lines).encode(), "text/event-stream")

    def told(self, value: Any, status: int = 200) -> None:
        self.sent(b"" if value is None else json.dumps(value).encode(), "application/json", status)

    def sent(self, content: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    """Connections that wait to be taken: beyond five, those to a process that gets no time would be lost a while."""


CALLS: list[dict[str, Any]] = []

if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
