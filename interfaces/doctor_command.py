"""The command `outcry doctor`: whether this install can answer, and proof that nothing of it leaves the machine."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openoutcry.core.errors import OutcryError, UsageError
from openoutcry.interfaces.opened import OPENER, desk
from openoutcry.interfaces.stacked import standing, uncertified

if TYPE_CHECKING:
    from openoutcry.interfaces.stacked import Standing

CAGE = ["unshare", "-rn"]
"""Starts a command in a network namespace of its own: no address, no route, nothing but itself."""
INSIDE = [*CAGE, "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"]
WAY_OUT = "import socket; socket.create_connection(('192.0.2.1', 443), 3)"
"""Fails at once where there is no route; the address is one kept for documents, where nobody is."""
JOB = (["ingest", "--sample"], ["ask", "How risky is AAPL over the next 10 days?", "--as-of", "2022-06-30"])
SECONDS = 600
NOT_PROVEN = 1
"""The exit code where something could leave."""


@click.command(short_help="Look whether all is in order here.")
@click.option("--egress", is_flag=True, help="Prove that nothing leaves: run the main job where there is no way out.")
@click.pass_context
def doctor(ctx: click.Context, egress: bool) -> None:
    """Look whether settings, data, memory and stack are in order; `outcry stack doctor` asks the models themselves."""
    if egress:
        _prove(ctx)
        return
    checks: dict[str, Callable[[click.Context], str]] = {
        "settings": _settings,
        "data": _data,
        "memory": _memory,
        "stack": _stack,
    }
    codes = [code for name, check in checks.items() if (code := _line(ctx, name, check))]
    if codes:
        sys.exit(codes[0])


def _line(ctx: click.Context, name: str, check: Callable[[click.Context], str]) -> int:
    """Print what a check says; the exit code of its fault, 0 for none."""
    try:
        click.echo(f"{name:<10} ok     {check(ctx)}")
    except OutcryError as error:
        click.echo(f"{name:<10} FAILS  {error}")
        return error.exit_code
    return 0


def _settings(ctx: click.Context) -> str:
    from openoutcry.core.settings import load

    path, home = ctx.obj
    settings = load(path)
    default = "desk.toml" if Path("desk.toml").is_file() else "defaults"
    return f"{path or default}; data folder {home or settings.home}"


def _data(ctx: click.Context) -> str:
    from openoutcry.tools.data import warehouse

    return f"snapshot {warehouse.current(standing(ctx).home).stem}"


def _memory(ctx: click.Context) -> str:
    if OPENER not in ctx.meta:
        return "not looked at"
    with desk(ctx) as opened:
        return f"{opened.memory.stats().memories:,} memories"


def _stack(ctx: click.Context) -> str:
    """Raises UsageError where the models of a stack do not all run."""
    from openoutcry.serving.running import control

    at = standing(ctx)
    if not at.stack.models:
        return "house rules in every seat: no server needed"
    own = [m for m in at.stack.models.values() if m.engine == "vllm"]
    now = control.standing(at.home)
    ready = {m.name: len(now.ready(m.name)) for m in own}
    if away := [m.name for m in own if ready[m.name] < m.replicas.min]:
        raise UsageError(f"{', '.join(away)} not ready: `outcry stack up`; until then the seats fall back")
    if waiting := uncertified(at):
        raise UsageError(f"expected a card for each model in its seat; {'; '.join(waiting)}")
    told = [f"{name} {count} ready" for name, count in ready.items()]
    return f"{at.stack.source}: " + ", ".join(
        [*told, *(f"{m.name} at {m.url}" for m in at.stack.models.values() if m.url)]
    )


def _prove(ctx: click.Context) -> None:
    """Say what is switched off and where requests may go, then run the main job without a way out."""
    at = standing(ctx)
    sound = _switches() & _endpoints(at)
    if not _caged():
        raise UsageError(
            "expected a network namespace of one's own, but this system does not allow one (`unshare -rn` fails), so "
            "nothing was proven: let unprivileged users make namespaces, or run this as root"
        )
    ran = _ran(ctx)
    if not (sound and ran):
        click.echo("not proven: see above")
        sys.exit(NOT_PROVEN)
    told = "; models of the stack are away in there, and the seats fell back" if at.stack.models else ""
    click.echo(f"proven: with no network but loopback, the sample was taken in and a question answered{told}")


def _switches() -> bool:
    from openoutcry.core.egress import SWITCHES, quiet

    quiet()
    for name, value in SWITCHES.items():
        now = os.environ.get(name, "")
        click.echo(f"switch     {'ok' if now == value else 'FAILS':<6} {name}={now}")
    return all(os.environ.get(name) == value for name, value in SWITCHES.items())


def _endpoints(at: "Standing") -> bool:
    """Each address that a request may go to, and whether it is this machine or one that a person allowed."""
    from openoutcry.core import egress
    from openoutcry.serving.registry.seats import where

    urls = [(m.name, url) for m in at.stack.models.values() for url in where(at.stack, at.home, m)]
    if at.stack.cache.store.startswith("redis"):
        urls.append(("cache", at.stack.cache.store.replace("redis", "http", 1)))
    sound = True
    for name, url in urls:
        try:
            egress.check(url, at.stack.allow)
            fault = ""
        except UsageError as error:
            sound, fault = False, f": {error}"
        click.echo(f"endpoint   {'FAILS' if fault else 'ok':<6} {name} {url} is {', '.join(_addresses(url))}{fault}")
    if not urls:
        click.echo("endpoint   ok     none: no model is asked over a network")
    return sound


def _addresses(url: str) -> list[str]:
    """The addresses that a URL's host resolves to."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme == "unix":
        return ["a socket on this machine"]
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return [f"not to be found ({error.strerror})"]
    return sorted({str(entry[4][0]) for entry in found})


def _caged() -> bool:
    """Whether this system lets a namespace be made."""
    try:
        return subprocess.run([*CAGE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _ran(ctx: click.Context) -> bool:
    """Run the main job on a scratch folder in the cage, after seeing that the cage holds."""
    out = subprocess.run([*INSIDE, sys.executable, "-c", WAY_OUT], capture_output=True, text=True, check=False)
    held = out.returncode != 0 and "Network is unreachable" in out.stderr
    click.echo(f"cage       {'ok' if held else 'FAILS':<6} a connection to the outside is refused there")
    path, _ = ctx.obj
    with tempfile.TemporaryDirectory(prefix="openoutcry-") as scratch:
        given = [*(["--desk", str(path)] if path else []), "--home", scratch]
        return held and all(_step([sys.executable, "-m", "openoutcry.cli", *given, *words]) for words in JOB)


def _step(command: list[str]) -> bool:
    """One command in the cage; what it says on stderr is shown where it fails."""
    done = subprocess.run([*INSIDE, *command], capture_output=True, text=True, check=False, timeout=SECONDS)
    shown = " ".join(["outcry", *(f'"{w}"' if " " in w else w for w in command[3:])])
    click.echo(f"run        {'ok' if done.returncode == 0 else 'FAILS':<6} {shown}")
    if done.returncode:
        click.echo(done.stderr.strip()[-500:], err=True)
    return done.returncode == 0
