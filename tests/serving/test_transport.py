"""The transport over real sockets: what it sends, whom it refuses, and how a broken server shows."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from openoutcry.core import egress
from openoutcry.core.errors import (
    ModelCutShort,
    ModelGarbled,
    ModelRefused,
    ModelTooSlow,
    ModelUnreachable,
    UsageError,
)
from openoutcry.serving import transport as sending
from openoutcry.serving.transport import Refused, Transport
from tests.serving.faulty import Faulty, says

CHAT = "/v1/chat/completions"
SOON = 60.0
"""Seconds for what has to succeed: no deadline is to strike there."""


@asynccontextmanager
async def served(at: str, handler: Callable[[web.Request], object]) -> AsyncGenerator[str]:
    """A server of one route on a Unix socket or, for an empty path, on a free port."""
    app = web.Application()
    app.router.add_route("*", "/x", handler)  # type: ignore[arg-type]  # handlers of tests are coroutines
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.UnixSite(runner, at) if at else web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"unix://{at}" if at else f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def peer(request: web.Request) -> web.Response:
    """Which connection this is, and what came."""
    assert request.transport is not None
    name = request.transport.get_extra_info("peername")
    return web.json_response({"peer": str(name), "body": (await request.read()).decode(), "host": request.host})


def opened(at: str = "") -> AbstractAsyncContextManager[str]:
    return served(at, peer)


@pytest.fixture
def raw() -> Iterator[tuple[str, list[bytes]]]:
    """A server that keeps the very bytes that it is sent, and answers each connection once."""
    got: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with suppress(OSError), connection:  # whoever asked may give up
                data, head, length = b"", b"", 0
                while not head or len(data) < len(head) + length:
                    if not (more := connection.recv(65536)):
                        break
                    data += more
                    if not head and b"\r\n\r\n" in data:
                        head = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                        length = next((int(h[15:]) for h in head.split(b"\r\n") if h.startswith(b"Content-Length:")), 0)
                else:
                    got.append(data)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", got
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


async def test_a_connection_is_kept_while_it_is_opened_and_closed_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IDLE", SOON)
    transport = Transport()
    async with opened() as url:
        async with transport.opened():
            same = [(await transport.post(url, "/x", b"a", SOON)).body for _ in range(3)]
        apart = [(await transport.post(url, "/x", b"a", SOON)).body for _ in range(2)]
    assert len(set(same)) == 1
    assert len({*same, *apart}) == 3


async def test_a_unix_socket_is_asked_by_its_path(tmp_path: Path) -> None:
    at = str(tmp_path / "model.sock")
    async with opened(at) as url:
        with egress.counted() as ledger:
            reply = await Transport().post(url, "/x", b"hello", SOON)
    assert reply.status == 200
    assert b'"body": "hello"' in reply.body
    assert list(ledger.sent) == ["unix"]
    assert ledger.left == 0
    with pytest.raises(ModelUnreachable, match="found none"):
        await Transport().get(url, "/x", SOON)


async def test_the_ledger_holds_every_byte_that_was_sent(raw: tuple[str, list[bytes]]) -> None:
    url, got = raw
    with egress.counted() as ledger:
        await Transport().post(url, "/a/b?c=d", b'{"x": 1}', SOON)
        await Transport().get(url, "/v1/models", SOON)
        await Transport().post(url, "/a", b"x" * (1 << 21), SOON)
    assert ledger.sent == {url.removeprefix("http://"): sum(map(len, got))}
    assert b"Accept-Encoding: identity" in got[0]
    assert got[0].endswith(b'\r\n\r\n{"x": 1}')


async def test_one_transport_serves_event_loops_on_many_threads() -> None:
    transport, found = Transport(), list[int]()

    async def ask(url: str) -> None:
        async with transport.opened():
            for _ in range(5):
                found.append((await transport.post(url, CHAT, b"{}", SOON)).status)

    with Faulty(says("hi")) as server:
        threads = [threading.Thread(target=lambda: asyncio.run(ask(server.url))) for _ in range(8)]
        for thread in threads:
            thread.start()
        await ask(server.url)
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert found == [200] * 45


async def test_an_environment_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Faulty(says("hi")) as server:
        assert (await Transport().post(server.url, CHAT, b"{}", SOON)).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://203.0.113.7:8000",
        "http://[2001:db8::1]/",
        "http://127.0.0.1@203.0.113.7/",
        "http://127.0.0.1\\@203.0.113.7/",
    ],
)
async def test_another_host_is_refused_before_anything_is_sent(url: str) -> None:
    with egress.counted() as ledger, pytest.raises((UsageError, ValueError)):
        await Transport().post(url, CHAT, b"{}", SOON)
    assert ledger.sent == {}


async def test_a_name_that_moves_to_another_host_is_refused_when_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def moving(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "203.0.113.7"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    with pytest.raises(UsageError, match=r"expected models\.local to be this machine, got the address 203\.0\.113\.7"):
        await Transport().post("http://models.local", CHAT, b"{}", SOON)
    assert looked_up == ["models.local"] * 2


async def test_a_host_that_a_person_allows_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 9))]

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)

    def remote(*_: object) -> bool:
        return False

    monkeypatch.setattr(egress, "is_local", remote)
    with pytest.raises(ModelUnreachable, match="found none"):
        await Transport(["models.local"]).post("http://models.local:9", CHAT, b"{}", SOON)


async def test_a_redirect_is_an_error_and_not_followed() -> None:
    with Faulty("redirects") as server:
        with pytest.raises(ModelRefused, match=r"redirect to http://203\.0\.113\.7"):
            await Transport().post(server.url, CHAT, b"{}", SOON)
        with pytest.raises(ModelRefused, match="redirect"):
            [_ async for _ in Transport().events(server.url, CHAT, b"{}", SOON)]
        assert server.paths == [CHAT] * 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("hangs", ModelTooSlow),
        ("drips", ModelTooSlow),
        ("resets", ModelUnreachable),
        ("stream broken", ModelUnreachable),
        ("huge", ModelGarbled),
    ],
)
async def test_a_broken_answer_is_an_error(fault: str, error: type[Exception]) -> None:
    seconds = 0.3 if error is ModelTooSlow else SOON
    with Faulty(fault) as server, pytest.raises(error):
        await Transport().post(server.url, CHAT, b"{}", seconds)


async def test_what_is_not_http_is_garbled() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.local ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ModelGarbled, match="expected HTTP"):
            await Transport().get(url, "/", SOON)


async def test_a_server_that_died_is_unreachable_at_once() -> None:
    with Faulty("hangs") as server:
        asked = asyncio.create_task(Transport().post(server.url, CHAT, b"{}", SOON))
        assert await asyncio.to_thread(server.arrived.wait, SOON)
        await asyncio.to_thread(server.kill)
        with pytest.raises(ModelUnreachable, match="broke off"):
            await asked
        with pytest.raises(ModelUnreachable, match=r"found none \(Connection refused\)"):
            await Transport().post(server.url, CHAT, b"{}", SOON)


async def test_events_come_one_by_one_and_end_where_they_say() -> None:
    with Faulty(says("one two")) as server:
        came = [e async for e in Transport().events(server.url, CHAT, b'{"stream": true}', SOON)]
    assert len(came) == 5
    assert b'"content": "two "' in came[2]


async def test_an_event_may_have_many_lines_and_lie_across_packets() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in (b": hello\n\ndata: a", b"b\r", b"\ndata:c\r\n\r", b"\nid: 1\ndata: [DO", b"NE]\n\ndata: late\n\n"):
            await response.write(part)
            await asyncio.sleep(0.01)
        return response

    async with served("", answer) as url:
        assert [e async for e in Transport().events(url, "/x", b"{}", SOON)] == [b"ab\nc"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("stream without end", ModelCutShort),
        ("stream broken", ModelUnreachable),
        ("hangs", ModelTooSlow),
        ("drips", ModelTooSlow),
    ],
)
async def test_events_that_break_off_are_an_error(fault: str, error: type[Exception]) -> None:
    seconds = 0.3 if error is ModelTooSlow else SOON
    with Faulty(fault) as server, pytest.raises(error):
        [_ async for _ in Transport().events(server.url, CHAT, b'{"stream": true}', seconds)]


async def test_events_that_are_refused_hold_the_reply() -> None:
    with Faulty("busy") as server, pytest.raises(Refused) as refused:
        [_ async for _ in Transport().events(server.url, CHAT, b'{"stream": true}', SOON)]
    assert refused.value.reply.status == 429
    assert b"slow down" in refused.value.reply.body
