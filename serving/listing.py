"""All models that a desk could seat: house rules, those of the stack, what is registered, Ollama's, and pulled ones."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from openoutcry.core.errors import ModelError, UsageError
from openoutcry.serving import ollama, pull
from openoutcry.serving.digest import digest, files
from openoutcry.serving.registry.artifact import SHORT, is_digest, is_name
from openoutcry.serving.registry.seats import seated
from openoutcry.serving.registry.standings import standings
from openoutcry.serving.roster import Roster, State
from openoutcry.serving.running import control
from openoutcry.serving.stack import HOUSE, Served, Stack

if TYPE_CHECKING:
    from openoutcry.serving.transport import Transport

SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """A model. `size` is bytes, `context` tokens, 0 where it is not known; `longest` is what its weights allow."""

    name: str
    purpose: str
    engine: str
    state: str
    size: int = 0
    context: int = 0
    longest: int = 0
    digest: str = ""
    seats: tuple[str, ...] = ()
    where: str = ""


async def models(stack: Stack, home: Path, transport: "Transport") -> list[Row]:
    """Every model, with its seats. One that does not answer says so in its state."""
    seats: dict[str, tuple[str, ...]] = {}
    for seat, pointer in seated(stack, home).items():
        seats[pointer.champion] = (*seats.get(pointer.champion, ()), seat)
        for spare in dict.fromkeys((pointer.challenger, pointer.previous)):
            if spare not in ("", HOUSE):
                seats[spare] = (*seats.get(spare, ()), f"({seat})")
    now = await asyncio.to_thread(control.standing, home)
    async with transport.opened():
        held = await _held(stack, transport)
        rows = [Row(HOUSE, "rules", "house", "ready", seats=seats.get(HOUSE, ()))]
        for served in stack.models.values():
            if not is_name(served.name):
                rows += await _stacked(stack, now, served, seats, held, transport)
    named = {(m.url, m.weights) for m in stack.models.values()} | {
        (m.url, f"{m.weights}:latest") for m in stack.models.values()
    }
    rows += [_of_ollama(m, m.name, url) for url, found in held.items() for m in found if (url, m.name) not in named]
    return rows + _registered(home, seats) + _pulled(stack, home)


async def _held(stack: Stack, transport: "Transport") -> dict[str, list[ollama.Listed]]:
    """What each Ollama that answers holds: those of the stack, or else the one where Ollama usually listens."""
    urls = {m.url for m in stack.models.values() if m.engine == "ollama"} or {ollama.USUAL}
    held: dict[str, list[ollama.Listed]] = {}
    for url in sorted(urls):
        try:
            held[url] = await ollama.models(transport, url)
        except (ModelError, UsageError):
            continue
    return held


async def _stacked(
    stack: Stack,
    now: Roster,
    served: Served,
    seats: dict[str, tuple[str, ...]],
    held: dict[str, list[ollama.Listed]],
    transport: "Transport",
) -> list[Row]:
    """A model of the stack, and its adapters."""
    own = seats.get(served.name, ())
    if served.engine == "ollama":
        wanted = {served.weights, f"{served.weights}:latest"}
        found = next((m for m in held.get(served.url, []) if m.name in wanted), None)
        if found:
            return [_of_ollama(found, served.name, served.url, served.purpose, own)]
        state = "not pulled" if served.url in held else "away"
        return [Row(served.name, served.purpose, "ollama", state, seats=own, where=served.url)]
    if served.engine == "endpoint":
        state = await _answers(served, transport)
        return [
            Row(served.name, served.purpose, "endpoint", state, 0, served.max_model_len, seats=own, where=served.url)
        ]
    state, path = _state(now, served), stack.path(served.weights)
    about = _on_disk(path)
    row = Row(
        served.name,
        served.purpose,
        "vllm",
        state,
        about[0],
        served.max_model_len,
        0,
        about[1],
        own,
        str(path or served.weights),
    )
    return [row, *(_adapter(stack, served, name, state, seats) for name in served.adapters)]


def _adapter(stack: Stack, served: Served, name: str, state: str, seats: dict[str, tuple[str, ...]]) -> Row:
    path = stack.path(served.adapters[name])
    size, found = _on_disk(path)
    where = str(path or served.adapters[name])
    return Row(
        name,
        f"adapter of {served.name}",
        "vllm",
        state,
        size,
        served.max_model_len,
        0,
        found,
        seats.get(name, ()),
        where,
    )


def _on_disk(path: Path | None) -> tuple[int, str]:
    """Size and digest of what is at *path*; 0 and empty where nothing is, or it cannot be read."""
    try:
        if path is None or not path.is_dir():
            return 0, ""
        return sum(file.stat().st_size for _, file in files(path)), digest(path)
    except (OSError, UsageError):
        return 0, ""


def _state(now: Roster, served: Served) -> str:
    """How many replicas are in which state."""
    states = Counter(r.state for r in now.replicas if r.model == served.name)
    told = [
        f"{count} {state}" if count > 1 else str(state) for state, count in states.items() if state != State.STOPPED
    ]
    return ", ".join(told) or "not running"


async def _answers(served: Served, transport: "Transport") -> str:
    try:
        return "ready" if (await transport.get(served.url, "/v1/models", SECONDS)).status == 200 else "failing"
    except ModelError:
        return "away"
    except UsageError:
        return "not allowed"


def _of_ollama(m: ollama.Listed, name: str, url: str, purpose: str = "", seats: tuple[str, ...] = ()) -> Row:
    kind = purpose or ("chat" if m.tools else "chat, no tools")
    state = "ready" if m.loaded else "not loaded"
    return Row(
        name, kind, f"ollama {m.quantisation}".strip(), state, m.size, m.context, m.longest, m.digest, seats, url
    )


def _registered(home: Path, seats: dict[str, tuple[str, ...]]) -> list[Row]:
    """What is registered; its state is what became of it."""
    rows: list[Row] = []
    for one in standings(home):
        folder = pull.folder(home) / one.digest
        about = one.there.artifact if one.there else None
        kind = f"adapter of {about.base_name or about.base or '?'}" if about and about.kind == "adapter" else ""
        row = Row(one.name, kind or (about.kind if about else ""), "", one.state, _on_disk(folder / "files")[0])
        rows.append(replace(row, digest=one.digest[:SHORT], seats=seats.get(one.name, ()), where=str(folder)))
    return rows


def _pulled(stack: Stack, home: Path) -> list[Row]:
    """What was pulled and stands in no stack yet."""
    used = {str(path.resolve()) for m in stack.models.values() if (path := stack.path(m.weights))}
    found = (p for p in pull.folder(home).glob("*") if p.is_dir() and not is_digest(p.name) and p.name[0] != ".")
    there = sorted(p for p in found if str(p.resolve()) not in used)
    about = [(p, *_on_disk(p)) for p in there]
    return [Row(p.name, "", "", "pulled", size, digest=found, where=str(p)) for p, size, found in about]
