"""What may leave this machine: nothing, but to hosts that a person named. Telemetry is off, and bytes are counted."""

import ipaddress
import os
import socket
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from openoutcry.core.errors import UsageError

SWITCHES = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "ORT_DISABLE_TELEMETRY": "1",
    "OTEL_SDK_DISABLED": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Every switch that keeps a dependency, or a server that we start, from calling out. Read by most at import."""


def quiet() -> None:
    """Turn every switch, for this process and those it starts."""
    os.environ.update(SWITCHES)


def is_local(host: str, port: int = 0) -> bool:
    """Whether every address that *host* resolves to is loopback. Raises UsageError where it resolves to none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:  # the second for what can be no name
        raise UsageError(f"expected an endpoint that can be found, but {host!r} has no address: {error}") from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def check(url: str, allow: Iterable[str] = ()) -> str:
    """The `host:port` that *url* leads to, or `unix`. *allow* names hosts beyond loopback, as `host` or `host:port`.

    Raises UsageError for an endpoint that is neither on this machine nor named, so that nothing is sent to it.
    """
    expected = "expected an endpoint such as http://127.0.0.1:8001 or unix:///path/socket"
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError as error:
        raise UsageError(f"{expected}, got {url!r}: {error}") from None
    if parts.scheme == "unix":
        return "unix"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{expected}, got {url!r}")
    port = given or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"
    named = set(allow)
    if parts.hostname in named or where in named or is_local(parts.hostname, port):
        return where
    raise UsageError(
        f"the endpoint {url} is not on this machine, and nothing leaves it unless you say so: name {parts.hostname!r} "
        "under `allow` in stack.toml if it is yours"
    )


class Ledger:
    """The bytes that one run sent, by where they went."""

    def __init__(self) -> None:
        self._sent: Counter[str] = Counter()

    def add(self, where: str, count: int) -> None:
        """Count what was sent to `host:port`, or `unix`."""
        self._sent[where] += count

    @property
    def sent(self) -> dict[str, int]:
        """Bytes by destination, all of them."""
        return dict(sorted(self._sent.items()))

    @property
    def left(self) -> int:
        """Bytes that left this machine; those sent to a name that cannot be looked up any more count as such."""
        return sum(n for where, n in self._sent.items() if where != "unix" and not _stays(where))


class Shared(Ledger):
    """The ledger of what is sent for several runs at once: each is told its share, by its weight in *parts*."""

    def __init__(self, parts: Mapping[Ledger | None, int]) -> None:
        super().__init__()
        self._parts = parts

    def add(self, where: str, count: int) -> None:
        """Count what was sent; a share is rounded up, so that no byte is nobody's."""
        super().add(where, count)
        whole = max(sum(self._parts.values()), 1)
        for ledger, weight in self._parts.items():
            if ledger:
                ledger.add(where, -(-count * weight // whole))


def _stays(where: str) -> bool:
    try:
        return is_local(where.rpartition(":")[0])
    except UsageError:
        return False


_ledger: ContextVar[Ledger | None] = ContextVar("ledger", default=None)


def current() -> Ledger | None:
    """The ledger of the run that this is called in, if there is one."""
    return _ledger.get()


@contextmanager
def counted(ledger: Ledger | None = None) -> Generator[Ledger]:
    """A ledger of all that is sent within: a new one, or *ledger*."""
    ledger = ledger or Ledger()
    token = _ledger.set(ledger)
    try:
        yield ledger
    finally:
        _ledger.reset(token)


def sent(where: str, count: int) -> None:
    """Note bytes sent, in the ledger of the run that sends them, if there is one."""
    if ledger := _ledger.get():
        ledger.add(where, count)
