"""What may leave: endpoints on this machine, named hosts, and nothing else; and how it is counted."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from openoutcry.core import egress
from openoutcry.core.errors import UsageError


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://127.0.0.1:8001", "127.0.0.1:8001"),
        ("http://127.9.9.9/v1", "127.9.9.9:80"),
        ("http://[::1]:8001/v1", "::1:8001"),
        ("http://localhost:11434", "localhost:11434"),
        ("https://127.0.0.1", "127.0.0.1:443"),
        ("unix:///tmp/engine.sock", "unix"),
    ],
)
def test_this_machine_may_be_sent_to(url: str, where: str) -> None:
    assert egress.check(url) == where


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7:8000",
        "http://0.0.0.0:8000",
        "http://169.254.169.254/latest",
        "http://[fe80::1]:80",
        "http://8.8.8.8",
        "http://127.0.0.1@10.0.0.7/",
        "http://[::ffff:10.0.0.7]/",
    ],
)
def test_no_other_host_may(url: str) -> None:
    with pytest.raises(UsageError, match=r"not on this machine.*allow"):
        egress.check(url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:80", "", "file:///etc/passwd", "http://"])
def test_what_is_no_endpoint_is_said_to_be_none(url: str) -> None:
    with pytest.raises(UsageError, match="expected an endpoint"):
        egress.check(url)


@pytest.mark.parametrize("allow", ["10.0.0.7", "10.0.0.7:8000"])
def test_a_host_that_a_person_named_may_be_sent_to(allow: str) -> None:
    assert egress.check("http://10.0.0.7:8000", [allow]) == "10.0.0.7:8000"
    with pytest.raises(UsageError):
        egress.check("http://10.0.0.8:8000", [allow])


def test_a_named_port_allows_no_other_port() -> None:
    with pytest.raises(UsageError):
        egress.check("http://10.0.0.7:22", ["10.0.0.7:8000"])


def test_a_name_is_judged_by_every_address_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        found = {"mixed": ["127.0.0.1", "93.184.216.34"], "inside": ["127.0.0.1", "::1"]}[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    assert egress.check("http://inside:80") == "inside:80"
    with pytest.raises(UsageError, match="not on this machine"):
        egress.check("http://mixed:80")


def test_a_name_without_an_address_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"expected an endpoint that can be found.*no\.such\.host\.invalid"):
        egress.check("http://no.such.host.invalid:80")


async def test_each_run_has_a_ledger_of_its_own() -> None:
    async def run(size: int) -> dict[str, int]:
        with egress.counted() as ledger:
            await asyncio.gather(*(_send("127.0.0.1:1", size) for _ in range(3)), _send("unix", 1))
            return ledger.sent

    async def _send(where: str, size: int) -> None:
        await asyncio.sleep(0)
        egress.sent(where, size)

    assert await asyncio.gather(run(5), run(7)) == [{"127.0.0.1:1": 15, "unix": 1}, {"127.0.0.1:1": 21, "unix": 1}]


def test_the_ledger_knows_what_left_and_nobody_need_count() -> None:
    egress.sent("127.0.0.1:1", 1)
    with egress.counted() as ledger:
        egress.sent("127.0.0.1:8001", 40)
        egress.sent("::1:8001", 2)
        egress.sent("10.0.0.7:8000", 3)
    assert ledger.left == 3
    assert sum(ledger.sent.values()) == 45


def test_opening_a_desk_turns_every_switch() -> None:
    clean = {k: v for k, v in os.environ.items() if k not in egress.SWITCHES}
    code = "import os; from openoutcry import Desk; from openoutcry.core.egress import SWITCHES; "
    code += "Desk.open(home='nowhere').close(); print(all(os.environ.get(k) == v for k, v in SWITCHES.items()))"
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1:80", "http://127.0.0.1:port", "http://a..b:80"])
def test_a_malformed_endpoint_is_one_line(url: str) -> None:
    with pytest.raises(UsageError, match="expected an endpoint"):
        egress.check(url)


def test_bytes_sent_to_a_name_that_is_gone_count_as_gone() -> None:
    ledger = egress.Ledger()
    ledger.add("gpubox.invalid:8000", 5)
    ledger.add("127.0.0.1:8000", 7)
    assert ledger.left == 5
