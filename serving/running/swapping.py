"""The registered adapters of one replica: loaded while it runs, and unloaded once nobody asks for them any more."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import structlog

from openoutcry.core.errors import DataError, ModelError, ModelRefused
from openoutcry.core.evidence import Frozen
from openoutcry.serving.registry import artifact
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.running import offering
from openoutcry.serving.running.registered import Offer
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport

log = structlog.get_logger()


class Loaded(Frozen):
    """Registered adapters that may be asked for, and why others are not there, by name."""

    names: tuple[str, ...] = ()
    lacking: dict[str, str] = {}


class Times(Frozen):
    """Seconds: for an answer to a look, for a load, between two tries at first and at most, and how long an adapter
    stays that nobody names any more."""

    patience: float
    load: float
    pause: float
    longest: float
    keep: float


class Adapters:
    """Brings a server to what it is to have loaded; its own list is the truth. *now* is a clock in seconds."""

    def __init__(self, transport: Transport, times: Times, now: Callable[[], float] = time.monotonic) -> None:
        self._transport, self._times, self._now = transport, times, now
        self._failed: dict[str, str] = {}
        self._due: dict[str, tuple[float, float]] = {}
        self._unnamed: dict[str, float] = {}
        self._hidden: set[str] = set()
        self._retries = 0

    def begin(self) -> None:
        """It is a new server: all is tried at once."""
        self._due, self._unnamed, self._hidden = {}, {}, set()

    def retry(self) -> None:
        """Let the next look try what failed, however short ago."""
        self._due.clear()
        self._retries += 1

    async def brought(self, url: str, served: Served, offer: Offer) -> AsyncGenerator[Loaded]:
        """Load what is missing and unload what has long not been named; how it stands, after each step.

        Raises ModelError where the server does not say what it has loaded.
        """
        if not served.spare:
            yield Loaded(lacking=offer.lacking)
            return
        there = await offering.names(self._transport, url, self._times.patience)
        own = {one.name for one in offer.wanted}
        there = [name for name in there if artifact.is_name(name) and name not in served.adapters]
        await self._thinned(url, there, own, max(self._times.keep, 2 * served.seconds))
        yield self._standing(there, offer)
        for one in offer.wanted:
            if one.name not in there and self._due.get(one.name, (0.0, 0.0))[0] <= self._now():
                if await self._loaded(url, one):
                    there.append(one.name)
                yield self._standing(there, offer)

    def _standing(self, there: list[str], offer: Offer) -> Loaded:
        missing = {one.name: self._failed.get(one.name, "") for one in offer.wanted if one.name not in there}
        told = {name: said for name, said in missing.items() if said}
        return Loaded(names=tuple(n for n in there if n not in self._hidden), lacking={**offer.lacking, **told})

    async def _loaded(self, url: str, one: Registered) -> bool:
        """Load an adapter whose every byte is as it was registered; a fault is logged once."""
        retries = self._retries
        try:
            await asyncio.to_thread(artifact.check, one)
            body = {"lora_name": one.name, "lora_path": str(one.files.absolute())}
            await self._asked(url, "/v1/load_lora_adapter", body, "already been loaded")
        except (DataError, ModelError, OSError) as error:
            self._put_off(one.name, str(error), at_once=retries != self._retries)
            return False
        log.info("adapter loaded", adapter=one.name, url=url)
        self._failed.pop(one.name, None)
        self._due.pop(one.name, None)
        return True

    def _put_off(self, name: str, reason: str, at_once: bool) -> None:
        """To the end of a pause, or *at_once* where it was asked for meanwhile: what failed was begun before."""
        pause = self._due.get(name, (0.0, self._times.pause))[1]
        self._due[name] = self._now() + (0.0 if at_once else pause), min(2 * pause, self._times.longest)
        if self._failed.get(name) != reason:
            self._failed[name] = reason
            log.warning("adapter not loaded", adapter=name, reason=reason)

    async def _thinned(self, url: str, there: list[str], own: set[str], keep: float) -> None:
        """Take out of *there* what was unloaded. One is offered no more a look before it goes."""
        self._hidden -= own
        self._unnamed = {name: since for name, since in self._unnamed.items() if name not in own}
        for name in [name for name in there if name not in own]:
            if self._now() - self._unnamed.setdefault(name, self._now()) < keep:
                continue
            if name in self._hidden:
                await self._unloaded(url, name)
                there.remove(name)
            self._hidden.add(name)

    async def _unloaded(self, url: str, name: str) -> None:
        try:
            await self._asked(url, "/v1/unload_lora_adapter", {"lora_name": name}, "cannot be found")
        except ModelError as error:
            log.warning("adapter not unloaded", adapter=name, reason=str(error))
            return
        log.info("adapter unloaded", adapter=name, url=url)
        self._unnamed.pop(name, None)

    async def _asked(self, url: str, path: str, body: dict[str, str], so_already: str) -> None:
        """Ask for a change. Raises ModelError with what the server says against it."""
        reply = await self._transport.post(url, path, json.dumps(body).encode(), self._times.load)
        said = _said(reply.body)
        if reply.status != 200 and so_already not in said:
            none = f"its server answers {path} with status {reply.status}: it takes no adapters while it runs"
            raise ModelRefused(said or none)


def _said(body: bytes) -> str:
    """What vLLM says of an error, in one line; empty where it is not vLLM that speaks."""
    try:
        message: Any = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(message).split())[:300]
