"""A server of OpenAI's chat protocol that answers as it is told to: well, or with one of the faults that servers have.

A real aiohttp server on a free loopback port, in a thread. Its script holds an answer a completion request, the last
one again and again. It counts a token for each four characters of a message, and keeps what it was asked.
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]
Brain = Callable[[dict[str, Any]], Answer]
USAGE = {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 16}}
TOO_LONG = "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."
MALFORMED = '<tool_call>\n{"name": "measure", "arguments": {"ticker": \n</tool_call>'


def completion(message: dict[str, Any], finish: str | None) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def events(message: dict[str, Any], finish: str | None) -> Iterator[dict[str, Any]]:
    """The same in pieces: text by words, each call's arguments in two halves, then the reason, then the usage."""
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def piece(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield piece({"role": "assistant", "content": ""})
    for word in (message.get("content") or "").split(" "):
        yield piece({"content": word + " "}) if word else piece({})
    for i, call in enumerate(message.get("tool_calls") or ()):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        half = len(arguments) // 2
        opening = {"name": name, "arguments": arguments[:half]}
        yield piece({"tool_calls": [{"index": i, "id": call["id"], "type": "function", "function": opening}]})
        yield piece({"tool_calls": [{"index": i, "function": {"arguments": arguments[half:]}}]})
    if finish:
        yield piece({}, finish)
    yield frame | {"choices": [], "usage": USAGE}


async def _stream(request: web.Request, pieces: Sequence[dict[str, Any]], done: bool = True) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
    if done:
        await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def answers(message: dict[str, Any], finish: str | None = "stop") -> Answer:
    """A message, whole or streamed as it is asked for."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body.get("stream"):
            return await _stream(request, list(events(message, finish)))
        return web.json_response(completion(message, finish))

    return answer


def says(text: str) -> Answer:
    """Text."""
    return answers({"content": text})


def calls(*named: tuple[str, dict[str, Any] | str]) -> Answer:
    """Tool calls; arguments that are a string are sent as they are."""
    made = [
        {
            "id": f"chatcmpl-tool-{i}",
            "type": "function",
            "function": {"name": n, "arguments": a if isinstance(a, str) else json.dumps(a)},
        }
        for i, (n, a) in enumerate(named)
    ]
    return answers({"content": None, "tool_calls": made}, "tool_calls")


def refuses(status: int, message: str, **headers: str) -> Answer:
    """An error, in the words of OpenAI's protocol."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        error = {"error": {"message": message, "type": "error", "code": status}}
        return web.json_response(error, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def sends(body: bytes) -> Answer:
    """These bytes, as if they were JSON."""

    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return answer


def waits(seconds: float, then: Answer) -> Answer:
    """An answer after a while."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await then(request, body)

    return answer


async def drips(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """A byte now and then, so that no time-out between bytes ever strikes."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


def _cut(request: web.Request) -> None:
    """Reset the connection."""
    assert request.transport is not None
    held = request.transport.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def resets(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Half an answer, and a broken connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": "c1", "choices": [')
    await asyncio.sleep(0.05)
    _cut(request)
    return response


async def breaks_the_stream(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Some events, and a broken connection."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in list(events({"content": "a b c"}, None))[:2]:
        await response.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
    await asyncio.sleep(0.05)
    _cut(request)
    return response


async def ends_the_stream_early(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """All events, but neither the finish reason nor the end that the protocol wants."""
    return await _stream(request, list(events({"content": "a b c"}, None)), done=False)


async def redirects(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """A way to another host."""
    return web.Response(status=307, headers={"Location": "http://203.0.113.7/v1/chat/completions"})


FAULTS: dict[str, Answer] = {
    "hangs": waits(3600, says("late")),
    "drips": drips,
    "resets": resets,
    "no finish reason": answers({"content": "half"}, None),
    "stream without finish": lambda r, b: _stream(r, list(events({"content": "a b c"}, None))),
    "stream without end": ends_the_stream_early,
    "stream broken": breaks_the_stream,
    "stream with an error": lambda r, b: _stream(r, [{"error": {"message": "the engine died", "code": 500}}]),
    "length": answers({"content": "and then the"}, "length"),
    "aborted": answers({"content": "and then the"}, "abort"),
    "no choices": sends(b'{"id": "c1", "choices": [], "usage": {}}'),
    "no message": sends(b'{"id": "c1", "choices": [{"finish_reason": "stop"}]}'),
    "null content": answers({"content": None}),
    "not JSON": sends(b"<html>welcome to nginx</html>"),
    "error in 200": sends(b'{"error": {"message": "the engine died"}}'),
    "too long": refuses(400, TOO_LONG),
    "busy": refuses(429, "slow down", Retry_After="60"),
    "unavailable": refuses(503, "loading"),
    "broken": refuses(500, "the engine died"),
    "unknown model": refuses(404, "The model `m` does not exist."),
    "redirects": redirects,
    "malformed call": says(MALFORMED),
    "unknown tool": calls(("launch_missiles", {})),
    "arguments not JSON": calls(("measure", '{"ticker": ')),
    "arguments no object": calls(("measure", '["AAPL"]')),
    "wrong schema": says('{"verdict": "BUY"}'),
    "huge": sends(b'{"id": "' + b"x" * (33 * 1024 * 1024) + b'"}'),
}
"""Each fault by its name."""


class Faulty:
    """The server. `script` may be changed while it runs; `brain`, where given, decides instead by what is asked.

    `asked` are the bodies of completion requests in order, `counted` those of token counts, and `paths` all paths.
    """

    def __init__(self, *script: Answer | str, brain: Brain | None = None, length: int | None = 32768) -> None:
        self.script = list(script)
        self.brain = brain
        self.length = length
        self.counts = True
        self.asked: list[dict[str, Any]] = []
        self.counted: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.arrived = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._requests: list[web.Request] = []
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.kill()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def kill(self) -> None:
        """Die at once: every connection is reset, and no other is taken."""
        self._do(self._close())

    async def _close(self) -> None:
        for request in list(self._requests):
            if request.transport is not None:  # who asked may have gone
                _cut(request)
        await self._runner.cleanup()
        await asyncio.sleep(0.02)  # connections that were cut close their sockets at the loop's next turn

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _open(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/classify", self._complete)
        app.router.add_post("/tokenize", self._count)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._well)
        app.router.add_get("/metrics", self._well)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await self._kept(request, self.asked)
        self.arrived.set()
        number = min(len(self.asked), len(self.script)) - 1
        answer = self.brain(body) if self.brain else self.script[number]
        self._requests.append(request)
        try:
            return await (FAULTS[answer] if isinstance(answer, str) else answer)(request, body)
        finally:
            self._requests.remove(request)

    async def _count(self, request: web.Request) -> web.StreamResponse:
        if not self.counts:
            raise web.HTTPNotFound
        body = await self._kept(request, self.counted)
        tokens = count(body["messages"])
        return web.json_response({"count": tokens, "max_model_len": self.length, "tokens": list(range(tokens))})

    async def _kept(self, request: web.Request, asked: list[dict[str, Any]]) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(await request.read())
        self.paths.append(request.path)
        asked.append(body)
        return body

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        return web.json_response({"object": "list", "data": [{"id": "m", "max_model_len": self.length}]})

    async def _well(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="vllm:num_requests_running 0.0\n")


def count(messages: Sequence[dict[str, Any]]) -> int:
    """Tokens as this server counts them."""
    return sum(len(m["content"] or "") for m in messages) // 4
