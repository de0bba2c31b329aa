"""What is measured of each request to a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from openoutcry.core.errors import ModelError, ModelTooSlow

Source = Literal["model", "cache", "shared"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, ended. `outcome` is `ok` or the name of the error's class; `source` says who answered:
    the model, the cache, or an identical request that was in the air. `first` is seconds to the first token
    where the answer was streamed, else 0. Tokens are as the server counted them; `cached` came from its prefix cache.
    """

    role: str
    model: str
    url: str
    seconds: float
    outcome: str = "ok"
    source: Source = "model"
    prompt: int = 0
    answer: int = 0
    cached: int = 0
    first: float = 0.0
    retried: bool = False


Meter = Callable[[Asked], None]


def outcome_of(error: BaseException) -> str:
    """The name of an error's class in the error tree; whatever else ended a request cut its time short."""
    kind = type(error) if isinstance(error, ModelError) else ModelTooSlow
    return next(c.__name__ for c in kind.__mro__ if c.__module__ == ModelError.__module__)


def unmetered(_: Asked) -> None:
    """Measure nothing."""
