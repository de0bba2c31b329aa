"""Who sits in which seat while a case is played, and what of it must be the same for a fair comparison."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen

HOUSE = "house"
SEATS = ("analyst", "sentiment", "risk", "coordinator", "reader")


class Candidate(Frozen):
    """A model as it is compared: its name, the digest of its weights or rules, and how it decodes."""

    name: str
    digest: str = ""
    decoding: dict[str, Any] = {}


class Models(Protocol):
    """Where models come from: `openoutcry.wiring` gives those of the stack, without stand-ins and without a cache."""

    def seated(self, role: str, name: str) -> tuple[Model, Candidate]:
        """The model *name* (house, or one of the stack) in the seat *role*. Raises UsageError where there is none."""
        ...

    def sitting(self, role: str) -> str:
        """The name of the model that sits in the seat *role* now."""
        ...

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Keep connections open meanwhile."""
        ...

    async def engines(self) -> dict[str, str]:
        """By each model that was seated and has a server, the engine there and its version, where it tells."""
        ...

    def memory(self, *names: str) -> int:
        """Bytes that the servers of *names* hold now, each server once; 0 where that cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class Lineup:
    """Models by seat, under a name such as champion."""

    name: str
    models: Mapping[str, Model]
    candidates: Mapping[str, Candidate]
    trial: str = "analyst"
    """The seat whose model is asked where a case asks a model alone."""
    memory: Callable[[], int] = field(default=lambda: 0)

    @property
    def digests(self) -> dict[str, str]:
        """By seat, what answers there: its digest, else its name."""
        return {seat: c.digest or c.name for seat, c in self.candidates.items()}

    @property
    def decoding(self) -> dict[str, dict[str, Any]]:
        """By seat, how its model decodes."""
        return {seat: c.decoding for seat, c in self.candidates.items()}


def lineup(name: str, chosen: Mapping[str, str], models: Models) -> Lineup:
    """The lineup of *chosen* model names by seat; house rules sit in every other seat. Raises UsageError."""
    if odd := chosen.keys() - set(SEATS):
        raise UsageError(f"expected a seat among {', '.join(SEATS)}, got {', '.join(sorted(odd))}")
    seated = {seat: models.seated(seat, chosen.get(seat, HOUSE)) for seat in SEATS}
    names = sorted(set(chosen.values()) - {HOUSE})
    return Lineup(
        name,
        {seat: model for seat, (model, _) in seated.items()},
        {seat: candidate for seat, (_, candidate) in seated.items()},
        next(iter(chosen), "analyst"),
        lambda: models.memory(*names),
    )


def chosen(given: tuple[str, ...]) -> dict[str, str]:
    """`ROLE=MODEL` pairs, as the command line gives them. Raises UsageError."""
    found: dict[str, str] = {}
    for pair in given:
        role, sign, name = pair.partition("=")
        if not sign or not name or role not in SEATS:
            raise UsageError(f"expected ROLE=MODEL with a role among {', '.join(SEATS)}, got {pair!r}")
        found[role] = name
    return found


class Seeded(WrapperModel):
    """A model asked with the seed of an epoch, so that epochs of a sampling model differ and can be had again."""

    def __init__(self, wrapped: Model, seed: int) -> None:
        super().__init__(wrapped)
        self._seed = seed

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask with the seed."""
        settings = cast("ModelSettings", {**(model_settings or {}), "seed": self._seed})
        return await super().request(messages, settings, model_request_parameters)
