"""A model's server without a model, which plays the desk: each role calls its tool once, then answers from its result.

Run as a process: `stub.py JSON`, where JSON gives `seconds` (how long each answer takes), `port`, and by role the
`calls` to make. It prints its URL and serves until its input ends. A role is told by its instructions. An answer is a
call where a tool takes one, such as pydantic-ai's `final_result`, else text. `/asked` tells how often it was asked.
After SIGUSR1 it talks, and gives no answer in form any more.
"""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

NAME, LENGTH = "stub", 131_072
ROLES = {
    "You are the analyst": "analyst",
    "You are the sentiment": "sentiment",
    "You are the risk": "risk",
    "You are the coordinator": "coordinator",
    "You read one document": "reader",
}
Object = dict[str, Any]
Calls = Mapping[str, Mapping[str, Any]]
"""By role the tool that it calls, as {"name": ..., "arguments": {...}}."""


@contextlib.contextmanager
def stub(calls: Calls, seconds: float = 0.0, port: int = 0) -> Generator[tuple[str, "subprocess.Popen[str]"]]:
    """A stub that runs within: its URL, and its process."""
    given = json.dumps({"calls": calls, "seconds": seconds, "port": port})
    command = [sys.executable, str(Path(__file__)), given]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def message(body: Object, calls: Calls) -> Object:
    """What the role that *body* is of says next."""
    told: list[Object] = body["messages"]
    role = next(name for words, name in ROLES.items() if words in told[0]["content"])
    tools = {t["function"]["name"]: t["function"] for t in body.get("tools", ())}
    step = calls.get(role)
    if step and step["name"] in tools and all(m["role"] != "tool" for m in told):
        return _call(step["name"], step["arguments"])
    answer = _answer(role, told)
    taker = next((n for n, t in tools.items() if answer.keys() <= t["parameters"].get("properties", {}).keys()), None)
    return _call(taker, answer) if taker else {"role": "assistant", "content": json.dumps(answer)}


def _call(name: str, arguments: Mapping[str, Any]) -> Object:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call00001", "type": "function", "function": function}],
    }


def _answer(role: str, told: list[Object]) -> Object:
    """The typed answer, grounded in the result that came last, or in all evidence."""
    last: Object = json.loads(told[-1]["content"])
    if role == "reader":
        quote = " ".join(last["text"].split()[:6])[:200]
        return {"tone": "positive", "relevance": "subject", "quotes": [quote]}
    if role != "coordinator":
        return {"claims": _claims(last), "lean": "up"}
    claims = [claim for evidence in last["evidence"] for claim in _claims(evidence)]
    return {"headline": claims[0], "claims": claims[1:4]}


def _claims(evidence: Object) -> list[str]:
    return [f"Measured here is {{{evidence['id']}.{name}}}." for name in list(evidence["figures"])[:2]]


def completion(body: Object, calls: Calls) -> Object:
    """The whole answer to a chat request; a token is taken to be four bytes."""
    said = message(body, calls)
    prompt, answer = len(json.dumps(body["messages"])) // 4, len(json.dumps(said)) // 4
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [
            {"index": 0, "message": said, "finish_reason": "tool_calls" if "tool_calls" in said else "stop"},
        ],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
    }


async def serve(given: Object) -> None:
    """Answer until the input ends."""
    import orjson
    from aiohttp import web

    asked: Counter[str] = Counter()
    spoilt = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, spoilt.set)

    def told(value: object) -> web.Response:
        return web.Response(body=orjson.dumps(value), content_type="application/json")

    async def chat(request: web.Request) -> web.Response:
        asked["chat"] += 1
        body = cast("Object", orjson.loads(await request.read()))
        if given["seconds"]:
            await asyncio.sleep(given["seconds"])
        answer = completion(body, given["calls"])
        if spoilt.is_set():
            answer["choices"][0] |= {"message": {"role": "assistant", "content": "Well."}, "finish_reason": "stop"}
        return told(answer)

    async def tokenize(request: web.Request) -> web.Response:
        asked["tokenize"] += 1
        return told({"count": len(await request.read()) // 4, "max_model_len": LENGTH, "tokens": []})

    async def models(_: web.Request) -> web.Response:
        return told({"object": "list", "data": [{"id": NAME, "object": "model", "max_model_len": LENGTH}]})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=f'vllm:request_success_total{{model_name="{NAME}"}} {asked["chat"]}\n')

    async def counts(_: web.Request) -> web.Response:
        return told(dict(asked))

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/tokenize", tokenize)
    for path, handler in (("/v1/models", models), ("/health", health), ("/metrics", metrics), ("/asked", counts)):
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", given["port"], backlog=4096)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
