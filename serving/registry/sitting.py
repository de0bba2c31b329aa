"""Who sits where in one run, and what came of asking them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic_ai.models import Model

from openoutcry.serving.registry.pointer import Pointer
from openoutcry.serving.seat import Tried


def bucket(role: str, run: str) -> int:
    """0 to 99: where a run falls among a hundred, by the hash of its id; each role has its own draw."""
    return int.from_bytes(hashlib.sha256(f"{role}\0{run}".encode()).digest()[:8]) % 100


@dataclass(frozen=True, slots=True)
class Line:
    """Who is asked in a seat, in their order, and how the seat stood; `challenged`: the challenger is first."""

    pointer: Pointer
    challenged: bool
    models: tuple[Model, ...]

    @property
    def watched(self) -> bool:
        """Whether it is noted how those who are asked do: there is a challenger, or the champion is new."""
        return bool(self.pointer.challenger or self.pointer.until)


@dataclass(frozen=True, slots=True)
class Sitting:
    """Who sits where in one run, and what came of the requests to those in a seat that is watched."""

    lines: Mapping[str, Line]
    tried: list[Tried] = field(default_factory=list[Tried])

    @property
    def names(self) -> dict[str, str]:
        """By role, who is asked first."""
        return {role: line.models[0].model_name for role, line in self.lines.items()}

    @property
    def watched(self) -> dict[str, Line]:
        """The seats that are watched."""
        return {role: line for role, line in self.lines.items() if line.watched}
