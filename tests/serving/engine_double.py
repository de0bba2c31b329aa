"""What the supervisor needs of vLLM, as a process of the same name, with the same options and faults to order.

The fixture `rig` copies it to `vllm/entrypoints/openai/api_server.py` on the path of an engine's Python. It starts a
child as vLLM does its EngineCore. Its mood is a file of words, read whenever one counts: crash (at the start), slow
(not healthy yet), hang (no answer), busy (a request in the air), stubborn (SIGTERM is ignored), refuse (status 400),
and of adapters torn (a load fails), endless (a load takes as long as it is so), fixed (there is no
loading), mute (it does not say what it has). What it is asked, and each look at it, is written beside the mood.
"""

import argparse
import json
import signal
import socketserver
import subprocess
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SLEEPER = "import time\nwhile True: time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPER}"

options = argparse.ArgumentParser()
for name in ("model", "served-model-name", "host", "uds", "dtype", "tool-call-parser", "convert", "runner", "mood"):
    options.add_argument(f"--{name}")
for name in ("port", "max-model-len", "kv-cache-memory-bytes", "max-loras", "max-cpu-loras", "max-lora-rank"):
    options.add_argument(f"--{name}", type=int)
for name in ("enforce-eager", "enable-auto-tool-choice", "enable-lora", "disable-uvicorn-access-log"):
    options.add_argument(f"--{name}", action="store_true")
options.add_argument("--enable-prompt-tokens-details", action="store_true")
options.add_argument("--structured-outputs-config", type=json.loads)
options.add_argument("--lora-modules", nargs="+", default=[])
given = options.parse_args()
mood_file = Path(given.mood)
loaded = dict(module.split("=", 1) for module in given.lora_modules)


def mood(word: str) -> bool:
    return word in mood_file.read_text().split()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(ConnectionError):  # who asked may have given up; its log is to say nothing of that
            super().handle()

    def do_GET(self) -> None:
        with mood_file.with_name("looked").open("a") as looked:
            looked.write(f"{self.path}\n")
        while mood("hang"):
            time.sleep(0.05)
        if self.path == "/health":
            self._answer(503 if mood("slow") else 200, "")
        elif self.path == "/metrics":
            self._answer(200, metrics())
        else:
            self._answer(
                503 if mood("mute") else 200,
                json.dumps({"data": [{"id": name} for name in (given.served_model_name, *loaded)]}),
            )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with mood_file.with_name("asked.jsonl").open("a") as asked:
            asked.write(json.dumps({"path": self.path, **body}) + "\n")
        if self.path.endswith("load_lora_adapter"):
            self._answer(*changed(self.path, body["lora_name"], body.get("lora_path", "")))
        else:
            self._answer(400 if mood("refuse") else 200, "{}")

    def log_message(self, format: str, *args: object) -> None: ...

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class OnSocket(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def changed(path: str, name: str, where: str) -> tuple[int, str]:
    """Load or unload, as vLLM does: its status and answer."""
    if mood("fixed"):
        return 404, json.dumps({"detail": "Not Found"})
    if path == "/v1/unload_lora_adapter":
        return (200, "removed") if loaded.pop(name, None) else error(404, f"The lora adapter '{name}' cannot be found.")
    if name in loaded:
        return error(400, f"The lora adapter '{name}' has already been loaded.")
    if mood("torn"):
        return error(500, "its tensors are torn")
    while mood("endless"):
        time.sleep(0.05)
    loaded[name] = where
    return 200, "added"


def error(status: int, message: str) -> tuple[int, str]:
    return status, json.dumps({"error": {"message": message, "type": "x", "param": None, "code": status}})


def metrics() -> str:
    label = '{engine="0",model_name="m"}'
    counts = {"num_requests_running": int(mood("busy")), "num_requests_waiting": 0, "kv_cache_usage_perc": 0.0}
    totals = ("prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")
    gauges = [f"# TYPE vllm:{name} gauge\nvllm:{name}{label} {value}\n" for name, value in counts.items()]
    return "".join([*gauges, *(f"# TYPE vllm:{name} counter\nvllm:{name}_total{label} 0.0\n" for name in totals)])


print(f"INFO 11-25 02:46:36 [api_server.py:1] serving {given.model} on {given.uds or given.port}", flush=True)
if mood("crash"):
    print("(EngineCore pid=7) ERROR 11-25 02:46:36 [core.py:9] ValueError: the weights are torn", file=sys.stderr)
    print("RuntimeError: Engine core initialization failed. See root cause above.", file=sys.stderr)
    print("WARNING 11-25 02:46:36 [x.py:1] current limit exceeds error: 9", file=sys.stderr)
    sys.exit(1)
if mood("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", DEAF if mood("stubborn") else SLEEPER])
(OnSocket(given.uds, Handler) if given.uds else ThreadingHTTPServer((given.host, given.port), Handler)).serve_forever()
