"""An Ollama made from its published API: tags, show, ps, version, blobs and create, and a chat that cuts long prompts
in silence.

Run as a process: `ollama_double.py JSON`, where JSON gives models as {name: {num_ctx, longest, loaded, tools, torn}}.
It prints its URL and serves until its input ends. A token is a word.
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS: dict[str, dict[str, Any]] = json.loads(sys.argv[1])
BLOBS: dict[str, bytes] = {}


def details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "7.2B",
        "quantization_level": "Q4_0",
    }


def tag(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": "2024-06-04T14:38:31.83753-07:00",
        "size": 5137025024,
        "digest": "2ae6f6dd7a3dd734790bbbf58b8909a606e0e7e97e94b7604e0aa7ae4490e6d8",
        "details": details(),
    }


def context(name: str) -> int:
    return MODELS[name].get("num_ctx") or 4096


def loaded(name: str) -> dict[str, Any]:
    more = {"expires_at": "2024-06-04T14:38:31.83753-07:00", "size_vram": 5137025024}
    told = {"context_length": context(name)} if MODELS[name].get("tells", True) else {}
    return {**tag(name), **more, **told}


def shown(name: str) -> dict[str, Any]:
    model = MODELS[name]
    asked = f"num_ctx                        {model['num_ctx']}\n" if model.get("num_ctx") else ""
    return {
        "modelfile": f"FROM {name}",
        "parameters": f'{asked}stop                           "<|eot_id|>"',
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": {"general.architecture": "llama", "llama.context_length": model.get("longest", 32768)},
        "capabilities": ["completion", *(["tools"] if model.get("tools", True) else [])],
        **model.get("more", {}),
    }


def created(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Make a model of another one and adapters, or of files, whose blobs were sent before."""
    sent: dict[str, str] = body.get("adapters") or body.get("files") or {}
    if lost := [digest for digest in sent.values() if digest not in BLOBS]:
        return {"error": f"blob {lost[0]} not found"}, 400
    if "files" not in body and body.get("from") not in MODELS:
        return {"error": f"pull model manifest: {body.get('from')} does not exist"}, 500
    made = {name: BLOBS[digest].decode() for name, digest in sent.items()}
    more = {"details": {"made": made, "parameters": body["parameters"], "from": body.get("from", "")}}
    MODELS[f"{body['model']}:latest"] = {"num_ctx": body["parameters"].get("num_ctx"), "more": more}
    return {"status": "success"}, 200


def chat(body: dict[str, Any]) -> dict[str, Any]:
    words = " ".join(str(m["content"]) for m in body["messages"]).split()
    kept = words[-context(body["model"]) :]
    message: dict[str, Any] = {"role": "assistant", "content": "I see."}
    if form := body.get("response_format"):
        schema = form["json_schema"]["schema"]["properties"]
        message["content"] = json.dumps({k: _chosen(v, kept) for k, v in schema.items()})
    elif body.get("tools"):
        call = {"name": body["tools"][0]["function"]["name"], "arguments": '{"ticker": "AAPL"}'}
        message = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": call}],
        }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": len(kept), "completion_tokens": 4, "total_tokens": len(kept) + 4},
    }


def _chosen(schema: dict[str, Any], words: list[str]) -> Any:
    choices = schema.get("enum") or ["x"]
    return next((c for c in choices if c in words), choices[0])


class Ollama(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/api/version":
                self.told({"version": "0.12.6"})
            case "/api/tags":
                self.told({"models": [tag(name) for name in MODELS]})
            case "/api/ps":
                self.told({"models": [loaded(n) for n, m in MODELS.items() if m.get("loaded")]})
            case "/v1/models":
                self.told({"object": "list", "data": [{"id": n, "object": "model"} for n in MODELS]})
            case "/":
                self.told("Ollama is running")
            case _:
                self.told("404 page not found", 404)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/api/blobs/"):
            digest = self.path.removeprefix("/api/blobs/")
            right = digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
            BLOBS.update({digest: content} if right else {})
            self.told("", 201 if right else 400)
            return
        body = json.loads(content)
        if self.path == "/api/create":
            self.told(*created(body))
            return
        body["model"] = next((n for n in (body["model"], f"{body['model']}:latest") if n in MODELS), body["model"])
        if self.path not in ("/api/show", "/v1/chat/completions"):
            self.told("404 page not found", 404)
        elif body["model"] not in MODELS:
            self.told({"error": f"model '{body['model']}' not found"}, 404)
        elif self.path == "/api/show" and MODELS[body["model"]].get("torn"):
            self.told({"error": "unexpected EOF"}, 500)
        elif self.path == "/api/show":
            self.told(shown(body["model"]))
        elif body.get("stream"):
            self.streamed(chat(body))
        else:
            self.told(chat(body))

    def streamed(self, answer: dict[str, Any]) -> None:
        choice = answer["choices"][0]
        delta: dict[str, Any] = {
            **answer,
            "choices": [{"index": 0, "delta": choice["message"], "finish_reason": None}],
            "usage": None,
        }
        end: dict[str, Any] = {**answer, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}
        count: dict[str, Any] = {**answer, "choices": []}
        lines = "".join(f"data: {json.dumps(e)}\n\n" for e in (delta, end, count)) + "data: [DONE]\n\n"
        self.sent(lines.encode(), "text/event-stream")

    def told(self, value: Any, status: int = 200) -> None:
        plain = isinstance(value, str)
        self.sent(
            value.encode() if plain else json.dumps(value).encode(),
            "text/plain" if plain else "application/json",
            status,
        )

    def sent(self, content: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ollama)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
