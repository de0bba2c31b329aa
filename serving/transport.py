"""The one way to a model's server: HTTP over loopback or a Unix socket, within a deadline, and to no other host.

Environment proxies are not read, cookies not kept, redirects not followed, and every byte is counted.
"""

import asyncio
import io
import os
import socket
import threading
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from openoutcry.core import egress
from openoutcry.core.errors import ModelCutShort, ModelGarbled, ModelRefused, ModelTooSlow, ModelUnreachable, UsageError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver
    from yarl import URL

MOST = 32 * 1024 * 1024
"""Bytes of one answer at most."""
CONNECT = 5.0
"""Seconds to make a connection."""
IDLE = 3.0
"""Seconds that a connection is kept unused; below the five after which vLLM's server closes one."""
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "openoutcry"}
JSON = {**HEADERS, "Content-Type": "application/json"}
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: the HTTP status and the whole body."""

    status: int
    body: bytes


class Refused(ModelRefused):
    """A server's answer was an error; holds it."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request goes: its URL as it is asked for, whom the ledger names, and the socket's path if there is one.

    `head` is the size in bytes of a request's head, but for what a body adds to it.
    """

    url: "URL"
    where: str
    socket: str
    head: int


@dataclass(slots=True)
class _Line:
    """The sessions of one event loop, by the path of the socket that they use (empty: TCP), and how many use them."""

    users: int = 0
    sessions: "dict[str, ClientSession]" = field(default_factory=dict[str, "ClientSession"])


class Transport:
    """Sends requests to this machine, and to the hosts that *allow* names. Safe to share between event loops."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = tuple(allow)
        self._targets: dict[tuple[str, str], _Target] = {}
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Keep connections open within; the last user of an event loop closes those of that loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            line = self._lines.setdefault(loop, _Line())
            line.users += 1
        try:
            yield
        finally:
            line.users -= 1
            if not line.users:
                with self._lock:
                    self._lines.pop(loop, None)
                for session in line.sessions.values():
                    await session.close()

    async def post(self, url: str, path: str, body: bytes, seconds: float) -> Reply:
        """Send JSON and read the answer whole. *seconds* bounds all of it.

        Raises ModelUnreachable, ModelTooSlow, ModelGarbled for what is not HTTP or too long, ModelRefused for a
        redirect, UsageError for an endpoint that may not be sent to.
        """
        return await self._whole("POST", url, path, body, seconds)

    async def get(self, url: str, path: str, seconds: float) -> Reply:
        """Read an answer whole. Raises as `post` does."""
        return await self._whole("GET", url, path, None, seconds)

    async def events(self, url: str, path: str, body: bytes, seconds: float) -> AsyncGenerator[bytes]:
        """The data of each server-sent event, until `[DONE]`. *seconds* bounds all of it.

        Raises as `post` does, Refused where the answer's status is not 200, and ModelCutShort where it ends without
        `[DONE]`.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        with _told(url, seconds):
            async with self.opened():
                async with asyncio.timeout_at(deadline):
                    response = await self._sent("POST", url, path, body)
                async with response:
                    if response.status != 200:
                        async with asyncio.timeout_at(deadline):
                            reply = Reply(response.status, await _read(response, url))
                        raise Refused(f"expected events from {url}, got status {reply.status}; see its log", reply)
                    async for data in _events(response, url, deadline):
                        if data == DONE:
                            return
                        yield data
        raise ModelCutShort(f"expected the events of {url} to end with [DONE], got an end without it; see its log")

    async def _whole(self, method: str, url: str, path: str, body: bytes | None, seconds: float) -> Reply:
        with _told(url, seconds):
            async with (
                self.opened(),
                asyncio.timeout(seconds),
                await self._sent(method, url, path, body) as response,
            ):
                return Reply(response.status, await _read(response, url))

    async def _sent(self, method: str, url: str, path: str, body: bytes | None) -> "ClientResponse":
        target = self._targets.get((url, path)) or await asyncio.to_thread(self._target, url, path)
        egress.sent(target.where, _size(target, method, body))
        data = io.BytesIO(body) if body is not None and len(body) > 1 << 20 else body
        headers = HEADERS if body is None else JSON
        session = self._session(target.socket)
        response = await session.request(method, target.url, data=data, headers=headers, allow_redirects=False)
        if 300 <= response.status < 400:
            response.close()
            to = response.headers.get("Location", "nowhere")
            raise ModelRefused(
                f"expected an answer from {url}, got a redirect to {to}: name that endpoint if it is right"
            )
        return response

    def _target(self, url: str, path: str) -> _Target:
        """Look an endpoint up once; the addresses of a name are checked again whenever a connection is made."""
        from yarl import URL

        asked = URL(url.rstrip("/") + path)
        where = egress.check(str(asked), self._allow)
        local = URL(url).path if where == "unix" else ""
        if local:
            asked = URL(f"http://localhost{path}")
        host = asked.host_port_subcomponent or ""
        head = f"{asked.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\n\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in HEADERS.items()
        )
        found = self._targets[url, path] = _Target(asked, where, local, len(head) + 1)
        return found

    def _session(self, path: str) -> "ClientSession":
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, UnixConnector

        line = self._lines[asyncio.get_running_loop()]
        if path not in line.sessions:
            if path:
                connector = UnixConnector(path, limit=0, keepalive_timeout=IDLE)
            else:
                connector = TCPConnector(limit=0, keepalive_timeout=IDLE, resolver=_resolver(self._allow))
            timeout = ClientTimeout(total=None, sock_connect=CONNECT)
            line.sessions[path] = ClientSession(
                connector=connector, timeout=timeout, cookie_jar=DummyCookieJar(), trust_env=False
            )
        return line.sessions[path]


def _size(target: _Target, method: str, body: bytes | None) -> int:
    """Bytes of a request as it goes out."""
    if body is None:
        return target.head + len(method)
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return target.head + len(method) + len(more) + len(body)


async def _read(response: "ClientResponse", url: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST:
            raise ModelGarbled(f"expected an answer of at most {MOST >> 20} MiB from {url}, got more; see its log")
    return bytes(body)


async def _events(response: "ClientResponse", url: str, deadline: float) -> AsyncGenerator[bytes]:
    """The data of events as they come; one that the end of the stream cuts is left out."""
    data: list[bytes] = []
    rest, size = b"", 0
    while True:
        async with asyncio.timeout_at(deadline):
            chunk = await response.content.readany()
        size += len(chunk)
        if size > MOST:
            raise ModelGarbled(f"expected an answer of at most {MOST >> 20} MiB from {url}, got more; see its log")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data.clear()
        if not chunk:
            return


@contextmanager
def _told(url: str, seconds: float) -> Generator[None]:
    """Put what goes wrong on the way into the error tree."""
    from aiohttp import ClientConnectorError, ClientError, ClientPayloadError, ClientResponseError

    try:
        yield
    except ClientConnectorError as error:
        why = os.strerror(error.errno) if error.errno else str(error.os_error)
        raise ModelUnreachable(
            f"expected a server at {url}, found none ({why}); `outcry stack status` shows what runs"
        ) from None
    except ClientResponseError as error:
        raise ModelGarbled(
            f"expected HTTP from {url}, got something else ({error.message}); name its right port"
        ) from None
    except (ClientPayloadError, ClientError, ConnectionError) as error:
        raise ModelUnreachable(
            f"expected an answer from {url}, but the connection broke off ({error}); see its log"
        ) from None
    except TimeoutError:
        raise ModelTooSlow(
            f"expected an answer from {url} within {max(round(seconds, 1), 0.1):g} s, got none; it may be overloaded"
        ) from None


def _resolver(allow: tuple[str, ...]) -> "AbstractResolver":
    """Looks names up, and refuses an address beyond this machine unless *allow* names the host: names change hands."""
    from aiohttp import ThreadedResolver
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Checked(AbstractResolver):
        """Aiohttp's resolver, with that check."""

        def __init__(self) -> None:
            self._asked = ThreadedResolver()

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            """Addresses that may be sent to. Raises UsageError where one may not."""
            found = await self._asked.resolve(host, port, family)
            if host in allow or f"{host}:{port}" in allow:
                return found
            for entry in found:
                if not egress.is_local(entry["host"]):
                    raise UsageError(
                        f"expected {host} to be this machine, got the address {entry['host']}; name {host!r} under "
                        "`allow` in stack.toml if it is yours"
                    )
            return found

        async def close(self) -> None:
            """Close aiohttp's resolver."""
            await self._asked.close()

    return Checked()
